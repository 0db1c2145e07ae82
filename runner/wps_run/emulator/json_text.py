"""Parses JSON as the service does, and keeps the exact source text of an object's values.

Python's own scanner does the work. As in .NET, NaN and more than `DEPTH_LIMIT` levels are refused.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")

MEMBER_LIMIT = 1_000
"""The most members of an object. Clients need far fewer; a million would block the event loop."""

DEPTH_LIMIT = 64
"""The most arrays and objects that may be nested in each other."""

_TOO_DEEP = f"nested more than {DEPTH_LIMIT} levels deep"

_WHITESPACE = re.compile(r"[ \t\n\r]*")


class JsonTextError(ValueError):
    """A text is not JSON, or not an object."""


class JsonObject(tuple[tuple[str, object], ...]):
    """The names and values of an object in their order, duplicate names included."""

    __slots__ = ()


_CONTAINERS = frozenset({list, JsonObject})


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
        JsonTextError: The text is not JSON, not an object, nested too deeply, or has too many
            members.
    """
    members = _parse(_members, text)
    _check_depth(text, (member.value for member in members.values()), DEPTH_LIMIT - 1)
    return members


def parse_json(text: str) -> object:
    """Parse a value: an object is a `JsonObject`, a number only its length.

    Raises:
        JsonTextError: The text is not JSON, or nested too deeply.
    """
    value = _parse(_value, text)
    _check_depth(text, (value,), DEPTH_LIMIT)
    return value


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


def _value(text: str) -> object:
    value: object
    value, end = _DECODER.raw_decode(text, _skip_whitespace(text, 0))
    _check_end(text, end)
    return value


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
        raise JsonTextError(_TOO_DEEP) from None
    except ValueError as error:
        raise JsonTextError(str(error)) from None


def _check_depth(text: str, values: Iterable[object], limit: int) -> None:
    """Raise JsonTextError if the values in a text are nested deeper than the limit."""
    if text.count("[") + text.count("{") <= limit:
        return
    level = [value for value in values if type(value) in _CONTAINERS]
    for _ in range(limit):
        lists = [child for parent in level if type(parent) is list for child in parent]
        objects = [child for parent in level if type(parent) is JsonObject for _, child in parent]
        level = [child for child in lists + objects if type(child) in _CONTAINERS]
        if not level:
            return
    raise JsonTextError(_TOO_DEEP)


def _refuse_constant(constant: str) -> None:
    """Refuse NaN and the infinities, which Python would accept."""
    raise JsonTextError(constant)


# A number may be longer than any type can hold, so it is not converted: its length is free.
_DECODER = json.JSONDecoder(
    object_pairs_hook=JsonObject, parse_constant=_refuse_constant, parse_int=len, parse_float=len
)
