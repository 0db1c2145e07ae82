"""The WebSocket subprotocols of the emulator, and how one is negotiated."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from wps_run.emulator.effects import Message
from wps_run.emulator.websocket.frames import ClientRequest, ServerResponse
from wps_run.emulator.websocket.json_frames import JsonFrames
from wps_run.emulator.websocket.protobuf_frames import ProtobufFrames


class EncodedMessage(Protocol):
    """One message in a subprotocol's encoding, for any number of recipients."""

    def payload(self, sequence_id: int | None) -> bytes:
        """Return the payload for one recipient; the number is None if it is not reliable."""


class Subprotocol(Protocol):
    """Decodes and encodes the frames of one subprotocol."""

    @property
    def name(self) -> str:
        """Its name, in lower case."""

    @property
    def is_reliable(self) -> bool:
        """Whether messages are numbered, and sent again after a reconnection."""

    @property
    def is_binary(self) -> bool:
        """Whether its frames are binary."""

    def decode(self, frame: str | bytes) -> ClientRequest:
        """Decode a client's frame. Raises FrameError."""

    def encode_response(self, response: ServerResponse) -> bytes:
        """Encode the payload of a response; empty if the subprotocol has no such response."""

    def encode_message(self, message: Message) -> EncodedMessage:
        """Encode a message once for all recipients with this subprotocol."""


_SUBPROTOCOLS: tuple[Subprotocol, ...] = (
    JsonFrames("json.webpubsub.azure.v1", is_reliable=False),
    JsonFrames("json.reliable.webpubsub.azure.v1", is_reliable=True),
    ProtobufFrames("protobuf.webpubsub.azure.v1", is_reliable=False),
    ProtobufFrames("protobuf.reliable.webpubsub.azure.v1", is_reliable=True),
)

SUBPROTOCOLS: Mapping[str, Subprotocol] = {
    subprotocol.name: subprotocol for subprotocol in _SUBPROTOCOLS
}
"""Each subprotocol by its name, in lower case."""


def negotiate(offered: Iterable[str]) -> tuple[Subprotocol, str] | None:
    """Choose the first supported subprotocol that a client offers.

    Args:
        offered: The names that the client offers, in its order.

    Returns:
        The subprotocol and its name as the client wrote it; None when none is supported: it is a
        simple client then.
    """
    for name in offered:
        subprotocol = SUBPROTOCOLS.get(name.lower())
        if subprotocol is not None:
            return subprotocol, name
    return None
