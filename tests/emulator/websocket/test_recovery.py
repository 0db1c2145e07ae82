"""Reliable clients that lose their socket and come back, or do not."""

import asyncio
from typing import Any

import pytest

from wps_run.emulator.server import Emulator
from wps_run.emulator.websocket.send_queue import ClientLimits

RELIABLE = "json.reliable.webpubsub.azure.v1"
PROTOBUF = "protobuf.webpubsub.azure.v1"
JOIN_AND_SEND = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
CHAT = "/api/hubs/chat"


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
    async with Emulator(limits=ClientLimits(recovery_seconds=0.05)) as service:
        door = make_door(service)
        peer, greeting = await door.greeted(RELIABLE)
        peer.vanish()
        await door.gone()

        assert (await (await door.recover(greeting)).next())[0] == 1008


async def test_a_message_that_has_expired_is_not_delivered(
    make_door: Any, make_caller: Any
) -> None:
    """It was for a client that came back too late; the numbers have no gap."""
    async with Emulator() as service:
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
    async with Emulator(limits=ClientLimits(max_messages=3)) as service:
        door, call = make_door(service), make_caller(service)
        peer, greeting = await door.greeted(RELIABLE)
        peer.vanish()
        for _ in range(4):
            await call("POST", f"{CHAT}/:send", b"x")

        assert not service.hubs["chat"].connections
        assert (await (await door.recover(greeting)).next())[0] == 1008


async def test_too_much_unconfirmed_closes_with_1008(make_door: Any, make_caller: Any) -> None:
    """A reliable client that reads and never confirms; a confirmation makes room."""
    async with Emulator(limits=ClientLimits(max_messages=3)) as service:
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
