"""The bytes of frames, and that they are made once."""

import pytest
from websockets.frames import Frame, Opcode

from runner.service.effects import DataType, Message
from runner.service.sockets.press import Press, whole_frame
from runner.service.sockets.simple import SimpleFrames
from runner.service.sockets.subprotocols import SUBPROTOCOLS

JSON = SUBPROTOCOLS["json.webpubsub.azure.v1"]
RELIABLE = SUBPROTOCOLS["json.reliable.webpubsub.azure.v1"]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 1_500_000])
@pytest.mark.parametrize("binary", [False, True])
def test_a_frame_is_what_another_library_makes(size: int, binary: bool) -> None:  # noqa: FBT001
    """At each boundary of the length's three forms."""
    opcode = Opcode.BINARY if binary else Opcode.TEXT

    frame = whole_frame(b"x" * size, binary=binary)

    assert frame == Frame(opcode, b"x" * size).serialize(mask=False)


def test_a_message_is_made_once_for_all_who_get_the_same_bytes() -> None:
    """And anew for each number, and for each message, be it equal or not."""
    press, message = Press(), Message(b"x", DataType.TEXT)

    first = press.frame(message, JSON, None)

    assert press.frame(message, JSON, None) is first
    assert b'"sequenceId":7}' in press.frame(message, RELIABLE, 7)
    assert b'"sequenceId":8}' in press.frame(message, RELIABLE, 8)
    assert press.frame(message, JSON, None) is first
    other = Message(b"y", DataType.TEXT)
    assert b'"y"' in press.frame(other, JSON, None)
    assert press.frame(message, JSON, None) == first


@pytest.mark.parametrize(
    ("data_type", "first"),
    [
        (DataType.TEXT, 0x81),
        (DataType.JSON, 0x81),
        (DataType.BINARY, 0x82),
        (DataType.PROTOBUF, 0x82),
    ],
)
def test_a_simple_client_gets_the_payload_itself(data_type: DataType, first: int) -> None:
    """Text and JSON as text."""
    frame = Press().frame(Message(b" {} ", data_type), SimpleFrames(), None)

    assert frame == bytes((first, 4)) + b" {} "
