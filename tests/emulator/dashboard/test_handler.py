"""Access to the dashboard over real HTTP, and what it may load."""

import json
import logging
import re
from importlib.resources import files
from typing import Any

import aiohttp
import pytest
from yarl import URL

from wps_run.emulator.dashboard.handler import ASSETS, security_headers
from wps_run.emulator.server import Emulator

LOCAL = ("ledger", "state", "faults", "reset", "seed", "link", "token", "live", "page/app.js")


@pytest.fixture
def key(emulator: Emulator) -> str:
    """The key of a link; with it there is a dashboard."""
    return emulator.dashboard_link().partition("?key=")[2]


async def test_the_link_opens_once(call: Any, key: str) -> None:
    """It leads on to the page, with a cookie that scripts and other sites do not get."""
    answer = await call("GET", f"/?key={key}", Authorization=None)

    cookie = answer.headers["Set-Cookie"]
    assert answer.status == 200
    assert b'content="0;url=/"' in answer.body
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert key not in cookie
    again = await call("GET", f"/?key={key}", Authorization=None)
    assert (again.status, "Set-Cookie" in again.headers) == (401, False)
    assert b"used before" in again.body
    page = await call("GET", "/", Authorization=None, Cookie=cookie.partition(";")[0])
    assert page.status == 200
    assert b"<main" in page.body


async def test_over_https_the_cookie_is_for_https_alone(certificate: tuple[str, str]) -> None:
    """Secure."""
    async with Emulator(tls_cert=certificate[0], tls_key=certificate[1]) as emulator:
        link = emulator.dashboard_link()
        async with (
            aiohttp.ClientSession() as session,
            session.get(link, ssl=False) as answer,
        ):
            assert link.startswith("https://")
            assert "; Secure" in answer.headers["Set-Cookie"]


async def test_others_are_denied(call: Any, key: str) -> None:
    """401 with a hint; the access key opens `/_local/`, not the dashboard."""
    forms = ("", "?key=", "?key=x", f"?key={key[:-1]}", f"?x={key}")
    for query in forms:
        for cookie in (
            None,
            "wps-run-page-1=x",
            f"wps-run-page-{call.emulator.endpoint.origin}={key}",
        ):
            answer = await call("GET", f"/{query}", Authorization=None, Cookie=cookie)
            assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)
            assert b"wps-run serve" in answer.body
    for path in LOCAL:
        answer = await call("GET", f"/_local/{path}", Authorization=None)
        assert answer.status == 401
        assert call.emulator.endpoint.key.encode() not in answer.body
    bearer = f"Bearer {call.emulator.endpoint.key}"
    assert (await call("GET", "/", Authorization=bearer)).status == 401
    assert (await call("GET", "/_local/live", Authorization=bearer)).status == 401
    assert (await call("HEAD", f"/?key={key}", Authorization=None)).status == 401
    assert (await call("GET", f"/?key={key}", Authorization=None)).status == 200


async def test_the_denied_page_says_what_to_do(call: Any, key: str) -> None:
    """The command for a new link, with the address in use, and that a link opens once."""
    await call("GET", f"/?key={key}", Authorization=None)
    for target, reason in (
        ("/", "This address has no key"),
        (f"/?key={key}", "The link was used before"),
        ("/_local/live", "This browser has no session"),
    ):
        text = (await call("GET", target, Authorization=None, Host="localhost:9")).body.decode()
        assert reason in text
        assert "A link opens once" in text
        assert "http://localhost:9/_local/link</code>" in text
        assert "AccessKey" in text
    foreign = await call("GET", "/", Authorization=None, Host="evil.example")
    assert f"such as <code>{call.emulator.endpoint.origin}</code>" in foreign.body.decode()
    assert b"evil" not in foreign.body


async def test_over_https_the_command_for_a_link_uses_https(certificate: tuple[str, str]) -> None:
    """It can be pasted as it is."""
    async with Emulator(tls_cert=certificate[0], tls_key=certificate[1]) as emulator:
        emulator.dashboard_link()
        async with (
            aiohttp.ClientSession() as session,
            session.get(emulator.endpoint.origin, ssl=False) as answer,
        ):
            assert f"{emulator.endpoint.origin}/_local/link" in await answer.text()


async def test_there_is_no_dashboard_before_the_first_link(call: Any) -> None:
    """404, as for any unknown path."""
    assert (await call("GET", "/", Authorization=None)).status == 404
    assert (await call("GET", "/?key=x", Authorization=None)).status == 404


async def test_the_access_key_requests_a_new_link(call: Any) -> None:
    """For a user who has closed the browser."""
    target = "/_local/link"
    assert (await call("POST", target, Authorization=None)).status == 401
    answer = await call("POST", target, Authorization=f"Bearer {call.emulator.endpoint.key}")
    link = URL(json.loads(answer.body)["link"])
    assert (await call("GET", str(link.relative()), Authorization=None)).status == 200


async def test_a_foreign_host_name_is_denied(call: Any, key: str) -> None:
    """403 before anything is looked at: the link is not used up by it."""
    for host in ("evil.example", f"evil.example:{call.emulator.endpoint.origin[-4:]}", "", "a b"):
        answer = await call("GET", f"/?key={key}", Authorization=None, Host=host)
        assert answer.status in {400, 403}
    assert (await call("GET", f"/?key={key}", Authorization=None, Host="localhost")).status == 200


