"""Find the proxy for an endpoint in `HTTPS_PROXY` and `NO_PROXY`."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from wps_run.connect.endpoint import Endpoint
from wps_run.problems import SettingsError


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


def find_proxy(endpoint: Endpoint) -> Proxy | None:
    """Find the proxy for an endpoint; None for a direct connection.

    A loopback endpoint never has a proxy, whatever the environment says: a rehearsal must not
    leave the machine.

    Raises:
        SettingsError: The proxy's URL is not `http://` or `https://`.
    """
    if endpoint.is_loopback or proxy_bypass(endpoint.address.partition("://")[2]):
        return None
    scheme = endpoint.address.partition(":")[0]
    url = getproxies().get(scheme)
    return _parse_proxy(url) if url else None


def _parse_proxy(text: str) -> Proxy:
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
        url = urlsplit("")
    if url.scheme not in {"http", "https"} or not host:
        raise SettingsError("`HTTPS_PROXY` must be `http://host:port` or `https://host:port`")
    quoted_host = f"[{host}]" if ":" in host else host
    address = f"{url.scheme}://{quoted_host}" + (f":{port}" if port else "")
    if url.username is None:
        return Proxy(address)
    credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
    encoded = b64encode(credentials.encode()).decode()
    return Proxy(address, MappingProxyType({"Proxy-Authorization": f"Basic {encoded}"}))
