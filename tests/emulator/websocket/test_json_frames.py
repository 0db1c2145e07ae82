"""Frames of the JSON subprotocols."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.websocket.frames import (
    Ack,
    AckError,
    AckErrorName,
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
    ServerResponse,
    Unsupported,
)
from wps_run.emulator.websocket.json_frames import JsonFrames

JSON = JsonFrames("json.webpubsub.azure.v1", is_reliable=False)
ANY = base64.b64encode(b"\x0a\x01t\x12\x01v").decode()


def send(**members: object) -> str:
    """A message to group g with these members."""
    return json.dumps({"type": "sendToGroup", "group": "g", "data": 1} | members)


VALID: list[tuple[str, ClientRequest]] = [
    ('{"type":"joinGroup","group":"g"}', JoinGroup("g")),
    ('{"type":"JOINGROUP","group":"g","ackId":0}', JoinGroup("g", 0)),
    ('{"type":"leaveGroup","group":"G g","ackId":null}', LeaveGroup("G g")),
    (
        '{"type":"leaveGroup","group":"g","ackId":18446744073709551615}',
        LeaveGroup("g", 2**64 - 1),
    ),
    ('{"type":"ping"}', Ping()),
    ('\n { "type" : "ping" , "more" : [ {} ] } \t', Ping()),
    ('{"type":"sequenceAck","sequenceId":7}', SequenceAck(7)),
    ('{"type":"event","event":"e","data":"x"}', SendEvent("e", b'"x"', DataType.JSON)),
    (
        '{"type":"event","event":"A-b._9","ackId":3,"dataType":"text","data":"\\u00e9"}',
        SendEvent("A-b._9", "é".encode(), DataType.TEXT, 3),
    ),
    (send(), SendGroupMessage("g", b"1", DataType.JSON)),
    (send(dataType="json", data=[]), SendGroupMessage("g", b"[]", DataType.JSON)),
    (send(dataType="JSON", data=False), SendGroupMessage("g", b"false", DataType.JSON)),
    (send(dataType="Text", data=""), SendGroupMessage("g", b"", DataType.TEXT)),
    (send(dataType="binary", data="AP8="), SendGroupMessage("g", b"\x00\xff", DataType.BINARY)),
    (
        send(dataType="protobuf", data=ANY),
        SendGroupMessage("g", b"\x0a\x01t\x12\x01v", DataType.PROTOBUF),
    ),
    (
        send(ackId=1, noEcho=True, ttlSeconds=300, metadata={"k": "v"}),
        SendGroupMessage("g", b"1", DataType.JSON, 1, no_echo=True, ttl=300, metadata={"k": "v"}),
    ),
    (send(ttlSeconds=None, metadata=None), SendGroupMessage("g", b"1", DataType.JSON)),
    (
        '{"type":"sendToGroup","group":"g","metadata":{"k":"v"}}',
        SendGroupMessage("g", b"", DataType.TEXT, metadata={"k": "v"}),
    ),
    (
        '{"type":"sendToGroup","group":"g","metadata":{}}',
        SendGroupMessage("g", b"", DataType.TEXT),
    ),
    (
        '{"type":"sendToGroup","group":"g","data":' + "[" * 63 + "]" * 63 + "}",
        SendGroupMessage("g", b"[" * 63 + b"]" * 63, DataType.JSON),
    ),
    (
        send(data=" AP\n8=\t", dataType="binary"),
        SendGroupMessage("g", b"\x00\xff", DataType.BINARY),
    ),
    ('{"type":"ping","type":"joinGroup","group":"a","group":"b"}', JoinGroup("b")),
    ('{"\\u0074ype":"\\u0070ing"}', Ping()),
]

INVALID = [
    "",
    "null",
    "[]",
    '"ping"',
    "{}",
    '{"type":"ping"',
    '{"type":"ping"}}',
    '{"type":"ping"} x',
    '{"type":"ping",}',
    "{'type':'ping'}",
    '\ufeff{"type":"ping"}',
    '{"type":"ping" "x":1}',
    '{"type":"ping",1:1}',
    '{"type":"pi\nng"}',
    '{"type":"ping","more":NaN}',
    '{"type":"ping","more":[-Infinity]}',
    '{"type":"ping","more":01}',
    '{"type":"ping","more":' + "[" * 100_000 + "}",
    '{"type":"ping","more":' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"type":1}',
    '{"type":null}',
    '{"type":"message"}',
    '{"type":"pinged"}',
    '{"type":"ping","ackId":"1"}',
    '{"type":"joinGroup"}',
    '{"type":"joinGroup","group":""}',
    '{"type":"joinGroup","group":" "}',
    '{"type":"joinGroup","group":7}',
    '{"type":"joinGroup","group":"\\ud83d"}',
    json.dumps({"type": "joinGroup", "group": "g" * 1025}),
    '{"type":"joinGroup","group":"g","ackId":-1}',
    '{"type":"joinGroup","group":"g","ackId":1.0}',
    '{"type":"joinGroup","group":"g","ackId":1e2}',
    '{"type":"joinGroup","group":"g","ackId":true}',
    '{"type":"joinGroup","group":"g","ackId":18446744073709551616}',
    json.dumps({"type": "joinGroup", "group": "g", "ackId": 0}).replace("0", "9" * 5000),
    '{"type":"sequenceAck"}',
    '{"type":"sequenceAck","sequenceId":null}',
    '{"type":"event","data":1}',
    '{"type":"event","event":"9","data":1}',
    '{"type":"event","event":"é","data":1}',
    json.dumps({"type": "event", "event": "e" * 129, "data": 1}),
    '{"type":"event","event":"e"}',
    '{"type":"sendToGroup","group":"g"}',
    '{"type":"sendToGroup","group":"g","metadata":null}',
    '{"type":"sendToGroup","group":"g","data":' + "[" * 64 + "]" * 64 + "}",
    send(data=None),
    send(dataType="text"),
    send(dataType="text", data="\ud800"),
    send(dataType="binary", data="!!"),
    send(dataType="binary", data="AA"),
    send(dataType="binary", data=[]),
    send(dataType="binary", data="é"),
    send(dataType="protobuf", data=base64.b64encode(b"\x0a\xff").decode()),
    send(dataType="protobuf", data=base64.b64encode(b"\x0a\x01\xff").decode()),
    send(dataType="xml"),
    send(dataType=None),
    send(ttlSeconds=301),
    send(ttlSeconds=-1),
    send(ttlSeconds="1"),
    send(noEcho=1),
    send(noEcho=None),
    send(metadata=[]),
    send(metadata={"k": 1}),
    send(metadata={"": "v"}),
    send(metadata={"k ": "v"}),
    send(metadata={"k": "é"}),
    send(metadata={"k" * 257: "v"}),
    send(metadata={"k": "v" * 1025}),
    send(metadata={str(number): "v" * 1000 for number in range(9)}),
    send()[:-1] + ',"metadata":{"k":"1","k":"1"}}',
]


@pytest.mark.parametrize(("frame", "request_"), VALID, ids=range(len(VALID)))
def test_a_frame_is_decoded(frame: str, request_: ClientRequest) -> None:
    """To the client's request."""
    assert JSON.decode(frame) == request_


