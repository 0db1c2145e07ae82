"""WebSockets on the wire: protocol violations, closes, dead clients."""

import asyncio
import ssl
from typing import Any

import aiohttp
import pytest

from wps_run.emulator.request_log import ClientEvent
from wps_run.emulator.server import Emulator
from wps_run.emulator.websocket.send_queue import ClientLimits

JSON = "json.webpubsub.azure.v1"
JOIN_AND_SEND = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]


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
async def test_protocol_violations_close_with_their_code(
    connector: Any, make_raw_socket: Any, first: int, payload: bytes, code: int
) -> None:
    """The client can read the code, even if it has not sent everything."""
    raw_socket = await make_raw_socket(connector, JSON)
    raw_socket.send(first, payload)

    assert await raw_socket.receive_close_code() == code
    assert await raw_socket.read_to_end() == b""
    await connector.wait_until_empty()


async def test_an_oversized_frame_is_refused_by_its_header(
    connector: Any, make_raw_socket: Any
) -> None:
    """None of it is buffered."""
    raw_socket = await make_raw_socket(connector, JSON)
    raw_socket.send(0x81, b"", size=2**40)

    assert await raw_socket.receive_close_code() == 1009


async def test_a_message_of_a_mebibyte_in_fragments_passes(
    connector: Any, make_raw_socket: Any
) -> None:
    """One byte more does not."""
    receiver = await connector.open(webpubsub_group="g")
    query = "webpubsub_mode=sendToGroup&group=g"
    raw_socket = await make_raw_socket(connector, query=query, role="webpubsub.sendToGroup")
    half = b"x" * (512 * 1024)

    raw_socket.send(0x01, half)
    raw_socket.send(0x89, b"are you there")
    raw_socket.send(0x80, half)
    assert await raw_socket.receive_frame() == (0x8A, b"are you there")
    assert await receiver.receive() == "x" * (1024 * 1024)

    raw_socket.send(0x02, half)
    raw_socket.send(0x00, half)
    raw_socket.send(0x80, b"x")
    assert await raw_socket.receive_close_code() == 1009


async def test_a_half_closed_socket_is_closed(connector: Any, make_raw_socket: Any) -> None:
    """A client that sends no more cannot answer pings."""
    raw_socket = await make_raw_socket(connector)
    raw_socket.writer.write_eof()

    await raw_socket.read_to_end()
    await connector.wait_until_empty()


async def test_a_close_frame_is_answered(connector: Any) -> None:
    """With the client's own code."""
    peer, _ = await connector.open_connected()
    await peer.socket.close(code=4321, message=b"bye")

    assert peer.socket.close_code == 4321
    await connector.wait_until_empty()
    assert isinstance(peer.socket, aiohttp.ClientWebSocketResponse)


async def test_a_dead_client_is_closed(make_connector: Any, make_raw_socket: Any) -> None:
    """It does not answer pings; a client that does stays open."""
    async with Emulator(heartbeat=0.2) as emulator:
        connector = make_connector(emulator)
        dead = await make_raw_socket(connector)
        alive = await connector.open(JSON)
        await alive.receive()
        receiving = asyncio.ensure_future(alive.receive())
        assert await dead.receive_frame() == (0x89, b"")
        await dead.read_to_end()

        assert len(emulator.hubs["chat"].connections) == 1
        assert not receiving.done()
        receiving.cancel()


async def test_clients_over_tls_that_disconnect_or_do_not_read(
    certificate: tuple[str, str], make_connector: Any
) -> None:
    """They are closed as over plain TCP, and no send fails."""
    trust = ssl.create_default_context(cafile=certificate[0])
    events: list[ClientEvent] = []
    async with Emulator(
        tls_cert=certificate[0],
        tls_key=certificate[1],
        limits=ClientLimits(max_bytes=1024 * 1024),
        on_event=events.append,
    ) as emulator:
        connector = make_connector(emulator, trust)
        sender, _ = await connector.open_connected(role=JOIN_AND_SEND)
        aborted = [await connector.open(webpubsub_group="g") for _ in range(5)]
        slow = await connector.open(webpubsub_group="g")
        slow.transport.pause_reading()
        for peer in aborted:
            peer.abort()
        for _ in range(100):
            await sender.send(type="sendToGroup", group="g", data="x" * 500_000)
            await sender.request(type="ping")
            if len(emulator.hubs["chat"].connections) == 1:
                break

        assert len(emulator.hubs["chat"].connections) == 1
        assert any("1008" in event.detail for event in events)
