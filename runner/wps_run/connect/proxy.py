"""The proxy that the environment names for an endpoint, as `HTTPS_PROXY` and `NO_PROXY` say."""

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
        headers: What lets us in; left out of the repr.
    """

    url: str
    headers: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, compare=False
    )


def find_proxy(endpoint: Endpoint) -> Proxy | None:
    """The proxy on the way to an endpoint, or None for the direct way.

    Asked once a client, since a client has one endpoint. This machine is never reached
    through a proxy, whatever the environment says: a rehearsal must stay here.

    Raises:
        SettingsError: It names a proxy that is not `http://` or `https://`.
    """
    if endpoint.is_loopback or proxy_bypass(endpoint.address.partition("://")[2]):
        return None
    scheme = endpoint.address.partition(":")[0]
    named = getproxies().get(scheme)
    return _proxy(named) if named else None


def _proxy(text: str) -> Proxy:
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
        url = urlsplit("")
    if url.scheme not in {"http", "https"} or not host:
        raise SettingsError("`HTTPS_PROXY` must be `http://host:port` or `https://host:port`")
    shown = f"[{host}]" if ":" in host else host
    address = f"{url.scheme}://{shown}" + (f":{port}" if port else "")
    if url.username is None:
        return Proxy(address)
    words = f"{unquote(url.username)}:{unquote(url.password or '')}"
    credentials = b64encode(words.encode()).decode()
    return Proxy(address, MappingProxyType({"Proxy-Authorization": f"Basic {credentials}"}))
