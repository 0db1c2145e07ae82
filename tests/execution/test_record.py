"""A record holds all of a result but its payload."""

import json
from collections.abc import Callable

import pytest

from wps_run.execution.record import Attempt, ended, record_from
from wps_run.execution.result import ActionError, Result, Status
from wps_run.playbook.steps import Step

TRIES = (Attempt(500.0, 429, None, 1250.0), Attempt(2000.0, None, "connect", 500.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda step: ended(step, Status.OK, 200, 1, 0.0025, "id", started=12.5, waited_for=7),
        lambda step: ended(step, Status.SKIPPED, fault=ActionError("stopped", "m")),
        lambda step: ended(
            *(step, Status.FAILED, None, 3, 1.5, "id", ActionError("connect", "m", "h")),
            started=0.5,
            tries=TRIES,
        ),
    ],
    ids=["ok", "skipped", "tried"],
)
def test_a_result_is_made_again_from_its_record(
    join: Callable[..., Step], make: Callable[[Step], Result]
) -> None:
    """Written, read back, and the report of a resumed run is whole."""
    result = make(join("ada"))

    assert Result(result.step, record_from(json.loads(result.record.line))) == result


def test_times_and_attempts_stand_at_the_end(join: Callable[..., Step]) -> None:
    """In milliseconds, under the names of the contract."""
    result = ended(
        join("ada"), Status.OK, 200, 2, 0.1, "id", started=1.25, waited_for=3, tries=TRIES[:1]
    )

    assert result.record.line.endswith(
        '"startedMs":1250.0,"waitedFor":3,'
        '"tries":[{"atMs":500.0,"httpStatus":429,"error":null,"pauseMs":1250.0}]}\n'
    )


def test_a_record_of_an_older_journal_is_read(join: Callable[..., Step]) -> None:
    """It says nothing about when."""
    written = ended(join("ada"), Status.OK, 200, 1, 0.1, "id").record.as_json()
    for later in ("startedMs", "waitedFor", "tries"):
        del written[later]

    record = record_from(written)

    assert (record.started_ms, record.waited_for, record.tries) == (None, None, ())


def test_a_record_is_written_out_once(join: Callable[..., Step]) -> None:
    """The journal and the reports share it: encoding it twice would cost a tenth of a run."""
    record = ended(join("ada"), Status.OK, 200, 1, 0.1, "id").record

    assert record.line is record.line
