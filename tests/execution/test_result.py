"""The result of an action: all that is recorded of it, without its payload."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from wps_run.execution.result import ActionError, Attempt, Result, Status, result_for
from wps_run.journal.format import decode_record, encode
from wps_run.playbook.steps import Step

TRIES = (Attempt(500.0, 429, None, 1250.0), Attempt(2000.0, None, "connect", 500.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda step: result_for(
            step,
            Status.OK,
            http_status=200,
            attempts=1,
            duration=0.0025,
            request_id="id",
            started=12.5,
            waited_for=7,
        ),
        lambda step: result_for(step, Status.SKIPPED, error=ActionError("stopped", "m")),
        lambda step: result_for(
            step,
            Status.FAILED,
            attempts=3,
            duration=1.5,
            request_id="id",
            error=ActionError("connect", "m", "h"),
            started=0.5,
            tries=TRIES,
        ),
    ],
    ids=["ok", "skipped", "tried"],
)
def test_result_is_decoded_from_its_record(
    join: Callable[..., Step], make: Callable[[Step], Result]
) -> None:
    result = make(join("ada"))

    assert decode_record(encode(result)) == result


def test_times_and_attempts_are_encoded_in_milliseconds_at_the_end(
    join: Callable[..., Step],
) -> None:
    result = result_for(
        join("ada"),
        Status.OK,
        http_status=200,
        attempts=2,
        duration=0.1,
        request_id="id",
        started=1.25,
        waited_for=3,
        tries=TRIES[:1],
    )

    assert (
        encode(result)
        .decode()
        .endswith(
            '"startedMs":1250.0,"waitedFor":3,'
            '"tries":[{"atMs":500.0,"httpStatus":429,"error":null,"pauseMs":1250.0}]}'
        )
    )


def test_record_without_times_is_decoded(join: Callable[..., Step]) -> None:
    """Older journals have none."""
    fields = result_for(
        join("ada"), Status.OK, http_status=200, attempts=1, duration=0.1, request_id="id"
    ).as_json()
    for key in ("startedMs", "waitedFor", "tries"):
        del fields[key]

    record = decode_record(encode(fields))

    assert isinstance(record, Result)
    assert (record.started_ms, record.waited_for, record.tries) == (None, None, ())


def test_target_comes_from_the_values_of_the_step(join: Callable[..., Step]) -> None:
    assert result_for(join("ada"), Status.OK).target == {"userId": "ada", "group": "red"}


def test_record_has_the_numbers_of_the_step_the_action_and_the_row(
    make_step: Callable[..., Step],
) -> None:
    """Lists of the target are JSON arrays; there is no payload."""
    step = make_step("addConnectionsToGroups", groups=("red", "blue"), filter="userId eq 'ada'")
    step = replace(step, index=7, action_index=1, item=4, name="Join both")
    result = result_for(step, Status.SKIPPED, error=ActionError("stopped", "m"))

    assert json.loads(encode(result)) == result.as_json()
    assert result.as_json() == {
        "type": "result",
        "index": 7,
        "action": 1,
        "item": 4,
        "actionName": "addConnectionsToGroups",
        "name": "Join both",
        "target": {"groups": ["red", "blue"], "filter": "userId eq 'ada'"},
        "source": step.source,
        "status": "skipped",
        "httpStatus": None,
        "attempts": 0,
        "durationMs": 0.0,
        "requestId": None,
        "error": {"code": "stopped", "message": "m", "hint": ""},
        "startedMs": None,
        "waitedFor": None,
        "tries": [],
    }
