"""Who carries out which step, and when: order, slots and pauses over one stream of steps."""

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from wps_run.actions.locks import EXCLUSIVE
from wps_run.connect.reply import Outcome, Reply
from wps_run.execution.errors import defect, skipped
from wps_run.execution.limits import ConcurrencyLimiter, RateLimiter
from wps_run.execution.locks import LockTable
from wps_run.execution.record import Attempt, ended, milliseconds
from wps_run.execution.result import Result, Skip, Status
from wps_run.execution.retry import NO_ATTEMPT, AttemptHistory, Finish, Retry, cancelled_retry
from wps_run.execution.stop import Stop
from wps_run.playbook.options import Mode, OnError, RunOptions
from wps_run.playbook.steps import Step

BATCH = 64
"""How many steps are planned at a time; a burst costs much less than as many single ones."""

FLUSH_AFTER = 0.01
"""Seconds that a result may wait for others to be told with, while there is more to do."""

READ_AHEAD = 64
"""How many steps are planned before their turn, while requests are under way."""

READ_AHEAD_BATCH = 16
"""How many of them are planned at a time: as long as it takes, no answer is looked at."""

LOOK_AHEAD = 1024
"""The most steps that are held, waiting or under way or not yet handed out as results.

What lies further ahead is not seen, so memory is bounded by it. Four times `concurrency` if
that is more.
"""


@dataclass(slots=True)
class Job:
    """A step under way, from its first attempt to its end.

    Attributes:
        step: The step.
        waited_for: The number of the step whose end let it start, or None.
        trail: Its attempts so far.
        began: When the first one started.
        sent: When the last one started.
        out: Whether it may be on its way.
        request_id: What its requests share; "" before the first.
        tries: The attempts that a pause followed.
    """

    step: Step
    waited_for: int | None = None
    trail: AttemptHistory = NO_ATTEMPT
    began: float = 0.0
    sent: float = 0.0
    out: bool = False
    request_id: str = ""
    tries: tuple[Attempt, ...] = ()

    def leave(self, now: float) -> None:
        """Note that an attempt starts."""
        self.sent, self.out = now, True
        if not self.trail.attempts:
            self.began = now

    def answered(self, outcome: Outcome) -> AttemptHistory:
        """Note what an attempt ended in."""
        self.trail, self.out = self.trail.after(outcome), False
        return self.trail

    def abandon(self) -> None:
        """Note that nobody has waited for an attempt to end."""
        self.trail, self.out = self.trail.abandoned(), False

    def broken(self) -> Finish:
        """How it ends when a defect keeps us from going on with it."""
        if self.out:
            self.abandon()
        doubt = self.trail.doubt
        status = Status.UNKNOWN if doubt else Status.FAILED
        return Finish(status, defect(self.step.action, doubt=doubt))

    def again(self, after: float, epoch: float) -> None:
        """Note that its last attempt is not its last one."""
        last = self.trail.last
        code = last.code if last else None
        began = milliseconds(self.sent - epoch)
        self.tries += (Attempt(began, _status(last), code, milliseconds(after)),)

    def result(self, end: Finish, now: float, epoch: float) -> Result:
        """What has become of it."""
        trail = self.trail
        if not trail.attempts:
            return ended(self.step, end.status, fault=end.fault)
        return ended(
            self.step,
            end.status,
            _status(trail.last),
            trail.left,
            now - self.began,
            self.request_id,
            end.fault,
            started=self.began - epoch,
            waited_for=self.waited_for,
            # A pause that was cut short leaves one more.
            tries=self.tries[: trail.attempts - 1],
        )


def _status(outcome: Outcome | None) -> int | None:
    return outcome.status if isinstance(outcome, Reply) else None


