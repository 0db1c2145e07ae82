"""What a run records: with a journal or without, and when it is resumed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wps_run.actions.locks import EXCLUSIVE
from wps_run.actions.request import Value, build_request
from wps_run.actions.table import ACTIONS
from wps_run.execution.result import Status, result_for
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.format import Header
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.resume import ResumeMode, Resumption
from wps_run.journal.writer import Journal, read_journal
from wps_run.playbook.options import Delivery, OnError
from wps_run.playbook.steps import Step

HEADER = Header("2026-11-24T12:00:00.000+00:00", ("p.yaml",), "salt", {}).record(
    RunInfo(Destination.SERVICE, ("127.0.0.1:80",), ("chat",), ("p.yaml",), 9, "sequential")
)


def send(index: int) -> Step:
    """Return a step that must not be repeated."""
    action = ACTIONS["sendToAll"]
    values: dict[str, Value] = {"data": b"x", "dataType": "text"}
    request = build_request(action, values, "chat")
    return Step(
        *(index, index, None, action, values, request, EXCLUSIVE, "p.yaml:1", None, OnError.STOP),
        *(Delivery.AT_MOST_ONCE, 30.0),
    )


async def test_history_says_what_was_recorded(tmp_path: Path) -> None:
    """An action that was certainly not sent is not in doubt."""
    journal = Journal.create(tmp_path / "j", HEADER)
    recorder = RunRecorder(journal)
    assert await recorder.sync_sending(0)
    done = result_for(send(0), Status.OK)
    assert recorder.record(send(0), done) is done
    assert recorder.mark_sending(1)
    recorder.mark_unsent(1)
    assert recorder.mark_sending(2)
    await journal.close()

    history = read_journal(tmp_path / "j")
    assert list(history.results()) == [done]
    assert history.sending == {2}


async def test_resumed_run_records_each_result_once(tmp_path: Path) -> None:
    """Those that the journal has are only reported; an action in doubt gets its result."""
    steps = [send(number) for number in range(3)]
    first = Journal.create(tmp_path / "j", HEADER)
    RunRecorder(first).record(steps[0], result_for(steps[0], Status.OK))
    first.mark_sending(1)
    await first.close()

    journal, history = Journal.reopen(tmp_path / "j")
    recorder = RunRecorder(journal, Resumption(history, ResumeMode.UNDONE))
    earlier = list(recorder.earlier_results(steps))
    assert [result.status for result in earlier] == [Status.OK, Status.UNKNOWN]
    ((remaining,),) = recorder.steps_to_run(lambda: steps)
    recorder.record(remaining, result_for(remaining, Status.FAILED))
    await journal.close()

    assert (tmp_path / "j").read_bytes().count(b'"type":"result"') == 3
    results = list(read_journal(tmp_path / "j").results())
    assert [result.status for result in results] == [Status.OK, Status.UNKNOWN, Status.FAILED]


async def test_result_of_a_repeated_action_is_combined_with_its_journal(tmp_path: Path) -> None:
    """It failed before and did not run now, so it stays failed."""
    first = Journal.create(tmp_path / "j", HEADER)
    RunRecorder(first).record(send(0), result_for(send(0), Status.FAILED))
    await first.close()

    journal, history = Journal.reopen(tmp_path / "j")
    recorder = RunRecorder(journal, Resumption(history, ResumeMode.FAILED))
    result = recorder.record(send(0), result_for(send(0), Status.SKIPPED))
    await journal.close()

    assert result.status is Status.FAILED
    assert [result.status for result in read_journal(tmp_path / "j").results()] == [Status.FAILED]


async def test_run_without_a_journal_sends_and_reports_all_the_same() -> None:
    recorder, step = RunRecorder(), send(0)
    result = result_for(step, Status.OK)

    assert recorder.mark_sending(0)
    assert await recorder.sync_sending(0)
    recorder.mark_unsent(0)
    assert recorder.record(step, result) is result
    assert list(recorder.steps_to_run(lambda: [step])) == [[step]]
    assert list(recorder.earlier_results([step])) == []
    assert recorder.lasting is None
    recorder.discard_temporary()


def create_lasting(folder: Path) -> Journal:
    return Journal.create(folder / "j", HEADER)


def create_temporary(folder: Path) -> Journal:
    return Journal.create_temporary(folder, HEADER)


@pytest.mark.parametrize("create", [create_lasting, create_temporary])
async def test_only_a_temporary_journal_is_deleted_after_the_run(
    tmp_path: Path, create: Callable[[Path], Any]
) -> None:
    journal = create(tmp_path)
    recorder = RunRecorder(journal, is_temporary=create is create_temporary)
    await journal.close()
    recorder.discard_temporary()

    assert journal.path.exists() == (create is create_lasting)
    assert recorder.lasting is (journal if create is create_lasting else None)
