"""Access to the dashboard: one-time links, sessions, allowed hosts and same-origin checks."""

import pytest

from wps_run.emulator.dashboard.access import (
    SessionStore,
    is_allowed_host,
    is_same_origin,
)

HOST = "127.0.0.1:8080"


def test_a_link_opens_once() -> None:
    """Its key is exchanged for a session's secret."""
    sessions = SessionStore()
    link = sessions.create_link_key()

    session = sessions.open_session(link)

    assert session is not None
    assert session != link
    assert sessions.open_session(link) is None
    assert sessions.has_session(session)
    assert not sessions.has_session(link)


def test_an_invalid_key_opens_no_session() -> None:
    """Neither an empty key, nor a session's secret, nor half a character."""
    sessions = SessionStore()
    session = sessions.open_session(sessions.create_link_key())
    assert session is not None

    assert [sessions.open_session(key) for key in ("", "x", session, "\udcff")] == [None] * 4
    assert not sessions.has_session("")


def test_there_is_no_dashboard_before_the_first_link() -> None:
    """An emulator without a link serves no dashboard."""
    sessions = SessionStore()
    assert not sessions.has_issued_link
    sessions.create_link_key()
    assert sessions.has_issued_link


def test_links_and_sessions_are_limited() -> None:
    """At most 16 unused links and 64 sessions; the oldest are dropped."""
    sessions = SessionStore()
    links = [sessions.create_link_key() for _ in range(17)]
    assert sessions.open_session(links[0]) is None
    assert sessions.open_session(links[1]) is not None

    secrets = [sessions.open_session(sessions.create_link_key()) or "" for _ in range(65)]
    assert not sessions.has_session(secrets[0])
    assert all(map(sessions.has_session, secrets[1:]))


@pytest.mark.parametrize(
    ("host", "listen_address", "expected"),
    [
        ("127.0.0.1:8080", "127.0.0.1", True),
        ("127.9.9.9", "127.0.0.1", True),
        ("LOCALHOST:1", "127.0.0.1", True),
        ("[::1]:8080", "::1", True),
        ("box.example:80", "Box.example", True),
        ("192.168.0.7:80", "0.0.0.0", True),  # noqa: S104 - compared, not bound
        ("[fe80::1]:80", "::", True),
        ("192.168.0.7:80", "127.0.0.1", False),
        ("evil.example:8080", "0.0.0.0", False),  # noqa: S104 - compared, not bound
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("localhost.", "127.0.0.1", False),
        ("", "", False),
        ("a@127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1:80;x", "127.0.0.1", False),
        ("127.0.0.1:80\nx", "127.0.0.1", False),
        ("2130706433", "0.0.0.0", False),  # noqa: S104 - compared, not bound
    ],
)
def test_only_names_that_nobody_else_can_have_are_allowed(
    host: str, listen_address: str, expected: object
) -> None:
    """Anybody can make a name resolve to this machine; addresses are not resolved."""
    assert is_allowed_host(host, listen_address) is expected


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", {"Host": HOST}, True),
        ("GET", {"Host": HOST, "Sec-Fetch-Site": "none"}, True),
        ("HEAD", {"Host": HOST, "Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Host": HOST, "Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Host": HOST, "Origin": f"https://{HOST}"}, True),
        ("GET", {"Host": HOST, "Origin": f"http://{HOST}", "Upgrade": "websocket"}, True),
        ("GET", {"Host": HOST, "Sec-Fetch-Site": "same-site"}, False),
        ("GET", {"Host": HOST, "Sec-Fetch-Site": "cross-site"}, False),
        ("GET", {"Host": HOST, "Origin": "http://127.0.0.1:9"}, False),
        ("POST", {"Host": HOST, "Sec-Fetch-Site": "same-origin"}, False),
        ("POST", {"Host": HOST}, False),
        ("DELETE", {"Host": HOST, "Origin": "null"}, False),
        ("POST", {"Host": HOST, "Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-site"}, False),
        ("POST", {"Host": HOST, "Origin": "http://127.0.0.1:80"}, False),
        ("POST", {"Host": HOST, "Origin": f"http://{HOST}.evil.example"}, False),
        ("POST", {"Host": HOST, "Origin": f"file://{HOST}"}, False),
        ("GET", {"Host": HOST, "Upgrade": "websocket"}, False),
        ("GET", {"Host": HOST, "Origin": "http://evil.example", "Upgrade": "websocket"}, False),
    ],
)
def test_only_the_dashboard_may_use_its_session(
    method: str, headers: dict[str, str], expected: object
) -> None:
    """Reads come from it or the address bar; changes and WebSockets carry its origin."""
    assert is_same_origin(method, headers) is expected
