"""The page on aiohttp: who has a session sees it, who has a link gets one, and nobody else."""

from aiohttp import hdrs, web

from wps_run.emulator.dashboard.live import DashboardSource, Live
from wps_run.emulator.dashboard.origin import Visit, is_from_the_page, is_host_ours
from wps_run.emulator.dashboard.pages import ASSETS, asset, entrance, front, refusal
from wps_run.emulator.dashboard.sessions import SessionStore
from wps_run.emulator.rest.targets import BadTargetError, Query, split_target

FRONT = "/"
LIVE = "/_local/live"
_FILES = "/_local/page/"
_COOKIE = "wps-run-page-"
_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})


class DashboardHandler:
    """Answers at `/`, `/_local/live` and below `/_local/page/`, once there is a link to the page.

    Args:
        scene: What there is to be seen.
        listening: The address that the service was told to listen on.
        secure: Whether it speaks https.
    """

    def __init__(self, scene: DashboardSource, listening: str, *, secure: bool) -> None:
        self.door = SessionStore()
        self._live = Live(scene)
        self._listening = listening
        self._secure = secure

    def is_for(self, target: str) -> bool:
        """Whether a request target is the page's."""
        if not self.door.is_open:
            return False
        try:
            path, _ = split_target(target)
        except BadTargetError:
            return False
        return path in {FRONT, LIVE} or path.startswith(_FILES)

    def lets_in(self, request: web.BaseRequest) -> bool:
        """Whether a request comes from the page, in a session."""
        visit = _visit(request)
        return (
            is_host_ours(visit.host, self._listening)
            and is_from_the_page(visit)
            and self._is_in_session(request)
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        path, query = split_target(request.raw_path)
        host = request.headers.get(hdrs.HOST, "")
        if not is_host_ours(host, self._listening):
            return refusal(403, "This service does not go by the name that was asked for.")
        if request.method not in _METHODS:
            return web.Response(status=405, headers={hdrs.ALLOW: "GET, HEAD"})
        if path == FRONT:
            return self._front(request, host, Query(query).first("key"))
        if not self.lets_in(request):
            return refusal(401, "This needs the session that the page's link begins.", host)
        if path == LIVE:
            return await self._live.handle(request)
        name = path.removeprefix(_FILES)
        return asset(name, host) if name in ASSETS else web.Response(status=404)

    async def stop(self) -> None:
        """Tell every page that the service ends."""
        await self._live.stop()

    def _front(self, request: web.BaseRequest, host: str, key: str) -> web.Response:
        known = self._is_in_session(request)
        if known and not key:
            return front(host)
        session = self.door.enter(key) if request.method == hdrs.METH_GET else None
        if session is None and not known:
            why = "The link was used before, or is of another run." if key else "There is no link."
            answer = refusal(401, why, host)
            answer.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
            return answer
        answer = entrance(host)
        if session is not None:
            answer.set_cookie(
                _cookie(request),
                session,
                secure=self._secure,
                httponly=True,
                samesite="Strict",
                path="/",
            )
        return answer

    def _is_in_session(self, request: web.BaseRequest) -> bool:
        return self.door.knows(request.cookies.get(_cookie(request), ""))


def _cookie(request: web.BaseRequest) -> str:
    """The cookie's name: browsers keep cookies by host alone, and there may be other services."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return f"{_COOKIE}{name[1] if name else 0}"


def _visit(request: web.BaseRequest) -> Visit:
    headers = request.headers
    return Visit(
        method=request.method,
        host=headers.get(hdrs.HOST, ""),
        origin=headers.get(hdrs.ORIGIN, ""),
        site=headers.get("Sec-Fetch-Site", ""),
        upgrade=hdrs.UPGRADE in headers,
    )