async def test_the_session_opens_the_admin_api(dashboard_session: aiohttp.ClientSession) -> None:
    """With the cookie and the dashboard's origin."""
    async with dashboard_session.get("/_local/state") as answer:
        assert (answer.status, await answer.json()) == (200, {"hubs": {}})
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Strict-Transport-Security" not in answer.headers
    async with dashboard_session.post("/_local/faults", data=b"429") as answer:
        assert answer.status == 200
    async with dashboard_session.delete("/_local/faults", params={"fault": "429"}) as answer:
        assert answer.status == 204
    async with dashboard_session.delete("/_local/faults", params={"fault": "429"}) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Authorization": "Bearer x"},
    ],
)
async def test_other_sites_cannot_use_the_session(
    emulator: Emulator, dashboard_session: aiohttp.ClientSession, changes: dict[str, str]
) -> None:
    """Not even from another port of this machine, whose requests carry the cookie."""
    cookies = dashboard_session.cookie_jar.filter_cookies(URL(emulator.endpoint.origin))
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())
    headers = {"Cookie": cookie, **changes}
    for method, path in (("POST", "reset"), ("PUT", "faults"), ("POST", "token"), ("GET", "state")):
        async with dashboard_session.request(method, f"/_local/{path}", headers=headers) as answer:
            assert answer.status == 401
    if "Authorization" not in changes:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await dashboard_session.ws_connect("/_local/live", headers=headers)


async def test_the_policy_allows_the_page_itself_and_nothing_else(
    emulator: Emulator, dashboard_session: aiohttp.ClientSession
) -> None:
    """On each response, errors too."""
    host = emulator.endpoint.origin.removeprefix("http://")
    for path in ("/", "/_local/page/app.js", "/?key=x"):
        async with dashboard_session.get(path) as answer:
            assert answer.headers["Content-Security-Policy"] == (
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
                f"connect-src 'self' ws://{host} wss://{host}; base-uri 'none'; "
                "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
            )
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"


async def test_a_policy_names_no_ipv6_address() -> None:
    """It cannot be written in one; browsers would complain."""
    policy = security_headers("[::1]:8080")["Content-Security-Policy"]
    assert "connect-src 'self';" in policy


async def test_every_file_is_served_with_its_type(dashboard_session: aiohttp.ClientSession) -> None:
    """Those in the package, and no other file."""
    folder = files("wps_run.emulator.dashboard").joinpath("assets")
    assert {file.name for file in folder.iterdir()} == ASSETS | {"page.html"}
    for name in ASSETS:
        async with dashboard_session.get(f"/_local/page/{name}") as answer:
            kind = "javascript" if name.endswith("js") else "css"
            assert (answer.status, answer.content_type) == (200, f"text/{kind}")
            assert answer.charset == "utf-8"
    for name in ("page.html", "", "x.js", "../access.py", "..%2Faccess.py", "app.js/"):
        url = URL(f"/_local/page/{name}", encoded=True)
        async with dashboard_session.get(url) as answer:
            assert answer.status == 404


async def test_other_methods_are_405(dashboard_session: aiohttp.ClientSession) -> None:
    """With the allowed methods."""
    for path in ("/", "/_local/live", "/_local/page/app.js"):
        async with dashboard_session.post(path) as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_the_page_holds_no_markup_of_scripts_or_styles() -> None:
    """No inline script, style or handler, and nothing from elsewhere."""
    folder = files("wps_run.emulator.dashboard").joinpath("assets")
    page = folder.joinpath("page.html").read_text("utf-8")
    assert re.findall(r"\son\w+=|\sstyle=|<style|<script>|javascript:", page) == []
    scripts = "".join(
        folder.joinpath(name).read_text("utf-8") for name in sorted(ASSETS) if name.endswith("js")
    )
    assert (
        re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", scripts) == []
    )
    assert "http" not in re.sub(r"https:|http-equiv", "", scripts)


async def test_secrets_are_never_shown(
    emulator: Emulator, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the log, not in the request log, and the access key not in the page."""
    with caplog.at_level(logging.DEBUG):
        key = emulator.dashboard_link().partition("?key=")[2]
        answer = await call("GET", f"/?key={key}", Authorization=None)
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        for path in ("/", "/?key=x", *(f"/_local/page/{name}" for name in ASSETS)):
            page = await call("GET", path, Authorization=None, Cookie=cookie)
            assert emulator.endpoint.key.encode() not in page.body
            assert key.encode() not in page.body
    assert list(emulator.request_log.entries()) == []
    for secret in (key, cookie.partition("=")[2], emulator.endpoint.key):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("client", "status"),
    [
        ({"hub": "chat"}, 200),
        (
            {
                "hub": "a[b],`",
                "userId": "ä/b",
                "groups": ["g h"],
                "roles": ["webpubsub.sendToGroup"],
            },
            200,
        ),
        ({}, 400),
        ([], 400),
        ({"hub": "1"}, 400),
        ({"hub": "chat", "userId": 1}, 400),
        ({"hub": "chat", "userId": " "}, 400),
        ({"hub": "chat", "groups": [""]}, 400),
        ({"hub": "chat", "groups": "red"}, 400),
        ({"hub": "chat", "roles": [1]}, 400),
        ({"hub": "chat", "lifetime": 9}, 400),
    ],
)
async def test_a_token_connects_a_client(
    emulator: Emulator, dashboard_session: aiohttp.ClientSession, client: Any, status: int
) -> None:
    """As the requested user, in the requested groups; an invalid request is refused."""
    async with dashboard_session.post("/_local/token", json=client) as answer:
        assert answer.status == status
        credentials = await answer.json()
    if status == 200:
        url = URL(f"{credentials['path']}?access_token={credentials['token']}", encoded=True)
        async with dashboard_session.ws_connect(
            url, protocols=["json.webpubsub.azure.v1"]
        ) as socket:
            assert (await socket.receive_json())["userId"] == client.get("userId")
            (connection,) = emulator.hubs[client["hub"].lower()].connections.values()
            assert list(connection.groups) == client.get("groups", [])
