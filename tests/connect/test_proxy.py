"""Proxies: what the environment names, and what never goes through one."""

import pytest

from wps_run.connect.endpoint import Endpoint
from wps_run.connect.proxy import Proxy, find_proxy
from wps_run.problems import SettingsError

AZURE = Endpoint("https://a.webpubsub.azure.com", "k")


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("https://proxy.example", "https://proxy.example"),
        ("http://[::1]:3128/", "http://[::1]:3128"),
    ],
)
def test_https_goes_through_the_https_proxy(
    monkeypatch: pytest.MonkeyPatch, named: str, url: str
) -> None:
    """As curl and the SDKs read `HTTPS_PROXY`."""
    monkeypatch.setenv("HTTPS_PROXY", named)

    assert find_proxy(AZURE) == Proxy(url)


def test_user_and_password_become_a_header_that_no_repr_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They leave the URL, so no error about the proxy can hold them."""
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:p%40ss@proxy.example:3128")

    proxy = find_proxy(AZURE)

    assert proxy is not None
    assert proxy.url == "http://proxy.example:3128"
    assert proxy.headers == {"Proxy-Authorization": "Basic YWRhOnBAc3M="}
    assert "YWRh" not in repr(proxy)


@pytest.mark.parametrize("excepted", ["a.webpubsub.azure.com", ".azure.com", "x.org, azure.com"])
def test_no_proxy_leads_the_direct_way(monkeypatch: pytest.MonkeyPatch, excepted: str) -> None:
    """Hosts and domains in `NO_PROXY` are reached directly."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excepted)

    assert find_proxy(AZURE) is None


def test_without_a_setting_there_is_no_proxy() -> None:
    """The default is the direct way."""
    assert find_proxy(AZURE) is None


@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:8080", "http://localhost", "https://[::1]:8443"]
)
def test_this_machine_is_never_reached_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    """A rehearsal stays here, whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")

    assert find_proxy(Endpoint(origin, "k")) is None


@pytest.mark.parametrize(
    "named", ["socks5://u:secret@p.example", "http://", "http://u:secret@[::1"]
)
def test_a_proxy_of_another_kind_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """Said before anything is sent, without its password."""
    monkeypatch.setenv("HTTPS_PROXY", named)

    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        find_proxy(AZURE)

    assert "secret" not in str(caught.value)
