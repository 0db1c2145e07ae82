"""Frames of the protobuf subprotocols, judged by the official protobuf runtime."""

from typing import Any

import pytest
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.websocket.frames import (
    Ack,
    AckError,
    Connected,
    Disconnected,
    FrameError,
    JoinGroup,
    LeaveGroup,
    Ping,
    Pong,
    Request,
    SendEvent,
    SendToGroup,
    SequenceAck,
    Unsupported,
)
from wps_run.emulator.websocket.protobuf_frames import ProtobufFrames
from wps_run.emulator.websocket.protobuf_wire import content, numbered

PROTOBUF = ProtobufFrames("protobuf.webpubsub.azure.v1", reliable=False)

# The published description of the messages: fields of a oneof begin with "|", optional ones
# end with "?", maps of strings are "map".
MESSAGES = {
    "UpstreamMessage": (
        "|SendToGroup send_to_group_message 1, |Event event_message 5, "
        "|Group join_group_message 6, |Group leave_group_message 7, "
        "|SequenceAck sequence_ack_message 8, |Empty ping_message 9"
    ),
    "SendToGroup": (
        "string group 1, uint64 ack_id? 2, MessageData data 3, bool no_echo? 4, "
        "uint32 ttl_seconds? 5, map metadata 6, Stream stream 7"
    ),
    "Event": (
        "string event 1, MessageData data 2, uint64 ack_id? 3, map metadata 4, Stream stream 5"
    ),
    "Group": "string group 1, uint64 ack_id? 2",
    "SequenceAck": "uint64 sequence_id 1",
    "Empty": "",
    "Stream": "string stream_id 1, uint32 idle_timeout_ms? 2",
    "MessageData": (
        "|string text_data 1, |bytes binary_data 2, |Any protobuf_data 3, |string json_data 4"
    ),
    "DownstreamMessage": (
        "|AckMessage ack_message 1, |DataMessage data_message 2, "
        "|SystemMessage system_message 3, |Empty pong_message 4"
    ),
    "AckMessage": "uint64 ack_id 1, bool success 2, Error error 3",
    "Error": "string name 1, string message 2",
    "DataMessage": (
        "string from 1, string group? 2, MessageData data 3, uint64 sequence_id? 4, map metadata 5"
    ),
    "SystemMessage": (
        "|ConnectedMessage connected_message 1, |DisconnectedMessage disconnected_message 2"
    ),
    "ConnectedMessage": ("string connection_id 1, string user_id 2, string reconnection_token? 3"),
    "DisconnectedMessage": "string reason 2",
}

Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "string": Field.TYPE_STRING,
    "bytes": Field.TYPE_BYTES,
    "bool": Field.TYPE_BOOL,
    "uint32": Field.TYPE_UINT32,
    "uint64": Field.TYPE_UINT64,
}


def add_field(message: descriptor_pb2.DescriptorProto, line: str) -> None:
    """Describe one field to the runtime."""
    kind, name, number = line.removeprefix("|").split()
    field = message.field.add(name=name.rstrip("?"), number=int(number), label=1)
    if kind in SCALARS:
        field.type = SCALARS[kind]
    else:
        field.type = Field.TYPE_MESSAGE
        field.type_name = ".google.protobuf.Any" if kind == "Any" else f".wps.{kind}"
    if line.startswith("|"):
        if not message.oneof_decl:
            message.oneof_decl.add(name="one")
        field.oneof_index = 0
    if name.endswith("?"):
        message.oneof_decl.add(name=f"_{field.name}")
        field.oneof_index = len(message.oneof_decl) - 1
        field.proto3_optional = True
    if kind == "map":
        entry = message.nested_type.add(name="MetadataEntry")
        entry.options.map_entry = True
        for place, part in enumerate(("key", "value"), 1):
            entry.field.add(name=part, number=place, label=1, type=Field.TYPE_STRING)
        field.label = Field.LABEL_REPEATED
        field.type_name = f".wps.{message.name}.MetadataEntry"


