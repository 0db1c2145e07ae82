"""What each result says is what happened, by the log of a server that makes every trouble."""

import asyncio
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wps_run.actions.request import build_request
from wps_run.actions.table import ACTIONS
from wps_run.execution.result import Result, Status
from wps_run.execution.summary import Summary

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


def compare(
    result: Result, written: Mapping[str, Any], arrivals: Sequence[Any], unread: int, most: int
) -> None:
    """Hold the result of one action to what the server knows of it.

    Args:
        result: The result.
        written: The action in the playbook.
        arrivals: Its requests, in order.
        unread: The most of its requests that may be missing there.
        most: The most attempts there may be.
    """
    applied = sum(one.deed.applies for one in arrivals)
    lost = result.attempts - len(arrivals)
    action = ACTIONS[result.action_name]
    path = build_request(action, {**written, "data": b"", "dataType": "text"}, "chat").path
    once = not action.is_idempotent and written.get("delivery") != "atLeastOnce"
    tries = len(result.tries) + (result.started_ms is not None)
    assert 0 <= lost <= unread
    assert result.attempts <= tries <= most
    assert all(one.path.partition("?")[0] == path for one in arrivals)
    assert not any(one.token.rpartition(".")[2] in str(result.as_json()) for one in arrivals)
    if once:
        assert applied <= 1
        assert not any(one.doubt for one in arrivals[:-1])
        assert not (lost and any(one.doubt for one in arrivals))
    if result.status is Status.OK:
        assert applied
        assert arrivals[-1].deed.accepts
    elif result.status is Status.FAILED:
        assert not applied
        assert not lost
    elif result.status is Status.SKIPPED:
        assert not arrivals
        assert result.attempts == tries == 0
    else:
        assert lost or any(one.doubt for one in arrivals)
        assert once or (arrivals and arrivals[-1].deed.refuses) or tries == most
    told = [one for one in arrivals if one.deed.accepts and not one.left]
    assert not told or result.status is Status.OK


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@settings(max_examples=50)  # each waits for real timeouts
@given(
    actions=st.lists(ACTION, min_size=1, max_size=12),
    deeds=st.lists(st.integers(0, 99), max_size=16),
    doors=st.lists(st.booleans(), max_size=4),
    on_error=st.sampled_from(["continue", "continue", "stop"]),
)
def test_each_result_says_what_happened(  # noqa: PLR0913, PLR0917 -- what hypothesis draws
    scene: Any,
    mode: str,
    actions: list[dict[str, str]],
    deeds: list[int],
    doors: list[bool],
    on_error: str,
) -> None:
    """`ok` was done, `failed` was not, `skipped` never left, and only doubt is `unknown`."""
    server = scene.Server([scene.DEEDS[one % len(scene.DEEDS)] for one in deeds], doors)

    results = asyncio.run(scene.carried_out(server, actions, mode=mode, onError=on_error))

    assert sorted(one.index for one in results) == list(range(len(actions)))
    ids = {one.request_id for one in results if one.attempts}
    assert len(ids) == sum(one.attempts > 0 for one in results)
    assert {one.request_id for one in server.arrivals} <= ids
    for result in results:
        own = [one for one in server.arrivals if one.request_id == result.request_id]
        compare(result, actions[result.action], own, server.unread, scene.ATTEMPTS)
    left = sum(one.attempts for one in results)
    assert 0 <= left - len(server.arrivals) <= server.unread
    summary = Summary(Counter())
    for result in results:
        summary.add(result.status, result.error)
    assert summary.total == len(actions)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_every_trouble_by_itself(scene: Any, mode: str) -> None:
    """Each deed for an add and for a send, so that none depends on chance."""
    for deed in scene.DEEDS:
        for action in (OTHERS[0], SENDS[0]):
            server = scene.Server([deed])
            actions = [action, OTHERS[1]]
            run = scene.carried_out(server, actions, mode=mode, onError="continue")
            for result in asyncio.run(run):
                own = [one for one in server.arrivals if one.request_id == result.request_id]
                written = actions[result.action]
                compare(result, written, own, server.unread, scene.ATTEMPTS)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_what_is_refused_at_the_door_never_left(scene: Any, mode: str) -> None:
    """Nobody listens for longer than all attempts take: it certainly failed."""
    shut = next(one for one in scene.DEEDS if one.shuts and one.applies)
    server = scene.Server([shut], closed=0.5)
    first, *others = asyncio.run(
        scene.carried_out(
            server,
            [{"actionName": "sendToAll", "data": "x"}] * 3,
            mode=mode,
            onError="continue",
            retry={"attempts": 3, "backoff": "1ms", "maxBackoff": "1ms"},
        )
    )

    assert first.status is Status.OK
    assert {(one.status, one.attempts, len(one.tries)) for one in others} == {(Status.FAILED, 0, 2)}
    assert len(server.arrivals) == 1
