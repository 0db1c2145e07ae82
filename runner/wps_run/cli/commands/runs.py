"""`wps-run runs`: the recent runs, how they ended, and the words that go on with them."""

import os
import sys
from pathlib import Path

import click

from wps_run.cli.journals import paths_in, resume_words
from wps_run.execution.result import Status
from wps_run.journal.store import recent, state_folder
from wps_run.journal.writer import in_use, read_journal
from wps_run.problems import JournalError
from wps_run.report.run_report import RunReport, report_from_history


@click.command("runs")
def command() -> None:
    """List the recent runs, the newest first: when, where, how they ended.

    Below a run that did not do everything stand the words that go on with it. Its variables
    (--var, --vars-file) have to be given again.

    \b
    Example:
      wps-run runs
    """
    folder = state_folder(os.environ, windows=sys.platform == "win32")
    paths = recent(folder)
    if not paths:
        click.echo(f"no runs yet; their journals will be in {folder}")
    for path in paths:
        click.echo(_told(path))


def _told(path: Path) -> str:
    try:
        history = read_journal(path)
        going_on = in_use(path)
        told = report_from_history(history)
    except (JournalError, OSError) as error:
        return f"{path.stem}  cannot be read: {error}"
    lines = [
        f"{history.began.isoformat(timespec='seconds')}  {_ended(told, going_on=going_on)}",
        f"    {told.run_info}",
        f"    {path}",
    ]
    if not going_on and told.summary.counts[Status.SKIPPED] > told.summary.excused:
        lines.append(f"    go on: {resume_words(path, paths_in(history))}")
    return "\n".join(lines)


def _ended(told: RunReport, *, going_on: bool) -> str:
    counts = ", ".join(f"{told.summary.counts[status]} {status}" for status in Status)
    if going_on:
        return f"running: {counts} (skipped: not yet done)"
    if not told.is_finished:
        return f"broken off: {counts} (skipped: not done)"
    return f"exit {told.summary.exit_code}: {counts}"
