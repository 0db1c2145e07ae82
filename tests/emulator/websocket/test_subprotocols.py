"""Negotiation, and what all subprotocols have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.targets import Query
from wps_run.emulator.websocket.frames import (
    ClientRequest,
    FrameError,
    Pong,
    SendEvent,
    SendGroupMessage,
)
from wps_run.emulator.websocket.subprotocols import (
    SUBPROTOCOLS,
    ModeError,
    SimpleFrames,
    negotiate,
    parse_mode,
)

NAMES = (
    "json.webpubsub.azure.v1",
    "json.reliable.webpubsub.azure.v1",
    "protobuf.webpubsub.azure.v1",
    "protobuf.reliable.webpubsub.azure.v1",
)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_known_by_its_name(name: str) -> None:
    """The name says which frames it has and whether messages are numbered."""
    subprotocol = SUBPROTOCOLS[name]

    assert subprotocol.name == name
    assert subprotocol.is_reliable == ("reliable" in name)
    assert subprotocol.is_binary == ("protobuf" in name)


def test_there_are_no_others() -> None:
    """MQTT and Socket.IO have endpoints of their own."""
    assert set(SUBPROTOCOLS) == set(NAMES)


@pytest.mark.parametrize(
    ("offered", "name"),
    [
        (["json.webpubsub.azure.v1"], "json.webpubsub.azure.v1"),
        (["mqtt", "protobuf.webpubsub.azure.v1"], "protobuf.webpubsub.azure.v1"),
        (["json.reliable.webpubsub.azure.v1", "json.webpubsub.azure.v1"], NAMES[1]),
        (["JSON.WebPubSub.Azure.V1"], "json.webpubsub.azure.v1"),
    ],
)
def test_the_first_supported_one_is_negotiated(offered: list[str], name: str) -> None:
    """Names are case-insensitive; the client's spelling is returned."""
    negotiated = negotiate(offered)

    assert negotiated is not None
    subprotocol, spelling = negotiated
    assert subprotocol is SUBPROTOCOLS[name]
    assert spelling in offered
    assert spelling.lower() == name


@pytest.mark.parametrize("offered", [[], ["mqtt"], ["json.webpubsub.azure.v2", ""]])
def test_a_client_that_offers_none_is_a_simple_client(offered: list[str]) -> None:
    """Nothing is negotiated."""
    assert negotiate(offered) is None


def decode(name: str, frame: str | bytes) -> ClientRequest | FrameError:
    """Return the request, or the error."""
    try:
        return SUBPROTOCOLS[name].decode(frame)
    except FrameError as error:
        return error


@pytest.mark.parametrize("name", NAMES)
@given(frame=st.one_of(st.text(), st.binary(), st.text(alphabet='{}[]":,tyenu0\\')))
def test_any_frame_is_a_request_or_an_error(name: str, frame: str | bytes) -> None:
    """An error has a valid close code, and a reason that fits a close frame."""
    right_kind = isinstance(frame, bytes) == SUBPROTOCOLS[name].is_binary
    result = decode(name, frame)

    if isinstance(result, FrameError):
        assert result.close_frame.code == (1007 if right_kind else 1003)
        assert 0 < len(result.close_frame.reason.encode()) <= 123
    else:
        assert right_kind


MESSAGES = st.builds(
    Message,
    st.binary(),
    st.sampled_from(DataType),
    group=st.none() | st.text(),
    from_user=st.none() | st.text(alphabet=st.characters()),
    metadata=st.dictionaries(st.text(), st.text()),
)


@pytest.mark.parametrize("name", NAMES)
@given(message=MESSAGES, number=st.integers(1, 2**64 - 1))
def test_any_message_can_be_encoded(name: str, message: Message, number: int) -> None:
    """With and without a number, in a frame of the subprotocol's type."""
    encoded = SUBPROTOCOLS[name].encode_message(message)

    assert encoded.is_binary == SUBPROTOCOLS[name].is_binary
    assert len(encoded.payload(number)) > len(encoded.payload(None))
    if not SUBPROTOCOLS[name].is_binary:
        assert encoded.payload(number).decode().endswith(f',"sequenceId":{number}}}')


@pytest.mark.parametrize(
    ("query", "codec"),
    [
        ("", SimpleFrames()),
        ("webpubsub_mode=sendEvent&group=&noEcho=x", SimpleFrames()),
        ("webpubsub_mode=", SimpleFrames()),
        ("webpubsub_mode=sendToGroup&group=g&noEcho=", SimpleFrames("g")),
        ("WEBPUBSUB_MODE=SendToGroup&Group=g", SimpleFrames("g")),
        ("webpubsub_mode=sendToGroup&group=a%2Fb&noecho=True", SimpleFrames("a/b", no_echo=True)),
        ("webpubsub_mode=x&webpubsub_mode=sendToGroup&group=x&group=y", SimpleFrames("y")),
        ("webpubsub_mode=sendToGroup&group=g&noEcho=true&noEcho=false", SimpleFrames("g")),
    ],
)
def test_modes(query: str, codec: SimpleFrames) -> None:
    """Case-insensitive; the last value counts."""
    assert parse_mode(Query(query)) == codec


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("webpubsub_mode=both", "sendToGroup"),
        ("webpubsub_mode=sendToGroup", "group"),
        ("webpubsub_mode=sendToGroup&group=" + "x" * 1025, "group"),
        ("webpubsub_mode=sendToGroup&group=g&noEcho=1", "noEcho"),
        ("webpubsub_mode=sendToGroup&group=g&group=", "group"),
    ],
)
def test_invalid_modes(query: str, word: str) -> None:
    """The error names the parameter."""
    with pytest.raises(ModeError, match=word):
        parse_mode(Query(query))


def test_frames() -> None:
    """A frame is an event or a message; there are no responses."""
    assert SimpleFrames().decode("é") == SendEvent("message", "é".encode(), DataType.TEXT)
    assert SimpleFrames("g", no_echo=True).decode(b"\xff") == SendGroupMessage(
        "g", b"\xff", DataType.BINARY, no_echo=True
    )
    assert SimpleFrames().encode_response(Pong()) == b""
