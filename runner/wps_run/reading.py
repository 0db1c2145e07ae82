"""Read the live state: the rows of plans, what steps would change, and what is expected."""

import asyncio
import ssl
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    asynccontextmanager,
)
from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs

from wps_run import input_limits
from wps_run.actions.fields import NAME_LIMIT, PERMISSION
from wps_run.actions.names import name_error
from wps_run.connect.client import Client, load_ca_bundle
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.settings import resolve_endpoint
from wps_run.execution.limits import Wait
from wps_run.execution.result import (
    ExpectationResult,
    Status,
    milliseconds,
)
from wps_run.execution.stop import Stop
from wps_run.input_limits import LIVE_CONNECTIONS
from wps_run.journal.resume import Resumption
from wps_run.planning import Plan, used_values
from wps_run.playbook.expectations import Expectation
from wps_run.playbook.files import read_input
from wps_run.playbook.live import LiveConnection, LiveGroups
from wps_run.playbook.options import RunOptions
from wps_run.playbook.rows import InputError
from wps_run.playbook.steps import Step, StepBlock
from wps_run.problems import SettingsError, UsageError, did_you_mean
from wps_run.redaction import NO_SECRETS, Secrets
from wps_run.report.values import CUT_AT, value_text
from wps_run.state.changes import Compared, LiveState, Verdict, compare
from wps_run.state.expectations import INTERRUPTED, check_expectation, result_of
from wps_run.state.reader import ReadError, StateReader, StateSource
from wps_run.text import escape_invisible, truncate_middle

if TYPE_CHECKING:
    from wps_run.emulator.seed import SeedClient
    from wps_run.rehearsal import SimulatedState


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


OpenClient = Callable[[Plan], Client]
"""Makes the client of a plan, to be opened as a context manager."""


def new_clients(
    endpoint: Callable[[Plan], Endpoint] = endpoint_of, *, ca_bundle: str | None = None
) -> OpenClient:
    """Return the function that makes a client of its own for each plan.

    Args:
        endpoint: Gives the endpoint of a plan.
        ca_bundle: A file of certificates to trust in addition to the system's, or None.

    Raises:
        SettingsError: The file cannot be used. What the function returns raises the errors of
            `Client`.
    """
    tls = load_tls(ca_bundle) if ca_bundle else None

    def open_client(plan: Plan) -> Client:
        return Client(
            endpoint(plan),
            concurrency=plan.options.concurrency,
            tls=tls,
            secrets=plan.scope.secrets,
            variables=masked_variables(plan),
        )

    return open_client


def masked_variables(plan: Plan) -> list[str]:
    """Return the values of variables that errors of the service must not repeat."""
    return [value for value in used_values(plan).values() if isinstance(value, str)]


async def read_live(
    plans: Sequence[Plan],
    open_client: OpenClient,
    *,
    on_wait: Callable[[Wait], object] | None = None,
) -> tuple[LiveGroups, ...]:
    """Read the live groups that the rows of plans come from, each group of a hub once.

    Args:
        plans: What `wps_run.planning.plan` returned without them.
        open_client: Makes the client of a plan.
        on_wait: Called at the beginning of a wait that the service requests.

    Returns:
        The groups of each plan, for another call of `plan`.

    Raises:
        SettingsError: An endpoint is missing or cannot be used.
        ReadError: A group cannot be read, or there are too many connections.
    """
    clients = [open_client(plan) for plan in plans]
    readers: dict[tuple[Endpoint, str], StateReader] = {}
    members: dict[tuple[Endpoint, str, str], tuple[LiveConnection, ...]] = {}

    async def read(reader: StateReader, key: tuple[Endpoint, str, str]) -> None:
        members[key] = await reader.members(key[-1])
        if sum(map(len, members.values())) > LIVE_CONNECTIONS.value:
            raise ReadError("too-many", f"the groups of the run, together, {_TOO_MANY_LIVE}")

    try:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            for plan, client in zip(plans, clients, strict=True):
                hub = (client.endpoint, plan.hub.lower())
                if plan.live_groups and hub not in readers:
                    await stack.enter_async_context(client)
                    readers[hub] = StateReader(client, plan.hub, plan.options, on_wait=on_wait)
                for group in plan.live_groups:
                    if (key := (*hub, group)) not in members:
                        members[key] = ()
                        tasks.create_task(read(readers[hub], key))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tuple(
        {group: members[client.endpoint, plan.hub.lower(), group] for group in plan.live_groups}
        for plan, client in zip(plans, clients, strict=True)
    )


OpenSource = Callable[[Plan], AbstractAsyncContextManager[StateSource]]
"""Opens what answers about the hub of a plan."""


