"""Run plans: clients, the executor and the fingerprint of a run put together."""

import asyncio
import json
import os
import secrets
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
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from wps_run.actions.request import API_VERSION
from wps_run.actions.table import ACTIONS
from wps_run.checking import relative_name
from wps_run.connect.endpoint import Endpoint
from wps_run.execution.executor import Executor
from wps_run.execution.limits import ConcurrencyLimiter, Wait
from wps_run.execution.result import (
    Result,
    SkipReason,
    Status,
)
from wps_run.execution.scheduler import BATCH
from wps_run.execution.stop import Stop
from wps_run.journal.fingerprint import (
    ACTIONS_PART,
    ENDPOINT_PART,
    ROWS_PART,
    SELECTION_PART,
    SHARD_PART,
    actions_content,
    fingerprint,
    shared_salt,
)
from wps_run.journal.recorder import RunRecorder
from wps_run.planning import Plan
from wps_run.playbook.files import Files, open_input
from wps_run.playbook.options import Mode
from wps_run.problems import SettingsError, UsageError
from wps_run.reading import endpoint_of, load_tls, open_client, used_values
from wps_run.redaction import NO_SECRETS
from wps_run.state.read_back import Doubts
from wps_run.state.reader import StateReader, StateSource

if TYPE_CHECKING:
    from wps_run.emulator.seed import SeedClient
    from wps_run.rehearsal import Rehearsal


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


async def run(
    plans: Sequence[Plan],
    endpoint: Callable[[Plan], Endpoint] = endpoint_of,
    stop: Stop | None = None,
    *,
    ca_bundle: str | None = None,
    recorder: RunRecorder | None = None,
) -> AsyncGenerator[Result]:
    """Run plans, one after the other, and yield a result for every action as it ends.

    An `ok` means accepted by the service, not delivered. What is in `finally` runs at the end, also
    after an error. Arguments and errors: `run_batches`.
    """
    stop, started = stop or Stop(), time.monotonic()
    failures: list[Exception] = []
    for final in (False, True):
        batches = run_batches(
            plans,
            endpoint,
            stop,
            ca_bundle=ca_bundle,
            recorder=recorder,
            final=final,
            started=started,
        )
        try:
            async with aclosing(batches):
                async for batch in batches:
                    for result in batch:
                        yield result
        except (SettingsError, UsageError):  # nothing was sent
            raise
        except Exception as error:  # noqa: BLE001 -- raised at the end
            failures.append(error)
    if failures:
        raise failures[0]


async def run_batches(  # noqa: PLR0913 -- by name, each with a default
    plans: Sequence[Plan],
    endpoint: Callable[[Plan], Endpoint] = endpoint_of,
    stop: Stop | None = None,
    *,
    ca_bundle: str | None = None,
    recorder: RunRecorder | None = None,
    final: bool = False,
    started: float | None = None,
    on_plan: Callable[[ConcurrencyLimiter], object] | None = None,
    on_wait: Callable[[Wait], object] | None = None,
) -> AsyncGenerator[Sequence[Result]]:
    """Run plans and yield results in batches, which costs less than single results.

    Args:
        plans: What `wps_run.planning.plan` returned: all plans of the run.
        endpoint: Gives the endpoint of a plan; called for all plans before anything is sent.
        stop: Ends the run early on request.
        ca_bundle: A file of certificates to trust besides the system's, or None.
        recorder: Records the run, and has the results of an earlier part.
        final: Whether only the final plans run, else only the others.
        started: When this part of the run began, on the monotonic clock; None for now.
        on_plan: Called when a plan starts, with its concurrency limit, for a progress display.
        on_wait: Called at the beginning of a wait that the service requests.

    Raises:
        SettingsError: An endpoint is missing or cannot be used. Nothing was sent.
        Exception: What ended the run, after a result for every action.
    """
    _require_live(plans)
    tls = load_tls(ca_bundle) if ca_bundle else None
    stop, recorder = stop or Stop(), recorder or RunRecorder()
    on_plan = on_plan or (lambda _: None)
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
        clients = [open_client(plan, endpoint(plan), tls) for plan in running]
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
                on_wait=on_wait,
            )
            on_plan(executor.limiter)
            source = StateReader(client, plan.hub, plan.options, on_wait=on_wait)
            same_hub = [
                other
                for other in plans
                if other.number >= plan.number and other.hub.lower() == plan.hub.lower()
            ]
            settle = partial(
                _settle, source=source, stop=stop_plan, recorder=recorder, plans=same_hub
            )
            batches = _run_plan(plan, executor, recorder, settle, failures)
            async with _expiry(None if final else plan.options.not_after, stop), aclosing(batches):
                async for results in batches:
                    yield results
            await client.close()  # the connections of the next plan need its descriptors
    if failures:
        raise failures[0]


