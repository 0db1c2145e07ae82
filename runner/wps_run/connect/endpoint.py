"""Endpoints of the service: parse connection strings and URLs."""

import ipaddress
import re
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from wps_run.problems import SettingsError

_SHAPE = "`Endpoint=https://…;AccessKey=…;Version=1.0;`"
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
"""An ASCII host name with labels that DNS accepts, or an IPv6 address without brackets."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Identity:
    """How to get a token of Entra ID.

    Attributes:
        managed: Whether to use the managed identity of the machine.
        client_id: The application or the user-assigned identity; "" for the default.
        tenant_id: The tenant; "" for the default.
        client_secret: The application's secret, or "". Not in the repr; keep it out of messages.
    """

    managed: bool = False
    client_id: str = ""
    tenant_id: str = ""
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of the service and its credentials.

    Attributes:
        origin: Scheme, host and port as in URLs and tokens: `https://host[:port]`, lower-case,
            no trailing slash, no port that the scheme implies.
        key: The access key, or "" with an identity. Not in the repr; keep it out of messages.
        identity: How to get a token of Entra ID, or None to use the key.
        reverse_proxy: The origin of a reverse proxy that requests go to instead, or "".
    """

    origin: str
    key: str = field(repr=False)
    identity: Identity | None = None
    reverse_proxy: str = ""

    @property
    def host(self) -> str:
        """Host and port."""
        return self.origin.partition("://")[2]

    @property
    def address(self) -> str:
        """The origin that requests go to."""
        return self.reverse_proxy or self.origin

    @property
    def is_loopback(self) -> bool:
        """Whether requests stay on this machine."""
        return _is_loopback(urlsplit(self.address).hostname or "")

    def behind(self, proxy: str) -> "Endpoint":
        """Return this endpoint behind a reverse proxy; tokens are still for the endpoint itself.

        Raises:
            SettingsError: The URL is not `https://host[:port]`, or `http://` to another machine.
        """
        return replace(self, reverse_proxy=parse_origin(proxy, what="`--endpoint`"))


def parse_connection_string(text: str) -> Endpoint:
    """Parse a connection string.

    Keys are case-insensitive, values may contain `=`, and the optional `Port` replaces the
    endpoint's port, as in the official SDKs. A repeated key is an error, as in .NET.

    Raises:
        SettingsError: The text is no connection string. The message never contains its values.
    """
    parts = _split(text)
    for name in ("Endpoint", "AccessKey"):
        if not parts.get(name.lower()):
            raise SettingsError(f"the connection string has no `{name}`; it looks like {_SHAPE}")
    origin = parse_origin(
        parts["endpoint"], parts.get("port"), what="the `Endpoint` of the connection string"
    )
    return Endpoint(origin, parts["accesskey"])


def _split(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for number, segment in enumerate(filter(None, map(str.strip, text.split(";"))), start=1):
        name, equals, value = segment.partition("=")
        if not equals:
            raise SettingsError(
                f"part {number} of the connection string has no `=`; it looks like {_SHAPE}"
            )
        key = name.strip().lower()
        if key in parts:
            raise SettingsError(f"part {number} of the connection string repeats an earlier key")
        parts[key] = value.strip()
    return parts


def parse_origin(url: str, port: str | None = None, *, what: str) -> str:
    """Parse a URL into scheme, host and port, in the form of `Endpoint.origin`.

    Args:
        url: A URL without path; https when it has no scheme.
        port: Replaces the port of the URL, or None.
        what: The name of the URL in messages. They never contain the URL itself.

    Raises:
        SettingsError: The URL is invalid, or plain http to another machine.
    """
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        own_port = parts.port
    except ValueError:
        raise SettingsError(f"{what} is not a URL") from None
    host = parts.hostname or ""
    is_valid = parts.scheme in _DEFAULT_PORTS and _HOST.fullmatch(host)
    if not is_valid or parts.username is not None:
        raise SettingsError(f"{what} is not an http(s) URL")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(f"{what} must end after the host")
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError(f"plain http is only for this machine; use an https URL in {what}")
    port_text = own_port if port is None else port
    number = None if port_text is None else _parse_port(str(port_text), what)
    suffix = "" if number in {None, _DEFAULT_PORTS[parts.scheme]} else f":{number}"
    return f"{parts.scheme}://" + (f"[{host}]" if ":" in host else host) + suffix


def _parse_port(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:  # noqa: PLR2004
        raise SettingsError(f"the port of {what} must be between 1 and 65535")
    return int(text)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
