"""A resumed run does what was not done, and nothing twice that must not be."""

import io
from typing import Any

import pytest

from wps_run.actions.locks import EXCLUSIVE
from wps_run.actions.request import Value, build_request
from wps_run.actions.table import ACTIONS
from wps_run.execution.result import Status, result_for
from wps_run.journal.format import encode_line
from wps_run.journal.reader import History, read_history
from wps_run.journal.resume import IN_DOUBT, REPEATABLE_IN_DOUBT, ResumeMode, Resumption
from wps_run.playbook.options import Delivery, OnError
from wps_run.playbook.steps import Step

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


def record(index: int, status: str, code: str | None = None) -> dict[str, Any]:
    return {
        "type": "result",
        "index": index,
        "action": index,
        "item": None,
        "actionName": "sendToAll",
        "name": None,
        "target": {},
        "source": "p.yaml:1",
        "status": status,
        "httpStatus": 202 if status == "ok" else None,
        "attempts": 1,
        "durationMs": 2.5,
        "requestId": "id",
        "error": {"code": code, "message": "m", "hint": ""} if code else None,
    }


TIMED_OUT = record(3, "unknown", "timeout")


HEADER = encode_line(
    {
        "type": "run",
        "version": 1,
        "started": "2026-11-24T12:00:00.000+00:00",
        "paths": ["p.yaml"],
        "destination": "SERVICE",
        "endpoints": ["127.0.0.1:80"],
        "hubs": ["chat"],
        "playbooks": ["p.yaml"],
        "total": 9,
        "pace": "sequential",
        "salt": "salt",
        "fingerprint": {},
    }
)


def history(*records: dict[str, Any], sending: tuple[int, ...] = ()) -> History:
    """The history of a journal of these results, after which these actions were sent."""
    sent = [{"type": "sending", "index": index} for index in sending]
    journal = HEADER + b"".join(map(encode_line, [*records, *sent]))
    return read_history(lambda: io.BytesIO(journal), "j")


def split(
    of: History, steps: list[Step], again: ResumeMode = ResumeMode.UNDONE
) -> tuple[list[int], Any]:
    """Indices of what is left, and the statuses of what is settled."""
    resumption = Resumption(of, again)
    left = [one.index for one in resumption.steps_to_run(steps)]
    return left, {one.index: one.status for one in resumption.earlier_results(steps)}


def test_what_has_a_result_keeps_it() -> None:
    """Ok, failed and unknown stay; what was skipped, or never came up, is done."""
    of = history(
        record(0, "ok"),
        record(1, "failed", "x"),
        record(2, "unknown", "x"),
        record(3, "skipped", "stopped"),
    )

    left, settled = split(of, [step(number) for number in range(5)])

    assert left == [3, 4]
    assert settled == {0: "ok", 1: "failed", 2: "unknown"}


def test_a_send_that_may_have_left_is_unknown_and_not_repeated() -> None:
    """Unless the playbook wants it at least once."""
    steps = [step(0), step(1, delivery=Delivery.AT_LEAST_ONCE)]

    left, settled = split(history(sending=(0, 1)), steps)

    assert left == [1]
    assert settled == {0: "unknown"}


@pytest.mark.parametrize("again", ResumeMode)
def test_what_failed_and_left_again_is_in_doubt(again: ResumeMode) -> None:
    """A kill during its second chance makes an earlier failure worth nothing."""
    of = history(record(0, "failed", "x"), sending=(0,))

    assert split(of, [step(0)], again) == ([], {0: "unknown"})


@pytest.mark.parametrize("sending", [(), (0,)])
def test_an_idempotent_action_without_a_result_runs_again(sending: tuple[int, ...]) -> None:
    """Doing it twice harms nobody, whether it may have left or not."""
    assert split(history(sending=sending), [step(0, "addUserToGroup")]) == ([0], {})


