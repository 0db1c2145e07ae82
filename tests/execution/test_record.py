"""A record holds all of a result but its payload."""

import json
from collections.abc import Callable

import pytest

from runner.execution.record import record_from, record_of, result_from
from runner.execution.result import Fault, Result, Status, Try
from runner.playbook.step import Step

TRIES = (Try(0.5, 429, None, 1.25), Try(2.0, None, "connect", 0.5))


@pytest.mark.parametrize(
    "make",
    [
        lambda step: Result(step, Status.OK, 200, 1, 0.0025, "id", started=12.5, waited_for=7),
        lambda step: Result(step, Status.SKIPPED, fault=Fault("stopped", "m")),
        lambda step: Result(
            step, Status.FAILED, None, 3, 1.5, "id", Fault("connect", "m", "h"), 0.5, None, TRIES
        ),
    ],
    ids=["ok", "skipped", "tried"],
)
def test_a_result_is_made_again_from_its_record(
    join: Callable[..., Step], make: Callable[[Step], Result]
) -> None:
    """Written, read back, and the report of a resumed run is whole."""
    result = make(join("ada"))
    record = record_of(result)

    assert record_from(json.loads(record.line)) == record
    assert result_from(result.step, record) == result


def test_times_and_attempts_stand_at_the_end(join: Callable[..., Step]) -> None:
    """In milliseconds, under the names of the contract."""
    result = Result(join("ada"), Status.OK, 200, 2, 0.1, "id", None, 1.25, 3, TRIES[:1])

    assert record_of(result).line.endswith(
        '"startedMs":1250.0,"waitedFor":3,'
        '"tries":[{"atMs":500.0,"httpStatus":429,"error":null,"pauseMs":1250.0}]}\n'
    )


def test_a_record_of_an_older_journal_is_read(join: Callable[..., Step]) -> None:
    """It says nothing about when."""
    written = record_of(Result(join("ada"), Status.OK, 200, 1, 0.1, "id")).as_json()
    for later in ("startedMs", "waitedFor", "tries"):
        del written[later]

    record = record_from(written)

    assert (record.started_ms, record.waited_for, record.tries) == (None, None, ())


def test_a_record_is_made_and_written_out_once(join: Callable[..., Step]) -> None:
    """The journal and the reports share it: encoding it twice would cost a tenth of a run."""
    result = Result(join("ada"), Status.OK, 200, 1, 0.1, "id")

    assert record_of(result) is record_of(result)
    assert record_of(result).line is record_of(result).line