async def _run_plan(
    plan: Plan,
    executor: Executor,
    recorder: RunRecorder,
    settle: Callable[[Doubts], Awaitable[Sequence[Result]]],
    failures: list[Exception],
) -> AsyncGenerator[Sequence[Result]]:
    """Yield the results of one plan; what ended it early is appended to `failures`."""
    doubts = Doubts()
    earlier = recorder.earlier_results(plan.steps())
    while batch := tuple(islice(earlier, BATCH)):
        yield doubts.hold(batch)
    yield await settle(doubts)  # before a step starts that conflicts with one of them
    left_out = recorder.left_out(plan.steps)
    while batch := tuple(islice(left_out, BATCH)):
        yield batch
    for steps in recorder.steps_to_run(plan.steps):
        async with aclosing(executor.run(steps)) as batches:
            try:
                async for results in batches:
                    yield doubts.hold(results)
            except Exception as error:  # noqa: BLE001 -- raised after a result for every action
                failures.append(error)
    yield await settle(doubts)


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
    reading = asyncio.create_task(doubts.settle(source))
    interruption = asyncio.create_task(stop.interrupted.wait())
    try:
        await asyncio.wait((reading, interruption), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            reading.result()
    finally:
        for task in (reading, interruption):
            task.cancel()
        await asyncio.gather(reading, interruption, return_exceptions=True)
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


def has_expired(moment: float | None) -> bool:
    """Whether a moment, in seconds since 1970, has passed; never if it is None."""
    return moment is not None and time.time() >= moment


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
"""The open files that are kept for all but connections: the event loop, the journal, files of rows,
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


def new_salt(plans: Sequence[Plan]) -> str:
    """Return a salt for a new journal; the shards of one plan share theirs."""
    if any(plan.shard for plan in plans):
        return shared_salt(part.document.text for plan in plans for part in plan.playbook.parts)
    return secrets.token_hex(16)


def playbook_part(plan: Plan) -> str:
    """Return the name of a playbook in the fingerprint of its run."""
    # Only the file name: from another folder it is the same playbook.
    file = Path(plan.playbook.document.file).name
    return f"the playbook {file}" + (f" (number {plan.number + 1})" if plan.number else "")


def fingerprint_of(plans: Sequence[Plan], endpoints: Sequence[str], salt: str) -> dict[str, str]:
    """Return the digests of all that a run consists of, each under the name that messages use.

    Args:
        plans: The plans of the run, whose files were read at least once.
        endpoints: Host and port to which the actions of each plan are sent.
        salt: The salt of the journal.
    """
    parts: dict[str, str | Iterable[bytes]] = {
        ACTIONS_PART: actions_content(ACTIONS.values(), API_VERSION),
        **_carried_out(plans),
    }
    for plan, endpoint in zip(plans, endpoints, strict=True):
        playbook = playbook_part(plan)
        if plan.is_final:  # all else is of its playbook
            if plan.live_groups:
                parts[f"{ROWS_PART}`finally` of {playbook}"] = _live_rows(plan)
            continue
        parts[playbook] = plan.playbook.document.text
        parts[f"the hub of {playbook}"] = plan.hub.lower()
        parts[ENDPOINT_PART + playbook] = endpoint
        for name, value in used_values(plan).items():
            content = value if isinstance(value, str) else value.digest_pieces()
            parts[f"the variable {name} of {playbook}"] = content
        if plan.live_groups:
            parts[ROWS_PART + playbook] = _live_rows(plan)
        parts |= _file_parts(plan, playbook)
    return fingerprint(salt, parts)


def _file_parts(plan: Plan, playbook: str) -> dict[str, str | Iterable[bytes]]:
    """Return the content of the files that a playbook includes or names, under their names."""
    contents: dict[str, str | Iterable[bytes]] = {}
    for part in plan.playbook.parts:
        owner = playbook
        if part.include:
            owner = f"the included file {relative_name(part, plan.playbook)} of {playbook}"
            contents[owner] = part.document.text
        inputs = plan.scope.of(part).inputs
        for name, path in inputs.paths.items() if isinstance(inputs, Files) else ():
            contents[f"the file {name} of {owner}"] = _chunks(path)
    return contents


def _carried_out(plans: Sequence[Plan]) -> dict[str, str]:
    """Return which part of the plans is carried out, for a digest; nothing for all of it."""
    parts: dict[str, str] = {}
    for plan in plans[:1]:  # it is the same for all of them
        if plan.shard:
            parts[SHARD_PART] = str(plan.shard)
        if plan.selection:
            parts[SELECTION_PART] = plan.selection.content
    return parts


def _live_rows(plan: Plan) -> Iterator[bytes]:
    """Yield the connections in the live groups of a plan, for a digest."""
    for group in plan.live_groups:
        yield b"group\n"
        for connection in (plan.scope.live or {}).get(group, ()):
            yield json.dumps(connection).encode() + b"\n"


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, a mebibyte at a time."""
    with open_input(path) as file:
        while chunk := file.read(1024 * 1024):
            yield chunk
