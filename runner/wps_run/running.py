"""Run plans: endpoints, clients and the executor put together."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from itertools import islice
from typing import TYPE_CHECKING

from wps_run.connect.client import Client, load_ca_bundle
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.settings import resolve_endpoint
from wps_run.execution.executor import Executor
from wps_run.execution.limits import ConcurrencyLimiter
from wps_run.execution.result import Result
from wps_run.execution.scheduler import BATCH
from wps_run.execution.stop import Stop
from wps_run.journal.recorder import RunRecorder
from wps_run.planning import Plan

if TYPE_CHECKING:
    from wps_run.rehearsal import Rehearsal


def endpoint_of(plan: Plan, via: str | None = None) -> "Endpoint":
    """Where a plan's actions go, by the setting that it names.

    Args:
        plan: The plan.
        via: The URL of a reverse proxy that they are sent to instead, or None.

    Raises:
        SettingsError: The setting is missing, or it or `via` cannot be used.
    """
    endpoint = resolve_endpoint(plan.connection, plan.scope.environment or {})
    return endpoint.behind(via) if via else endpoint


def rehearsal(
    plans: Sequence[Plan],
    *,
    faults: Sequence[str] = (),
    fault_seed: int | None = None,
    absent: Mapping[str, float | None] | None = None,
) -> "Rehearsal":
    """A fresh embedded service, with a simulated client for everybody whom the plans name.

    The arguments are those of `wps_run.rehearsal.Rehearsal`, and so are the errors.
    """
    from wps_run.rehearsal import Rehearsal  # noqa: PLC0415 -- a real run needs no emulator

    steps = ((one.hub, one.steps()) for one in plans)
    return Rehearsal(steps, faults=faults, fault_seed=fault_seed, absent=absent)


async def run(
    plans: Sequence[Plan],
    endpoint: "Callable[[Plan], Endpoint]" = endpoint_of,
    stop: "Stop | None" = None,
    *,
    ca_bundle: str | None = None,
    kept: "RunRecorder | None" = None,
) -> "AsyncGenerator[Result]":
    """Carry plans out, one after the other, and yield a result for every action.

    Results come as actions end, each action's once. An `ok` means accepted by the service,
    not delivered.

    The arguments are those of `batches`, and so are the errors.
    """
    told = batches(plans, endpoint, stop, ca_bundle=ca_bundle, kept=kept)
    async with aclosing(told):
        async for batch in told:
            for result in batch:
                yield result


async def batches(  # noqa: PLR0913 -- by name, each with a default
    plans: Sequence[Plan],
    endpoint: "Callable[[Plan], Endpoint]" = endpoint_of,
    stop: "Stop | None" = None,
    *,
    ca_bundle: str | None = None,
    kept: "RunRecorder | None" = None,
    watch: "Callable[[ConcurrencyLimiter], object] | None" = None,
) -> "AsyncGenerator[Sequence[Result]]":
    """The same by as many results at a time as there are, which costs less than one by one.

    Args:
        plans: What `plan` made.
        endpoint: Where each plan's actions go; asked for all of them before anything is sent.
        stop: Ends the run early when asked to.
        ca_bundle: A file of certificates to trust besides the system's, or None.
        kept: Where the run is kept, and what an earlier part of it has done.
        watch: Handed the throttle of each plan as it begins: how many requests are in flight, and
            until when all wait. To look at, not to change.

    Raises:
        SettingsError: An endpoint is missing or cannot be used. Nothing was sent.
    """
    tls = load_ca_bundle(ca_bundle) if ca_bundle else None
    # All clients first: a key, identity or proxy that cannot be used is found before anything
    # is sent.
    jobs = [
        (one, Client(endpoint(one), concurrency=one.options.concurrency, tls=tls)) for one in plans
    ]
    stop, kept = stop or Stop(), kept or RunRecorder()
    epoch = time.monotonic() - kept.elapsed
    broken: Exception | None = None
    async with AsyncExitStack() as opened:
        for _, client in jobs:
            await opened.enter_async_context(client)
        for one, client in jobs:
            settled = kept.settled(one.steps())
            while told := tuple(islice(settled, BATCH)):
                yield told
            executor = Executor(client, one.options, stop, epoch=epoch, ledger=kept)
            if watch:
                watch(executor.throttle)
            results = executor.run(kept.left(one.steps()))
            async with aclosing(results):
                try:
                    async for batch in results:
                        yield batch
                except Exception as error:  # noqa: BLE001 -- first a result for all that is left
                    broken = broken or error
    if broken is not None:
        raise broken
