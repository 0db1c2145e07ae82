"""What a client asks over its WebSocket and what the service answers, as values.

Source: the client protocols json.webpubsub.azure.v1 and protobuf.webpubsub.azure.v1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from wps_run.emulator.effects import DataType


class CloseCode(IntEnum):
    """Why a frame ends the connection: the status codes of RFC 6455, section 7.4.1."""

    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007


class FrameError(Exception):
    """A frame that the subprotocol forbids: the connection is to be closed.

    Attributes:
        code: The code to close with. (What is too big never gets so far as to be read.)
        reason: What was wrong, in words that fit a close frame's 123 bytes.
    """

    def __init__(self, reason: str, code: CloseCode = CloseCode.INVALID_DATA) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


# What a client asks. An `ack_id` of None means that it wants no answer.


@dataclass(frozen=True, slots=True)
class JoinGroup:
    """To become a member of a group."""

    group: str
    ack_id: int | None = None


@dataclass(frozen=True, slots=True)
class LeaveGroup:
    """To be a member no more."""

    group: str
    ack_id: int | None = None


@dataclass(frozen=True, slots=True)
class SendToGroup:
    """To send a message to a group.

    Attributes:
        group: The group, whether or not the sender is in it.
        data: The payload: UTF-8 for text; for JSON the value just as the client wrote it.
        data_type: What it holds.
        ack_id: The number to answer under, or None.
        no_echo: Whether the sender, if a member, is spared its own message.
        ttl: Seconds after which it need not be delivered any more, 0 to 300; 0 means never.
        metadata: Names and values for the receivers.
    """

    group: str
    data: bytes
    data_type: DataType
    ack_id: int | None = None
    no_echo: bool = False
    ttl: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendEvent:
    """To send a custom event to the hub's event handler."""

    event: str
    data: bytes
    data_type: DataType
    ack_id: int | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """To hear a pong."""


@dataclass(frozen=True, slots=True)
class SequenceAck:
    """To confirm every message up to a number."""

    sequence_id: int


@dataclass(frozen=True, slots=True)
class Unsupported:
    """To have something that this service does not do: streams, invocations, group state.

    Attributes:
        kind: What, as the subprotocol calls it.
        ack_id: The number to answer under, or None.
    """

    kind: str
    ack_id: int | None = None


Request = JoinGroup | LeaveGroup | SendToGroup | SendEvent | Ping | SequenceAck | Unsupported
"""Whatever one frame of a client asks."""


# What the service says, besides messages.


class AckName(StrEnum):
    """Why a request was not carried out."""

    BAD_REQUEST = "BadRequest"
    DUPLICATE = "Duplicate"
    FORBIDDEN = "Forbidden"
    INTERNAL_SERVER_ERROR = "InternalServerError"


@dataclass(frozen=True, slots=True)
class AckError:
    """What went wrong with a request."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Ack:
    """The answer to the request with this number; without an error it was carried out."""

    ack_id: int
    error: AckError | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """The first frame to a client; the token is for reliable subprotocols only."""

    connection_id: str
    user_id: str | None = None
    reconnection_token: str | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The last frame before the service closes a connection, in words."""

    message: str


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to a ping."""


Notice = Connected | Disconnected | Ack | Pong
"""Whatever the service says to one client, besides messages."""
