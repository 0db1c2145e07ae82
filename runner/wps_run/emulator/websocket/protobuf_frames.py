"""The subprotocols protobuf.webpubsub.azure.v1 and protobuf.reliable.webpubsub.azure.v1.

Source: the field numbers of the published webpubsub.client.proto; what is refused, and the
message without data but with metadata, are as in the JSON subprotocols. Fields are written in
the order of their numbers and left out when they hold their default, as the official runtimes do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.websocket import json_text, request_checks, utf8
from wps_run.emulator.websocket.frames import (
    Ack,
    CloseCode,
    Connected,
    Disconnected,
    FrameError,
    JoinGroup,
    LeaveGroup,
    Notice,
    Ping,
    Pong,
    Request,
    SendEvent,
    SendToGroup,
    SequenceAck,
    Unsupported,
)
from wps_run.emulator.websocket.protobuf_wire import ANY, Fields, MessageLayout, content, numbered

_UINT32 = 2**32

# What is known of an UpstreamMessage.
_PAIR = MessageLayout(texts=(1, 2))
_MESSAGE_DATA = MessageLayout(texts=(1, 4), messages={3: ANY})
_STREAM = MessageLayout(texts=(1,))
_GROUP = MessageLayout(texts=(1,))
_UPSTREAM = MessageLayout(
    messages={
        1: MessageLayout(texts=(1,), messages={3: _MESSAGE_DATA, 6: _PAIR, 7: _STREAM}),
        5: MessageLayout(texts=(1,), messages={2: _MESSAGE_DATA, 4: _PAIR, 5: _STREAM}),
        6: _GROUP,
        7: _GROUP,
        8: MessageLayout(),
        9: MessageLayout(),
    }
)

# DownstreamMessage.
_ACK, _DATA, _SYSTEM, _PONG = 1, 2, 3, 4

# MessageData.
_DATA_TYPES = {1: DataType.TEXT, 2: DataType.BINARY, 3: DataType.PROTOBUF, 4: DataType.JSON}
_DATA_FIELDS = {data_type: field for field, data_type in _DATA_TYPES.items()}
_DATA_MESSAGES = frozenset((_DATA_FIELDS[DataType.PROTOBUF],))


@dataclass(frozen=True, slots=True)
class ProtobufFrames:
    """Binary frames that hold one UpstreamMessage or DownstreamMessage each.

    Attributes:
        name: The subprotocol's name.
        reliable: Whether its messages are numbered.
        binary: Always.
    """

    name: str
    reliable: bool
    binary: bool = True

    def read(self, frame: str | bytes) -> Request:
        """What a client asks. Raises FrameError."""
        if isinstance(frame, str):
            raise FrameError("This subprotocol takes binary frames.", CloseCode.UNSUPPORTED_DATA)
        _UPSTREAM.check(frame)
        field, asked = Fields(frame).one_of(_READERS, messages=_READERS)
        if not field:
            raise FrameError("The frame holds no message that is known.")
        return _READERS[field](Fields(asked))

    def write(self, notice: Notice) -> bytes:
        """What the service says, as the payload of a frame."""
        match notice:
            case Connected():
                return content(_SYSTEM, content(1, _connected(notice)))
            case Disconnected(message):
                return content(_SYSTEM, content(2, _string(2, message)))
            case Ack():
                return content(_ACK, _ack(notice))
            case Pong():
                return content(_PONG)
            case unknown:
                assert_never(unknown)

    def encode(self, message: Message) -> "ProtobufEncoded":
        """A message, once for all receivers."""
        group = b"" if message.group is None else content(2, utf8.encode(message.group))
        head = content(1, b"server" if message.group is None else b"group") + group
        field = _DATA_FIELDS[message.data_type]
        head += content(3, content(field, _payload(message)))
        tail = b"".join(content(5, _entry(*pair)) for pair in message.metadata.items())
        return ProtobufEncoded(head, tail)


class ProtobufEncoded:
    """A DataMessage as what stands before its sequence number, what stands after, and both."""

    __slots__ = ("_head", "_tail", "_whole")

    def __init__(self, head: bytes, tail: bytes) -> None:
        self._head = head
        self._tail = tail
        self._whole = content(_DATA, head, tail)

    def frame(self, sequence_id: int | None) -> bytes:
        """The payload for one receiver."""
        if sequence_id is None:
            return self._whole
        return content(_DATA, self._head, numbered(4, sequence_id), self._tail)


# Reading.


def _join_group(fields: Fields) -> Request:
    return JoinGroup(request_checks.group(fields.text(1)), fields.number(2))


def _leave_group(fields: Fields) -> Request:
    return LeaveGroup(request_checks.group(fields.text(1)), fields.number(2))


def _send_to_group(fields: Fields) -> Request:
    ack_id = fields.number(2)
    if fields.message(7) is not None:
        return Unsupported("stream", ack_id)
    group = request_checks.group(fields.text(1))
    ttl = request_checks.ttl((fields.number(5) or 0) % _UINT32)
    metadata = _metadata(fields, 6)
    data, data_type = _data(fields.message(3), metadata)
    return SendToGroup(group, data, data_type, ack_id, bool(fields.number(4)), ttl, metadata)


def _send_event(fields: Fields) -> Request:
    ack_id = fields.number(3)
    if fields.message(5) is not None:
        return Unsupported("stream", ack_id)
    event = request_checks.event(fields.text(1))
    data, data_type = _data(fields.message(2), _metadata(fields, 4))
    return SendEvent(event, data, data_type, ack_id)


def _sequence_ack(fields: Fields) -> Request:
    return SequenceAck(fields.number(1) or 0)


def _ping(_fields: Fields) -> Request:
    return Ping()


_READERS = {
    1: _send_to_group,
    5: _send_event,
    6: _join_group,
    7: _leave_group,
    8: _sequence_ack,
    9: _ping,
}
"""How each field of an UpstreamMessage is read."""


def _metadata(fields: Fields, field: int) -> dict[str, str]:
    """A map's entries; of those with the same name the last counts, as in any protobuf map."""
    entries = [Fields(entry) for entry in fields.contents(field)]
    pairs = {entry.text(1): entry.text(2) for entry in entries}
    return request_checks.metadata(pairs.items())


