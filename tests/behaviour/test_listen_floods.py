"""Whoever floods `wps-run listen` keeps it neither from answering the service nor from its end."""

import errno
import selectors
import signal
import socket
import sys
import threading
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
    """

    start: bytes
    more: bytes
    connections: int = 20
    reads: bool = True


KINDS = {
    "silent connections": Kind(b"", b"", 150),
    "half a head": Kind(EVENT[:40], b"", 150),
    "no body": Kind(HEAD, b"", 150),
    "endless headers": Kind(b"POST /eventhandler HTTP/1.1\r\nHost: x\r\n", b"X: " + b"x" * 9000),
    "many headers": Kind(b"POST /eventhandler HTTP/1.1\r\n", b"".join([b"X: x\r\n"] * 9000)),
    "long bodies": Kind(b"", LONG),
    "endless bodies": Kind(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    "pipelined requests": Kind(b"", EVENT * 1000),
    "pipelined requests with unread answers": Kind(b"", EVENT * 1000, reads=False),
    "wrong signatures": Kind(b"", UNSIGNED),
    "pipelined wrong signatures": Kind(b"", UNSIGNED * 1000),
    "garbage": Kind(b"", b"\x00\xff\r\n" * 1000),
}


class Flood(threading.Thread):
    """Connections that send as much as is read, and connect again when they are closed.

    Those that have nothing more to send do not connect again.
    """

    def __init__(self, port: int, kind: Kind) -> None:
        super().__init__()
        self._port = port
        self._kind = kind
        self._selector = selectors.DefaultSelector()
        self._is_stopped = False
        self.is_raging = threading.Event()
        """Set when all have begun and, if they send more, sent 1 MB or been closed often."""
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
            is_busy = self._sent > 1_000_000 or self._opened > 4 * self._kind.connections
            if is_busy or not self._kind.more:
                self.is_raging.set()
        for key in list(self._selector.get_map().values()):
            with suppress(OSError):
                key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _open(self) -> None:
        connection = socket.socket()
        connection.settimeout(0)
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
            if self._kind.more:
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


def resident(running: Listen) -> int:
    """The resident memory of the process in MiB."""
    status = Path(f"/proc/{running.child.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


@pytest.mark.parametrize("name", KINDS)
def test_the_service_is_answered_during_a_flood(members_of_red: Listen, name: str) -> None:
    """Within the limit of descriptors, and of memory."""
    prlimit(members_of_red.child.pid, RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    before = resident(members_of_red)
    with Flood(members_of_red.port, KINDS[name]):
        for _ in range(3):
            assert members_of_red.connect("ada") == (200, RED)
        growth = resident(members_of_red) - before

    assert growth < 150  # closed connections wait for the garbage collector
    assert members_of_red.health()["status"] == "ok"


@pytest.mark.parametrize("name", ["half a head", "endless bodies", "pipelined requests"])
def test_a_flood_does_not_delay_the_end(listen: Callable[..., Listen], name: str) -> None:
    running = listen()
    with Flood(running.port, KINDS[name]):
        running.child.send_signal(signal.SIGTERM)
        assert running.child.wait(timeout=5) == 0
