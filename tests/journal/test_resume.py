"""A resumed run executes what was not done, and repeats nothing that must not be repeated."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import result_record

from wps_run.actions.locks import EXCLUSIVE
from wps_run.actions.request import Value, build_request
from wps_run.actions.table import ACTIONS
from wps_run.execution.result import Status, result_for
from wps_run.journal.reader import History
from wps_run.journal.resume import IN_DOUBT, REPEATABLE_IN_DOUBT, ResumeMode, Resumption
from wps_run.playbook.options import Delivery, OnError
from wps_run.playbook.steps import Step

MakeHistory = Callable[..., History]

SEND: dict[str, Value] = {"data": b"x", "dataType": "text"}
JOIN: dict[str, Value] = {"userId": "ada", "group": "red"}


def step(index: int, name: str = "sendToAll", delivery: Delivery = Delivery.AT_MOST_ONCE) -> Step:
    values = SEND if name == "sendToAll" else JOIN
    action = ACTIONS[name]
    request = build_request(action, values, "chat")
    return Step(
        *(index, index, None, action, values, request, EXCLUSIVE, "p.yaml:1", None, OnError.STOP),
        *(delivery, 30.0),
    )


TIMED_OUT = result_record(3, "unknown", "timeout")


@pytest.fixture
def history(history_of: Callable[..., History]) -> Callable[..., History]:
    """Makes the history of a journal with these results and then these sending records."""

    def make(*records: dict[str, Any], sending: tuple[int, ...] = ()) -> History:
        sent = [{"type": "sending", "index": index} for index in sending]
        return history_of(*records, *sent)

    return make


def split(
    run_history: History, steps: list[Step], mode: ResumeMode = ResumeMode.UNDONE
) -> tuple[list[int], Any]:
    """Return the indices of the remaining steps, and the statuses of the earlier results."""
    resumption = Resumption(run_history, mode)
    remaining = [step.index for step in resumption.steps_to_run(steps)]
    return remaining, {step.index: step.status for step in resumption.earlier_results(steps)}


def test_results_are_kept_except_skipped(history: MakeHistory) -> None:
    run = history(
        result_record(0, "ok"),
        result_record(1, "failed", "x"),
        result_record(2, "unknown", "x"),
        result_record(3, "skipped", "stopped"),
    )

    remaining, earlier = split(run, [step(number) for number in range(5)])

    assert remaining == [3, 4]
    assert earlier == {0: "ok", 1: "failed", 2: "unknown"}


def test_send_in_doubt_is_unknown_and_repeated_only_with_at_least_once(
    history: MakeHistory,
) -> None:
    steps = [step(0), step(1, delivery=Delivery.AT_LEAST_ONCE)]

    remaining, earlier = split(history(sending=(0, 1)), steps)

    assert remaining == [1]
    assert earlier == {0: "unknown"}


@pytest.mark.parametrize("mode", ResumeMode)
def test_failed_action_that_was_sent_again_is_in_doubt(
    history: MakeHistory, mode: ResumeMode
) -> None:
    run = history(result_record(0, "failed", "x"), sending=(0,))

    assert split(run, [step(0)], mode) == ([], {0: "unknown"})


@pytest.mark.parametrize("sending", [(), (0,)])
def test_idempotent_action_without_a_result_runs_again(
    history: MakeHistory, sending: tuple[int, ...]
) -> None:
    """Whether it was sent or not."""
    assert split(history(sending=sending), [step(0, "addUserToGroup")]) == ([0], {})


def test_action_in_doubt_by_an_interrupt_is_repeated_if_that_is_safe(history: MakeHistory) -> None:
    """An action in doubt for another reason has had its attempts."""
    run = history(
        *(result_record(index, "unknown", "interrupted") for index in range(3)), TIMED_OUT
    )
    steps = [
        step(0, "addUserToGroup"),
        step(1, delivery=Delivery.AT_LEAST_ONCE),
        step(2),
        step(3, "addUserToGroup"),
    ]

    assert split(run, steps) == ([0, 1], {2: "unknown", 3: "unknown"})
    assert split(run, steps, ResumeMode.FAILED) == ([], dict.fromkeys(range(4), "unknown"))


@pytest.mark.parametrize("status", [Status.SKIPPED, Status.FAILED])
def test_action_in_doubt_that_is_skipped_or_failed_now_is_unknown(
    history: MakeHistory, status: Status
) -> None:
    """The next resume repeats it all the same."""
    join = step(0, "addUserToGroup")
    result = Resumption(history(sending=(0,)), ResumeMode.UNDONE).combined(
        join, result_for(join, status)
    )

    assert (result.status, result.error, result.attempts) == (
        Status.UNKNOWN,
        REPEATABLE_IN_DOUBT,
        1,
    )
    recorded = result.as_json()
    assert split(history(recorded), [join]) == ([0], {})
    assert split(history(recorded), [join], ResumeMode.FAILED) == ([], {0: "unknown"})
    resumption = Resumption(history(recorded), ResumeMode.UNDONE)
    assert resumption.combined(join, result_for(join, Status.SKIPPED)).status is Status.UNKNOWN
    assert resumption.combined(join, result_for(join, Status.OK)).status is Status.OK


def test_resume_of_failed_keeps_actions_in_doubt(history: MakeHistory) -> None:
    """They count as sent once; the hint says whether `--resume` may repeat them."""
    run = history(sending=(0, 1))
    steps = [step(0, "addUserToGroup"), step(1)]

    assert split(run, steps, ResumeMode.FAILED) == ([], {0: "unknown", 1: "unknown"})
    join, send = Resumption(run, ResumeMode.FAILED).earlier_results(steps)
    assert (join.attempts, join.error) == (1, REPEATABLE_IN_DOUBT)
    assert (send.attempts, send.error) == (1, IN_DOUBT)
    assert REPEATABLE_IN_DOUBT.code == IN_DOUBT.code == "interrupted"


def test_skip_by_on_missing_is_kept(history: MakeHistory) -> None:
    assert split(history(result_record(0, "skipped", "missing")), [step(0)]) == ([], {0: "skipped"})


def test_resume_of_failed_runs_only_failed_actions(history: MakeHistory) -> None:
    run = history(
        result_record(0, "ok"),
        result_record(1, "failed", "x"),
        result_record(2, "skipped", "stopped"),
        sending=(3,),
    )

    remaining, earlier = split(run, [step(number) for number in range(5)], ResumeMode.FAILED)

    assert remaining == [1]
    assert earlier == {0: "ok", 2: "skipped", 3: "unknown", 4: "skipped"}
    *_, never_sent = Resumption(run, ResumeMode.FAILED).earlier_results([step(4)])
    assert (never_sent.attempts, never_sent.error and never_sent.error.code) == (0, "not-failed")


def test_failed_action_that_is_skipped_now_stays_failed(history: MakeHistory) -> None:
    resumption = Resumption(history(result_record(0, "failed", "x")), ResumeMode.FAILED)
    (remaining,) = resumption.steps_to_run([step(0)])

    assert (
        resumption.combined(remaining, result_for(remaining, Status.SKIPPED)).status
        is Status.FAILED
    )
    assert resumption.combined(remaining, result_for(remaining, Status.OK)).status is Status.OK


@pytest.mark.parametrize("status", [Status.SKIPPED, Status.FAILED])
def test_action_in_doubt_stays_unknown_unless_its_repeat_succeeds(
    history: MakeHistory, status: Status
) -> None:
    resumption = Resumption(history(sending=(0,)), ResumeMode.UNDONE)
    (remaining,) = resumption.steps_to_run([step(0, delivery=Delivery.AT_LEAST_ONCE)])

    assert resumption.combined(remaining, result_for(remaining, status)).status is Status.UNKNOWN
    assert resumption.combined(remaining, result_for(remaining, Status.OK)).status is Status.OK


def test_only_new_results_are_recorded(history: MakeHistory) -> None:
    resumption = Resumption(history(result_record(0, "ok"), sending=(1,)), ResumeMode.UNDONE)

    recorded, in_doubt = resumption.earlier_results([step(0), step(1)])

    assert not resumption.is_new(recorded)
    assert resumption.is_new(in_doubt)
    assert in_doubt.error == IN_DOUBT
