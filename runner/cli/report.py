"""`wps-run report`: a run told again from its journal, in any format."""

import os
import sys
from pathlib import Path

import click

from runner.execution.journal import read_journal
from runner.execution.runs import recent, state_folder
from runner.problems import UsageError
from runner.report.replay import replay
from runner.report.reporters import REPORTERS


@click.command("report")
@click.argument("journal", required=False)
@click.option(
    "--output",
    type=click.Choice(list(REPORTERS)),
    default="text",
    show_default=True,
    help="For people, a record a line, one object, or not at all.",
)
def command(journal: str | None, output: str) -> int:
    """Tell a finished or broken run again from its JOURNAL; the last run's by default.

    The exit code is that of the run. In a run that was broken off, what may have left counts as
    unknown and what was not done as skipped.

    \b
    Example:
      wps-run report --output json
    """
    told = replay(read_journal(Path(journal) if journal else _last()))
    reporter = REPORTERS[output]()
    click.echo(reporter.begin(told.heading), nl=False)
    for record in told.records:
        click.echo(reporter.result(record), nl=False)
    click.echo(reporter.end(told.summary, ()), nl=False)
    return told.summary.exit_code


def _last() -> Path:
    folder = state_folder(os.environ, windows=sys.platform == "win32")
    paths = recent(folder)
    if not paths:
        raise UsageError(f"there is no run to report; {folder} holds no journal")
    return paths[0]
