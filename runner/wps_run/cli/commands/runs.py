"""`wps-run runs`: list the recent runs, with the commands that resume them."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from wps_run.cli.journals import recorded_paths, resume_command, resume_notes
from wps_run.cli.terminal import use_utf8_stdout
from wps_run.execution.result import Status
from wps_run.journal.reader import History
from wps_run.journal.store import recent_journals, state_folder
from wps_run.journal.writer import is_in_use, read_journal
from wps_run.problems import JournalError
from wps_run.report.findings import indented_json
from wps_run.report.records import summary_record
from wps_run.report.run_report import RunReport, report_from_history


class RecentRun(NamedTuple):
    """A run, as its journal describes it.

    Attributes:
        path: The journal.
        history: What the journal says.
        report: The results of the run.
        is_running: Whether the run uses the journal now.
    """

    path: Path
    history: History
    report: RunReport
    is_running: bool

    @property
    def state(self) -> str:
        """`running`, `interrupted` or `finished`."""
        if self.is_running:
            return "running"
        return "finished" if self.report.is_finished else "interrupted"

    @property
    def resume(self) -> str:
        """The command that does the rest or retries what failed, "" when nothing is left to do."""
        summary = self.report.summary
        is_incomplete = summary.not_done > 0 or summary.not_checked > 0
        if self.is_running or not (is_incomplete or summary.counts[Status.FAILED]):
            return ""
        paths, options = recorded_paths(self.history), self.history.options or {}
        command = resume_command(self.path, self.report.run_info, paths, options)
        return command if is_incomplete else f"{command} --failed"

    @property
    def notes(self) -> list[str]:
        """What the user has to change in that command."""
        return list(resume_notes(recorded_paths(self.history), self.history.options))


@click.command("runs")
@click.option(
    "-n", "count", type=click.IntRange(min=1), metavar="N", help="List only the N newest runs."
)
@click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Print text for people, or a JSON list for programs.",
)
def command(count: int | None, output: str) -> None:
    """List the recent runs, with the commands that resume them.

    The newest run comes first. A run with skipped or failed actions has a command that resumes it.
    The options of the run are in its journal; the values of variables are not, so replace each …
    in that command.

    \b
    Examples:
      wps-run runs -n 1
      wps-run runs --output json
    """
    folder = state_folder(os.environ, windows=sys.platform == "win32")
    runs = ((path, _read(path)) for path in recent_journals(folder)[:count])
    if output == "json":
        use_utf8_stdout()
        click.echo(indented_json([_record(path, run) for path, run in runs]), nl=False)
        return
    is_empty = True
    for path, run in runs:
        is_empty = False
        click.echo(_describe(path, run))
    if is_empty:
        click.echo(f"no runs yet; their journals will be in {folder}")


def _read(path: Path) -> RecentRun | str:
    """Return the run of a journal, or the reason why it cannot be read."""
    try:
        history = read_journal(path)
        is_running = is_in_use(path)
        return RecentRun(path, history, report_from_history(history), is_running)
    except (JournalError, OSError) as error:
        return str(error)


def _record(path: Path, run: RecentRun | str) -> dict[str, Any]:
    if isinstance(run, str):
        return {"journal": str(path), "state": "unreadable", "error": run}
    summary = summary_record(run.report.run_info, run.report.summary)
    return {
        "journal": str(path),
        "state": run.state,
        "started": run.report.started,
        "playbooks": list(run.report.run_info.playbooks),
        "destination": summary.pop("destination"),
        "endpoints": summary.pop("endpoints"),
        "hubs": summary.pop("hubs"),
        "environment": summary.pop("environment", None),
        "summary": summary,
        "resume": run.resume or None,
        "notes": run.notes if run.resume else [],
    }


def _describe(path: Path, run: RecentRun | str) -> str:
    if isinstance(run, str):
        return f"{path.stem}  cannot be read: {run}"
    lines = [
        f"{run.history.started.isoformat(timespec='seconds')}  {_status(run)}",
        f"    {run.report.run_info}",
        f"    {path}",
    ]
    if run.resume:
        label = "retry" if run.resume.endswith(" --failed") else "resume"
        lines.append(f"    {label}: {run.resume}")
        lines += [f"      note: {note}" for note in run.notes]
    return "\n".join(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[status]} {status}" for status in Status)


def _status(run: RecentRun) -> str:
    summary = run.report.summary
    counts = _counts(summary.counts)
    if summary.expectations.total():
        counts += f"; expectations: {_counts(summary.expectations)}"
    if run.is_running:
        return f"running: {counts} (skipped: not yet done)"
    if not run.report.is_finished:
        return f"interrupted: {counts} (skipped: not done)"
    return f"exit {summary.exit_code}: {counts}"
