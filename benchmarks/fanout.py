"""Measure how fast a send reaches 1,000 WebSocket clients, and the memory of an idle client.

`python benchmarks/fanout.py` starts the emulator and two simple servers, each in its own process:
bare aiohttp, which sends to each client in turn, and `websockets` with its `broadcast`. Each
receives one POST at a time, in rotation; the clients are plain sockets that count bytes.
`--protocol NAME` compares only the emulator's clients of one subprotocol with bare aiohttp, and
prints the median ratio.
"""

import argparse
import asyncio
import base64
import operator
import os
import platform
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import aiohttp
import jwt
from aiohttp import web

from wps_run.emulator.server import Emulator

TEXT = "x" * 100
KEY = "k" * 32
JSON = "json.webpubsub.azure.v1"
PROTOBUF = "protobuf.webpubsub.azure.v1"
RELIABLE_JSON = "json.reliable.webpubsub.azure.v1"
RELIABLE_PROTOBUF = "protobuf.reliable.webpubsub.azure.v1"
PROTOCOLS = ("", JSON, PROTOBUF, RELIABLE_JSON, RELIABLE_PROTOBUF)
READ_BYTES = 1 << 16
REPLAY_LIMIT = 1000
VARINT_LIMIT = 128
"""The lowest number that protobuf encodes in two bytes."""


# The servers, each in a process of its own.


