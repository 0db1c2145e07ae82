"""`wps-run report`: a run told again from its journal, in any format."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from wps_run.cli.report_files import report_option, targets, write_reports
from wps_run.execution.result import EXIT_FAILED
from wps_run.journal.store import recent, state_folder
from wps_run.journal.writer import read_journal
from wps_run.problems import UsageError
from wps_run.report.formats import OUTPUT_FORMATS, output_help
from wps_run.report.merge import merge_histories
from wps_run.report.run_report import RunReport, report_from_history


@click.command("report")
@click.argument("journals", nargs=-1, metavar="[JOURNAL…]")
@click.option(
    "--output",
    type=click.Choice(list(OUTPUT_FORMATS)),
    help=f"Write results to stdout in this format. {output_help()}.  [default: text; none with "
    "--report]",
)
@report_option
def command(journals: tuple[str, ...], output: str | None, reports: tuple[str, ...]) -> int:
    """Tell a finished or broken run again from its JOURNAL; the last run's by default.

    The journals of all shards of a plan, named together, are told as one run. Each shard must be
    there once. The exit code is the highest of theirs.

    The exit code of a single one is that of the run. In a run that was broken off, what may have
    left counts as unknown and what was not done as skipped.

    \b
    Examples:
      wps-run report --output json
      wps-run report --report run.html --report junit.xml
      wps-run report shard-1.journal shard-2.journal
    """
    paths = [Path(one) for one in journals] or [_last()]
    files = targets(reports, list(map(str, paths)))
    told = _told(paths)
    reporter = OUTPUT_FORMATS[output or ("none" if files else "text")].new_reporter()
    click.echo(reporter.begin(told.run_info), nl=False)
    for record in told.results:
        click.echo(reporter.result(record), nl=False)
    click.echo(reporter.end(told.summary, told.simulations), nl=False)
    failed = write_reports(files, told, paths[0] if len(paths) == 1 else None)
    return max(told.summary.exit_code, EXIT_FAILED) if failed else told.summary.exit_code


def _told(paths: Sequence[Path]) -> RunReport:
    """The run of a journal, or of the journals of all its shards."""
    histories = [(str(path), read_journal(path)) for path in paths]
    if len(histories) > 1:
        return merge_histories(histories)
    told = report_from_history(histories[0][1])
    shard = told.run_info.shard
    if shard and shard.count > 1:
        click.echo(
            f"wps-run: this is shard {shard} alone; name the journals of all {shard.count} "
            "to tell the whole run",
            err=True,
        )
    return told


def _last() -> Path:
    folder = state_folder(os.environ, windows=sys.platform == "win32")
    paths = recent(folder)
    if not paths:
        raise UsageError(f"there is no run to report; {folder} holds no journal")
    return paths[0]
