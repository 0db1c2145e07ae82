"""What a journal says of a run, whatever broke it off."""

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


def lines(*records: dict[str, Any]) -> list[bytes]:
    """A journal of these records."""
    return [json.dumps(record).encode() + b"\n" for record in (HEADER, *records)]


def read(written: list[bytes], name: str) -> History:
    """The history that these lines tell."""
    return read_history(lambda: io.BytesIO(b"".join(written)), name)


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
    """The results of a history, as plain data."""
    return [one.as_json() for one in history.results()]


def sending(index: int) -> dict[str, Any]:
    return {"type": "sending", "index": index}


def test_an_action_that_was_announced_and_has_no_result_may_have_left() -> None:
    """That is the whole of what is unknown after kill -9."""
    history = read(
        lines(sending(0), sending(1), result(0, "ok"), result(2, "failed"), sending(2)), "j"
    )

    assert history.sending == {1, 2}
    assert results(history) == [result(0, "ok")]


def test_an_action_that_was_refused_and_waits_has_not_left() -> None:
    """A kill while it waits for another attempt leaves no doubt; its last result stands."""
    history = read(
        lines(sending(0), {"type": "unsent", "index": 0}, result(1, "failed"), sending(1)), "j"
    )

    assert history.sending == {1}
    assert results(history) == []
    history.add(encode_line({"type": "unsent", "index": 1}))
    assert results(history) == [result(1, "failed")]


def test_the_last_result_of_an_action_counts() -> None:
    """A resumed run may do what failed once more."""
    history = read(lines(result(0, "failed"), result(0, "ok")), "j")

    assert history.status(0) is RecordedStatus.OK
    assert results(history) == [result(0, "ok")]


def test_a_run_that_was_gone_on_with_has_not_ended() -> None:
    """The summary counts until somebody resumes."""
    summary = {"type": "summary", "durationMs": 2.5, "exitCode": 1}

    assert read(lines(summary), "j").summary == SummaryRecord(2.5, 1)
    assert (
        read(lines(summary, {"type": "resumed", "resumed": HEADER["started"]}), "j").summary is None
    )


@given(cut=st.data())
def test_a_journal_cut_off_anywhere_is_read_up_to_its_last_whole_line(cut: st.DataObject) -> None:
    """A kill -9 may come at any byte."""
    written = lines(sending(0), result(0, "ok"), sending(1), result(1, "failed"))
    whole = b"".join(written)
    at = cut.draw(st.integers(len(written[0]), len(whole)))

    history = read(whole[:at].splitlines(keepends=True), "j")

    assert whole[: history.length].endswith(b"\n")
    assert at - history.length < max(map(len, written))
    kept = whole[: history.length].count(b"\n")
    assert history == read(written[:kept], "j")


def test_garbage_in_the_last_line_is_dropped_and_anywhere_else_is_damage() -> None:
    """A power cut leaves a torn end, nothing else."""
    good = lines(result(0, "ok"))

    assert read([*good, b"\0\0\0"], "j").length == sum(map(len, good))
    with pytest.raises(JournalError, match="j:3: the journal is damaged here"):
        read([*good, b"\0\0\0\n", *good[1:]], "j")


@pytest.mark.parametrize(
    "content", [[], [b'{"type":"run"'], [b"[]\n"], [b'{"type":"result"}\n'], [b"hello\n"]]
)
def test_another_file_is_no_journal(content: list[bytes]) -> None:
    """It is refused, not overwritten."""
    with pytest.raises(JournalError, match="is not a journal"):
        read(content, "j")


def test_a_journal_of_another_version_is_refused() -> None:
    """Its records may mean something else."""
    with pytest.raises(JournalError, match="another version"):
        read([b'{"type":"run","version":99}\n'], "j")


def test_what_changed_is_named() -> None:
    """Changed, gone or new."""
    assert changed_parts({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == [
        "b",
        "c",
        "d",
    ]
    history = read(lines(), "j")
    require_same(history, HEADER["fingerprint"], "j")  # type: ignore[arg-type] # as above
    with pytest.raises(
        JournalError, match=r"this changed since the run started: the playbook p\.yaml; "
    ):
        require_same(history, {"the playbook p.yaml": "2", "the hub": "c"}, "j")


@pytest.mark.parametrize(("resumed", "seconds"), [("12:00:05", 5.0), ("11:00:00", 0.0)])
def test_a_part_begins_that_long_after_the_first(resumed: str, seconds: float) -> None:
    """By the wall clock, which may have been put back between them."""
    record = {"type": "resumed", "resumed": f"2026-11-24T{resumed}.000+00:00"}

    assert read(lines(), "j").elapsed == 0.0
    assert read(lines(record), "j").elapsed == seconds


def test_a_million_results_take_little_memory() -> None:
    """A few bytes each; the records stay in the file."""
    history = read(lines(), "j")
    one = {**result(0, "ok")}
    tracemalloc.start()
    for index in range(100_000):
        one["index"] = index
        history.add(encode_line(one))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert history.counts()[RecordedStatus.OK] == 100_000
    assert most < 2_500_000
