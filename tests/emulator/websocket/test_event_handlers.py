"""Event handlers over real HTTP: what they receive, and what their answers do to real clients."""

import asyncio
import hmac
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from wps_run.emulator.protobuf_wire import encode_bytes, encode_number
from wps_run.emulator.request_log import EventKind
from wps_run.emulator.server import Emulator

JSON = "json.webpubsub.azure.v1"
RELIABLE = "json.reliable.webpubsub.azure.v1"
ALLOWED = {"WebHook-Allowed-Origin": "*"}

Respond = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


async def no_content(_: web.BaseRequest) -> web.Response:
    """Answer 204."""
    return web.Response(status=204)


@dataclass
class Received:
    """A request that an event handler received."""

    method: str
    path: str
    headers: Any
    body: bytes

    @property
    def name(self) -> str:
        """The event, or the method of a validation."""
        return str(self.headers.get("ce-eventName", self.method))


@dataclass
class Handler:
    """An event handler that records requests, and responds as each test says."""

    validation: Respond | None = None
    responses: dict[str, Respond] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    origin: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Record a request, and respond."""
        body = await request.read()
        received = Received(request.method, request.raw_path, request.headers, body)
        self.received.append(received)
        self.changed.set()
        if request.method != "POST":
            respond = self.validation
            return await respond(request) if respond else web.Response(headers=ALLOWED)
        return await self.responses.get(received.name, no_content)(request)

    async def next(self, name: str, nth: int = 1) -> Received:
        """Wait for the nth request of an event."""
        async with asyncio.timeout(10):
            while True:
                matching = [received for received in self.received if received.name == name]
                if len(matching) >= nth:
                    return matching[nth - 1]
                self.changed.clear()
                await self.changed.wait()

    @property
    def names(self) -> list[str]:
        """The events, in the order of their arrival."""
        return [received.name for received in self.received]


@pytest.fixture
async def handler() -> AsyncIterator[Handler]:
    """An event handler on a free port."""
    handler = Handler()
    runner = web.ServerRunner(
        web.Server(handler.handle, handler_cancellation=True), shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    handler.origin = f"http://{host}:{port}"
    yield handler
    await runner.cleanup()


@asynccontextmanager
async def serving(
    handler: Handler, make_connector: Callable[..., Any], path: str = "/events", **settings: Any
) -> AsyncIterator[Any]:
    """Run an emulator with an event handler, and yield a connector to it."""
    async with Emulator(event_handlers=[handler.origin + path], **settings) as emulator:
        yield make_connector(emulator)


@dataclass(frozen=True)
class StaticResponse:
    """Responds always the same."""

    status: int
    body: bytes
    headers: dict[str, str]

    async def __call__(self, _: web.BaseRequest) -> web.Response:
        """Respond."""
        return web.Response(status=self.status, body=self.body, headers=self.headers)


def answering(status: int = 200, body: bytes = b"", **headers: str) -> Respond:
    """Respond always the same."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return StaticResponse(status, body, named)


def answering_json(content: object, **headers: str) -> Respond:
    """Respond with JSON."""
    return answering(200, json.dumps(content).encode(), Content_Type="application/json", **headers)