def _data(data: Fields | None, metadata: Mapping[str, str]) -> tuple[bytes, DataType]:
    """The data and what it is; metadata alone makes an empty text."""
    field, payload = data.one_of(_DATA_TYPES, messages=_DATA_MESSAGES) if data else (0, b"")
    if not field and not metadata:
        raise FrameError("The message has no data.")
    data_type = _DATA_TYPES.get(field, DataType.TEXT)
    if data_type is DataType.JSON:
        _check_json(payload)
    return payload, data_type


def _check_json(payload: bytes) -> None:
    """Clients of the JSON subprotocols are to read it too."""
    try:
        json_text.check(payload.decode())
    except json_text.JsonTextError:
        raise FrameError("The message's data is not JSON.") from None


# Writing.


def _connected(notice: Connected) -> bytes:
    written = _string(1, notice.connection_id) + _string(2, notice.user_id or "")
    if notice.reconnection_token is None:
        return written
    return written + content(3, utf8.encode(notice.reconnection_token))


def _ack(notice: Ack) -> bytes:
    written = numbered(1, notice.ack_id) if notice.ack_id else b""
    if notice.error is None:
        return written + numbered(2, 1)
    return written + content(3, _string(1, notice.error.name), _string(2, notice.error.message))


def _payload(message: Message) -> bytes:
    if message.data_type in (DataType.TEXT, DataType.JSON):
        return utf8.repair(message.data)
    return message.data


def _entry(name: str, value: str) -> bytes:
    """An entry of a map, in which nothing is left out."""
    return content(1, utf8.encode(name)) + content(2, utf8.encode(value))


def _string(field: int, value: str) -> bytes:
    return content(field, utf8.encode(value)) if value else b""
