"""`wps-run run`: carry playbooks out, or rehearse them, and report every action."""

import asyncio
import gc
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wps_run import checking, planning, running
from wps_run.cli.confirm import confirm
from wps_run.cli.errors import discard_stdout, show_error, show_warnings
from wps_run.cli.faults import rehearsal_options, trouble_in
from wps_run.cli.followup import say_what_next
from wps_run.cli.inputs import read_inputs
from wps_run.cli.journals import JournalOptions, opened, paths_in, shard_in
from wps_run.cli.logs import log_options, logging_to_stderr
from wps_run.cli.options import (
    note_empty_shard,
    override_option,
    overrides_from,
    run_options,
)
from wps_run.cli.progress import Progress, ProgressMode, ProgressTracker, form_for
from wps_run.cli.report_files import ReportFiles, report_option, targets
from wps_run.cli.terminal import StdoutError, styler_for, use_utf8_stdout
from wps_run.execution.result import EXIT_FAILED, Skip, Status, Summary
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.writer import Journal, encoded, read_journal
from wps_run.playbook.options import CONNECTION
from wps_run.problems import PlaybookError
from wps_run.report.formats import OUTPUT_FORMATS, Reporter, output_help
from wps_run.report.records import summary_record
from wps_run.report.text import QuietReporter, TextReporter, summary_line

if TYPE_CHECKING:
    from wps_run.connect.endpoint import Endpoint
    from wps_run.execution.stop import Stop
    from wps_run.rehearsal import Rehearsal
    from wps_run.report.simulation import Simulation


