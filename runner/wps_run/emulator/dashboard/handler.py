"""The dashboard on aiohttp: a link opens a session, a session opens the page and its files."""

from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files

from aiohttp import hdrs, web

from wps_run.emulator.dashboard.access import SessionStore, is_allowed_host, is_same_origin
from wps_run.emulator.dashboard.live import DashboardSource, LiveUpdates
from wps_run.emulator.targets import BadTargetError, Query, split_target

_FRONT_PATH = "/"
_LIVE_PATH = "/_local/live"
_ASSETS_PATH = "/_local/page/"
_COOKIE_PREFIX = "wps-run-page-"
_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})

_CONTENT_TYPES: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}

_SCRIPTS = ("app", "client", "dom", "faults", "listings", "live", "traffic")
ASSETS = frozenset({"page.css", *(f"{name}.js" for name in _SCRIPTS)})
"""The files that the page loads."""

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='4' fill='%231f55c4'/%3E"
    "%3Ccircle cx='8' cy='8' r='3.5' fill='%23fff'/%3E%3C/svg%3E"
)


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
        return (
            is_allowed_host(request.headers.get(hdrs.HOST, ""), self._listen_address)
            and is_same_origin(request.method, request.headers)
            and self._has_session(request)
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, query = split_target(request.raw_path)
        host = request.headers.get(hdrs.HOST, "")
        if not is_allowed_host(host, self._listen_address):
            address, port = _own_address(request)
            authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            return forbidden_host_page(f"{self._scheme}://{authority}")
        if request.method not in _METHODS:
            return web.Response(status=405, headers={hdrs.ALLOW: "GET, HEAD"})
        if path == _FRONT_PATH:
            return self._front_page(request, host, Query(query).first("key"))
        if not self.is_authorized(request):
            reason = "This browser has no session, or the session has ended."
            return denied_page(reason, self._scheme, host)
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
                else "This address has no key, and this browser has no session."
            )
            response = denied_page(reason, self._scheme, host)
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

    @property
    def _scheme(self) -> str:
        return "https" if self._is_secure else "http"

    def _has_session(self, request: web.BaseRequest) -> bool:
        return self._sessions.has_session(request.cookies.get(_cookie_name(request), ""))


def _cookie_name(request: web.BaseRequest) -> str:
    """Return the cookie's name, with the port: browsers share a host's cookies among its ports."""
    return f"{_COOKIE_PREFIX}{_own_address(request)[1]}"


def _own_address(request: web.BaseRequest) -> tuple[str, int]:
    """Return the address and port at which the request arrived."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return (str(name[0]), int(name[1])) if name else ("localhost", 0)


# Responses.


def security_headers(host: str) -> dict[str, str]:
    """Return the headers that restrict what a browser does with a response.

    The checked Host header is named: for some browsers `'self'` does not cover a WebSocket to the
    page's own origin.
    """
    sockets = "" if host.startswith("[") else f" ws://{host} wss://{host}"  # no IPv6 in policies
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src data:",
        f"connect-src 'self'{sockets}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


@cache
def _asset_text(name: str) -> str:
    return files("wps_run.emulator.dashboard").joinpath("assets", name).read_text("utf-8")


def asset_response(name: str, host: str) -> web.Response:
    """Return one of `ASSETS`."""
    return _response(_asset_text(name), name.rpartition(".")[2], host)


def dashboard_page(host: str) -> web.Response:
    """Return the dashboard."""
    return _response(_asset_text("page.html").replace("$icon", _ICON), "html", host)


def redirect_page(host: str) -> web.Response:
    """Return the page that a link leads to, which goes on to the dashboard without the key.

    It is no HTTP redirect: a browser that follows a link from another site does not send the new
    cookie with the redirected request.
    """
    return _small_page(
        200, "Opening", 'Opening <a href="/">the dashboard</a> …', host, refresh=True
    )


def denied_page(reason: str, scheme: str, host: str) -> web.Response:
    """Return the page for a browser without a session: why, and how to get a link."""
    command = (
        'curl -X POST -H "Authorization: Bearer $WPS_LOCAL_ACCESS_KEY" '
        f"{scheme}://{host}/_local/link"
    )
    return _small_page(
        401,
        "Access denied",
        f"{escape(reason)}</p><h2>What to do</h2><ul>"
        "<li>Open the link that <code>wps-run serve</code> prints in its terminal when it starts: "
        f"<code>dashboard at {scheme}://{escape(host)}/?key=…</code></li>"
        "<li>A link opens once, in one browser. For another link, restart "
        "<code>wps-run serve</code>, or run this command and open the link in its output:"
        f"<pre><code>{escape(command)}</code></pre>"
        "Unless the variable <code>WPS_LOCAL_ACCESS_KEY</code> is set, write the "
        "<code>AccessKey</code> of the connection string that <code>wps-run serve</code> prints "
        "in its place.</li></ul><p>A session lasts until the browser is closed or the emulator "
        "stops.",
        host,
    )


def forbidden_host_page(origin: str) -> web.Response:
    """Return the page for a host name that is not the emulator's own."""
    return _small_page(
        403,
        "Access denied",
        "The emulator is not reachable under this host name, because anybody can make a name lead "
        "to this machine.</p><h2>What to do</h2><p>Use an IP address or <code>localhost</code>, "
        f"such as <code>{escape(origin)}</code>. The link that <code>wps-run serve</code> prints "
        "has such an address.",
        "localhost",
    )


def _small_page(
    status: int, title: str, html: str, host: str, *, refresh: bool = False
) -> web.Response:
    redirect = '<meta http-equiv="refresh" content="0;url=/">' if refresh else ""
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'{redirect}<link rel="icon" href="{_ICON}"><title>{title} · wps-run serve</title></head>'
        f"<body><main><h1>{title}</h1><p>{html}</p></main></body></html>"
    )
    return _response(page, "html", host, status)


def _response(text: str, suffix: str, host: str, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=text.encode(),
        headers={"Content-Type": _CONTENT_TYPES[suffix], **security_headers(host)},
    )
