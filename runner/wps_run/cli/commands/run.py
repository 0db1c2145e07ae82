"""`wps-run run`: run or rehearse playbooks and report every action."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, nullcontext
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import click
from click.core import ParameterSource

from wps_run import planning, reading, running
from wps_run.cli.configuration import (
    FILE,
    override_option,
)
from wps_run.cli.confirmation import confirm
from wps_run.cli.errors import NOTHING_SENT, report_error
from wps_run.cli.inputs import read_inputs
from wps_run.cli.journals import (
    kept_options,
)
from wps_run.cli.logs import log_options, logging_to_stderr
from wps_run.cli.options import (
    RecordingCommand,
    RehearsalArguments,
    ca_bundle_option,
    configured_options,
    gateway_options,
    overrides_from,
    plan_command,
    rehearsal_arguments,
    rehearsal_options,
    run_options,
    settings_options,
)
from wps_run.cli.plans import make_plans
from wps_run.cli.progress import Progress, ProgressMode, ProgressTracker, choose_mode
from wps_run.cli.report_files import report_option
from wps_run.cli.run_basis import basis_of
from wps_run.cli.run_output import RunOutput
from wps_run.cli.service import ServiceAccess, show_wait
from wps_run.cli.terminal import interrupting_signals, show_message
from wps_run.execution.result import SkipReason
from wps_run.execution.run_info import Destination
from wps_run.execution.stop import Stop
from wps_run.execution.summary import Summary
from wps_run.journal.reader import History
from wps_run.journal.resume import Resumption
from wps_run.journal.store import MOST_JOURNALS
from wps_run.journaling import JournalOptions, resumption_of
from wps_run.planning import Plan
from wps_run.playbook.live import LiveGroups
from wps_run.playbook.options import CONFIRM, CONNECTION, PROCESSES, YES, Confirmation
from wps_run.problems import PlaybookError, UsageError, is_out_of_files
from wps_run.report.formats import OUTPUT_FORMATS, help_of
from wps_run.report.values import value_text
from wps_run.report_files import report_paths
from wps_run.running import RunContext
from wps_run.text import Label

if TYPE_CHECKING:
    from wps_run.emulator.seed import SeedClient
    from wps_run.rehearsal import Rehearsal


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
    seed: str | None
    endpoint: str | None
    header: tuple[tuple[str, str], ...]
    ca_bundle: str | None
    processes: int | str
    output: str
    journal: str | None
    resume_if_exists: bool
    no_journal: bool
    resume: str | None
    failed: bool
    skip_failed: bool
    plan_file: str | None
    reports: tuple[str, ...]
    confirm: str | None
    yes: bool
    only_changes: bool
    quiet: bool
    no_progress: bool
    log_level: str | None
    verbose: bool

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return them from the parameters of `command`; other entries are ignored."""
        return cls(**{item.name: values[item.name] for item in fields(cls)})

    @property
    def access(self) -> ServiceAccess:
        """How the service is reached."""
        return ServiceAccess(self.endpoint, self.header, self.ca_bundle)

    def journal_options(self) -> JournalOptions:
        """Return the options of the journal, checked.

        Raises:
            UsageError: They contradict each other, or `--plan`.
            JournalError: The journal cannot be read.
        """
        if self.plan_file is not None and self.resume is not None:
            raise UsageError("--resume runs what its journal says; leave out --plan")
        named = self.journal or self.resume
        return JournalOptions(
            self.journal,
            resume_if_exists=self.resume_if_exists,
            is_off=self.no_journal or (self.local and not named),
            resume=self.resume,
            only_failed=self.failed,
            skip_failed=self.skip_failed,
        ).resolved()


def _point_to_plan(context: click.Context, _: click.Parameter, value: object) -> None:
    """Reject the options with which other tools only show what they would do."""
    if value and not context.resilient_parsing:
        raise UsageError(
            "--dry-run and --check are a command of their own, which sends nothing: "
            + plan_command(context, _planning_command())
        )


