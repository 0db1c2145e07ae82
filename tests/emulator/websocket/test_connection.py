"""Recovery of reliable clients, and clients that read too slowly."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import pytest

from wps_run.emulator.request_log import ClientEvent, EventKind
from wps_run.emulator.server import Emulator
from wps_run.emulator.websocket.send_queue import ClientLimits

JSON = "json.webpubsub.azure.v1"
RELIABLE = "json.reliable.webpubsub.azure.v1"
PROTOBUF = "protobuf.webpubsub.azure.v1"
RELIABLE_PROTOBUF = "protobuf.reliable.webpubsub.azure.v1"
JOIN_AND_SEND = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
CHAT = "/api/hubs/chat"


@pytest.mark.parametrize("code", [1001, 1006, 3000])
async def test_a_reliable_client_recovers(connector: Any, call: Any, code: int) -> None:
    """The same connection, its groups and permissions, and unacknowledged messages."""
    peer, connected = await connector.open_connected(
        RELIABLE, role=JOIN_AND_SEND, webpubsub_group="g"
    )
    await call("POST", f"{CHAT}/:send", b"one")
    await call("POST", f"{CHAT}/:send", b"two")
    assert [(await peer.receive())["sequenceId"], (await peer.receive())["sequenceId"]] == [1, 2]
    await peer.send(type="sequenceAck", sequenceId=1)
    assert await peer.request(type="joinGroup", group="h", ackId=9) is not None
    if code == 1006:
        peer.abort()
    else:
        await peer.socket.close(code=code)
    await call("POST", f"{CHAT}/groups/h/:send", b"three")
    assert (await call("HEAD", f"{CHAT}/connections/{connected['connectionId']}")).status == 200

    recovered = await connector.recover(connected)

    assert recovered.socket.protocol == RELIABLE
    received = [await recovered.receive(), await recovered.receive()]
    assert [(message["sequenceId"], message["data"]) for message in received] == [
        (2, "two"),
        (3, "three"),
    ]
    assert (await recovered.request(type="joinGroup", group="h", ackId=9))["error"][
        "name"
    ] == "Duplicate"


async def test_a_second_socket_takes_over(connector: Any, call: Any) -> None:
    """The first is aborted; the connection stays."""
    peer, connected = await connector.open_connected(RELIABLE)
    recovered = await connector.recover(connected)

    assert (await peer.receive())[0] == 1006
    await call("POST", f"{CHAT}/:send", b"x")
    assert (await recovered.receive())["sequenceId"] == 1
    assert list(connector.emulator.hubs["chat"].connections) == [connected["connectionId"]]


async def test_the_subprotocol_stays_the_same(connector: Any, call: Any) -> None:
    """Whatever is offered for the recovery."""
    peer, connected = await connector.open_connected(RELIABLE)
    peer.abort()
    target = (
        f"/client/hubs/chat?awps_connection_id={connected['connectionId']}"
        f"&awps_reconnection_token={connected['reconnectionToken']}"
    )
    recovered = await connector.connect(target, PROTOBUF)
    await call("POST", f"{CHAT}/:send", b"x")

    assert (await recovered.receive())["sequenceId"] == 1


async def test_refused_recoveries(connector: Any, call: Any) -> None:
    """An upgrade, then 1008: unknown, another's token, an access token, closed by either side."""
    open_peer, connected = await connector.open_connected(RELIABLE)
    left, left_connected = await connector.open_connected(RELIABLE)
    await left.socket.close(code=1000)
    closed, closed_connected = await connector.open_connected(RELIABLE)
    await call("DELETE", f"{CHAT}/connections/{closed_connected['connectionId']}")

    attempts = [
        await connector.recover(left_connected),
        await connector.recover(closed_connected),
        await connector.recover(connected, awps_connection_id="unknown"),
        await connector.recover(connected, awps_connection_id=closed_connected["connectionId"]),
        await connector.recover(connected, awps_reconnection_token=connector.token()),
        await connector.recover(connected, awps_reconnection_token=""),
        await connector.recover(connected, hub="other"),
    ]

    for attempt in attempts:
        assert await attempt.receive() == (1008, "The connection could not be recovered.")
    assert await open_peer.request(type="ping") == {"type": "pong"}
    assert closed.socket.close_code is None


async def test_a_session_expires(make_connector: Any) -> None:
    """After the recovery time it cannot be recovered."""
    async with Emulator(limits=ClientLimits(recovery_seconds=0.05)) as emulator:
        connector = make_connector(emulator)
        peer, connected = await connector.open_connected(RELIABLE)
        peer.abort()
        await connector.wait_until_empty()

        assert (await (await connector.recover(connected)).receive())[0] == 1008


