"""`wps-run report`: recreate a run's report from its journal."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from wps_run.cli.configuration import FILE
from wps_run.cli.journals import warn_if_unchecked
from wps_run.cli.report_files import report_option, write_reports
from wps_run.cli.run_output import text_reporter
from wps_run.cli.terminal import show_message, write
from wps_run.execution.summary import EXIT_FAILED
from wps_run.journal.store import recent_journals, state_folder
from wps_run.journal.writer import main_journal, read_journal
from wps_run.problems import UsageError
from wps_run.report.formats import OUTPUT_FORMATS, help_of
from wps_run.report.merge import merge_histories
from wps_run.report.run_report import RunReport, report_from_history
from wps_run.report.text import TextReporter
from wps_run.report_files import report_paths
from wps_run.text import Label


@click.command("report")
@click.argument("journals", nargs=-1, type=FILE, metavar="[JOURNAL…]")
@click.option(
    "--output",
    type=click.Choice(list(OUTPUT_FORMATS)),
    help=f"Write results to stdout in this format. {help_of(OUTPUT_FORMATS)}.  "
    "[default: text; none with --report]",
)
@report_option
@click.option("-v", "--verbose", is_flag=True, help="List all failures, also those of one kind.")
def command(
    journals: tuple[str, ...], output: str | None, reports: tuple[str, ...], *, verbose: bool
) -> int:
    """Recreate a run's report from its journal.

    Without JOURNAL, reports the last run. The journals of all shards of a plan, each exactly once,
    are reported as one run. Of a run in several processes, name any of its journals.

    The exit code is that of the run; of several shards, the highest. In a run that was
    interrupted, actions that may have been sent count as unknown and the rest as skipped.

    \b
    Examples:
      wps-run report --output json
      wps-run report --report run.html --report junit.xml
      wps-run report shard-1.journal shard-2.journal
    """
    named = dict.fromkeys(main_journal(Path(journal)) for journal in journals)
    paths = list(named) or [_last_journal()]
    files = report_paths(reports, list(map(str, paths)))
    report = _read_report(paths)
    output = output or ("none" if files else "text")
    reporter = (
        text_reporter(TextReporter, lists_all=verbose)
        if output == "text"
        else OUTPUT_FORMATS[output].new_reporter()
    )
    write(sys.stdout, reporter.begin(report.run_info))
    for result in report.results:
        write(sys.stdout, reporter.result(result))
    for expectation in report.expectations:
        write(sys.stdout, reporter.expectation(expectation))
    write(sys.stdout, reporter.end(report.summary, report.simulations))
    succeeded = write_reports(files, report, paths[0] if len(paths) == 1 else None)
    return report.summary.exit_code if succeeded else max(report.summary.exit_code, EXIT_FAILED)


def _read_report(paths: Sequence[Path]) -> RunReport:
    """Read the report of a journal, or of the journals of all shards."""
    histories = [(str(path), read_journal(path)) for path in paths]
    for name, history in histories:
        warn_if_unchecked(history, name)
    if len(histories) > 1:
        return merge_histories(histories)
    report = report_from_history(histories[0][1])
    shard = report.run_info.shard
    if shard and shard.count > 1:
        show_message(
            Label.NOTE,
            f"this is only shard {shard}; name the journals of all {shard.count} to report the "
            "whole run",
        )
    return report


def _last_journal() -> Path:
    folder = state_folder(os.environ, windows=sys.platform == "win32")
    paths = recent_journals(folder)
    if not paths:
        raise UsageError(f"there is no run to report; {folder} contains no journal")
    return paths[0]
