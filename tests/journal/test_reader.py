"""The history of a run from its journal, however the run ended."""

import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import result_record

from wps_run.journal.fingerprint import changed_parts, require_same
from wps_run.journal.format import LONGEST_LINE, VERSION, Chain, Resumed, SummaryRecord
from wps_run.journal.reader import History, RecordedStatus, read_history
from wps_run.problems import JournalError

MakeHistory = Callable[..., History]
MakeJournal = Callable[..., bytes]
STARTED = "2026-11-24T12:00:00.000+00:00"


def results(history: History) -> list[dict[str, Any]]:
    """Return the results of a history as JSON objects."""
    return [result.as_json() for result in history.results()]


def sending(index: int) -> dict[str, Any]:
    return {"type": "sending", "index": index}


def test_action_with_a_sending_record_and_no_result_may_have_been_sent(
    history_of: MakeHistory,
) -> None:
    history = history_of(
        sending(0), sending(1), result_record(0, "ok"), result_record(2, "failed"), sending(2)
    )

    assert history.sending == {1, 2}
    assert results(history) == [result_record(0, "ok")]


def test_action_with_an_unsent_record_was_not_sent(history_of: MakeHistory) -> None:
    """An earlier result of it stays valid."""
    unsent = {"type": "unsent", "index": 0}
    again = [result_record(1, "failed"), sending(1)]
    history = history_of(sending(0), unsent, *again)

    assert history.sending == {1}
    assert results(history) == []
    history = history_of(sending(0), unsent, *again, {**unsent, "index": 1})
    assert results(history) == [result_record(1, "failed")]


def test_last_result_of_an_action_is_valid(history_of: MakeHistory) -> None:
    history = history_of(result_record(0, "failed"), result_record(0, "ok"))

    assert history.status(0) is RecordedStatus.OK
    assert results(history) == [result_record(0, "ok")]


def test_summary_is_invalid_after_a_resume(history_of: MakeHistory) -> None:
    summary = {"type": "summary", "durationMs": 2.5, "exitCode": 1}

    assert history_of(summary).summary == SummaryRecord(2.5, 1)
    assert history_of(summary, Resumed(STARTED)).summary is None


def read(content: bytes) -> History:
    """Return the history of a journal with this content."""
    return read_history(lambda: io.BytesIO(content), "j")


@given(cut=st.data())
@pytest.mark.parametrize("version", [1, 2])
def test_truncated_journal_is_read_up_to_its_last_complete_line(
    journal_of: MakeJournal, version: int, cut: st.DataObject
) -> None:
    """SIGKILL may come at any byte; a power failure may leave zeros."""
    records = (sending(0), result_record(0, "ok"), sending(1), result_record(1, "failed"))
    content = journal_of(*records, version=version)
    all_lines = content.splitlines(keepends=True)
    end = cut.draw(st.integers(len(all_lines[0]), len(content)))

    history = read(content[:end] + b"\0" * cut.draw(st.integers(0, 2)))

    assert content[: history.length].endswith(b"\n")
    assert end - history.length < max(map(len, all_lines))
    assert history == read(content[: history.length])


@pytest.mark.parametrize(
    "content", [b"", b'{"type":"run"', b"[]\n", b'{"type":"result"}\n', b"hello\n"]
)
def test_other_file_is_no_journal(content: bytes) -> None:
    with pytest.raises(JournalError, match="is not a journal"):
        read(content)


def test_journal_of_another_version_is_refused(history_of: MakeHistory) -> None:
    """Its first part, or a later one."""
    with pytest.raises(JournalError, match=r"j:1: .* another version"):
        history_of(version=99)
    with pytest.raises(JournalError, match=r"j:3: .* another version"):
        history_of(sending(0), Resumed(STARTED, 99))


def test_old_journal_is_checked_from_where_it_was_resumed(journal_of: MakeJournal) -> None:
    """The first checksum covers the old lines too."""
    old = journal_of(sending(0), result_record(0, "ok"), Resumed(STARTED), sending(1), version=1)
    chain = Chain()
    for line in old.splitlines(keepends=True):
        chain.cover(line)
    content = old + chain.seal(Resumed(STARTED, VERSION)) + chain.seal(result_record(1, "ok"))

    assert not read(old).is_checked
    assert read(content).is_checked
    assert [result.index for result in read(content).results()] == [0, 1]
    with pytest.raises(JournalError, match="j:6: the journal is damaged here"):
        read(content.replace(b'"index":0', b'"index":3', 1))
    with pytest.raises(JournalError, match="j:6: the journal is damaged here"):
        read(content.replace(b'"version":2', b'"version":1'))


