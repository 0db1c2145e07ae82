"""JSON taken to pieces without changing a byte of it.

Python's scanner does the work, and refuses what is deeper than its stack allows.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_Read = TypeVar("_Read")

MEMBER_LIMIT = 1_000
"""The most members of an object, far more than a client needs: a million would hold up all."""

_BLANK = re.compile(r"[ \t\n\r]*")


class JsonTextError(ValueError):
    """A text is not JSON, or is not what was asked for."""


class Object(tuple[tuple[str, object], ...]):
    """An object's names and values as they were written, with those that come twice."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Member:
    """The value of one member of an object.

    Attributes:
        raw: The value as it was written.
        value: What it means: an object is an `Object`; of a number, only `raw` is of use.
    """

    raw: str
    value: object


def members(text: str) -> dict[str, Member]:
    """The members of an object; of those with the same name the last counts.

    Raises:
        JsonTextError: The text is not JSON, no object, or one with too many members.
    """
    return _strictly(_members, text)


def check(text: str) -> None:
    """Raises JsonTextError unless the text is JSON."""
    _strictly(_check, text)


def _members(text: str) -> dict[str, Member]:
    found: dict[str, Member] = {}
    place = _mark(text, _past_blanks(text, 0), "{")
    if text[place : place + 1] == "}":
        _end(text, place + 1)
        return found
    for _ in range(MEMBER_LIMIT):
        name, place = _name(text, place)
        start = _mark(text, _past_blanks(text, place), ":")
        value, end = _DECODER.raw_decode(text, start)
        found[name] = Member(text[start:end], value)
        place = _past_blanks(text, end)
        if text[place : place + 1] == "}":
            _end(text, place + 1)
            return found
        place = _mark(text, place, ",")
    raise JsonTextError(f"more than {MEMBER_LIMIT} members")


def _check(text: str) -> None:
    _, end = _DECODER.raw_decode(text, _past_blanks(text, 0))
    _end(text, end)


def _mark(text: str, place: int, mark: str) -> int:
    """Where the next token starts after a mark that must stand here."""
    if text[place : place + 1] != mark:
        raise JsonTextError(f"`{mark}` is missing at {place}")
    return _past_blanks(text, place + 1)


def _name(text: str, place: int) -> tuple[str, int]:
    name, end = _DECODER.raw_decode(text, place)
    if not isinstance(name, str):
        raise JsonTextError(f"a name is missing at {place}")
    return name, end


def _end(text: str, place: int) -> None:
    if _past_blanks(text, place) != len(text):
        raise JsonTextError(f"more text at {place}")


def _past_blanks(text: str, place: int) -> int:
    blank = _BLANK.match(text, place)
    return blank.end() if blank else place


def _strictly(read: Callable[[str], _Read], text: str) -> _Read:
    try:
        return read(text)
    except RecursionError:
        raise JsonTextError("nested too deeply") from None
    except ValueError as error:
        raise JsonTextError(str(error)) from None


def _refuse(constant: str) -> None:
    """Python would take NaN and the infinities."""
    raise JsonTextError(constant)


# A number may be longer than any type takes; its length stands for it, which costs nothing.
_DECODER = json.JSONDecoder(
    object_pairs_hook=Object, parse_constant=_refuse, parse_int=len, parse_float=len
)
