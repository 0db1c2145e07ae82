"""Frames of the protobuf subprotocols, compared to the official protobuf runtime."""

from typing import Any

import pytest
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.protobuf_wire import encode_bytes, encode_number
from wps_run.emulator.websocket.frames import (
    Ack,
    AckError,
    ClientRequest,
    Connected,
    Disconnected,
    FrameError,
    JoinGroup,
    LeaveGroup,
    Ping,
    Pong,
    SendEvent,
    SendGroupMessage,
    SequenceAck,
    Unsupported,
)
from wps_run.emulator.websocket.protobuf_frames import ProtobufFrames

PROTOBUF = ProtobufFrames("protobuf.webpubsub.azure.v1", is_reliable=False)

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
    descriptors = {name: pool.FindMessageTypeByName(full) for name, full in names.items()}
    return {
        name: message_factory.GetMessageClass(descriptor)
        for name, descriptor in descriptors.items()
    }


WPS = classes()
ANY = WPS["Any"](type_url="t", value=b"v").SerializeToString()


def upstream(**members: Any) -> bytes:
    """A client's frame, encoded by the runtime."""
    frame: bytes = WPS["UpstreamMessage"](**members).SerializeToString()
    return frame


def send(**members: Any) -> bytes:
    """A client's message to a group."""
    return upstream(send_to_group_message={"group": "g"} | members)


def decode(frame: bytes) -> ClientRequest | FrameError:
    """Return the request, or the error."""
    try:
        return PROTOBUF.decode(frame)
    except FrameError as error:
        return error


