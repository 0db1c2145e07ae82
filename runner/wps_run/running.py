"""Run plans: endpoints, clients, the executor and the fingerprint of a run put together."""

import asyncio
import json
import os
import secrets
import ssl
import sys
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
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

from msgspec import structs

from wps_run import input_limits
from wps_run.actions.request import API_VERSION
from wps_run.actions.table import ACTIONS
from wps_run.connect.client import Client, load_ca_bundle
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.settings import resolve_endpoint
from wps_run.execution.executor import Executor
from wps_run.execution.limits import ConcurrencyLimiter, Wait
from wps_run.execution.result import (
    ExpectationResult,
    Result,
    Status,
    milliseconds,
)
from wps_run.execution.scheduler import BATCH
from wps_run.execution.stop import Stop
from wps_run.input_limits import LIVE_CONNECTIONS
from wps_run.journal.fingerprint import (
    ACTIONS_PART,
    SHARD_PART,
    actions_content,
    fingerprint,
    shared_salt,
)
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.resume import Resumption
from wps_run.planning import Plan
from wps_run.playbook.expectations import Expectation
from wps_run.playbook.files import Files, open_input, read_input
from wps_run.playbook.lint import used_variables
from wps_run.playbook.live import LiveConnection, LiveGroups
from wps_run.playbook.options import Mode, RunOptions
from wps_run.playbook.rows import InputError
from wps_run.playbook.variables import VariableValue
from wps_run.problems import SettingsError, UsageError
from wps_run.redaction import NO_SECRETS, Secrets
from wps_run.state.changes import LiveState, StepChange, Verdict, compare
from wps_run.state.expectations import INTERRUPTED, check_expectation, result_of
from wps_run.state.read_back import Doubts
from wps_run.state.reader import ReadError, StateReader, StateSource

if TYPE_CHECKING:
    from wps_run.emulator.seed import SeedClient
    from wps_run.rehearsal import Rehearsal, SimulatedState


def endpoint_of(
    plan: Plan, via: str | None = None, headers: Iterable[tuple[str, str]] = ()
) -> Endpoint:
    """Return where the actions of a plan are sent, from the setting that the plan names.

    Args:
        plan: The plan.
        via: The URL of a reverse proxy that receives them instead, or None.
        headers: Names of headers for a gateway, and of the settings with their values.

    Raises:
        SettingsError: A setting is missing, or it or `via` cannot be used.
    """
    return resolve_endpoint(plan.connection, plan.scope.environment or {}, via, headers)


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


def simulated_live(
    plans: Sequence[Plan],
    *,
    seed: "Sequence[SeedClient] | None" = None,
    absent: Collection[str] = (),
) -> tuple[LiveGroups, ...]:
    """Return the live groups of a rehearsal, as `read_live` does for the service.

    Args:
        plans: What `wps_run.planning.plan` returned without them.
        seed: The clients of the rehearsal; without a seed, the groups are empty.
        absent: Users and connections that are not connected at the start.

    Raises:
        UsageError: Two clients of the seed have the same connection ID.
    """
    from wps_run.rehearsal import seeded_clients, seeded_groups  # noqa: PLC0415 -- as `rehearsal`

    return tuple(
        seeded_groups(seeded_clients(seed or (), plan.hub, absent), plan.live_groups)
        for plan in plans
    )


