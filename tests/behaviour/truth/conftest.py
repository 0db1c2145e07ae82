"""A server that makes every trouble and notes what it has done, and runs against it."""

import asyncio
import json
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any

import pytest

from wps_run import planning, running
from wps_run.execution.result import Result
from wps_run.playbook.model import read_playbook

KEY = "dHJ1dGgtYW5kLW5vdGhpbmctYnV0LXRoZS10cnV0aA=="
ATTEMPTS = 3
TIMEOUT = 0.12
"""Seconds that an attempt may take."""
CLOSED = 0.02
"""Seconds for which nobody listens after a server has shut."""


class End(Enum):
    """What becomes of the connection after a request."""

    KEPT = auto()
    HUNG_UP = auto()
    RESET = auto()
    STALLED = auto()


@dataclass(frozen=True, slots=True)
class Deed:
    """What the server does with one request.

    Attributes:
        applies: Whether it carries the action out.
        says: What it answers; b"" for nothing.
        end: What it does to the connection afterwards.
        doubt: Whether nobody can tell from outside that it was, or was not, carried out.
        late: Seconds until it answers.
        shuts: Whether nobody listens for a while afterwards.
        echoes: Whether the answer holds the token that came with the request.
    """

    applies: bool
    says: bytes = b""
    end: End = End.KEPT
    doubt: bool = False
    late: float = 0.0
    shuts: bool = False
    echoes: bool = False

    @property
    def accepts(self) -> bool:
        """Whether the client is told that it was carried out."""
        return not self.doubt and b"HTTP/1.1 2" in self.says

    @property
    def refuses(self) -> bool:
        """Whether the client is told that there is no use in trying again."""
        return self.says.startswith((b"HTTP/1.1 400", b"HTTP/1.1 3"))


def answer(status: int, *headers: str, body: str = "") -> bytes:
    """A whole HTTP answer."""
    lines = (f"HTTP/1.1 {status} so", f"Content-Length: {len(body)}", *headers, "", body)
    return "\r\n".join(lines).encode()


TODAY = "Tue, 24 Nov 2026 12:00:00 GMT"
OK = Deed(applies=True, says=answer(200))
SLOW = Deed(applies=True, says=answer(202), late=0.01)
PAUSE = 0.05
PAUSED = Deed(applies=False, says=answer(429, f"retry-after-ms: {PAUSE * 1000:.0f}"))
PAUSES = (
    ("Retry-After: 0",),
    (f"Date: {TODAY}", f"Retry-After: {TODAY}"),
    ("retry-after-ms: 5",),
    (),
)
"""What a throttled answer may say about when to come again."""
HALF_LINE = answer(200)[:7]
HALF_BODY = answer(200, body="a long answer")[:-8]
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
GARBAGE = b"SSH-2.0-OpenSSH_9.9\r\n\r\n"
PROMPT = (
    OK,
    SLOW,
    *(Deed(applies=False, says=answer(429, *said)) for said in PAUSES),
    *(Deed(applies=False, says=answer(503, *said), doubt=True) for said in PAUSES),
    Deed(applies=True, says=answer(503, "Retry-After: 0"), doubt=True),
    Deed(applies=True, says=answer(500), doubt=True),
    Deed(applies=False, says=answer(400, body='{"code": "Bad"}')),
    Deed(applies=False, says=answer(400), echoes=True),
    Deed(applies=False, says=answer(307, "Location: /api/hubs/other/:send?api-version=1")),
    Deed(applies=True, says=b"HTTP/1.1 100 Continue\r\n\r\n" + answer(200)),
    Deed(applies=True, says=HINTS + answer(202)),
)
"""Deeds that end with an answer."""
DEEDS = (
    *PROMPT,
    Deed(applies=True, says=answer(200), end=End.HUNG_UP),
    Deed(applies=True, says=HALF_BODY, end=End.HUNG_UP),
    Deed(applies=True, says=answer(200, "Connection: close"), end=End.HUNG_UP, shuts=True),
    Deed(applies=False, says=answer(429), end=End.HUNG_UP, shuts=True),
    *(
        Deed(applies, says, end, doubt=True)
        for applies in (True, False)
        for says, end in (
            (b"", End.RESET),
            (b"", End.HUNG_UP),
            (b"", End.STALLED),
            (HALF_LINE, End.HUNG_UP),
            (HALF_LINE, End.STALLED),
            (HINTS, End.HUNG_UP),
            (GARBAGE, End.HUNG_UP),
        )
    ),
    Deed(applies=True, says=answer(200), doubt=True, late=2.5 * TIMEOUT),
)


@dataclass(slots=True)
class Arrival:
    """A request as the server saw it, in full."""

    request_id: str
    path: str
    token: str
    deed: Deed
    at: float
    left: bool = False

    @property
    def doubt(self) -> bool:
        """Whether its sender cannot know; so too when it did not wait for the answer."""
        return self.deed.doubt or self.left


