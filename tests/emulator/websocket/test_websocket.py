"""What WebSocket clients do over loopback, how they are closed, and what is told of it."""

import asyncio
import json
import logging
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
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
    with caplog.at_level(logging.INFO, "wps_run.emulator"):
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

    await door.gone()


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
    await door.gone()


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


# The end.


async def test_a_stop_closes_everybody_in_bounded_time(make_door: Any, make_wire: Any) -> None:
    """With 1001; a client that neither reads nor answers is cut off."""
    service = Emulator()
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
    async with Emulator(on_event=events.append) as service:
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
    await door.gone()


async def test_aiohttp_is_told_to_close_by_its_own_frames(door: Any) -> None:
    """A close with a code of its own is answered with that code."""
    peer, _ = await door.greeted()
    await peer.socket.close(code=4321, message=b"bye")

    assert peer.socket.close_code == 4321
    await door.gone()
    assert isinstance(peer.socket, aiohttp.ClientWebSocketResponse)
