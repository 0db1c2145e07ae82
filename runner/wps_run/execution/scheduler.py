"""Schedules steps subject to ordering, concurrency, rate and back-off. No I/O, no clock.

The executor takes jobs from `next_job` and reports the end of each attempt with `finish` or
`retry`. The scheduler plans steps lazily: it reads only as many as it may hold.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from wps_run.actions.locks import EXCLUSIVE
from wps_run.connect.reply import Outcome, Reply
from wps_run.execution.errors import defect_error
from wps_run.execution.limits import ConcurrencyLimiter, RateLimiter, ReaderWindow
from wps_run.execution.locks import LockTable
from wps_run.execution.result import Attempt, Result, SkipReason, Status, milliseconds, result_for
from wps_run.execution.retry import NO_ATTEMPT, AttemptHistory, Finish
from wps_run.execution.stop import Stop
from wps_run.playbook.options import Mode, RunOptions
from wps_run.playbook.steps import Step

BATCH = 64
"""How many steps are planned at a time; planning a batch costs much less than single steps."""

READ_AHEAD = 64
"""How many steps are planned in advance while requests are in flight."""

READ_AHEAD_BATCH = 16
"""How many of them are planned at a time. No response is processed meanwhile."""

LOOK_AHEAD = 1024
"""The most steps that are held: planned, in flight, or with a result not yet delivered.

