"""Which journal a run writes: a new one, a named one, an earlier one gone on with, or none."""

import os
import secrets
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wps_run import planning
from wps_run.cli.fingerprint import fingerprint_of, salt_of
from wps_run.cli.inputs import STDIN, STDIN_NAME
from wps_run.execution.run_info import Destination, RunInfo, run_info_from, run_info_record
from wps_run.journal.format import parsed
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.store import SUFFIX, prune, state_folder
from wps_run.journal.writer import Journal, removed_stillborn
from wps_run.playbook.shards import Shard
from wps_run.problems import JournalError, UsageError

if TYPE_CHECKING:
    from wps_run.journal.reader import History


@dataclass(frozen=True, slots=True)
class JournalOptions:
    """What the command line says about the journal.

    Attributes:
        file: `--journal`: where a new one goes, or None for the state folder.
        if_exists: `--resume-if-exists`: whether that one is gone on with when it is there.
        off: `--no-journal`, or a rehearsal.
        resume: `--resume`: the one to go on with, or None.
        failed: `--failed`: whether only what failed is done again.
    """

    file: str | None = None
    if_exists: bool = False
    off: bool = False
    resume: str | None = None
    failed: bool = False

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: Two of the options contradict each other.
        """
        if self.resume and (self.file or self.off):
            raise UsageError(
                "--resume goes on with its own journal; leave out --journal and --no-journal"
            )
        if self.file and self.off:
            raise UsageError("--journal and --no-journal contradict each other")
        if self.failed and not self.resume:
            raise UsageError("--failed says what --resume does again; name the journal with it")
        if self.if_exists and not self.file:
            raise UsageError("--resume-if-exists goes on with --journal FILE; name the file")

    def decided(self) -> "JournalOptions":
        """What is wished, once it is known to be possible and whether the named journal is there.

        One whose first line is torn was broken off before anything was sent: it is begun anew.

        Raises:
            UsageError: Two of the options contradict each other.
            JournalError: It cannot be read, or another run is just beginning it.
        """
        self.check()
        if not (self.if_exists and self.file):
            return self
        path = Path(self.file)
        if path.exists() and not removed_stillborn(path):
            return replace(self, file=None, resume=self.file)
        return self


def opened(
    wish: JournalOptions, heading: RunInfo, plans: Sequence[planning.Plan], endpoints: Sequence[str]
) -> RunRecorder:
    """Open the journal of a run.

    Args:
        wish: What the command line says.
        heading: What is run and where; it goes into the header.
        plans: The plans of the run.
        endpoints: Host and port where the actions of each plan go.

    Raises:
        JournalError: A named journal cannot be written, or the earlier one cannot be gone on
            with. One that nobody named is done without, with a warning.
    """
    if wish.resume:
        return _gone_on_with(Path(wish.resume), heading, plans, endpoints, failed=wish.failed)
    if wish.off:
        return RunRecorder()
    header = _header(heading, plans, endpoints)
    if wish.file:
        return RunRecorder(Journal.create(Path(wish.file), header), began=header["started"])
    try:
        folder = state_folder(os.environ, windows=sys.platform == "win32")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        began = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        journal = Journal.create(folder / f"{began}-{secrets.token_hex(3)}{SUFFIX}", header)
        prune(folder)
    except (JournalError, OSError) as error:
        click.echo(f"wps-run: warning: this run has no journal: {error}", err=True)
        return RunRecorder()
    return RunRecorder(journal, began=header["started"])


def paths_of(plans: Sequence[planning.Plan]) -> list[str]:
    """The playbooks of a run, as they are named on the command line."""
    files = [plan.playbook.document.file for plan in plans]
    return [STDIN if file == STDIN_NAME else file for file in files]


def paths_in(history: "History") -> tuple[str, ...]:
    """The playbooks of the run that a journal keeps, as they are named from here."""
    paths, folder = history.header["paths"], history.header.get("folder")
    if not isinstance(folder, str) or folder == _here():
        return tuple(paths)
    return tuple(path if path == STDIN else str(Path(folder, path)) for path in paths)


def _here() -> str:
    """The working folder; "" when it is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def shard_in(history: "History", wanted: Shard | None, journal: str) -> Shard | None:
    """The share of the run that a journal keeps.

    Args:
        history: What the journal says.
        wanted: The share that is asked for, or None when nobody asked for one.
        journal: What messages call it.

    Raises:
        UsageError: It keeps another share than the one that is asked for.
    """
    kept = run_info_from(history.header).shard
    if wanted in {None, kept}:
        return kept
    what = f"shard {kept}" if kept else "a run without shards"
    raise UsageError(
        f"`{journal}` is the journal of {what}, not of shard {wanted}; --resume knows that by "
        "itself, so ask for no shard, or name the other journal"
    )


def resume_words(path: Path, playbooks: Sequence[str]) -> str:
    """The command line that goes on with a run, or with a rehearsal."""
    local = ["--local"] if _is_rehearsal(path) else []
    return shlex.join(["wps-run", *local, "--resume", str(path), *playbooks])


def _is_rehearsal(path: Path) -> bool:
    try:
        with path.open("rb") as journal:
            header = parsed(journal.readline())
    except OSError:  # it was taken away meanwhile
        return False
    return header is not None and header.get("destination") == Destination.LOCAL


def _header(
    heading: RunInfo, plans: Sequence[planning.Plan], endpoints: Sequence[str]
) -> dict[str, Any]:
    salt = salt_of(plans)
    return {
        "type": "run",
        "version": 1,
        "started": written(datetime.now(UTC)),
        "paths": paths_of(plans),
        "folder": _here(),
        **run_info_record(heading),
        "salt": salt,
        "fingerprint": fingerprint_of(plans, endpoints, salt),
    }


def _gone_on_with(
    path: Path,
    heading: RunInfo,
    plans: Sequence[planning.Plan],
    endpoints: Sequence[str],
    *,
    failed: bool,
) -> RunRecorder:
    # Most runs are new ones.
    from wps_run.journal.reader import require_same  # noqa: PLC0415
    from wps_run.journal.resume import ResumeMode, Resumption  # noqa: PLC0415

    journal, history = Journal.reopen(path)
    made = fingerprint_of(plans, endpoints, history.header["salt"])
    require_same(history, made, str(path))
    moment = {"type": "resumed", "resumed": written(datetime.now(UTC))}
    journal.resume(history.length, {**moment, **run_info_record(heading)})
    history.resumed = moment
    if heading.destination is Destination.LOCAL:
        click.echo(
            "wps-run: warning: this rehearsal goes on in a new service, which has nothing of what "
            "its earlier parts did; rehearse anew to see all that would happen",
            err=True,
        )
    again = ResumeMode.FAILED if failed else ResumeMode.UNDONE
    return RunRecorder(
        journal, Resumption(history, again), history.elapsed, history.header["started"]
    )


def written(moment: datetime) -> str:
    """A moment as a journal has it."""
    return moment.isoformat(timespec="milliseconds")
