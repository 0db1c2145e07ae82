"""A server that injects every fault and records what it has applied, and runs against it."""

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
from tests.plan_runs import run_plans

from wps_run import checking, planning
from wps_run.execution.result import Result
from wps_run.playbook.model import read_playbook

KEY = "dHJ1dGgtYW5kLW5vdGhpbmctYnV0LXRoZS10cnV0aA=="
ATTEMPTS = 3
TIMEOUT = 0.12
"""The timeout of an attempt in seconds."""
CLOSED = 0.02
"""Seconds until the server listens again."""


class End(Enum):
    """The state of the connection after a request."""

    OPEN = auto()
    CLOSED = auto()
    RESET = auto()
    STALLED = auto()


@dataclass(frozen=True, slots=True)
class Behavior:
    """How the server treats one request.

    Attributes:
        applies: Whether it applies the action.
        response: The bytes of the response; b"" for none. Status 200 stands for the success of
            the action.
        end: The state of the connection afterwards.
        is_ambiguous: Whether the client cannot know if the action was applied.
        delay: Seconds before the response.
        stops_listening: Whether the server stops listening for a while.
        echoes_token: Whether the response contains the request's token.
    """

    applies: bool
    response: bytes = b""
    end: End = End.OPEN
    is_ambiguous: bool = False
    delay: float = 0.0
    stops_listening: bool = False
    echoes_token: bool = False

    @property
    def accepts(self) -> bool:
        """Whether the response says that the action was applied."""
        return not self.is_ambiguous and b"HTTP/1.1 2" in self.response

    @property
    def refuses(self) -> bool:
        """Whether the response says that a retry is useless."""
        return self.response.startswith((b"HTTP/1.1 400", b"HTTP/1.1 3"))


def http_response(status: int, *headers: str, body: str = "") -> bytes:
    """Return a complete HTTP response."""
    lines = (f"HTTP/1.1 {status} so", f"Content-Length: {len(body)}", *headers, "", body)
    return "\r\n".join(lines).encode()


def success(method: str, path: str) -> bytes:
    """Return the documented success of a request."""
    if path.partition("?")[0].endswith(":closeConnections"):
        return b"204"
    return {"PUT": b"200", "DELETE": b"204", "POST": b"202"}[method]


TODAY = "Tue, 24 Nov 2026 12:00:00 GMT"
OK = Behavior(applies=True, response=http_response(200))
SLOW = Behavior(applies=True, response=http_response(200), delay=0.01)
PAUSE = 0.05
PAUSED = Behavior(applies=False, response=http_response(429, f"retry-after-ms: {PAUSE * 1000:.0f}"))
PAUSES = (
    ("Retry-After: 0",),
    (f"Date: {TODAY}", f"Retry-After: {TODAY}"),
    ("retry-after-ms: 5",),
    (),
)
"""Headers of a throttled response about the next attempt."""
HALF_LINE = http_response(200)[:7]
HALF_BODY = http_response(200, body="a long answer")[:-8]
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
GARBAGE = b"SSH-2.0-OpenSSH_9.9\r\n\r\n"
PROMPT = (
    OK,
    SLOW,
    *(Behavior(applies=False, response=http_response(429, *headers)) for headers in PAUSES),
    *(
        Behavior(applies=False, response=http_response(503, *headers), is_ambiguous=True)
        for headers in PAUSES
    ),
    Behavior(applies=True, response=http_response(503, "Retry-After: 0"), is_ambiguous=True),
    Behavior(applies=True, response=http_response(500), is_ambiguous=True),
    Behavior(applies=False, response=http_response(400, body='{"code": "Bad"}')),
    Behavior(applies=False, response=http_response(400), echoes_token=True),
    Behavior(
        applies=False, response=http_response(307, "Location: /api/hubs/other/:send?api-version=1")
    ),
    Behavior(applies=True, response=b"HTTP/1.1 100 Continue\r\n\r\n" + http_response(200)),
    Behavior(applies=True, response=HINTS + http_response(200)),
    Behavior(applies=True, response=http_response(200) * 2),
    Behavior(applies=True, response=http_response(200) + b"HTTP/1.1 2"),
    *(
        Behavior(applies, response, is_ambiguous=True)
        for applies in (True, False)
        for response in (
            http_response(203),
            http_response(200, "Content-Type: text/html", body="<html>Log in</html>"),
            http_response(999),
        )
    ),
)
"""Behaviors that end with a response."""
BEHAVIORS = (
    *PROMPT,
    Behavior(applies=True, response=http_response(200), end=End.CLOSED),
    Behavior(applies=True, response=HALF_BODY, end=End.CLOSED),
    Behavior(
        applies=True,
        response=http_response(200, "Connection: close"),
        end=End.CLOSED,
        stops_listening=True,
    ),
    Behavior(applies=False, response=http_response(429), end=End.CLOSED, stops_listening=True),
    *(
        Behavior(applies, response, end, is_ambiguous=True)
        for applies in (True, False)
        for response, end in (
            (b"", End.RESET),
            (b"", End.CLOSED),
            (b"", End.STALLED),
            (HALF_LINE, End.CLOSED),
            (HALF_LINE, End.STALLED),
            (HINTS, End.CLOSED),
            (GARBAGE, End.CLOSED),
        )
    ),
    Behavior(applies=True, response=http_response(200), is_ambiguous=True, delay=2.5 * TIMEOUT),
)


@dataclass(slots=True)
class ReceivedRequest:
    """A complete request that the server received."""

    request_id: str
    path: str
    success: bytes
    token: str
    behavior: Behavior
    at: float
    client_left: bool = False

    @property
    def is_ambiguous(self) -> bool:
        """Whether the client cannot know the outcome, or did not wait for the response."""
        return self.behavior.is_ambiguous or self.client_left


