"""`wps-run runs`: list the recent runs, with the commands that resume them."""

import os
import sys
from pathlib import Path

import click

from wps_run.cli.journals import recorded_paths, resume_command, resume_notes
from wps_run.execution.result import Status
from wps_run.journal.store import recent_journals, state_folder
from wps_run.journal.writer import is_in_use, read_journal
from wps_run.problems import JournalError
from wps_run.report.run_report import RunReport, report_from_history


@click.command("runs")
def command() -> None:
    """List the recent runs, with the commands that resume them.

    The newest run comes first. A run with skipped or failed actions has a command that resumes it.
    The options of the run are in its journal; the values of variables are not, so replace each …
    in that command.

    \b
    Example:
      wps-run runs
    """
    folder = state_folder(os.environ, windows=sys.platform == "win32")
    paths = recent_journals(folder)
    if not paths:
        click.echo(f"no runs yet; their journals will be in {folder}")
    for path in paths:
        click.echo(_describe(path))


def _describe(path: Path) -> str:
    try:
        history = read_journal(path)
        is_running = is_in_use(path)
        report = report_from_history(history)
    except (JournalError, OSError) as error:
        return f"{path.stem}  cannot be read: {error}"
    started = history.started.isoformat(timespec="seconds")
    lines = [
        f"{started}  {_status(report, is_running=is_running)}",
        f"    {report.run_info}",
        f"    {path}",
    ]
    summary = report.summary
    if not is_running and (summary.not_done > 0 or summary.counts[Status.FAILED]):
        paths = recorded_paths(history)
        command = resume_command(path, report.run_info, paths, history.options or {})
        is_rest = summary.not_done > 0
        lines.append(f"    resume: {command}" if is_rest else f"    retry: {command} --failed")
        lines += [f"      note: {note}" for note in resume_notes(paths, history.options)]
    return "\n".join(lines)


def _status(report: RunReport, *, is_running: bool) -> str:
    counts = ", ".join(f"{report.summary.counts[status]} {status}" for status in Status)
    if is_running:
        return f"running: {counts} (skipped: not yet done)"
    if not report.is_finished:
        return f"interrupted: {counts} (skipped: not done)"
    return f"exit {report.summary.exit_code}: {counts}"
