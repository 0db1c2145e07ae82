"""Which journal a run writes, and of which shard it is."""

import io
from pathlib import Path
from typing import Any

import pytest

from wps_run.cli.journals import JournalOptions, recorded_shard, resume_command
from wps_run.journal.format import encode_line
from wps_run.journal.reader import History, read_history
from wps_run.playbook.shards import Shard
from wps_run.problems import JournalError, UsageError


def history(shard: dict[str, Any] | None) -> History:
    """A journal that has only its header."""
    header = {
        "type": "run",
        "version": 1,
        "started": "2026-11-24T12:00:00.000+00:00",
        "paths": [],
        "destination": "SERVICE",
        "endpoints": [],
        "hubs": [],
        "playbooks": [],
        "total": 1,
        "pace": "sequential",
        "shard": shard,
        "salt": "",
        "fingerprint": {},
    }
    return read_history(lambda: io.BytesIO(encode_line(header)), "j")


SECOND = {"number": 2, "count": 3, "of": 9}


@pytest.mark.parametrize(
    ("kept", "wanted", "expected"),
    [
        (SECOND, None, Shard(2, 3)),
        (SECOND, Shard(2, 3), Shard(2, 3)),
        (None, None, None),
    ],
)
def test_a_resumed_run_takes_its_shard_from_the_journal(
    kept: dict[str, Any] | None, wanted: Shard | None, expected: Shard | None
) -> None:
    """To ask for the same one changes nothing."""
    assert recorded_shard(history(kept), wanted, "j") == expected


@pytest.mark.parametrize(
    ("kept", "words"), [(SECOND, "of shard 2/3, not of shard 1/3"), (None, "without shards")]
)
def test_another_shard_than_the_journal_has_is_refused(
    kept: dict[str, Any] | None, words: str
) -> None:
    """Both would be done, and one of them twice."""
    with pytest.raises(UsageError, match=words):
        recorded_shard(history(kept), Shard(1, 3), "j")


def test_a_journal_that_is_there_is_gone_on_with_and_one_that_is_not_is_begun(
    tmp_path: Path,
) -> None:
    """The same words, each time an engine starts the run."""
    path = tmp_path / "j"
    wish = JournalOptions(str(path), resume_if_exists=True)

    assert wish.resolved() == wish
    path.write_bytes(b'{"type":"run"}\n')
    assert wish.resolved() == JournalOptions(None, resume_if_exists=True, resume=str(path))


@pytest.mark.parametrize("content", [b"", b'{"ty', b'{"type":"run","vers'])
def test_a_journal_without_a_whole_header_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """The process was killed before it sent anything."""
    path = tmp_path / "j"
    path.write_bytes(content)
    wish = JournalOptions(str(path), resume_if_exists=True)

    assert wish.resolved() == wish
    assert not path.exists()


@pytest.mark.parametrize("content", [b"notes of mine", b'{"type":"other"}\n'])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """It is taken for a journal, and refused as none."""
    path = tmp_path / "j"
    path.write_bytes(content)

    assert JournalOptions(str(path), resume_if_exists=True).resolved().resume == str(path)
    assert path.read_bytes() == content


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    """Nothing in it is touched."""
    with pytest.raises(JournalError):
        JournalOptions(str(tmp_path), resume_if_exists=True).resolved()


def test_resume_if_exists_wants_a_name() -> None:
    """Without --journal there is nothing that could exist."""
    with pytest.raises(UsageError, match="--journal FILE"):
        JournalOptions(resume_if_exists=True).resolved()


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("SERVICE", "wps-run --resume {} p.yaml"),
        ("LOCAL", "wps-run --local --resume {} p.yaml"),
    ],
)
def test_the_words_go_on_where_the_run_was(tmp_path: Path, destination: str, words: str) -> None:
    """A rehearsal is never gone on with against the service."""
    path = tmp_path / "j"
    path.write_text(f'{{"type":"run","destination":"{destination}"}}\n{{"type":"res')

    assert resume_command(path, ["p.yaml"]) == words.format(path)


def test_words_are_found_when_the_journal_is_gone(tmp_path: Path) -> None:
    """Somebody took it away during the run."""
    assert resume_command(tmp_path / "j", []) == f"wps-run --resume {tmp_path / 'j'}"