def classes() -> Any:
    """The runtime's classes for the messages, by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="wps.proto", package="wps", syntax="proto3", dependency=["google/protobuf/any.proto"]
    )
    for name, lines in MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in filter(None, lines.split(", ")):
            add_field(message, line)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    names = {name: f"wps.{name}" for name in MESSAGES} | {"Any": "google.protobuf.Any"}
    found = {name: pool.FindMessageTypeByName(full) for name, full in names.items()}
    return {name: message_factory.GetMessageClass(one) for name, one in found.items()}


WPS = classes()
ANY = WPS["Any"](type_url="t", value=b"v").SerializeToString()


def upstream(**members: Any) -> bytes:
    """A client's frame, as the runtime writes it."""
    frame: bytes = WPS["UpstreamMessage"](**members).SerializeToString()
    return frame


def send(**members: Any) -> bytes:
    """A client's message to a group."""
    return upstream(send_to_group_message={"group": "g"} | members)


def attempt(frame: bytes) -> Request | FrameError:
    """What comes of a frame."""
    try:
        return PROTOBUF.read(frame)
    except FrameError as error:
        return error


TEXT = {"text_data": "x"}
VALID: list[tuple[bytes, Request]] = [
    (upstream(join_group_message={"group": "g"}), JoinGroup("g")),
    (upstream(join_group_message={"group": "g", "ack_id": 0}), JoinGroup("g", 0)),
    (
        upstream(leave_group_message={"group": "g", "ack_id": 2**64 - 1}),
        LeaveGroup("g", 2**64 - 1),
    ),
    (upstream(ping_message={}), Ping()),
    (upstream(sequence_ack_message={"sequence_id": 7}), SequenceAck(7)),
    (upstream(sequence_ack_message={}), SequenceAck(0)),
    (
        upstream(event_message={"event": "e", "ack_id": 3, "data": TEXT}),
        SendEvent("e", b"x", DataType.TEXT, 3),
    ),
    (send(data={"text_data": ""}), SendToGroup("g", b"", DataType.TEXT)),
    (send(data={"json_data": " [1.0e400]"}), SendToGroup("g", b" [1.0e400]", DataType.JSON)),
    (send(data={"binary_data": b"\x00\xff"}), SendToGroup("g", b"\x00\xff", DataType.BINARY)),
    (send(data={"protobuf_data": {}}), SendToGroup("g", b"", DataType.PROTOBUF)),
    (
        send(data={"protobuf_data": {"type_url": "t", "value": b"v"}}),
        SendToGroup("g", ANY, DataType.PROTOBUF),
    ),
    (
        send(data=TEXT, ack_id=1, no_echo=True, ttl_seconds=300, metadata={"k": "v"}),
        SendToGroup("g", b"x", DataType.TEXT, 1, no_echo=True, ttl=300, metadata={"k": "v"}),
    ),
    (
        send(metadata={"k": "v"}),
        SendToGroup("g", b"", DataType.TEXT, metadata={"k": "v"}),
    ),
    (  # only 32 bits of the time to live count
        content(1, content(1, b"g"), content(3, content(1)), numbered(5, 2**32 + 9)),
        SendToGroup("g", b"", DataType.TEXT, ttl=9),
    ),
    (send(stream={}, ack_id=4), Unsupported("stream", 4)),
    (
        upstream(event_message={"event": "e", "ack_id": 4, "stream": {"stream_id": "s"}}),
        Unsupported("stream", 4),
    ),
    (
        upstream(ping_message={}) + upstream(join_group_message={"group": "g"}),
        JoinGroup("g"),
    ),
    (
        upstream(join_group_message={"group": "g"}) + upstream(join_group_message={"ack_id": 5}),
        JoinGroup("g", 5),
    ),
]