It bounds memory, and so what the scheduler can overlap. Four times `concurrency` if that is more.
"""


@dataclass(slots=True)
class Job:
    """A step that has started, until its end.

    Attributes:
        step: The step.
        waited_for: The index of the step whose end let it start, or None.
        history: Its attempts so far.
        started_at: When the first attempt started.
        sent_at: When the last attempt started.
        is_sent: Whether a request may be in flight.
        request_id: The ID that its requests share; "" before the first.
        tries: The attempts that were followed by a pause.
    """

    step: Step
    waited_for: int | None = None
    history: AttemptHistory = NO_ATTEMPT
    started_at: float = 0.0
    sent_at: float = 0.0
    is_sent: bool = False
    request_id: str = ""
    tries: tuple[Attempt, ...] = ()

    def start_attempt(self, now: float) -> None:
        """Record that an attempt starts."""
        self.sent_at, self.is_sent = now, True
        if not self.history.attempts:
            self.started_at = now

    def end_attempt(self, outcome: Outcome) -> AttemptHistory:
        """Record the outcome of the attempt."""
        self.history, self.is_sent = self.history.after(self.step.action, outcome), False
        return self.history

    def abandon_attempt(self) -> None:
        """Record that the outcome of the attempt was not awaited."""
        self.history, self.is_sent = self.history.abandoned(), False

    def fail_by_defect(self) -> Finish:
        """Decide how the job ends after a defect of ours."""
        if self.is_sent:
            self.abandon_attempt()
        in_doubt = self.history.in_doubt
        status = Status.UNKNOWN if in_doubt else Status.FAILED
        return Finish(status, defect_error(self.step.action, in_doubt=in_doubt))

    def add_retry(self, delay: float, epoch: float) -> None:
        """Record that another attempt follows the last one after `delay` seconds."""
        last = self.history.last
        code = last.code if last else None
        started = milliseconds(self.sent_at - epoch)
        self.tries += (Attempt(started, _http_status(last), code, milliseconds(delay)),)

    def result(self, decision: Finish, now: float, epoch: float) -> Result:
        """Return the result of the job; `epoch` is the time of the start of the run."""
        history = self.history
        if not history.attempts:
            return result_for(self.step, decision.status, error=decision.error)
        return result_for(
            self.step,
            decision.status,
            error=decision.error,
            http_status=_http_status(history.last),
            attempts=history.sent,
            duration=now - self.started_at,
            request_id=self.request_id,
            started=self.started_at - epoch,
            waited_for=self.waited_for,
            tries=self.tries[: history.attempts - 1],  # without a retry that was cancelled
        )


def _http_status(outcome: Outcome | None) -> int | None:
    return outcome.status if isinstance(outcome, Reply) else None


class Scheduler:
    """Decides which step starts next, and when.

    Args:
        steps: In plan order, numbered upwards; read lazily.
        options: Mode, concurrency and rate.
        stop: Says whether new steps may start; requested when the steps cannot be read.
        limiter: The concurrency limit, shared with the executor, which reports responses to it.
        window: How far steps may start ahead of the reader of results; any distance if None.

    Attributes:
        error: What reading the steps raised, or None.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        options: RunOptions,
        stop: Stop,
        limiter: ConcurrencyLimiter,
        window: ReaderWindow | None = None,
    ) -> None:
        self.error: Exception | None = None
        self._source = iter(steps)
        self._exhausted = False
        self._sequential = options.mode is Mode.SEQUENTIAL
        # Locks keep a sequential run in order; looking far ahead would gain it nothing. Half of
        # its limit is for results that are not yet delivered.
        self._most = 2 * BATCH if self._sequential else max(LOOK_AHEAD, 4 * options.concurrency)
        self._stop = stop
        self._limiter = limiter
        self._window = window or ReaderWindow()
        self._rate = RateLimiter(options.rate)
        self._locks = LockTable()
        self._planned: dict[int, Step] = {}
        self._paused: list[tuple[float, int, Job]] = []
        self._undelivered = 0

    def next_job(self, now: float) -> Job | None:
        """Start the next attempt that may start now: a retry that is due, or a new step.

        The attempt counts as in flight until `finish` or `retry`. None if none may start.
        """
        if self._limiter.is_full or self._next_at > now:
            return None
        job = self._due_retry(now) or self._new_job()
        if job is not None:
            self._rate.reserve(now)
            self._limiter.in_flight += 1
        return job

    def wake_at(self) -> float | None:
        """Return when an attempt may start though none ends before; None if that needs an end."""
        if self._limiter.is_full:
            return None
        if self._may_start():
            return self._next_at
        return max(self._next_at, self._paused[0][0]) if self._paused else None

    @property
    def waits_for_reader(self) -> bool:
        """Whether steps may start once more results are read."""
        return self._window.is_full and self._has_ready()

    def finish(self, job: Job) -> None:
        """End a job after an attempt. Its result counts as held until `deliver`."""
        self._limiter.in_flight -= 1
        self._release(job)

    def retry(self, job: Job, due: float) -> None:
        """Pause a job after an attempt until the next one is due. It keeps its locks."""
        self._limiter.in_flight -= 1
        heapq.heappush(self._paused, (due, job.step.index, job))

    def cancel_retries(self) -> list[Job]:
        """End all paused jobs and return them."""
        jobs = [job for _, _, job in self._paused]
        self._paused.clear()
        for job in jobs:
            self._release(job)
        return jobs

    def deliver(self, count: int) -> None:
        """Stop counting so many results as held."""
        self._undelivered -= count

    @property
    def wants_read_ahead(self) -> bool:
        """Whether steps should be planned in advance."""
        return not self._exhausted and len(self._planned) <= READ_AHEAD - READ_AHEAD_BATCH

    def read_ahead(self) -> None:
        """Plan a few steps in advance, unless the run stops."""
        if self._stop.reason is None:
            self._plan(READ_AHEAD_BATCH)

    def unstarted(self) -> Iterator[Step]:
        """Yield the steps that did not start, once no job is left."""
        yield from (self._planned[index] for index in sorted(self._planned))
        try:
            yield from self._source
        except Exception as error:  # noqa: BLE001 -- the executor raises it after the last result
            self._fail(error)

    @property
    def _next_at(self) -> float:
        return max(self._rate.next_at, self._limiter.next_at)

    def _due_retry(self, now: float) -> Job | None:
        if not self._paused or self._paused[0][0] > now or self._stop.pauses_ended.is_set():
            return None
        return heapq.heappop(self._paused)[2]

    def _new_job(self) -> Job | None:
        index = self._locks.take() if self._may_start() else None
        if index is None:
            return None
        self._window.add()
        waited_for = self._locks.unblocked_by(index)
        return Job(self._planned.pop(index), None if self._sequential else waited_for)

    def _may_start(self) -> bool:
        """Whether a new step may start: one is ready, and the reader is not too far behind."""
        return not self._window.is_full and self._has_ready()

    def _has_ready(self) -> bool:
        """Whether a step is ready; plans more steps only if no planned one is."""
        while self._stop.reason is None and not self._locks.ready and self._plan(BATCH):
            pass
        return self._stop.reason is None and self._locks.ready > 0

    def _plan(self, most: int) -> bool:
        """Plan up to `most` steps, as far as the limit allows; False if there was none to plan."""
        capacity = min(most, self._most - self._locks.unfinished - self._undelivered)
        if self._exhausted or capacity <= 0:
            return False
        before = self._locks.unfinished
        try:
            for step in islice(self._source, capacity):
                self._planned[step.index] = step
                self._locks.add(step.index, EXCLUSIVE if self._sequential else step.locks)
        except Exception as error:  # noqa: BLE001 -- the executor raises it after the last result
            self._fail(error)
            self._source = iter(())
        self._exhausted = self._locks.unfinished - before < capacity
        return self._locks.unfinished > before

    def _fail(self, error: Exception) -> None:
        self.error = self.error or error
        self._stop.request(SkipReason.STOPPED)

    def _release(self, job: Job) -> None:
        self._locks.release(job.step.index)
        self._undelivered += 1
