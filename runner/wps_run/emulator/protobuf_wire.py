"""Decodes and encodes the wire format of protocol buffers, as far as the subprotocols need it.

Source: the format's public description. Well-formed fields of other types are ignored, as unknown
fields are.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

_UINT64 = 2**64

_MALFORMED = "The frame is not a protocol buffer."

_MORE = 0x80
"""The continuation bit of a varint's byte."""

_DEPTH_LIMIT = 100
"""The deepest nesting of groups, as in the official runtimes."""

FIELD_LIMIT = 10_000
"""The most fields of a frame. Clients need far fewer; a million would block the event loop."""

Value = int | bytes | None
"""A varint, the content of a length-delimited field, or None for an ignored one."""


class WireError(ValueError):
    """Bytes are no protocol buffer, or one with too many fields; the message says why."""


@dataclass(frozen=True, slots=True)
class MessageLayout:
    """The length-delimited fields of a message, to check that they are well formed.

    Attributes:
        texts: The numbers of its strings.
        messages: The numbers of its messages, and their layouts.
    """

    texts: Collection[int] = ()
    messages: Mapping[int, Self] = field(default_factory=dict)

    def check(self, data: bytes, allowed: int = FIELD_LIMIT) -> int:
        """Check that a message is well formed, with all messages and strings in it.

        Returns:
            How many of the allowed fields are left: those of all messages in it count.

        Raises:
            WireError: It is malformed, or has too many fields.
        """
        for number, value in _fields(data):
            allowed -= 1
            if allowed < 0:
                raise WireError(f"The frame has more than {FIELD_LIMIT} fields.")
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
"""A google.protobuf.Any: a type's name, and bytes."""


class Fields:
    """The fields of one message, in their order.

    A field with another wire type than requested is ignored, as an unknown one.
    """

    __slots__ = ("_fields",)

    def __init__(self, data: bytes) -> None:
        self._fields = list(_fields(data))

    def number(self, field: int) -> int | None:
        """Return the last unsigned 64-bit number of a field, or None."""
        numbers = (value for number, value in reversed(self._fields) if number == field)
        return next((value for value in numbers if isinstance(value, int)), None)

    def contents(self, field: int) -> list[bytes]:
        """Return every content of a length-delimited field."""
        return [
            value for number, value in self._fields if number == field and isinstance(value, bytes)
        ]

    def text(self, field: int) -> str:
        """Return the last string of a field, or "". Raises WireError."""
        return _text((self.contents(field) or [b""])[-1])

    def message(self, field: int) -> "Fields | None":
        """Return a message, merged from all its occurrences, or None. Raises WireError."""
        pieces = self.contents(field)
        return Fields(b"".join(pieces)) if pieces else None

    def one_of(self, fields: Collection[int], messages: Collection[int]) -> tuple[int, bytes]:
        """Return the number and the content of the last field of a oneof; 0 when there is none.

        Consecutive occurrences of those fields that are messages are merged.
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
        raise WireError("A string is not UTF-8.") from None


# Decoding.


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the fields of a message; the value of fixed-width fields, and in groups, is None."""
    position = 0
    groups: list[int] = []
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise WireError(_MALFORMED)
        value: Value = None
        if wire_type in _GROUP_TAGS:
            _track_group(groups, number, wire_type)
        else:
            value, position = _value(data, position, wire_type)
        yield number, None if groups else value
    if groups:
        raise WireError(_MALFORMED)


_VARINT, _FIXED64, _LENGTH, _GROUP_START, _GROUP_END, _FIXED32 = range(6)
_GROUP_TAGS = (_GROUP_START, _GROUP_END)
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}


def _track_group(groups: list[int], number: int, wire_type: int) -> None:
    if wire_type == _GROUP_START and len(groups) < _DEPTH_LIMIT:
        groups.append(number)
    elif wire_type == _GROUP_START or not groups or groups.pop() != number:
        raise WireError(_MALFORMED)


def _value(data: bytes, position: int, wire_type: int) -> tuple[Value, int]:
    """Return a field's value, None for a fixed width, and where the next field starts."""
    if wire_type == _VARINT:
        return _varint(data, position)
    if wire_type == _LENGTH:
        length, position = _varint(data, position)
        value: Value = data[position : position + length]
    elif wire_type in _WIDTHS:
        length, value = _WIDTHS[wire_type], None
    else:
        raise WireError(_MALFORMED)
    if position + length > len(data):
        raise WireError(_MALFORMED)
    return value, position + length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a number of at most ten bytes, and the position after it."""
    if position < len(data) and data[position] < _MORE:
        return data[position], position + 1
    number = 0
    for shift, byte in enumerate(data[position : position + 10]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < _MORE:
            return number % _UINT64, position + shift + 1
    raise WireError(_MALFORMED)


# Encoding.


def encode_varint(number: int) -> bytes:
    """Encode an unsigned 64-bit number."""
    if number < _MORE:  # most are: tags, and the lengths of short texts
        return number.to_bytes()
    encoded = bytearray()
    while number >= _MORE:
        encoded.append(number & 0x7F | _MORE)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def encode_number(field: int, number: int) -> bytes:
    """Encode a field with a number."""
    return encode_varint(field << 3 | _VARINT) + encode_varint(number)


def encode_bytes(field: int, *parts: bytes) -> bytes:
    """Encode a length-delimited field; its content is the concatenation of the parts."""
    length = sum(map(len, parts))
    return b"".join((encode_varint(field << 3 | _LENGTH), encode_varint(length), *parts))
