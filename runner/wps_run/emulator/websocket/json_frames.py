"""The subprotocols json.webpubsub.azure.v1 and json.reliable.webpubsub.azure.v1.

Source: the client protocol's specification; the order of keys and which may be absent are those of
the service's own emulator. Frames are compact; JSON data is passed on unchanged.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.json_text import (
    JsonObject,
    JsonTextError,
    Member,
    parse_members,
)
from wps_run.emulator.protobuf_wire import ANY, WireError
from wps_run.emulator.websocket import frames
from wps_run.emulator.websocket.frames import ClientRequest, FrameError

_UINT64 = 2**64

_NUMBER = re.compile(r"[0-9]{1,20}")

_WHITESPACE = re.compile(r"[ \t\n\r]+")
"""What .NET ignores in base64."""

_DATA_TYPES = {str(data_type): data_type for data_type in DataType}

_UNSUPPORTED = {
    kind.lower(): kind
    for kind in (
        "streamData",
        "streamEnd",
        "streamAck",
        "streamNack",
        "streamClosed",
        "invoke",
        "invokeResponse",
        "cancelInvocation",
        "setGroupState",
        "subscribeGroupState",
        "unsubscribeGroupState",
    )
}

_Members = Mapping[str, Member]


@dataclass(frozen=True, slots=True)
class JsonFrames:
    """A subprotocol with text frames that hold one JSON object each."""

    name: str
    is_reliable: bool
    is_binary: bool = False

    def decode(self, frame: str | bytes) -> ClientRequest:
        if isinstance(frame, bytes):
            raise FrameError(
                "This subprotocol takes text frames.", frames.CloseCode.UNSUPPORTED_DATA
            )
        try:
            return _request(parse_members(frame))
        except JsonTextError:
            raise FrameError("The frame is not a JSON object.") from None

    def encode_response(self, response: frames.ServerResponse) -> bytes:
        return frames.encode_utf8(_compact(_response(response)))

    def encode_message(self, message: Message) -> "EncodedJsonMessage":
        head, tail = frames.encode_utf8(_head(message)), frames.encode_utf8(_tail(message))
        return EncodedJsonMessage(head + _data(message) + tail)


class EncodedJsonMessage:
    """A message as a JSON object without its closing brace."""

    __slots__ = ("_unclosed",)

    is_binary = False

    def __init__(self, unclosed: bytes) -> None:
        self._unclosed = unclosed

    def payload(self, sequence_id: int | None) -> bytes:
        if sequence_id is None:
            return self._unclosed + b"}"
        return b'%b,"sequenceId":%d}' % (self._unclosed, sequence_id)


# Decoding.


def _request(members: _Members) -> ClientRequest:
    kind = _text(members, "type").lower()
    ack_id = _number(members, "ackId")
    decode = _DECODERS.get(kind)
    if decode is not None:
        return decode(members, ack_id)
    if kind in _UNSUPPORTED:
        return frames.Unsupported(_UNSUPPORTED[kind], ack_id)
    raise FrameError("The frame's type is unknown.")


def _send_to_group(members: _Members, ack_id: int | None) -> ClientRequest:
    if "stream" in members:
        return frames.Unsupported("stream", ack_id)
    group = _group(members)
    metadata = _metadata(members)
    data, data_type = _payload(members)
    ttl = frames.checked_ttl(_number(members, "ttlSeconds") or 0)
    return frames.SendGroupMessage(
        group, data, data_type, ack_id, _flag(members, "noEcho"), ttl, metadata
    )


def _send_event(members: _Members, ack_id: int | None) -> ClientRequest:
    if "stream" in members:
        return frames.Unsupported("stream", ack_id)
    event = frames.checked_event(_text(members, "event"))
    metadata = _metadata(members)
    data, data_type = _payload(members)
    return frames.SendEvent(event, data, data_type, ack_id, metadata)


def _sequence_ack(members: _Members, _ack_id: int | None) -> ClientRequest:
    number = _number(members, "sequenceId")
    if number is None:
        raise FrameError("`sequenceId` is missing.")
    return frames.SequenceAck(number)


_DECODERS: Mapping[str, Callable[[_Members, int | None], ClientRequest]] = {
    "joingroup": lambda members, ack_id: frames.JoinGroup(_group(members), ack_id),
    "leavegroup": lambda members, ack_id: frames.LeaveGroup(_group(members), ack_id),
    "sendtogroup": _send_to_group,
    "event": _send_event,
    "ping": lambda _members, _ack_id: frames.Ping(),
    "sequenceack": _sequence_ack,
}


def _group(members: _Members) -> str:
    return frames.checked_group(_text(members, "group"))


def _payload(members: _Members) -> tuple[bytes, DataType]:
    """Return the data and its type; metadata without data, even empty, is an empty text."""
    data = members.get("data")
    if data is None:
        metadata = members.get("metadata")
        if metadata is not None and metadata.value is not None:
            return b"", DataType.TEXT
        raise FrameError("`data` is missing.")
    name = _text(members, "dataType") if "dataType" in members else DataType.JSON
    match _DATA_TYPES.get(name.lower()):
        case DataType.JSON:
            return _json(data), DataType.JSON
        case DataType.TEXT:
            return _string(data, "data").encode(), DataType.TEXT
        case DataType.BINARY:
            return _base64(data), DataType.BINARY
        case DataType.PROTOBUF:
            return _any(data), DataType.PROTOBUF
        case None:
            raise FrameError("`dataType` is not json, text, binary or protobuf.")


def _json(data: Member) -> bytes:
    if data.value is None:
        raise FrameError("`data` is null.")
    return frames.encode_utf8(data.raw)


def _base64(data: Member) -> bytes:
    try:
        return base64.b64decode(_WHITESPACE.sub("", _string(data, "data")), validate=True)
    except ValueError:
        raise FrameError("`data` is not base64.") from None


def _any(data: Member) -> bytes:
    """Decode a serialized Any, and check it: protobuf clients must be able to parse it."""
    serialized = _base64(data)
    try:
        ANY.check(serialized)
    except WireError as error:
        raise FrameError(str(error)) from None
    return serialized


def _metadata(members: _Members) -> dict[str, str]:
    member = members.get("metadata")
    if member is None or member.value is None:
        return {}
    if not isinstance(member.value, JsonObject):
        raise FrameError("`metadata` is not an object.")
    return frames.checked_metadata(_pair(name, value) for name, value in member.value)


def _pair(name: str, value: object) -> tuple[str, str]:
    if not isinstance(value, str):
        raise FrameError("A value of `metadata` is not a string.")
    return name, value


def _text(members: _Members, name: str) -> str:
    member = members.get(name)
    if member is None:
        raise FrameError(f"`{name}` is missing.")
    return _string(member, name)


def _string(member: Member, name: str) -> str:
    if not isinstance(member.value, str):
        raise FrameError(f"`{name}` is not a string.")
    if frames.has_surrogates(member.value):
        raise FrameError(f"`{name}` has a lone surrogate.")
    return member.value


def _number(members: _Members, name: str) -> int | None:
    """Return an unsigned 64-bit number, or None when it is missing or null."""
    member = members.get(name)
    if member is None or member.value is None:
        return None
    if not _NUMBER.fullmatch(member.raw) or int(member.raw) >= _UINT64:
        raise FrameError(f"`{name}` is not an unsigned 64-bit integer.")
    return int(member.raw)


def _flag(members: _Members, name: str) -> bool:
    member = members.get(name)
    if member is None:
        return False
    if not isinstance(member.value, bool):
        raise FrameError(f"`{name}` is not a boolean.")
    return member.value


# Encoding.


def _response(response: frames.ServerResponse) -> dict[str, object]:
    match response:
        case frames.Connected():
            return _connected(response)
        case frames.Disconnected(message):
            return {"type": "system", "event": "disconnected", "message": message}
        case frames.Ack(ack_id, error):
            ack: dict[str, object] = {"type": "ack", "ackId": ack_id, "success": error is None}
            if error is not None:
                ack["error"] = {"name": str(error.name), "message": error.message}
            return ack
        case frames.Pong():
            return {"type": "pong"}


def _connected(connected: frames.Connected) -> dict[str, object]:
    fields: dict[str, object] = {
        "type": "system",
        "event": "connected",
        "userId": connected.user_id,
        "connectionId": connected.connection_id,
    }
    if connected.reconnection_token is not None:
        fields["reconnectionToken"] = connected.reconnection_token
    return fields


def _head(message: Message) -> str:
    """Return a message up to its data."""
    fields: dict[str, object] = {"type": "message", "from": "server"}
    if message.group is not None:
        fields |= {"from": "group", "group": message.group, "fromUserId": message.from_user}
    fields["dataType"] = str(message.data_type)
    return f'{_compact(fields)[:-1]},"data":'


def _data(message: Message) -> bytes:
    match message.data_type:
        case DataType.JSON:
            return frames.repair_utf8(message.data)
        case DataType.TEXT:
            return _compact(message.data.decode("utf-8", "replace")).encode()
        case DataType.BINARY | DataType.PROTOBUF:
            return b'"' + base64.b64encode(message.data) + b'"'
        case unknown:
            assert_never(unknown)


def _tail(message: Message) -> str:
    """Return what comes between the data and the sequence number."""
    return f',"metadata":{_compact(dict(message.metadata))}' if message.metadata else ""


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
