"""WebSocket clients over loopback: accepted and refused, served, closed and logged."""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from wps_run.emulator.effects import Deliver
from wps_run.emulator.request_log import ClientEvent, EventKind
from wps_run.emulator.server import Emulator

JSON = "json.webpubsub.azure.v1"
RELIABLE = "json.reliable.webpubsub.azure.v1"
PROTOBUF = "protobuf.webpubsub.azure.v1"
JOIN_AND_SEND = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
CHAT = "/api/hubs/chat"


@pytest.mark.parametrize("hub", ["chat", "Chat", "a[b]`,._1"])
async def test_a_client_connects_with_its_token(
    emulator: Emulator, connector: Any, hub: str
) -> None:
    """It has the user and the groups of its token; hub names are case-insensitive."""
    peer = await connector.open(JSON, hub, sub="ada", webpubsub_group=["g", "a/b", "你好 🎉"])
    connected = await peer.receive()

    connection = emulator.hubs[hub.lower()].connections[connected["connectionId"]]
    assert connected == {
        "type": "system",
        "event": "connected",
        "userId": "ada",
        "connectionId": connection.connection_id,
    }
    assert len(connection.connection_id) == 31
    assert connection.user_id == "ada"
    assert list(connection.groups) == ["g", "a/b", "你好 🎉"]
    assert connection.protocol == JSON
    assert peer.socket.protocol == JSON


async def test_claims_may_be_one_value_or_a_list(emulator: Emulator, connector: Any) -> None:
    """Some libraries write a single role or group without a list."""
    peer, connected = await connector.open_connected(
        webpubsub_group="g", role="webpubsub.joinLeaveGroup"
    )

    assert list(emulator.hubs["chat"].groups) == ["g"]
    assert (await peer.request(type="joinGroup", group="h", ackId=1))["success"]
    assert connected["userId"] is None


async def test_the_other_path_and_the_header_work_as_well(connector: Any) -> None:
    """The hub in the query, the token in the Authorization header, an audience in any scheme."""
    host = connector.emulator.endpoint.host
    for audience in (f"WSS://{host}/CLIENT/HUBS/chat", f"https://{host}/client/hubs/Chat"):
        bearer = f"bearer {connector.token(aud=audience)}"
        peer = await connector.connect("/client/?hub=CHAT", JSON, Authorization=bearer)
        assert (await peer.receive())["event"] == "connected"
        peer = await connector.connect(
            f"/client/?hub=chat&access_token={connector.token(aud=audience)}", JSON
        )
        assert (await peer.receive())["event"] == "connected"


@pytest.mark.parametrize(
    "claims",
    [
        {"key": "k" * 32},
        {"exp": 1},
        {"exp": None},
        {"aud": "http://elsewhere/client/hubs/chat"},
        {"aud": None},
        {"sub": 7},
        {"sub": " "},
        {"role": 7},
        {"webpubsub_group": {"g": 1}},
    ],
)
async def test_a_bad_token_is_refused_before_the_upgrade(
    connector: Any, claims: dict[str, Any]
) -> None:
    """With 401 and without a token in the body; no hub is created."""
    status, body = await connector.refused_upgrade(connector.target(**claims))

    assert status == 401
    assert "eyJ" not in body
    assert connector.emulator.hubs == {}


async def test_a_token_for_another_hub_or_for_rest_is_refused(connector: Any) -> None:
    """So is an empty one, and one for a hub whose name has this one as its prefix."""
    origin = connector.emulator.endpoint.origin
    audiences = ("/client/hubs/other", "/client/hubs/chatter", "/api/hubs/chat", "")
    tokens = ["", "nonsense", *(connector.token(aud=origin + path) for path in audiences)]

    for token in tokens:
        status, _ = await connector.refused_upgrade(f"/client/hubs/chat?access_token={token}")
        assert status == 401


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/client/hubs/chat", {"Upgrade": ""}, 400),
        ("/client/hubs/chat", {"Connection": ""}, 400),
        ("/client/hubs/1chat", {}, 400),
        ("/client/hubs/", {}, 400),
        ("/client/hubs/chat/more", {}, 400),
        ("/client/", {}, 400),
        ("/client", {}, 400),
        ("/client?hub=", {}, 400),
        ("/client/%00", {}, 400),
        ("/clients/mqtt/hubs/chat", {}, 404),
        ("/clients/socketio/hubs/chat", {}, 404),
    ],
)
async def test_an_invalid_connect_request_is_refused(
    connector: Any, target: str, headers: dict[str, str], status: int
) -> None:
    """No upgrade or no hub is 400, an unsupported protocol 404. Both have a hint."""
    answer = await connector.refused_upgrade(target, **headers)

    assert answer[0] == status
    assert "/client/hubs/{hub}" in answer[1]


