"""Connection strings: what is read, what is refused, what is never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.connect.endpoint import Endpoint, parse_connection_string
from wps_run.problems import SettingsError

KEY = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/AbCdE="


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        (f"Endpoint=https://a.webpubsub.azure.com;AccessKey={KEY};Version=1.0;", "https://a.webpubsub.azure.com"),
        (f"endpoint=https://A.Example/ ; ACCESSKEY={KEY}", "https://a.example"),
        (f"Endpoint=a.example;AccessKey={KEY}", "https://a.example"),
        (f"Endpoint=https://a.example;Port=8443;AccessKey={KEY}", "https://a.example:8443"),
        (f"Endpoint=https://a.example:1;Port=8443;AccessKey={KEY}", "https://a.example:8443"),
        (f"Endpoint=https://a.example;Port=443;AccessKey={KEY}", "https://a.example"),
        (f"Endpoint=http://localhost;Port=80;AccessKey={KEY}", "http://localhost"),
        (f"Endpoint=http://127.0.0.1:8080;AccessKey={KEY}", "http://127.0.0.1:8080"),
        (f"Endpoint=http://[::1]:8080;AccessKey={KEY}", "http://[::1]:8080"),
    ],
)  # fmt: skip
def test_connection_strings_are_read_as_the_sdks_read_them(text: str, origin: str) -> None:
    """Any case of keys, `=` in values, an optional scheme; a default port is left out."""
    assert parse_connection_string(text) == Endpoint(origin, KEY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no `Endpoint`"),
        (f"AccessKey={KEY}", "no `Endpoint`"),
        ("Endpoint=https://a.example", "no `AccessKey`"),
        (f"Endpoint=https://a.example;{KEY.rstrip('=')}", "part 2"),
        (f"Endpoint=https://a;AccessKey=x;AccessKey={KEY}", "repeats"),
        (f"Endpoint=ftp://a.example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://[::1;AccessKey={KEY}", "not a URL"),
        (f"Endpoint=https://u:p@a.example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://a..example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://bücher.example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://a b.example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://a.example/hubs;AccessKey={KEY}", "end after the host"),
        (f"Endpoint=https://a.example?x=1;AccessKey={KEY}", "end after the host"),
        (f"Endpoint=http://a.example;AccessKey={KEY}", "use an https"),
        (f"Endpoint=http://192.168.0.1;AccessKey={KEY}", "use an https"),
        (f"Endpoint=http://127.0.0.1.example;AccessKey={KEY}", "use an https"),
        (f"Endpoint=https://a.example;Port=0;AccessKey={KEY}", "between 1 and 65535"),
        (f"Endpoint=https://a.example:0;AccessKey={KEY}", "between 1 and 65535"),
        (f"Endpoint=https://a.example;Port=65536;AccessKey={KEY}", "between 1 and 65535"),
        (f"Endpoint=https://a.example;Port=\uff18\uff10;AccessKey={KEY}", "between 1 and 65535"),
    ],
)
def test_a_bad_connection_string_is_refused_without_its_values(text: str, message: str) -> None:
    """The message names the part that is wrong, and holds no value."""
    with pytest.raises(SettingsError) as caught:
        parse_connection_string(text)

    assert message in str(caught.value)
    assert KEY.rstrip("=") not in str(caught.value)


@given(st.text("Endpoint=;AcsKy:/[]@.hx \n1", max_size=60) | st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a setting holds, it is read or refused in our own words."""
    try:
        parse_connection_string(f"Endpoint={text};AccessKey=k")
    except SettingsError:
        return


def test_the_repr_hides_the_key() -> None:
    """A logged endpoint gives nothing away."""
    assert KEY not in repr(Endpoint("https://a.example", KEY))


@pytest.mark.parametrize(
    ("origin", "loopback"),
    [
        ("http://localhost:1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:1", True),
        ("https://a.example", False),
        ("https://localhost.example", False),
    ],
)
def test_loopback_is_told_from_the_host(origin: str, *, loopback: bool) -> None:
    """Only this machine's own addresses and `localhost` are loopback."""
    assert Endpoint(origin, KEY).is_loopback is loopback


def test_a_reverse_proxy_is_where_requests_go_and_not_whom_tokens_are_for() -> None:
    """`--endpoint`: the origin stays the service's own."""
    endpoint = Endpoint("https://a.example", "k").behind("https://Proxy.example:8443/")

    assert (endpoint.address, endpoint.origin) == (
        "https://proxy.example:8443",
        "https://a.example",
    )


@pytest.mark.parametrize(
    "url", ["http://proxy.example", "https://p.example/base", "ftp://a", "a b"]
)
def test_a_bad_reverse_proxy_is_refused(url: str) -> None:
    """The same rules as for the endpoint; the option is named."""
    with pytest.raises(SettingsError, match="`--endpoint`"):
        Endpoint("https://a.example", "k").behind(url)
