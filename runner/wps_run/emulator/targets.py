"""Request targets: parse the raw path, the query and the api-version as the service does.

The path is decoded once, except for `%2F`, and then split, so that `a%2Fb` and `a%252Fb` both
mean the name `a%2Fb`. Dot segments are ordinary names. Source: the behavior of the service's web
server (ASP.NET Core).
"""

import re
from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from urllib.parse import quote, unquote_plus, unquote_to_bytes

API_VERSION = "api-version"
"""The query parameter for the version of the API."""

API_VERSIONS = ("2021-10-01", "2022-11-01", "2023-07-01", "2024-01-01", "2024-12-01")
"""The published versions, oldest first. The emulator treats all like the newest."""

_PATH_CHARACTERS = "/:@!$&'()*+,;=~%"
"""What a path may hold in addition to letters, digits, `_`, `.` and `-`."""

_NO_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_DECIMAL = re.compile("([+-]?)0*([0-9]{1,10})", re.ASCII)
_HEXADECIMAL = re.compile("(?:#|0x|&h)(?:0x)?0*([0-9a-f]{1,8})", re.ASCII | re.IGNORECASE)
_SLASH = re.compile(r"%(?=2[Ff])")
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_SECRET = re.compile(r"\b(access_token|awps_reconnection_token|key)=[^&]*", re.IGNORECASE)


class BadTargetError(Exception):
    """A request line holds bytes outside ASCII or an encoded NUL."""


class VersionCheck(StrEnum):
    """The result of checking a request's api-version."""

    SUPPORTED = "supported"
    NEWER = "newer"
    REFUSED = "refused"


class Query:
    """The parameters of a query. Parameter names are compared without case."""

    def __init__(self, text: str) -> None:
        self._values: dict[str, list[str]] = {}
        for pair in filter(None, text.split("&")):
            name, _, value = pair.partition("=")
            self._values.setdefault(unquote_plus(name).lower(), []).append(unquote_plus(value))

    def all(self, name: str) -> Sequence[str]:
        return self._values.get(name.lower(), ())

    def first(self, name: str) -> str:
        """Return the first value of a parameter; "" when it is missing."""
        values = self.all(name)
        return values[0] if values else ""


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into its raw path and its raw query.

    The target has origin form (`/path?query`) or absolute form (`http://host/path?query`), as sent
    to a proxy.

    Raises:
        BadTargetError: The target is not ASCII.
    """
    if not target.isascii():
        raise BadTargetError
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    path, _, query = target.partition("?")
    return path, query


def mask_tokens(query: str) -> str:
    """Mask the tokens in a raw query: a client's token is in it when the client's path is wrong."""
    return _SECRET.sub(r"\1=***", query)


def decode_path(path: str) -> str:
    """Decode a raw path once, except for `%2F`; escapes that are not UTF-8 remain.

    Raises:
        BadTargetError: The path holds a NUL.
    """
    if "%" not in path:
        return path
    text = unquote_to_bytes(_SLASH.sub("%25", path)).decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise BadTargetError
    return _NOT_UTF8.sub(lambda match: f"%{ord(match[0]) - 0xDC00:02X}", text)


def encode_path(path: str) -> str:
    """Encode a decoded path as the service does: what looks like an escape is left as it is.

    So the name `a%20b`, which is sent as `a%2520b`, becomes the name `a b`.
    """
    return quote(_NO_ESCAPE.sub("%25", path), safe=_PATH_CHARACTERS)


def split_path(path: str) -> list[str]:
    """Split a decoded path into segments; one trailing slash is ignored."""
    return path.removesuffix("/").split("/")[1:]


def parse_integer(text: str) -> int | None:
    """Parse the number in a query as .NET's converters of integers do.

    It has spaces around it, a sign and leading zeros, or is hexadecimal: `0x1F`, `#1F` or `&h1F`.

    Returns:
        None for another text, and for more than ten digits, which exceed the limit of each
        parameter.
    """
    text = text.strip()
    if match := _HEXADECIMAL.fullmatch(text):
        return int(match[1], 16)
    match = _DECIMAL.fullmatch(text)
    return int(match[1] + match[2]) if match else None


def check_api_version(query: Query) -> VersionCheck:
    """Check the api-version of a request; without one, the newest is assumed.

    Returns:
        `NEWER` for a date later than all published ones, with or without `-preview`: the emulator
        may be older than its caller.
    """
    versions = query.all(API_VERSION)
    if not versions or (len(versions) == 1 and versions[0] in API_VERSIONS):
        return VersionCheck.SUPPORTED
    if len(versions) > 1:
        return VersionCheck.REFUSED
    try:
        version = date.fromisoformat(versions[0].removesuffix("-preview")).isoformat()
    except ValueError:
        return VersionCheck.REFUSED
    return VersionCheck.NEWER if version > API_VERSIONS[-1] else VersionCheck.REFUSED
