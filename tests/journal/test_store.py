"""The folder of journals: where it is, and which journals are kept."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from wps_run.journal.store import MOST_JOURNALS, prune, recent_journals, state_folder
from wps_run.journal.writer import Journal, process_path
from wps_run.problems import JournalError

HEADER = {"type": "run"}


def test_state_folder_follows_the_conventions_of_the_system(tmp_path: Path) -> None:
    """XDG_STATE_HOME if absolute, else ~/.local/state; LOCALAPPDATA on Windows."""
    subfolder = Path("wps-run") / "runs"
    default = Path.home() / ".local" / "state"

    assert state_folder({"XDG_STATE_HOME": str(tmp_path)}, windows=False) == tmp_path / subfolder
    assert state_folder({"XDG_STATE_HOME": "relative"}, windows=False) == default / subfolder
    assert state_folder({}, windows=False) == default / subfolder
    local = r"C:\Users\ada\AppData\Local"
    assert state_folder({"LOCALAPPDATA": local}, windows=True) == Path(local) / subfolder
    assert state_folder({"LOCALAPPDATA": r"\temp"}, windows=True) == default / subfolder


async def test_prune_keeps_the_newest_journals_and_those_in_use(tmp_path: Path) -> None:
    running = Journal.create(tmp_path / "0000.journal", HEADER)
    for number in range(1, MOST_JOURNALS + 10):
        (tmp_path / f"{number:04}.journal").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("mine")

    prune(tmp_path)

    remaining = [path.name for path in recent_journals(tmp_path)]
    assert remaining == [f"{number:04}.journal" for number in range(MOST_JOURNALS + 9, 9, -1)] + [
        "0000.journal"
    ]
    assert (tmp_path / "notes.txt").exists()
    await running.close()


def test_prune_deletes_the_journals_of_all_processes_of_a_run(
    tmp_path: Path, journal_of: Callable[..., bytes]
) -> None:
    """With the main one, and those without a main one. Other files are kept."""
    (tmp_path / "1-of-1.journal").write_bytes(b"mine")
    for name in ("old", "lost", *(f"recent{number:02}" for number in range(MOST_JOURNALS))):
        main = tmp_path / f"{name}.journal"
        main.write_bytes(journal_of(process={"number": 0, "count": 2}))
        for number in (1, 2):
            content = journal_of(process={"number": number, "count": 2})
            process_path(main, number, 2).write_bytes(content)
    (tmp_path / "lost.journal").unlink()
    running = Journal.create(tmp_path / "new.1-of-2.journal", HEADER)

    prune(tmp_path)

    names = {path.name.partition(".")[0] for path in tmp_path.iterdir()}
    assert names == {"1-of-1", "new", *(f"recent{number:02}" for number in range(MOST_JOURNALS))}
    assert len(recent_journals(tmp_path)) == MOST_JOURNALS
    running.release()


async def test_concurrent_prunes_do_not_fail(tmp_path: Path) -> None:
    for number in range(MOST_JOURNALS + 200):
        (tmp_path / f"{number:04}.journal").write_bytes(b"")

    def create_and_prune(number: int) -> Journal:
        journal = Journal.create(tmp_path / f"9{number:03}.journal", HEADER)
        prune(tmp_path)
        return journal

    journals = await asyncio.gather(
        *(asyncio.to_thread(create_and_prune, number) for number in range(12))
    )

    assert len(recent_journals(tmp_path)) == MOST_JOURNALS
    assert all(journal.path.exists() for journal in journals)
    for journal in journals:
        await journal.close()


async def test_new_journal_is_never_deleted_by_a_concurrent_prune(tmp_path: Path) -> None:
    """Not even if its name is among the oldest, as after the clock was set back."""
    for number in range(MOST_JOURNALS):
        (tmp_path / f"9{number:03}.journal").write_bytes(b"")

    def create_and_prune(number: int) -> Journal:
        journal = Journal.create(tmp_path / f"0{number:03}.journal", HEADER)
        prune(tmp_path)
        return journal

    outcomes = await asyncio.gather(
        *(asyncio.to_thread(create_and_prune, number) for number in range(30)),
        return_exceptions=True,
    )

    for outcome in outcomes:
        # Its file was deleted before it was locked, which is reported; else it stays.
        if isinstance(outcome, Journal):
            assert outcome.path.read_bytes()
            await outcome.close()
        else:
            assert isinstance(outcome, JournalError)