def service_source(
    open_client: OpenClient, *, on_wait: Callable[[Wait], object] | None = None
) -> OpenSource:
    """Return the function that opens a reader of the service.

    Args:
        open_client: Makes the client of a plan.
        on_wait: Called at the beginning of a wait that the service requests.
    """

    @asynccontextmanager
    async def open_source(plan: Plan) -> AsyncIterator[StateSource]:
        async with open_client(plan) as client:
            yield StateReader(client, plan.hub, plan.options, on_wait=on_wait)

    return open_source


async def compare_plans(
    plans: Sequence[Plan],
    open_source: OpenSource,
    resumption: Resumption | None = None,
    *,
    steps_of: Callable[[Plan], Iterable[Step | StepBlock]] = Plan.step_blocks,
) -> AsyncGenerator[tuple[Plan, Compared]]:
    """Compare the steps of plans with the live state, as earlier steps leave it.

    Args:
        plans: The plans of a run, with the live groups that they need.
        open_source: Opens what answers about the hub of a plan.
        resumption: What an earlier part of the run has done; only what is left is compared.
        steps_of: Gives the steps of a plan: `Plan.steps` to compare each, or with blocks.

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
        steps = steps_of(plan)
        if resumption:
            steps = (step for step in plan.steps() if resumption.runs(step))
        async with open_source(plan) as source:
            async for compared in compare(steps, source, state):
                yield plan, compared


async def find_in_place(
    plans: Sequence[Plan], open_source: OpenSource, resumption: Resumption | None = None
) -> bytes:
    """Return a byte for each step by its index: 1 if it need not run, as it would change nothing.

    One that an earlier part of the run has tried runs again, which says how it ended. What is in
    `finally` runs, too: what it finds depends on how the others end. Arguments and errors are
    those of `compare_plans`.
    """
    in_place = bytearray(max((plan.first + plan.plan_total for plan in plans), default=0))
    others = [plan for plan in plans if not plan.is_final]
    async with aclosing(compare_plans(others, open_source, resumption)) as blocks:
        async for _, (changes, block) in blocks:
            in_place[block.start : block.stop] = b"\1" * len(block)
            for step, verdict, _ in changes:
                in_place[step.index] = verdict is Verdict.IN_PLACE and not (
                    resumption and resumption.was_tried(step)
                )
    return bytes(in_place)


_TOO_MANY_LIVE = f"have more than {LIVE_CONNECTIONS.shown}; {LIVE_CONNECTIONS.remedy}"


async def check_expectations(
    plans: Sequence[Plan],
    open_source: OpenSource,
    stop: Stop,
    *,
    rehearsed: "Callable[[Plan], SimulatedState] | None" = None,
) -> AsyncGenerator[tuple[Expectation, ExpectationResult]]:
    """Check the expectations of plans, after their actions, and yield a result for each in order.

    Args:
        plans: The plans.
        open_source: Opens a reader of the service.
        stop: After an interrupt, the remaining expectations are skipped.
        rehearsed: Gives the state after a rehearsal; None to read from the service.

    Raises:
        SettingsError: An endpoint is missing or cannot be used.
    """
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
        ca_bundle: A file of certificates to trust in addition to the system's, or None.
        secrets: Values to mask in logs and errors.
        on_wait: Called at the beginning of a wait that the service requests.

    Raises:
        SettingsError: The endpoint cannot be used.
    """
    tls = load_tls(ca_bundle) if ca_bundle else None
    async with Client(
        endpoint, concurrency=options.concurrency, tls=tls, secrets=secrets
    ) as client:
        yield StateReader(client, hub, options, on_wait=on_wait)


def load_tls(ca_bundle: str) -> ssl.SSLContext:
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


def check_name(kind: str, name: str, ask: Callable[[str], str] | None = None) -> None:
    """Refuse a name of a user, connection or group that cannot be asked for.

    Args:
        kind: What it names.
        name: The name.
        ask: Returns the command or call that asks for a name in a path; None for a name that is
            not in a path.

    Raises:
        UsageError: No client can have the name, or the service would read another one.
    """
    shown = f"the {kind} `{truncate_middle(escape_invisible(name), CUT_AT)}`"
    if error := name_error(name, NAME_LIMIT if kind == "group" else None):
        raise UsageError(f"{shown} {error}")
    if ask and "/" in name:
        call = ask(name.replace("/", "%2F"))
        raise UsageError(
            f"{shown} has a `/`: the service cannot be asked for it, since it reads a `/` in a "
            f"path as `%2F`; `{call}` asks for the name that actions with "
            "`slashInNames: allow` use in its place"
        )


def check_permission(permission: str) -> None:
    """Refuse what is no permission.

    Raises:
        UsageError: It is none.
    """
    if permission not in PERMISSION.choices:
        known = " or ".join(f"`{name}`" for name in PERMISSION.choices)
        near = did_you_mean(permission, PERMISSION.choices)
        raise UsageError(f"the permission {value_text(permission)} must be {known}{near}")