class ScriptedServer:
    """Does to each request what its script says, and notes what it has done.

    Args:
        deeds: One a request, in the order in which they arrive; then all is `OK`.
        doors: One a connection: whether it is let in. Then all are.
        closed: Seconds for which nobody listens after it has shut.

    Attributes:
        arrivals: Every request that arrived.
        unread: How many connections may have carried off a request that never arrived.
        in_flight: How many requests have no answer yet.
        most_in_flight: The most there were.
        over: Set by the test once the run has told all of its results.
    """

    def __init__(
        self, deeds: Sequence[Deed] = (), doors: Sequence[bool] = (), closed: float = CLOSED
    ) -> None:
        self.arrivals: list[Arrival] = []
        self.unread = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.over = False
        self._deeds = iter(deeds)
        self._doors = iter(doors)
        self._closed = closed
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opening: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen meanwhile; gives the connection string. Ends when every client has left."""
        with _bound(0) as place:  # keeps the port while nobody listens
            self._port = place.getsockname()[1]
            await self._open()
            yield f"Endpoint=http://127.0.0.1:{self._port};AccessKey={KEY};Version=1.0;"
            if self._opening:
                await self._opening
            self._server.close()
            await asyncio.gather(*self._tasks)

    async def _open(self, after: float = 0.0) -> None:
        if after:
            await _event_of(after).wait()
        self._socket = _bound(self._port)
        self._server = await asyncio.start_server(self._connected, sock=self._socket)
        self._opening = None

    def _shut(self) -> None:
        """Listen no more for a while. Who has knocked and was not let in is turned away."""
        if self._opening:
            return
        knocked = self._socket.dup()
        self._server.close()
        with knocked, suppress(BlockingIOError):
            while True:
                visitor, _ = knocked.accept()
                self.unread += 1
                _linger(visitor)
                visitor.close()
        self._opening = asyncio.create_task(self._open(self._closed))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if not next(self._doors, True):
            self.unread += 1
            _reset(writer)
            return
        last: Arrival | None = None
        end = End.KEPT
        while end is End.KEPT and (arrival := await self._request(reader)):
            last = arrival
            end = await self._do(arrival, reader, writer)
        # A request may be on its way over a connection that is closed while nothing is asked.
        self.unread += last is None or (last.deed.accepts and end is End.HUNG_UP)
        if end is End.RESET:
            _reset(writer)
        elif end is End.KEPT and last is not None:
            last.left = not self.over
        writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> Arrival | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])
            }
            await reader.readexactly(int(headers["content-length"]))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Arrival(
            headers["x-ms-client-request-id"],
            head.split(" ", 2)[1],
            headers["authorization"].removeprefix("Bearer "),
            next(self._deeds, OK),
            time.monotonic(),
        )

    async def _do(
        self, arrival: Arrival, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> End:
        self.arrivals.append(arrival)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        deed = arrival.deed
        if deed.end is End.STALLED:
            writer.write(deed.says)
            await _until_left(reader)
        elif deed.late:
            await _until_left(reader, deed.late)
        self.in_flight -= 1
        if deed.shuts:
            self._shut()
        if deed.echoes:
            writer.write(answer(400, body=f'{{"message": "I know {arrival.token}!"}}'))
        elif deed.end is not End.STALLED:
            writer.write(deed.says)
        return deed.end


async def _until_left(reader: asyncio.StreamReader, seconds: float | None = None) -> None:
    """Wait until the client hangs up, for so long at most."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            await reader.read(1)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that its other end hears of an error, not of an end."""
    _linger(writer.get_extra_info("socket"))
    writer.transport.abort()


def _linger(connection: socket.socket) -> None:
    """Have a connection end with a reset when it is closed."""
    form = "hh" if sys.platform == "win32" else "ii"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(form, 1, 0))


def _bound(port: int) -> socket.socket:
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.settimeout(0)
    place.bind(("127.0.0.1", port))
    return place


def _event_of(seconds: float) -> asyncio.Event:
    """An event that is set after so long."""
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, event.set)
    return event


def planned(actions: Sequence[Mapping[str, Any]], connection: str, **options: Any) -> planning.Plan:
    """A playbook with short timeouts and pauses, ready to run."""
    playbook = {
        "hub": "chat",
        "timeout": TIMEOUT,
        "concurrency": 4,
        "retry": {"attempts": ATTEMPTS, "backoff": "2ms", "maxBackoff": "4ms"},
        **options,
        "actions": list(actions),
    }
    setting = {planning.DEFAULT_CONNECTION: connection}
    read = read_playbook(json.dumps(playbook), "p.json")
    (plan,) = planning.plan([read], planning.RunOverrides(environment=setting))
    return plan


async def carried_out(
    server: ScriptedServer, actions: Sequence[Mapping[str, Any]], **options: Any
) -> list[Result]:
    """The results of a run against a server, in the order in which they came."""
    results: list[Result] = []
    async with server.listening() as connection:
        plan = planned(actions, connection, **options)
        async with aclosing(running.run([plan])) as run:
            async for result in run:
                results.append(result)
                server.over = len(results) == plan.total
    return results


@pytest.fixture(scope="session")
def scene() -> SimpleNamespace:
    """The server, what it may do, and how a run against it is carried out."""
    return SimpleNamespace(
        Server=ScriptedServer,
        Deed=Deed,
        OK=OK,
        SLOW=SLOW,
        PAUSED=PAUSED,
        PAUSE=PAUSE,
        PROMPT=PROMPT,
        DEEDS=DEEDS,
        ATTEMPTS=ATTEMPTS,
        KEY=KEY,
        planned=planned,
        carried_out=carried_out,
    )
