"""The wire format of protocol buffers: fields out of bytes, and bytes out of fields.

Source: the format's public description. Only what the subprotocol's messages need has a type
here; whatever else is well formed is passed over, as a reader of an older description does.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from wps_run.emulator.websocket.frames import FrameError

_UINT64 = 2**64

_MALFORMED = "The frame is not a protocol buffer."

_MORE = 0x80
"""The bit of a varint's byte that says that another one follows."""

_DEPTH_LIMIT = 100
"""How deep groups may be nested, as in the official runtimes."""

FIELD_LIMIT = 10_000
"""The most fields of a frame, far more than a client needs: one of a million would hold up all."""

Value = int | bytes | None
"""A varint, the content of a field with a length, or something that is passed over."""


@dataclass(frozen=True, slots=True)
class MessageLayout:
    """What is known of a message's fields with a length, so that malformed ones are found.

    Attributes:
        texts: The numbers of its strings.
        messages: The numbers of its messages, and their shapes.
    """

    texts: Collection[int] = ()
    messages: Mapping[int, Self] = field(default_factory=dict)

    def check(self, data: bytes, allowed: int = FIELD_LIMIT) -> int:
        """See that a message is well formed, down to its last string.

        Args:
            data: The message.
            allowed: How many fields it may have, with those of the messages in it.

        Returns:
            How many more it might have had.

        Raises:
            FrameError: It is malformed, or has too many.
        """
        for number, value in _fields(data):
            allowed -= 1
            if allowed < 0:
                raise FrameError(f"The frame has more than {FIELD_LIMIT} fields.")
            if isinstance(value, bytes):
                allowed = self._check_content(number, value, allowed)
        return allowed

    def _check_content(self, number: int, value: bytes, allowed: int) -> int:
        if number in self.texts:
            _text(value)
        elif number in self.messages:
            return self.messages[number].check(value, allowed)
        return allowed


ANY = MessageLayout(texts=(1,))
"""A google.protobuf.Any: the name of a type, and bytes."""


class Fields:
    """The fields of one message, in the order in which they came.

    A field that is there with another wire type than it is asked for counts as unknown.
    """

    __slots__ = ("_fields",)

    def __init__(self, data: bytes) -> None:
        """Take a message apart. Raises FrameError."""
        self._fields = list(_fields(data))

    def number(self, field: int) -> int | None:
        """An unsigned 64-bit number: the last one counts. None when there is none."""
        numbers = (value for number, value in reversed(self._fields) if number == field)
        return next((value for value in numbers if isinstance(value, int)), None)

    def contents(self, field: int) -> list[bytes]:
        """Every content of a field with a length."""
        return [
            value for number, value in self._fields if number == field and isinstance(value, bytes)
        ]

    def text(self, field: int) -> str:
        """A string: the last one counts. "" when there is none. Raises FrameError."""
        return _text((self.contents(field) or [b""])[-1])

    def message(self, field: int) -> "Fields | None":
        """A message; pieces of it that came apart belong together. Raises FrameError."""
        pieces = self.contents(field)
        return Fields(b"".join(pieces)) if pieces else None

    def one_of(self, fields: Collection[int], messages: Collection[int]) -> tuple[int, bytes]:
        """Which field of a oneof came last, and its content.

        Args:
            fields: The numbers of the oneof's fields.
            messages: Those among them that are messages: what came in pieces is put together.

        Returns:
            The number 0 when none came.
        """
        chosen = 0
        pieces: list[bytes] = []
        for number, value in self._fields:
            if number in fields and isinstance(value, bytes):
                if number != chosen or number not in messages:
                    pieces = []
                chosen = number
                pieces.append(value)
        return chosen, b"".join(pieces)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise FrameError("A string is not UTF-8.") from None


# Reading.


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a message; the value of a fixed width, or in a group, is None."""
    place = 0
    groups: list[int] = []
    while place < len(data):
        tag, place = _varint(data, place)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise FrameError(_MALFORMED)
        value: Value = None
        if wire_type in _GROUP_MARKS:
            _mark_group(groups, number, wire_type)
        else:
            value, place = _value(data, place, wire_type)
        yield number, None if groups else value
    if groups:
        raise FrameError(_MALFORMED)


_VARINT, _FIXED64, _LENGTH, _GROUP_START, _GROUP_END, _FIXED32 = range(6)
_GROUP_MARKS = (_GROUP_START, _GROUP_END)
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}


def _mark_group(groups: list[int], number: int, wire_type: int) -> None:
    if wire_type == _GROUP_START and len(groups) < _DEPTH_LIMIT:
        groups.append(number)
    elif wire_type == _GROUP_START or not groups or groups.pop() != number:
        raise FrameError(_MALFORMED)


def _value(data: bytes, place: int, wire_type: int) -> tuple[Value, int]:
    """A field's value, None for a fixed width, and where the next field starts."""
    if wire_type == _VARINT:
        return _varint(data, place)
    if wire_type == _LENGTH:
        length, place = _varint(data, place)
        value: Value = data[place : place + length]
    elif wire_type in _WIDTHS:
        length, value = _WIDTHS[wire_type], None
    else:
        raise FrameError(_MALFORMED)
    if place + length > len(data):
        raise FrameError(_MALFORMED)
    return value, place + length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of at most ten bytes, seven bits in each, and where the next thing starts."""
    if place < len(data) and data[place] < _MORE:
        return data[place], place + 1
    number = 0
    for shift, byte in enumerate(data[place : place + 10]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < _MORE:
            return number % _UINT64, place + shift + 1
    raise FrameError(_MALFORMED)


# Writing.


def varint(number: int) -> bytes:
    """An unsigned number of 64 bits."""
    written = bytearray()
    while number >= _MORE:
        written.append(number & 0x7F | _MORE)
        number >>= 7
    written.append(number)
    return bytes(written)


def numbered(field: int, number: int) -> bytes:
    """A field that holds a number."""
    return varint(field << 3 | _VARINT) + varint(number)


def content(field: int, *pieces: bytes) -> bytes:
    """A field with a length; its content may come in pieces."""
    length = sum(map(len, pieces))
    return b"".join((varint(field << 3 | _LENGTH), varint(length), *pieces))
