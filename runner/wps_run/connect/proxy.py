"""Find the proxy for an endpoint in `HTTPS_PROXY` and `NO_PROXY`."""

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from wps_run.connect.endpoint import HOST, Endpoint
from wps_run.problems import SettingsError

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        url: Its URL, without user and password.
        headers: Its credentials; left out of the repr.
    """

    url: str
    headers: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, compare=False
    )

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        url = urlsplit(self.url)
        return url.port or _DEFAULT_PORTS[url.scheme]

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{_bracketed(self.host)}:{self.port}"


def find_proxy(endpoint: Endpoint) -> Proxy | None:
    """Find the proxy for an endpoint; None for a direct connection.

    A loopback endpoint never has a proxy, whatever the environment says: a rehearsal must not
    leave the machine.

    Raises:
        SettingsError: The proxy's URL is not `http://` or `https://`.
    """
    if endpoint.is_loopback:
        return None
    url = urlsplit(endpoint.address)
    proxies = getproxies()
    proxy = proxies.get(url.scheme, "").strip()
    port = url.port or _DEFAULT_PORTS[url.scheme]
    if not proxy or is_excepted(url.hostname or "", port, proxies.get("no", "")):
        return None
    if not getproxies_environment() and proxy_bypass(url.netloc):  # the settings of the system
        return None
    return _parse_proxy(proxy)


def is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Whether `NO_PROXY` excepts a host.

    Its entries, separated by commas, semicolons or spaces, are `*`, a domain (`a.example` or
    `.a.example`, with its subdomains), the subdomains only (`*.a.example`), an address, or a range
    of addresses (`10.0.0.0/8`, `fd00::/8`). All but ranges may end with `:PORT`. Names are not
    resolved.

    Args:
        host: A lower-case name, or an address without brackets.
        port: The port of the endpoint.
        exceptions: The value of `NO_PROXY`.
    """
    host = host.rstrip(".")
    entries = filter(None, re.split(r"[,;\s\"']+", exceptions.lower()))
    return any(_matches(entry, host, port) for entry in entries)


def _matches(entry: str, host: str, port: int) -> bool:
    if "://" in entry:
        entry = entry.partition("://")[2].partition("/")[0]
    address = _address_of(host)
    try:
        without_brackets = re.sub(r"^\[([^\]]*)\](?=/|$)", r"\1", entry)
        network = ipaddress.ip_network(without_brackets, strict=False)
    except ValueError:
        pass
    else:
        return address is not None and address in network
    name, _colon, number = entry.rpartition(":")
    if name and number.isdecimal():
        return int(number) == port and _matches(name, host, port)
    if "*" in entry:
        return fnmatchcase(host, entry.rstrip("."))
    domain = entry.strip(".")
    is_subdomain = address is None and host.endswith(f".{domain}")
    return bool(domain) and (host == domain or is_subdomain)


def _address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _parse_proxy(text: str) -> Proxy:
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname or "", url.port
    except ValueError:
        url, host, port = urlsplit(""), "", None
    if url.scheme.startswith("socks"):
        raise SettingsError(
            "`HTTPS_PROXY` names a SOCKS proxy, which wps-run cannot use; set it to an HTTP proxy, "
            "`http://host:port`, or name the service's host in `NO_PROXY` to reach it directly"
        )
    # An `@` after the host is a part of a password with a `/`, `?` or `#` that is not encoded.
    is_cut_off = "@" in url.path + url.query + url.fragment
    is_address = url.scheme in _DEFAULT_PORTS and HOST.fullmatch(host) and port != 0
    if not is_address or is_cut_off:
        raise SettingsError(
            "`HTTPS_PROXY` must be `http://host:port` or `https://host:port`; a login goes before "
            "the host, `http://user:password@host:port`, with special characters percent-encoded "
            "(`@` as `%40`)"
        )
    address = f"{url.scheme}://{_bracketed(host)}" + (f":{port}" if port else "")
    if url.username is None:
        return Proxy(address)
    credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
    encoded = b64encode(credentials.encode(errors="surrogateescape")).decode()
    return Proxy(address, MappingProxyType({"Proxy-Authorization": f"Basic {encoded}"}))
