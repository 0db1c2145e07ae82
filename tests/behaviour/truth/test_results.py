"""Each result agrees with the records of a server that injects every fault."""

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
    result: Result, written: Mapping[str, Any], requests: Sequence[Any], unread: int, most: int
) -> None:
    """Compare the result of one action with the server's records.

    Args:
        result: The result.
        written: The action in the playbook.
        requests: Its requests, in order.
        unread: The most of its requests that may be missing there.
        most: The most attempts there may be.
    """
    applied = sum(request.behavior.applies for request in requests)
    lost = result.attempts - len(requests)
    action = ACTIONS[result.action_name]
    path = build_request(action, {**written, "data": b"", "dataType": "text"}, "chat").path
    is_sent_once = not action.is_idempotent and written.get("delivery") != "atLeastOnce"
    tries = len(result.tries) + (result.started_ms is not None)
    assert 0 <= lost <= unread
    assert result.attempts <= tries <= most
    assert all(request.path.partition("?")[0] == path for request in requests)
    assert not any(
        request.token.rpartition(".")[2] in str(result.as_json()) for request in requests
    )
    if is_sent_once:
        assert applied <= 1
        assert not any(request.is_ambiguous for request in requests[:-1])
        assert not (lost and any(request.is_ambiguous for request in requests))
    if result.status is Status.OK:
        assert applied
        assert requests[-1].behavior.accepts
    elif result.status is Status.FAILED:
        assert not applied
        assert not lost
    elif result.status is Status.SKIPPED:
        assert not requests
        assert result.attempts == tries == 0
    else:
        assert lost or any(request.is_ambiguous for request in requests)
        assert is_sent_once or (requests and requests[-1].behavior.refuses) or tries == most
    confirmed = [
        request for request in requests if request.behavior.accepts and not request.client_left
    ]
    assert not confirmed or result.status is Status.OK


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@settings(max_examples=50)  # each waits for real timeouts
@given(
    actions=st.lists(ACTION, min_size=1, max_size=12),
    behaviors=st.lists(st.integers(0, 99), max_size=16),
    accepted=st.lists(st.booleans(), max_size=4),
    on_error=st.sampled_from(["continue", "continue", "stop"]),
)
def test_each_result_is_correct(  # noqa: PLR0913, PLR0917 -- what hypothesis draws
    harness: Any,
    mode: str,
    actions: list[dict[str, str]],
    behaviors: list[int],
    accepted: list[bool],
    on_error: str,
) -> None:
    """`ok` was done, `failed` was not, `skipped` never left, and only doubt is `unknown`."""
    server = harness.Server(
        [harness.BEHAVIORS[one % len(harness.BEHAVIORS)] for one in behaviors], accepted
    )

    results = asyncio.run(harness.run_against(server, actions, mode=mode, onError=on_error))

    assert sorted(one.index for one in results) == list(range(len(actions)))
    ids = {one.request_id for one in results if one.attempts}
    assert len(ids) == sum(one.attempts > 0 for one in results)
    assert {request.request_id for request in server.requests} <= ids
    for result in results:
        own = [request for request in server.requests if request.request_id == result.request_id]
        compare(result, actions[result.action], own, server.unread, harness.ATTEMPTS)
    left = sum(one.attempts for one in results)
    assert 0 <= left - len(server.requests) <= server.unread
    summary = Summary(Counter())
    for result in results:
        summary.add(result.status, result.error)
    assert summary.total == len(actions)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_each_behavior_alone(harness: Any, mode: str) -> None:
    """With an add and with a send."""
    for behavior in harness.BEHAVIORS:
        for action in (OTHERS[0], SENDS[0]):
            server = harness.Server([behavior])
            actions = [action, OTHERS[1]]
            run = harness.run_against(server, actions, mode=mode, onError="continue")
            for result in asyncio.run(run):
                own = [
                    request
                    for request in server.requests
                    if request.request_id == result.request_id
                ]
                written = actions[result.action]
                compare(result, written, own, server.unread, harness.ATTEMPTS)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_refused_connection_sends_nothing(harness: Any, mode: str) -> None:
    """The server does not listen while all attempts are made: the action failed."""
    shut = next(one for one in harness.BEHAVIORS if one.stops_listening and one.applies)
    server = harness.Server([shut], closed=0.5)
    first, *others = asyncio.run(
        harness.run_against(
            server,
            [{"actionName": "sendToAll", "data": "x"}] * 3,
            mode=mode,
            onError="continue",
            retry={"attempts": 3, "backoff": "1ms", "maxBackoff": "1ms"},
        )
    )

    assert first.status is Status.OK
    assert {(one.status, one.attempts, len(one.tries)) for one in others} == {(Status.FAILED, 0, 2)}
    assert len(server.requests) == 1
