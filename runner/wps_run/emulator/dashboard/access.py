"""Access to the dashboard: one-time links, sessions, and checks of Host and origin. No I/O.

A page from elsewhere must not use a session: neither by a form or a script, nor by a host name
that resolves to this machine (DNS rebinding). To a browser, other ports of this machine are the
same site, so `SameSite` alone does not keep their pages out.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from ipaddress import ip_address

_LINK_LIMIT = 16
"""The most unused links; the oldest is dropped when a new one is made."""

_SESSION_LIMIT = 64
"""The most sessions; the oldest ends when a new one begins."""

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
_ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_SAFE_METHODS = frozenset({"GET", "HEAD"})


class SessionStore:
    """Issues keys of one-time links and exchanges them for sessions.

    Only digests are stored, and they are looked up, not compared: the time that takes reveals
    nothing about a key.
    """

    def __init__(self) -> None:
        self._links: dict[bytes, None] = {}
        self._sessions: dict[bytes, None] = {}
        self.has_issued_link = False
        """Whether there ever was a link: until then there is no dashboard."""

    def create_link_key(self) -> str:
        """Return the secret key of a new link, which opens one session."""
        self.has_issued_link = True
        return _add_secret(self._links, _LINK_LIMIT)

    def open_session(self, link_key: str) -> str | None:
        """Exchange a link's key, which is used up, for a new session's secret; None if invalid."""
        digest = _digest(link_key)
        if digest not in self._links:
            return None
        del self._links[digest]
        return _add_secret(self._sessions, _SESSION_LIMIT)

    def has_session(self, secret: str) -> bool:
        return _digest(secret) in self._sessions


def _add_secret(digests: dict[bytes, None], limit: int) -> str:
    secret = secrets.token_urlsafe(32)
    digests[_digest(secret)] = None
    if len(digests) > limit:
        del digests[next(iter(digests))]
    return secret


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def is_allowed_host(host: str, listen_address: str) -> bool:
    """Whether the emulator, which listens on an address, may be reached under a name.

    It may under a loopback address, `localhost` and the address listened on, and under any address
    when all are listened on; under no other name: anybody can make one resolve to this machine.
    """
    match = _HOST.fullmatch(host.lower())
    if match is None:
        return False
    name = match["v6"] or match["name"]
    if name in {"localhost", listen_address.lower()}:
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or listen_address in _ANY_ADDRESS


def is_same_origin(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a request was made by the dashboard itself, or from the user's address bar.

    Requests that change something, and WebSockets, must have the dashboard's own Origin.
    """
    if headers.get("Sec-Fetch-Site", "") not in {"", "same-origin", "none"}:
        return False
    origin = headers.get("Origin", "")
    if method in _SAFE_METHODS and "Upgrade" not in headers and not origin:
        return True
    scheme, _, authority = origin.lower().partition("://")
    return scheme in {"http", "https"} and authority == headers.get("Host", "").lower()
