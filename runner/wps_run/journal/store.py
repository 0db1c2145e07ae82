"""The journals of recent runs in the user's state folder."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from wps_run.journal.writer import removed_unused

KEPT = 50
"""How many journals are kept."""

SUFFIX = ".journal"


def state_folder(environment: Mapping[str, str], *, windows: bool) -> Path:
    """Where the journals are: under XDG_STATE_HOME or ~/.local/state; on Windows LOCALAPPDATA."""
    name = "LOCALAPPDATA" if windows else "XDG_STATE_HOME"
    given = environment.get(name, "")
    root = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state"
    return root / "wps-run" / "runs"


def recent(folder: Path) -> list[Path]:
    """The journals, the newest first; their names begin with the time they were begun."""
    return sorted(folder.glob(f"*{SUFFIX}"), reverse=True)


def prune(folder: Path) -> None:
    """Delete the oldest journals beyond `KEPT`, save those that a run is using.

    One that cannot be deleted stays; that is no reason to run without a journal.
    """
    for path in recent(folder)[KEPT:]:
        with suppress(OSError):
            removed_unused(path)
