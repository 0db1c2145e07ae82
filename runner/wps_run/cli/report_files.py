"""`--report FILE`: the report files of a run, and the job summary of GitHub Actions."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

from wps_run.cli.configuration import Decorated
from wps_run.cli.terminal import shell_line, show_message
from wps_run.report.formats import FILE_FORMATS, help_of
from wps_run.report.markdown import markdown
from wps_run.report.run_report import RunReport
from wps_run.report_files import write_report_files
from wps_run.text import Label

JOB_SUMMARY = "GITHUB_STEP_SUMMARY"
_JOB_SUMMARY_LIMIT = 1024 * 1024
"""GitHub refuses a job summary of more bytes."""


class ReportPath(click.Path):
    """The name of a report file; shells complete its suffix."""

    def __init__(self) -> None:
        super().__init__(readable=False)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        """Complete files, and the name with each suffix."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 -- shells only

        name = os.path.basename(incomplete)  # noqa: PTH119 -- "" for a folder
        folder = incomplete.removesuffix(name)
        stem = name.rpartition(".")[0] or name or "report"
        names = (f"{folder}{stem}{suffix}" for suffix in FILE_FORMATS)
        items = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return [*items, *super().shell_complete(ctx, param, incomplete)]


def report_option(command: Decorated) -> Decorated:
    """Add `--report`."""
    return click.option(
        "--report",
        "reports",
        type=ReportPath(),
        multiple=True,
        metavar="FILE",
        help=f"Write a report to FILE in the format of its suffix. {help_of(FILE_FORMATS)}. "
        "Can be repeated.",
    )(command)


def write_reports(paths: Iterable[Path], report: RunReport, journal: Path | None) -> bool:
    """Write report files.

    Args:
        paths: The files.
        report: Their content.
        journal: The journal from which they can be written again, or None.

    Returns:
        Whether all were written. Each failure is a message on stderr.
    """
    succeeded = True
    for path, error in write_report_files(paths, report):
        succeeded = False
        show_message(Label.ERROR, f"cannot write the report `{path}`: {error.strerror}")
        if journal:
            again = shell_line(["wps-run", "report", str(journal), "--report", str(path)])
            show_message(Label.HINT, f"nothing is lost; to write it again: {again}")
    return succeeded


def add_job_summary(path: Path, report: RunReport) -> None:
    """Append a run to the job summary of GitHub Actions. If that fails, there is a warning."""
    try:
        text = "".join(markdown(report)).encode()
        with path.open("ab") as summary:
            if summary.tell() + len(text) > _JOB_SUMMARY_LIMIT:
                reason = "it has no room left for this run"
            else:
                reason = ""
                summary.write(text)
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        show_message(Label.WARNING, f"the job summary is not written: {reason}")
