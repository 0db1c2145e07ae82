"""The subprotocols of WebSocket clients, the two modes of clients without one, and negotiation.

Source: the service's two modes of simple clients, whose frames are the payload of a message. In
both, a client that sends what it is not allowed to send is closed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.names import is_group_name
from wps_run.emulator.targets import Query
from wps_run.emulator.websocket.frames import (
    ClientRequest,
    SendEvent,
    SendGroupMessage,
    ServerResponse,
)
from wps_run.emulator.websocket.json_frames import JsonFrames
from wps_run.emulator.websocket.protobuf_frames import ProtobufFrames


class EncodedMessage(Protocol):
    """One message in a subprotocol's encoding, for any number of recipients."""

    @property
    def is_binary(self) -> bool:
        """Whether its frame is binary."""

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
        """Whether the frames of its responses are binary."""

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

    Returns:
        The subprotocol and its name as the client wrote it; None when none is supported: it is a
        simple client then.
    """
    for name in offered:
        subprotocol = SUBPROTOCOLS.get(name.lower())
        if subprotocol is not None:
            return subprotocol, name
    return None


# Simple clients.

_EVENT = "message"
"""The event that a frame causes in the mode `sendEvent`."""


class ModeError(ValueError):
    """The query selects no valid mode."""


_TEXT_TYPES = frozenset({DataType.TEXT, DataType.JSON})


@dataclass(frozen=True, slots=True)
class _Payload:
    data: bytes
    is_binary: bool

    def payload(self, sequence_id: int | None) -> bytes:  # noqa: ARG002 - never numbered
        return self.data


@dataclass(frozen=True, slots=True)
class SimpleFrames:
    """The codec of a simple client: a subprotocol without a name.

    Its messages are sent to the group, or are events without one; `no_echo` excludes the client.
    """

    group: str | None = None
    no_echo: bool = False
    name: str = ""
    is_reliable: bool = False
    is_binary: bool = False

    def decode(self, frame: str | bytes) -> ClientRequest:
        if isinstance(frame, str):
            data, data_type = frame.encode(), DataType.TEXT
        else:
            data, data_type = frame, DataType.BINARY
        if self.group is None:
            return SendEvent(_EVENT, data, data_type)
        return SendGroupMessage(self.group, data, data_type, no_echo=self.no_echo)

    def encode_response(self, response: ServerResponse) -> bytes:  # noqa: ARG002 - no responses
        return b""

    def encode_message(self, message: Message) -> _Payload:
        return _Payload(message.data, is_binary=message.data_type not in _TEXT_TYPES)


_EVENT_FRAMES = SimpleFrames()


def parse_mode(query: Query) -> SimpleFrames:
    """Return the codec for the mode of a connect request.

    Values are case-insensitive; the last one counts, and an empty one is the default.

    Raises:
        ModeError: There is no such mode, or no such group.
    """
    mode = _last(query, "webpubsub_mode").lower()
    if mode in {"", "sendevent"}:
        return _EVENT_FRAMES
    if mode != "sendtogroup":
        raise ModeError("`webpubsub_mode` must be `sendEvent` or `sendToGroup`")
    group = _last(query, "group")
    if not is_group_name(group):
        raise ModeError("the mode `sendToGroup` needs a valid group name in `group`")
    no_echo = _last(query, "noEcho").lower()
    if no_echo not in {"", "true", "false"}:
        raise ModeError("`noEcho` must be `true` or `false`")
    return SimpleFrames(group, no_echo == "true")


def _last(query: Query, name: str) -> str:
    return (query.all(name) or [""])[-1]