async def read_live(
    plans: Sequence[Plan],
    endpoint: Callable[[Plan], Endpoint] = endpoint_of,
    *,
    ca_bundle: str | None = None,
    on_wait: Callable[[Wait], object] | None = None,
) -> tuple[LiveGroups, ...]:
    """Read the live groups that the rows of plans come from, each group of a hub once.

    Args:
        plans: What `wps_run.planning.plan` returned without them.
        endpoint: Gives the endpoint of a plan.
        ca_bundle: A file of certificates to trust besides the system's, or None.
        on_wait: Called at the beginning of a wait that the service requests.

    Returns:
        The groups of each plan, for another call of `plan`.

    Raises:
        SettingsError: An endpoint is missing or cannot be used.
        ReadError: A group cannot be read, or there are too many connections.
    """
    tls = _load_tls(ca_bundle) if ca_bundle else None
    endpoints = [endpoint(plan) for plan in plans]
    readers: dict[tuple[Endpoint, str], StateReader] = {}
    members: dict[tuple[Endpoint, str, str], tuple[LiveConnection, ...]] = {}

    async def read(reader: StateReader, key: tuple[Endpoint, str, str]) -> None:
        members[key] = await reader.members(key[-1])
        if sum(map(len, members.values())) > LIVE_CONNECTIONS.value:
            raise ReadError("too-many", f"the groups of the run, together, {_TOO_MANY_LIVE}")

    try:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            for plan, where in zip(plans, endpoints, strict=True):
                hub = (where, plan.hub.lower())
                if plan.live_groups and hub not in readers:
                    client = await stack.enter_async_context(_client(plan, where, tls))
                    readers[hub] = StateReader(client, plan.hub, plan.options, on_wait=on_wait)
                for group in plan.live_groups:
                    if (key := (*hub, group)) not in members:
                        members[key] = ()
                        tasks.create_task(read(readers[hub], key))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tuple(
        {group: members[where, plan.hub.lower(), group] for group in plan.live_groups}
        for plan, where in zip(plans, endpoints, strict=True)
    )


OpenSource = Callable[[Plan], AbstractAsyncContextManager[StateSource]]
"""Opens what answers about the hub of a plan."""


def service_source(
    endpoint: Callable[[Plan], Endpoint] = endpoint_of,
    *,
    ca_bundle: str | None = None,
    on_wait: Callable[[Wait], object] | None = None,
) -> OpenSource:
    """Return the function that opens a reader of the service.

    Args:
        endpoint: Gives the endpoint of a plan.
        ca_bundle: A file of certificates to trust besides the system's, or None.
        on_wait: Called at the beginning of a wait that the service requests.

    Raises:
        SettingsError: The file of certificates cannot be used.
    """
    tls = _load_tls(ca_bundle) if ca_bundle else None

    @asynccontextmanager
    async def open_source(plan: Plan) -> AsyncIterator[StateSource]:
        async with _client(plan, endpoint(plan), tls) as client:
            yield StateReader(client, plan.hub, plan.options, on_wait=on_wait)

    return open_source


async def compare_plans(
    plans: Sequence[Plan], open_source: OpenSource, resumption: Resumption | None = None
) -> AsyncGenerator[tuple[Plan, Sequence[StepChange]]]:
    """Compare the steps of plans with the live state, as earlier steps leave it.

    Args:
        plans: The plans of a run, with the live groups that they need.
        open_source: Opens what answers about the hub of a plan.
        resumption: What an earlier part of the run has done; only what is left is compared.

    Yields:
        A plan and what some of its steps would change, in order.

    Raises:
        ReadError: Something cannot be read.
        SettingsError: An endpoint is missing or cannot be used.
    """
    states: dict[str, LiveState] = {}
    for plan in plans:
        state = states.setdefault(plan.hub_key, LiveState())
        if not resumption:  # else they were read for an earlier part of the run
            state.add_groups(plan.scope.live or {})
        async with open_source(plan) as source:
            steps = plan.steps()
            if resumption:
                steps = filter(resumption.runs, steps)
            async for changes in compare(steps, source, state):
                yield plan, changes


