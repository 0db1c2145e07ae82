"""The WebSocket subprotocols the service speaks, and which of those offered it takes."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from wps_run.emulator.effects import Message
from wps_run.emulator.websocket.frames import Notice, Request
from wps_run.emulator.websocket.json_frames import JsonFrames
from wps_run.emulator.websocket.protobuf_frames import ProtobufFrames


class Encoded(Protocol):
    """One message in a subprotocol's form, ready for any number of receivers."""

    def frame(self, sequence_id: int | None) -> bytes:
        """The payload for one receiver; the number is None when its subprotocol is not reliable."""


class Subprotocol(Protocol):
    """How the frames of one subprotocol are read and written."""

    @property
    def name(self) -> str:
        """Its name, in lower case."""

    @property
    def reliable(self) -> bool:
        """Whether messages are numbered and may be asked for again."""

    @property
    def binary(self) -> bool:
        """Whether its frames are binary."""

    def read(self, frame: str | bytes) -> Request:
        """What a client asks. Raises FrameError."""

    def write(self, notice: Notice) -> bytes:
        """What the service says, as the payload of a frame."""

    def encode(self, message: Message) -> Encoded:
        """A message, once for all receivers whose subprotocol has the same `binary`."""


_SPOKEN: tuple[Subprotocol, ...] = (
    JsonFrames("json.webpubsub.azure.v1", reliable=False),
    JsonFrames("json.reliable.webpubsub.azure.v1", reliable=True),
    ProtobufFrames("protobuf.webpubsub.azure.v1", reliable=False),
    ProtobufFrames("protobuf.reliable.webpubsub.azure.v1", reliable=True),
)

SUBPROTOCOLS: Mapping[str, Subprotocol] = {one.name: one for one in _SPOKEN}
"""Each subprotocol by its name, in lower case."""


def choose(offered: Iterable[str]) -> tuple[Subprotocol, str] | None:
    """The first subprotocol offered that the service speaks, and how the client spelt it.

    Args:
        offered: What the client offers, in its order.

    Returns:
        None when it offers none that is spoken here: it is a simple client then.
    """
    for name in offered:
        subprotocol = SUBPROTOCOLS.get(name.lower())
        if subprotocol is not None:
            return subprotocol, name
    return None
