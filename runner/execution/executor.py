"""Steps to results: the one place where order, retry, pace and client meet an event loop."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Protocol

from runner.actions.wire import Outcome, Reply
from runner.connect.client import Client
from runner.execution.crew import BURST, Crew, Job
from runner.execution.faults import abandoned, skipped
from runner.execution.missing import follow, is_missing
from runner.execution.result import Result, Skip, Status
from runner.execution.retry import Again, Done, RetryPolicy, Trail, ending
from runner.execution.stop import Stop
from runner.execution.throttle import Throttle, is_throttling
from runner.playbook.options import Mode, RunOptions
from runner.playbook.step import Step


class Ledger(Protocol):
    """Remembers, by index, which actions may have left, even if this process is killed."""

    async def announce(self, index: int) -> bool:
        """Note that an action is about to leave; it must not when this gives False."""
        ...

    def withdraw(self, index: int) -> None:
        """Note that an announced action was not carried out, and waits to be sent again."""
        ...


class Executor:
    """Carries out the steps of one playbook.

    Args:
        client: An open client.
        options: Mode, concurrency, rate and retry; the rest is said by each step.
        stop: Shared by the playbooks of one run. A failure that stops is asked for there too.
        clock: Seconds; never goes back.
        chance: From 0 to below 1, drawn for the jitter.
        new_request_id: An ID for each action; its attempts share it.
        ledger: Where actions that must not be done twice are announced, or None.
    """

    def __init__(  # noqa: PLR0913 -- clock and chance are arguments, by name
        self,
        client: Client,
        options: RunOptions,
        stop: Stop,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        new_request_id: Callable[[], object] = uuid.uuid4,
        ledger: Ledger | None = None,
    ) -> None:
        self._client = client
        self._options = options
        self._stop = stop
        self._clock = clock
        self._chance = chance
        self._new_request_id = new_request_id
        self._ledger = ledger
        self._policy = RetryPolicy(options.retry)
        self._throttle = Throttle(1 if options.mode is Mode.SEQUENTIAL else options.concurrency)

    async def run(self, steps: Iterable[Step]) -> AsyncGenerator[Result]:
        """Carry out steps and yield a result for each, as they come.

        What has started is waited for. After a stop each remaining step is `skipped`. When the
        generator is closed early, what is in flight is cancelled and there is no result of it.

        Args:
            steps: In written order, numbered upwards; read lazily, a burst at a time.

        Raises:
            Exception: What reading the steps raised, after a result for each step before it.
        """
        crew = Crew(
            steps,
            options=self._options,
            stop=self._stop,
            throttle=self._throttle,
            attempt=self._attempt,
            clock=self._clock,
        )
        watch = asyncio.create_task(self._watch(crew))
        try:
            while batch := await crew.results():
                for result in batch:
                    yield result
            for number, result in enumerate(crew.remaining()):
                yield result
                if number % BURST == 0:
                    await asyncio.sleep(0)  # signals are heard even while a million are skipped
        finally:
            watch.cancel()
            crew.cancel()
            await asyncio.gather(watch, *crew.workers, return_exceptions=True)

    async def _watch(self, crew: Crew) -> None:
        """Tell the crew of each stop; each of them implies those before it."""
        await self._stop.asked.wait()
        crew.look()
        await self._stop.interrupted.wait()
        crew.look()
        await self._stop.abandoned.wait()
        crew.cancel()

    async def _attempt(self, job: Job) -> Done | Again:
        """One request, and what follows from its outcome."""
        step = job.step
        if not job.request_id:
            job.request_id, job.began = str(self._new_request_id()), self._clock()
        if not step.action.idempotent and not await self._may_leave(job):
            reason = self._stop.reason or Skip.STOPPED
            trail = job.trail
            return (
                ending(step.action, trail)
                if trail.attempts
                else Done(Status.SKIPPED, skipped(reason))
            )
        sent = self._clock()
        try:
            outcome = await self._client.send(
                step.request,
                timeout=step.timeout,
                request_id=job.request_id,
                attempt=job.trail.attempts + 1,
            )
        except asyncio.CancelledError:
            if not self._stop.abandoned.is_set():
                raise
            job.trail = Trail(job.trail.attempts + 1)
            return Done(Status.UNKNOWN, abandoned(step.action))
        decision = self._judge(job, outcome, sent)
        if self._ledger and isinstance(decision, Again) and _untouched(job):
            self._ledger.withdraw(step.index)
        return decision

    async def _may_leave(self, job: Job) -> bool:
        """Have an action announced that must not be done twice; False when it must not leave.

        A stop that came meanwhile keeps what is new from starting, not what is under way.
        """
        if self._ledger is None:
            return True
        try:
            announced = await self._ledger.announce(job.step.index)
        except asyncio.CancelledError:
            if not self._stop.abandoned.is_set():
                raise
            return False
        return announced and (job.trail.attempts > 0 or self._stop.reason is None)

    def _judge(self, job: Job, outcome: Outcome, sent: float) -> Done | Again:
        """What follows from an outcome, for its action and for how much is asked at once."""
        step, now = job.step, self._clock()
        job.trail = trail = job.trail.after(outcome)
        if is_throttling(outcome):
            self._throttle.refused(sent, now, self._policy.hold(trail, self._chance()))
        elif isinstance(outcome, Reply):
            self._throttle.borne(sent)
        if is_missing(outcome):
            job.trail = trail = trail.missing(now)
            return follow(step.action, step.on_missing, trail, chance=self._chance(), now=now)
        return self._policy.decide(step.action, step.delivery, trail, self._chance())


def _untouched(job: Job) -> bool:
    """Whether an action that must not be done twice has certainly not been done."""
    return not (job.step.action.idempotent or job.trail.doubt)
