"""The frames of the subprotocols as values: client requests, server responses, close frames.

Also the checks that every subprotocol makes, whatever its encoding; each failure closes the
connection with 1007. Source: the client protocols json.webpubsub.azure.v1 and
protobuf.webpubsub.azure.v1, and the service's own emulator.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from wps_run.emulator.effects import DataType
from wps_run.emulator.names import (
    TTL_LIMIT,
    MetadataError,
    is_event_name,
    is_group_name,
    read_metadata,
)

_SURROGATE = re.compile("[\ud800-\udfff]")


class CloseCode(IntEnum):
    """Why a connection is closed: status codes of RFC 6455, section 7.4.1."""

    NORMAL = 1000
    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    INTERNAL_ERROR = 1011


@dataclass(frozen=True, slots=True)
class CloseFrame:
    """A close frame, sent or received; the reason takes at most 123 bytes."""

    code: int
    reason: str = ""


class FrameError(Exception):
    """A frame that the subprotocol forbids: the connection must be closed.

    Attributes:
        close_frame: How to close it. (Frames that are too big are refused before they are read.)
    """

    def __init__(self, reason: str, code: CloseCode = CloseCode.INVALID_DATA) -> None:
        super().__init__(reason)
        self.close_frame = CloseFrame(code, reason)


# Client requests. An `ack_id` of None means that no ack is expected.


@dataclass(frozen=True, slots=True)
class JoinGroup:
    """Join a group."""

    group: str
    ack_id: int | None = None


@dataclass(frozen=True, slots=True)
class LeaveGroup:
    """Leave a group."""

    group: str
    ack_id: int | None = None


@dataclass(frozen=True, slots=True)
class SendGroupMessage:
    """Send a message to a group.

    Attributes:
        group: The group; the sender need not be a member.
        data: The payload: UTF-8 for text; for JSON the value exactly as the client sent it.
        no_echo: Whether the sender, if a member, does not receive the message.
        ttl: Seconds after which the message expires, 0 to 300; 0 means never.
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
    """Send a custom event to the hub's event handler."""

    event: str
    data: bytes
    data_type: DataType
    ack_id: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ping:
    """Request a pong."""


@dataclass(frozen=True, slots=True)
class SequenceAck:
    """Acknowledge every message up to a sequence number."""

    sequence_id: int


@dataclass(frozen=True, slots=True)
class Unsupported:
    """Request a feature that the emulator does not have: streams, invocations, group state."""

    kind: str  # the feature's name in the subprotocol
    ack_id: int | None = None


ClientRequest = (
    JoinGroup | LeaveGroup | SendGroupMessage | SendEvent | Ping | SequenceAck | Unsupported
)
"""The content of one frame of a client."""


# Server responses: everything but messages.


class AckErrorName(StrEnum):
    """Why a request was not carried out."""

    BAD_REQUEST = "BadRequest"
    DUPLICATE = "Duplicate"
    FORBIDDEN = "Forbidden"
    INTERNAL_SERVER_ERROR = "InternalServerError"


@dataclass(frozen=True, slots=True)
class AckError:
    """The error of a request."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Ack:
    """The response to the request with this number; it was carried out unless there is an error."""

    ack_id: int
    error: AckError | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """The first frame to a client; only reliable subprotocols have a token."""

    connection_id: str
    user_id: str | None = None
    reconnection_token: str | None = None


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The last frame before the server closes a connection."""

    message: str


@dataclass(frozen=True, slots=True)
class Pong:
    """The response to a ping."""


ServerResponse = Connected | Disconnected | Ack | Pong
"""The content of one frame to a client that is no message."""


# Checks of what a client requests.


def checked_group(name: str) -> str:
    """Return a group's name. Raises FrameError if it is invalid."""
    if not is_group_name(name):
        raise FrameError("The group's name is missing or invalid.")
    return name


def checked_event(name: str) -> str:
    """Return an event's name. Raises FrameError if it is invalid."""
    if not is_event_name(name):
        raise FrameError("The event's name is missing or invalid.")
    return name


def checked_ttl(seconds: int) -> int:
    """Return a message's time to live. Raises FrameError if it is out of range."""
    if not 0 <= seconds <= TTL_LIMIT:
        raise FrameError(f"The time to live is not in 0 to {TTL_LIMIT} seconds.")
    return seconds


def checked_metadata(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the metadata of these names and values. Raises FrameError if they are invalid."""
    try:
        return read_metadata(pairs)
    except MetadataError as error:
        raise FrameError(str(error)) from None


# Text that is fit for a frame: UTF-8 without lone surrogates, which JSON escapes can produce.


def has_surrogates(text: str) -> bool:
    """Whether a text has a lone surrogate."""
    return _SURROGATE.search(text) is not None


def encode_utf8(text: str) -> bytes:
    """Encode a text; lone surrogates become U+FFFD."""
    return _SURROGATE.sub("\ufffd", text).encode()


def repair_utf8(data: bytes) -> bytes:
    """Return the bytes as valid UTF-8; invalid ones become U+FFFD."""
    return data.decode("utf-8", "replace").encode()
