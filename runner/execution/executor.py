"""Steps to results: the one place where order, retry, pace and client meet an event loop."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from itertools import islice
from typing import Any

from runner.actions.claims import ALONE
from runner.actions.wire import Reply
from runner.connect.client import Client
from runner.execution.faults import abandoned, skipped
from runner.execution.ordering import Scoreboard
from runner.execution.result import Result, Skip, Status
from runner.execution.retry import Done, RetryPolicy, Trail, ending
from runner.execution.throttle import Pace
from runner.playbook.options import Mode, OnError, RunOptions
from runner.playbook.step import Step

BURST = 64
"""How many steps are planned at a time; a burst costs much less than as many single ones."""

LOOK_AHEAD = 1024
"""The most steps that are held, waiting or under way or not yet handed out as results.

What lies further ahead is not seen, so memory is bounded by it. Four times `concurrency` if
that is more.
"""


class Stop:
    """Ends a run early when asked to; shared by all playbooks of the run.

    Attributes:
        reason: Why nothing new starts, or None while all goes on. The first reason stays.
        asked: Set once nothing new is to start.
        interrupted: Set once nobody wants to wait for a pause before another attempt.
        abandoned: Set once nobody wants to wait for what is in flight.
    """

    def __init__(self) -> None:
        self.reason: Skip | None = None
        self.asked = asyncio.Event()
        self.interrupted = asyncio.Event()
        self.abandoned = asyncio.Event()

    def request(self, reason: Skip) -> None:
        """Start nothing new; let what is in flight end. May be asked again.

        Args:
            reason: What skipped actions say. `INTERRUPTED` also cuts pauses short: an action
                that waits for another attempt ends as its last attempt left it.
        """
        self.reason = self.reason or reason
        self.asked.set()
        if reason is Skip.INTERRUPTED:
            self.interrupted.set()

    def abandon(self) -> None:
        """Leave at once: what is in flight ends as `unknown`."""
        self.request(Skip.INTERRUPTED)
        self.abandoned.set()


class Executor:
    """Carries out the steps of one playbook.

    Args:
        client: An open client.
        options: Mode, concurrency, rate and retry; the rest is said by each step.
        stop: Shared by the playbooks of one run. A failure that stops is asked for there too.
        clock: Seconds; never goes back.
        chance: From 0 to below 1, drawn for the jitter.
        new_request_id: An ID for each action; its attempts share it.
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
    ) -> None:
        self._client = client
        self._options = options
        self._stop = stop
        self._clock = clock
        self._chance = chance
        self._new_request_id = new_request_id
        self._policy = RetryPolicy(options.retry)
        self._pace = Pace(options.rate)

    async def run(self, steps: Iterable[Step]) -> AsyncGenerator[Result]:
        """Carry out steps and yield a result for each, as they come.

        What has started is waited for. After a stop each remaining step is `skipped`. When the
        generator is closed early, what is in flight is cancelled and there is no result of it.

        Args:
            steps: In written order, numbered upwards; read lazily, a burst at a time.

        Raises:
            Exception: What reading the steps raised, after a result for each step before it.
        """
        crew = _Crew(steps, self._options, self._stop, self._carry_out)
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

    async def _watch(self, crew: "_Crew") -> None:
        await self._stop.abandoned.wait()
        crew.cancel()

    async def _carry_out(self, step: Step) -> Result:
        """One action, from its first attempt to its end."""
        if not await self._pause(self._pace.reserve(self._clock()), self._stop.asked):
            return _skip(step, self._stop.reason or Skip.INTERRUPTED)
        began = self._clock()
        request_id = str(self._new_request_id())
        trail = Trail()
        end: Done | None = None
        while end is None:
            trail, end = await self._attempt(step, request_id, trail)
        return Result(
            step,
            end.status,
            trail.last.status if isinstance(trail.last, Reply) else None,
            trail.attempts,
            self._clock() - began,
            request_id,
            end.fault,
        )

    async def _attempt(
        self, step: Step, request_id: str, trail: Trail
    ) -> tuple[Trail, Done | None]:
        """One request and the pause after it; the end is None when there is to be another."""
        try:
            outcome = await self._client.send(
                step.request, timeout=step.timeout, request_id=request_id
            )
        except asyncio.CancelledError:
            if not self._stop.abandoned.is_set():
                raise
            return Trail(trail.attempts + 1), Done(Status.UNKNOWN, abandoned(step.action))
        trail = trail.after(outcome)
        decision = self._policy.decide(step.action, step.delivery, trail, self._chance())
        if isinstance(decision, Done):
            return trail, decision
        cut = self._stop.interrupted
        if await self._pause(decision.after, cut) and await self._pause(
            self._pace.reserve(self._clock()), cut
        ):
            return trail, None
        return trail, ending(step.action, trail)

    async def _pause(self, seconds: float, cut: asyncio.Event) -> bool:
        """Wait; False when it was cut short."""
        if cut.is_set():
            return False
        if seconds <= 0:
            return True
        try:
            async with asyncio.timeout(seconds):
                await cut.wait()
        except TimeoutError:
            return True
        return False


