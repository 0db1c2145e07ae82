"""What each result says is what happened, by the log of a server that makes every trouble."""

import asyncio
import json
import operator
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from itertools import accumulate, cycle
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import api
from runner.connect.client import Client
from runner.execution.executor import Executor
from runner.execution.result import Result, Status, Summary
from runner.execution.stop import Stop
from runner.playbook.model import read_playbook

KEY = "dHJ1dGgtYW5kLW5vdGhpbmctYnV0LXRoZS10cnV0aA=="
ATTEMPTS = 3
TIMEOUT = 0.12
"""Seconds that an attempt may take."""


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
        slow: Whether it takes its time.
    """

    applies: bool
    says: bytes = b""
    end: End = End.KEPT
    doubt: bool = False
    slow: bool = False

    @property
    def accepts(self) -> bool:
        """Whether the client is told that it was carried out."""
        return self.says.startswith(b"HTTP/1.1 2")


def answer(status: int, *headers: str, body: str = "") -> bytes:
    """A whole HTTP answer."""
    lines = (f"HTTP/1.1 {status} so", f"Content-Length: {len(body)}", *headers, "", body)
    return "\r\n".join(lines).encode()


TODAY = "Tue, 24 Nov 2026 12:00:00 GMT"
OK = Deed(applies=True, says=answer(200))
SLOW = Deed(applies=True, says=answer(202), slow=True)
THROTTLED = Deed(applies=False, says=answer(429, "Retry-After: 0"))
PAUSE = 0.05
PAUSED = Deed(applies=False, says=answer(429, f"retry-after-ms: {PAUSE * 1000:.0f}"))
HALF_LINE = answer(200)[:7]
HALF_BODY = answer(200, body="a long answer")[:-8]
PROMPT = (
    OK,
    SLOW,
    THROTTLED,
    Deed(applies=False, says=answer(429)),
    Deed(applies=False, says=answer(429, f"Date: {TODAY}", f"Retry-After: {TODAY}")),
    Deed(applies=False, says=answer(400, body='{"code": "Bad"}')),
    Deed(applies=False, says=answer(503), doubt=True),
    Deed(applies=True, says=answer(503), doubt=True),
    Deed(applies=True, says=answer(500), doubt=True),
)
"""Deeds that end with an answer."""
DEEDS = (
    *PROMPT,
    Deed(applies=True, says=answer(200), end=End.HUNG_UP),
    Deed(applies=True, says=HALF_BODY, end=End.HUNG_UP),
    *(
        Deed(applies, says, end, doubt=True)
        for applies in (True, False)
        for says, end in (
            (b"", End.RESET),
            (b"", End.HUNG_UP),
            (b"", End.STALLED),
            (HALF_LINE, End.HUNG_UP),
            (HALF_LINE, End.STALLED),
        )
    ),
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

    Attributes:
        arrivals: Every request that arrived.
        unread: How many connections may have carried off a request that never arrived.
        in_flight: How many requests have no answer yet.
        most_in_flight: The most there were.
        over: Set by the test once the run has told all of its results.
    """

    def __init__(self, deeds: Sequence[Deed] = (), doors: Sequence[bool] = ()) -> None:
        self.arrivals: list[Arrival] = []
        self.unread = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.over = False
        self._deeds = iter(deeds)
        self._doors = iter(doors)
        self._tasks: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen meanwhile; gives the connection string. Ends when every client has left."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        yield f"Endpoint=http://127.0.0.1:{port};AccessKey={KEY};Version=1.0;"
        server.close()
        await asyncio.gather(*self._tasks)

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
        elif deed.slow:
            await _until_left(reader, 0.01)
        self.in_flight -= 1
        if deed.end is not End.STALLED:
            writer.write(deed.says)
        return deed.end


async def _until_left(reader: asyncio.StreamReader, seconds: float | None = None) -> None:
    """Wait until the client hangs up, for so long at most."""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(seconds):
            await reader.read(1)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that its other end hears of an error, not of an end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(
        socket.SOL_SOCKET,
        socket.SO_LINGER,
        struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0),
    )
    writer.transport.abort()