@pytest.mark.parametrize("headers", [{"Sec_WebSocket_Key": "x"}, {"Sec_WebSocket_Version": "9"}])
async def test_a_broken_handshake_is_400(connector: Any, headers: dict[str, str]) -> None:
    """And creates no connection."""
    status, _ = await connector.refused_upgrade(connector.target(), **headers)

    assert status == 400
    assert not any(hub.connections for hub in connector.emulator.hubs.values())


@pytest.mark.parametrize(
    ("claims", "query"),
    [
        ({"webpubsub_group": ["g", " "]}, ""),
        ({"webpubsub_group": "x" * 1025}, ""),
        ({}, "webpubsub_mode=other"),
        ({}, "webpubsub_mode=sendEvent&webpubsub_mode=other"),
        ({}, "webpubsub_mode=sendToGroup"),
        ({}, "webpubsub_mode=sendToGroup&group=%20"),
        ({}, "webpubsub_mode=sendToGroup&group=g&noEcho=2"),
    ],
)
async def test_invalid_groups_and_modes_are_400(
    connector: Any, claims: dict[str, Any], query: str
) -> None:
    """Before the upgrade, also for a client that offers a subprotocol."""
    target = connector.target(query=query, **claims)

    assert (await connector.refused_upgrade(target))[0] == 400
    assert (await connector.refused_upgrade(target, Sec_WebSocket_Protocol=JSON))[0] == 400