INVALID = [
    b"",
    b"\xff",
    b"\x12\x00",
    upstream(join_group_message={}),
    upstream(leave_group_message={"group": " "}),
    upstream(join_group_message={"group": "g" * 1025}),
    upstream(event_message={"data": TEXT}),
    upstream(event_message={"event": "9", "data": TEXT}),
    upstream(event_message={"event": "e"}),
    send(),
    send(data={}),
    send(data={"json_data": "{"}),
    send(data={"json_data": ""}),
    send(data={"json_data": "[NaN]"}),
    send(data=TEXT, ttl_seconds=301),
    send(data=TEXT, metadata={"": "v"}),
    send(data=TEXT, metadata={"k": "é"}),
    send(data=TEXT, metadata={"k": "v" * 1025}),
    upstream(join_group_message={"group": "gg"}).replace(b"gg", b"g\xff"),
    send(data={"text_data": "xx"}).replace(b"xx", b"x\xff"),
    send(data={"protobuf_data": {"type_url": "tt"}}).replace(b"tt", b"t\xff"),
    send(data=TEXT)[:-1],
]


@pytest.mark.parametrize(("frame", "request_"), VALID, ids=range(len(VALID)))
def test_a_frame_is_read(frame: bytes, request_: Request) -> None:
    """What a client asks is read from what the official runtime wrote."""
    assert PROTOBUF.read(frame) == request_


@pytest.mark.parametrize("frame", INVALID, ids=range(len(INVALID)))
def test_an_invalid_frame_closes_with_1007(frame: bytes) -> None:
    """Malformed, of no known message, or against the rules of the protocol."""
    with pytest.raises(FrameError) as caught:
        PROTOBUF.read(frame)

    assert caught.value.code == 1007
    assert len(caught.value.reason.encode()) <= 123


def test_a_text_frame_closes_with_1003() -> None:
    """Even an empty one."""
    with pytest.raises(FrameError) as caught:
        PROTOBUF.read("")

    assert caught.value.code == 1003


UINT64 = st.integers(0, 2**64 - 1)
ANYS = st.builds(WPS["Any"], type_url=st.text(), value=st.binary())
DATA = st.one_of(
    st.fixed_dictionaries({"text_data": st.text()}),
    st.fixed_dictionaries({"binary_data": st.binary()}),
    st.fixed_dictionaries({"protobuf_data": ANYS}),
    st.fixed_dictionaries({"json_data": st.sampled_from(["1", "[]", '"é"'])}),
)
SENDS = st.builds(
    lambda **members: {"send_to_group_message": members},
    group=st.text(min_size=1),
    ack_id=st.none() | UINT64,
    data=DATA,
    no_echo=st.none() | st.booleans(),
    ttl_seconds=st.none() | st.integers(0, 300),
    metadata=st.dictionaries(st.from_regex("[a-z]{1,4}", fullmatch=True), st.text("ab")),
)
GROUPS = st.fixed_dictionaries({"group": st.text(min_size=1), "ack_id": st.none() | UINT64})
EVENTS = st.fixed_dictionaries(
    {"event": st.text("abé"), "ack_id": st.none() | UINT64, "data": DATA}
)
UPSTREAM = st.one_of(
    SENDS,
    st.fixed_dictionaries({"event_message": EVENTS}),
    st.fixed_dictionaries({"join_group_message": GROUPS}),
    st.fixed_dictionaries({"leave_group_message": GROUPS}),
    st.fixed_dictionaries({"sequence_ack_message": st.fixed_dictionaries({"sequence_id": UINT64})}),
)


@given(members=SENDS)
def test_the_runtime_and_the_codec_read_the_same(members: dict[str, dict[str, Any]]) -> None:
    """Every field of a message to a group."""
    sent = members["send_to_group_message"]
    read = attempt(upstream(**members))

    if isinstance(read, FrameError):
        assert sent["group"].isspace() or "\n" in sent["group"]
        return
    (kind, data), *_ = sent["data"].items()
    assert isinstance(read, SendToGroup)
    assert (read.group, read.ack_id) == (sent["group"], sent["ack_id"])
    assert (read.no_echo, read.ttl) == (bool(sent["no_echo"]), sent["ttl_seconds"] or 0)
    assert read.metadata == sent["metadata"]
    assert f"{read.data_type}_data" == kind
    if kind == "protobuf_data":
        assert WPS["Any"].FromString(read.data) == data
    else:
        assert read.data == (data if isinstance(data, bytes) else data.encode())