async def test_a_message_that_has_expired_is_not_delivered(
    make_connector: Any, make_rest_client: Any
) -> None:
    """It was for a client that came back too late; the numbers have no gap."""
    async with Emulator() as emulator:
        connector, call = make_connector(emulator), make_rest_client(emulator)
        peer, connected = await connector.open_connected(RELIABLE)
        peer.abort()
        await call("POST", f"{CHAT}/:send?messageTtlSeconds=1", b"short")
        await call("POST", f"{CHAT}/:send", b"long")
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(1.05, turn.set_result, None)
        await turn
        recovered = await connector.recover(connected)

        received = await recovered.receive()
        assert (received["sequenceId"], received["data"]) == (1, "long")


async def test_too_much_for_a_client_that_is_away_ends_it(
    make_connector: Any, make_rest_client: Any
) -> None:
    """For good."""
    async with Emulator(limits=ClientLimits(max_messages=3)) as emulator:
        connector, call = make_connector(emulator), make_rest_client(emulator)
        peer, connected = await connector.open_connected(RELIABLE)
        peer.abort()
        for _ in range(4):
            await call("POST", f"{CHAT}/:send", b"x")

        assert not emulator.hubs["chat"].connections
        assert (await (await connector.recover(connected)).receive())[0] == 1008


async def test_too_many_unacknowledged_messages_close_with_1008(
    make_connector: Any, make_rest_client: Any
) -> None:
    """A reliable client must acknowledge messages; an acknowledgment frees space."""
    async with Emulator(limits=ClientLimits(max_messages=3)) as emulator:
        connector, call = make_connector(emulator), make_rest_client(emulator)
        peer, _ = await connector.open_connected(RELIABLE)
        for _ in range(3):
            await call("POST", f"{CHAT}/:send", b"x")
        numbers = [(await peer.receive())["sequenceId"] for _ in range(3)]
        await peer.send(type="sequenceAck", sequenceId=2)
        assert await peer.request(type="ping") == {"type": "pong"}
        for _ in range(3):
            await call("POST", f"{CHAT}/:send", b"x")

        assert numbers == [1, 2, 3]
        assert [(await peer.receive())["sequenceId"] for _ in range(2)] == [4, 5]
        assert (await peer.receive())[0] == 1008


async def test_concurrent_recoveries_leave_one_websocket(connector: Any, call: Any) -> None:
    """Thirty WebSockets for one connection: the last one has it, and misses no message."""
    peer, connected = await connector.open_connected(RELIABLE)
    await call("POST", f"{CHAT}/:send", b"x")
    peers = await asyncio.gather(*(connector.recover(connected) for _ in range(30)))
    await call("POST", f"{CHAT}/:send", b"y")

    assert list(connector.emulator.hubs["chat"].connections) == [connected["connectionId"]]
    received = [[await other.receive(), await other.receive()] for other in peers]
    open_ones = [frames for frames in received if frames[1] != (1006, "")]
    assert [[frame["data"] for frame in frames] for frames in open_ones] == [["x", "y"]]
    assert (await peer.receive())["data"] == "x"


async def test_only_the_client_that_does_not_read_is_closed(
    make_connector: Any, make_rest_client: Any, make_raw_socket: Any
) -> None:
    """With 1008, when the limits of its queue are reached."""
    events: list[ClientEvent] = []
    async with Emulator(
        limits=ClientLimits(max_bytes=4 * 1024 * 1024), on_event=events.append
    ) as emulator:
        connector, call = make_connector(emulator), make_rest_client(emulator)
        slow = await make_raw_socket(connector, limit=512)
        fast = await connector.open()
        sent = 0
        while len(emulator.hubs["chat"].connections) == 2:
            await call("POST", f"{CHAT}/:send", b"x" * 1_000_000)
            assert len(await fast.receive()) == 1_000_000
            sent += 1
            assert sent < 100

        assert events[-1].kind is EventKind.DISCONNECTED
        assert "1008" in events[-1].detail
        assert await slow.receive_close_code() == 1008


async def test_a_slow_client_gets_all_messages_in_order(
    connector: Any, call: Any, make_raw_socket: Any
) -> None:
    """Pending messages are written while it reads, none twice."""
    slow = await make_raw_socket(connector, limit=512)
    for number in range(12):
        await call("POST", f"{CHAT}/:send", b"%02d" % number + b"x" * 1_000_000)

    received = [(await slow.receive_frame())[1][:2] for _ in range(12)]

    assert received == [b"%02d" % number for number in range(12)]