@click.command("run", cls=RecordingCommand)
@click.argument("playbooks", nargs=-1, type=FILE, metavar="PLAYBOOK…")
@click.option(
    "--local",
    is_flag=True,
    help="Rehearse against the emulator and show what would happen. Needs no setting.",
)
@rehearsal_options
@override_option(CONNECTION, [CONNECTION.key])
@settings_options
@gateway_options
@ca_bundle_option
@run_options
@override_option(PROCESSES, default=PROCESSES.default)
@click.option(
    "--output",
    type=click.Choice(list(OUTPUT_FORMATS)),
    default="text",
    show_default=True,
    help=f"Write results to stdout in this format. {help_of(OUTPUT_FORMATS)}.",
)
@click.option(
    "--journal",
    type=FILE,
    metavar="FILE",
    help="Write the journal of the run to this new file.  [default: a file in your state folder, "
    f"which holds the last {MOST_JOURNALS} journals]",
)
@click.option(
    "--resume-if-exists",
    is_flag=True,
    help="With --journal: resume its run if the file exists, else start a new one. For schedulers "
    "that restart the same command.",
)
@report_option
@click.option("--no-journal", is_flag=True, help="Write no journal. The run cannot be resumed.")
@click.option(
    "--resume",
    type=FILE,
    metavar="FILE",
    help="Resume the run of this journal: run the actions that have no result, and send no message "
    "twice. An action whose failure stopped the run is retried first. Playbooks and options are "
    "those of the journal, unless they are given again.",
)
@click.option("--failed", is_flag=True, help="With --resume: run only the actions that failed.")
@click.option(
    "--skip-failed",
    is_flag=True,
    help="With --resume: do not retry the action whose failure stopped the run.",
)
@click.option(
    "--plan",
    "plan_file",
    type=FILE,
    metavar="FILE",
    help="Run what `wps-run plan --out FILE` has planned, and nothing if anything has changed "
    "since. Playbooks and options are those of the plan; give --var again.",
)
@override_option(CONFIRM)
@override_option(YES)
@click.option(
    "--only-changes",
    is_flag=True,
    help="Compare with the live state first, as `wps-run diff` does, and skip the actions that "
    "would change nothing.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show only failures and the totals.")
@click.option("--no-progress", is_flag=True, help="Show no progress on stderr.")
@log_options
@click.option(
    "--dry-run",
    "--check",
    is_flag=True,
    is_eager=True,
    hidden=True,
    expose_value=False,
    callback=_point_to_plan,
)
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
    context = click.get_current_context()
    args = RunArguments.of(values)
    journal = args.journal_options()
    basis = basis_of(journal, args.plan_file, _planning_command)
    given = basis.given_options()
    values = basis.values(values, given)
    args = RunArguments.of(values)
    simulation = rehearsal_arguments(
        args.faults, args.fault_seed, args.absent, args.seed, local=args.local
    )
    overrides = overrides_from(values)
    context.with_resource(
        logging_to_stderr(args.log_level, verbose=args.verbose, secrets=overrides.secrets)
    )
    overrides, paths = basis.arguments(overrides, args.playbooks)
    needed = filter(None, (*paths, args.journal, args.resume, args.seed, args.plan_file))
    reports = report_paths(args.reports, needed)
    playbooks = read_inputs(paths)
    assigned = [name for name, _ in values["assignments"]]
    kept = kept_options(given, basis.recorded or {}, overrides, assigned, playbooks)
    journal = replace(journal, kept={**configured_options(values), **kept})

    def read_live(plans: Sequence[Plan]) -> Sequence[LiveGroups]:
        if (recorded := basis.live(plans, local=args.local, seeded=args.seed is not None)) is None:
            planning.require_in_time(plans, _LATER)
            return _live_groups(args, plans, simulation)
        return recorded

    default_hub = planning.LOCAL_HUB if args.local else ""
    plans = make_plans(playbooks, overrides, assigned, default_hub=default_hub, read_live=read_live)
    basis.require_same(plans, None if args.local else args.access, kept)
    if args.local:
        _warn_of_missing_people(args, plans, simulation["seed"])
    plans, warning = running.fit_open_files(plans, ends=2 if args.local else 1)
    if warning:
        show_message(Label.WARNING, warning)
    journal = replace(journal, processes=_process_count(context, args, plans, basis.history))
    output = RunOutput(args.output, reports, os.environ, quiet=args.quiet, verbose=args.verbose)
    progress = choose_mode(sys.stderr, os.environ, wanted=not (args.quiet or args.no_progress))
    gc.freeze()  # what exists now stays to the end, so the collector need not look at it again
    open_context = (
        _local_context(args, plans, output, journal, running.rehearsal(plans, **simulation))
        if args.local
        else _service_context(
            args,
            plans,
            output,
            journal,
            resumption_of(basis.history, plans, journal) if basis.history else None,
        )
    )
    return asyncio.run(run_and_report(plans, output, progress, open_context))


def _planning_command() -> click.Command:
    """Return the command that makes plans."""
    from wps_run.cli.commands.plan import command  # noqa: PLC0415 -- rarely needed

    return command


_LATER = "give a later one with --not-after"


