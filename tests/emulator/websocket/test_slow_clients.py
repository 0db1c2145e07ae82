"""Clients that do not read, do not answer, flood, or go while they are being written to."""

import asyncio
import json
import ssl
from typing import Any

from wps_run.emulator.request_log import ClientEvent, EventKind
from wps_run.emulator.server import Emulator
from wps_run.emulator.websocket.send_queue import ClientLimits

JSON = "json.webpubsub.azure.v1"
RELIABLE = "json.reliable.webpubsub.azure.v1"
JOIN_AND_SEND = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
CHAT = "/api/hubs/chat"


async def test_a_client_that_does_not_read_is_dropped_and_others_are_not(
    make_door: Any, make_caller: Any, make_wire: Any
) -> None:
    """By the buffer rule, with 1008; the memory it takes is bounded by it."""
    events: list[ClientEvent] = []
    async with Emulator(
        limits=ClientLimits(max_bytes=4 * 1024 * 1024), on_event=events.append
    ) as service:
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
    async with Emulator(heartbeat=0.2) as service:
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
    async with Emulator(
        tls_cert=certificate[0],
        tls_key=certificate[1],
        limits=ClientLimits(max_bytes=1024 * 1024),
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