async def test_the_first_supported_subprotocol_is_negotiated(
    connector: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """In the client's spelling; without any it is a simple client, without a warning."""
    url = "ws" + connector.emulator.endpoint.origin[4:]
    offered = [Subprotocol(name) for name in ("mqtt", "JSON.webpubsub.Azure.v1", RELIABLE)]
    with caplog.at_level(logging.WARNING):
        async with connect(url + connector.target(), subprotocols=offered) as socket:
            assert socket.subprotocol == offered[1]
            assert json.loads(await socket.recv())["event"] == "connected"
        peer = await connector.connect(connector.target(), "mqtt")

    assert peer.socket.protocol is None
    assert caplog.records == []


async def test_over_tls(
    certificate: tuple[str, str], make_connector: Callable[[Emulator], Any]
) -> None:
    """A client and a REST call, as over plain TCP; a message of a megabyte, too."""
    trust = ssl.create_default_context(cafile=certificate[0])
    async with Emulator(tls_cert=certificate[0], tls_key=certificate[1]) as emulator:
        connector = make_connector(emulator)
        url = "ws" + emulator.endpoint.origin[4:] + connector.target(role=JOIN_AND_SEND)
        async with connect(
            url, ssl=trust, subprotocols=[Subprotocol(JSON)], max_size=None
        ) as socket:
            await socket.recv()
            await socket.send('{"type":"joinGroup","group":"g","ackId":1}')
            await socket.recv()
            await socket.send(
                json.dumps({"type": "sendToGroup", "group": "g", "data": "x" * 10**6})
            )
            assert len(await socket.recv()) > 10**6
            await socket.send("{")
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1007


async def test_groups_and_messages(connector: Any, call: Any) -> None:
    """Join, receive messages of REST and of each other, leave, receive no more."""
    ada, _ = await connector.open_connected(sub="ada", role=JOIN_AND_SEND)
    bob, _ = await connector.open_connected(PROTOBUF, sub="bob", webpubsub_group="g")
    raw = await connector.open(webpubsub_group="g")

    assert await ada.request(type="joinGroup", group="g", ackId=1) == {
        "type": "ack",
        "ackId": 1,
        "success": True,
    }
    await call("POST", f"{CHAT}/groups/g/:send", b'{"a": 1}', Content_Type="application/json")
    assert (await ada.receive())["data"] == {"a": 1}
    assert await raw.receive() == {"a": 1}
    assert b'{"a": 1}' in await bob.receive()

    echo = await ada.request(type="sendToGroup", group="g", data="aGk=", dataType="binary")
    assert echo["fromUserId"] == "ada"
    assert await raw.receive() == b"hi"
    assert b"hi" in await bob.receive()

    await ada.send(type="sendToGroup", group="g", data="x", dataType="text", noEcho=True)
    assert await raw.receive() == "x"
    assert (await ada.request(type="leaveGroup", group="g", ackId=2))["ackId"] == 2
    await call("POST", f"{CHAT}/groups/g/:send", b"missed")
    assert await ada.request(type="ping") == {"type": "pong"}


@pytest.mark.parametrize("protocol", [JSON, RELIABLE])
async def test_a_client_receives_its_own_message_before_the_ack(
    connector: Any, protocol: str
) -> None:
    """The effect of a request comes first."""
    peer, _ = await connector.open_connected(protocol, role=JOIN_AND_SEND, webpubsub_group="g")

    for ack_id in (1, 2):
        echo = await peer.request(type="sendToGroup", group="g", data=ack_id, ackId=ack_id)
        assert (echo["type"], echo["data"]) == ("message", ack_id)
        assert await peer.receive() == {"type": "ack", "ackId": ack_id, "success": True}


async def test_permissions_change_at_once(connector: Any, call: Any) -> None:
    """A grant by REST allows the next request, a revocation forbids it despite roles."""
    peer, connected = await connector.open_connected(role=["webpubsub.sendToGroup"])
    who = connected["connectionId"]

    answer = await peer.request(type="joinGroup", group="g", ackId=1)
    assert answer["error"] == {
        "name": "Forbidden",
        "message": "The client does not have permission to join group 'g'.",
    }
    await call("PUT", f"{CHAT}/permissions/joinLeaveGroup/connections/{who}?targetName=g")
    assert (await peer.request(type="joinGroup", group="g", ackId=1))["success"]
    await call("DELETE", f"{CHAT}/permissions/sendToGroup/connections/{who}?targetName=g")
    answer = await peer.request(type="sendToGroup", group="g", data=1, ackId=3)
    assert answer["error"]["name"] == "Forbidden"


async def test_a_simple_client_that_sends_to_its_group(connector: Any) -> None:
    """Each frame is a message; without the role the client is closed with 1008."""
    query = "webpubsub_mode=SENDTOGROUP&group=" + quote("a/b 你好")
    member = await connector.open(webpubsub_group="a/b 你好")
    quiet = await connector.open(
        query=query + "&noEcho=TRUE", webpubsub_group="a/b 你好", role="webpubsub.sendToGroup"
    )
    unauthorized = await connector.open(query=query)

    await quiet.socket.send_str("text")
    await quiet.socket.send_bytes(b"\xff\x00")
    assert [await member.receive(), await member.receive()] == ["text", b"\xff\x00"]
    await unauthorized.socket.send_str("x")
    assert (await unauthorized.receive())[0] == 1008
    assert not quiet.socket.closed


async def test_an_event_has_no_handler(connector: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A simple client is closed with 1011, others get an error; the log says what to do."""
    raw = await connector.open()
    peer, _ = await connector.open_connected()
    with caplog.at_level(logging.INFO, "wps_run.emulator"):
        await raw.socket.send_str("x")
        assert (await raw.receive())[0] == 1011
        answer = await peer.request(type="event", event="e", data=1, ackId=1)
        await peer.send(type="event", event="e", data=1)
        assert await peer.request(type="ping") == {"type": "pong"}

    assert answer["error"] == {"name": "InternalServerError", "message": "Internal server error"}
    lines = [
        record.getMessage()
        for record in caplog.records
        if "event handler" in record.msg % record.args
    ]
    assert len(lines) == 3
    assert all("webpubsub_mode=sendToGroup" in line for line in lines)


async def test_unsupported_requests_are_errors(connector: Any) -> None:
    """If they have an ack ID; the connection stays open."""
    peer, _ = await connector.open_connected(role=JOIN_AND_SEND)

    answer = await peer.request(
        type="sendToGroup", group="g", ackId=1, stream={"streamId": "s", "idleTimeoutMs": 1}
    )
    assert not answer["success"]
    await peer.send(type="streamData", streamId="s", streamSequenceId=1, data="x")
    assert await peer.request(type="ping") == {"type": "pong"}


@pytest.mark.parametrize(("query", "more"), [("?reason=too%20late", " Reason: too late"), ("", "")])
async def test_a_rest_call_closes_with_notice(
    connector: Any, call: Any, query: str, more: str
) -> None:
    """Clients with a subprotocol get a notice; the close frame is 1000 without a reason."""
    peer, _ = await connector.open_connected(webpubsub_group="g")
    raw = await connector.open(webpubsub_group="g")
    await call("POST", f"{CHAT}/:send", b"last")
    answer = await call("POST", f"{CHAT}/groups/g/:closeConnections{query}")

    assert answer.status == 204
    assert (await peer.receive())["data"] == "last"
    assert await peer.receive() == {
        "type": "system",
        "event": "disconnected",
        "message": f"Application server closed the connection.{more}",
    }
    assert await peer.receive() == (1000, "")
    assert await raw.receive() == "last"
    assert await raw.receive() == (1000, "")
    assert not connector.emulator.hubs["chat"].connections


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_an_unreliable_connection_ends_with_its_websocket(connector: Any, end: str) -> None:
    """With and without a close frame."""
    peer, _ = await connector.open_connected()
    if end == "close":
        await peer.socket.close(code=1001)
    else:
        peer.abort()

    await connector.wait_until_empty()


async def test_a_stop_closes_all_clients_in_bounded_time(
    make_connector: Any, make_raw_socket: Any
) -> None:
    """With 1001; a client that neither reads nor answers is aborted."""
    emulator = Emulator()
    await emulator.start()
    connector = make_connector(emulator)
    peer, _ = await connector.open_connected()
    detached, _ = await connector.open_connected(RELIABLE)
    detached.abort()
    unresponsive = await make_raw_socket(connector)
    loop = asyncio.get_running_loop()
    start = loop.time()

    stopping = asyncio.ensure_future(emulator.stop())
    assert await peer.receive() == (1001, "The emulator stops.")
    await stopping

    assert loop.time() - start < 4
    assert await unresponsive.read_to_end() == b"\x88\x15\x03\xe9The emulator stops."
    assert not emulator.hubs["chat"].connections


async def test_events_are_reported(make_connector: Any, make_rest_client: Any) -> None:
    """In order, with their recipients, and never a token."""
    events: list[ClientEvent] = []
    async with Emulator(on_event=events.append) as emulator:
        connector, call = make_connector(emulator), make_rest_client(emulator)
        peer, connected = await connector.open_connected(RELIABLE, sub="ada", role=JOIN_AND_SEND)
        await peer.request(type="joinGroup", group="g", ackId=1)
        await peer.request(type="sendToGroup", group="g", data=1)
        await peer.request(type="leaveGroup", group="g", ackId=2)
        await peer.socket.close(code=1001)
        recovered = await connector.recover(connected)
        assert (await recovered.receive())["sequenceId"] == 1
        await call("POST", f"{CHAT}/:closeConnections?reason=bye")
        assert (await recovered.receive())["event"] == "disconnected"
        await connector.refused_upgrade("/client/hubs/chat?access_token=secret")
        kinds = [event.kind for event in events]
        effect = events[2].effect

    assert kinds == [
        EventKind.CONNECTED,
        EventKind.JOINED,
        EventKind.SENT,
        EventKind.LEFT,
        EventKind.DETACHED,
        EventKind.RECOVERED,
        EventKind.DISCONNECTED,
        EventKind.REFUSED,
    ]
    assert isinstance(effect, Deliver)
    assert effect.connections == (connected["connectionId"],)
    assert {event.user_id for event in events[:-1]} == {"ada"}
    assert events[-2].detail == "closed by REST: bye"
    assert not any("secret" in repr(event) or "eyJ" in repr(event) for event in events)


async def test_another_client_library_works(connector: Any) -> None:
    """The `websockets` library, which offers compression."""
    url = "ws" + connector.emulator.endpoint.origin[4:]
    async with connect(url + connector.target(), subprotocols=[Subprotocol(RELIABLE)]) as socket:
        assert json.loads(await socket.recv())["reconnectionToken"].startswith("ey")
        assert socket.protocol.extensions == []
    assert socket.close_code == 1000
    assert not connector.emulator.hubs["chat"].connections