class ScriptedServer:
    """Treats each request as its script says, and records it.

    Args:
        behaviors: One for each request in order of arrival; `OK` for all others.
        accepted: One for each connection: whether it is accepted. All others are.
        closed: Seconds until it listens again.

    Attributes:
        requests: Every request that arrived.
        unread: The number of connections that may have lost a request.
        in_flight: The number of requests without a response.
        most_in_flight: The maximum of `in_flight`.
        is_finished: Set by the test when the run has yielded all results.
    """

    def __init__(
        self,
        behaviors: Sequence[Behavior] = (),
        accepted: Sequence[bool] = (),
        closed: float = CLOSED,
    ) -> None:
        self.requests: list[ReceivedRequest] = []
        self.unread = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.is_finished = False
        self._behaviors = iter(behaviors)
        self._accepted = iter(accepted)
        self._closed = closed
        self._tasks: set[asyncio.Task[Any]] = set()
        self._opening: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen, and yield the connection string. Ends when every client has disconnected."""
        with _bound(0) as reserved:  # reserves the port while the server does not listen
            self._port = reserved.getsockname()[1]
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

    def _stop_listening(self) -> None:
        """Stop listening for a while; reset connections that wait to be accepted."""
        if self._opening:
            return
        backlog = self._socket.dup()
        self._server.close()
        with backlog, suppress(BlockingIOError):
            while True:
                pending, _ = backlog.accept()
                self.unread += 1
                _linger(pending)
                pending.close()
        self._opening = asyncio.create_task(self._open(self._closed))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if not next(self._accepted, True):
            self.unread += 1
            _reset(writer)
            return
        last: ReceivedRequest | None = None
        end = End.OPEN
        while end is End.OPEN and (request := await self._request(reader, writer)):
            last = request
            end = await self._respond(request, reader, writer)
        # A request may be on its way over an idle connection that is closed.
        self.unread += last is None or (last.behavior.accepts and end is End.CLOSED)
        if end is End.RESET:
            _reset(writer)
        elif end is End.OPEN and last is not None:
            last.client_left = not self.is_finished
        writer.close()

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> ReceivedRequest | None:
        """Return the next request of an action. Reads of what is in doubt are refused."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            while head.startswith(("GET ", "HEAD ")):
                writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])
            }
            await reader.readexactly(int(headers["content-length"]))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        method, path, _ = head.split(" ", 2)
        return ReceivedRequest(
            headers["x-ms-client-request-id"],
            path,
            success(method, path),
            headers["authorization"].removeprefix("Bearer "),
            next(self._behaviors, OK),
            time.monotonic(),
        )

    async def _respond(
        self, request: ReceivedRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> End:
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        behavior = request.behavior
        response = behavior.response.replace(b"HTTP/1.1 200", b"HTTP/1.1 " + request.success)
        if behavior.end is End.STALLED:
            writer.write(response)
            await _wait_for_disconnect(reader)
        elif behavior.delay:
            await _wait_for_disconnect(reader, behavior.delay)
        self.in_flight -= 1
        if behavior.stops_listening:
            self._stop_listening()
        if behavior.echoes_token:
            writer.write(http_response(400, body=f'{{"message": "I know {request.token}!"}}'))
        elif behavior.end is not End.STALLED:
            writer.write(response)
        return behavior.end


async def _wait_for_disconnect(reader: asyncio.StreamReader, seconds: float | None = None) -> None:
    """Wait until the client disconnects, at most for some seconds."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            await reader.read(1)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset."""
    _linger(writer.get_extra_info("socket"))
    writer.transport.abort()


def _linger(connection: socket.socket) -> None:
    """Make a connection end with a reset when it is closed."""
    form = "hh" if sys.platform == "win32" else "ii"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(form, 1, 0))


def _bound(port: int) -> socket.socket:
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.settimeout(0)
    reserved.bind(("127.0.0.1", port))
    return reserved


def _event_of(seconds: float) -> asyncio.Event:
    """Return an event that is set after some seconds."""
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, event.set)
    return event


def make_plan(
    actions: Sequence[Mapping[str, Any]], connection: str, **options: Any
) -> planning.Plan:
    """Plan a playbook with short timeouts and pauses."""
    playbook = {
        "hub": "chat",
        "timeout": TIMEOUT,
        "concurrency": 4,
        "retry": {"attempts": ATTEMPTS, "backoff": "2ms", "maxBackoff": "4ms"},
        **options,
        "actions": list(actions),
    }
    setting = {checking.DEFAULT_CONNECTION: connection}
    read = read_playbook(json.dumps(playbook), "p.json")
    (plan,) = planning.plan([read], planning.RunOverrides(environment=setting))
    return plan


async def run_against(
    server: ScriptedServer, actions: Sequence[Mapping[str, Any]], **options: Any
) -> list[Result]:
    """Run actions against a server; return the results in the order of completion."""
    results: list[Result] = []
    async with server.listening() as connection:
        plan = make_plan(actions, connection, **options)
        async with aclosing(run_plans([plan])) as run:
            async for result in run:
                results.append(result)
                server.is_finished = len(results) == plan.total
    return results


@pytest.fixture(scope="session")
def harness() -> SimpleNamespace:
    """The server, its behaviors, and the functions that run actions against it."""
    return SimpleNamespace(
        Server=ScriptedServer,
        Behavior=Behavior,
        OK=OK,
        SLOW=SLOW,
        PAUSED=PAUSED,
        PAUSE=PAUSE,
        PROMPT=PROMPT,
        BEHAVIORS=BEHAVIORS,
        ATTEMPTS=ATTEMPTS,
        KEY=KEY,
        make_plan=make_plan,
        run_against=run_against,
    )
