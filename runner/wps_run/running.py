"""Run plans: the executor, the expectations and the end of a run put together."""

import asyncio
import os
import sys
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import (
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from wps_run.execution.executor import Executor
from wps_run.execution.limits import ConcurrencyLimiter, ReaderWindow, RequestLoad, Wait
from wps_run.execution.result import ExpectationResult, Result, SkipReason, Status
from wps_run.execution.run_info import RunInfo
from wps_run.execution.scheduler import BATCH
from wps_run.execution.stop import Stop
from wps_run.execution.summary import Summary
from wps_run.journal.reader import RecordedResults
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.writer import read_journal
from wps_run.planning import Plan, has_expired
from wps_run.playbook.options import Mode
from wps_run.problems import UsageError
from wps_run.reading import OpenClient, check_expectations, service_source
from wps_run.redaction import NO_SECRETS
from wps_run.report.records import summary_record
from wps_run.report.run_report import RunReport, expectations_of
from wps_run.state.read_back import Doubts
from wps_run.state.reader import StateReader, StateSource

if TYPE_CHECKING:
    from wps_run.emulator.seed import SeedClient
    from wps_run.rehearsal import Rehearsal, SimulatedState
    from wps_run.report.simulation import Simulation


def rehearsal(
    plans: Sequence[Plan],
    *,
    faults: Sequence[str] = (),
    fault_seed: int | None = None,
    absent: Mapping[str, float | None] | None = None,
    seed: "Sequence[SeedClient] | None" = None,
) -> "Rehearsal":
    """Return an emulator with a simulated client for every name in the plans, or those of a seed.

    The arguments and errors are those of `wps_run.rehearsal.Rehearsal`.
    """
    from wps_run.rehearsal import Rehearsal  # noqa: PLC0415 -- a real run needs no emulator

    steps = ((plan.hub, plan.steps()) for plan in plans)
    secrets = plans[0].scope.secrets if plans else NO_SECRETS
    return Rehearsal(
        steps, faults=faults, fault_seed=fault_seed, absent=absent, seed=seed, secrets=secrets
    )


class ActionProcesses(RequestLoad, Protocol):
    """Processes that run the actions of a run, but for those of `finally`."""

    def run(self, stop: Stop, started: float) -> AsyncGenerator[Sequence[Result]]:
        """Run them and yield their results; `started` is the beginning, on the monotonic clock."""
        ...


@dataclass(frozen=True, slots=True)
class RunContext:
    """Where a run takes place.

    Attributes:
        run: What is run and where.
        open_client: Makes the client of a plan.
        recorder: Its journal, and the results of an earlier part.
        simulations: Gives what would happen, at the end; nothing unless it is a rehearsal.
        rehearsed: Gives the state that a rehearsal left; None if it is no rehearsal.
        processes: Those that run the actions, or None if this one does.
    """

    run: RunInfo
    open_client: OpenClient
    recorder: RunRecorder
    simulations: "Callable[[], Sequence[Simulation]]" = tuple
    rehearsed: "Callable[[Plan], SimulatedState] | None" = None
    processes: ActionProcesses | None = None


@dataclass(frozen=True, slots=True)
class Observer:
    """What watches a run, and holds it back.

    Attributes:
        window: How far actions may start ahead of the reader, which takes each result from it.
        on_plan: Called when a plan starts, with its concurrency limit, for a progress display.
        on_wait: Called at the beginning of a wait that the service requests.
    """

    window: ReaderWindow = field(default_factory=ReaderWindow)
    on_plan: Callable[[ConcurrencyLimiter], object] = lambda _: None
    on_wait: Callable[[Wait], object] | None = None


async def carry_out(
    plans: Sequence[Plan], context: RunContext, stop: Stop, summary: Summary, observer: Observer
) -> AsyncGenerator[Sequence[Result | ExpectationResult]]:
    """Run the actions, check the expectations, and run what is in `finally`.

    Read it to the end: then each action is counted, also after an error or a stop.

    Args:
        plans: All plans of the run.
        context: Where it takes place.
        stop: Ends it early on request.
        summary: Counts what is yielded.
        observer: What watches the run.

    Raises:
        SettingsError: An endpoint is missing or cannot be used. Nothing was sent.
        Exception: What ended a part of the run. Raised at the end if an action was counted.
    """
    parts = _RunParts(plans, context, stop, summary, observer, time.monotonic())
    errors: list[Exception] = []
    for part in parts:
        try:
            async with aclosing(part):
                async for results in part:
                    yield results
        except Exception as error:
            if not summary.total:  # nothing was sent
                raise
            errors.append(error)
    # Those that an error kept from running.
    summary.counts[Status.SKIPPED] += max(0, context.run.total - summary.total)
    if errors:
        raise errors[0]


@dataclass(frozen=True, slots=True)
class _RunParts:
    """The parts of a run, in order; each yields results that it has counted.

    Attributes: the arguments of `carry_out`.
        started: When the run began, on the monotonic clock.
    """

    plans: Sequence[Plan]
    context: RunContext
    stop: Stop
    summary: Summary
    observer: Observer
    started: float

    def __iter__(self) -> Iterator[AsyncGenerator[Sequence[Result | ExpectationResult]]]:
        yield self._actions(final=False)
        yield self._expectations()
        if any(plan.is_final for plan in self.plans):
            yield self._actions(final=True)

    async def _actions(self, *, final: bool) -> AsyncGenerator[Sequence[Result]]:
        if self.context.processes and not final:
            batches = self.context.processes.run(self.stop, self.started)
        else:
            batches = run_batches(
                self.plans,
                self.context.open_client,
                self.stop,
                recorder=self.context.recorder,
                final=final,
                started=self.started,
                observer=self.observer,
            )
        try:
            async with aclosing(batches):
                async for batch in batches:
                    for result in batch:
                        self.summary.count(result)
                    yield batch
        finally:
            # Rounded as in its record.
            self.summary.duration = round(time.monotonic() - self.started, 6)

    async def _expectations(self) -> AsyncGenerator[Sequence[ExpectationResult]]:
        checks = check_expectations(
            self.plans,
            service_source(self.context.open_client, on_wait=self.observer.on_wait),
            self.stop,
            rehearsed=self.context.rehearsed,
        )
        async with aclosing(checks):
            async for expectation, result in checks:
                self.summary.count_expectation(result)
                self.context.recorder.record_expectation(expectation, result)
                yield (result,)


async def end_journal(
    context: RunContext, summary: Summary, simulations: "Sequence[Simulation]"
) -> None:
    """Write the end of the journal of a run, if there is one, and close it.

    Its `error` says if it could not be written.
    """
    journal = context.recorder.journal
    if journal is None:
        return
    for simulation in simulations:
        journal.add(simulation.without_text().as_json())
    journal.add(summary_record(context.run, summary))
    await journal.close()


def report_of(
    context: RunContext, summary: Summary, simulations: "Sequence[Simulation]"
) -> RunReport:
    """Return the report of a run whose journal was closed. A journal that lasts has no messages."""
    recorder = context.recorder
    if recorder.journal is None:
        raise ValueError("a report is made from a journal")
    if recorder.lasting:
        simulations = tuple(simulation.without_text() for simulation in simulations)
    history = read_journal(recorder.journal.path)
    return RunReport(
        context.run,
        recorder.started,
        RecordedResults(history),
        summary,
        simulations,
        expectations=expectations_of(history),
    )


async def run_batches(  # noqa: PLR0913 -- by name, each with a default
    plans: Sequence[Plan],
    open_client: OpenClient,
    stop: Stop,
    *,
    recorder: RunRecorder | None = None,
    final: bool = False,
    started: float | None = None,
    observer: Observer | None = None,
) -> AsyncGenerator[Sequence[Result]]:
    """Run plans, one after the other, and yield a result for every action as it ends, in batches.

    An `ok` means accepted by the service, not delivered.

    Args:
        plans: What `wps_run.planning.plan` returned: all plans of the run.
        open_client: Makes the client of a plan; called for all plans before anything is sent.
        stop: Ends the run early on request.
        recorder: Records the run, and has the results of an earlier part.
        final: Whether only the final plans run, else only the others.
        started: When this part of the run began, on the monotonic clock; None for now.
        observer: What watches the run.

    Raises:
        SettingsError: An endpoint is missing or cannot be used. Nothing was sent.
        Exception: What ended the run, after a result for every action.
    """
    _require_live(plans)
    recorder, observer = recorder or RunRecorder(), observer or Observer()
    epoch = (time.monotonic() if started is None else started) - recorder.elapsed
    running = [plan for plan in plans if plan.is_final is final]
    total = sum(plan.total for plan in plans if not plan.is_final)
    if not final and any(plan.options.max_failures for plan in plans):
        stop.failures += recorder.earlier_failures(
            step for plan in running for step in plan.steps()
        )
    failures: list[Exception] = []
    async with AsyncExitStack() as stack:
        # All clients first: an unusable key, identity or proxy shows before anything is sent.
        clients = [open_client(plan) for plan in running]
        for client in clients:
            await stack.enter_async_context(client)
        for plan, client in zip(running, clients, strict=True):
            stop_plan = stop.final_stop() if final else stop
            limit = None if final else plan.options.max_failures
            most_failures = limit.of(total) if limit else None
            if most_failures is not None and stop.failures > most_failures:
                stop.request(SkipReason.BUDGET)
            executor = Executor(
                client,
                plan.options,
                stop_plan,
                epoch=epoch,
                recorder=recorder,
                most_failures=most_failures,
                window=observer.window,
                on_wait=observer.on_wait,
            )
            observer.on_plan(executor.limiter)
            source = StateReader(client, plan.hub, plan.options, on_wait=observer.on_wait)
            same_hub = [
                other
                for other in plans
                if other.number >= plan.number and other.hub.lower() == plan.hub.lower()
            ]
            settle = partial(
                _settle, source=source, stop=stop_plan, recorder=recorder, plans=same_hub
            )
            batches = _run_plan(plan, executor, recorder, observer.window, settle, failures)
            async with _expiry(None if final else plan.options.not_after, stop), aclosing(batches):
                async for results in batches:
                    yield results
            await client.close()  # the connections of the next plan need its descriptors
    if failures:
        raise failures[0]


async def _run_plan(  # noqa: PLR0913, PLR0917 -- the parts of the run of one plan
    plan: Plan,
    executor: Executor,
    recorder: RunRecorder,
    window: ReaderWindow,
    settle: Callable[[Doubts], Awaitable[Sequence[Result]]],
    failures: list[Exception],
) -> AsyncGenerator[Sequence[Result]]:
    """Yield the results of one plan; what ended it early is appended to `failures`."""
    doubts = Doubts()

    def certain(results: Sequence[Result]) -> Sequence[Result]:
        reported = doubts.hold(results)
        window.take(len(results) - len(reported))
        return reported

    async def settled() -> Sequence[Result]:
        results = await settle(doubts)
        window.restore(len(results))
        return results

    earlier = recorder.earlier_results(plan.steps())
    while batch := tuple(islice(earlier, BATCH)):
        window.add(len(batch))
        yield certain(batch)
    # Before a step starts that conflicts with one of them.
    yield await settled()
    left_out = recorder.left_out(plan.steps)
    while batch := tuple(islice(left_out, BATCH)):
        window.add(len(batch))
        yield batch
    for steps in recorder.steps_to_run(plan.steps):
        async with aclosing(executor.run(steps)) as batches:
            try:
                async for results in batches:
                    yield certain(results)
            except Exception as error:  # noqa: BLE001 -- raised after a result for every action
                failures.append(error)
    yield await settled()


async def _settle(
    doubts: Doubts,
    *,
    source: StateSource,
    stop: Stop,
    recorder: RunRecorder,
    plans: Sequence[Plan],
) -> Sequence[Result]:
    """Read back and record what is in doubt. An interrupt leaves the rest in doubt.

    `plans` are that of the doubts, and those that run in the same hub after it.
    """
    if not doubts:
        return ()
    if resumption := recorder.resumption:
        for plan in plans[1:]:
            doubts.mark_started(resumption.earlier_results(plan.steps()))
        for plan in plans:
            doubts.mark_in_flight(resumption.in_flight(plan.steps()))
    await stop.unless_interrupted(doubts.settle(source))
    results = recorder.record_settled(doubts.release())
    stop.failures -= sum(result.status is Status.OK for result in results)
    return results


@asynccontextmanager
async def _expiry(moment: float | None, stop: Stop) -> AsyncIterator[None]:
    """Request a stop at a moment, in seconds since 1970; never if it is None."""
    if moment is None:
        yield
        return
    if has_expired(moment):
        stop.request(SkipReason.EXPIRED)
    watcher = asyncio.create_task(_request_at(moment, stop))
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


async def _request_at(moment: float, stop: Stop) -> None:
    """Request a stop at a moment. The clock may be set, and the machine may sleep meanwhile."""
    while not (stop.pauses_ended.is_set() or has_expired(moment)):
        with suppress(TimeoutError):
            async with asyncio.timeout(min(moment - time.time(), _CLOCK_CHECK)):
                await stop.pauses_ended.wait()
    stop.request(SkipReason.EXPIRED)


_CLOCK_CHECK = 1.0
"""The most seconds between two looks at the clock."""


def _require_live(plans: Iterable[Plan]) -> None:
    """Refuse plans whose live groups were not read: they would do less than they should.

    Raises:
        UsageError: There are such plans.
    """
    if any(plan.unread for plan in plans):
        raise UsageError(
            "the live groups of the playbooks were not read; pass what `read_live(plans)` returns "
            "to `plan` as `live`"
        )


_SPARE_FILES = 16
"""Open files that are reserved for all but connections: the event loop, the journal, files of rows,
the resolution of names, reports, modules."""

_FILES_UNKNOWN = 16
"""How many files are taken to be open if the system does not list them."""


def fit_open_files(plans: tuple[Plan, ...], *, ends: int) -> tuple[tuple[Plan, ...], str]:
    """Lower the concurrency of plans to what the limit of open files allows.

    The limit is raised first, as far as that needs no privileges.

    Args:
        plans: The plans of a run, which run one after the other.
        ends: The ends of each connection in this process: 2 if the emulator is in it, else 1.

    Returns:
        The plans, and a warning if one was changed, else "".
    """
    wanted = max(
        (plan.options.concurrency for plan in plans if plan.options.mode is Mode.CONCURRENT),
        default=1,
    )
    kept = _count_open_files() + _SPARE_FILES
    needed = kept + ends * wanted
    limit = _raise_limit(needed)
    if limit is None or limit >= needed:
        return plans, ""
    allowed = max(1, (limit - kept) // ends)
    lowered = (
        replace(
            plan,
            options=replace(plan.options, concurrency=min(plan.options.concurrency, allowed)),
        )
        for plan in plans
    )
    return tuple(lowered), (
        f"`concurrency` is lowered from {wanted} to {allowed}: {wanted} needs {needed} open files, "
        f"and this process may have {limit}; raise the limit with `ulimit -n {needed}` in the "
        f"shell, or `LimitNOFILE={needed}` for a service"
    )


def _count_open_files() -> int:
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 -- no paths are needed
    except OSError:
        return _FILES_UNKNOWN


def _raise_limit(needed: int) -> int | None:
    """Raise the limit of open files if it is lower; return it, or None if there is none."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 -- Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in range(needed):
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):  # some systems have a lower limit of their own
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
