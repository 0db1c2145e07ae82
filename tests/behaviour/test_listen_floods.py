"""Floods keep `wps-run listen` neither from answering the service, nor from a reload or its end."""

import errno
import selectors
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import pytest
from tests.listen_process import RED, Listen, event_bytes, event_headers

if sys.platform != "linux":
    pytest.skip("descriptors and memory are read as Linux reports them", allow_module_level=True)

from resource import RLIMIT_NOFILE, prlimit

DESCRIPTORS = 128
"""How many file descriptors the process may have."""

RESERVED = 8
"""How many of them connections leave free at least."""

ANSWER_SECONDS = 3.0
"""How long an answer may take during a flood, on a busy machine."""

GROWTH = 30
"""How much memory all floods together may take, in MiB."""

RESET = struct.pack("ii", 1, 0)
"""With this option, closing a socket discards what was sent and not read."""

EVENT = event_bytes(event_headers("ada"))
HEAD = EVENT.removesuffix(b"{}")
UNSIGNED = event_bytes({**event_headers("ada"), "ce-signature": "sha256=" + "0" * 64})
LONG = event_bytes(event_headers("ada"), b"x" * 2_000_000)
CHUNKED = event_bytes({"Transfer-Encoding": "chunked", **event_headers("ada")}, b"")


class Kind(NamedTuple):
    """What the connections of a flood do.

    Attributes:
        start: What each sends first.
        more: What each sends again and again.
        connections: The number of connections.
        reads: Whether they read what is answered.
        reopens: Whether they connect again when they are closed.
    """

    start: bytes
    more: bytes
    connections: int = 20
    reads: bool = True
    reopens: bool = True


KINDS = {
    "silent connections": Kind(b"", b"", 150, reopens=False),
    "silent connections again and again": Kind(b"", b"", 300),
    "half a head": Kind(EVENT[:40], b"", 150),
    "no body": Kind(HEAD, b"", 150),
    "endless headers": Kind(b"POST /eventhandler HTTP/1.1\r\nHost: x\r\n", b"X: " + b"x" * 9000),
    "many headers": Kind(b"POST /eventhandler HTTP/1.1\r\n", b"".join([b"X: x\r\n"] * 9000)),
    "long bodies": Kind(b"", LONG),
    "endless bodies": Kind(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    "tiny chunks": Kind(CHUNKED, b"1\r\nx\r\n" * 10_000),
    "pipelined requests": Kind(b"", EVENT * 1000),
    "pipelined requests with unread answers": Kind(b"", EVENT * 1000, reads=False),
    "wrong signatures": Kind(b"", UNSIGNED),
    "pipelined wrong signatures": Kind(b"", UNSIGNED * 1000),
    "garbage": Kind(b"", b"\x00\xff\r\n" * 1000),
}


class Flood(threading.Thread):
    """Connections that send as much as is read."""

    def __init__(self, port: int, kind: Kind) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._kind = kind
        self._selector = selectors.DefaultSelector()
        self._is_stopped = False
        self.is_raging = threading.Event()
        """Set when all have begun and, if they go on, have sent 1 MB or been closed often."""
        self._sent = self._opened = 0

    def __enter__(self) -> Self:
        self.start()
        assert self.is_raging.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopped = True
        self.join()

    def run(self) -> None:
        for _ in range(self._kind.connections):
            self._open()
        while not self._is_stopped:
            for key, events in self._selector.select(0.05):
                assert isinstance(key.fileobj, socket.socket)
                self._try(key.fileobj, key.data, events)
            is_busy = self._sent > 1_000_000 or self._opened > 2 * self._kind.connections
            if is_busy or not (self._kind.more or self._kind.reopens):
                self.is_raging.set()
        for key in list(self._selector.get_map().values()):
            with suppress(OSError):
                key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _open(self) -> None:
        connection = socket.socket()
        connection.settimeout(0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.connect_ex(("127.0.0.1", self._port))
        rest = bytearray(self._kind.start or self._kind.more)
        self._selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, rest)
        self._opened += 1

    def _try(self, connection: socket.socket, rest: bytearray, events: int) -> None:
        try:
            self._use(connection, rest, events)
        except BlockingIOError:
            return
        except OSError:
            self._selector.unregister(connection)
            connection.close()
            if self._kind.reopens:
                self._open()

    def _use(self, connection: socket.socket, rest: bytearray, events: int) -> None:
        if events & selectors.EVENT_READ and self._kind.reads and not connection.recv(1 << 20):
            raise OSError(errno.EPIPE, "closed")
        if events & selectors.EVENT_WRITE:
            sent = connection.send(rest)
            self._sent += sent
            del rest[:sent]
            rest += b"" if rest else self._kind.more
            if not rest:
                self._selector.modify(connection, selectors.EVENT_READ, rest)


class Usage(NamedTuple):
    """What a process uses.

    Attributes:
        memory: The resident memory in MiB.
        descriptors: The number of file descriptors.
    """

    memory: int
    descriptors: int


def usage(running: Listen) -> Usage:
    """Read what the process uses."""
    process = Path(f"/proc/{running.child.pid}")
    memory = (process / "status").read_text().partition("VmRSS:")[2].split()[0]
    return Usage(int(memory) // 1024, sum(1 for _ in (process / "fd").iterdir()))


def limit_descriptors(running: Listen) -> None:
    prlimit(running.child.pid, RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


@pytest.fixture(scope="module")
def before(members_of_red: Listen) -> Usage:
    """What the process uses before all floods."""
    limit_descriptors(members_of_red)
    return usage(members_of_red)


@pytest.mark.parametrize("name", KINDS)
def test_the_service_is_answered_during_a_flood(
    members_of_red: Listen, before: Usage, name: str
) -> None:
    """In time, and within the limits of descriptors and of memory."""
    with Flood(members_of_red.port, KINDS[name]):
        for _ in range(3):
            start = time.perf_counter()
            assert members_of_red.connect("ada") == (200, RED)
            assert time.perf_counter() - start < ANSWER_SECONDS
            during = usage(members_of_red)
            assert during.descriptors <= DESCRIPTORS - RESERVED
            assert during.memory < before.memory + GROWTH

    while usage(members_of_red).descriptors > before.descriptors:
        assert members_of_red.health()["status"] == "ok"


@pytest.mark.parametrize("name", ["tiny chunks", "wrong signatures"])
def test_a_changed_file_is_read_during_a_flood(
    listen: Callable[..., Listen], tmp_path: Path, name: str
) -> None:
    running = listen()
    limit_descriptors(running)
    with Flood(running.port, KINDS[name]):
        (tmp_path / "red.csv").write_text("id\nbob\n")
        running.next_message("reloaded: 1 user in 1 group")
        assert running.connect("bob") == (200, RED)
        assert running.connect("ada")[1] != RED


@pytest.mark.parametrize("name", ["half a head", "endless bodies", "tiny chunks"])
def test_a_flood_does_not_delay_the_end(listen: Callable[..., Listen], name: str) -> None:
    running = listen()
    limit_descriptors(running)
    with Flood(running.port, KINDS[name]):
        running.child.send_signal(signal.SIGTERM)
        assert running.child.wait(timeout=5) == 0