def _process_count(
    context: click.Context, args: RunArguments, plans: Sequence[Plan], history: History | None
) -> int:
    """Return in how many processes the actions run: 1 if this one runs them.

    Raises:
        UsageError: The options do not allow what is requested.
    """
    recorded = history.header.process_count if history else None
    is_flag = context.get_parameter_source("processes") is ParameterSource.COMMANDLINE
    if recorded is not None and is_flag and args.processes != recorded:
        processes = f"{recorded} processes" if recorded > 1 else "one process"
        raise UsageError(
            f"`{args.resume or args.journal}` is the journal of a run in {processes}, and a "
            "resumed run has as many; leave out --processes"
        )
    if args.processes == 1 and recorded in {None, 1}:
        return 1
    from wps_run.cli.processes import choose_count  # noqa: PLC0415 -- most runs have one process

    return choose_count(args.processes, plans, recorded, local=args.local)


def _live_groups(
    args: RunArguments, plans: Sequence[Plan], simulation: RehearsalArguments
) -> Sequence[LiveGroups]:
    """Return the live groups of the plans as they are now; in a rehearsal, as they are simulated.

    Raises:
        SettingsError: An endpoint is missing or cannot be used.
        ReadError: A group cannot be read.
    """
    if args.local:
        if simulation["seed"] is None:
            _warn_of_no_people(plans)
        absent = simulation["absent"]
        return reading.simulated_live(plans, seed=simulation["seed"], absent=absent)
    return args.access.live_groups(plans)


def _in_place(args: RunArguments, plans: Sequence[Plan], resumption: Resumption | None) -> bytes:
    """Return a byte for each step: 1 if it would change nothing on the service.

    Raises:
        ReadError: The state cannot be read.
    """
    return asyncio.run(reading.find_in_place(plans, args.access.source(), resumption))


def _warn_of_no_people(plans: Sequence[Plan]) -> None:
    """Warn that the live groups of a rehearsal without a seed are empty."""
    groups = dict.fromkeys(
        value_text(plan.scope.secrets.mask(group)) for plan in plans for group in plan.live_groups
    )
    noun = "group" if len(groups) == 1 else "groups"
    show_message(
        Label.WARNING,
        f"nobody is simulated in the live {noun} {', '.join(groups)}, so no rows come from there "
        f"and nobody is removed; {_ADD_PEOPLE}",
    )


_ADD_PEOPLE = "add the people with --seed FILE, which `wps-run snapshot` writes"


def _warn_of_missing_people(
    args: RunArguments, plans: Sequence[Plan], seed: "Sequence[SeedClient] | None"
) -> None:
    """Warn if a rehearsal has too few people to show what would happen."""
    if seed is not None:
        _warn_of_empty_hubs(plans, seed)
    elif args.only_changes:
        show_message(
            Label.WARNING,
            f"nobody is in a group at first, so `--only-changes` leaves out little; {_ADD_PEOPLE}",
        )


def _warn_of_empty_hubs(plans: Sequence[Plan], seed: "Sequence[SeedClient]") -> None:
    """Warn of each hub of a rehearsal in which the seed has no client."""
    seeded = dict.fromkeys(client.hub for client in seed)
    if "" in seeded:
        return
    others = ", ".join(f"`{hub}`" for hub in list(seeded)[:_SHOWN_HUBS])
    elsewhere = f"; its clients are in {others}" if others else ""
    for hub in dict.fromkeys(plan.hub for plan in plans):
        if hub.lower() not in seeded:
            show_message(Label.WARNING, f"the seed has no client in hub `{hub}`{elsewhere}")


_SHOWN_HUBS = 3
"""The most hubs of a seed that a warning names."""

OpenContext = Callable[[AsyncExitStack], Awaitable[RunContext]]


def _service_context(
    args: RunArguments,
    plans: Sequence[Plan],
    output: RunOutput,
    journal: JournalOptions,
    resumption: Resumption | None,
) -> OpenContext:
    """Prepare a run against the service; errors in its settings show before the run starts."""
    endpoints = [args.access.endpoint(plan) for plan in plans]
    if not args.yes:
        rule = Confirmation(args.confirm or Confirmation.DESTRUCTIVE)
        confirm(plans, lambda plan: endpoints[plan.number], resumption, rule)
    open_client = args.access.clients()
    hosts = [endpoint.host for endpoint in endpoints]
    run = planning.run_info(plans, Destination.SERVICE, tuple(dict.fromkeys(hosts)))
    if journal.processes > 1:
        run = replace(run, pace=f"{journal.processes} processes, each {run.pace}")
    in_place = _in_place(args, plans, resumption) if args.only_changes else b""
    if not journal.resume:
        planning.require_in_time(plans, _LATER)
    recorder = output.open_recorder(journal, run, plans, hosts)
    recorder = replace(recorder, in_place=in_place)
    processes = None
    if recorder.others:
        from wps_run.cli import processes as forking  # noqa: PLC0415 -- most runs have one process

        processes = forking.Processes(plans, open_client, recorder)

    async def open_context(_: AsyncExitStack) -> RunContext:
        return RunContext(run, open_client, recorder, processes=processes)

    return open_context