@pytest.mark.parametrize("frame", INVALID, ids=range(len(INVALID)))
def test_an_invalid_frame_closes_with_1007(frame: str) -> None:
    """The reason fits a close frame."""
    with pytest.raises(FrameError) as caught:
        JSON.decode(frame)

    assert caught.value.close_frame.code == 1007
    assert len(caught.value.close_frame.reason.encode()) <= 123


def test_a_binary_frame_closes_with_1003() -> None:
    """Even when its bytes would be a valid frame."""
    with pytest.raises(FrameError) as caught:
        JSON.decode(b'{"type":"ping"}')

    assert caught.value.close_frame.code == 1003


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (send(stream={"streamId": "s"}, ackId=4), "stream"),
        ('{"type":"event","event":"e","stream":{"streamId":"s"},"ackId":4}', "stream"),
        ('{"type":"streamData","streamId":"s","ackId":4}', "streamData"),
        ('{"type":"streamEnd","streamId":"s","ackId":4}', "streamEnd"),
        ('{"type":"INVOKE","invocationId":"i","ackId":4}', "invoke"),
        ('{"type":"invokeResponse","ackId":4}', "invokeResponse"),
        ('{"type":"cancelInvocation","ackId":4}', "cancelInvocation"),
        ('{"type":"setGroupState","ackId":4}', "setGroupState"),
    ],
)
def test_unsupported_requests_are_known_by_name(frame: str, kind: str) -> None:
    """So that it can be refused without closing the connection."""
    assert JSON.decode(frame) == Unsupported(kind, 4)


