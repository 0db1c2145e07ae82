"""What the page is made of: its files, and the two small pages at its door."""

from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files

from aiohttp import web

_TYPES: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}

ASSETS = frozenset(
    {"page.css", "app.js", "client.js", "dom.js", "faults.js", "live.js", "people.js", "traffic.js"}
)
"""The files that the page loads."""

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='4' fill='%231f55c4'/%3E"
    "%3Ccircle cx='8' cy='8' r='3.5' fill='%23fff'/%3E%3C/svg%3E"
)


def headers(host: str) -> dict[str, str]:
    """What a browser must not do with an answer.

    Args:
        host: The Host header, which was checked; some browsers do not take a WebSocket to the
            page's own origin for `'self'`.
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
def _text(name: str) -> str:
    return files("wps_run.emulator.dashboard").joinpath("assets", name).read_text("utf-8")


def asset(name: str, host: str) -> web.Response:
    """One of `ASSETS`."""
    return _document(_text(name), name.rpartition(".")[2], host)


def front(host: str) -> web.Response:
    """The page."""
    return _document(_text("page.html").replace("$icon", _ICON), "html", host)


def entrance(host: str) -> web.Response:
    """What a link that lets somebody in answers: it leads on to the page without the link.

    It is no redirect: a browser that follows a link from elsewhere does not send the new cookie
    with what the link redirects to.
    """
    return _note(200, "Opening", 'Opening <a href="/">the page</a> …', host, refresh=True)


def refusal(status: int, why: str, host: str = "localhost") -> web.Response:
    """A page that says why nobody is let in, and how to be."""
    how = (
        "<code>wps-run serve</code> prints a link that opens this page once. For a new one, start "
        "it again, or ask with the access key: "
        '<code>curl -X POST -H "Authorization: Bearer $WPS_LOCAL_ACCESS_KEY" '
        f"http://{escape(host)}/_local/link</code>"
    )
    return _note(status, "Not let in", f"{escape(why)}</p><p>{how}", host)


def _note(status: int, title: str, text: str, host: str, *, refresh: bool = False) -> web.Response:
    onward = '<meta http-equiv="refresh" content="0;url=/">' if refresh else ""
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'{onward}<link rel="icon" href="{_ICON}"><title>{title} · wps-run serve</title></head>'
        f"<body><main><h1>{title}</h1><p>{text}</p></main></body></html>"
    )
    return _document(page, "html", host, status)


def _document(text: str, kind: str, host: str, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=text.encode(),
        headers={"Content-Type": _TYPES[kind], **headers(host)},
    )
