"""WebSocket clients over loopback: let in or refused, served, slow, rude, closed."""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from runner.service.effects import Deliver
from runner.service.events import ClientEvent, EventKind
from runner.service.server import LocalService
from runner.service.sockets.replay import Limits

JSON = "json.webpubsub.azure.v1"
RELIABLE = "json.reliable.webpubsub.azure.v1"
PROTOBUF = "protobuf.webpubsub.azure.v1"
JOIN_AND_SEND = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
CHAT = "/api/hubs/chat"


async def gone(service: LocalService, hub: str = "chat") -> None:
    """Wait until a hub is empty."""
    async with asyncio.timeout(10):
        while service.hubs[hub].connections:
            turn = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.005, turn.set_result, None)
            await turn


# Letting in.


@pytest.mark.parametrize("hub", ["chat", "Chat", "a[b]`,._1"])
async def test_a_client_is_let_in_with_its_token(
    service: LocalService, door: Any, hub: str
) -> None:
    """It has its user and is in its groups from the start; hubs are compared without case."""
    peer = await door.open(JSON, hub, sub="ada", webpubsub_group=["g", "a/b", "你好 🎉"])
    greeting = await peer.next()

    connection = service.hubs[hub.lower()].connections[greeting["connectionId"]]
    assert greeting == {
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


async def test_claims_may_be_one_value_or_a_list(service: LocalService, door: Any) -> None:
    """A single role and a single group are written without a list by some libraries."""
    peer, greeting = await door.greeted(webpubsub_group="g", role="webpubsub.joinLeaveGroup")

    assert list(service.hubs["chat"].groups) == ["g"]
    assert (await peer.ask(type="joinGroup", group="h", ackId=1))["success"]
    assert greeting["userId"] is None


async def test_the_other_path_and_the_header_do_as_well(door: Any) -> None:
    """The hub in the query, the token in the Authorization header, an audience in any scheme."""
    host = door.service.endpoint.host
    for audience in (f"WSS://{host}/CLIENT/HUBS/chat", f"https://{host}/client/hubs/Chat"):
        bearer = f"bearer {door.token(aud=audience)}"
        peer = await door.knock("/client/?hub=CHAT", JSON, Authorization=bearer)
        assert (await peer.next())["event"] == "connected"
        peer = await door.knock(f"/client/?hub=chat&access_token={door.token(aud=audience)}", JSON)
        assert (await peer.next())["event"] == "connected"


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
async def test_a_bad_token_is_refused_before_the_upgrade(door: Any, claims: dict[str, Any]) -> None:
    """With 401, and nobody is there."""
    status, body = await door.refused(door.target(**claims))

    assert status == 401
    assert "eyJ" not in body
    assert door.service.hubs == {}


async def test_a_token_for_another_hub_or_for_rest_is_refused(door: Any) -> None:
    """So is none at all, and one that begins like the hub."""
    origin = door.service.endpoint.origin
    audiences = ("/client/hubs/other", "/client/hubs/chatter", "/api/hubs/chat", "")
    tokens = ["", "nonsense", *(door.token(aud=origin + path) for path in audiences)]

    for token in tokens:
        status, _ = await door.refused(f"/client/hubs/chat?access_token={token}")
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
async def test_what_is_no_knock_is_refused(
    door: Any, target: str, headers: dict[str, str], status: int
) -> None:
    """No upgrade or no hub is 400; what is not spoken here is 404. Both say where to go."""
    answer = await door.refused(target, **headers)

    assert answer[0] == status
    assert "/client/hubs/{hub}" in answer[1]


@pytest.mark.parametrize("headers", [{"Sec_WebSocket_Key": "x"}, {"Sec_WebSocket_Version": "9"}])
async def test_a_broken_handshake_is_400(door: Any, headers: dict[str, str]) -> None:
    """And leaves nobody behind."""
    status, _ = await door.refused(door.target(), **headers)

    assert status == 400
    assert not any(hub.connections for hub in door.service.hubs.values())


@pytest.mark.parametrize(
    ("claims", "query"),
    [
        ({"webpubsub_group": ["g", " "]}, ""),
        ({"webpubsub_group": "x" * 1025}, ""),
        ({}, "webpubsub_mode=other"),
        ({}, "webpubsub_mode=sendToGroup"),
        ({}, "webpubsub_mode=sendToGroup&group=%20"),
        ({}, "webpubsub_mode=sendToGroup&group=g&noEcho=2"),
    ],
)
async def test_wrong_groups_and_modes_are_400(
    door: Any, claims: dict[str, Any], query: str
) -> None:
    """Before the upgrade."""
    assert (await door.refused(door.target(query=query, **claims)))[0] == 400


async def test_the_first_subprotocol_that_is_spoken_is_taken_as_it_was_spelt(
    door: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """None of them: a simple client. Nobody is warned of it."""
    url = "ws" + door.service.endpoint.origin[4:]
    offered = [Subprotocol(one) for one in ("mqtt", "JSON.webpubsub.Azure.v1", RELIABLE)]
    with caplog.at_level(logging.WARNING):
        async with connect(url + door.target(), subprotocols=offered) as socket:
            assert socket.subprotocol == offered[1]
            assert json.loads(await socket.recv())["event"] == "connected"
        peer = await door.knock(door.target(), "mqtt")

    assert peer.socket.protocol is None
    assert caplog.records == []


async def test_over_tls(
    certificate: tuple[str, str], make_door: Callable[[LocalService], Any]
) -> None:
    """A client and a REST call, as over plain TCP; a message of a megabyte, too."""
    trust = ssl.create_default_context(cafile=certificate[0])
    async with LocalService(tls_cert=certificate[0], tls_key=certificate[1]) as service:
        door = make_door(service)
        url = "ws" + service.endpoint.origin[4:] + door.target(role=JOIN_AND_SEND)
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


# What clients do.


async def test_groups_and_messages(door: Any, call: Any) -> None:
    """Join, hear REST and each other, leave, hear no more."""
    ada, _ = await door.greeted(sub="ada", role=JOIN_AND_SEND)
    bob, _ = await door.greeted(PROTOBUF, sub="bob", webpubsub_group="g")
    raw = await door.open(webpubsub_group="g")

    assert await ada.ask(type="joinGroup", group="g", ackId=1) == {
        "type": "ack",
        "ackId": 1,
        "success": True,
    }
    await call("POST", f"{CHAT}/groups/g/:send", b'{"a": 1}', Content_Type="application/json")
    assert (await ada.next())["data"] == {"a": 1}
    assert await raw.next() == {"a": 1}
    assert b'{"a": 1}' in await bob.next()

    echo = await ada.ask(type="sendToGroup", group="g", data="aGk=", dataType="binary")
    assert echo["fromUserId"] == "ada"
    assert await raw.next() == b"hi"
    assert b"hi" in await bob.next()

    await ada.say(type="sendToGroup", group="g", data="x", dataType="text", noEcho=True)
    assert await raw.next() == "x"
    assert (await ada.ask(type="leaveGroup", group="g", ackId=2))["ackId"] == 2
    await call("POST", f"{CHAT}/groups/g/:send", b"unheard")
    assert await ada.ask(type="ping") == {"type": "pong"}


async def test_permissions_hold_at_once(door: Any, call: Any) -> None:
    """A grant by REST allows the next request, a revocation forbids it in spite of roles."""
    peer, greeting = await door.greeted(role=["webpubsub.sendToGroup"])
    who = greeting["connectionId"]

    told = await peer.ask(type="joinGroup", group="g", ackId=1)
    assert told["error"] == {
        "name": "Forbidden",
        "message": "The client does not have permission to join group 'g'.",
    }
    await call("PUT", f"{CHAT}/permissions/joinLeaveGroup/connections/{who}?targetName=g")
    assert (await peer.ask(type="joinGroup", group="g", ackId=1))["success"]
    await call("DELETE", f"{CHAT}/permissions/sendToGroup/connections/{who}?targetName=g")
    told = await peer.ask(type="sendToGroup", group="g", data=1, ackId=3)
    assert told["error"]["name"] == "Forbidden"


async def test_a_simple_client_that_sends_to_its_group(door: Any) -> None:
    """Each frame is a message; without the role it is closed with 1008."""
    query = "webpubsub_mode=SENDTOGROUP&group=" + quote("a/b 你好")
    member = await door.open(webpubsub_group="a/b 你好")
    quiet = await door.open(
        query=query + "&noEcho=TRUE", webpubsub_group="a/b 你好", role="webpubsub.sendToGroup"
    )
    rude = await door.open(query=query)

    await quiet.socket.send_str("text")
    await quiet.socket.send_bytes(b"\xff\x00")
    assert [await member.next(), await member.next()] == ["text", b"\xff\x00"]
    await rude.socket.send_str("x")
    assert (await rude.next())[0] == 1008
    assert not quiet.socket.closed


async def test_an_event_has_no_handler(door: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A simple client is closed with 1011, others are told; the log says why, and what to do."""
    raw = await door.open()
    peer, _ = await door.greeted()
    with caplog.at_level(logging.INFO, "runner.service"):
        await raw.socket.send_str("x")
        assert (await raw.next())[0] == 1011
        told = await peer.ask(type="event", event="e", data=1, ackId=1)
        await peer.say(type="event", event="e", data=1)
        assert await peer.ask(type="ping") == {"type": "pong"}

    assert told["error"] == {"name": "InternalServerError", "message": "Internal server error"}
    lines = [
        record.getMessage()
        for record in caplog.records
        if "event handler" in record.msg % record.args
    ]
    assert len(lines) == 3
    assert all("webpubsub_mode=sendToGroup" in line for line in lines)


async def test_what_is_not_done_here_is_refused_politely(door: Any) -> None:
    """Streams and invocations get an answer if they ask for one, and do no harm."""
    peer, _ = await door.greeted(role=JOIN_AND_SEND)

    told = await peer.ask(
        type="sendToGroup", group="g", ackId=1, stream={"streamId": "s", "idleTimeoutMs": 1}
    )
    assert not told["success"]
    await peer.say(type="streamData", streamId="s", streamSequenceId=1, data="x")
    assert await peer.ask(type="ping") == {"type": "pong"}


# Being closed.


@pytest.mark.parametrize(("query", "more"), [("?reason=too%20late", " Reason: too late"), ("", "")])
async def test_a_rest_call_closes_with_notice(door: Any, call: Any, query: str, more: str) -> None:
    """Clients with a subprotocol are told why; the close frame says 1000 and nothing."""
    peer, _ = await door.greeted(webpubsub_group="g")
    raw = await door.open(webpubsub_group="g")
    await call("POST", f"{CHAT}/:send", b"last")
    told = await call("POST", f"{CHAT}/groups/g/:closeConnections{query}")

    assert told.status == 204
    assert (await peer.next())["data"] == "last"
    assert await peer.next() == {
        "type": "system",
        "event": "disconnected",
        "message": f"Application server closed the connection.{more}",
    }
    assert await peer.next() == (1000, "")
    assert await raw.next() == "last"
    assert await raw.next() == (1000, "")
    assert not door.service.hubs["chat"].connections


@pytest.mark.parametrize("end", ["close", "vanish"])
async def test_a_client_that_is_not_reliable_is_gone_with_its_socket(door: Any, end: str) -> None:
    """However it goes."""
    peer, _ = await door.greeted()
    if end == "close":
        await peer.socket.close(code=1001)
    else:
        peer.vanish()

    await gone(door.service)


@pytest.mark.parametrize(
    ("first", "payload", "code"),
    [
        (0x81, b"\xff", 1007),
        (0x81, b"{", 1007),
        (0x81, b'{"type":"nonsense"}', 1007),
        (0x82, b"{}", 1003),
        (0x83, b"", 1002),
        (0xC1, b"x", 1002),
        (0x80, b"x", 1002),
        (0x09, b"x", 1002),
        (0x88, b"x", 1002),
        (0x88, b"\x03\xec", 1002),
        (0x81, b"x" * (1024 * 1024 + 1), 1009),
    ],
)
async def test_frames_that_break_the_rules_close_with_their_code(
    door: Any, make_wire: Any, first: int, payload: bytes, code: int
) -> None:
    """The client gets to read the code, although it may not have been done sending."""
    wire = await make_wire(door, JSON)
    wire.send(first, payload)

    assert await wire.code() == code
    assert await wire.end() == b""
    await gone(door.service)


async def test_an_oversized_frame_is_refused_by_its_header(door: Any, make_wire: Any) -> None:
    """Nothing of it is kept, so that half a frame of many gigabytes costs nothing."""
    wire = await make_wire(door, JSON)
    wire.send(0x81, b"", size=2**40)

    assert await wire.code() == 1009


async def test_a_message_of_a_mebibyte_in_fragments_passes(door: Any, make_wire: Any) -> None:
    """One byte more does not."""
    heard = await door.open(webpubsub_group="g")
    query = "webpubsub_mode=sendToGroup&group=g"
    wire = await make_wire(door, query=query, role="webpubsub.sendToGroup")
    half = b"x" * (512 * 1024)

    wire.send(0x01, half)
    wire.send(0x89, b"are you there")
    wire.send(0x80, half)
    assert await wire.frame() == (0x8A, b"are you there")
    assert await heard.next() == "x" * (1024 * 1024)

    wire.send(0x02, half)
    wire.send(0x00, half)
    wire.send(0x80, b"x")
    assert await wire.code() == 1009


# Coming back.


@pytest.mark.parametrize("code", [1001, 1006, 3000])
async def test_a_reliable_client_comes_back(door: Any, call: Any, code: int) -> None:
    """To the same connection, its groups and permissions, and to what it has not confirmed."""
    peer, greeting = await door.greeted(RELIABLE, role=JOIN_AND_SEND, webpubsub_group="g")
    await call("POST", f"{CHAT}/:send", b"one")
    await call("POST", f"{CHAT}/:send", b"two")
    assert [(await peer.next())["sequenceId"], (await peer.next())["sequenceId"]] == [1, 2]
    await peer.say(type="sequenceAck", sequenceId=1)
    assert await peer.ask(type="joinGroup", group="h", ackId=9) is not None
    if code == 1006:
        peer.vanish()
    else:
        await peer.socket.close(code=code)
    await call("POST", f"{CHAT}/groups/h/:send", b"three")
    assert (await call("HEAD", f"{CHAT}/connections/{greeting['connectionId']}")).status == 200

    again = await door.recover(greeting)

    assert again.socket.protocol == RELIABLE
    heard = [await again.next(), await again.next()]
    assert [(one["sequenceId"], one["data"]) for one in heard] == [(2, "two"), (3, "three")]
    assert (await again.ask(type="joinGroup", group="h", ackId=9))["error"]["name"] == "Duplicate"


async def test_a_second_socket_takes_over(door: Any, call: Any) -> None:
    """The first is cut off, and does not take the connection with it."""
    peer, greeting = await door.greeted(RELIABLE)
    again = await door.recover(greeting)

    assert (await peer.next())[0] == 1006
    await call("POST", f"{CHAT}/:send", b"x")
    assert (await again.next())["sequenceId"] == 1
    assert list(door.service.hubs["chat"].connections) == [greeting["connectionId"]]


async def test_the_subprotocol_stays_what_it_was(door: Any, call: Any) -> None:
    """Whatever is offered on the way back."""
    peer, greeting = await door.greeted(RELIABLE)
    peer.vanish()
    target = (
        f"/client/hubs/chat?awps_connection_id={greeting['connectionId']}"
        f"&awps_reconnection_token={greeting['reconnectionToken']}"
    )
    again = await door.knock(target, PROTOBUF)
    await call("POST", f"{CHAT}/:send", b"x")

    assert (await again.next())["sequenceId"] == 1


async def test_what_is_refused_a_recovery(door: Any, call: Any) -> None:
    """An upgrade, then 1008: unknown, another's token, an access token, closed by either side."""
    kept, greeting = await door.greeted(RELIABLE)
    left, farewell = await door.greeted(RELIABLE)
    await left.socket.close(code=1000)
    closed, cut = await door.greeted(RELIABLE)
    await call("DELETE", f"{CHAT}/connections/{cut['connectionId']}")

    tries = [
        await door.recover(farewell),
        await door.recover(cut),
        await door.recover(greeting, awps_connection_id="unknown"),
        await door.recover(greeting, awps_connection_id=cut["connectionId"]),
        await door.recover(greeting, awps_reconnection_token=door.token()),
        await door.recover(greeting, awps_reconnection_token=""),
        await door.recover(greeting, hub="other"),
    ]

    for one in tries:
        assert await one.next() == (1008, "The connection could not be recovered.")
    assert await kept.ask(type="ping") == {"type": "pong"}
    assert closed.socket.close_code is None


async def test_a_client_that_stays_away_is_forgotten(make_door: Any) -> None:
    """After the window; then there is nothing to come back to."""
    async with LocalService(limits=Limits(window=0.05)) as service:
        door = make_door(service)
        peer, greeting = await door.greeted(RELIABLE)
        peer.vanish()
        await gone(service)

        assert (await (await door.recover(greeting)).next())[0] == 1008


async def test_a_message_that_has_expired_is_not_delivered(
    make_door: Any, make_caller: Any
) -> None:
    """It was for a client that came back too late; the numbers have no gap."""
    async with LocalService() as service:
        door, call = make_door(service), make_caller(service)
        peer, greeting = await door.greeted(RELIABLE)
        peer.vanish()
        await call("POST", f"{CHAT}/:send?messageTtlSeconds=1", b"short")
        await call("POST", f"{CHAT}/:send", b"long")
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(1.05, turn.set_result, None)
        await turn
        again = await door.recover(greeting)

        heard = await again.next()
        assert (heard["sequenceId"], heard["data"]) == (1, "long")


async def test_too_much_for_a_client_that_is_away_ends_it(make_door: Any, make_caller: Any) -> None:
    """For good."""
    async with LocalService(limits=Limits(messages=3)) as service:
        door, call = make_door(service), make_caller(service)
        peer, greeting = await door.greeted(RELIABLE)
        peer.vanish()
        for _ in range(4):
            await call("POST", f"{CHAT}/:send", b"x")

        assert not service.hubs["chat"].connections
        assert (await (await door.recover(greeting)).next())[0] == 1008


async def test_too_much_unconfirmed_closes_with_1008(make_door: Any, make_caller: Any) -> None:
    """A reliable client that reads and never confirms; a confirmation makes room."""
    async with LocalService(limits=Limits(messages=3)) as service:
        door, call = make_door(service), make_caller(service)
        peer, _ = await door.greeted(RELIABLE)
        for _ in range(3):
            await call("POST", f"{CHAT}/:send", b"x")
        numbers = [(await peer.next())["sequenceId"] for _ in range(3)]
        await peer.say(type="sequenceAck", sequenceId=2)
        assert await peer.ask(type="ping") == {"type": "pong"}
        for _ in range(3):
            await call("POST", f"{CHAT}/:send", b"x")

        assert numbers == [1, 2, 3]
        assert [(await peer.next())["sequenceId"] for _ in range(2)] == [4, 5]
        assert (await peer.next())[0] == 1008


# Clients that are slow or rude.


async def test_a_client_that_does_not_read_is_dropped_and_others_are_not(
    make_door: Any, make_caller: Any, make_wire: Any
) -> None:
    """By the buffer rule, with 1008; the memory it takes is bounded by it."""
    events: list[ClientEvent] = []
    async with LocalService(limits=Limits(size=4 * 1024 * 1024), on_event=events.append) as service:
        door, call = make_door(service), make_caller(service)
        slow = await make_wire(door, limit=512)
        fast = await door.open()
        sent = 0
        while len(service.hubs["chat"].connections) == 2:
            await call("POST", f"{CHAT}/:send", b"x" * 1_000_000)
            assert len(await fast.next()) == 1_000_000
            sent += 1
            assert sent < 100

        assert events[-1].kind is EventKind.DISCONNECTED
        assert "1008" in events[-1].detail
        assert await slow.code() == 1008


async def test_a_slow_client_gets_all_in_order_once_it_reads(
    door: Any, call: Any, make_wire: Any
) -> None:
    """Messages that wait are written as it reads, and none twice."""
    slow = await make_wire(door, limit=512)
    for number in range(12):
        await call("POST", f"{CHAT}/:send", b"%02d" % number + b"x" * 1_000_000)

    heard = [(await slow.frame())[1][:2] for _ in range(12)]

    assert heard == [b"%02d" % number for number in range(12)]


async def test_a_slow_client_that_comes_back_gets_all_in_order(
    door: Any, call: Any, make_wire: Any
) -> None:
    """What is replayed, what waits behind it, and what comes while it reads."""
    peer, greeting = await door.greeted(RELIABLE)
    for _ in range(8):
        await call("POST", f"{CHAT}/:send", b"x" * 1_000_000)
    peer.vanish()
    back = f"awps_connection_id={greeting['connectionId']}"
    token = f"awps_reconnection_token={greeting['reconnectionToken']}"
    slow = await make_wire(door, RELIABLE, limit=512, query=f"{back}&{token}")
    await call("POST", f"{CHAT}/:send", b"y")
    heard = [(await slow.frame())[1] for _ in range(6)]
    await call("POST", f"{CHAT}/:send", b"z")
    heard += [(await slow.frame())[1] for _ in range(4)]

    assert [json.loads(one)["sequenceId"] for one in heard] == list(range(1, 11))
    assert [json.loads(one)["data"] for one in heard[-2:]] == ["y", "z"]


async def test_a_dead_client_is_noticed(make_door: Any, make_wire: Any) -> None:
    """It answers no ping; one that does stays."""
    async with LocalService(heartbeat=0.2) as service:
        door = make_door(service)
        dead = await make_wire(door)
        alive = await door.open(JSON)
        await alive.next()
        listening = asyncio.ensure_future(alive.next())
        assert await dead.frame() == (0x89, b"")
        await dead.end()

        assert len(service.hubs["chat"].connections) == 1
        assert not listening.done()
        listening.cancel()


async def test_endless_pings_and_requests_of_a_client_that_does_not_read(
    door: Any, call: Any, make_wire: Any
) -> None:
    """Its answers are bounded: it is read no faster than it reads. Others are served meanwhile."""
    rude = await make_wire(door, JSON, limit=512)
    group = "x" * 1000
    for _ in range(10):
        rude.send(0x89, b"x" * 125)
        rude.send(0x81, json.dumps({"type": "joinGroup", "group": group, "ackId": 1}).encode())
    blob = rude.sent
    transport = rude.writer.transport
    while transport.get_write_buffer_size() < 1024 * 1024:
        rude.writer.write(blob * 20)
        assert (await call("HEAD", "/api/health")).status == 200

    assert (await call("POST", f"{CHAT}/:closeConnections")).status == 204


async def test_a_flood_of_sends_leaves_others_their_turn(door: Any, call: Any) -> None:
    """And all of it arrives, in order."""
    sender, _ = await door.greeted(role=JOIN_AND_SEND, webpubsub_group="g")
    for number in range(2000):
        await sender.say(type="sendToGroup", group="g", data=number)
    assert (await call("HEAD", "/api/health")).status == 200

    assert [(await sender.next())["data"] for _ in range(2000)] == list(range(2000))


async def test_a_close_during_a_fan_out_harms_nobody(door: Any, call: Any) -> None:
    """Clients that go while messages come are passed over."""
    peers = [await door.open() for _ in range(50)]
    sends = [asyncio.ensure_future(call("POST", f"{CHAT}/:send", b"x")) for _ in range(20)]
    for peer in peers[::2]:
        peer.vanish()

    assert {(await send).status for send in sends} == {202}
    for peer in peers[1::2]:
        assert [await peer.next() for _ in range(20)] == ["x"] * 20


async def test_clients_over_tls_that_go_or_do_not_read(
    certificate: tuple[str, str], make_door: Any
) -> None:
    """They are dropped as over plain TCP, and disturb no send."""
    trust = ssl.create_default_context(cafile=certificate[0])
    events: list[ClientEvent] = []
    async with LocalService(
        tls_cert=certificate[0],
        tls_key=certificate[1],
        limits=Limits(size=1024 * 1024),
        on_event=events.append,
    ) as service:
        door = make_door(service, trust)
        sender, _ = await door.greeted(role=JOIN_AND_SEND)
        gone_ones = [await door.open(webpubsub_group="g") for _ in range(5)]
        slow = await door.open(webpubsub_group="g")
        slow.transport.pause_reading()
        for peer in gone_ones:
            peer.vanish()
        for _ in range(100):
            await sender.say(type="sendToGroup", group="g", data="x" * 500_000)
            await sender.ask(type="ping")
            if len(service.hubs["chat"].connections) == 1:
                break

        assert len(service.hubs["chat"].connections) == 1
        assert any("1008" in event.detail for event in events)


async def test_a_recovery_storm_ends_with_one_socket_each(door: Any, call: Any) -> None:
    """Thirty sockets for one connection: the last has it, and misses nothing."""
    peer, greeting = await door.greeted(RELIABLE)
    await call("POST", f"{CHAT}/:send", b"x")
    storm = await asyncio.gather(*(door.recover(greeting) for _ in range(30)))
    await call("POST", f"{CHAT}/:send", b"y")

    assert list(door.service.hubs["chat"].connections) == [greeting["connectionId"]]
    heard = [[await one.next(), await one.next()] for one in storm]
    living = [one for one in heard if one[1] != (1006, "")]
    assert [[frame["data"] for frame in one] for one in living] == [["x", "y"]]
    assert (await peer.next())["data"] == "x"


# The end.


async def test_a_stop_closes_everybody_in_bounded_time(make_door: Any, make_wire: Any) -> None:
    """With 1001; a client that neither reads nor answers is cut off."""
    service = LocalService()
    await service.start()
    door = make_door(service)
    peer, _ = await door.greeted()
    away, _ = await door.greeted(RELIABLE)
    away.vanish()
    deaf = await make_wire(door)
    loop = asyncio.get_running_loop()
    began = loop.time()

    stopping = asyncio.ensure_future(service.stop())
    assert await peer.next() == (1001, "The service stops.")
    await stopping

    assert loop.time() - began < 4
    assert await deaf.end() == b"\x88\x14\x03\xe9The service stops."
    assert not service.hubs["chat"].connections


async def test_events_tell_what_happened(make_door: Any, make_caller: Any) -> None:
    """In order, with whom they reached, and never a token."""
    events: list[ClientEvent] = []
    async with LocalService(on_event=events.append) as service:
        door, call = make_door(service), make_caller(service)
        peer, greeting = await door.greeted(RELIABLE, sub="ada", role=JOIN_AND_SEND)
        await peer.ask(type="joinGroup", group="g", ackId=1)
        await peer.ask(type="sendToGroup", group="g", data=1)
        await peer.ask(type="leaveGroup", group="g", ackId=2)
        await peer.socket.close(code=1001)
        again = await door.recover(greeting)
        assert (await again.next())["sequenceId"] == 1
        await call("POST", f"{CHAT}/:closeConnections?reason=bye")
        assert (await again.next())["event"] == "disconnected"
        await door.refused("/client/hubs/chat?access_token=secret")
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
    assert effect.connections == (greeting["connectionId"],)
    assert {event.user_id for event in events[:-1]} == {"ada"}
    assert events[-2].detail == "closed by REST: bye"
    assert not any("secret" in repr(event) or "eyJ" in repr(event) for event in events)


async def test_an_unknown_client_library_is_no_trouble(door: Any) -> None:
    """The `websockets` library, with compression offered, closes as it should."""
    url = "ws" + door.service.endpoint.origin[4:]
    async with connect(url + door.target(), subprotocols=[Subprotocol(RELIABLE)]) as socket:
        assert json.loads(await socket.recv())["reconnectionToken"].startswith("ey")
        assert socket.protocol.extensions == []
    assert socket.close_code == 1000
    assert not door.service.hubs["chat"].connections


async def test_a_half_closed_socket_is_gone(door: Any, make_wire: Any) -> None:
    """A client that has said all it will ever say cannot be asked whether it lives."""
    wire = await make_wire(door)
    wire.writer.write_eof()

    await wire.end()
    await gone(door.service)


async def test_aiohttp_is_told_to_close_by_its_own_frames(door: Any) -> None:
    """A close with a code of its own is answered with that code."""
    peer, _ = await door.greeted()
    await peer.socket.close(code=4321, message=b"bye")

    assert peer.socket.close_code == 4321
    await gone(door.service)
    assert isinstance(peer.socket, aiohttp.ClientWebSocketResponse)
