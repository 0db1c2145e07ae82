"""Request targets: the raw path and query of a request line, read as the service reads them.

The path is decoded once, except for `%2F`, and then split, so that `a%2Fb` and `a%252Fb` both
mean the name `a%2Fb`. Dot segments are names like any other here. Source: the behaviour of the
service's web server (ASP.NET Core).
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote_plus, unquote_to_bytes

_SLASH = re.compile(r"%(?=2[Ff])")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_SECRET = re.compile(r"\b(access_token|awps_reconnection_token|key)=[^&]*", re.IGNORECASE)


class BadTargetError(Exception):
    """A request line holds what no client may send: bytes outside ASCII, or a NUL."""


class Query:
    """The parameters of a query. Their names are compared without case."""

    def __init__(self, text: str) -> None:
        self._values: dict[str, list[str]] = {}
        for pair in filter(None, text.split("&")):
            name, _, value = pair.partition("=")
            self._values.setdefault(unquote_plus(name).lower(), []).append(unquote_plus(value))

    def all(self, name: str) -> Sequence[str]:
        """Each value of a parameter, in order; none when it is not there."""
        return self._values.get(name.lower(), ())

    def first(self, name: str) -> str:
        """The first value of a parameter; "" when it is not there."""
        values = self.all(name)
        return values[0] if values else ""


def split_target(target: str) -> tuple[str, str]:
    """The raw path and the raw query of a request target.

    Args:
        target: As it stands in the request line, in origin form (`/path?query`) or in absolute
            form (`http://host/path?query`), as it reaches a proxy.

    Raises:
        BadTargetError: It is not ASCII.
    """
    if not target.isascii():
        raise BadTargetError
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return path, query


def without_secrets(query: str) -> str:
    """A raw query as it may be noted: a client's token strays into one when its path is wrong."""
    return _SECRET.sub(r"\1=***", query)


def decode(path: str) -> str:
    """A raw path, decoded once except for `%2F`; escapes that are no UTF-8 stay as they are.

    Raises:
        BadTargetError: It holds a NUL.
    """
    if "%" not in path:
        return path
    text = unquote_to_bytes(_SLASH.sub("%25", path)).decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise BadTargetError
    return _NOT_UTF8.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", text)


def segments(path: str) -> list[str]:
    """The segments of a decoded path; one slash at its end makes no difference."""
    return path.removesuffix("/").split("/")[1:]
