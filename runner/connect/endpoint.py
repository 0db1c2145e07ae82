"""Where the service is and the key to it: the connection string, read."""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from runner.problems import SettingsError

_SHAPE = "`Endpoint=https://…;AccessKey=…;Version=1.0;`"
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
"""A host name in ASCII with labels that DNS takes, or an IPv6 address without its brackets."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the service listens, and its access key.

    Attributes:
        origin: Scheme, host and port as they go into URL and token: `https://host[:port]`,
            lower-case, no trailing slash, no port that the scheme implies.
        key: The access key. It is left out of the repr, and must be of every message.
    """

    origin: str
    key: str = field(repr=False)

    @property
    def host(self) -> str:
        """Host and port, for headers and reports."""
        return self.origin.partition("://")[2]

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine."""
        return _is_loopback(urlsplit(self.origin).hostname or "")


def parse_connection_string(text: str) -> Endpoint:
    """Read a connection string.

    Keys are case-insensitive, values may contain `=`, and the optional `Port` replaces the
    endpoint's port; so say the official SDKs. Twice the same key is refused, as .NET does.

    Raises:
        SettingsError: It is not one. The message never holds any value of it.
    """
    parts = _parts(text)
    for wanted in ("endpoint", "accesskey"):
        if not parts.get(wanted):
            name = {"endpoint": "Endpoint", "accesskey": "AccessKey"}[wanted]
            raise SettingsError(f"the connection string has no `{name}`; it looks like {_SHAPE}")
    return Endpoint(_origin(parts["endpoint"], parts.get("port")), parts["accesskey"])


def _parts(text: str) -> dict[str, str]:
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


def _origin(endpoint: str, port: str | None) -> str:
    if "://" not in endpoint:
        endpoint = f"https://{endpoint}"
    try:
        url = urlsplit(endpoint)
        own_port = url.port
    except ValueError:
        raise SettingsError("the `Endpoint` of the connection string is not a URL") from None
    host = url.hostname or ""
    if url.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host) or url.username is not None:
        raise SettingsError("the `Endpoint` of the connection string is not an http(s) URL")
    if url.path.strip("/") or url.query or url.fragment:
        raise SettingsError("the `Endpoint` of the connection string must end after the host")
    if url.scheme == "http" and not _is_loopback(host):
        raise SettingsError("plain http is only for this machine; use an https `Endpoint`")
    wanted = own_port if port is None else port
    number = None if wanted is None else _port(str(wanted))
    shown = "" if number in {None, _DEFAULT_PORTS[url.scheme]} else f":{number}"
    return f"{url.scheme}://" + (f"[{host}]" if ":" in host else host) + shown


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:  # noqa: PLR2004
        raise SettingsError("the port of the connection string must be between 1 and 65535")
    return int(text)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
