"""Proxies: what the environment names, and what never goes through one."""

import pytest

from wps_run.connect.endpoint import Endpoint
from wps_run.connect.proxy import Proxy, find_proxy, is_excepted
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
    "named",
    [
        *("socks5://u:secret@p.example", "socks5h://p.example:1080", "SOCKS4://p.example"),
        *("http://", "http://u:secret@[::1", "ftp://p.example", "http://p.example:0"),
        *("http://u:secret@p example", "http://pröxy.example", "u:secret@"),
        *("http://u:12#secret@p.example:3128", "http://u:12/secret@p.example:3128"),
    ],
)
def test_a_proxy_of_another_kind_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """Said before anything is sent, without its password."""
    monkeypatch.setenv("HTTPS_PROXY", named)

    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        find_proxy(AZURE)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "exceptions",
    [
        *("a.webpubsub.azure.com", ".webpubsub.azure.com", "*.webpubsub.azure.com", "azure.com"),
        *("*.azure.com", "AZURE.com", "azure.com.", "*", "x.example,*", "*azure*"),
        *("localhost, .azure.com", "localhost .azure.com", " , azure.com ,", "x\tazure.com"),
        *("azure.com:443", ".azure.com:443", "*.azure.com:443", "*:443"),
        *("https://azure.com", "http://a.webpubsub.azure.com:443/", "https://*.azure.com"),
    ],
)
def test_no_proxy_names_hosts_and_domains(exceptions: str) -> None:
    """As curl and Python read it, with `*.` as well."""
    assert is_excepted("a.webpubsub.azure.com", 443, exceptions)


@pytest.mark.parametrize(
    "exceptions",
    [
        *("", ",", "a.webpubsub.azure.co", "zure.com", "b.webpubsub.azure.com", "com.azure"),
        *("*.a.webpubsub.azure.com", "x.a.webpubsub.azure.com", ".", ":443", "10.0.0.0/8"),
        *("azure.com:8443", "*.azure.com:80", "azure.com:", "azure.com/8", "[azure", "::/0"),
    ],
)
def test_other_hosts_go_through_the_proxy(exceptions: str) -> None:
    assert not is_excepted("a.webpubsub.azure.com", 443, exceptions)


@pytest.mark.parametrize(
    ("host", "exceptions", "excepted"),
    [
        ("10.20.0.4", "10.20.0.4", True),
        ("10.20.0.4", "localhost;10.0.0.0/8", True),
        ("10.20.0.4", '"10.20.0.4"', True),
        ("::ffff:10.20.0.4", "10.0.0.0/8", True),
        ("fd00::1", "[fd00::]/8", True),
        ("fd00::1", "[fd00::1]:443", True),
        ("fd00::1", "[fe00::]/8", False),
        ("10.20.0.4", "localhost,10.0.0.0/8", True),
        ("10.20.0.4", "10.20.0.9/16", True),
        ("10.20.0.4", "http://10.20.0.4", True),
        ("10.20.0.4", "10.20.0.4:443", True),
        ("10.20.0.4", "10.20.*", True),
        ("10.20.0.4", "10.20.0.4:80", False),
        ("10.20.0.4", "10.21.0.0/16", False),
        ("10.20.0.4", "0.4,.0.4", False),
        ("10.20.0.4", "fd00::/8", False),
        ("fd00::5", "fd00::/8", True),
        ("fd00::5", "[FD00::5]", True),
        ("fd00::5", "[fd00::5]:443", True),
        ("fd00::5", "fd00:0:0::5", True),
        ("fd00::5", "[fd00::5]:80", False),
        ("fd00::5", "fe80::/10,10.0.0.0/8", False),
    ],
)
def test_no_proxy_names_addresses_and_ranges(host: str, exceptions: str, *, excepted: bool) -> None:
    assert is_excepted(host, 443, exceptions) is excepted


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_the_names_of_the_variables_are_in_either_case(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, " 127.0.0.1:3128 ")
    found = find_proxy(AZURE)
    monkeypatch.setenv(name.replace("https", "no").replace("HTTPS", "NO"), "*.azure.com")

    assert found == Proxy("http://127.0.0.1:3128")
    assert found.address == "127.0.0.1:3128"
    assert find_proxy(AZURE) is None


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://p.example", "p.example:80"),
        ("https://p.example", "p.example:443"),
        ("http://[::1]:3128", "[::1]:3128"),
    ],
)
def test_a_proxy_is_shown_with_its_port(url: str, address: str) -> None:
    assert Proxy(url).address == address
