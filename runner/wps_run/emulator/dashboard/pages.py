"""The files of the dashboard, and the small HTML pages for opening a link and denying access."""

from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files

from aiohttp import web

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


def denied_page(status: int, reason: str, host: str = "localhost") -> web.Response:
    """Return a page that says why access is denied, and how to get a link."""
    hint = (
        "<code>wps-run serve</code> prints a link that opens the dashboard once. For a new link, "
        "start it again, or request one with the access key: "
        '<code>curl -X POST -H "Authorization: Bearer $WPS_LOCAL_ACCESS_KEY" '
        f"http://{escape(host)}/_local/link</code>"
    )
    return _small_page(status, "Access denied", f"{escape(reason)}</p><p>{hint}", host)


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