@click.command("run")
@click.argument("playbooks", nargs=-1, metavar="PLAYBOOK…")
@click.option(
    "--local",
    is_flag=True,
    help="Rehearse against the embedded service; show what would happen. Needs no setting.",
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
    help=f"Write results to stdout in this format. {output_help()}.",
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
def command(
    playbooks: tuple[str, ...],
    output: str,
    settings: str | None,
    connection: str | None,
    *,
    endpoint: str | None,
    ca_bundle: str | None,
    log_level: str | None,
    journal: str | None,
    resume_if_exists: bool,
    reports: tuple[str, ...],
    no_journal: bool,
    resume: str | None,
    failed: bool,
    local: bool,
    faults: tuple[str, ...],
    fault_seed: int | None,
    absent: tuple[tuple[str, float | None], ...],
    quiet: bool,
    no_progress: bool,
    verbose: bool,
    yes: bool,
    **options: Any,
) -> int:
    """Run playbooks (the default command).

    Runs PLAYBOOK… in the given order, as one run; `-` is standard input.

    Every action gets a result: ok (accepted by the service, not: delivered), failed, unknown
    (it may or may not have happened) or skipped. Everything is checked before the first
    request goes out.

    \b
    Examples:
      wps-run --local playbooks/group-setup.yaml
      wps-run --mode concurrent --concurrency 64 playbook.yaml
      wps-run --output ndjson playbook.yaml > results.ndjson
    """
    from wps_run.execution.stop import Stop  # noqa: PLC0415 -- asyncio and aiohttp come late

    click.get_current_context().with_resource(logging_to_stderr(log_level, verbose=verbose))
    trouble = trouble_in(faults, fault_seed, absent, local=local)
    wish = JournalOptions(
        journal,
        if_exists=resume_if_exists,
        off=no_journal or (local and not (journal or resume)),
        resume=resume,
        failed=failed,
    )
    wish = wish.decided()
    add = overrides_from({"settings": settings, "connection": connection, **options})
    if wish.resume:
        history = read_journal(Path(wish.resume))
        add = replace(add, shard=shard_in(history, add.shard, wish.resume))
        playbooks = playbooks or paths_in(history)
    files = targets(reports, filter(None, (*playbooks, journal, resume)))
    read = read_inputs(playbooks)
    show_warnings(checking.find_run_warnings(read, [name for name, _ in options["assignments"]]))
    plans = planning.plan(read, add, default_hub=planning.LOCAL_HUB if local else "")
    note_empty_shard(plans)
    progress = form_for(sys.stderr, os.environ, wanted=not (quiet or no_progress))
    for_people = output == "text"
    report = Report(
        _reporter(output, quiet=quiet),
        progress,
        ReportFiles(files, os.environ),
        for_people=for_people,
    )
    stop = Stop()
    gc.freeze()  # what is there now stays to the end, and need not be looked at again
    if local:
        return asyncio.run(
            _rehearse(running.rehearsal(plans, **trouble), plans, report, stop, wish)
        )
    where = {plan.first: running.endpoint_of(plan, endpoint) for plan in plans}
    if not yes:
        confirm(plans, lambda plan: where[plan.first])
    hosts = tuple(dict.fromkeys(one.host for one in where.values()))
    heading = planning.run_info(plans, Destination.SERVICE, hosts)
    kept = opened(wish, heading, plans, [where[plan.first].host for plan in plans])
    stage = RunContext(heading, lambda plan: where[plan.first], ca_bundle=ca_bundle, kept=kept)
    return asyncio.run(_carry_out(plans, stage, report, stop))


def _reporter(output: str, *, quiet: bool) -> Reporter:
    """What tells the results on stdout; in GitHub Actions with annotations, or beside them."""
    if output != "text":
        use_utf8_stdout()
    paint = styler_for(sys.stdout)
    for_people: Reporter = QuietReporter(paint) if quiet else TextReporter(paint)
    reporter = for_people if output == "text" else OUTPUT_FORMATS[output].new_reporter()
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return reporter
    from wps_run.report.github import AnnotatedReporter  # noqa: PLC0415 -- only there

    aside = None if output == "text" else partial(click.echo, err=True, nl=False)
    return AnnotatedReporter(reporter, aside)


class Report:
    """Writes a run's report to stdout as it comes, flushed at once; results come in batches.

    When that fails (a closed pipe, a full disk) it falls silent, and the run is told by `error`.
    """

    def __init__(
        self, reporter: Reporter, progress: ProgressMode, files: ReportFiles, *, for_people: bool
    ) -> None:
        self.reporter = reporter
        self.files = files
        self.for_people = for_people
        self.progress = progress
        self.error: StdoutError | None = None

    def write(self, text: str) -> None:
        """Write, and let readers of a pipe see it."""
        if not text or self.error is not None:
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except StdoutError as error:
            self.error = error


@dataclass(frozen=True, slots=True)
class RunContext:
    """Where a run takes place.

    Attributes:
        heading: What is run and where, for the report.
        endpoint: Where the actions of a plan go.
        outlooks: What would happen, asked for at the end; nothing unless it is a rehearsal.
        ca_bundle: A file of certificates to trust besides the system's, or None.
        kept: Its journal, and what an earlier part of it has done.
    """

    heading: RunInfo
    endpoint: "Callable[[planning.Plan], Endpoint]"
    outlooks: "Callable[[], Sequence[Simulation]]" = tuple
    ca_bundle: str | None = None
    kept: RunRecorder = field(default_factory=RunRecorder)


async def _rehearse(
    rehearsal: "Rehearsal",
    plans: Sequence[planning.Plan],
    report: Report,
    stop: "Stop",
    wish: JournalOptions,
) -> int:
    async with rehearsal as local:
        heading = planning.run_info(plans, Destination.LOCAL, (local.endpoint.host,))
        # Each rehearsal has an endpoint of its own, which makes no other run of it.
        kept = opened(wish, heading, plans, ["LOCAL" for _ in plans])
        stage = RunContext(heading, lambda _: local.endpoint, local.simulations, kept=kept)
        return await _carry_out(plans, stage, report, stop)


async def _carry_out(
    plans: Sequence[planning.Plan], stage: RunContext, report: Report, stop: "Stop"
) -> int:
    summary = Summary(Counter(), since_ms=stage.kept.elapsed * 1000)
    _Signals(stop, summary).listen(asyncio.get_running_loop())
    journal = stage.kept.journal
    if journal:
        journal.listen(lambda: stop.request(Skip.JOURNAL))
    report.write(report.reporter.begin(stage.heading))
    began = time.monotonic()
    defect = await _tell_all(plans, stage, report, stop, summary)
    summary.duration = round(time.monotonic() - began, 6)  # as its record has it
    outlooks = stage.outlooks()
    report.write(report.reporter.end(summary, outlooks))
    if journal:
        await _close(journal, stage.heading, summary, outlooks)
    written = report.files.write(stage.heading, summary, stage.kept, outlooks)
    reports = report.files.paths if written else ()
    say_what_next(summary, plans, journal, reports, for_people=report.for_people)
    if defect is not None:
        raise defect
    if report.error is not None:
        return _unread(report.error, stage.heading, summary)
    return summary.exit_code if written else max(summary.exit_code, EXIT_FAILED)


async def _tell_all(
    plans: Sequence[planning.Plan],
    stage: RunContext,
    report: Report,
    stop: "Stop",
    summary: Summary,
) -> Exception | None:
    """Carry out the plans and tell all results; gives the defect that broke the run, or None.

    Once something was sent, the report is to be whole: what is left counts as skipped.
    """
    try:
        await _tell_results(plans, stage, report, stop, summary)
    except Exception as error:  # a defect is raised again once the run is told
        if not summary.total:
            raise
        summary.counts[Status.SKIPPED] += max(0, stage.heading.total - summary.total)
        if not isinstance(error, PlaybookError):
            return error
        show_error(error)  # a file of rows was changed after it was checked
    return None


async def _tell_results(
    plans: Sequence[planning.Plan],
    stage: RunContext,
    report: Report,
    stop: "Stop",
    summary: Summary,
) -> None:
    """Carry out the plans; count and tell each result as it comes."""
    watch = ProgressTracker(stage.heading, summary)
    batches = running.batches(
        plans,
        stage.endpoint,
        stop,
        ca_bundle=stage.ca_bundle,
        kept=stage.kept,
        watch=watch.began,
    )
    with Progress(report.progress, watch.view, report.write) as progress:
        async with aclosing(batches):
            async for batch in batches:
                records = [result.record for result in batch]
                for record in records:
                    summary.count(record)
                    watch.ended(record)
                    report.files.add(record)
                progress.write("".join(map(report.reporter.result, records)))
                if report.error is not None:
                    stop.request(Skip.INTERRUPTED)


async def _close(
    journal: Journal, heading: RunInfo, summary: Summary, outlooks: "Sequence[Simulation]"
) -> None:
    """End the journal, and say if it broke."""
    for outlook in outlooks:
        journal.add(encoded(outlook.without_text().as_json()))
    journal.add(encoded(summary_record(heading, summary)))
    await journal.close()
    if journal.error is not None:
        click.echo(f"wps-run: the journal `{journal.path}` broke: {journal.error}", err=True)


def _unread(error: StdoutError, heading: RunInfo, summary: Summary) -> int:
    """End a run whose report could not be written: quietly when its reader went away."""
    if error.is_closed:
        raise error
    click.echo(f"wps-run: {error}", err=True)
    click.echo(summary_line(heading, summary).lstrip("\n"), err=True, nl=False)
    discard_stdout()
    return max(summary.exit_code, EXIT_FAILED)


class _Signals:
    """The first interrupt lets what is in flight end; a second one leaves at once."""

    def __init__(self, stop: "Stop", summary: Summary) -> None:
        self._stop = stop
        self._summary = summary

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take over SIGINT and SIGTERM for as long as the loop runs."""
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._heard, number)
            except NotImplementedError:  # Windows' loop has no signal handlers of its own
                signal.signal(number, lambda got, _: loop.call_soon_threadsafe(self._heard, got))

    def _heard(self, number: int) -> None:
        if self._summary.interrupted_by is None:
            self._summary.interrupted_by = int(number)
            self._stop.request(Skip.INTERRUPTED)
            click.echo(
                "wps-run: stopping; what is in flight may end (again: leave at once)", err=True
            )
        else:
            self._stop.abandon()
