"""What a run writes: results to stdout as they come, its journal, and report files at the end."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wps_run import running
from wps_run.cli.errors import discard_stdout
from wps_run.cli.journals import PLACEHOLDER, resume_command, resume_notes, show_journal_error
from wps_run.cli.report_files import JOB_SUMMARY, add_job_summary, write_reports
from wps_run.cli.terminal import (
    StdoutError,
    columns_of,
    shell_line,
    show_message,
    styler_for,
    use_utf8_stdout,
)
from wps_run.execution.result import ExpectationResult, Result, SkipReason
from wps_run.execution.run_info import RunInfo
from wps_run.execution.summary import EXIT_FAILED, Summary
from wps_run.journal.format import KeptOptions
from wps_run.journal.recorder import RunRecorder
from wps_run.journaling import JournalOptions, open_recorder, playbook_paths
from wps_run.planning import Plan
from wps_run.report.annotated_report import AnnotatedReporter
from wps_run.report.annotations import ci_service
from wps_run.report.formats import OUTPUT_FORMATS, Reporter
from wps_run.report.text import QuietReporter, TextReporter, next_steps, summary_line
from wps_run.running import RunContext
from wps_run.text import Label

if TYPE_CHECKING:
    from wps_run.report.simulation import Simulation


_RAISED = {
    SkipReason.BUDGET: ("allow more failures", "--max-failures"),
    SkipReason.EXPIRED: ("give a later moment", "--not-after"),
}
"""What lets a resumed run go on although a limit ended it, by the code of the limit."""


class RunOutput:
    """Writes what a run reports: results to stdout as they come, and report files at the end.

    When stdout cannot be written (a closed pipe, a full disk), nothing more is written to it,
    and `error` says why.

    Args:
        output_format: The format on stdout.
        reports: The report files, checked.
        environment: Says whether this is a job of GitHub Actions.
        quiet: Whether text shows only failures and the totals.
        verbose: Whether text lists all failures, also those of one kind.
    """

    def __init__(
        self,
        output_format: str,
        reports: Sequence[Path],
        environment: Mapping[str, str],
        *,
        quiet: bool,
        verbose: bool = False,
    ) -> None:
        self.error: StdoutError | None = None
        self._reporter = _reporter(output_format, environment, quiet=quiet, verbose=verbose)
        self._is_text = output_format == "text"
        self._reports = reports
        self._job_summary = environment.get(JOB_SUMMARY)
        self._kept: KeptOptions = {}
        self._lists_results = True

    def open_recorder(
        self,
        journal: JournalOptions,
        run: RunInfo,
        plans: Sequence[Plan],
        endpoints: Sequence[str],
    ) -> RunRecorder:
        """Open the journal of the run; a temporary one if only the reports need it."""
        self._kept = journal.kept
        recorder = open_recorder(
            journal,
            run,
            plans,
            endpoints,
            report_folder=self._reports[0].parent if self._reports else None,
            needs_report=bool(self._reports or self._job_summary),
            warn=partial(show_message, Label.WARNING),
        )
        steps = (step for plan in plans for step in plan.steps())
        self._lists_results = not (self._is_text and recorder.has_nothing_to_do(steps, run.total))
        return recorder

    def begin(self, run: RunInfo) -> None:
        """Write the text before the first result."""
        self.write(self._reporter.begin(run))

    def format(self, results: Sequence[Result | ExpectationResult]) -> str:
        """Return the text of results."""
        return "".join(map(self._format, results))

    def _format(self, result: Result | ExpectationResult) -> str:
        if isinstance(result, ExpectationResult):
            return self._reporter.expectation(result)
        return self._reporter.result(result) if self._lists_results else ""

    def write(self, text: str) -> None:
        """Write and flush, so that readers of a pipe see it."""
        if not text or self.error is not None:
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except StdoutError as error:
            self.error = error

    async def end(self, plans: Sequence[Plan], context: RunContext, summary: Summary) -> int:
        """End the report, close the journal, write report files; return the exit code."""
        simulations = context.simulations()
        self.write(self._reporter.end(summary, simulations))
        await running.end_journal(context, summary, simulations)
        if journal := context.recorder.journal:
            show_journal_error(journal)
        succeeded = self._write_reports(context, summary, simulations)
        self._show_next_steps(plans, context, summary, self._reports if succeeded else ())
        if self.error is not None:
            return _unwritten(self.error, context.run, summary)
        return summary.exit_code if succeeded else max(summary.exit_code, EXIT_FAILED)

    def _write_reports(
        self, context: RunContext, summary: Summary, simulations: "Sequence[Simulation]"
    ) -> bool:
        """Write report files and the job summary from the journal; whether all succeeded."""
        if not (self._reports or self._job_summary):
            return True
        report = running.report_of(context, summary, simulations)
        lasting = context.recorder.lasting
        succeeded = write_reports(self._reports, report, lasting.path if lasting else None)
        if self._job_summary:
            add_job_summary(Path(self._job_summary), report)
        return succeeded

    def _show_next_steps(
        self,
        plans: Sequence[Plan],
        context: RunContext,
        summary: Summary,
        reports: Sequence[Path],
    ) -> None:
        """Write to stderr how to resume the run, and for people what else there is to do or read.

        A script whose run succeeded gets no output.
        """
        journal, playbooks = context.recorder.lasting, playbook_paths(plans)
        resume = resume_command(journal.path, context.run, playbooks, self._kept) if journal else ""
        lines: list[tuple[Label, str]] = []
        if self._is_text and (summary.exit_code or sys.stderr.isatty()):
            path = str(journal.path) if journal else ""
            lines += next_steps(summary, resume, path, list(map(str, reports)), shell_line)
        if journal and (summary.not_done > 0 or summary.not_checked > 0):
            changes = [change for code, change in _RAISED.items() if code in summary.limits]
            remedy = "".join(f", {text}" for text, _ in changes)
            flags = "".join(f" {flag} {PLACEHOLDER}" for _, flag in changes)
            lines.append((Label.HINT, f"to do the rest{remedy}: {resume}{flags}"))
        if resume and any(resume in line for _, line in lines):
            lines[-1:-1] = ((Label.NOTE, note) for note in resume_notes(playbooks, self._kept))
        for label, line in lines:
            show_message(label, line)


def _reporter(
    output_format: str, environment: Mapping[str, str], *, quiet: bool, verbose: bool
) -> Reporter:
    """Return what formats results for stdout; in the log of a CI service it adds annotations."""
    if output_format != "text":
        use_utf8_stdout()
        reporter = OUTPUT_FORMATS[output_format].new_reporter()
    else:
        reporter = text_reporter(QuietReporter if quiet else TextReporter, lists_all=verbose)
    service = ci_service(environment)
    if service is None:
        return reporter
    to_stderr = None if output_format == "text" else partial(click.echo, err=True, nl=False)
    return AnnotatedReporter(reporter, service, to_stderr)


def text_reporter(kind: type[TextReporter], *, lists_all: bool) -> Reporter:
    """Return what formats results as text for stdout, in the width of its terminal."""
    columns = partial(columns_of, sys.stdout) if sys.stdout.isatty() else None
    return kind(styler_for(sys.stdout), columns, lists_all=lists_all)


def _unwritten(error: StdoutError, run: RunInfo, summary: Summary) -> int:
    """End a run whose report could not be written: quietly if its reader is gone."""
    if error.is_closed:
        raise error
    show_message(Label.ERROR, str(error))
    click.echo(summary_line(run, summary).lstrip("\n"), err=True, nl=False)
    discard_stdout()
    return max(summary.exit_code, EXIT_FAILED)
