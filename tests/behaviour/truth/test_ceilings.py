"""`concurrency` and `rate` are upper bounds, for every behavior of the service."""

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
def test_no_more_is_in_flight_than_is_allowed(
    harness: Any, actions: list[dict[str, str]], behaviors: list[int], concurrency: int
) -> None:
    """`concurrency` is an upper bound of the requests without an answer, retries included."""
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
def test_no_more_is_started_than_the_rate_allows(
    harness: Any, mode: str, actions: list[dict[str, str]], behaviors: list[int], rate: int
) -> None:
    """`rate` is an upper bound of starts, retries included; a pause is not made up for."""
    choices = [*harness.PROMPT, harness.PAUSED]
    server = harness.Server([choices[number % len(choices)] for number in behaviors])
    began = time.monotonic()

    asyncio.run(harness.run_against(server, actions, mode=mode, rate=rate, onError="continue"))

    times = [one.at for one in server.requests]
    assert all(at >= began + number / rate for number, at in enumerate(times))
    if mode == "sequential":
        for place, refused in enumerate(server.requests):
            opens = refused.at + (harness.PAUSE if refused.behavior is harness.PAUSED else 0.0)
            after = enumerate(times[place + 1 :])
            assert refused.behavior is not harness.PAUSED or all(
                at >= opens + n / rate for n, at in after
            )