def test_journal_is_not_read_as_an_older_one(journal_of: MakeJournal) -> None:
    """The lines of an older one have no checksums."""
    header, *rest = journal_of(sending(0), result_record(0, "ok")).splitlines(keepends=True)
    old = header.replace(b'"version":2', b'"version":1')

    for first in (old, old[: old.index(b',"check"')] + b"}\n"):
        with pytest.raises(JournalError, match="the journal is damaged here"):
            read(first + b"".join(rest))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda content: content.replace(b"\n", b"\r\n"), 1),
        (lambda content: content.replace(b"\n", b"\r"), 1),
        (lambda content: b"\xef\xbb\xbf" + content, 1),
        (lambda content: content + b"\n", 4),
        (lambda content: content + b"\0\0\0\n", 4),
        (lambda content: content[:-1] + b"\x0b", 3),
        (lambda content: content + b"\0" * LONGEST_LINE + b"\n", 4),
        (lambda content: content + b"\0" * LONGEST_LINE + content, 4),
        (lambda content: content[content.index(b"\n") + 1 :], 1),
    ],
    ids=["crlf", "cr", "bom", "blank", "zeros", "break", "long zeros", "long line", "no header"],
)
def test_journal_that_was_edited_is_refused(
    journal_of: MakeJournal, change: Callable[[bytes], bytes], line: int
) -> None:
    """Saved by an editor, or damaged in a way that no crash does."""
    with pytest.raises(JournalError, match=f"j:{line}: the journal is damaged here"):
        read(change(journal_of(sending(0), result_record(0, "ok"))))


def test_zeros_at_the_end_are_ignored_however_many_there_are(journal_of: MakeJournal) -> None:
    content = journal_of(sending(0))

    assert read(content + b"\0" * (2 * LONGEST_LINE + 1)).length == len(content)


def test_changed_parts_are_named(history_of: MakeHistory) -> None:
    """Changed, removed or added."""
    assert changed_parts({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == [
        "b",
        "c",
        "d",
    ]
    recorded = {"the playbook p.yaml": "1", "the hub": "c"}
    history = history_of(fingerprint=recorded)
    require_same(history, recorded, "j")
    with pytest.raises(
        JournalError, match=r"this changed since the run started: the playbook p\.yaml; "
    ):
        require_same(history, {"the playbook p.yaml": "2", "the hub": "c"}, "j")


@pytest.mark.parametrize("changed", [(), (sending(0),)])
def test_journal_that_is_changed_while_it_is_read_is_refused(
    journal_of: MakeJournal, changed: tuple[dict[str, Any], ...]
) -> None:
    """A result is gone, or another record is in its place."""
    content = [journal_of(result_record(0, "ok"))]
    history = read_history(lambda: io.BytesIO(content[-1]), "j")
    content.append(journal_of(*changed))

    with pytest.raises(JournalError, match="changed while it was read"):
        results(history)


@pytest.mark.parametrize(("resumed", "seconds"), [("12:00:05", 5.0), ("11:00:00", 0.0)])
def test_elapsed_time_at_a_resume_is_measured_from_the_start(
    history_of: MakeHistory, resumed: str, seconds: float
) -> None:
    """By the wall clock, which may have been set back."""
    assert history_of().elapsed == 0.0
    assert history_of(Resumed(f"2026-11-24T{resumed}.000+00:00")).elapsed == seconds


def test_history_of_many_results_is_small(journal_header: dict[str, Any]) -> None:
    chain = Chain()
    history = read(chain.seal(journal_header))
    lines = [chain.seal({**result_record(0, "ok"), "index": index}) for index in range(20_000)]
    tracemalloc.start()
    for line in lines:
        history.add(line)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert history.counts()[RecordedStatus.OK] == 20_000
    assert peak < 500_000  # 25 bytes a result
