"""The journal of a run: a new one, a named one, an earlier one that is resumed, or none."""

import os
import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from wps_run.cli.inputs import STDIN, STDIN_NAME
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.fingerprint import require_same
from wps_run.journal.format import VERSION, Header, Resumed, decode_object, format_moment
from wps_run.journal.reader import History
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.resume import ResumeMode, Resumption
from wps_run.journal.store import SUFFIX, prune, state_folder
from wps_run.journal.writer import Journal, remove_incomplete
from wps_run.planning import Plan
from wps_run.playbook.shards import Shard
from wps_run.problems import JournalError, UsageError
from wps_run.running import fingerprint_of, new_salt


@dataclass(frozen=True, slots=True)
class JournalOptions:
    """The command line's options of the journal.

    Attributes:
        file: `--journal`: where a new one goes, or None for the state folder.
        resume_if_exists: `--resume-if-exists`: whether the run of `file` is resumed if it exists.
        is_off: `--no-journal`, or a rehearsal.
        resume: `--resume`: the one whose run is resumed, or None.
        only_failed: `--failed`: whether only failed actions run again.
    """

    file: str | None = None
    resume_if_exists: bool = False
    is_off: bool = False
    resume: str | None = None
    only_failed: bool = False

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            UsageError: Two of them do.
        """
        if self.resume and (self.file or self.is_off):
            raise UsageError(
                "--resume continues its own journal; leave out --journal and --no-journal"
            )
        if self.file and self.is_off:
            raise UsageError("--journal and --no-journal contradict each other")
        if self.only_failed and not self.resume:
            raise UsageError("--failed selects what --resume runs; name the journal with --resume")
        if self.resume_if_exists and not self.file:
            raise UsageError("--resume-if-exists resumes --journal FILE; name the file")

    def resolved(self) -> "JournalOptions":
        """Return the options once it is known whether the named journal exists.

        One with an incomplete header was interrupted before anything was sent; it is deleted.

        Raises:
            UsageError: Two of the options contradict each other.
            JournalError: It cannot be read, or another run is just creating it.
        """
        self.check()
        if not (self.resume_if_exists and self.file):
            return self
        path = Path(self.file)
        if path.exists() and not remove_incomplete(path):
            return replace(self, file=None, resume=self.file)
        return self


def open_recorder(
    options: JournalOptions,
    run: RunInfo,
    plans: Sequence[Plan],
    endpoints: Sequence[str],
    *,
    report_folder: Path | None = None,
    needs_report: bool = False,
) -> RunRecorder:
    """Open the journal of a run.

    A run without a journal that writes reports has a temporary one, from which they are made.

    Args:
        options: The command line's options.
        run: What is run and where, for the header.
        plans: The plans of the run.
        endpoints: Host and port to which the actions of each plan are sent.
        report_folder: Where a temporary journal goes; None for the system's folder.
        needs_report: Whether reports are written at the end.

    Raises:
        JournalError: A named journal cannot be written, or an earlier one cannot be resumed.
            If the default journal cannot be written, there is only a warning.
        UsageError: The temporary journal cannot be written.
    """
    if options.resume:
        return _resume(Path(options.resume), run, plans, endpoints, options)
    if not options.is_off:
        header = _header(plans, endpoints)
        if options.file:
            journal = Journal.create(Path(options.file), header.record(run))
            return RunRecorder(journal, started=header.started)
        try:
            return RunRecorder(_create_in_store(header.record(run)), started=header.started)
        except (JournalError, OSError) as error:
            click.echo(f"wps-run: warning: this run has no journal: {error}", err=True)
    if not needs_report:
        return RunRecorder()
    header = Header(format_moment(datetime.now(UTC)), (), "", {})
    try:
        journal = Journal.create_temporary(report_folder, header.record(run))
    except OSError as error:
        raise UsageError(f"cannot store results for the report: {error.strerror}") from None
    return RunRecorder(journal, started=header.started, is_temporary=True)


def playbook_paths(plans: Sequence[Plan]) -> tuple[str, ...]:
    """Return the playbooks of a run, as they are named on the command line."""
    files = [plan.playbook.document.file for plan in plans]
    return tuple(STDIN if file == STDIN_NAME else file for file in files)


def recorded_paths(history: History) -> tuple[str, ...]:
    """Return the playbooks of the run of a journal, as they are named from this folder."""
    paths, folder = history.header.paths, history.header.folder
    if not folder or folder == _working_folder():
        return paths
    return tuple(path if path == STDIN else str(Path(folder, path)) for path in paths)


def recorded_shard(history: History, requested: Shard | None, journal: str) -> Shard | None:
    """Return the shard of the run of a journal.

    Args:
        history: What the journal says.
        requested: The shard on the command line, or None.
        journal: The name of the journal in messages.

    Raises:
        UsageError: The journal is of another shard than the requested one.
    """
    shard = history.run.shard
    if requested in {None, shard}:
        return shard
    recorded = f"shard {shard}" if shard else "a run without shards"
    raise UsageError(
        f"`{journal}` is the journal of {recorded}, not of shard {requested}; --resume takes the "
        "shard from the journal, so leave out --shard, or name the other journal"
    )


def warn_if_unchecked(history: History, name: str) -> None:
    """Warn of a journal whose lines have no checksums."""
    if not history.is_checked:
        click.echo(
            f"wps-run: warning: an older version of wps-run wrote `{name}`, without checksums: "
            "lost or changed lines may not show",
            err=True,
        )


def resume_command(path: Path, playbooks: Sequence[str]) -> str:
    """Return the command line that resumes a run or a rehearsal."""
    local = ["--local"] if _is_rehearsal(path) else []
    return shlex.join(["wps-run", *local, "--resume", str(path), *playbooks])


def _is_rehearsal(path: Path) -> bool:
    try:
        with path.open("rb") as journal:
            header = decode_object(journal.readline())
    except (OSError, ValueError):  # it was removed or damaged meanwhile
        return False
    return header.get("destination") == Destination.LOCAL


def _create_in_store(header: Mapping[str, Any]) -> Journal:
    """Create a journal in the state folder.

    Raises:
        JournalError, OSError: It cannot be written.
    """
    folder = state_folder(os.environ, windows=sys.platform == "win32")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    journal = Journal.create(folder / f"{now}-{secrets.token_hex(3)}{SUFFIX}", header)
    prune(folder)
    return journal


def _header(plans: Sequence[Plan], endpoints: Sequence[str]) -> Header:
    salt = new_salt(plans)
    return Header(
        started=format_moment(datetime.now(UTC)),
        paths=playbook_paths(plans),
        salt=salt,
        fingerprint=fingerprint_of(plans, endpoints, salt),
        folder=_working_folder(),
    )


def _working_folder() -> str:
    """Return the working folder; "" if it was deleted."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _resume(
    path: Path,
    run: RunInfo,
    plans: Sequence[Plan],
    endpoints: Sequence[str],
    options: JournalOptions,
) -> RunRecorder:
    journal, history = Journal.reopen(path)
    digests = fingerprint_of(plans, endpoints, history.header.salt)
    require_same(history, digests, str(path))
    warn_if_unchecked(history, str(path))
    resumed = Resumed(format_moment(datetime.now(UTC)), VERSION)
    journal.resume(history.length, resumed.record(run))
    history.resumed = resumed
    if run.destination is Destination.LOCAL:
        click.echo(
            "wps-run: warning: this rehearsal resumes in a new emulator, which has none of the "
            "effects of its earlier parts; start a new rehearsal to see everything that would "
            "happen",
            err=True,
        )
    mode = ResumeMode.FAILED if options.only_failed else ResumeMode.UNDONE
    return RunRecorder(journal, Resumption(history, mode), history.elapsed, history.header.started)