def decode(frame: str) -> ClientRequest | FrameError:
    """Return the request, or the error."""
    try:
        return JSON.decode(frame)
    except FrameError as error:
        return error


BLANK = st.text(alphabet=" \t\n\r", max_size=2)
NUMBER = r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?"
NUMBERS = st.from_regex(NUMBER, fullmatch=True)
STRINGS = st.one_of(
    st.text().map(json.dumps),
    st.text().map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.just('"\\ud800"'),
)


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Arrays with whitespace anywhere."""
    item = st.builds("{}{}{}".format, BLANK, values, BLANK)
    return st.lists(item, max_size=3).map(lambda items: f"[{','.join(items)}]")


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Objects, with duplicate names."""
    item = st.builds("{}{}{}:{}{}".format, BLANK, STRINGS, BLANK, BLANK, values)
    return st.lists(item, max_size=3).map(lambda items: f"{{{','.join(items)}}}")


TEXTS = st.recursive(
    NUMBERS | STRINGS | st.sampled_from(["true", "false"]),
    lambda values: arrays(values) | objects(values),
    max_leaves=12,
)
"""JSON in every form."""


@given(data=TEXTS, before=BLANK, after=BLANK)
def test_json_data_is_kept_unchanged(data: str, before: str, after: str) -> None:
    """Numbers beyond every type, the order of keys, duplicate keys, whitespace inside."""
    frame = f'{{"type":"sendToGroup","data":{before}{data}{after},"group":"g"}}'

    request = JSON.decode(frame)

    assert isinstance(request, SendGroupMessage)
    assert request.data == data.encode()


@given(data=TEXTS, number=st.none() | st.integers(1, 2**63))
def test_json_data_is_passed_on_unchanged(data: str, number: int | None) -> None:
    """A recipient gets the sender's bytes."""
    frame = JSON.encode_message(Message(data.encode(), DataType.JSON)).payload(number).decode()

    tail = "}" if number is None else f',"sequenceId":{number}}}'
    assert frame == f'{{"type":"message","from":"server","dataType":"json","data":{data}{tail}'


MEMBERS = [
    "group",
    "event",
    "data",
    "dataType",
    "ackId",
    "noEcho",
    "ttlSeconds",
    "metadata",
    "sequenceId",
    "stream",
]
KINDS = ["joinGroup", "leaveGroup", "sendToGroup", "event", "ping", "sequenceAck", "invoke"]
VALUES = ['"text"', '"binary"', '"protobuf"', '"AAAA"', "null", "5", "true", '"g"', '{"k":"v"}']


