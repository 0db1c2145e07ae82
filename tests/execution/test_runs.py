"""The journals of recent runs: where they are, which are kept."""

from pathlib import Path

from runner.execution.journal import Journal
from runner.execution.runs import KEPT, prune, recent, state_folder

HEADER = {"type": "run", "version": 1, "fingerprint": {}}


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
    for number in range(1, KEPT + 10):
        (tmp_path / f"{number:04}.journal").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("mine")

    prune(tmp_path)

    kept = [path.name for path in recent(tmp_path)]
    assert kept == [f"{number:04}.journal" for number in range(KEPT + 9, 9, -1)] + ["0000.journal"]
    assert (tmp_path / "notes.txt").exists()
    await running.close()
