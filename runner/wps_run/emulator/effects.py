"""What comes of a command to a hub: messages to deliver and connections to close, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class DataType(StrEnum):
    """What a message holds; the values are those of the subprotocols' `dataType`."""

    TEXT = "text"
    JSON = "json"
    BINARY = "binary"
    PROTOBUF = "protobuf"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to clients.

    Attributes:
        data: The payload as it came: UTF-8 for text and JSON, a serialised
            `google.protobuf.Any` for protobuf.
        data_type: What it holds.
        group: The group it was sent to (`from: group`), or None (`from: server`).
        from_user: The user who sent it, or None when a REST call or an anonymous client did.
        ttl: Seconds after which it need not be delivered any more; 0 means never.
        metadata: Names and values that the sender gave it.
    """

    data: bytes
    data_type: DataType
    group: str | None = None
    from_user: str | None = None
    ttl: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message is to be given to these connections."""

    connections: tuple[str, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class Close:
    """These connections, which the hub has already forgotten, are to be closed.

    Attributes:
        connections: Their IDs.
        reason: Why, in the caller's words; "" when none was given.
        users: Whose they were, in their order, which nobody else knows any more.
    """

    connections: tuple[str, ...]
    reason: str
    users: tuple[str | None, ...] = field(default=(), compare=False)


Effect = Deliver | Close
