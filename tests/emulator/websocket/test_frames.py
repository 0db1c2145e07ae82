"""The values of frames, the checks of requests and the encoding of text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import DataType
from wps_run.emulator.websocket.frames import (
    CloseCode,
    CloseFrame,
    FrameError,
    SendGroupMessage,
    checked_event,
    checked_group,
    checked_metadata,
    checked_ttl,
    encode_utf8,
    has_surrogates,
    repair_utf8,
)


def test_a_frame_error_closes_with_1007_by_default() -> None:
    """Most violations of a subprotocol are invalid data."""
    assert FrameError("why").close_frame == CloseFrame(1007, "why")
    assert FrameError("why", CloseCode.UNSUPPORTED_DATA).close_frame.code == 1003
    assert str(FrameError("why")) == "why"


def test_requests_compare_by_value() -> None:
    """By default a message has no ack, is echoed and does not expire."""
    plain = SendGroupMessage("g", b"x", DataType.TEXT)

    assert plain == SendGroupMessage(
        "g", b"x", DataType.TEXT, None, no_echo=False, ttl=0, metadata={}
    )
    assert plain != SendGroupMessage("g", b"x", DataType.TEXT, 0)


@pytest.mark.parametrize("name", ["e", "E9", "a.b-c_d", "e" * 128])
def test_an_event_begins_with_a_letter(name: str) -> None:
    """Followed by up to 127 letters, digits, underscores, dots and dashes."""
    assert checked_event(name) == name


@pytest.mark.parametrize("name", ["", "9", "_e", "é", "e f", "e\n", "e" * 129])
def test_another_event_is_an_error(name: str) -> None:
    """The connection is closed with 1007."""
    with pytest.raises(FrameError) as caught:
        checked_event(name)

    assert caught.value.close_frame.code == 1007


@pytest.mark.parametrize("name", ["", " ", "g" * 1025, "\U0001f600" * 513])
def test_another_group_is_an_error(name: str) -> None:
    """A group has 1 to 1024 UTF-16 units and is not blank."""
    with pytest.raises(FrameError):
        checked_group(name)


def test_the_time_to_live_is_at_most_five_minutes() -> None:
    """And no longer."""
    assert [checked_ttl(seconds) for seconds in (0, 300)] == [0, 300]
    with pytest.raises(FrameError):
        checked_ttl(301)


def test_invalid_metadata_is_an_error() -> None:
    """With the reason of the metadata rules."""
    with pytest.raises(FrameError, match="twice"):
        checked_metadata([("k", "1"), ("k", "2")])


@given(st.text())
def test_text_without_surrogates_is_encoded_unchanged(text: str) -> None:
    """Nothing is replaced."""
    assert not has_surrogates(text)
    assert encode_utf8(text) == repair_utf8(text.encode()) == text.encode()


@given(st.text(alphabet=st.characters()), st.binary())
def test_anything_becomes_utf8(text: str, data: bytes) -> None:
    """Every frame can be decoded."""
    assert encode_utf8(text).decode() == repair_utf8(encode_utf8(text)).decode()
    assert repair_utf8(data) == repair_utf8(repair_utf8(data))


def test_invalid_text_becomes_a_replacement_character() -> None:
    """One for each lone surrogate, and for each invalid byte."""
    assert has_surrogates("a\udc00")
    assert encode_utf8("a\udc00b") == "a\ufffdb".encode()
    assert repair_utf8(b"a\xffb") == "a\ufffdb".encode()