async def find_in_place(
    plans: Sequence[Plan], open_source: OpenSource, resumption: Resumption | None = None
) -> bytes:
    """Return a byte for each step by its index: 1 if it need not run, as it would change nothing.

    One that an earlier part of the run has tried runs again, which says how it ended. Arguments
    and errors are those of `compare_plans`.
    """
    in_place = bytearray(max((plan.first + plan.plan_total for plan in plans), default=0))
    async with aclosing(compare_plans(plans, open_source, resumption)) as blocks:
        async for _, changes in blocks:
            for step, verdict, _ in changes:
                if verdict is Verdict.IN_PLACE:
                    in_place[step.index] = not (resumption and resumption.was_tried(step))
    return bytes(in_place)


_TOO_MANY_LIVE = f"have more than {LIVE_CONNECTIONS.shown}; {LIVE_CONNECTIONS.remedy}"


async def run(
    plans: Sequence[Plan],
    endpoint: Callable[[Plan], Endpoint] = endpoint_of,
    stop: Stop | None = None,
    *,
    ca_bundle: str | None = None,
    recorder: RunRecorder | None = None,
) -> AsyncGenerator[Result]:
    """Run plans, one after the other, and yield a result for every action as it ends.

    An `ok` means accepted by the service, not delivered. Arguments and errors: `run_batches`.
    """
    batches = run_batches(plans, endpoint, stop, ca_bundle=ca_bundle, recorder=recorder)
    async with aclosing(batches):
        async for batch in batches:
            for result in batch:
                yield result


async def run_batches(  # noqa: PLR0913 -- by name, each with a default
    plans: Sequence[Plan],
    endpoint: Callable[[Plan], Endpoint] = endpoint_of,
    stop: Stop | None = None,
    *,
    ca_bundle: str | None = None,
    recorder: RunRecorder | None = None,
    on_plan: Callable[[ConcurrencyLimiter], object] | None = None,
    on_wait: Callable[[Wait], object] | None = None,
) -> AsyncGenerator[Sequence[Result]]:
    """Run plans and yield results in batches, which costs less than single results.

    Args:
        plans: What `wps_run.planning.plan` returned.
        endpoint: Gives the endpoint of a plan; called for all plans before anything is sent.
        stop: Ends the run early on request.
        ca_bundle: A file of certificates to trust besides the system's, or None.
        recorder: Records the run, and has the results of an earlier part.
        on_plan: Called when a plan starts, with its concurrency limit, for a progress display.
        on_wait: Called at the beginning of a wait that the service requests.

    Raises:
        SettingsError: An endpoint is missing or cannot be used. Nothing was sent.
        Exception: What ended the run, after a result for every action.
    """
    _require_live(plans)
    tls = _load_tls(ca_bundle) if ca_bundle else None
    stop, recorder = stop or Stop(), recorder or RunRecorder()
    on_plan = on_plan or (lambda _: None)
    epoch = time.monotonic() - recorder.elapsed
    failures: list[Exception] = []
    async with AsyncExitStack() as stack:
        # All clients first: an unusable key, identity or proxy shows before anything is sent.
        clients = [_client(plan, endpoint(plan), tls) for plan in plans]
        for client in clients:
            await stack.enter_async_context(client)
        for plan, client in zip(plans, clients, strict=True):
            executor = Executor(
                client, plan.options, stop, epoch=epoch, recorder=recorder, on_wait=on_wait
            )
            on_plan(executor.limiter)
            source = StateReader(client, plan.hub, plan.options, on_wait=on_wait)
            later = [
                other for other in plans[plan.number + 1 :] if other.hub.lower() == plan.hub.lower()
            ]
            settle = partial(_settle, source=source, stop=stop, recorder=recorder, later=later)
            async with aclosing(_run_plan(plan, executor, recorder, settle, failures)) as batches:
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
    later: Iterable[Plan],
) -> Sequence[Result]:
    """Read back and record what is in doubt. An interrupt leaves the rest in doubt.

    `later` are the plans that run in the same hub after the one of the doubts.
    """
    if not doubts:
        return ()
    if recorder.resumption:
        for plan in later:
            doubts.mark_started(recorder.resumption.earlier_results(plan.steps()))
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
    return recorder.record_settled(doubts.release())


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


