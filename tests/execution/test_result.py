"""The sum of a run, and the exit code that follows from it."""

from collections import Counter
from collections.abc import Callable

import pytest

from wps_run.execution.record import ended
from wps_run.execution.result import ActionError, Skip, Status, Summary
from wps_run.playbook.steps import Step


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        ([], 0),
        ([Status.OK, Status.OK], 0),
        ([Status.OK, Status.FAILED], 1),
        ([Status.OK, Status.SKIPPED], 1),
        ([Status.FAILED, Status.UNKNOWN, Status.SKIPPED], 3),
    ],
)
def test_the_exit_code_is_the_worst_of_the_results(ended: list[Status], code: int) -> None:
    """Unknown wins over failed and skipped, which win over ok."""
    summary = Summary(Counter())
    for status in ended:
        summary.add(status, None)

    assert summary.exit_code == code
    assert summary.total == len(ended)


@pytest.mark.parametrize(("reason", "code"), [(Skip.MISSING, 0), (Skip.STOPPED, 1)])
def test_a_skip_that_the_playbook_asked_for_is_no_failure(reason: Skip, code: int) -> None:
    """Only such a skip leaves the exit code at 0."""
    summary = Summary(Counter())
    summary.add(Status.SKIPPED, ActionError(reason, "m"))

    assert summary.exit_code == code


def test_an_interrupted_run_exits_with_its_signal() -> None:
    """128 and the signal's number, whatever the results are."""
    summary = Summary(Counter(), interrupted_by=2)
    summary.add(Status.UNKNOWN, None)

    assert summary.exit_code == 130


def test_a_result_names_whom_it_was_done_to(join: Callable[..., Step]) -> None:
    """Targets come from the step's own values."""
    assert ended(join("ada"), Status.OK).target == {"userId": "ada", "group": "red"}