def _local_context(
    args: RunArguments,
    plans: Sequence[Plan],
    output: RunOutput,
    journal: JournalOptions,
    rehearsal: "Rehearsal",
) -> OpenContext:
    """Prepare a rehearsal."""

    async def open_context(stack: AsyncExitStack) -> RunContext:
        local = await stack.enter_async_context(rehearsal)
        run = planning.run_info(plans, Destination.LOCAL, (local.endpoint.host,))
        # The port of the emulator differs each time, which makes no other run of it.
        if not journal.resume:
            planning.require_in_time(plans, _LATER)
        recorder = output.open_recorder(journal, run, plans, ["LOCAL" for _ in plans])
        if args.only_changes:
            in_place = await reading.find_in_place(
                plans, lambda plan: nullcontext(local.state(plan.hub)), recorder.resumption
            )
            recorder = replace(recorder, in_place=in_place)
        return RunContext(
            run,
            reading.new_clients(lambda _: local.endpoint),
            recorder,
            local.simulations,
            lambda plan: local.state(plan.hub),
        )

    return open_context


async def run_and_report(
    plans: Sequence[Plan],
    output: RunOutput,
    progress_mode: ProgressMode,
    open_context: OpenContext,
) -> int:
    """Run the plans and report every action; return the exit code."""
    stop = Stop()
    async with AsyncExitStack() as stack:
        context = await open_context(stack)
        recorder = context.recorder
        stack.callback(recorder.discard_temporary)
        summary = Summary(since_ms=recorder.elapsed * 1000)
        _handle_signals(stop, summary, has_final=any(plan.is_final for plan in plans))
        if recorder.journal:
            recorder.journal.begin(lambda: stop.request(SkipReason.JOURNAL))
        tracker = ProgressTracker(context.run, summary, load=context.processes)
        output.begin(context.run)
        observer = running.Observer(on_plan=tracker.start_plan, on_wait=show_wait)
        batches = running.carry_out(plans, context, stop, summary, observer)
        error: Exception | None = None
        try:
            with Progress(progress_mode, tracker.snapshot, output.write) as progress:
                async with aclosing(batches):
                    async for batch in batches:
                        tracker.count(batch)
                        progress.write(output.format(batch))
                        if output.error is not None:
                            stop.request(SkipReason.INTERRUPTED)
        except Exception as raised:
            if not summary.total:  # nothing was sent
                raise
            error = _unreported(raised)
        exit_code = await output.end(plans, context, summary)
        if error:
            raise error
        return exit_code


def _unreported(error: Exception) -> Exception | None:
    """Show an error that ended the run early, or return it to raise it once all is reported.

    It is shown if a file of rows changed after it was checked, or cannot be opened, as too many
    files are open. A process has shown its own error.
    """
    if isinstance(error, click.exceptions.Exit) and error.exit_code == NOTHING_SENT:
        return None
    if isinstance(error, PlaybookError) or is_out_of_files(error):
        report_error(error)
        return None
    return error


_REPEATED_HANGUP = 1.0
"""Seconds after an interrupt in which SIGHUP is part of it: a closing terminal sends several."""


def _handle_signals(stop: Stop, summary: Summary, *, has_final: bool) -> None:
    """Let requests in flight end, and `finally` run, at the first interrupt; stop at the second."""
    finally_runs = "; what is in `finally` runs" if has_final else ""
    loop = asyncio.get_running_loop()
    first_at = 0.0

    def interrupt(number: int) -> None:
        nonlocal first_at
        if summary.interrupted_by is None:
            summary.interrupted_by, first_at = int(number), loop.time()
            stop.request(SkipReason.INTERRUPTED)
            show_message(
                Label.NOTE,
                f"stopping; requests in flight may end{finally_runs} (interrupt again to stop at "
                "once)",
            )
        elif number in {signal.SIGINT, signal.SIGTERM} or loop.time() > first_at + _REPEATED_HANGUP:
            stop.abandon()

    for number in interrupting_signals():
        try:
            loop.add_signal_handler(number, interrupt, number)
        except NotImplementedError:  # the event loop of Windows has no signal handlers
            signal.signal(number, lambda got, _: loop.call_soon_threadsafe(interrupt, got))
