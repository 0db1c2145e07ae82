"""`concurrency` and `rate` are upper bounds, whatever the service does."""

import asyncio
import operator
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


JOINS = st.lists(st.sampled_from(OTHERS[:2]), min_size=4, max_size=12)


@settings(max_examples=80)  # each is a run in real time
@given(
    actions=st.lists(ACTION, min_size=1, max_size=12),
    behaviors=st.lists(st.integers(0, 99), max_size=16),
    concurrency=st.integers(1, 5),
)
def test_concurrency_is_an_upper_bound(
    harness: Any, actions: list[dict[str, str]], behaviors: list[int], concurrency: int
) -> None:
    """Retries included."""
    choices = [*harness.PROMPT, harness.SLOW, harness.SLOW]
    server = harness.Server([choices[number % len(choices)] for number in behaviors])
    options = {"mode": "concurrent", "concurrency": concurrency, "onError": "continue"}

    asyncio.run(harness.run_against(server, actions, **options))

    assert 1 <= server.most_in_flight <= concurrency


@settings(max_examples=20)
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@given(
    actions=JOINS,
    behaviors=st.lists(st.integers(0, 99), max_size=8),
    rate=st.sampled_from([100, 400]),
)
def test_rate_is_an_upper_bound(
    harness: Any, mode: str, actions: list[dict[str, str]], behaviors: list[int], rate: int
) -> None:
    """Retries included; a pause does not allow a burst after it."""
    choices = [*harness.PROMPT, harness.PAUSED]
    server = harness.Server([choices[number % len(choices)] for number in behaviors])
    started = time.monotonic()

    asyncio.run(harness.run_against(server, actions, mode=mode, rate=rate, onError="continue"))

    times = [request.at for request in server.requests]
    assert all(at >= started + number / rate for number, at in enumerate(times))
    if mode == "sequential":
        for position, request in enumerate(server.requests):
            next_at = request.at + (harness.PAUSE if request.behavior is harness.PAUSED else 0.0)
            later = enumerate(times[position + 1 :])
            assert request.behavior is not harness.PAUSED or all(
                at >= next_at + n / rate for n, at in later
            )