@given(
    members=UPSTREAM,
    place=st.integers(0, 40),
    cut=st.integers(0, 3),
    pasted=st.binary(max_size=4),
)
def test_what_the_runtime_refuses_is_refused(
    members: dict[str, Any], place: int, cut: int, pasted: bytes
) -> None:
    """And what it reads is read, if the protocol allows it: damaged frames, byte by byte."""
    whole = upstream(**members)
    damaged = whole[:place] + pasted + whole[place + cut :]
    read = attempt(damaged)
    try:
        WPS["UpstreamMessage"].FromString(damaged)
    except DecodeError:
        malformed = True
    else:
        malformed = False

    if malformed:
        assert isinstance(read, FrameError)
    elif isinstance(read, FrameError):
        assert read.reason not in ("The frame is not a protocol buffer.", "A string is not UTF-8.")


@given(connection=st.text(), user=st.none() | st.text(), token=st.none() | st.text())
def test_connected_is_written(connection: str, user: str | None, token: str | None) -> None:
    """Byte for byte as the runtime writes it; an anonymous user is the empty one."""
    members = {"connection_id": connection, "user_id": user or "", "reconnection_token": token}
    expected = WPS["DownstreamMessage"](system_message={"connected_message": members})

    assert PROTOBUF.write(Connected(connection, user, token)) == expected.SerializeToString()


@given(reason=st.text())
def test_disconnected_is_written(reason: str) -> None:
    """Byte for byte as the runtime writes it."""
    expected = WPS["DownstreamMessage"](system_message={"disconnected_message": {"reason": reason}})

    assert PROTOBUF.write(Disconnected(reason)) == expected.SerializeToString()


@given(number=UINT64, name=st.text(), message=st.text())
def test_an_ack_is_written(number: int, name: str, message: str) -> None:
    """Byte for byte as the runtime writes it, with an error and without."""
    error = {"name": name, "message": message}
    success = WPS["DownstreamMessage"](ack_message={"ack_id": number, "success": True})
    failure = WPS["DownstreamMessage"](ack_message={"ack_id": number, "error": error})

    assert PROTOBUF.write(Ack(number)) == success.SerializeToString()
    assert PROTOBUF.write(Ack(number, AckError(name, message))) == failure.SerializeToString()


def test_a_pong_is_written() -> None:
    """An empty message still says which one it is."""
    expected = WPS["DownstreamMessage"](pong_message={})

    assert PROTOBUF.write(Pong()) == expected.SerializeToString()


@given(
    data=DATA,
    group=st.none() | st.text(),
    metadata=st.dictionaries(st.text(), st.text(), max_size=1),
    number=st.none() | UINT64,
)
def test_a_message_is_written(
    data: dict[str, Any], group: str | None, metadata: dict[str, str], number: int | None
) -> None:
    """Byte for byte as the runtime writes it; the sender's user is not told."""
    ((kind, value),) = data.items()
    data_type = DataType(kind.removesuffix("_data"))
    payload = value.SerializeToString() if data_type is DataType.PROTOBUF else value
    payload = payload.encode() if isinstance(payload, str) else payload
    message = Message(payload, data_type, group=group, from_user="u", metadata=metadata)
    members = {"from": "server" if group is None else "group", "group": group, "data": data}
    expected = WPS["DownstreamMessage"](
        data_message=members | {"sequence_id": number, "metadata": metadata}
    )

    assert PROTOBUF.encode(message).frame(number) == expected.SerializeToString()


def test_text_that_is_not_utf8_is_repaired() -> None:
    """Otherwise no client could read the frame."""
    frame = PROTOBUF.encode(Message(b"a\xff", DataType.TEXT)).frame(None)

    told = WPS["DownstreamMessage"].FromString(frame)
    assert told.data_message.data.text_data == "a\ufffd"