class Scheduler:
    """Workers over one stream of steps, as many as there is work for.

    A worker is a request in flight. It makes one attempt after the other and goes home when
    none may start; whoever ends one calls in as many as may start then. So there is no task for
    each action, and nobody waits for work. A job that pauses has no worker: it rests until it
    is due, keeping its locks. What nobody is there to notice, one timer does.

    Args:
        steps: In written order.
        options: Mode, concurrency and rate.
        stop: Whether anything new may start.
        throttle: How many may be in flight.
        attempt: Makes one attempt; says whether there is to be another.
        settle: Notes how a step ended; gives the result to tell.
        clock: Seconds; never goes back.
        epoch: What it said when the run began.

    Attributes:
        workers: Those that are at work.
        error: What reading the steps, or a worker, raised first, or None.
    """

    def __init__(  # noqa: PLR0913 -- what a run is made of; handed over once, by name
        self,
        steps: Iterable[Step],
        *,
        options: RunOptions,
        stop: Stop,
        throttle: ConcurrencyLimiter,
        attempt: Callable[[Job], Coroutine[Any, Any, Finish | Retry]],
        settle: Callable[[Result], Result],
        clock: Callable[[], float],
        epoch: float,
    ) -> None:
        self.workers: set[asyncio.Task[None]] = set()
        self.error: BaseException | None = None
        self._source = iter(steps)
        self._spent = False
        self._reading: asyncio.Handle | None = None
        self._sequential = options.mode is Mode.SEQUENTIAL
        # The locks keep a sequential run in order; looking far ahead would gain it nothing. Half
        # is for the results that wait to be told.
        self._limit = 2 * BATCH if self._sequential else max(LOOK_AHEAD, 4 * options.concurrency)
        self._stop = stop
        self._throttle = throttle
        self._pace = RateLimiter(options.rate)
        self._attempt = attempt
        self._settle = settle
        self._clock = clock
        self._epoch = epoch
        self._board = LockTable()
        self._waiting: dict[int, Step] = {}
        self._resting: list[tuple[float, int, Job]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0
        self._outbox: list[Result] = []
        self._news = asyncio.Event()
        self._telling: asyncio.TimerHandle | None = None

    async def results(self) -> list[Result]:
        """The results since the last call, at least one; none when nothing is under way."""
        self._call_in()
        while not self._outbox and (self.workers or self._timer):
            self._news.clear()
            await self._news.wait()
            self._call_in()
        if self._telling:
            self._telling.cancel()
            self._telling = None
        batch, self._outbox = self._outbox, []
        return batch

    def remaining(self) -> Iterator[Result]:
        """A `skipped` result for each step that did not start, once nothing is under way."""
        reason = self._stop.reason or Skip.STOPPED
        for number in sorted(self._waiting):
            yield self._settle(_skip(self._waiting[number], reason))
        try:
            for step in self._source:
                yield self._settle(_skip(step, reason))
        except Exception as error:  # noqa: BLE001 -- it is raised again when all has ended
            self._fail(error)

    def look(self) -> None:
        """Look again at what may start, since time has passed or a stop was asked for."""
        self._news.set()
        self._call_in()

    def cancel(self) -> None:
        """Cancel what is in flight."""
        self._set_timer(None)
        for handle in (self._telling, self._reading):
            if handle:
                handle.cancel()
        for worker in self.workers:
            worker.cancel()

    def _call_in(self) -> None:
        if self._stop.interrupted.is_set():
            self._cut_short()
        while job := self._next():
            worker = asyncio.create_task(self._work(job))
            self.workers.add(worker)
            worker.add_done_callback(self._gone)
        self._set_timer(self._next_moment())

    def _cut_short(self) -> None:
        """End each job that rests."""
        resting, self._resting = self._resting, []
        for _, _, job in resting:
            self._end(job, cancelled_retry(job.step.action, job.trail, Skip.INTERRUPTED))

    async def _work(self, first: Job) -> None:
        job: Job | None = first
        while job is not None:
            try:
                decision = await self._attempt(job)
            except Exception as error:  # noqa: BLE001 -- a defect; it is raised when all has ended
                self._fail(error)
                decision = job.broken()
            finally:
                self._throttle.in_flight -= 1
            if isinstance(decision, Finish):
                self._end(job, decision)
            else:
                job.again(decision.after, self._epoch)
                due = self._clock() + decision.after
                heapq.heappush(self._resting, (due, job.step.index, job))
            job = self._next()
            if not self._throttle.full:
                self._call_in()

    def _gone(self, worker: asyncio.Task[None]) -> None:
        self.workers.discard(worker)
        self._news.set()
        if not worker.cancelled() and (error := worker.exception()):
            self._fail(error)

    def _end(self, job: Job, end: Finish) -> None:
        self._board.finish(job.step.index)
        self._outbox.append(self._settle(job.result(end, self._clock(), self._epoch)))
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(FLUSH_AFTER, self._news.set)
        failed = end.status is Status.FAILED or end.status is Status.UNKNOWN
        if failed and job.step.on_error is OnError.STOP:
            self._stop.request(Skip.STOPPED)

    def _next(self) -> Job | None:
        """The next attempt that may start now, counted as in flight: a due one, or a new one."""
        if self._throttle.full:
            return None
        now = self._clock()
        if self._opens > now:
            return None
        job = self._rested(now) or self._fresh()
        if job is not None:
            self._pace.start(now)
            self._throttle.in_flight += 1
            if (
                self._reading is None
                and len(self._waiting) <= READ_AHEAD - READ_AHEAD_BATCH
                and not self._spent
            ):
                self._reading = asyncio.get_running_loop().call_soon(self._read_ahead)
        return job

    def _read_ahead(self) -> None:
        """Plan what is next once the requests have left: their answers are not there yet."""
        self._reading = None
        if self._stop.reason is None:
            self._read(READ_AHEAD_BATCH)

    def _next_moment(self) -> float | None:
        """When something may start even if no attempt ends before; None when nothing may."""
        if self._throttle.full:
            return None
        if self._read_on():
            return self._opens
        return max(self._opens, self._resting[0][0]) if self._resting else None

    @property
    def _opens(self) -> float:
        return max(self._pace.opens, self._throttle.opens)

    def _rested(self, now: float) -> Job | None:
        """The job whose pause has ended first."""
        if not self._resting or self._resting[0][0] > now or self._stop.interrupted.is_set():
            return None
        return heapq.heappop(self._resting)[2]

    def _fresh(self) -> Job | None:
        """The first step, in written order, that may start."""
        number = self._board.take() if self._read_on() else None
        if number is None:
            return None
        freed_by = self._board.freed_by(number)
        return Job(self._waiting.pop(number), None if self._sequential else freed_by)

    def _read_on(self) -> bool:
        """Whether a step may start; reads on only when none at hand may."""
        while self._stop.reason is None and not self._board.ready and self._read():
            pass
        return self._stop.reason is None and self._board.ready > 0

    def _read(self, many: int = BATCH) -> bool:
        """Plan more steps as far as there is room; False when there is none to plan."""
        room = min(many, self._limit - self._board.pending - len(self._outbox))
        if self._spent or room <= 0:
            return False
        before = self._board.pending
        try:
            for step in islice(self._source, room):
                self._waiting[step.index] = step
                self._board.add(step.index, EXCLUSIVE if self._sequential else step.locks)
        except Exception as error:  # noqa: BLE001 -- it is raised again when all has ended
            self._fail(error)
            self._source = iter(())
        self._spent = self._board.pending - before < room
        return self._board.pending > before

    def _set_timer(self, moment: float | None) -> None:
        if moment == (self._rings if self._timer else None):
            return
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if moment is not None:
            self._rings = moment
            delay = max(0.0, moment - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.look()

    def _fail(self, error: BaseException) -> None:
        self.error = self.error or error
        self._stop.request(Skip.STOPPED)


def _skip(step: Step, reason: Skip) -> Result:
    return ended(step, Status.SKIPPED, fault=skipped(reason))
