"""The effects of a command to a hub: messages to deliver and connections to close, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class DataType(StrEnum):
    """The type of a message's data; the values are those of the subprotocols' `dataType`."""

    TEXT = "text"
    JSON = "json"
    BINARY = "binary"
    PROTOBUF = "protobuf"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to clients.

    Attributes:
        data: The unchanged payload: UTF-8 for text and JSON, a serialized
            `google.protobuf.Any` for protobuf.
        group: The group it was sent to (`from: group`), or None (`from: server`).
        from_user: The sending user, or None when a REST call or an anonymous client sent it.
        ttl: The seconds after which it need not be delivered any more; 0 means never.
    """

    data: bytes
    data_type: DataType
    group: str | None = None
    from_user: str | None = None
    ttl: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)


class QueuedMessage(NamedTuple):
    """A message as it is stored for a client, or for several that number it alike.

    Attributes:
        expires_at: When it need not be delivered any more, in seconds of the event loop's clock;
            None means never.
        number: Its sequence number once it was sent to a reliable client.
    """

    message: Message
    expires_at: float | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message and the IDs of the connections to deliver it to."""

    connections: tuple[str, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class Close:
    """Connections to close, which the hub has already removed.

    Attributes:
        reason: The reason given by the caller; "" when there is none.
        users: Their users, in the same order: the hub cannot look them up any more.
    """

    connections: tuple[str, ...]
    reason: str
    users: tuple[str | None, ...] = field(default=(), compare=False)


Effect = Deliver | Close