async def test_a_slow_client_that_recovers_gets_all_messages_in_order(
    connector: Any, call: Any, make_raw_socket: Any
) -> None:
    """Replayed messages, pending ones, and new ones while it reads."""
    peer, connected = await connector.open_connected(RELIABLE)
    for _ in range(8):
        await call("POST", f"{CHAT}/:send", b"x" * 1_000_000)
    peer.abort()
    back = f"awps_connection_id={connected['connectionId']}"
    token = f"awps_reconnection_token={connected['reconnectionToken']}"
    slow = await make_raw_socket(connector, RELIABLE, limit=512, query=f"{back}&{token}")
    await call("POST", f"{CHAT}/:send", b"y")
    received = [(await slow.receive_frame())[1] for _ in range(6)]
    await call("POST", f"{CHAT}/:send", b"z")
    received += [(await slow.receive_frame())[1] for _ in range(4)]

    assert [json.loads(payload)["sequenceId"] for payload in received] == list(range(1, 11))
    assert [json.loads(payload)["data"] for payload in received[-2:]] == ["y", "z"]


async def test_endless_pings_and_requests_of_a_client_that_does_not_read(
    connector: Any, call: Any, make_raw_socket: Any
) -> None:
    """Responses are bounded: frames are read only as fast as it reads. Others are served."""
    flooding = await make_raw_socket(connector, JSON, limit=512)
    group = "x" * 1000
    for _ in range(10):
        flooding.send(0x89, b"x" * 125)
        flooding.send(0x81, json.dumps({"type": "joinGroup", "group": group, "ackId": 1}).encode())
    blob = flooding.sent
    transport = flooding.writer.transport
    while transport.get_write_buffer_size() < 1024 * 1024:
        flooding.writer.write(blob * 20)
        assert (await call("HEAD", "/api/health")).status == 200

    assert (await call("POST", f"{CHAT}/:closeConnections")).status == 204


async def test_a_flood_of_sends_does_not_starve_others(connector: Any, call: Any) -> None:
    """All messages arrive, in order."""
    sender, _ = await connector.open_connected(role=JOIN_AND_SEND, webpubsub_group="g")
    for number in range(2000):
        await sender.send(type="sendToGroup", group="g", data=number)
    assert (await call("HEAD", "/api/health")).status == 200

    assert [(await sender.receive())["data"] for _ in range(2000)] == list(range(2000))


async def test_clients_can_disconnect_during_a_fan_out(connector: Any, call: Any) -> None:
    """The others get all messages."""
    peers = [await connector.open() for _ in range(50)]
    sends = [asyncio.ensure_future(call("POST", f"{CHAT}/:send", b"x")) for _ in range(20)]
    for peer in peers[::2]:
        peer.abort()

    assert {(await send).status for send in sends} == {202}
    for peer in peers[1::2]:
        assert [await peer.receive() for _ in range(20)] == ["x"] * 20


async def test_reliable_clients_that_come_at_different_times_miss_nothing(
    connector: Any, call: Any
) -> None:
    """Each has its own numbers, without gaps, through lost sockets and acknowledgments."""
    peers: list[Any] = []
    connected: list[Any] = []
    received: list[dict[int, str]] = []
    for send in range(24):
        if send % 4 == 0:
            peer, frame = await connector.open_connected(RELIABLE)
            peers.append(peer)
            connected.append(frame)
            received.append({})
        lost = send % len(peers)
        peers[lost].abort()
        await call("POST", f"{CHAT}/:send", b"m%d" % send)
        peers[lost] = await connector.recover(connected[lost])
        for place, peer in enumerate(peers):
            number = 0
            while number <= send - 4 * place:  # the first number is 1
                frame = await peer.receive()
                number = frame["sequenceId"]
                assert received[place].setdefault(number, frame["data"]) == frame["data"]
            if (send + place) % 3 == 0:
                await peer.send(type="sequenceAck", sequenceId=number)
                assert await peer.request(type="ping") == {"type": "pong"}

    for place, messages in enumerate(received):
        expected = [f"m{send}" for send in range(4 * place, 24)]
        assert list(messages.items()) == list(enumerate(expected, 1))


@contextmanager
def emulator_calls() -> Iterator[list[CodeType]]:
    """Collect the calls of the emulator's functions in this thread."""
    calls: list[CodeType] = []

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and "wps_run/emulator/" in frame.f_code.co_filename.replace("\\", "/"):
            calls.append(frame.f_code)

    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("protocol", [RELIABLE, RELIABLE_PROTOBUF])
@pytest.mark.parametrize("query", ["", "?messageTtlSeconds=60"])
async def test_a_reliable_client_costs_little_more_than_another(
    connector: Any, call: Any, protocol: str, query: str
) -> None:
    """At most two more calls a delivery: the frame is shared, and recorded only once."""
    count, calls_of = 40, {}
    for hub, subprotocol in (("simple", ""), ("reliable", protocol)):
        peers = [await connector.open(subprotocol, hub=hub) for _ in range(count)]
        await call("POST", f"/api/hubs/{hub}/:send", b"first")
        with emulator_calls() as calls:
            assert (await call("POST", f"/api/hubs/{hub}/:send{query}", b"x")).status == 202
        calls_of[hub] = len(calls)
        assert len(peers) == count

    assert calls_of["simple"] >= count
    assert calls_of["reliable"] <= calls_of["simple"] + 2 * count