def _client(plan: Plan, endpoint: Endpoint, tls: ssl.SSLContext | None) -> Client:
    return Client(
        endpoint,
        concurrency=plan.options.concurrency,
        tls=tls,
        secrets=plan.scope.secrets,
        variables=[value for value in _used_values(plan).values() if isinstance(value, str)],
    )


async def check_expectations(  # noqa: PLR0913 -- by name, each with a default
    plans: Sequence[Plan],
    endpoint: Callable[[Plan], Endpoint],
    stop: Stop,
    *,
    ca_bundle: str | None = None,
    rehearsed: "Callable[[Plan], SimulatedState] | None" = None,
    on_wait: Callable[[Wait], object] | None = None,
) -> AsyncGenerator[tuple[Expectation, ExpectationResult]]:
    """Check the expectations of plans, after their actions, and yield a result for each in order.

    Args:
        plans: The plans.
        endpoint: Gives the endpoint of a plan.
        stop: After an interrupt, the remaining expectations are skipped.
        ca_bundle: A file of certificates to trust besides the system's, or None.
        rehearsed: Gives the state after a rehearsal; None to read from the service.
        on_wait: Called at the beginning of a wait that the service requests.

    Raises:
        SettingsError: An endpoint is missing or cannot be used.
    """
    open_source = service_source(endpoint, ca_bundle=ca_bundle, on_wait=on_wait)
    for plan in plans:
        if not plan.expectations:
            continue
        async with AsyncExitStack() as stack:
            if rehearsed:
                simulated = rehearsed(plan)
                checking = partial(check_expectation, state=simulated, effects=simulated)
            else:
                source = await stack.enter_async_context(open_source(plan))
                checking = partial(check_expectation, state=source, effects=None)
            checks = _check_all(plan, partial(checking, mask=plan.scope.secrets.mask), stop)
            async with aclosing(checks):
                async for checked in checks:
                    yield checked


_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
"""Seconds between the first two checks of `within`; pauses double up to the longest."""

_Check = Callable[[Expectation], Awaitable[ExpectationResult]]


