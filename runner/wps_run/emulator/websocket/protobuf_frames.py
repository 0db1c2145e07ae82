"""The subprotocols protobuf.webpubsub.azure.v1 and protobuf.reliable.webpubsub.azure.v1.

Source: the field numbers of the published webpubsub.client.proto. The rules for requests are those
of the JSON subprotocols. Fields are encoded in the order of their numbers, and omitted when they
have their default, as the official runtimes do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.json_text import JsonTextError, parse_json
from wps_run.emulator.protobuf_wire import (
    ANY,
    Fields,
    MessageLayout,
    WireError,
    encode_bytes,
    encode_number,
)
from wps_run.emulator.websocket import frames
from wps_run.emulator.websocket.frames import ClientRequest, FrameError

_UINT32 = 2**32

# UpstreamMessage.
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
    """A subprotocol with binary frames that hold one UpstreamMessage or DownstreamMessage each."""

    name: str
    is_reliable: bool
    is_binary: bool = True

    def decode(self, frame: str | bytes) -> ClientRequest:
        if isinstance(frame, str):
            raise FrameError(
                "This subprotocol takes binary frames.", frames.CloseCode.UNSUPPORTED_DATA
            )
        try:
            _UPSTREAM.check(frame)
            field, request = Fields(frame).one_of(_DECODERS, messages=_DECODERS)
            if not field:
                raise FrameError("The frame holds no known message.")
            return _DECODERS[field](Fields(request))
        except WireError as error:
            raise FrameError(str(error)) from None

    def encode_response(self, response: frames.ServerResponse) -> bytes:
        match response:
            case frames.Connected():
                return encode_bytes(_SYSTEM, encode_bytes(1, _connected(response)))
            case frames.Disconnected(message):
                return encode_bytes(_SYSTEM, encode_bytes(2, _string(2, message)))
            case frames.Ack():
                return encode_bytes(_ACK, _ack(response))
            case frames.Pong():
                return encode_bytes(_PONG)
            case unknown:
                assert_never(unknown)

    def encode_message(self, message: Message) -> "EncodedProtobufMessage":
        group = b"" if message.group is None else encode_bytes(2, frames.encode_utf8(message.group))
        head = encode_bytes(1, b"server" if message.group is None else b"group") + group
        field = _DATA_FIELDS[message.data_type]
        head += encode_bytes(3, encode_bytes(field, _payload(message)))
        tail = b"".join(encode_bytes(5, _entry(*pair)) for pair in message.metadata.items())
        return EncodedProtobufMessage(head, tail)


class EncodedProtobufMessage:
    """A DataMessage: the parts before and after its sequence number."""

    __slots__ = ("_head", "_tail")

    is_binary = True

    def __init__(self, head: bytes, tail: bytes) -> None:
        self._head = head
        self._tail = tail

    def payload(self, sequence_id: int | None) -> bytes:
        number = b"" if sequence_id is None else encode_number(4, sequence_id)
        return encode_bytes(_DATA, self._head, number, self._tail)


# Decoding.


def _send_to_group(fields: Fields) -> ClientRequest:
    ack_id = fields.number(2)
    if fields.message(7) is not None:
        return frames.Unsupported("stream", ack_id)
    group = frames.checked_group(fields.text(1))
    ttl = frames.checked_ttl((fields.number(5) or 0) % _UINT32)
    metadata = _metadata(fields, 6)
    data, data_type = _data(fields.message(3), metadata)
    return frames.SendGroupMessage(
        group, data, data_type, ack_id, bool(fields.number(4)), ttl, metadata
    )


def _send_event(fields: Fields) -> ClientRequest:
    ack_id = fields.number(3)
    if fields.message(5) is not None:
        return frames.Unsupported("stream", ack_id)
    event = frames.checked_event(fields.text(1))
    metadata = _metadata(fields, 4)
    data, data_type = _data(fields.message(2), metadata)
    return frames.SendEvent(event, data, data_type, ack_id, metadata)


_DECODERS: Mapping[int, Callable[[Fields], ClientRequest]] = {
    1: _send_to_group,
    5: _send_event,
    6: lambda fields: frames.JoinGroup(frames.checked_group(fields.text(1)), fields.number(2)),
    7: lambda fields: frames.LeaveGroup(frames.checked_group(fields.text(1)), fields.number(2)),
    8: lambda fields: frames.SequenceAck(fields.number(1) or 0),
    9: lambda _fields: frames.Ping(),
}
"""The decoder of each field of an UpstreamMessage."""


def _metadata(fields: Fields, field: int) -> dict[str, str]:
    """Return a map's entries; of those with the same name the last counts."""
    entries = [Fields(entry) for entry in fields.contents(field)]
    pairs = {entry.text(1): entry.text(2) for entry in entries}
    return frames.checked_metadata(pairs.items())


def _data(data: Fields | None, metadata: Mapping[str, str]) -> tuple[bytes, DataType]:
    """Return the data and its type; metadata without a MessageData is an empty text."""
    if data is None and metadata:
        return b"", DataType.TEXT
    field, payload = data.one_of(_DATA_TYPES, messages=_DATA_MESSAGES) if data else (0, b"")
    if not field:
        raise FrameError("The message has no data.")
    data_type = _DATA_TYPES[field]
    if data_type is DataType.JSON:
        try:  # JSON clients must be able to parse it
            parse_json(payload.decode())
        except JsonTextError:
            raise FrameError("The message's data is not JSON.") from None
    return payload, data_type


# Encoding.


def _connected(connected: frames.Connected) -> bytes:
    fields = _string(1, connected.connection_id) + _string(2, connected.user_id or "")
    if connected.reconnection_token is None:
        return fields
    return fields + encode_bytes(3, frames.encode_utf8(connected.reconnection_token))


def _ack(ack: frames.Ack) -> bytes:
    fields = encode_number(1, ack.ack_id) if ack.ack_id else b""
    if ack.error is None:
        return fields + encode_number(2, 1)
    error = _string(1, ack.error.name) + _string(2, ack.error.message)
    return fields + encode_bytes(3, error)


def _payload(message: Message) -> bytes:
    if message.data_type in (DataType.TEXT, DataType.JSON):
        return frames.repair_utf8(message.data)
    return message.data


def _entry(name: str, value: str) -> bytes:
    """Encode an entry of a map, which never omits a field."""
    return encode_bytes(1, frames.encode_utf8(name)) + encode_bytes(2, frames.encode_utf8(value))


def _string(field: int, value: str) -> bytes:
    return encode_bytes(field, frames.encode_utf8(value)) if value else b""