def test_what_an_interrupt_left_in_doubt_is_done_again_where_that_is_allowed() -> None:
    """As after a kill; what was in doubt for another reason has had its attempts."""
    of = history(*(record(index, "unknown", "interrupted") for index in range(3)), TIMED_OUT)
    steps = [
        step(0, "addUserToGroup"),
        step(1, delivery=Delivery.AT_LEAST_ONCE),
        step(2),
        step(3, "addUserToGroup"),
    ]

    assert split(of, steps) == ([0, 1], {2: "unknown", 3: "unknown"})
    assert split(of, steps, ResumeMode.FAILED) == ([], dict.fromkeys(range(4), "unknown"))


@pytest.mark.parametrize("status", [Status.SKIPPED, Status.FAILED])
def test_what_may_have_been_done_and_is_skipped_now_is_in_doubt(status: Status) -> None:
    """`skipped` would say that it never left; the next part does it again all the same."""
    join = step(0, "addUserToGroup")
    told = Resumption(history(sending=(0,)), ResumeMode.UNDONE).combined(
        join, result_for(join, status)
    )

    assert (told.status, told.error, told.attempts) == (Status.UNKNOWN, REPEATABLE_IN_DOUBT, 1)
    written = told.as_json()
    assert split(history(written), [join]) == ([0], {})
    assert split(history(written), [join], ResumeMode.FAILED) == ([], {0: "unknown"})
    again = Resumption(history(written), ResumeMode.UNDONE)
    assert again.combined(join, result_for(join, Status.SKIPPED)).status is Status.UNKNOWN
    assert again.combined(join, result_for(join, Status.OK)).status is Status.OK


def test_with_failed_what_may_be_repeated_and_is_in_doubt_stays_so() -> None:
    """It is not what failed; nor was it certainly not done."""
    left, settled = split(history(sending=(0,)), [step(0, "addUserToGroup")], ResumeMode.FAILED)

    assert (left, settled) == ([], {0: "unknown"})


def test_what_the_playbook_said_to_skip_stays_skipped() -> None:
    """`onMissing: skip` is an answer, not a postponement."""
    assert split(history(record(0, "skipped", "missing")), [step(0)]) == ([], {0: "skipped"})


def test_only_what_failed_is_run_again_when_that_is_asked() -> None:
    """Everything else keeps its result, or stays undone."""
    of = history(
        record(0, "ok"), record(1, "failed", "x"), record(2, "skipped", "stopped"), sending=(3,)
    )

    left, settled = split(of, [step(number) for number in range(5)], ResumeMode.FAILED)

    assert left == [1]
    assert settled == {0: "ok", 2: "skipped", 3: "unknown", 4: "skipped"}


def test_what_failed_and_is_not_tried_again_stays_failed() -> None:
    """A skip tells less than the failure before it."""
    resumption = Resumption(history(record(0, "failed", "x")), ResumeMode.FAILED)
    (left,) = resumption.steps_to_run([step(0)])

    assert resumption.combined(left, result_for(left, Status.SKIPPED)).status is Status.FAILED
    assert resumption.combined(left, result_for(left, Status.OK)).status is Status.OK


@pytest.mark.parametrize("status", [Status.SKIPPED, Status.FAILED])
def test_what_was_sent_again_in_vain_stays_in_doubt(status: Status) -> None:
    """The first time may have come through."""
    resumption = Resumption(history(sending=(0,)), ResumeMode.UNDONE)
    (left,) = resumption.steps_to_run([step(0, delivery=Delivery.AT_LEAST_ONCE)])

    assert resumption.combined(left, result_for(left, status)).status is Status.UNKNOWN
    assert resumption.combined(left, result_for(left, Status.OK)).status is Status.OK


def test_only_new_results_are_written_to_the_journal() -> None:
    """What it has already is not written again; what was in doubt is."""
    resumption = Resumption(history(record(0, "ok"), sending=(1,)), ResumeMode.UNDONE)

    kept, doubted = resumption.earlier_results([step(0), step(1)])

    assert not resumption.is_new(kept)
    assert resumption.is_new(doubted)
    assert doubted.error == IN_DOUBT
