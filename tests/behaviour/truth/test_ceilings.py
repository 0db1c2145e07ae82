"""`concurrency` and `rate` are ceilings, whatever the service does."""

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


@given(
    actions=st.lists(ACTION, min_size=1, max_size=12),
    deeds=st.lists(st.integers(0, 99), max_size=16),
    concurrency=st.integers(1, 5),
)
def test_no_more_is_in_flight_than_is_allowed(
    scene: Any, actions: list[dict[str, str]], deeds: list[int], concurrency: int
) -> None:
    """`concurrency` is a ceiling on the requests without an answer, retries included."""
    may = [*scene.PROMPT, scene.SLOW, scene.SLOW]
    server = scene.Server([may[one % len(may)] for one in deeds])
    options = {"mode": "concurrent", "concurrency": concurrency, "onError": "continue"}

    asyncio.run(scene.carried_out(server, actions, **options))

    assert 1 <= server.most_in_flight <= concurrency


@settings(max_examples=20)
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@given(
    actions=JOINS,
    deeds=st.lists(st.integers(0, 99), max_size=8),
    rate=st.sampled_from([100, 400]),
)
def test_no_more_is_started_than_the_rate_allows(
    scene: Any, mode: str, actions: list[dict[str, str]], deeds: list[int], rate: int
) -> None:
    """`rate` is a ceiling on starts, retries included; a pause is not made up for."""
    may = [*scene.PROMPT, scene.PAUSED]
    server = scene.Server([may[one % len(may)] for one in deeds])
    began = time.monotonic()

    asyncio.run(scene.carried_out(server, actions, mode=mode, rate=rate, onError="continue"))

    times = [one.at for one in server.arrivals]
    assert all(at >= began + number / rate for number, at in enumerate(times))
    if mode == "sequential":
        for place, refused in enumerate(server.arrivals):
            opens = refused.at + (scene.PAUSE if refused.deed is scene.PAUSED else 0.0)
            after = enumerate(times[place + 1 :])
            assert refused.deed is not scene.PAUSED or all(
                at >= opens + n / rate for n, at in after
            )
