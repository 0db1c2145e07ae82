"""Which journal a run writes: a new one, a named one, an earlier one gone on with, or none."""

import os
import secrets
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from runner import api
from runner.cli.options import STDIN, STDIN_NAME
from runner.execution.history import require_same
from runner.execution.journal import Journal, read_journal
from runner.execution.resume import Again, Resumption
from runner.execution.runs import SUFFIX, prune, state_folder
from runner.problems import JournalError, UsageError
from runner.report.heading import Heading
from runner.report.replay import heading_record


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says about the journal.

    Attributes:
        file: `--journal`: where a new one goes, or None for the state folder.
        off: `--no-journal`, or a rehearsal.
        resume: `--resume`: the one to go on with, or None.
        again: What a resumed run does again.
    """

    file: str | None = None
    off: bool = False
    resume: str | None = None
    again: Again = Again.UNDONE

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: Two of the options contradict each other.
        """
        if self.resume and (self.file or self.off):
            raise UsageError("--resume goes on with its own journal; leave out --journal")
        if self.file and self.off:
            raise UsageError("--journal and --no-journal contradict each other")
        if self.again is Again.FAILED and not self.resume:
            raise UsageError("--failed says what --resume does again; name the journal with it")


def opened(
    wish: Wish, heading: Heading, plans: Sequence[api.Plan], endpoints: Sequence[str]
) -> api.Kept:
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
        return _gone_on_with(Path(wish.resume), wish.again, plans, endpoints)
    if wish.off:
        return api.Kept()
    header = _header(heading, plans, endpoints)
    if wish.file:
        return api.Kept(Journal.create(Path(wish.file), header))
    try:
        folder = state_folder(os.environ, windows=sys.platform == "win32")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        began = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        journal = Journal.create(folder / f"{began}-{secrets.token_hex(3)}{SUFFIX}", header)
        prune(folder)
    except (JournalError, OSError) as error:
        click.echo(f"wps-run: warning: this run has no journal: {error}", err=True)
        return api.Kept()
    return api.Kept(journal)


def paths_of(plans: Sequence[api.Plan]) -> list[str]:
    """The playbooks of a run, as they are named on the command line."""
    files = [plan.playbook.document.file for plan in plans]
    return [STDIN if file == STDIN_NAME else file for file in files]


def paths_in(journal: str) -> list[str]:
    """The playbooks of the run that a journal keeps.

    Raises:
        JournalError: It cannot be read, or is none.
    """
    return list(read_journal(Path(journal)).header["paths"])


def resume_words(path: Path, playbooks: Sequence[str]) -> str:
    """The command line that goes on with a run."""
    return shlex.join(["wps-run", "--resume", str(path), *playbooks])


def _header(
    heading: Heading, plans: Sequence[api.Plan], endpoints: Sequence[str]
) -> dict[str, Any]:
    salt = secrets.token_hex(16)
    return {
        "type": "run",
        "version": 1,
        "started": _now(),
        "paths": paths_of(plans),
        **heading_record(heading),
        "salt": salt,
        "fingerprint": api.fingerprint(plans, endpoints, salt),
    }


def _gone_on_with(
    path: Path, again: Again, plans: Sequence[api.Plan], endpoints: Sequence[str]
) -> api.Kept:
    journal, history = Journal.reopen(path)
    now = api.fingerprint(plans, endpoints, history.header["salt"])
    require_same(history, now, str(path))
    journal.resume(history.length, {"type": "resumed", "resumed": _now()})
    return api.Kept(journal, Resumption(history, again))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
