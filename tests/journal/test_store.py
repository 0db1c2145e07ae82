"""The journals of recent runs: where they are, which are kept."""

import asyncio
from pathlib import Path

from wps_run.journal.store import MOST_JOURNALS, prune, recent_journals, state_folder
from wps_run.journal.writer import Journal
from wps_run.problems import JournalError

HEADER = b'{"type":"run","version":1}\n'


def test_journals_lie_where_the_system_keeps_state(tmp_path: Path) -> None:
    """XDG_STATE_HOME when it is absolute, else ~/.local/state; LOCALAPPDATA on Windows."""
    end = Path("wps-run") / "runs"
    home = Path.home() / ".local" / "state"

    assert state_folder({"XDG_STATE_HOME": str(tmp_path)}, windows=False) == tmp_path / end
    assert state_folder({"XDG_STATE_HOME": "relative"}, windows=False) == home / end
    assert state_folder({}, windows=False) == home / end
    assert state_folder({"LOCALAPPDATA": str(tmp_path)}, windows=True) == tmp_path / end


async def test_the_newest_fifty_are_kept_and_none_in_use_is_deleted(tmp_path: Path) -> None:
    """A long run keeps its journal, however many short ones there were meanwhile."""
    running = Journal.create(tmp_path / "0000.journal", HEADER)
    for number in range(1, MOST_JOURNALS + 10):
        (tmp_path / f"{number:04}.journal").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("mine")

    prune(tmp_path)

    kept = [path.name for path in recent_journals(tmp_path)]
    assert kept == [f"{number:04}.journal" for number in range(MOST_JOURNALS + 9, 9, -1)] + [
        "0000.journal"
    ]
    assert (tmp_path / "notes.txt").exists()
    await running.close()


async def test_runs_that_prune_at_once_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    """Neither fails, each has its journal, and the oldest are gone."""
    for number in range(MOST_JOURNALS + 200):
        (tmp_path / f"{number:04}.journal").write_bytes(b"")

    def begin(number: int) -> Journal:
        journal = Journal.create(tmp_path / f"9{number:03}.journal", HEADER)
        prune(tmp_path)
        return journal

    journals = await asyncio.gather(*(asyncio.to_thread(begin, number) for number in range(12)))

    assert len(recent_journals(tmp_path)) == MOST_JOURNALS
    assert all(one.path.exists() for one in journals)
    for one in journals:
        await one.close()


async def test_a_journal_is_never_deleted_while_it_is_begun(tmp_path: Path) -> None:
    """Not even where it is among the oldest, as after the clock was put back."""
    for number in range(MOST_JOURNALS):
        (tmp_path / f"9{number:03}.journal").write_bytes(b"")

    def begin_and_prune(number: int) -> Journal:
        journal = Journal.create(tmp_path / f"0{number:03}.journal", HEADER)
        prune(tmp_path)
        return journal

    made = await asyncio.gather(
        *(asyncio.to_thread(begin_and_prune, number) for number in range(30)),
        return_exceptions=True,
    )

    for one in made:
        # The name was taken away before it was locked, which is told; else it stays.
        if isinstance(one, Journal):
            assert one.path.read_bytes()
            await one.close()
        else:
            assert isinstance(one, JournalError)
