"""Where the service is and the key to it: the connection string, read."""

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from runner.problems import SettingsError

_SHAPE = "`Endpoint=https://…;AccessKey=…;Version=1.0;`"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the service listens, and its access key.

    Attributes:
        origin: Scheme, host and port as they go into URL and token: `https://host[:port]`,
            lower-case, no trailing slash.
        key: The access key. It is left out of the repr, and must be of every message.
    """

    origin: str
    key: str = field(repr=False)

    @property
    def host(self) -> str:
        """Host and port, for headers and reports."""
        return self.origin.partition("://")[2]


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
    if url.scheme not in {"http", "https"} or not url.hostname or url.username is not None:
        raise SettingsError("the `Endpoint` of the connection string is not an http(s) URL")
    if url.path.strip("/") or url.query or url.fragment:
        raise SettingsError("the `Endpoint` of the connection string must end after the host")
    if port is not None:
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):  # noqa: PLR2004
            raise SettingsError("the `Port` of the connection string is not between 1 and 65535")
        own_port = int(port)
    if url.scheme == "http" and not _is_loopback(url.hostname):
        raise SettingsError("plain http is only for this machine; use an https `Endpoint`")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"{url.scheme}://{host}" + (f":{own_port}" if own_port else "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