async def bare_aiohttp() -> None:
    """A server that sends to each of its clients in turn."""
    clients: set[web.WebSocketResponse] = set()

    async def connect(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(compress=False)
        await client.prepare(request)
        clients.add(client)
        async for _ in client:
            pass
        clients.discard(client)
        return client

    async def send(request: web.Request) -> web.Response:
        text = await request.text()
        for client in tuple(clients):
            await client.send_str(text)
        return web.Response(status=202)

    app = web.Application()
    app.add_routes([web.get("/{path:.*}", connect), web.post("/{path:.*}", send)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await _report_ports(runner.addresses[0][1])
    await runner.cleanup()


async def with_websockets() -> None:
    """A server that broadcasts with `websockets`; a second socket accepts the POST requests."""
    from websockets.asyncio.server import (  # noqa: PLC0415 - only this server needs it
        ServerConnection,
        broadcast,
        serve,
    )

    clients: set[ServerConnection] = set()

    async def connect(client: ServerConnection) -> None:
        clients.add(client)
        await client.wait_closed()
        clients.discard(client)

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while await reader.readline() != b"\r\n":
                pass
            broadcast(clients, (await reader.readexactly(len(TEXT))).decode())
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    control = await asyncio.start_server(send, "127.0.0.1", 0)
    async with serve(connect, "127.0.0.1", 0, compression=None, ping_interval=None) as serving:
        ports = (each.sockets[0].getsockname()[1] for each in (serving, control))
        await _report_ports(*ports)
    control.close()


async def emulator() -> None:
    """The emulator, without pings, which these clients would not answer."""
    async with Emulator(access_key=KEY, heartbeat=3600) as service:
        await _report_ports(int(service.endpoint.origin.rpartition(":")[2]))


async def _report_ports(*ports: int) -> None:
    sys.stdout.write(" ".join(map(str, ports)) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


SERVERS = {
    "bare aiohttp": bare_aiohttp,
    "websockets broadcast": with_websockets,
    "emulator": emulator,
}


# The clients.


@dataclass
class ClientPool:
    """Clients of one server, and the connection for the send requests."""

    port: int
    control_port: int
    protocol: str = ""
    clients: list[socket.socket] = field(default_factory=list)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    control: socket.socket | None = None
    size: int = 0
    number: int = 0

    def connect_clients(self, number: int) -> None:
        """Connect a number of clients, one after the other."""
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", self.port))
            client.sendall(self._upgrade())
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(READ_BYTES)
            if not head.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(head.decode())
            client.setblocking(False)  # noqa: FBT003 -- the standard library's own
            self.clients.append(client)
            self.selector.register(client, selectors.EVENT_READ)

    def open_control(self) -> None:
        """Open the control connection; discard what clients received when they connected."""
        self.control = socket.create_connection(("127.0.0.1", self.control_port))
        self.selector.register(self.control, selectors.EVENT_READ)
        self._read_until_idle()
        self._request_send()
        self.size = self._read_until_idle() // len(self.clients)
        self.number = 1

    def reach_all(self, sends: int) -> None:
        """Request sends, each after the response to the last, and read until all arrived."""
        expected = 0
        for number in range(self.number + 1, self.number + 1 + sends):
            expected += (self.size + growth(self.protocol, number)) * len(self.clients)
        self.number += sends
        requested, total = 1, 0
        self._request_send()
        while total < expected:
            count, answered = self._read()
            total += count
            if answered and requested < sends:
                self._request_send()
                requested += 1

    def _read_until_idle(self) -> int:
        """Read until no data arrives for half a second; return the number of bytes."""
        total, read = 0, (1, False)
        while read != (0, False):
            read = self._read()
            total += read[0]
        return total

    def _read(self) -> tuple[int, bool]:
        """Read once from each ready socket; return the clients' bytes and whether one responded."""
        total, answered = 0, False
        for key, _ in self.selector.select(0.5):
            count = len(key.fileobj.recv(READ_BYTES))  # type: ignore[union-attr]
            if not count:
                raise RuntimeError("a server closed a connection")
            if key.fileobj is self.control:
                answered = True
            else:
                total += count
        return total, answered

    def _upgrade(self) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        offer = f"Sec-WebSocket-Protocol: {self.protocol}\r\n" if self.protocol else ""
        token = self._token("/client/hubs/h")
        return (
            f"GET /client/hubs/h?access_token={token} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n{offer}\r\n"
        ).encode()

    def _request_send(self) -> None:
        if self.control is None:
            raise RuntimeError("open_control comes first")
        token = self._token("/api/hubs/h/:send")
        self.control.sendall(
            f"POST /api/hubs/h/:send HTTP/1.1\r\nHost: 127.0.0.1:{self.control_port}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(TEXT)}\r\n\r\n{TEXT}".encode()
        )

    def _token(self, path: str) -> str:
        claims = {"aud": f"http://127.0.0.1:{self.port}{path}", "exp": int(time.time()) + 3600}
        return jwt.encode(claims, KEY, algorithm="HS256")

    def close(self) -> None:
        """Close all connections."""
        for client in self.clients:
            client.close()
        if self.control is not None:
            self.control.close()


def growth(protocol: str, number: int) -> int:
    """Return how many bytes the frame with a sequence number is longer than that with 1."""
    if protocol == RELIABLE_JSON:
        return len(str(number)) - 1
    return int(protocol == RELIABLE_PROTOBUF and number >= VARINT_LIMIT)


@contextmanager
def running(name: str) -> Iterator[tuple[int, list[int]]]:
    """Run a server in its own process, on the last core; yield its process ID and its ports."""
    child = subprocess.Popen(  # noqa: S603 -- this very script
        [sys.executable, Path(__file__), "--serve", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        if child.stdout is None or child.stdin is None:
            raise RuntimeError("the server has no pipes")
        pin(child.pid, first=False)
        yield child.pid, [int(port) for port in child.stdout.readline().split()]
        child.stdin.close()


def pin(process: int, *, first: bool) -> None:
    """Put clients and servers on different cores, if the system supports it."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0)) if first else sorted(os.sched_getaffinity(process))
        if len(cores) > 1:
            os.sched_setaffinity(process, {cores[0] if first else cores[-1]})


def resident(process: int) -> int:
    """Return the resident bytes of a process, as Linux reports them."""
    pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# What is measured.

Case = tuple[str, str]
"""A server and its clients' subprotocol, "" for none."""

BARE: Case = ("bare aiohttp", "")


def fan_out(number: int, sends: int, rounds: int) -> None:
    """Print deliveries a second of each server, and the medians of the ratios to bare aiohttp."""
    cases = [BARE, ("websockets broadcast", "")]
    cases += [("emulator", protocol) for protocol in PROTOCOLS]
    rates_of = measure_rates(cases, number, sends, rounds)
    print(f"\n{number} clients, {sends} sends of {len(TEXT)} bytes a round, {rounds} rounds")
    for (name, protocol), rates in rates_of.items():
        ratios = [rate / bare_rate for rate, bare_rate in zip(rates, rates_of[BARE], strict=True)]
        shown = f"{name} {protocol or '(no subprotocol)'}"
        print(
            f"{shown:52} {statistics.median(rates):9,.0f}/s  "
            f"{min(rates):9,.0f} to {max(rates):9,.0f}  "
            f"{statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def measure_rates(
    cases: Sequence[Case], number: int, sends: int, rounds: int
) -> dict[Case, list[float]]:
    """Return the deliveries a second of each case in each round; the cases alternate."""
    rates_of: dict[Case, list[float]] = {case: [] for case in cases}
    with ExitStack() as stack:
        pools = {case: connected_pool(stack, *case, number) for case in cases}
        for turn in range(rounds + 1):
            for place in range(len(cases)):
                case = cases[(place + turn) % len(cases)]
                rate = deliveries(pools[case], sends)
                if turn:  # the first round is to warm up
                    rates_of[case].append(rate)
    return rates_of


def connected_pool(stack: ExitStack, name: str, protocol: str, number: int) -> ClientPool:
    """Start a server and connect a number of clients."""
    _, ports = stack.enter_context(running(name))
    pool = ClientPool(ports[0], ports[-1], protocol)
    stack.callback(pool.close)
    pool.connect_clients(number)
    pool.open_control()
    return pool


def deliveries(pool: ClientPool, sends: int) -> float:
    """Return the deliveries per second of consecutive sends."""
    began = time.perf_counter()
    pool.reach_all(sends)
    return sends * len(pool.clients) / (time.perf_counter() - began)


def idle(number: int) -> None:
    """Print the memory of an idle client of each server."""
    print(f"\nKiB of memory per client, {number} idle clients")
    bare = 0.0
    for name, protocol in [
        ("bare aiohttp", ""),
        *((n, "") for n in list(SERVERS)[1:]),
        ("emulator", JSON),
        ("emulator", RELIABLE_JSON),
    ]:
        with running(name) as (process, ports):
            pool = ClientPool(ports[0], ports[-1], protocol)
            pool.connect_clients(100)
            before = resident(process)
            pool.connect_clients(number)
            per_client = (resident(process) - before) / number / 1024
            pool.close()
        bare = bare or per_client
        shown = f"{name} {protocol or '(no subprotocol)'}"
        print(f"{shown:52} {per_client:6.1f}  {per_client / bare:.2f}x")


def main(args: Sequence[str] | None = None) -> None:
    """Measure, or run as one of the servers with `--serve`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=SERVERS, help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--sends", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--protocol", choices=PROTOCOLS[1:])
    options = parser.parse_args(args)
    if options.serve:
        asyncio.run(SERVERS[options.serve]())
        return
    pin(0, first=True)
    if options.sends * (options.rounds + 1) >= REPLAY_LIMIT:
        parser.error(f"the clients acknowledge nothing; the emulator keeps {REPLAY_LIMIT} messages")
    if options.protocol:
        ours = ("emulator", options.protocol)
        rates_of = measure_rates([BARE, ours], options.clients, options.sends, options.rounds)
        print(statistics.median(map(operator.truediv, rates_of[ours], rates_of[BARE])))
        return
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"aiohttp {aiohttp.__version__}, websockets {version('websockets')}")
    fan_out(options.clients, options.sends, options.rounds)
    idle(options.idle)


if __name__ == "__main__":
    main()
