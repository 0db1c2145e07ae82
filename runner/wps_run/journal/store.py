"""The journals of recent runs in the user's state folder."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

from wps_run.journal.writer import main_journal, remove_unused
from wps_run.problems import JournalError

MOST_JOURNALS = 50
"""How many journals remain."""

SUFFIX = ".journal"


def state_folder(environment: Mapping[str, str], *, windows: bool) -> Path:
    """Return the folder of journals: under XDG_STATE_HOME or ~/.local/state, or LOCALAPPDATA."""
    name, paths = (
        ("LOCALAPPDATA", PureWindowsPath) if windows else ("XDG_STATE_HOME", PurePosixPath)
    )
    value = environment.get(name, "")
    root = Path(value) if paths(value).is_absolute() else Path.home() / ".local" / "state"
    return root / "wps-run" / "runs"


def recent_journals(folder: Path) -> list[Path]:
    """Return the main journals, newest first; their names begin with the time of the start."""
    return sorted(
        (path for path in folder.glob(f"*{SUFFIX}") if "-of-" not in path.name), reverse=True
    )


def prune(folder: Path) -> None:
    """Delete the oldest runs beyond `MOST_JOURNALS`, except those in use.

    Also journals of processes whose run has no main one: it ended before it began, or was deleted.

    One that cannot be deleted stays; that is no reason to run without a journal.
    """
    for path in recent_journals(folder)[MOST_JOURNALS:]:
        with suppress(OSError):
            remove_unused(path)
    for path in folder.glob(f"*-of-*{SUFFIX}"):
        with suppress(OSError, JournalError):
            if not main_journal(path).exists():
                remove_unused(path)
