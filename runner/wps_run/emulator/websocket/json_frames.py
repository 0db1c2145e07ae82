"""The subprotocols json.webpubsub.azure.v1 and json.reliable.webpubsub.azure.v1.

Source: the client protocol's specification; the order of keys and what may be left out are the
emulator's. Frames are compact; JSON data passes through just as its sender wrote it.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.websocket import json_text, protobuf_wire, request_checks, utf8
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
from wps_run.emulator.websocket.json_text import Member

_UINT64 = 2**64

_NUMBER = re.compile(r"[0-9]{1,20}")

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
    """Text frames that hold one JSON object each.

    Attributes:
        name: The subprotocol's name.
        reliable: Whether its messages are numbered.
        binary: Never.
    """

    name: str
    reliable: bool
    binary: bool = False

    def read(self, frame: str | bytes) -> Request:
        """What a client asks. Raises FrameError."""
        if isinstance(frame, bytes):
            raise FrameError("This subprotocol takes text frames.", CloseCode.UNSUPPORTED_DATA)
        try:
            return _request(json_text.members(frame))
        except json_text.JsonTextError:
            raise FrameError("The frame is not a JSON object.") from None

    def write(self, notice: Notice) -> bytes:
        """What the service says, as the payload of a frame."""
        return utf8.encode(_compact(_notice(notice)))

    def encode(self, message: Message) -> "JsonEncoded":
        """A message, once for all receivers."""
        return JsonEncoded(
            utf8.encode(_head(message)) + _data(message) + utf8.encode(_tail(message))
        )


class JsonEncoded:
    """A message as an object without its closing brace, and as a whole."""

    __slots__ = ("_open", "_whole")

    def __init__(self, unclosed: bytes) -> None:
        self._open = unclosed
        self._whole = unclosed + b"}"

    def frame(self, sequence_id: int | None) -> bytes:
        """The payload for one receiver."""
        if sequence_id is None:
            return self._whole
        return b'%b,"sequenceId":%d}' % (self._open, sequence_id)


# Reading.


def _request(members: _Members) -> Request:
    kind = _text(members, "type").lower()
    ack_id = _number(members, "ackId")
    read = _READERS.get(kind)
    if read is not None:
        return read(members, ack_id)
    if kind in _UNSUPPORTED:
        return Unsupported(_UNSUPPORTED[kind], ack_id)
    raise FrameError("The frame's type is unknown.")


def _join_group(members: _Members, ack_id: int | None) -> Request:
    return JoinGroup(_group(members), ack_id)


def _leave_group(members: _Members, ack_id: int | None) -> Request:
    return LeaveGroup(_group(members), ack_id)


def _send_to_group(members: _Members, ack_id: int | None) -> Request:
    if "stream" in members:
        return Unsupported("stream", ack_id)
    group = _group(members)
    metadata = _metadata(members)
    data, data_type = _payload(members, metadata)
    ttl = request_checks.ttl(_number(members, "ttlSeconds") or 0)
    return SendToGroup(group, data, data_type, ack_id, _flag(members, "noEcho"), ttl, metadata)


def _send_event(members: _Members, ack_id: int | None) -> Request:
    if "stream" in members:
        return Unsupported("stream", ack_id)
    event = request_checks.event(_text(members, "event"))
    data, data_type = _payload(members, _metadata(members))
    return SendEvent(event, data, data_type, ack_id)


def _ping(_members: _Members, _ack_id: int | None) -> Request:
    return Ping()


def _sequence_ack(members: _Members, _ack_id: int | None) -> Request:
    number = _number(members, "sequenceId")
    if number is None:
        raise FrameError("`sequenceId` is missing.")
    return SequenceAck(number)


_READERS = {
    "joingroup": _join_group,
    "leavegroup": _leave_group,
    "sendtogroup": _send_to_group,
    "event": _send_event,
    "ping": _ping,
    "sequenceack": _sequence_ack,
}


def _group(members: _Members) -> str:
    return request_checks.group(_text(members, "group"))


def _payload(members: _Members, metadata: Mapping[str, str]) -> tuple[bytes, DataType]:
    """The data and what it is; metadata alone makes an empty text."""
    data = members.get("data")
    if data is None:
        if metadata:
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
            raise FrameError("`dataType` is none of json, text, binary and protobuf.")


def _json(data: Member) -> bytes:
    if data.value is None:
        raise FrameError("`data` is null.")
    return utf8.encode(data.raw)


def _base64(data: Member) -> bytes:
    try:
        return base64.b64decode(_string(data, "data"), validate=True)
    except ValueError:
        raise FrameError("`data` is not base64.") from None


def _any(data: Member) -> bytes:
    """Clients of the protobuf subprotocols are to read it too."""
    serialised = _base64(data)
    protobuf_wire.ANY.check(serialised)
    return serialised


def _metadata(members: _Members) -> dict[str, str]:
    member = members.get("metadata")
    if member is None or member.value is None:
        return {}
    if not isinstance(member.value, json_text.Object):
        raise FrameError("`metadata` is no object.")
    return request_checks.metadata(_pair(name, value) for name, value in member.value)


def _pair(name: str, value: object) -> tuple[str, str]:
    if not isinstance(value, str):
        raise FrameError("A value of `metadata` is no string.")
    return name, value


def _text(members: _Members, name: str) -> str:
    """A text that must be there, and that can be sent on."""
    member = members.get(name)
    if member is None:
        raise FrameError(f"`{name}` is missing.")
    return _string(member, name)


def _string(member: Member, name: str) -> str:
    if not isinstance(member.value, str):
        raise FrameError(f"`{name}` is no string.")
    if not utf8.is_whole(member.value):
        raise FrameError(f"`{name}` has half of a surrogate pair.")
    return member.value


def _number(members: _Members, name: str) -> int | None:
    """An unsigned 64-bit number, or None when it is not there or null."""
    member = members.get(name)
    if member is None or member.value is None:
        return None
    if not _NUMBER.fullmatch(member.raw) or int(member.raw) >= _UINT64:
        raise FrameError(f"`{name}` is no whole number of 64 bits.")
    return int(member.raw)


def _flag(members: _Members, name: str) -> bool:
    member = members.get(name)
    if member is None:
        return False
    if not isinstance(member.value, bool):
        raise FrameError(f"`{name}` is neither true nor false.")
    return member.value


# Writing.


def _notice(notice: Notice) -> dict[str, object]:
    match notice:
        case Connected():
            return _connected(notice)
        case Disconnected(message):
            return {"type": "system", "event": "disconnected", "message": message}
        case Ack(ack_id, error):
            told = {"type": "ack", "ackId": ack_id, "success": error is None}
            named = error and {"name": str(error.name), "message": error.message}
            return told | {"error": named} if named else told
        case Pong():
            return {"type": "pong"}


def _connected(notice: Connected) -> dict[str, object]:
    told: dict[str, object] = {
        "type": "system",
        "event": "connected",
        "userId": notice.user_id,
        "connectionId": notice.connection_id,
    }
    if notice.reconnection_token is not None:
        told["reconnectionToken"] = notice.reconnection_token
    return told


def _head(message: Message) -> str:
    """A message up to its data."""
    told: dict[str, object] = {"type": "message", "from": "server"}
    if message.group is not None:
        told |= {"from": "group", "group": message.group, "fromUserId": message.from_user}
    told["dataType"] = str(message.data_type)
    return f'{_compact(told)[:-1]},"data":'


def _data(message: Message) -> bytes:
    match message.data_type:
        case DataType.JSON:
            return utf8.repair(message.data)
        case DataType.TEXT:
            return _compact(message.data.decode("utf-8", "replace")).encode()
        case DataType.BINARY | DataType.PROTOBUF:
            return b'"' + base64.b64encode(message.data) + b'"'
        case unknown:
            assert_never(unknown)


def _tail(message: Message) -> str:
    """What comes between the data and the sequence number."""
    return f',"metadata":{_compact(dict(message.metadata))}' if message.metadata else ""


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
