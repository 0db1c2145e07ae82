"""Whether a browser asks on behalf of the page itself. Headers in, verdicts out.

A page from elsewhere must not use a session: neither by a form or a script of its own, nor by a
name of its own that leads to this machine (DNS rebinding). Other ports of this machine are the
same site to a browser, so that `SameSite` alone does not keep them out.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
_ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - told apart
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Visit:
    """What a request says about where it comes from.

    Attributes:
        method: The HTTP method.
        host: The Host header.
        origin: The Origin header, "" when there is none.
        site: The Sec-Fetch-Site header, "" when there is none.
        upgrade: Whether it asks for a WebSocket.
    """

    method: str
    host: str
    origin: str
    site: str
    upgrade: bool = False


def is_host_ours(host: str, listening: str) -> bool:
    """Whether the service may be called so.

    Args:
        host: The Host header.
        listening: The address that the service was told to listen on.

    Returns:
        True for a loopback address, `localhost` and the address listened on; for any address
        when all are listened on. A name that anybody could have made is none of these.
    """
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    name = found["v6"] or found["name"]
    if name in {"localhost", listening.lower()}:
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or listening in _ANY_ADDRESS


def is_from_the_page(visit: Visit) -> bool:
    """Whether a request with the session's cookie was made by the page, or typed by its user.

    What changes something, and a WebSocket, must name the page's own origin.
    """
    if visit.site not in {"", "same-origin", "none"}:
        return False
    if visit.method in _READING and not visit.upgrade and not visit.origin:
        return True
    scheme, _, authority = visit.origin.lower().partition("://")
    return scheme in {"http", "https"} and authority == visit.host.lower()