class _Crew:
    """Workers over one stream of steps, as many as there is work for.

    A worker carries out one step after the other and goes home when none may start; whoever
    finishes a step calls in as many as may start then. So there is no task for each action,
    and nobody waits for work.

    Args:
        steps: In written order.
        options: Mode and concurrency.
        stop: Whether anything new may start.
        carry_out: Turns a step into its result.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        options: RunOptions,
        stop: Stop,
        carry_out: Callable[[Step], Coroutine[Any, Any, Result]],
    ) -> None:
        self.workers: set[asyncio.Task[None]] = set()
        self._source = iter(steps)
        self._spent = False
        self._sequential = options.mode is Mode.SEQUENTIAL
        # The claims keep a sequential run in order; one worker also keeps it from reading on.
        self._concurrency = 1 if self._sequential else options.concurrency
        self._limit = max(LOOK_AHEAD, 4 * options.concurrency)
        self._stop = stop
        self._carry_out = carry_out
        self._board = Scoreboard()
        self._waiting: dict[int, Step] = {}
        self._outbox: list[Result] = []
        self._news = asyncio.Event()
        self._error: BaseException | None = None

    async def results(self) -> list[Result]:
        """The results since the last call, at least one; none when no worker is left."""
        self._call_in()
        while not self._outbox and self.workers:
            self._news.clear()
            await self._news.wait()
            self._call_in()
        batch, self._outbox = self._outbox, []
        return batch

    def remaining(self) -> Iterator[Result]:
        """A `skipped` result for each step that did not start, once no worker is left.

        Raises:
            BaseException: What reading the steps, or a worker, raised.
        """
        reason = self._stop.reason or Skip.STOPPED
        for number in sorted(self._waiting):
            yield _skip(self._waiting[number], reason)
        if self._error is not None:
            raise self._error
        for step in self._source:
            yield _skip(step, reason)

    def cancel(self) -> None:
        """Cancel what is in flight."""
        for worker in self.workers:
            worker.cancel()

    def _call_in(self) -> None:
        while len(self.workers) < self._concurrency and (step := self._take()):
            worker = asyncio.create_task(self._work(step))
            self.workers.add(worker)
            worker.add_done_callback(self._gone)

    async def _work(self, first: Step) -> None:
        step: Step | None = first
        while step is not None:
            self._record(await self._carry_out(step))
            step = self._take()
            self._call_in()

    def _gone(self, worker: asyncio.Task[None]) -> None:
        self.workers.discard(worker)
        self._news.set()
        if not worker.cancelled() and (error := worker.exception()):
            self._fail(error)

    def _record(self, result: Result) -> None:
        step = result.step
        self._board.finish(step.index)
        self._outbox.append(result)
        self._news.set()
        bad = result.status in {Status.FAILED, Status.UNKNOWN}
        if bad and step.on_error is OnError.STOP:
            self._stop.request(Skip.STOPPED)

    def _take(self) -> Step | None:
        """The next step that may start. Reads on only when no step at hand may."""
        while self._stop.reason is None and not self._board.ready and self._read():
            pass
        if self._stop.reason is not None:
            return None
        number = self._board.take()
        return None if number is None else self._waiting.pop(number)

    def _read(self) -> bool:
        """Plan another burst as far as there is room; False when there is none to plan."""
        room = min(BURST, self._limit - self._board.pending - len(self._outbox))
        if self._spent or room <= 0:
            return False
        before = self._board.pending
        try:
            for step in islice(self._source, room):
                self._waiting[step.index] = step
                self._board.add(step.index, ALONE if self._sequential else step.claims)
        except Exception as error:  # noqa: BLE001 -- it is raised again when all has ended
            self._fail(error)
        self._spent = self._board.pending - before < room
        return self._board.pending > before

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._stop.request(Skip.STOPPED)


def _skip(step: Step, reason: Skip) -> Result:
    return Result(step, Status.SKIPPED, fault=skipped(reason))