async def _check_all(
    plan: Plan, check: _Check, stop: Stop
) -> AsyncGenerator[tuple[Expectation, ExpectationResult]]:
    """Check the expectations of a plan side by side; yield the results in order.

    After an interrupt nothing more is read.
    """
    slots = asyncio.Semaphore(plan.options.concurrency)
    interrupted = asyncio.create_task(stop.interrupted.wait())
    tasks = [asyncio.create_task(_check(each, check, slots)) for each in plan.expectations]
    try:
        for expectation, task in zip(plan.expectations, tasks, strict=True):
            if not stop.interrupted.is_set():
                await asyncio.wait({task, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            if stop.interrupted.is_set():
                for unfinished in tasks:
                    unfinished.cancel()
            if task.done() and not task.cancelled():
                yield expectation, task.result()
            else:
                yield expectation, result_of(expectation, Status.SKIPPED, INTERRUPTED)
    finally:
        for pending in (interrupted, *tasks):
            pending.cancel()
        await asyncio.gather(interrupted, *tasks, return_exceptions=True)


async def _check(
    expectation: Expectation, check: _Check, slots: asyncio.Semaphore
) -> ExpectationResult:
    """Check one expectation, again and again until it holds or its time is over."""
    started, pause = time.monotonic(), _FIRST_PAUSE
    while True:
        async with slots:
            result = await check(expectation)
        elapsed = time.monotonic() - started
        remaining = expectation.within - elapsed
        if result.status in {Status.OK, Status.SKIPPED} or remaining <= 0:
            return structs.replace(result, duration_ms=milliseconds(elapsed))
        await asyncio.sleep(min(pause, remaining))  # noqa: TID251 -- the pause of `within`
        pause = min(2 * pause, _LONGEST_PAUSE)


@asynccontextmanager
async def open_reader(  # noqa: PLR0913 -- by name, each with a default
    endpoint: Endpoint,
    hub: str,
    options: RunOptions,
    *,
    ca_bundle: str | None = None,
    secrets: Secrets = NO_SECRETS,
    on_wait: Callable[[Wait], object] | None = None,
) -> AsyncIterator[StateReader]:
    """Open a reader of a hub.

    Args:
        endpoint: The service.
        hub: The hub.
        options: The retries, the timeout, the concurrency and the rate of reads.
        ca_bundle: A file of certificates to trust besides the system's, or None.
        secrets: Values to mask in logs and errors.
        on_wait: Called at the beginning of a wait that the service requests.

    Raises:
        SettingsError: The endpoint cannot be used.
    """
    tls = _load_tls(ca_bundle) if ca_bundle else None
    async with Client(
        endpoint, concurrency=options.concurrency, tls=tls, secrets=secrets
    ) as client:
        yield StateReader(client, hub, options, on_wait=on_wait)


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


def _load_tls(ca_bundle: str) -> ssl.SSLContext:
    """Return the TLS context that also trusts the certificates in a file.

    Raises:
        SettingsError: The file cannot be read, or contains no certificate.
    """
    try:
        raw = read_input(ca_bundle, input_limits.CERTIFICATES, may_be_pipe=True)
    except (OSError, ValueError, InputError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"cannot read the CA bundle `{ca_bundle}`: {reason}") from None
    return load_ca_bundle(ca_bundle, raw)


def new_salt(plans: Sequence[Plan]) -> str:
    """Return a salt for a new journal; the shards of one plan share theirs."""
    if any(plan.shard for plan in plans):
        return shared_salt(plan.playbook.document.text for plan in plans)
    return secrets.token_hex(16)


def fingerprint_of(plans: Sequence[Plan], endpoints: Sequence[str], salt: str) -> dict[str, str]:
    """Return the digests of all that a run consists of, each under the name that messages use.

    Args:
        plans: The plans of the run, whose files were read at least once.
        endpoints: Host and port to which the actions of each plan are sent.
        salt: The salt of the journal.
    """
    parts: dict[str, str | Iterable[bytes]] = {
        ACTIONS_PART: actions_content(ACTIONS.values(), API_VERSION)
    }
    shard = next((plan.shard for plan in plans), None)
    if shard:
        parts[SHARD_PART] = str(shard)
    for number, (plan, endpoint) in enumerate(zip(plans, endpoints, strict=True), start=1):
        # Only the file name: from another folder it is the same playbook.
        file = Path(plan.playbook.document.file).name
        playbook = f"the playbook {file}" + (f" (number {number})" if number > 1 else "")
        parts[playbook] = plan.playbook.document.text
        parts[f"the hub of {playbook}"] = plan.hub.lower()
        parts[f"the endpoint of {playbook}"] = endpoint
        for name, value in _used_values(plan).items():
            content = value if isinstance(value, str) else value.digest_pieces()
            parts[f"the variable {name} of {playbook}"] = content
        if plan.live_groups:
            parts[f"the rows file of {playbook}"] = _live_rows(plan)
        for name, path in _files_read(plan).items():
            parts[f"the file {name} of {playbook}"] = _chunks(path)
    return fingerprint(salt, parts)


def _used_values(plan: Plan) -> Mapping[str, VariableValue]:
    """Return the variables that the actions of a plan use, `env.NAME` included."""
    environment = {f"env.{name}": text for name, text in (plan.scope.environment or {}).items()}
    values: dict[str, VariableValue] = {**plan.scope.variables, **environment}
    return {name: values[name] for name in sorted(used_variables(plan.playbook)) if name in values}


def _files_read(plan: Plan) -> Mapping[str, Path]:
    return plan.scope.inputs.paths if isinstance(plan.scope.inputs, Files) else {}


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
