"""Which journal a run writes or resumes, its shard, and the command that resumes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wps_run.cli.journals import recorded_shard
from wps_run.journal.reader import History
from wps_run.journaling import JournalOptions
from wps_run.playbook.shards import Shard
from wps_run.problems import JournalError, UsageError

MakeHistory = Callable[..., History]

SECOND = {"number": 2, "count": 3, "of": 9}


@pytest.mark.parametrize(
    ("recorded", "requested", "expected"),
    [
        (SECOND, None, Shard(2, 3)),
        (SECOND, Shard(2, 3), Shard(2, 3)),
        (None, None, None),
    ],
)
def test_resumed_run_takes_its_shard_from_the_journal(
    history_of: MakeHistory,
    recorded: dict[str, Any] | None,
    requested: Shard | None,
    expected: Shard | None,
) -> None:
    """The same shard may be given again."""
    assert recorded_shard(history_of(shard=recorded), requested, "j") == expected


@pytest.mark.parametrize(
    ("recorded", "message"), [(SECOND, "of shard 2/3, not of shard 1/3"), (None, "without shards")]
)
def test_other_shard_than_that_of_the_journal_is_refused(
    history_of: MakeHistory, recorded: dict[str, Any] | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        recorded_shard(history_of(shard=recorded), Shard(1, 3), "j")


def test_existing_journal_is_resumed_else_it_is_created(
    tmp_path: Path,
) -> None:
    """With the same command each time."""
    path = tmp_path / "j"
    options = JournalOptions(str(path), resume_if_exists=True)

    assert options.resolved() == options
    path.write_bytes(b'{"type":"run"}\n')
    assert options.resolved() == JournalOptions(None, resume_if_exists=True, resume=str(path))


@pytest.mark.parametrize("content", [b"", b'{"ty', b'{"type":"run","vers'])
def test_journal_with_an_incomplete_header_is_created_again(tmp_path: Path, content: bytes) -> None:
    """The process was killed before it sent anything."""
    path = tmp_path / "j"
    path.write_bytes(content)
    options = JournalOptions(str(path), resume_if_exists=True)

    assert options.resolved() == options
    assert not path.exists()


@pytest.mark.parametrize("content", [b"notes of mine", b'{"type":"other"}\n'])
def test_other_file_is_not_changed(tmp_path: Path, content: bytes) -> None:
    """It is opened as a journal, and refused then."""
    path = tmp_path / "j"
    path.write_bytes(content)

    assert JournalOptions(str(path), resume_if_exists=True).resolved().resume == str(path)
    assert path.read_bytes() == content


def test_folder_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        JournalOptions(str(tmp_path), resume_if_exists=True).resolved()


def test_resume_if_exists_requires_a_journal() -> None:
    with pytest.raises(UsageError, match="--journal FILE"):
        JournalOptions(resume_if_exists=True).resolved()