async def test_a_handler_is_validated_and_receives_the_events_of_a_connection(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """Headers and bodies are those of the CloudEvents extension, and hold no token."""
    handler.responses["connect"] = answering(204, ce_connectionState="first")
    handler.responses["hello"] = answering(204, ce_connectionState="second")
    path = "/events/{hub}/{event}?code=secret"
    async with serving(handler, make_connector, path) as connector:
        claims = {"sub": "ädä", "role": ["a", "b"], "number": 7}
        peer, connected = await connector.open_connected(JSON, query="x=1&x=2", **claims)
        connection_id = connected["connectionId"]
        event = {"type": "event", "event": "hello", "dataType": "text", "data": "héllo"}
        ack = await peer.request(**event, ackId=1, metadata={"Trace": "t"})
        await peer.socket.close(code=1000, message=b"bye")
        await handler.next("disconnected")
        key = connector.emulator.endpoint.key

    assert ack == {"type": "ack", "ackId": 1, "success": True}
    assert handler.names == ["OPTIONS", "connect", "connected", "hello", "disconnected"]
    assert [received.path for received in handler.received] == [
        f"/events/chat/{name}?code=secret"
        for name in ("validate", "connect", "connected", "hello", "disconnected")
    ]
    validation, *events = handler.received
    assert validation.headers["WebHook-Request-Origin"] == "127.0.0.1"
    assert validation.headers["ce-awpsversion"] == "1.0"
    assert "ce-signature" not in validation.headers
    digest = hmac.digest(key.encode(), connection_id.encode(), "sha256").hex()
    for number, received in enumerate(events):
        assert received.headers["WebHook-Request-Origin"] == "127.0.0.1"
        assert received.headers["ce-specversion"] == received.headers["ce-awpsversion"] == "1.0"
        assert received.headers["ce-id"] == str(number)
        assert received.headers["ce-source"] == f"/hubs/chat/client/{connection_id}"
        assert received.headers["ce-connectionId"] == connection_id
        assert received.headers["ce-hub"] == "chat"
        assert received.headers["ce-userId"] == "ädä"
        assert received.headers["ce-signature"] == f"sha256={digest}"
    assert len({uuid.UUID(event.headers["x-ms-client-request-id"]) for event in events}) == 4
    assert [received.headers["ce-type"] for received in events] == [
        "azure.webpubsub.sys.connect",
        "azure.webpubsub.sys.connected",
        "azure.webpubsub.user.hello",
        "azure.webpubsub.sys.disconnected",
    ]
    assert [received.headers.get("ce-connectionState") for received in events] == [
        None,
        "first",
        "first",
        "second",
    ]
    assert [received.headers.get("ce-subprotocol") for received in events] == [
        None,
        JSON,
        JSON,
        JSON,
    ]
    connect = json.loads(events[0].body)
    assert connect["claims"]["role"] == ["a", "b"]
    assert connect["claims"]["number"] == ["7"]
    assert connect["query"] == {"x": ["1", "2"]}
    assert connect["subprotocols"] == [JSON]
    assert connect["headers"]["Upgrade"] == ["websocket"]
    assert connect["clientCertificates"] == []
    assert b"access_token" not in events[0].body
    assert json.loads(events[1].body) == {}
    assert events[2].body == "héllo".encode()
    assert events[2].headers["Content-Type"] == "text/plain; charset=utf-8"
    assert events[2].headers["x-webpubsub-metadata-trace"] == "t"
    assert json.loads(events[3].body) == {"reason": "bye"}


async def test_connect_has_no_private_headers_and_names_without_case(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """Neither tokens, nor headers of the service itself; cookies are the application's."""
    async with serving(handler, make_connector) as connector:
        target = connector.target(query="tag=a&TAG=b&ACCESS_TOKEN=x&flag")
        private = {"Authorization": "Bearer x", "X-ASRS-Internal-Test": "x"}
        await connector.connect(target, JSON, Cookie="a=b", **private)
    connect = await handler.next("connect")

    content = json.loads(connect.body)
    assert content["query"] == {"tag": ["a", "b"], "flag": [""]}
    assert content["headers"]["Cookie"] == ["a=b"]
    assert not {name.lower() for name in content["headers"]} & {name.lower() for name in private}
    assert "Cookie" not in connect.headers


async def test_the_answer_to_connect_replaces_user_groups_roles_and_subprotocol(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """The client is in its groups and has its permissions from the first frame on."""
    content = {
        "userId": "bob",
        "groups": ["red"],
        "roles": ["webpubsub.sendToGroup.red"],
        "subprotocol": RELIABLE,
    }
    handler.responses["connect"] = answering_json(content)
    async with serving(handler, make_connector) as connector:
        peer = await connector.connect(
            connector.target(sub="ada", webpubsub_group=["blue"]), f"{JSON}, {RELIABLE}"
        )
        connected = await peer.receive()
        sent = {"type": "sendToGroup", "dataType": "text", "data": "x"}
        frames = [await peer.request(**sent, group="red", ackId=1), await peer.receive()]
        refused = await peer.request(**sent, group="blue", ackId=2)
        connection = connector.emulator.hubs["chat"].connections[connected["connectionId"]]
        members = list(connection.groups)

    assert connected["userId"] == "bob"
    assert "reconnectionToken" in connected
    assert members == ["red"]
    assert {frame["type"] for frame in frames} == {"ack", "message"}
    assert refused["error"]["name"] == "Forbidden"


@pytest.mark.parametrize(
    ("content", "user", "may_join"),
    [
        (None, "ada", True),
        ({}, "ada", True),
        ({"groups": [], "roles": None, "userId": None}, "ada", True),
        ({"USERID": "", "Roles": []}, None, False),
    ],
)
async def test_what_an_answer_leaves_out_stays_as_in_the_token(
    handler: Handler,
    make_connector: Callable[..., Any],
    content: object,
    user: str | None,
    may_join: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """An empty list of groups replaces nothing, an empty one of roles does; keys ignore case."""
    handler.responses["connect"] = answering_json(content)
    async with serving(handler, make_connector) as connector:
        token = {"sub": "ada", "webpubsub_group": ["blue"], "role": ["webpubsub.joinLeaveGroup"]}
        peer, connected = await connector.open_connected(JSON, **token)
        ack = await peer.request(type="joinGroup", group="green", ackId=1)
        connection = connector.emulator.hubs["chat"].connections[connected["connectionId"]]
        members = [group for group in connection.groups if group != "green"]

    assert connected["userId"] == user
    assert members == ["blue"]
    assert ack["success"] is may_join


async def test_a_handler_can_choose_a_subprotocol_of_the_application(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """Its client is a simple one."""
    handler.responses["connect"] = answering_json({"subprotocol": "chat.v1"})
    handler.responses["message"] = answering(200, b"answer", Content_Type="text/plain")
    async with serving(handler, make_connector) as connector:
        peer = await connector.open("chat.v1")
        await peer.socket.send_bytes(b"\0\1")
        answer = await peer.receive()
    message = await handler.next("message")

    assert peer.socket.protocol == "chat.v1"
    assert answer == "answer"
    assert (message.body, message.headers["Content-Type"]) == (
        b"\0\1",
        "application/octet-stream",
    )
    assert message.headers["ce-subprotocol"] == "chat.v1"


@pytest.mark.parametrize(
    ("response", "status", "text"),
    [
        (answering(401, b'{"why":"who?"}', Content_Type="application/json"), 401, '{"why":"who?"}'),
        (answering(403), 403, ""),
        (answering(503, b"busy"), 503, "busy"),
        (answering(302, Location="http://192.0.2.1/"), 500, ""),
        (answering(200, b"no json"), 500, ""),
        (answering(200, b"NaN"), 500, ""),
        (answering(200, b"[" * 100_000), 500, ""),
        (answering(200, b"[]"), 500, ""),
        (answering(200, b'{"groups":[" "]}'), 500, ""),
        (answering(200, b'{"groups":"red"}'), 500, ""),
        (answering(200, b'{"roles":[null]}'), 500, ""),
        (answering(200, b'{"userId":7}'), 500, ""),
        (answering(200, b'{"userId":"a\\r\\nce-hub: b"}'), 500, ""),
        (answering(200, b'{"userId":"\\ud800"}'), 500, ""),
        (answering(200, b" " * (1024 * 1024 + 1)), 500, ""),
        (answering(200, b"{}", Content_Encoding="gzip"), 500, ""),
        (answering(200, b"{}", ce_connectionState="x" * 9000), 500, ""),
    ],
)
async def test_a_client_is_refused_by_an_error_and_by_an_invalid_answer(
    handler: Handler,
    make_connector: Callable[..., Any],
    response: Respond,
    status: int,
    text: str,
) -> None:
    """It gets the handler's error, or 500; it never connected, so nothing follows."""
    handler.responses["connect"] = response
    async with serving(handler, make_connector) as connector:
        refused = await connector.refused_upgrade(connector.target())
        connections = connector.emulator.hubs

    assert refused == (status, text)
    assert handler.names == ["OPTIONS", "connect"]
    assert not any(hub.connections for hub in connections.values())


async def test_an_upgrade_that_fails_after_connect_is_followed_by_disconnected(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """As every `connect` that was answered with success."""
    handler.responses["connect"] = answering_json({"subprotocol": "other"})
    async with serving(handler, make_connector) as connector:
        status, _ = await connector.refused_upgrade(connector.target())
        await handler.next("disconnected")

    assert status == 500


async def _unallowed(_: web.BaseRequest) -> web.Response:
    return web.Response(headers={"WebHook-Allowed-Origin": "example.com"})


async def _get_only(request: web.BaseRequest) -> web.Response:
    return (
        web.Response(status=404) if request.method == "OPTIONS" else web.Response(headers=ALLOWED)
    )


async def _own_endpoint(request: web.BaseRequest) -> web.Response:
    origin = request.headers["WebHook-Request-Origin"]
    return web.Response(headers={"WebHook-Allowed-Origin": origin.upper()})


@pytest.mark.parametrize(
    ("validation", "names"),
    [
        (_unallowed, ["OPTIONS"]),
        (no_content, ["OPTIONS"]),
        (answering(405, WebHook_Allowed_Origin="*"), ["OPTIONS"]),
        (_get_only, ["OPTIONS", "GET", "connect"]),
        (_own_endpoint, ["OPTIONS", "connect"]),
    ],
)
async def test_no_event_is_sent_to_a_handler_that_does_not_allow_it(
    handler: Handler, make_connector: Callable[..., Any], validation: Respond, names: list[str]
) -> None:
    """A handler without OPTIONS is asked with GET."""
    handler.validation = validation
    handler.responses["connect"] = answering(401)
    async with serving(handler, make_connector) as connector:
        status, _ = await connector.refused_upgrade(connector.target())

    assert handler.names == names
    assert status == (401 if "connect" in names else 500)


async def test_a_service_on_ipv6_is_named_with_brackets(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """As in a URL."""
    async with serving(handler, make_connector, host="::1") as connector:
        await connector.open(JSON)
    validation = await handler.next("OPTIONS")

    assert validation.headers["WebHook-Request-Origin"] == "[::1]"


async def test_many_clients_share_one_validation(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """A failed one is repeated for the next event, so that a handler can start later."""
    handler.validation = no_content
    async with serving(handler, make_connector, system_events="connect") as connector:
        first, _ = await connector.refused_upgrade(connector.target())
        handler.validation = None
        peers = await asyncio.gather(*(connector.open(JSON) for _ in range(20)))

    assert first == 500
    assert len(peers) == 20
    assert handler.names.count("OPTIONS") == 2


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (answering(200, b"t\xc3\xa4xt", Content_Type="text/plain"), ("text", "täxt")),
        (answering(200, b'{"a": 1}', Content_Type="application/json"), ("json", {"a": 1})),
        (answering(200, b"\0\1", Content_Type="application/octet-stream"), ("binary", "AAE=")),
        (answering(200, b"\0\1"), ("binary", "AAE=")),
        (answering(200, b"\n\1t", Content_Type="application/x-protobuf"), ("protobuf", "CgF0")),
        (answering(200, b"", Content_Type="x/y", x_webpubsub_metadata_A="1, 2"), ("text", "")),
    ],
)
async def test_the_answer_to_a_user_event_reaches_its_client_before_the_ack(
    handler: Handler,
    make_connector: Callable[..., Any],
    response: Respond,
    expected: tuple[str, object],
) -> None:
    """The content type decides how."""
    handler.responses["hello"] = response
    async with serving(handler, make_connector) as connector:
        peer, _ = await connector.open_connected(RELIABLE, sub="ada")
        event = {"type": "event", "event": "hello", "dataType": "json", "data": {"b": 2}}
        message = await peer.request(**event, ackId=5)
        ack = await peer.receive()
        again = await peer.request(**event, ackId=5)
    received = await handler.next("hello")

    assert (message["dataType"], message["data"]) == expected
    assert (message["type"], message["from"], message["sequenceId"]) == ("message", "server", 1)
    assert message.get("metadata") == ({"a": "2"} if expected[1] == "" else None)
    assert ack["success"]
    assert again["error"]["name"] == "Duplicate"
    assert json.loads(received.body) == {"b": 2}
    assert received.headers["Content-Type"] == "application/json"
    assert handler.names.count("hello") == 1


@pytest.mark.parametrize("is_reliable", [False, True])
async def test_the_event_of_a_protobuf_client_and_its_answer_hold_any_message(
    handler: Handler,
    make_connector: Callable[..., Any],
    is_reliable: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """As `application/x-protobuf`, with metadata in both directions."""
    question, reply = encode_bytes(1, b"question"), encode_bytes(1, b"reply")
    handler.responses["hello"] = answering(
        200, reply, Content_Type="application/x-protobuf", x_webpubsub_metadata_Trace="t2"
    )
    trace = encode_bytes(4, encode_bytes(1, b"Trace"), encode_bytes(2, b"t1"))
    data = encode_bytes(2, encode_bytes(3, question))
    event = encode_bytes(5, encode_bytes(1, b"hello"), data, encode_number(3, 42), trace)
    async with serving(handler, make_connector) as connector:
        name = f"protobuf.{'reliable.' if is_reliable else ''}webpubsub.azure.v1"
        peer, _ = await connector.open_connected(name)
        await peer.socket.send_bytes(event)
        message, ack = await peer.receive(), await peer.receive()
    received = await handler.next("hello")

    assert (received.body, received.headers["Content-Type"]) == (question, "application/x-protobuf")
    assert received.headers["x-webpubsub-metadata-trace"] == "t1"
    assert received.headers["ce-subprotocol"] == name
    number = encode_number(4, 1) if is_reliable else b""
    assert message == encode_bytes(
        2,
        encode_bytes(1, b"server") + encode_bytes(3, encode_bytes(3, reply)) + number,
        encode_bytes(5, encode_bytes(1, b"trace"), encode_bytes(2, b"t2")),
    )
    assert ack == encode_bytes(1, encode_number(1, 42), encode_number(2, 1))


@pytest.mark.parametrize(
    "response",
    [
        answering(400, b"private"),
        answering(200, b"x", Content_Type="image/png"),
        answering(200, b"{", Content_Type="application/json"),
        answering(200, b"x", Content_Type="text/plain; charset=nonsense"),
        answering(200, b"\n\2t", Content_Type="application/x-protobuf"),
        answering(200, b"", x_webpubsub_metadata_A="v" * 1025),
        answering(200, b"x" * (1024 * 1024 + 1), Content_Type="text/plain"),
    ],
)
async def test_a_user_event_that_fails_drops_its_client(
    handler: Handler, make_connector: Callable[..., Any], response: Respond
) -> None:
    """It gets the failed ack first; a simple client has none."""
    handler.responses["hello"] = handler.responses["message"] = response
    async with serving(handler, make_connector) as connector:
        peer, _ = await connector.open_connected(JSON)
        event = {"type": "event", "event": "hello", "dataType": "text", "data": ""}
        ack = await peer.request(**event, ackId=1)
        closed = await peer.receive()
        simple = await connector.open()
        await simple.socket.send_str("x")
        simple_closed = await simple.receive()
    reasons = [json.loads((await handler.next("disconnected", nth)).body) for nth in (1, 2)]

    assert ack["error"] == {"name": "InternalServerError", "message": "Internal server error"}
    assert closed == simple_closed == (1011, "Internal server error")
    assert reasons == [{"reason": "Internal server error"}] * 2


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ("delay=1m,on=userEvent", []),
        ("drop,on=userEvent", []),
        ("500,after,on=userEvent", ["OPTIONS", "hello"]),
    ],
)
async def test_a_user_event_without_an_answer_in_time_fails_as_well(
    handler: Handler, make_connector: Callable[..., Any], fault: str, names: list[str]
) -> None:
    """Nothing is sent again: `after` means that the handler has received it."""
    async with serving(
        handler, make_connector, system_events="none", faults=[fault], event_seconds=0.1
    ) as connector:
        peer, _ = await connector.open_connected(RELIABLE)
        event = {"type": "event", "event": "hello", "dataType": "text", "data": ""}
        ack = await peer.request(**event, ackId=1)
        closed = await peer.receive()

    assert ack["error"]["name"] == "InternalServerError"
    assert closed == (1011, "Internal server error")
    assert handler.names == names


async def test_the_last_of_several_connection_states_counts(
    handler: Handler, make_connector: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Azure allows one. An empty one is one, too; `connected` does not set it."""

    async def answer(request: web.BaseRequest) -> web.Response:
        response = web.Response()
        for state in request.headers["ce-eventName"].split("-"):
            response.headers.add("ce-connectionState", state.removeprefix("empty"))
        return response

    handler.responses = dict.fromkeys(("connected", "one-two", "empty"), answer)
    async with serving(handler, make_connector) as connector:
        peer, _ = await connector.open_connected(JSON)
        await handler.next("connected")
        for name in ("one-two", "empty", "last"):
            await peer.request(type="event", event=name, data=1, ackId=len(handler.received))

    states = [received.headers.get("ce-connectionState") for received in handler.received[3:6]]
    assert states == [None, "two", ""]
    assert caplog.text.count("several ce-connectionState") == 1


@pytest.mark.parametrize(("events", "is_sent"), [("HELLO, x", True), ("x", False), ("none", False)])
async def test_only_the_selected_user_events_are_sent(
    handler: Handler,
    make_connector: Callable[..., Any],
    events: str,
    is_sent: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """One that no handler takes is as without handlers: the connection stays."""
    async with serving(
        handler, make_connector, user_events=events, system_events="none"
    ) as connector:
        peer, _ = await connector.open_connected(JSON)
        event = {"type": "event", "event": "hello", "dataType": "text", "data": "x"}
        ack = await peer.request(**event, ackId=1)
        pong = await peer.request(type="ping")

    assert ack["success"] is is_sent
    assert pong == {"type": "pong"}
    assert handler.names == (["OPTIONS", "hello"] if is_sent else [])


async def test_connected_and_disconnected_block_nobody(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """A client goes on while they are not answered."""
    released = asyncio.Event()

    async def wait(_: web.BaseRequest) -> web.Response:
        await released.wait()
        return web.Response()

    handler.responses["connected"] = handler.responses["disconnected"] = wait
    async with serving(handler, make_connector) as connector:
        peer, _ = await connector.open_connected(JSON)
        await handler.next("connected")
        pong = await peer.request(type="ping")
        await peer.socket.close()
        await handler.next("disconnected")
        released.set()

    assert pong == {"type": "pong"}


async def test_disconnected_comes_after_connected(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """Also of a client that leaves before its `connected` has arrived."""
    faults = ["delay=100ms,on=connected"]
    async with serving(handler, make_connector, faults=faults) as connector:
        peer, _ = await connector.open_connected(JSON)
        await peer.socket.close()
        disconnected = await handler.next("disconnected")

    assert handler.names == ["OPTIONS", "connect", "connected", "disconnected"]
    assert disconnected.headers["ce-id"] == "2"


async def test_a_recovered_connection_is_connected_and_disconnected_once(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """A reliable client that loses its socket is still connected."""
    async with serving(handler, make_connector) as connector:
        peer, connected = await connector.open_connected(RELIABLE)
        peer.abort()
        recovered = await connector.recover(connected)
        await recovered.socket.close(code=1000)
        await handler.next("disconnected")

    assert handler.names == ["OPTIONS", "connect", "connected", "disconnected"]


@pytest.mark.parametrize("protocol", ["", JSON])
async def test_a_lost_client_is_disconnected_while_its_event_is_not_answered(
    handler: Handler, make_connector: Callable[..., Any], protocol: str
) -> None:
    """The event is canceled: nobody would receive its answer."""
    canceled = asyncio.Event()

    async def stall(_: web.BaseRequest) -> web.Response:
        try:
            await asyncio.Event().wait()
        finally:
            canceled.set()
        raise AssertionError

    handler.responses["message"] = stall
    async with serving(handler, make_connector) as connector:
        peer = await connector.open(protocol)
        event = {"type": "event", "event": "message", "data": 1}
        await peer.socket.send_str(json.dumps(event))
        await handler.next("message")
        peer.abort()
        await handler.next("disconnected")
        await connector.wait_until_empty()
        async with asyncio.timeout(10):
            await canceled.wait()
        (entry,) = [
            entry
            for entry in connector.emulator.request_log.entries()
            if entry.operation == "userEvent"
        ]

    assert (entry.status, entry.what.detail.partition(",")[0]) == (0, "message: canceled")


@pytest.mark.parametrize("status", [200, 500])
async def test_a_reliable_client_that_recovers_gets_the_answer_to_its_event(
    handler: Handler, make_connector: Callable[..., Any], status: int
) -> None:
    """On its new socket, which does not wait for the event; a failure closes that one."""
    answered = asyncio.Event()

    async def answer(_: web.BaseRequest) -> web.Response:
        await answered.wait()
        return web.Response(status=status, text="hi")

    handler.responses["hello"] = answer
    async with serving(handler, make_connector) as connector:
        peer, connected = await connector.open_connected(RELIABLE)
        await peer.send(type="event", event="hello", data=1, ackId=1)
        await handler.next("hello")
        peer.abort()
        recovered = await connector.recover(connected)
        pong = await recovered.request(type="ping")
        answered.set()
        frames = [await recovered.receive(), await recovered.receive()]

    assert pong == {"type": "pong"}
    if status == 200:
        assert (frames[0]["data"], frames[1]["success"]) == ("hi", True)
    else:
        assert (frames[0]["success"], frames[1]) == (False, (1011, "Internal server error"))


async def test_a_client_is_served_while_its_event_is_not_answered(
    handler: Handler, make_connector: Callable[..., Any], make_raw_socket: Any
) -> None:
    """Its pings are answered; its next frame waits, also if it is a close."""
    answered = asyncio.Event()

    async def answer(_: web.BaseRequest) -> web.Response:
        await answered.wait()
        return web.Response(text="hi")

    handler.responses["message"] = answer
    async with serving(handler, make_connector) as connector:
        socket = await make_raw_socket(connector)
        socket.send(0x81, b"x")
        await handler.next("message")
        socket.send(0x89, b"ping")
        pong = await socket.receive_frame()
        socket.send(0x88, b"\x03\xe8")
        answered.set()
        frames = [await socket.receive_frame(), await socket.receive_frame()]
        socket.writer.close()

    assert pong == (0x8A, b"ping")
    assert frames[0] == (0x81, b"hi")
    assert frames[1][0] == 0x88


async def test_a_handler_that_is_slow_or_down_refuses_clients_and_keeps_the_emulator_running(
    handler: Handler, make_connector: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The log says why, without the query of the URL."""

    async def stall(_: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    handler.responses["connect"] = stall
    async with serving(handler, make_connector, "/e?code=secret", event_seconds=0.2) as connector:
        slow, _ = await connector.refused_upgrade(connector.target())
    async with Emulator(event_handlers=["http://127.0.0.1:9/e?code=secret"]) as emulator:
        connector = make_connector(emulator)
        down, _ = await connector.refused_upgrade(connector.target())

    assert (slow, down) == (500, 500)
    assert "no response within 0.2 s" in caplog.text
    assert "http://127.0.0.1:9/e)" in caplog.text
    assert "secret" not in caplog.text


async def test_a_stop_does_not_wait_for_handlers(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """Clients that wait for `connect` are refused; what waits for an answer is given up.

    Also that of a client that is away.
    """

    async def stall(_: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    handler.responses["hello"] = stall
    emulator = Emulator(event_handlers=[handler.origin])
    await emulator.start()
    connector = make_connector(emulator)
    peer, _ = await connector.open_connected(RELIABLE)
    await peer.send(type="event", event="hello", data=1)
    await handler.next("hello")
    peer.abort()
    handler.responses["connect"] = stall
    waiting = asyncio.ensure_future(connector.refused_upgrade(connector.target()))
    await handler.next("connect", nth=2)
    async with asyncio.timeout(3):
        await emulator.stop()
        status, _ = await waiting

    assert status == 500


@pytest.mark.parametrize(
    ("fault", "status", "names"),
    [
        ("403,on=connect", 403, []),
        ("503,after,on=connect", 503, ["OPTIONS", "connect"]),
        ("drop,on=connect", 500, []),
        ("stall,on=connect", 500, []),
        ("delay=1m,on=connect", 500, []),
    ],
)
async def test_faults_replace_the_answers_of_handlers(
    handler: Handler,
    make_connector: Callable[..., Any],
    fault: str,
    status: int,
    names: list[str],
) -> None:
    """The request log has them, and what was returned."""
    async with serving(
        handler, make_connector, faults=[fault, "503"], event_seconds=0.1
    ) as connector:
        refused, _ = await connector.refused_upgrade(connector.target())
        entries = [
            entry
            for entry in connector.emulator.request_log.entries()
            if getattr(entry.what, "kind", None) is EventKind.DISPATCHED
        ]

    assert refused == status
    assert handler.names == names
    assert [(entry.operation, entry.what.faults) for entry in entries] == [("connect", (fault,))]
    assert entries[0].status == (0 if status == 500 else status)


async def test_the_request_log_has_the_calls_of_handlers(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """Each with its status, and a user event with the message that its client received."""
    handler.responses["hello"] = answering(200, b"hi", Content_Type="text/plain")
    async with serving(handler, make_connector, "/e?code=secret") as connector:
        peer, _ = await connector.open_connected(JSON, sub="ada")
        await peer.request(type="event", event="hello", dataType="text", data="x", ackId=1)
        await handler.next("connected")
        await peer.socket.close()
        await handler.next("disconnected")
        await connector.wait_until_empty()
        url = f"{connector.emulator.endpoint.origin}/_local/ledger?operation=userEvent"
        headers = {"Authorization": f"Bearer {connector.emulator.endpoint.key}"}
        async with connector.session.get(url, headers=headers) as response:
            entries = (await response.json())["entries"]

    (entry,) = entries
    assert (entry["event"], entry["status"], entry["userId"]) == ("dispatched", 200, "ada")
    assert entry["detail"] == f"hello: 200 ({handler.origin}/e)"
    assert entry["effect"]["message"]["data"] == "hi"
    assert "secret" not in json.dumps(entries)


async def test_a_hub_with_handlers_of_its_own_does_not_use_those_of_all_hubs(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """Its name ignores case."""
    handlers = [f"{handler.origin}/all", f"CHAT={handler.origin}/own"]
    async with Emulator(event_handlers=handlers, system_events="connect") as emulator:
        connector = make_connector(emulator)
        await connector.open_connected(JSON)
        await connector.open_connected(JSON, hub="other")

    posts = [received.path for received in handler.received if received.method == "POST"]
    assert posts == ["/own", "/all"]


async def test_without_a_handler_for_its_hub_a_client_causes_no_events(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """An event of it has no handler."""
    async with Emulator(event_handlers=[f"other={handler.origin}"]) as emulator:
        connector = make_connector(emulator)
        peer, _ = await connector.open_connected(JSON)
        ack = await peer.request(type="event", event="e", dataType="text", data="x", ackId=1)

    assert ack["error"]["name"] == "InternalServerError"
    assert handler.received == []


async def test_a_close_by_rest_is_reported_with_its_reason(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """In the words that clients receive."""
    async with serving(handler, make_connector) as connector:
        await connector.open_connected(JSON)
        connector.emulator.reset()
        disconnected = await handler.next("disconnected")

    reason = "Application server closed the connection. Reason: reset"
    assert json.loads(disconnected.body) == {"reason": reason}


async def test_a_user_id_that_no_header_can_carry_is_sent_with_replacements(
    handler: Handler, make_connector: Callable[..., Any]
) -> None:
    """It cannot add a header."""
    async with serving(handler, make_connector, system_events="connect") as connector:
        await connector.open_connected(JSON, sub="a\r\nce-hub: b")
    connect = await handler.next("connect")

    assert connect.headers["ce-userId"] == "a\ufffd\ufffdce-hub: b"
    assert connect.headers.getall("ce-hub") == ["chat"]


async def test_raw_garbage_in_place_of_http_refuses_the_client(
    make_connector: Callable[..., Any],
) -> None:
    """Whatever comes: no HTTP, or a connection that is closed at once."""
    answers = [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"]

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Emulator(event_handlers=[f"http://127.0.0.1:{port}/"]) as emulator:
        connector = make_connector(emulator)
        statuses = [(await connector.refused_upgrade(connector.target()))[0] for _ in range(3)]

    assert statuses == [500] * 3