TEXT = {"text_data": "x"}
VALID: list[tuple[bytes, ClientRequest]] = [
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
    (send(data={"text_data": ""}), SendGroupMessage("g", b"", DataType.TEXT)),
    (send(data={"json_data": " [1.0e400]"}), SendGroupMessage("g", b" [1.0e400]", DataType.JSON)),
    (send(data={"binary_data": b"\x00\xff"}), SendGroupMessage("g", b"\x00\xff", DataType.BINARY)),
    (send(data={"protobuf_data": {}}), SendGroupMessage("g", b"", DataType.PROTOBUF)),
    (
        send(data={"protobuf_data": {"type_url": "t", "value": b"v"}}),
        SendGroupMessage("g", ANY, DataType.PROTOBUF),
    ),
    (
        send(data=TEXT, ack_id=1, no_echo=True, ttl_seconds=300, metadata={"k": "v"}),
        SendGroupMessage("g", b"x", DataType.TEXT, 1, no_echo=True, ttl=300, metadata={"k": "v"}),
    ),
    (
        send(metadata={"k": "v"}),
        SendGroupMessage("g", b"", DataType.TEXT, metadata={"k": "v"}),
    ),
    (  # only 32 bits of the time to live count
        encode_bytes(
            1, encode_bytes(1, b"g"), encode_bytes(3, encode_bytes(1)), encode_number(5, 2**32 + 9)
        ),
        SendGroupMessage("g", b"", DataType.TEXT, ttl=9),
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
    send(data={}, metadata={"k": "v"}),
    send(data={"json_data": "[" * 65 + "]" * 65}),
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
def test_a_frame_is_decoded(frame: bytes, request_: ClientRequest) -> None:
    """From the bytes of the official runtime."""
    assert PROTOBUF.decode(frame) == request_


@pytest.mark.parametrize("frame", INVALID, ids=range(len(INVALID)))
def test_an_invalid_frame_closes_with_1007(frame: bytes) -> None:
    """Malformed, of no known message, or against the rules of the protocol."""
    with pytest.raises(FrameError) as caught:
        PROTOBUF.decode(frame)

    assert caught.value.close_frame.code == 1007
    assert len(caught.value.close_frame.reason.encode()) <= 123


def test_a_text_frame_closes_with_1003() -> None:
    """Even an empty one."""
    with pytest.raises(FrameError) as caught:
        PROTOBUF.decode("")

    assert caught.value.close_frame.code == 1003


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
def test_the_runtime_and_the_codec_decode_the_same(members: dict[str, dict[str, Any]]) -> None:
    """Every field of a message to a group."""
    sent = members["send_to_group_message"]
    result = decode(upstream(**members))

    if isinstance(result, FrameError):
        assert sent["group"].isspace() or "\n" in sent["group"]
        return
    (kind, data), *_ = sent["data"].items()
    assert isinstance(result, SendGroupMessage)
    assert (result.group, result.ack_id) == (sent["group"], sent["ack_id"])
    assert (result.no_echo, result.ttl) == (bool(sent["no_echo"]), sent["ttl_seconds"] or 0)
    assert result.metadata == sent["metadata"]
    assert f"{result.data_type}_data" == kind
    if kind == "protobuf_data":
        assert WPS["Any"].FromString(result.data) == data
    else:
        assert result.data == (data if isinstance(data, bytes) else data.encode())


@given(
    members=UPSTREAM,
    place=st.integers(0, 40),
    cut=st.integers(0, 3),
    pasted=st.binary(max_size=4),
)
def test_what_the_runtime_refuses_is_refused(
    members: dict[str, Any], place: int, cut: int, pasted: bytes
) -> None:
    """And what it accepts is accepted if the protocol allows it: damaged frames, byte by byte."""
    whole = upstream(**members)
    damaged = whole[:place] + pasted + whole[place + cut :]
    result = decode(damaged)
    try:
        WPS["UpstreamMessage"].FromString(damaged)
    except DecodeError:
        malformed = True
    else:
        malformed = False

    if malformed:
        assert isinstance(result, FrameError)
    elif isinstance(result, FrameError):
        assert result.close_frame.reason not in (
            "The frame is not a protocol buffer.",
            "A string is not UTF-8.",
        )


@given(connection=st.text(), user=st.none() | st.text(), token=st.none() | st.text())
def test_connected_is_encoded(connection: str, user: str | None, token: str | None) -> None:
    """Byte for byte as by the runtime; an anonymous user is an empty ID."""
    members = {"connection_id": connection, "user_id": user or "", "reconnection_token": token}
    expected = WPS["DownstreamMessage"](system_message={"connected_message": members})

    assert (
        PROTOBUF.encode_response(Connected(connection, user, token)) == expected.SerializeToString()
    )


@given(reason=st.text())
def test_disconnected_is_encoded(reason: str) -> None:
    """Byte for byte as by the runtime."""
    expected = WPS["DownstreamMessage"](system_message={"disconnected_message": {"reason": reason}})

    assert PROTOBUF.encode_response(Disconnected(reason)) == expected.SerializeToString()


@given(number=UINT64, name=st.text(), message=st.text())
def test_an_ack_is_encoded(number: int, name: str, message: str) -> None:
    """Byte for byte as by the runtime, with an error and without."""
    error = {"name": name, "message": message}
    success = WPS["DownstreamMessage"](ack_message={"ack_id": number, "success": True})
    failure = WPS["DownstreamMessage"](ack_message={"ack_id": number, "error": error})

    assert PROTOBUF.encode_response(Ack(number)) == success.SerializeToString()
    assert (
        PROTOBUF.encode_response(Ack(number, AckError(name, message)))
        == failure.SerializeToString()
    )


def test_a_pong_is_encoded() -> None:
    """An empty message still has its field number."""
    expected = WPS["DownstreamMessage"](pong_message={})

    assert PROTOBUF.encode_response(Pong()) == expected.SerializeToString()


@given(
    data=DATA,
    group=st.none() | st.text(),
    metadata=st.dictionaries(st.text(), st.text(), max_size=1),
    number=st.none() | UINT64,
)
def test_a_message_is_encoded(
    data: dict[str, Any], group: str | None, metadata: dict[str, str], number: int | None
) -> None:
    """Byte for byte as by the runtime; the sender's user is not sent."""
    ((kind, value),) = data.items()
    data_type = DataType(kind.removesuffix("_data"))
    payload = value.SerializeToString() if data_type is DataType.PROTOBUF else value
    payload = payload.encode() if isinstance(payload, str) else payload
    message = Message(payload, data_type, group=group, from_user="u", metadata=metadata)
    members = {"from": "server" if group is None else "group", "group": group, "data": data}
    expected = WPS["DownstreamMessage"](
        data_message=members | {"sequence_id": number, "metadata": metadata}
    )

    assert PROTOBUF.encode_message(message).payload(number) == expected.SerializeToString()


def test_text_that_is_not_utf8_is_repaired() -> None:
    """Otherwise no client could decode the frame."""
    frame = PROTOBUF.encode_message(Message(b"a\xff", DataType.TEXT)).payload(None)

    decoded = WPS["DownstreamMessage"].FromString(frame)
    assert decoded.data_message.data.text_data == "a\ufffd"
