"""A record holds all of a result but its payload."""

from collections.abc import Callable

from runner.execution.record import record_from, record_of, result_from
from runner.execution.result import Fault, Result, Status
from runner.playbook.step import Step


def test_a_result_is_made_again_from_its_record(join: Callable[..., Step]) -> None:
    """Written, read back, and the report of a resumed run is whole."""
    step = join("ada")
    for result in (
        Result(step, Status.OK, 200, 1, 0.0025, "id"),
        Result(step, Status.FAILED, None, 3, 1.5, "id", Fault("connect", "m", "h")),
    ):
        record = record_of(result)

        assert record_from(record.as_json()) == record
        assert result_from(step, record) == result
