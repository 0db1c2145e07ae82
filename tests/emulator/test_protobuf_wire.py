"""The wire format of protocol buffers."""

import pytest
from google.protobuf import any_pb2
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.protobuf_wire import (
    ANY,
    FIELD_LIMIT,
    Fields,
    MessageLayout,
    WireError,
    encode_bytes,
    encode_number,
    encode_varint,
)

UNKNOWN = [
    b"\x48\x96\x01",  # a varint
    b"\x49" + bytes(8),
    b"\x4d" + bytes(4),
    b"\x4a\x02hi",
    b"\x4b\x08\x01\x53\x54\x4c",  # a group in a group
    b"\xf8\xff\xff\xff\x0f\x00",  # the greatest number of a field
]


@pytest.mark.parametrize("unknown", UNKNOWN, ids=range(len(UNKNOWN)))
def test_unknown_fields_are_ignored(unknown: bytes) -> None:
    """Whatever their wire type, before and after a known one."""
    known = encode_bytes(1, b"x") + encode_number(2, 300)

    fields = Fields(unknown + known + unknown)

    assert (fields.text(1), fields.number(2), fields.number(3)) == ("x", 300, None)


MALFORMED = [
    b"\x00",  # field 0
    b"\x02\x00",
    b"\x80\x80\x80\x80\x10\x00",  # a field beyond 2**29
    b"\x08",  # no value
    b"\x08\x80",
    b"\x08" + b"\x80" * 10 + b"\x01",  # eleven bytes
    b"\x0a",  # no length
    b"\x0a\x02x",  # too little content
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x09" + bytes(7),
    b"\x0d" + bytes(3),
    b"\x0e\x00",  # unknown wire types
    b"\x0f\x00",
    b"\x0c",  # the end of a group that did not start
    b"\x0b",  # a group that does not end
    b"\x0b\x14",  # the end of another group
    b"\x0b" * 101 + b"\x0c" * 101,
]


@pytest.mark.parametrize("data", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_bytes_are_refused(data: bytes) -> None:
    """Truncated, too long, or of an unknown wire type."""
    with pytest.raises(WireError):
        Fields(data)


def test_bits_beyond_the_64th_are_dropped() -> None:
    """As the official runtimes do with a varint of ten full bytes."""
    assert Fields(b"\x08" + b"\xff" * 9 + b"\x7f").number(1) == 2**64 - 1


def test_the_content_of_a_group_is_ignored() -> None:
    """Its fields are not fields of the message."""
    group = b"\x4b" + encode_number(1, 7) + encode_bytes(2, b"x") + b"\x4c"

    fields = Fields(encode_number(1, 3) + group)

    assert (fields.number(1), fields.contents(2)) == (3, [])


def test_the_last_of_a_singular_field_counts() -> None:
    """A repeated field with another wire type is another field."""
    data = encode_number(1, 1) + encode_bytes(1, b"a") + encode_bytes(1, b"b") + encode_number(1, 2)

    fields = Fields(data)

    assert (fields.number(1), fields.text(1)) == (2, "b")
    assert fields.contents(1) == [b"a", b"b"]


def test_occurrences_of_a_message_are_merged() -> None:
    """As the format requires."""
    fields = Fields(
        encode_bytes(1, encode_number(1, 7)) + encode_bytes(1, encode_number(2, 8))
    ).message(1)

    assert fields is not None
    assert (fields.number(1), fields.number(2)) == (7, 8)


def test_the_last_of_a_oneof_counts() -> None:
    """Another field of it replaces the one before; occurrences of a message are merged."""
    fields = Fields(
        encode_bytes(1, b"a")
        + encode_bytes(2, b"b")
        + encode_bytes(1, b"c")
        + encode_bytes(1, b"d")
    )

    assert fields.one_of((1, 2), messages=(1,)) == (1, b"cd")
    assert fields.one_of((1, 2), messages=()) == (1, b"d")
    assert fields.one_of((2,), messages=()) == (2, b"b")
    assert fields.one_of((3,), messages=()) == (0, b"")


@given(st.integers(0, 2**64 - 1))
def test_a_number_is_decoded_as_it_was_encoded(number: int) -> None:
    """All 64 bits, in at most ten bytes."""
    assert Fields(encode_number(1, number)).number(1) == number
    assert len(encode_varint(number)) == max(1, -(-number.bit_length() // 7))


@given(url=st.text(), value=st.binary())
def test_an_any_of_the_official_runtime_is_valid(url: str, value: bytes) -> None:
    """Whatever its type and its bytes."""
    ANY.check(any_pb2.Any(type_url=url, value=value).SerializeToString())


LAYOUT = MessageLayout(texts=(1,), messages={2: MessageLayout(texts=(1,))})


@pytest.mark.parametrize(
    "data", [encode_bytes(1, b"\xff"), encode_bytes(2, encode_bytes(1, b"\xff")), b"\x12\x01x"]
)
def test_a_malformed_nested_message_is_refused(data: bytes) -> None:
    """Even if a later field with the same number replaces it."""
    with pytest.raises(WireError):
        LAYOUT.check(data + encode_bytes(1, b"x") + encode_bytes(2))


def test_unknown_fields_may_hold_anything() -> None:
    """Any bytes, and a known number with another wire type."""
    LAYOUT.check(
        encode_bytes(3, b"\xff") + encode_bytes(2, encode_bytes(3, b"\xff")) + encode_number(1, 1)
    )


FLOODS = [encode_number(1, 1), encode_bytes(1), b"\x0b\x0c", b"\x0d" + bytes(4)]


@pytest.mark.parametrize("field", FLOODS, ids=range(len(FLOODS)))
def test_a_flood_of_fields_is_refused(field: bytes) -> None:
    """Of any wire type, at any depth: it would block the event loop."""
    fields = 2 if field == b"\x0b\x0c" else 1

    assert LAYOUT.check(field * (FIELD_LIMIT // fields)) == 0
    with pytest.raises(WireError, match="more than"):
        LAYOUT.check(field * (FIELD_LIMIT // fields + 1))
    with pytest.raises(WireError, match="more than"):
        LAYOUT.check(encode_bytes(2, field * (FIELD_LIMIT // fields)))


def test_fields_of_all_messages_count_together() -> None:
    """Many small messages are a flood, too."""
    half = encode_bytes(2, encode_number(1, 1) * (FIELD_LIMIT // 2))

    assert LAYOUT.check(half) == FIELD_LIMIT // 2 - 1
    with pytest.raises(WireError, match="more than"):
        LAYOUT.check(half + half)
