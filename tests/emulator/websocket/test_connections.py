"""Tests of idle and slow strangers, exhausted file descriptors, and clients that flood."""

import asyncio
import contextlib
import gc
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import jwt
import pytest

from wps_run.emulator.connections import REQUEST_SECONDS, HttpConnection
from wps_run.emulator.server import Emulator

JSON = "json.webpubsub.azure.v1"
HEALTH = b"HEAD /api/health HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /api/hubs/chat/:send HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
UPGRADE = b"GET /client/hubs/chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"

SHORT = 0.3
"""A limit for requests in these tests, in seconds."""


def port_of(emulator: Emulator) -> int:
    """The port that an emulator listens on."""
    return int(emulator.endpoint.origin.rpartition(":")[2])


# Connections without a whole request.


async def trickle(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send one byte at a time, more often than the limit."""
    never = asyncio.Event()
    for byte in data:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(never.wait(), SHORT / 10)
        writer.write(bytes((byte,)))


async def time_until_dropped(port: int, sent: bytes, slowly: bytes) -> float:
    """Send bytes, some of them slowly, and return the seconds until the connection ends."""
    start = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    sender = asyncio.ensure_future(trickle(writer, slowly))
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10 * SHORT):
            while await reader.read(4096):
                pass
    sender.cancel()
    writer.close()
    return time.perf_counter() - start


STRANGERS = {
    "nothing": (b"", b""),
    "half a request line": (b"HEAD /api", b""),
    "half of a head": (HEALTH[:-2], b""),
    "half of a handshake": (UPGRADE, b""),
    "a slow head": (b"HEAD / HTTP/1.1\r\n", b"X-Header: value\r\n" * 20),
    "no body": (POST, b""),
    "half of a body": (POST + b"12", b""),
    "a slow body": (POST.replace(b"h: 5", b"h: 500"), b"x" * 500),
    "half of a second request": (HEALTH, b"HEAD /api"),
    "half of a second request at once": (HEALTH + b"HEAD /api", b""),
    "half of a request after a body": (POST + b"12345HEAD /api", b""),
    "a slow third request": (HEALTH + HEALTH, b"HEAD /" + b"x" * 500),
}
"""What strangers send, at once and slowly."""


async def test_connection_without_a_whole_request_is_dropped() -> None:
    """Bytes that arrive slowly do not extend the time."""
    async with Emulator(request_seconds=SHORT) as emulator:
        port = port_of(emulator)
        times = await asyncio.gather(
            *(time_until_dropped(port, sent, slowly) for sent, slowly in STRANGERS.values())
        )

    by_name = dict(zip(STRANGERS, times, strict=True))
    assert all(SHORT * 0.9 < seconds < SHORT * 8 for seconds in times), by_name


async def test_unfinished_tls_handshake_is_dropped(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    async with Emulator(request_seconds=SHORT, tls_cert=cert, tls_key=key) as emulator:
        times = await asyncio.gather(
            time_until_dropped(port_of(emulator), b"", b""),
            time_until_dropped(port_of(emulator), b"\x16\x03\x01\x02\x00\x01", b"\x00" * 500),
        )

    assert all(SHORT * 0.9 < seconds < SHORT * 8 for seconds in times), times


async def test_pauses_websockets_and_slow_answers_have_no_limit(
    make_connector: Callable[[Emulator], Any],
) -> None:
    """Neither a pause between requests, nor a WebSocket, nor the time for a response."""
    assert REQUEST_SECONDS == 30
    delay = ["delay=900ms"]  # three limits
    async with Emulator(request_seconds=SHORT, faults=delay) as emulator:
        port = port_of(emulator)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        slow_reader, slow_writer = await asyncio.open_connection("127.0.0.1", port)
        peer, _ = await make_connector(emulator).open_connected()
        writer.write(HEALTH)
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        slow_writer.write(POST + b"12345")

        assert b" 401 " in await slow_reader.readuntil(b"\r\n\r\n")
        writer.write(HEALTH)
        assert b" 200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert await peer.request(type="ping") == {"type": "pong"}
        writer.close()
        slow_writer.close()


# Memory.


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (UPGRADE, b""),
        (HEALTH, b" 200 OK"),
        (HEALTH[:-2] + b"X: " + b"x" * 60_000, b" 400 Bad Request"),
        (b"\x00\xff" * 30_000, b" 400 Bad Request"),
    ],
    ids=["nothing", "half a head", "a request", "an endless header", "garbage"],
)
async def test_closed_connection_is_freed_without_the_garbage_collector(
    sent: bytes, answer: bytes
) -> None:
    """It is in no reference cycle: many that are closed at once take no memory."""
    gc.collect()
    gc.disable()
    try:
        async with Emulator() as emulator:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(emulator))
            writer.write(sent)
            if answer:
                assert answer in await reader.readline()
            writer.close()
        assert not [each for each in gc.get_objects() if isinstance(each, HttpConnection)]
    finally:
        gc.enable()


# File descriptors.


PROGRAM = """
import asyncio, logging, os, resource, sys
from wps_run.emulator.server import Emulator

limit, is_full = int(sys.argv[1]), sys.argv[2] == "full"
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
logging.basicConfig(level=logging.WARNING, format="%(message)s")

async def main():
    async with Emulator(faults=sys.argv[3:]) as emulator:
        spent = []
        try:
            while is_full:
                spent.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        print(emulator.endpoint.origin.rpartition(":")[2], flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for descriptor in spent:
            os.close(descriptor)
        await asyncio.to_thread(sys.stdin.readline)

async def start():
    await asyncio.to_thread(int)  # the thread exists before the descriptors are spent
    await main()

asyncio.run(start())
"""


@contextmanager
def limited_emulator(
    limit: int, mode: str, *faults: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """An emulator in a process with few file descriptors, and its port."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(limit), mode, *faults],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        yield child, int(child.stdout.readline())
    finally:
        child.kill()
        child.communicate()


def ask_for_health(port: int) -> bytes:
    """Return the status line."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(HEALTH)
        return connection.recv(4096).partition(b"\r\n")[0]


def test_idle_connections_do_not_lock_others_out() -> None:
    """300 of them meet a limit of 256 descriptors: health answers, and little is logged."""
    start = time.perf_counter()
    with limited_emulator(256, "free") as (child, port):
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        answers = [ask_for_health(port) for _ in range(20)]
        for connection in idle:
            connection.close()
        answers.append(ask_for_health(port))
        seconds = time.perf_counter() - start
        _, log = child.communicate("\n\n")

    assert answers == [b"HTTP/1.1 200 OK"] * 21
    lines = log.splitlines()
    assert 1 <= len(lines) <= seconds + 1
    assert "unused connections are closed for new ones" in lines[0]


def test_failing_accept_is_logged_once_a_second() -> None:
    """The request is answered as soon as descriptors are free."""
    start = time.perf_counter()
    with limited_emulator(64, "full") as (child, port):
        assert child.stdin is not None
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(HEALTH)
            assert select.select([connection], [], [], 1.2) == ([], [], [])
            child.stdin.write("\n")
            child.stdin.flush()
            answer = connection.recv(4096)
        seconds = time.perf_counter() - start
        _, log = child.communicate("\n")

    assert answer.startswith(b"HTTP/1.1 200 OK")
    lines = log.splitlines()
    assert 1 <= len(lines) <= seconds + 1
    assert lines[0].startswith("Too many open files, at a limit of 64 file descriptors")


def test_new_connections_are_refused_when_all_are_used() -> None:
    """With 503, since none of them is unused: each waits for a delayed response."""
    with limited_emulator(64, "free", "delay=1m") as (_, port), contextlib.ExitStack() as stack:
        waiting = []
        for _ in range(64):
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            waiting.append(stack.enter_context(connection))
            with contextlib.suppress(OSError):
                connection.sendall(POST + b"12345")
        answers: list[bytes] = []
        while len(answers) < 8:
            readable, _, _ = select.select(waiting, [], [], 10)
            assert readable
            for connection in readable:
                with contextlib.suppress(OSError):  # its request came after it was refused
                    answers.append(connection.recv(4096))
                waiting.remove(connection)

    assert {answer.partition(b"\r\n")[0] for answer in answers} <= {
        b"HTTP/1.1 503 Service Unavailable",
        b"",
    }


# Floods.


@pytest.fixture
def _no_garbage_collection() -> Iterator[None]:
    """The objects of other tests are no part of a measurement."""
    gc.disable()
    yield
    gc.enable()


def frame(first: int, payload: bytes = b"") -> bytes:
    """One frame of a client, masked with zeros."""
    if len(payload) < 126:
        return bytes((first, 0x80 | len(payload))) + bytes(4) + payload
    return struct.pack("!BBH", first, 0xFE, len(payload)) + bytes(4) + payload


def json_frame(text: str) -> bytes:
    return frame(0x81, text.encode())


FLOODS = {
    "pings": frame(0x89),
    "pongs": frame(0x8A),
    "empty fragments": frame(0x00),
    "pings of the subprotocol": json_frame('{"type":"ping"}'),
    "joins": json_frame('{"type":"joinGroup","group":"g"}'),
    "sends": json_frame('{"type":"sendToGroup","group":"g","dataType":"text","data":"x"}'),
    "refused sends": json_frame('{"type":"sendToGroup","group":"no","dataType":"text","data":"x"}'),
    "events": json_frame('{"type":"event","event":"e","dataType":"text","data":"x"}'),
    "unknown streams": json_frame('{"type":"streamData","streamId":"s"}'),
}


def client_token(emulator: Emulator) -> str:
    claims = {
        "aud": f"{emulator.endpoint.origin}/client/hubs/chat",
        "exp": int(time.time()) + 60,
        "role": ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup.g"],
    }
    return jwt.encode(claims, emulator.endpoint.key, algorithm="HS256")


class Flood:
    """Threads that send as much as the emulator reads, and read what it answers."""

    def __init__(self, emulator: Emulator, data: bytes, opening: bytes, count: int) -> None:
        self._stopped = threading.Event()
        self._sockets = []
        self.bytes_sent = [0] * count
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port_of(emulator)))
            connection.sendall(opening)
            self._sockets.append(connection)
        self._threads = [
            threading.Thread(target=self._send, args=(number, data)) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _send(self, number: int, data: bytes) -> None:
        connection = self._sockets[number]
        connection.settimeout(0)
        rest = b""
        while not self._stopped.is_set():
            readable, writable, _ = select.select([connection], [connection], [], 0.05)
            try:
                if readable and not connection.recv(1 << 20):
                    return
                if writable:
                    rest = rest or data
                    sent = connection.send(rest)
                    rest = rest[sent:]
                    self.bytes_sent[number] += sent
            except BlockingIOError:
                continue
            except OSError:
                return

    @property
    def is_running(self) -> bool:
        """Whether no client was disconnected."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        for connection in self._sockets:
            connection.close()


@asynccontextmanager
async def flooded(
    emulator: Emulator, data: bytes, opening: bytes, count: int
) -> AsyncIterator[Flood]:
    """Run a flood once it has begun: each client has sent more than one read."""
    flood = await asyncio.to_thread(Flood, emulator, data, opening, count)
    try:
        async with asyncio.timeout(20):
            while min(flood.bytes_sent) < 100_000:
                await asyncio.to_thread(os.sched_yield)
        yield flood
    finally:
        await asyncio.to_thread(flood.stop)


def upgrade(emulator: Emulator) -> bytes:
    return (
        f"GET /client/hubs/chat?access_token={client_token(emulator)} HTTP/1.1\r\n"
        f"Host: {emulator.endpoint.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Protocol: {JSON}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {'a' * 22}==\r\n\r\n"
    ).encode()


async def delays(session: aiohttp.ClientSession, emulator: Emulator, peer: Any) -> list[float]:
    """Return how long this thread computes for each of some pings and requests.

    Other than the time that passes, this does not depend on the load of the machine. The client
    itself, which shares the thread, takes about a millisecond.
    """
    times = []
    for _ in range(10):
        start = time.thread_time()
        assert await peer.request(type="ping") == {"type": "pong"}
        times.append(time.thread_time() - start)
        start = time.thread_time()
        async with session.head(f"{emulator.endpoint.origin}/api/health") as response:
            assert response.status == 200
        times.append(time.thread_time() - start)
    return times


@pytest.mark.usefixtures("_no_garbage_collection")
@pytest.mark.parametrize("name", FLOODS)
async def test_flood_of_frames_delays_others_briefly(
    emulator: Emulator, connector: Any, name: str
) -> None:
    """By less than 50 ms, whatever the frames are."""
    data = FLOODS[name] * (262144 // len(FLOODS[name]))
    if name == "empty fragments":
        opening = upgrade(emulator) + frame(0x01)
    else:
        opening = upgrade(emulator) + json_frame('{"type":"joinGroup","group":"g"}')
    peer, _ = await connector.open_connected()
    async with flooded(emulator, data, opening, 1) as flood:
        times = await delays(connector.session, emulator, peer)
        assert flood.is_running

    assert max(times) < 0.05, times


@pytest.mark.usefixtures("_no_garbage_collection")
async def test_flood_by_many_clients_delays_others_briefly(
    emulator: Emulator, connector: Any
) -> None:
    """They share one budget."""
    peer, _ = await connector.open_connected()
    data = FLOODS["joins"] * 4000
    async with flooded(emulator, data, upgrade(emulator), 20) as flood:
        times = await delays(connector.session, emulator, peer)
        assert flood.is_running

    assert sorted(times)[-2] < 0.05, times  # once, the first messages of all come together


@pytest.mark.usefixtures("_no_garbage_collection")
async def test_flood_of_requests_delays_others_briefly(emulator: Emulator, connector: Any) -> None:
    """Of requests that do not wait for their responses."""
    peer, _ = await connector.open_connected()
    async with flooded(emulator, HEALTH * 4000, HEALTH, 2) as flood:
        times = await delays(connector.session, emulator, peer)
        assert flood.is_running

    assert max(times) < 0.05, times
