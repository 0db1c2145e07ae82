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
    result: Result,
    action_fields: Mapping[str, Any],
    requests: Sequence[Any],
    unread: int,
    most: int,
) -> None:
    """Compare the result of one action with the server's records.

    Args:
        result: The result.
        action_fields: The action in the playbook.
        requests: Its requests, in order.
        unread: How many of its requests may be missing there.
        most: The maximum number of attempts.
    """
    applied = sum(request.behavior.applies for request in requests)
    lost = result.attempts - len(requests)
    action = ACTIONS[result.action_name]
    path = build_request(action, {**action_fields, "data": b"", "dataType": "text"}, "chat").path
    is_sent_once = not action.is_idempotent and action_fields.get("delivery") != "atLeastOnce"
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
    """`ok` was done, `failed` was not, `skipped` was never sent; only doubt is `unknown`."""
    server = harness.Server(
        [harness.BEHAVIORS[number % len(harness.BEHAVIORS)] for number in behaviors], accepted
    )

    results = asyncio.run(harness.run_against(server, actions, mode=mode, onError=on_error))

    assert sorted(result.index for result in results) == list(range(len(actions)))
    ids = {result.request_id for result in results if result.attempts}
    assert len(ids) == sum(result.attempts > 0 for result in results)
    assert {request.request_id for request in server.requests} <= ids
    for result in results:
        its_requests = [
            request for request in server.requests if request.request_id == result.request_id
        ]
        compare(result, actions[result.action], its_requests, server.unread, harness.ATTEMPTS)
    attempts = sum(result.attempts for result in results)
    assert 0 <= attempts - len(server.requests) <= server.unread
    summary = Summary(Counter())
    for result in results:
        summary.add(result.status, result.error)
    assert summary.total == len(actions)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_results_are_correct_for_each_behavior(harness: Any, mode: str) -> None:
    """With an add and with a send."""
    for behavior in harness.BEHAVIORS:
        for action in (OTHERS[0], SENDS[0]):
            server = harness.Server([behavior])
            actions = [action, OTHERS[1]]
            run = harness.run_against(server, actions, mode=mode, onError="continue")
            for result in asyncio.run(run):
                its_requests = [
                    request
                    for request in server.requests
                    if request.request_id == result.request_id
                ]
                action_fields = actions[result.action]
                compare(result, action_fields, its_requests, server.unread, harness.ATTEMPTS)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_refused_connections_are_no_attempts(harness: Any, mode: str) -> None:
    """The server does not listen during all attempts, so the actions failed."""
    behavior = next(item for item in harness.BEHAVIORS if item.stops_listening and item.applies)
    server = harness.Server([behavior], closed=0.5)
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
    assert {(result.status, result.attempts, len(result.tries)) for result in others} == {
        (Status.FAILED, 0, 2)
    }
    assert len(server.requests) == 1