SENDS = [
    {"actionName": "sendToAll", "data": "x"},
    {"actionName": "sendToGroup", "group": "red", "data": "x"},
    {"actionName": "sendToGroup", "group": "blue", "data": "x"},
    {"actionName": "sendToUser", "userId": "ada", "data": "x"},
]
OTHERS = [
    {"actionName": "addUserToGroup", "userId": "ada", "group": "red"},
    {"actionName": "addUserToGroup", "userId": "bob", "group": "red"},
    {"actionName": "removeUserFromGroup", "userId": "bob", "group": "red"},
    {"actionName": "removeUserFromAllGroups", "userId": "ada"},
    {"actionName": "closeAllConnections"},
    {"actionName": "closeGroupConnections", "group": "blue"},
]
DELIVERY = st.sampled_from([{}, {"delivery": "atLeastOnce"}])
ACTION = st.builds(operator.or_, st.sampled_from(SENDS), DELIVERY) | st.sampled_from(OTHERS)


def planned(actions: Sequence[Mapping[str, Any]], connection: str, **options: Any) -> api.Plan:
    """A playbook with short timeouts and pauses, ready to run."""
    playbook = {
        "hub": "chat",
        "timeout": TIMEOUT,
        "concurrency": 4,
        "retry": {"attempts": ATTEMPTS, "backoff": "2ms", "maxBackoff": "4ms"},
        **options,
        "actions": list(actions),
    }
    setting = {api.DEFAULT_CONNECTION: connection}
    read = read_playbook(json.dumps(playbook), "p.json")
    (plan,) = api.plan([read], api.Given(environment=setting))
    return plan


async def carried_out(
    server: ScriptedServer, actions: Sequence[Mapping[str, Any]], **options: Any
) -> list[Result]:
    """The results of a run against a server, in the order in which they came."""
    results: list[Result] = []
    async with server.listening() as connection:
        plan = planned(actions, connection, **options)
        async with aclosing(api.run([plan])) as run:
            async for result in run:
                results.append(result)
                server.over = len(results) == plan.total
    return results


def compare(result: Result, arrivals: Sequence[Arrival], unread: int) -> None:
    """Hold the result of one action to what the server knows of it.

    Args:
        result: The result.
        arrivals: Its requests, in order.
        unread: The most of its requests that may be missing there.
    """
    applied = sum(one.deed.applies for one in arrivals)
    lost = result.attempts - len(arrivals)
    step = result.step
    once = not step.action.idempotent and step.delivery == "atMostOnce"
    assert 0 <= lost <= unread
    assert result.attempts <= ATTEMPTS
    assert all(one.path.partition("?")[0] == step.request.path for one in arrivals)
    if once:
        assert applied <= 1
        assert not any(one.doubt for one in arrivals[:-1])
        # On a busy machine a connection may not come about in time: certainly nothing left then.
        unconnected = result.duration >= lost * TIMEOUT
        assert unconnected or not (lost and any(one.doubt for one in arrivals))
    if result.status is Status.OK:
        assert applied
        assert arrivals[-1].deed.accepts
    elif result.status is Status.FAILED:
        assert not applied
    elif result.status is Status.SKIPPED:
        assert not arrivals
        assert result.attempts == 0
    else:
        assert lost or any(one.doubt for one in arrivals)
        refused = arrivals and b" 400 " in arrivals[-1].deed.says
        assert once or refused or result.attempts == ATTEMPTS
    told = [one for one in arrivals if one.deed.accepts and not one.left]
    assert not told or result.status is Status.OK


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@settings(max_examples=50)  # each waits for real timeouts
@given(
    actions=st.lists(ACTION, min_size=1, max_size=12),
    deeds=st.lists(st.sampled_from(DEEDS), max_size=16),
    doors=st.lists(st.booleans(), max_size=4),
    on_error=st.sampled_from(["continue", "continue", "stop"]),
)
def test_each_result_says_what_happened(
    mode: str,
    actions: list[dict[str, str]],
    deeds: list[Deed],
    doors: list[bool],
    on_error: str,
) -> None:
    """`ok` was done, `failed` was not, `skipped` never left, and only doubt is `unknown`."""
    server = ScriptedServer(deeds, doors)

    results = asyncio.run(carried_out(server, actions, mode=mode, onError=on_error))

    assert sorted(one.step.index for one in results) == list(range(len(actions)))
    ids = {one.request_id for one in results if one.attempts}
    assert len(ids) == sum(one.attempts > 0 for one in results)
    assert {one.request_id for one in server.arrivals} <= ids
    for result in results:
        own = [one for one in server.arrivals if one.request_id == result.request_id]
        compare(result, own, server.unread)
    left = sum(one.attempts for one in results)
    assert 0 <= left - len(server.arrivals) <= server.unread
    summary = Summary(Counter())
    for result in results:
        summary.add(result.status, result.fault)
    assert summary.total == len(actions)


JOINS = st.lists(st.sampled_from(OTHERS[:2]), min_size=4, max_size=12)


