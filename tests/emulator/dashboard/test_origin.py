"""Which requests come from the page itself."""

import pytest

from wps_run.emulator.dashboard.origin import Visit, is_from_the_page, is_host_ours

HOST = "127.0.0.1:8080"


@pytest.mark.parametrize(
    ("host", "listening", "expected"),
    [
        ("127.0.0.1:8080", "127.0.0.1", True),
        ("127.9.9.9", "127.0.0.1", True),
        ("LOCALHOST:1", "127.0.0.1", True),
        ("[::1]:8080", "::1", True),
        ("box.example:80", "Box.example", True),
        ("192.168.0.7:80", "0.0.0.0", True),  # noqa: S104 - told apart
        ("[fe80::1]:80", "::", True),
        ("192.168.0.7:80", "127.0.0.1", False),
        ("evil.example:8080", "0.0.0.0", False),  # noqa: S104 - told apart
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("localhost.", "127.0.0.1", False),
        ("", "", False),
        ("a@127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1:80;x", "127.0.0.1", False),
        ("127.0.0.1:80\nx", "127.0.0.1", False),
        ("2130706433", "0.0.0.0", False),  # noqa: S104 - told apart
    ],
)
def test_only_names_that_nobody_else_can_have_are_ours(
    host: str, listening: str, expected: object
) -> None:
    """A name that anybody may lead to this machine is not; an address cannot be led anywhere."""
    assert is_host_ours(host, listening) is expected


@pytest.mark.parametrize(
    ("visit", "expected"),
    [
        (Visit("GET", HOST, "", ""), True),
        (Visit("GET", HOST, "", "none"), True),
        (Visit("HEAD", HOST, "", "same-origin"), True),
        (Visit("POST", HOST, f"http://{HOST}", "same-origin"), True),
        (Visit("POST", HOST, f"https://{HOST}", ""), True),
        (Visit("GET", HOST, f"http://{HOST}", "", upgrade=True), True),
        (Visit("GET", HOST, "", "same-site"), False),
        (Visit("GET", HOST, "", "cross-site"), False),
        (Visit("GET", HOST, "http://127.0.0.1:9", ""), False),
        (Visit("POST", HOST, "", "same-origin"), False),
        (Visit("POST", HOST, "", ""), False),
        (Visit("DELETE", HOST, "null", ""), False),
        (Visit("POST", HOST, f"http://{HOST}", "same-site"), False),
        (Visit("POST", HOST, "http://127.0.0.1:80", ""), False),
        (Visit("POST", HOST, f"http://{HOST}.evil.example", ""), False),
        (Visit("POST", HOST, f"file://{HOST}", ""), False),
        (Visit("GET", HOST, "", "", upgrade=True), False),
        (Visit("GET", HOST, "http://evil.example", "", upgrade=True), False),
    ],
)
def test_only_the_page_itself_may_use_its_session(visit: Visit, expected: object) -> None:
    """Reading is its own, or typed; changes and WebSockets name its origin."""
    assert is_from_the_page(visit) is expected
