"""The history of a run from its journal, however the run ended."""

import io
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.journal.fingerprint import changed_parts, require_same
from wps_run.journal.format import SummaryRecord, encode_line
from wps_run.journal.reader import History, RecordedStatus, read_history
from wps_run.problems import JournalError

HEADER = {
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
    "fingerprint": {"the playbook p.yaml": "1", "the hub": "c"},
}


def journal_lines(*records: dict[str, Any]) -> list[bytes]:
    """Return the lines of a journal with these records."""
    return [json.dumps(record).encode() + b"\n" for record in (HEADER, *records)]


def read(content: list[bytes], name: str) -> History:
    """Return the history of these lines."""
    return read_history(lambda: io.BytesIO(b"".join(content)), name)


def result(index: int, status: str) -> dict[str, Any]:
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
        "httpStatus": None,
        "attempts": 1,
        "durationMs": 2.5,
        "requestId": "id",
        "error": None,
        "startedMs": 1.5,
        "waitedFor": None,
        "tries": [],
    }


def results(history: History) -> list[dict[str, Any]]:
    """Return the results of a history as JSON objects."""
    return [result.as_json() for result in history.results()]


def sending(index: int) -> dict[str, Any]:
    return {"type": "sending", "index": index}


def test_action_with_a_sending_record_and_no_result_may_have_been_sent() -> None:
    history = read(
        journal_lines(sending(0), sending(1), result(0, "ok"), result(2, "failed"), sending(2)), "j"
    )

    assert history.sending == {1, 2}
    assert results(history) == [result(0, "ok")]


def test_action_with_an_unsent_record_was_not_sent() -> None:
    """An earlier result of it stays valid."""
    history = read(
        journal_lines(sending(0), {"type": "unsent", "index": 0}, result(1, "failed"), sending(1)),
        "j",
    )

    assert history.sending == {1}
    assert results(history) == []
    history.add(encode_line({"type": "unsent", "index": 1}))
    assert results(history) == [result(1, "failed")]


def test_last_result_of_an_action_is_valid() -> None:
    history = read(journal_lines(result(0, "failed"), result(0, "ok")), "j")

    assert history.status(0) is RecordedStatus.OK
    assert results(history) == [result(0, "ok")]


def test_summary_is_invalid_after_a_resume() -> None:
    summary = {"type": "summary", "durationMs": 2.5, "exitCode": 1}

    assert read(journal_lines(summary), "j").summary == SummaryRecord(2.5, 1)
    assert (
        read(journal_lines(summary, {"type": "resumed", "resumed": HEADER["started"]}), "j").summary
        is None
    )


@given(cut=st.data())
def test_truncated_journal_is_read_up_to_its_last_complete_line(cut: st.DataObject) -> None:
    """SIGKILL may come at any byte."""
    all_lines = journal_lines(sending(0), result(0, "ok"), sending(1), result(1, "failed"))
    content = b"".join(all_lines)
    end = cut.draw(st.integers(len(all_lines[0]), len(content)))

    history = read(content[:end].splitlines(keepends=True), "j")

    assert content[: history.length].endswith(b"\n")
    assert end - history.length < max(map(len, all_lines))
    complete = content[: history.length].count(b"\n")
    assert history == read(all_lines[:complete], "j")


def test_garbage_is_ignored_in_the_last_line_and_damage_elsewhere() -> None:
    """A power failure damages only the end."""
    valid = journal_lines(result(0, "ok"))

    assert read([*valid, b"\0\0\0"], "j").length == sum(map(len, valid))
    with pytest.raises(JournalError, match="j:3: the journal is damaged here"):
        read([*valid, b"\0\0\0\n", *valid[1:]], "j")


@pytest.mark.parametrize(
    "content", [[], [b'{"type":"run"'], [b"[]\n"], [b'{"type":"result"}\n'], [b"hello\n"]]
)
def test_other_file_is_no_journal(content: list[bytes]) -> None:
    with pytest.raises(JournalError, match="is not a journal"):
        read(content, "j")


def test_journal_of_another_version_is_refused() -> None:
    with pytest.raises(JournalError, match="another version"):
        read([b'{"type":"run","version":99}\n'], "j")


def test_changed_parts_are_named() -> None:
    """Changed, removed or added."""
    assert changed_parts({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == [
        "b",
        "c",
        "d",
    ]
    history = read(journal_lines(), "j")
    require_same(history, HEADER["fingerprint"], "j")  # type: ignore[arg-type] # as above
    with pytest.raises(
        JournalError, match=r"this changed since the run started: the playbook p\.yaml; "
    ):
        require_same(history, {"the playbook p.yaml": "2", "the hub": "c"}, "j")


@pytest.mark.parametrize("changed", [journal_lines(), journal_lines(sending(0))])
def test_journal_that_is_changed_while_it_is_read_is_refused(changed: list[bytes]) -> None:
    """A result is gone, or another record is in its place."""
    content = [journal_lines(result(0, "ok"))]
    history = read_history(lambda: io.BytesIO(b"".join(content[-1])), "j")
    content.append(changed)

    with pytest.raises(JournalError, match="changed while it was read"):
        results(history)


@pytest.mark.parametrize(("resumed", "seconds"), [("12:00:05", 5.0), ("11:00:00", 0.0)])
def test_elapsed_time_at_a_resume_is_measured_from_the_start(resumed: str, seconds: float) -> None:
    """By the wall clock, which may have been set back."""
    record = {"type": "resumed", "resumed": f"2026-11-24T{resumed}.000+00:00"}

    assert read(journal_lines(), "j").elapsed == 0.0
    assert read(journal_lines(record), "j").elapsed == seconds


def test_history_of_many_results_is_small() -> None:
    history = read(journal_lines(), "j")
    record = {**result(0, "ok")}
    tracemalloc.start()
    for index in range(100_000):
        record["index"] = index
        history.add(encode_line(record))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert history.counts()[RecordedStatus.OK] == 100_000
    assert peak < 2_500_000
