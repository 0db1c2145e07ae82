"""Steps to results: the one place where order, retry, pace and client meet an event loop."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Protocol

from wps_run.connect.client import Client
from wps_run.connect.reply import Outcome, Reply
from wps_run.execution.errors import abandoned
from wps_run.execution.limits import ConcurrencyLimiter, RateLimiter, is_throttling
from wps_run.execution.result import Result, Skip, Status
from wps_run.execution.retry import (
    FINISHED_OK,
    Finish,
    OutcomeKind,
    Retry,
    RetryPolicy,
    cancelled_retry,
    classify,
    is_missing,
    on_missing,
)
from wps_run.execution.scheduler import BATCH, Job, Scheduler
from wps_run.execution.stop import Stop
from wps_run.playbook.options import Mode, RunOptions
from wps_run.playbook.steps import Step


class Recorder(Protocol):
    """Remembers, by index, which actions may have left, even if this process is killed."""

    def note(self, index: int) -> bool:
        """Note that an action is about to leave; it must not when this gives False."""
        ...

    async def announce(self, index: int) -> bool:
        """The same, even if the machine dies, for what must not be done twice."""
        ...

    def withdraw(self, index: int) -> None:
        """Note that an action was certainly not carried out, and waits to be sent again."""
        ...

    def ended(self, result: Result) -> Result:
        """Note how an action ended, before any other leaves for it; gives what is to be told."""
        ...


class Executor:
    """Carries out the steps of one playbook.

    Args:
        client: An open client.
        options: Mode, concurrency, rate and retry; the rest is said by each step.
        stop: Shared by the playbooks of one run. A failure that stops is asked for there too.
        clock: Seconds; never goes back.
        epoch: What it said when the run began; this moment unless given.
        chance: From 0 to below 1, drawn for the jitter.
        new_request_id: An ID for each action; its attempts share it.
        ledger: Remembers what may have left and what has ended, or None.
    """

    def __init__(  # noqa: PLR0913 -- clock and chance are arguments, by name
        self,
        client: Client,
        options: RunOptions,
        stop: Stop,
        *,
        clock: Callable[[], float] = time.monotonic,
        epoch: float | None = None,
        chance: Callable[[], float] = random.random,
        new_request_id: Callable[[], str] | None = None,
        ledger: Recorder | None = None,
    ) -> None:
        self._client = client
        self._options = options
        self._stop = stop
        self._clock = clock
        self._epoch = clock() if epoch is None else epoch
        self._chance = chance
        bits = random.Random().getrandbits  # noqa: S311 -- no secret; of its own, so nobody seeds it
        self._new_request_id = new_request_id or partial(_unique, bits)
        self._ledger = ledger
        self._policy = RetryPolicy(options.retry)
        self._throttle = ConcurrencyLimiter(
            1 if options.mode is Mode.SEQUENTIAL else options.concurrency
        )
        self._wire = RateLimiter(options.rate)
        self._door = asyncio.Lock()

    @property
    def throttle(self) -> ConcurrencyLimiter:
        """How many are in flight, and until when all wait; to look at, not to change."""
        return self._throttle

    async def run(self, steps: Iterable[Step]) -> AsyncGenerator[Sequence[Result]]:
        """Carry out steps and yield a result for each, as many at a time as there are.

        What has started is waited for. After a stop each remaining step is `skipped`. When the
        generator is closed early, what is in flight is cancelled and there is no result of it.

        Args:
            steps: In written order, numbered upwards; read lazily, a burst at a time.

        Raises:
            Exception: What reading the steps raised, after a result for each step before it.
        """
        crew = Scheduler(
            steps,
            options=self._options,
            stop=self._stop,
            throttle=self._throttle,
            attempt=self._attempt,
            settle=self._ledger.ended if self._ledger else _as_it_is,
            clock=self._clock,
            epoch=self._epoch,
        )
        watch = asyncio.create_task(self._watch(crew))
        try:
            while batch := await crew.results():
                yield batch
            remaining = crew.remaining()
            while batch := list(islice(remaining, BATCH)):
                yield batch
                await asyncio.sleep(0)  # signals are heard even while a million are skipped
            if crew.error is not None:
                raise crew.error
        finally:
            watch.cancel()
            crew.cancel()
            await asyncio.gather(watch, *crew.workers, return_exceptions=True)

    async def _watch(self, crew: Scheduler) -> None:
        """Tell the crew of each stop; each of them implies those before it."""
        await self._stop.asked.wait()
        crew.look()
        await self._stop.interrupted.wait()
        crew.look()
        await self._stop.abandoned.wait()
        crew.cancel()

    async def _attempt(self, job: Job) -> Finish | Retry:
        """One request, and what follows from its outcome."""
        step = job.step
        if not job.request_id:
            job.request_id = self._new_request_id()
        if not await self._may_leave(job):
            return self._kept_back(job)
        job.leave(sent := self._clock())
        try:
            outcome, _ = await self._client.send(
                step.request,
                timeout=step.timeout,
                request_id=job.request_id,
                attempt=job.trail.attempts + 1,
            )
        except asyncio.CancelledError:
            if not self._stop.abandoned.is_set():
                raise
            job.abandon()
            return Finish(Status.UNKNOWN, abandoned(step.action))
        decision = self._judge(job, outcome, sent)
        if self._ledger and isinstance(decision, Retry) and not job.trail.doubt:
            self._ledger.withdraw(step.index)
        return decision

    async def _may_leave(self, job: Job) -> bool:
        """Have it remembered that an action leaves, and wait for its turn; False if it must not.

        A stop that comes meanwhile keeps what is new from starting, not what is under way.
        """
        ledger, index = self._ledger, job.step.index
        idempotent = job.step.action.is_idempotent
        ends = self._stop.interrupted if job.trail.attempts else self._stop.asked
        try:
            if ledger and not idempotent and not await ledger.announce(index):
                return False
            if self._door.locked() or self._opens > self._clock():
                await self._turn(ends)
        except asyncio.CancelledError:
            if not self._stop.abandoned.is_set():
                raise
            return False
        if ends.is_set():
            return False
        self._wire.start(self._clock())
        return not (ledger and idempotent) or ledger.note(index)

    async def _turn(self, ends: asyncio.Event) -> None:
        """Wait until an attempt may leave, or there is to be none.

        Those that waited for the same sync of the journal would else leave together, however
        evenly they have started, or in spite of a pause that the service has asked for since.
        """
        async with self._door:
            while not ends.is_set() and (left := self._opens - self._clock()) > 0:
                await _event(ends, left)

    @property
    def _opens(self) -> float:
        return max(self._wire.opens, self._throttle.opens)

    def _kept_back(self, job: Job) -> Finish:
        """How an action ends that is not to leave, or not again."""
        return cancelled_retry(job.step.action, job.trail, self._stop.reason or Skip.STOPPED)

    def _judge(self, job: Job, outcome: Outcome, sent: float) -> Finish | Retry:
        """What follows from an outcome, for its action and for how much is asked at once."""
        trail = job.answered(outcome)
        if (
            classify(outcome) is OutcomeKind.ACCEPTED
        ):  # nearly always, and then there is no more to ask
            self._throttle.borne(sent)
            return FINISHED_OK
        step, now = job.step, self._clock()
        if is_throttling(outcome):
            self._throttle.refused(sent, now, self._policy.hold(trail, self._chance()))
        elif isinstance(outcome, Reply):
            self._throttle.borne(sent)
        if is_missing(outcome):
            job.trail = trail = trail.missing(now)
            return on_missing(step.action, step.on_missing, trail, chance=self._chance(), now=now)
        return self._policy.decide(step.action, step.delivery, trail, self._chance())


async def _event(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, for so long at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _unique(bits: Callable[[int], int]) -> str:
    """A UUID of version 4 (RFC 9562, section 5.4), as `uuid.uuid4` makes it in more time."""
    drawn = bits(128) & ~_FIXED | _VERSION_4
    text = f"{drawn:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_FIXED = 0xF << 76 | 0x3 << 62
_VERSION_4 = 0x4 << 76 | 0x2 << 62
"""The bits that say what kind of UUID it is."""


def _as_it_is(result: Result) -> Result:
    return result
