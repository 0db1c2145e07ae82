"""The bytes of frames, and that they are encoded once."""

import pytest
from websockets.frames import Frame, Opcode

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.websocket.frame_encoder import FrameEncoder, encode_frame
from wps_run.emulator.websocket.subprotocols import SUBPROTOCOLS, SimpleFrames

JSON = SUBPROTOCOLS["json.webpubsub.azure.v1"]
RELIABLE = SUBPROTOCOLS["json.reliable.webpubsub.azure.v1"]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 1_500_000])
@pytest.mark.parametrize("is_binary", [False, True])
def test_a_frame_is_what_another_library_makes(size: int, is_binary: bool) -> None:  # noqa: FBT001
    """At each boundary of the length's three forms."""
    opcode = Opcode.BINARY if is_binary else Opcode.TEXT

    frame = encode_frame(b"x" * size, is_binary=is_binary)

    assert frame == Frame(opcode, b"x" * size).serialize(mask=False)


def test_a_message_is_numbered_for_each_client() -> None:
    """Clients with the same number get the same frame."""
    encoder, message = FrameEncoder(RELIABLE), Message(b"x", DataType.TEXT)

    assert b'"x","sequenceId":7}' in encoder.encode(message, 7)
    assert encoder.encode(message, 7) is encoder.encode(message, 7)
    assert b'"x","sequenceId":10}' in encoder.encode(message, 10)
    assert b'"y","sequenceId":11}' in encoder.encode(Message(b"y", DataType.TEXT), 11)
    assert b'"x","sequenceId":12}' in encoder.encode(message, 12)


def test_a_message_without_number() -> None:
    """For a client that is not reliable."""
    frame = FrameEncoder(JSON).encode(Message(b"x", DataType.TEXT), None)

    assert frame.endswith(b'"data":"x"}')


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
    frame = FrameEncoder(SimpleFrames()).encode(Message(b" {} ", data_type), None)

    assert frame == bytes((first, 4)) + b" {} "