@given(
    members=st.dictionaries(st.sampled_from(MEMBERS), TEXTS | st.sampled_from(VALUES)),
    kind=st.sampled_from(KINDS),
)
def test_any_members_are_a_request_or_an_error(members: dict[str, str], kind: str) -> None:
    """A request has the ack ID of the frame; anything else closes with 1007."""
    inside = "".join(f',"{name}":{value}' for name, value in members.items())
    result = decode(f'{{"type":"{kind}"{inside}}}')

    if isinstance(result, FrameError):
        assert result.close_frame.code == 1007
    else:
        number = getattr(result, "ack_id", None)
        assert number is None or str(number) == members["ackId"]


RESPONSES: list[tuple[ServerResponse, str]] = [
    (
        Connected("c"),
        '{"type":"system","event":"connected","userId":null,"connectionId":"c"}',
    ),
    (
        Connected("c", "u", "t"),
        (
            '{"type":"system","event":"connected","userId":"u","connectionId":"c",'
            '"reconnectionToken":"t"}'
        ),
    ),
    (Disconnected("why"), '{"type":"system","event":"disconnected","message":"why"}'),
    (Ack(2**64 - 1), '{"type":"ack","ackId":18446744073709551615,"success":true}'),
    (
        Ack(7, AckError(AckErrorName.FORBIDDEN, "no")),
        '{"type":"ack","ackId":7,"success":false,"error":{"name":"Forbidden","message":"no"}}',
    ),
    (Pong(), '{"type":"pong"}'),
]


@pytest.mark.parametrize(("response", "frame"), RESPONSES)
def test_a_response_is_encoded(response: ServerResponse, frame: str) -> None:
    """Compact, and with its keys in the documented order."""
    assert JSON.encode_response(response).decode() == frame


MESSAGES: list[tuple[Message, str]] = [
    (
        Message(b'{ "a": 1}', DataType.JSON),
        '{"type":"message","from":"server","dataType":"json","data":{ "a": 1}',
    ),
    (
        Message(b"1", DataType.JSON, group="g"),
        '{"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"json","data":1',
    ),
    (
        Message('é"\n'.encode(), DataType.TEXT, group="g", from_user="u"),
        (
            '{"type":"message","from":"group","group":"g","fromUserId":"u","dataType":"text",'
            '"data":"é\\"\\n"'
        ),
    ),
    (
        Message(b"a\xffb", DataType.TEXT),
        '{"type":"message","from":"server","dataType":"text","data":"a\ufffdb"',
    ),
    (
        Message(b"\x00\xff", DataType.BINARY, metadata={"k": "v"}),
        '{"type":"message","from":"server","dataType":"binary","data":"AP8=","metadata":{"k":"v"}',
    ),
    (
        Message(b"\x0a\x01t\x12\x01v", DataType.PROTOBUF),
        f'{{"type":"message","from":"server","dataType":"protobuf","data":"{ANY}"',
    ),
]


@pytest.mark.parametrize(("message", "opening"), MESSAGES, ids=range(len(MESSAGES)))
def test_a_message_is_encoded(message: Message, opening: str) -> None:
    """Compact, with its keys in the documented order, the number last."""
    encoded = JSON.encode_message(message)

    assert encoded.payload(None).decode() == opening + "}"
    assert encoded.payload(9).decode() == opening + ',"sequenceId":9}'


@given(text=st.text(), user=st.text(), group=st.text(), reason=st.text())
def test_any_text_arrives(text: str, user: str, group: str, reason: str) -> None:
    """A JSON parser gets what was sent."""
    message = Message(text.encode(), DataType.TEXT, group=group, from_user=user)

    decoded: dict[str, Any] = json.loads(JSON.encode_message(message).payload(None))
    assert (decoded["data"], decoded["fromUserId"], decoded["group"]) == (text, user, group)
    assert json.loads(JSON.encode_response(Disconnected(reason)))["message"] == reason


def test_a_lone_surrogate_is_replaced() -> None:
    """A user ID in a token can have one; a frame must be UTF-8."""
    assert json.loads(JSON.encode_response(Connected("c", "u\ud800")))["userId"] == "u\ufffd"