@given(
    actions=st.lists(ACTION, min_size=1, max_size=12),
    deeds=st.lists(st.sampled_from([*PROMPT, SLOW, SLOW]), max_size=16),
    concurrency=st.integers(1, 5),
)
def test_no_more_is_in_flight_than_is_allowed(
    actions: list[dict[str, str]], deeds: list[Deed], concurrency: int
) -> None:
    """`concurrency` is a ceiling on the requests without an answer, retries included."""
    server = ScriptedServer(deeds)
    options = {"mode": "concurrent", "concurrency": concurrency, "onError": "continue"}

    asyncio.run(carried_out(server, actions, **options))

    assert 1 <= server.most_in_flight <= concurrency


@settings(max_examples=20)
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@given(
    actions=JOINS,
    deeds=st.lists(st.sampled_from([*PROMPT, PAUSED]), max_size=8),
    rate=st.sampled_from([100, 400]),
)
def test_no_more_is_started_than_the_rate_allows(
    mode: str, actions: list[dict[str, str]], deeds: list[Deed], rate: int
) -> None:
    """`rate` is a ceiling on starts, retries included; a pause is not made up for."""
    server = ScriptedServer(deeds)
    began = time.monotonic()

    asyncio.run(carried_out(server, actions, mode=mode, rate=rate, onError="continue"))

    times = [one.at for one in server.arrivals]
    assert all(at >= began + number / rate for number, at in enumerate(times))
    if mode == "sequential":
        for place, refused in enumerate(server.arrivals):
            opens = refused.at + (PAUSE if refused.deed is PAUSED else 0.0)
            after = enumerate(times[place + 1 :])
            assert refused.deed is not PAUSED or all(at >= opens + n / rate for n, at in after)


async def clocked(
    server: ScriptedServer,
    actions: Sequence[Mapping[str, Any]],
    *,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> Counter[Status]:
    """How the actions of a run end that goes by the given clocks; a stalled one is an error."""
    async with server.listening() as connection, asyncio.timeout(20):
        plan = planned(actions, connection, mode="concurrent", onError="continue", rate=2000)
        async with Client(api.endpoint_of(plan), concurrency=4, now=now) as client:
            executor = Executor(client, plan.options, Stop(), clock=clock)
            return Counter([one.status async for one in executor.run(plan.steps())])


@given(
    actions=JOINS,
    deeds=st.lists(st.sampled_from(PROMPT), max_size=12),
    steps=st.lists(st.floats(-30, 30), min_size=1),
)
def test_a_wall_clock_that_is_set_a_little_lets_no_token_expire(
    actions: list[dict[str, str]], deeds: list[Deed], steps: list[float]
) -> None:
    """Half a minute back and forth, in the middle of a run."""
    server = ScriptedServer(deeds)
    steps_left = cycle(steps)

    ended = asyncio.run(clocked(server, actions, now=lambda: time.time() + next(steps_left)))

    assert ended.total() == len(actions)
    for arrival in server.arrivals:
        jwt.decode(arrival.token, KEY, algorithms=["HS256"], options={"verify_aud": False})


@given(
    actions=JOINS,
    deeds=st.lists(st.sampled_from(PROMPT), max_size=12),
    days=st.lists(st.integers(-400, 400), min_size=1),
)
def test_a_wall_clock_that_is_far_off_stalls_nothing(
    actions: list[dict[str, str]], deeds: list[Deed], days: list[int]
) -> None:
    """A `Retry-After` that is a date is measured by the server's own clock."""
    days_left = cycle(days)

    def now() -> float:
        return time.time() + 86400 * next(days_left)

    assert asyncio.run(clocked(ScriptedServer(deeds), actions, now=now)).total() == len(actions)


@given(
    actions=JOINS,
    deeds=st.lists(st.sampled_from([*PROMPT, PAUSED]), max_size=12),
    jumps=st.lists(st.sampled_from([0.0, 0.0, 0.001, 60.0, 3600.0]), min_size=1),
    tick=st.sampled_from([1e-9, 0.016]),
)
def test_a_clock_that_jumps_ahead_or_ticks_coarsely_stalls_nothing(
    actions: list[dict[str, str]], deeds: list[Deed], jumps: list[float], tick: float
) -> None:
    """As on a machine that slept, or whose clock moves sixty times a second."""
    ahead = accumulate(cycle(jumps))

    def clock() -> float:
        return (time.monotonic() + next(ahead)) // tick * tick

    assert asyncio.run(clocked(ScriptedServer(deeds), actions, clock=clock)).total() == len(actions)
