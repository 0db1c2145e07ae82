"""`wps-run run`: run or rehearse playbooks and report every action."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wps_run import checking, planning, running
from wps_run.cli.confirm import confirm
from wps_run.cli.errors import discard_stdout, show_error, show_warnings
from wps_run.cli.faults import rehearsal_options, trouble_in
from wps_run.cli.inputs import read_inputs
from wps_run.cli.journals import (
    JournalOptions,
    open_recorder,
    playbook_paths,
    recorded_paths,
    recorded_shard,
    resume_command,
)
from wps_run.cli.logs import log_options, logging_to_stderr
from wps_run.cli.options import (
    note_empty_shard,
    override_option,
    overrides_from,
    run_options,
)
from wps_run.cli.progress import Progress, ProgressTracker, progress_mode
from wps_run.cli.report_files import (
    JOB_SUMMARY,
    add_job_summary,
    report_option,
    report_paths,
    write_reports,
)
from wps_run.cli.terminal import StdoutError, styler_for, use_utf8_stdout
from wps_run.execution.result import Result, SkipReason, Status
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.stop import Stop
from wps_run.execution.summary import EXIT_FAILED, Summary
from wps_run.journal.format import encode_line
from wps_run.journal.reader import RecordedResults
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.writer import read_journal
from wps_run.planning import Plan
from wps_run.playbook.options import CONNECTION
from wps_run.problems import PlaybookError
from wps_run.report.formats import OUTPUT_FORMATS, Reporter, help_of
from wps_run.report.records import summary_record
from wps_run.report.text import QuietReporter, TextReporter, next_steps, summary_line

if TYPE_CHECKING:
    from wps_run.connect.endpoint import Endpoint
    from wps_run.rehearsal import Rehearsal
    from wps_run.report.simulation import Simulation


@dataclass(frozen=True, slots=True)
class RunArguments:
    """The command line, but for the options that override a playbook's own.

    Attributes: the parameters of `command`, by name.
    """

    playbooks: tuple[str, ...]
    local: bool
    faults: tuple[str, ...]
    fault_seed: int | None
    absent: tuple[tuple[str, float | None], ...]
    endpoint: str | None
    ca_bundle: str | None
    output: str
    journal: str | None
    resume_if_exists: bool
    no_journal: bool
    resume: str | None
    failed: bool
    reports: tuple[str, ...]
    yes: bool
    quiet: bool
    no_progress: bool
    log_level: str | None
    verbose: bool

    def journal_options(self) -> JournalOptions:
        """Return the options of the journal, checked."""
        named = self.journal or self.resume
        return JournalOptions(
            self.journal,
            resume_if_exists=self.resume_if_exists,
            is_off=self.no_journal or (self.local and not named),
            resume=self.resume,
            only_failed=self.failed,
        ).resolved()


@dataclass(frozen=True, slots=True)
class RunContext:
    """Where a run takes place.

    Attributes:
        run: What is run and where.
        endpoint: Gives the endpoint of a plan.
        recorder: Its journal, and the results of an earlier part.
        simulations: Gives what would happen, at the end; nothing unless it is a rehearsal.
    """

    run: RunInfo
    endpoint: "Callable[[Plan], Endpoint]"
    recorder: RunRecorder
    simulations: "Callable[[], Sequence[Simulation]]" = tuple


@click.command("run")
@click.argument("playbooks", nargs=-1, metavar="PLAYBOOK…")
@click.option(
    "--local",
    is_flag=True,
    help="Rehearse against the emulator and show what would happen. Needs no setting.",
)
@rehearsal_options
@override_option(CONNECTION, [CONNECTION.key])
@click.option(
    "--settings",
    metavar="FILE",
    help="Read settings from a Functions local.settings.json; the environment wins.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="Send to this reverse proxy; tokens are still for the service's own endpoint.",
)
@click.option(
    "--ca-bundle",
    metavar="FILE",
    help="Trust the certificates in this PEM file as well as the system's.",
)
@run_options
@click.option(
    "--output",
    type=click.Choice(list(OUTPUT_FORMATS)),
    default="text",
    show_default=True,
    help=f"Write results to stdout in this format. {help_of(OUTPUT_FORMATS)}.",
)
@click.option(
    "--journal",
    metavar="FILE",
    help="Keep the run's journal in this new file.  [default: one in your state folder; the last "
    "50 are kept]",
)
@click.option(
    "--resume-if-exists",
    is_flag=True,
    help="With --journal: go on with that one if it is there, else begin it. For engines that "
    "start a run again with the same words.",
)
@report_option
@click.option("--no-journal", is_flag=True, help="Keep no journal; the run cannot be resumed.")
@click.option(
    "--resume",
    metavar="FILE",
    help="Go on with the run of this journal: do what was not done, and send nothing twice. "
    "Its own playbooks need not be named.",
)
@click.option("--failed", is_flag=True, help="With --resume: do again only what failed.")
@click.option(
    "--yes", is_flag=True, help="Do not ask before closeAllConnections on a hub that is not local."
)
@click.option("-q", "--quiet", is_flag=True, help="Show only failures and the totals.")
@click.option("--no-progress", is_flag=True, help="Do not show on stderr how far the run is.")
@log_options
def command(**values: Any) -> int:
    """Run playbooks (the default command).

    Runs PLAYBOOK… in the given order, as one run; `-` is standard input.

    Every action gets a result: ok (the service accepted it; delivery is not confirmed), failed,
    unknown (it may or may not have happened) or skipped. Everything is checked before the first
    request is sent.

    \b
    Examples:
      wps-run --local playbooks/group-setup.yaml
      wps-run --mode concurrent --concurrency 64 playbook.yaml
      wps-run --output ndjson playbook.yaml > results.ndjson
    """
    args = RunArguments(**{field.name: values[field.name] for field in fields(RunArguments)})
    click.get_current_context().with_resource(
        logging_to_stderr(args.log_level, verbose=args.verbose)
    )
    trouble = trouble_in(args.faults, args.fault_seed, args.absent, local=args.local)
    journal = args.journal_options()
    overrides = overrides_from(values)
    paths = args.playbooks
    if journal.resume:
        history = read_journal(Path(journal.resume))
        shard = recorded_shard(history, overrides.shard, journal.resume)
        overrides = replace(overrides, shard=shard)
        paths = paths or recorded_paths(history)
    reports = report_paths(args.reports, filter(None, (*paths, args.journal, args.resume)))
    playbooks = read_inputs(paths)
    show_warnings(
        checking.find_run_warnings(playbooks, [name for name, _ in values["assignments"]])
    )
    default_hub = planning.LOCAL_HUB if args.local else ""
    plans = planning.plan(playbooks, overrides, default_hub=default_hub)
    note_empty_shard(plans)
    output = RunOutput(args, reports, os.environ)
    gc.freeze()  # what exists now stays to the end, so the collector need not look at it again
    open_context = (
        _local_context(plans, output, journal, running.rehearsal(plans, **trouble))
        if args.local
        else _service_context(args, plans, output, journal)
    )
    return asyncio.run(_run(args, plans, output, open_context))


OpenContext = Callable[[AsyncExitStack], Awaitable[RunContext]]


def _service_context(
    args: RunArguments, plans: Sequence[Plan], output: "RunOutput", journal: JournalOptions
) -> OpenContext:
    """Prepare a run against the service; errors in its settings show before the run starts."""
    endpoints = {plan.first: running.endpoint_of(plan, args.endpoint) for plan in plans}
    if not args.yes:
        confirm(plans, lambda plan: endpoints[plan.first])
    hosts = [endpoints[plan.first].host for plan in plans]
    run = planning.run_info(plans, Destination.SERVICE, tuple(dict.fromkeys(hosts)))
    recorder = output.open_recorder(journal, run, plans, hosts)

    async def open_context(_: AsyncExitStack) -> RunContext:
        return RunContext(run, lambda plan: endpoints[plan.first], recorder)

    return open_context


def _local_context(
    plans: Sequence[Plan], output: "RunOutput", journal: JournalOptions, rehearsal: "Rehearsal"
) -> OpenContext:
    """Prepare a rehearsal."""

    async def open_context(stack: AsyncExitStack) -> RunContext:
        local = await stack.enter_async_context(rehearsal)
        run = planning.run_info(plans, Destination.LOCAL, (local.endpoint.host,))
        # The port of the emulator differs each time, which makes no other run of it.
        recorder = output.open_recorder(journal, run, plans, ["LOCAL" for _ in plans])
        return RunContext(run, lambda _: local.endpoint, recorder, local.simulations)

    return open_context


async def _run(
    args: RunArguments, plans: Sequence[Plan], output: "RunOutput", open_context: OpenContext
) -> int:
    """Run the plans and report every action; return the exit code."""
    stop = Stop()
    async with AsyncExitStack() as stack:
        context = await open_context(stack)
        recorder = context.recorder
        stack.callback(recorder.discard_temporary)
        summary = Summary(since_ms=recorder.elapsed * 1000)
        _handle_signals(stop, summary)
        if recorder.journal:
            recorder.journal.on_error(lambda: stop.request(SkipReason.JOURNAL))
        tracker = ProgressTracker(context.run, summary)
        batches = running.run_batches(
            plans,
            context.endpoint,
            stop,
            ca_bundle=args.ca_bundle,
            recorder=recorder,
            on_plan=tracker.start_plan,
        )
        output.begin(context.run)
        started = time.monotonic()
        defect: Exception | None = None
        try:
            with Progress(output.progress, tracker.snapshot, output.write) as progress:
                async with aclosing(batches):
                    async for batch in batches:
                        tracker.count(batch)
                        progress.write(output.format(batch))
                        if output.error is not None:
                            stop.request(SkipReason.INTERRUPTED)
        except Exception as error:  # noqa: BLE001 -- raised once everything is reported
            defect = _account_for(error, context.run, summary)
        summary.duration = round(time.monotonic() - started, 6)  # as in its record
        exit_code = await output.end(plans, context, summary)
        if defect is not None:
            raise defect
        return exit_code


def _account_for(error: Exception, run: RunInfo, summary: Summary) -> Exception | None:
    """Count the actions that an error kept from running as skipped; the report stays complete.

    Returns:
        The error, to raise at the end; None for a file of rows that changed after it was checked,
        which is shown at once.

    Raises:
        Exception: The error, if nothing was sent.
    """
    if not summary.total:
        raise error
    summary.counts[Status.SKIPPED] += max(0, run.total - summary.total)
    if isinstance(error, PlaybookError):
        show_error(error)
        return None
    return error


class RunOutput:
    """Writes what a run reports: results to stdout as they come, and report files at the end.

    When stdout cannot be written (a closed pipe, a full disk), nothing more is written to it,
    and `error` says why.

    Args:
        args: The command line.
        reports: The report files, checked.
        environment: Says whether this is a job of GitHub Actions.
    """

    def __init__(
        self, args: RunArguments, reports: Sequence[Path], environment: Mapping[str, str]
    ) -> None:
        self.progress = progress_mode(
            sys.stderr, environment, wanted=not (args.quiet or args.no_progress)
        )
        self.error: StdoutError | None = None
        self._reporter = _reporter(args, environment)
        self._is_text = args.output == "text"
        self._reports = reports
        self._job_summary = environment.get(JOB_SUMMARY)

    def open_recorder(
        self,
        journal: JournalOptions,
        run: RunInfo,
        plans: Sequence[Plan],
        endpoints: Sequence[str],
    ) -> RunRecorder:
        """Open the journal of the run; a temporary one if only the reports need it."""
        return open_recorder(
            journal,
            run,
            plans,
            endpoints,
            report_folder=self._reports[0].parent if self._reports else None,
            needs_report=bool(self._reports or self._job_summary),
        )

    def begin(self, run: RunInfo) -> None:
        """Write the text before the first result."""
        self.write(self._reporter.begin(run))

    def format(self, results: Sequence[Result]) -> str:
        """Return the text of results."""
        return "".join(map(self._reporter.result, results))

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
        await _close_journal(context, summary, simulations)
        succeeded = self._write_reports(context, summary, simulations)
        self._show_next_steps(plans, context, summary, self._reports if succeeded else ())
        if self.error is not None:
            return _unwritten(self.error, context.run, summary)
        return summary.exit_code if succeeded else max(summary.exit_code, EXIT_FAILED)

    def _write_reports(
        self, context: RunContext, summary: Summary, simulations: "Sequence[Simulation]"
    ) -> bool:
        """Write report files and the job summary from the journal; whether all succeeded."""
        journal = context.recorder.journal
        if journal is None or not (self._reports or self._job_summary):
            return True
        from wps_run.report.run_report import RunReport  # noqa: PLC0415 -- most runs write none

        lasting = context.recorder.lasting
        if lasting:
            simulations = tuple(simulation.without_text() for simulation in simulations)
        report = RunReport(
            context.run,
            context.recorder.started,
            RecordedResults(read_journal(journal.path)),
            summary,
            simulations,
        )
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
        journal = context.recorder.lasting
        resume = resume_command(journal.path, playbook_paths(plans)) if journal else ""
        if self._is_text and (summary.exit_code or sys.stderr.isatty()):
            path = str(journal.path) if journal else ""
            for line in next_steps(summary, resume, path, list(map(str, reports))):
                click.echo(f"wps-run: {line}", err=True)
        if journal and summary.not_done > 0:
            click.echo(f"wps-run: to do the rest: {resume}", err=True)


def _reporter(args: RunArguments, environment: Mapping[str, str]) -> Reporter:
    """Return what formats results for stdout; in GitHub Actions it adds annotations."""
    if args.output != "text":
        use_utf8_stdout()
        reporter = OUTPUT_FORMATS[args.output].new_reporter()
    else:
        styler = styler_for(sys.stdout)
        reporter = QuietReporter(styler) if args.quiet else TextReporter(styler)
    if environment.get("GITHUB_ACTIONS") != "true":
        return reporter
    from wps_run.report.github import AnnotatedReporter  # noqa: PLC0415 -- only there

    to_stderr = None if args.output == "text" else partial(click.echo, err=True, nl=False)
    return AnnotatedReporter(reporter, to_stderr)


async def _close_journal(
    context: RunContext, summary: Summary, simulations: "Sequence[Simulation]"
) -> None:
    """Write the end of the journal, and show if it could not be written."""
    journal = context.recorder.journal
    if journal is None:
        return
    for simulation in simulations:
        journal.add(encode_line(simulation.without_text().as_json()))
    journal.add(encode_line(summary_record(context.run, summary)))
    await journal.close()
    if journal.error is not None:
        click.echo(
            f"wps-run: the journal `{journal.path}` cannot be written: {journal.error}", err=True
        )


def _unwritten(error: StdoutError, run: RunInfo, summary: Summary) -> int:
    """End a run whose report could not be written: quietly if its reader is gone."""
    if error.is_closed:
        raise error
    click.echo(f"wps-run: {error}", err=True)
    click.echo(summary_line(run, summary).lstrip("\n"), err=True, nl=False)
    discard_stdout()
    return max(summary.exit_code, EXIT_FAILED)


def _handle_signals(stop: Stop, summary: Summary) -> None:
    """Let requests in flight end at the first interrupt; stop at once at the second."""

    def interrupt(number: int) -> None:
        if summary.interrupted_by is None:
            summary.interrupted_by = int(number)
            stop.request(SkipReason.INTERRUPTED)
            click.echo(
                "wps-run: stopping; requests in flight may end (interrupt again to stop at once)",
                err=True,
            )
        else:
            stop.abandon()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, interrupt, number)
        except NotImplementedError:  # the event loop of Windows has no signal handlers
            signal.signal(number, lambda got, _: loop.call_soon_threadsafe(interrupt, got))
