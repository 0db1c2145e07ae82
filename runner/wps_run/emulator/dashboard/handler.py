"""The dashboard's HTTP endpoints on aiohttp: a link opens a session, a session opens the page."""

from aiohttp import hdrs, web

from wps_run.emulator.dashboard.access import SessionStore, is_allowed_host, is_same_origin
from wps_run.emulator.dashboard.live import DashboardSource, LiveUpdates
from wps_run.emulator.dashboard.pages import (
    ASSETS,
    asset_response,
    dashboard_page,
    denied_page,
    redirect_page,
)
from wps_run.emulator.targets import BadTargetError, Query, split_target

_FRONT_PATH = "/"
_LIVE_PATH = "/_local/live"
_ASSETS_PATH = "/_local/page/"
_COOKIE_PREFIX = "wps-run-page-"
_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})


class DashboardHandler:
    """Answers at `/`, `/_local/live` and below `/_local/page/`, once a link was created.

    Args:
        listen_address: The address that the emulator was configured to listen on.
        is_secure: Whether it is served over https.
    """

    def __init__(self, source: DashboardSource, listen_address: str, *, is_secure: bool) -> None:
        self._sessions = SessionStore()
        self._live = LiveUpdates(source)
        self._listen_address = listen_address
        self._is_secure = is_secure

    def create_link(self) -> str:
        """Return the path and query of a new link, which opens the dashboard once."""
        return f"{_FRONT_PATH}?key={self._sessions.create_link_key()}"

    def handles(self, target: str) -> bool:
        if not self._sessions.has_issued_link:
            return False
        try:
            path, _ = split_target(target)
        except BadTargetError:
            return False
        return path in {_FRONT_PATH, _LIVE_PATH} or path.startswith(_ASSETS_PATH)

    def is_authorized(self, request: web.BaseRequest) -> bool:
        """Whether a request comes from the dashboard, in a session."""
        return (
            is_allowed_host(request.headers.get(hdrs.HOST, ""), self._listen_address)
            and is_same_origin(request.method, request.headers)
            and self._has_session(request)
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, query = split_target(request.raw_path)
        host = request.headers.get(hdrs.HOST, "")
        if not is_allowed_host(host, self._listen_address):
            return denied_page(403, "The emulator is not reachable under this host name.")
        if request.method not in _METHODS:
            return web.Response(status=405, headers={hdrs.ALLOW: "GET, HEAD"})
        if path == _FRONT_PATH:
            return self._front_page(request, host, Query(query).first("key"))
        if not self.is_authorized(request):
            return denied_page(401, "This needs a session: open the dashboard by its link.", host)
        if path == _LIVE_PATH:
            return await self._live.handle(request)
        name = path.removeprefix(_ASSETS_PATH)
        return asset_response(name, host) if name in ASSETS else web.Response(status=404)

    async def stop(self) -> None:
        await self._live.stop()

    def _front_page(self, request: web.BaseRequest, host: str, key: str) -> web.Response:
        has_session = self._has_session(request)
        if has_session and not key:
            return dashboard_page(host)
        session = self._sessions.open_session(key) if request.method == hdrs.METH_GET else None
        if session is None and not has_session:
            reason = (
                "The link was used before, or belongs to another run of the emulator."
                if key
                else "The address has no key."
            )
            response = denied_page(401, reason, host)
            response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
            return response
        response = redirect_page(host)
        if session is not None:
            response.set_cookie(
                _cookie_name(request),
                session,
                secure=self._is_secure,
                httponly=True,
                samesite="Strict",
                path="/",
            )
        return response

    def _has_session(self, request: web.BaseRequest) -> bool:
        return self._sessions.has_session(request.cookies.get(_cookie_name(request), ""))


def _cookie_name(request: web.BaseRequest) -> str:
    """Return the cookie's name, with the port: browsers share a host's cookies among its ports."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return f"{_COOKIE_PREFIX}{name[1] if name else 0}"
