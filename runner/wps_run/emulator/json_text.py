"""Checks JSON, and parses it while keeping the exact source text of an object's values.

Python's own scanner does the work. It refuses nesting that is deeper than its stack allows.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")

MEMBER_LIMIT = 1_000
"""The most members of an object. Clients need far fewer; a million would block the event loop."""

_WHITESPACE = re.compile(r"[ \t\n\r]*")


class JsonTextError(ValueError):
    """A text is not JSON, or not an object."""


class JsonObject(tuple[tuple[str, object], ...]):
    """The names and values of an object in their order, duplicate names included."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Member:
    """The value of one member of an object.

    Attributes:
        raw: The value's source text.
        value: The parsed value: an object is a `JsonObject`; a number only its length (see `raw`).
    """

    raw: str
    value: object


def parse_members(text: str) -> dict[str, Member]:
    """Parse the members of an object; of those with the same name the last counts.

    Raises:
        JsonTextError: The text is not JSON, not an object, or has too many members.
    """
    return _parse(_members, text)


def check_json(text: str) -> None:
    """Raise JsonTextError unless the text is JSON, as the service checks it: NaN is refused."""
    _parse(_check, text)


def _members(text: str) -> dict[str, Member]:
    members: dict[str, Member] = {}
    position = _skip_token(text, _skip_whitespace(text, 0), "{")
    if text[position : position + 1] == "}":
        _check_end(text, position + 1)
        return members
    for _ in range(MEMBER_LIMIT):
        name, position = _name(text, position)
        start = _skip_token(text, _skip_whitespace(text, position), ":")
        value, end = _DECODER.raw_decode(text, start)
        members[name] = Member(text[start:end], value)
        position = _skip_whitespace(text, end)
        if text[position : position + 1] == "}":
            _check_end(text, position + 1)
            return members
        position = _skip_token(text, position, ",")
    raise JsonTextError(f"more than {MEMBER_LIMIT} members")


def _check(text: str) -> None:
    _, end = _DECODER.raw_decode(text, _skip_whitespace(text, 0))
    _check_end(text, end)


def _skip_token(text: str, position: int, token: str) -> int:
    """Return where the next token starts, after one that must be here."""
    if text[position : position + 1] != token:
        raise JsonTextError(f"`{token}` is missing at {position}")
    return _skip_whitespace(text, position + 1)


def _name(text: str, position: int) -> tuple[str, int]:
    name, end = _DECODER.raw_decode(text, position)
    if not isinstance(name, str):
        raise JsonTextError(f"a name is missing at {position}")
    return name, end


def _check_end(text: str, position: int) -> None:
    if _skip_whitespace(text, position) != len(text):
        raise JsonTextError(f"unexpected text at {position}")


def _skip_whitespace(text: str, position: int) -> int:
    whitespace = _WHITESPACE.match(text, position)
    return whitespace.end() if whitespace else position


def _parse(parser: Callable[[str], _T], text: str) -> _T:
    try:
        return parser(text)
    except RecursionError:
        raise JsonTextError("nested too deeply") from None
    except ValueError as error:
        raise JsonTextError(str(error)) from None


def _refuse_constant(constant: str) -> None:
    """Refuse NaN and the infinities, which Python would accept."""
    raise JsonTextError(constant)


# A number may be longer than any type can hold, so it is not converted: its length is free.
_DECODER = json.JSONDecoder(
    object_pairs_hook=JsonObject, parse_constant=_refuse_constant, parse_int=len, parse_float=len
)
