"""A run continues, with valid tokens, when clocks are set, jump or have a low resolution."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, cycle
from typing import Any

import jwt
from hypothesis import given, settings
from hypothesis import strategies as st

from wps_run import reading
from wps_run.connect.client import Client
from wps_run.execution.executor import Executor
from wps_run.execution.result import Status
from wps_run.execution.stop import Stop

OTHERS = [
    {"actionName": "addUserToGroup", "userId": "ada", "group": "red"},
    {"actionName": "addUserToGroup", "userId": "bob", "group": "red"},
]
JOINS = st.lists(st.sampled_from(OTHERS), min_size=4, max_size=12)


def server_with(harness: Any, behaviors: Sequence[int]) -> Any:
    """Return a server with these behaviors."""
    choices = [*harness.PROMPT, harness.PAUSED]
    return harness.Server([choices[number % len(choices)] for number in behaviors])


async def run_with_clocks(
    harness: Any,
    server: Any,
    actions: Sequence[Mapping[str, Any]],
    *,
    now: Callable[[], float] = time.time,
    clock: Callable[[], float] = time.monotonic,
) -> Counter[Status]:
    """Run actions with the given clocks; return the count of each status. A stalled run fails."""
    async with server.listening() as connection, asyncio.timeout(20):
        plan = harness.make_plan(
            actions, connection, mode="concurrent", onError="continue", rate=2000
        )
        async with Client(reading.endpoint_of(plan), concurrency=4, now=now) as client:
            executor = Executor(client, plan.options, Stop(), clock=clock)
            return Counter(
                [result.status async for batch in executor.run(plan.steps()) for result in batch]
            )


@settings(max_examples=80)  # each is a run in real time
@given(
    actions=JOINS,
    behaviors=st.lists(st.integers(0, 99), max_size=12),
    offsets=st.lists(st.floats(-30, 30), min_size=1),
)
def test_tokens_are_valid_while_the_wall_clock_is_adjusted(
    harness: Any, actions: list[dict[str, str]], behaviors: list[int], offsets: list[float]
) -> None:
    """By up to half a minute, during a run."""
    server = server_with(harness, behaviors)
    remaining_offsets = cycle(offsets)

    counts = asyncio.run(
        run_with_clocks(harness, server, actions, now=lambda: time.time() + next(remaining_offsets))
    )

    assert counts.total() == len(actions)
    for request in server.requests:
        jwt.decode(request.token, harness.KEY, algorithms=["HS256"], options={"verify_aud": False})


@settings(max_examples=80)  # each is a run in real time
@given(
    actions=JOINS,
    behaviors=st.lists(st.integers(0, 99), max_size=12),
    days=st.lists(st.integers(-400, 400), min_size=1),
)
def test_run_finishes_with_a_wrong_wall_clock(
    harness: Any, actions: list[dict[str, str]], behaviors: list[int], days: list[int]
) -> None:
    """A `Retry-After` date is relative to the `Date` of the response."""
    remaining_days = cycle(days)

    def now() -> float:
        return time.time() + 86400 * next(remaining_days)

    assert asyncio.run(
        run_with_clocks(harness, server_with(harness, behaviors), actions, now=now)
    ).total() == len(actions)


@settings(max_examples=80)  # each is a run in real time
@given(
    actions=JOINS,
    behaviors=st.lists(st.integers(0, 99), max_size=12),
    jumps=st.lists(st.sampled_from([0.0, 0.0, 0.001, 60.0, 3600.0]), min_size=1),
    tick=st.sampled_from([1e-9, 0.016]),
)
def test_run_finishes_with_a_clock_that_jumps_or_is_coarse(
    harness: Any,
    actions: list[dict[str, str]],
    behaviors: list[int],
    jumps: list[float],
    tick: float,
) -> None:
    """As on a machine that slept, or with a resolution of 16 ms."""
    ahead = accumulate(cycle(jumps))

    def clock() -> float:
        return (time.monotonic() + next(ahead)) // tick * tick

    assert asyncio.run(
        run_with_clocks(harness, server_with(harness, behaviors), actions, clock=clock)
    ).total() == len(actions)
