"""The journals of recent runs in the user's state folder."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from wps_run.journal.writer import remove_unused

MOST_JOURNALS = 50
"""How many journals are kept."""

SUFFIX = ".journal"


def state_folder(environment: Mapping[str, str], *, windows: bool) -> Path:
    """Return the folder of journals: under XDG_STATE_HOME or ~/.local/state, or LOCALAPPDATA."""
    name = "LOCALAPPDATA" if windows else "XDG_STATE_HOME"
    value = environment.get(name, "")
    root = Path(value) if Path(value).is_absolute() else Path.home() / ".local" / "state"
    return root / "wps-run" / "runs"


def recent_journals(folder: Path) -> list[Path]:
    """Return the journals, newest first; their names begin with the time of the start."""
    return sorted(folder.glob(f"*{SUFFIX}"), reverse=True)


def prune(folder: Path) -> None:
    """Delete the oldest journals beyond `MOST_JOURNALS`, except those in use.

    One that cannot be deleted stays; that is no reason to run without a journal.
    """
    for path in recent_journals(folder)[MOST_JOURNALS:]:
        with suppress(OSError):
            remove_unused(path)
