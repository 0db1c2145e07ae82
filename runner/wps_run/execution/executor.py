"""Runs steps: sends the requests that the scheduler starts and yields the results."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Protocol

from wps_run.connect.client import Client
from wps_run.connect.reply import Outcome, Reply
from wps_run.execution.errors import abandoned_error, skip_error
from wps_run.execution.limits import (
    ConcurrencyLimiter,
    RateLimiter,
    ReaderWindow,
    Wait,
    WaitNotices,
    is_throttling,
)
from wps_run.execution.result import Result, SkipReason, Status, result_for
from wps_run.execution.retry import (
    ACCEPTED,
    Decision,
    Finish,
    OutcomeKind,
    Retry,
    RetryPolicy,
    cancelled_retry,
    is_missing,
    on_missing,
)
from wps_run.execution.scheduler import BATCH, Job, Scheduler
from wps_run.execution.stop import Stop
from wps_run.playbook.options import Mode, OnError, RunOptions
from wps_run.playbook.steps import Step

FLUSH_AFTER = 0.01
"""Seconds that a result may wait for others while the run goes on: a batch costs less."""


class Recorder(Protocol):
    """Records, by index, which actions may have been sent, so that a killed run can resume."""

    def mark_sending(self, index: int) -> bool:
        """Record that an action is about to be sent; it must not be if this returns False."""
        ...

    async def sync_sending(self, index: int) -> bool:
        """Do the same, on disk before it returns, for an action that must not be repeated."""
        ...

    def mark_unsent(self, index: int) -> None:
        """Record that an action was certainly not done, and waits for another attempt."""
        ...

    def record(self, step: Step, result: Result) -> Result:
        """Record the result of a step. Returns the result to report."""
        ...


class NoRecorder:
    """Records nothing."""

    def mark_sending(self, index: int) -> bool:
        del index
        return True

    async def sync_sending(self, index: int) -> bool:
        del index
        return True

    def mark_unsent(self, index: int) -> None:
        """Do nothing."""

    def record(self, step: Step, result: Result) -> Result:
        del step
        return result


class Executor:
    """Runs the steps of one playbook.

    A worker is a task that makes one attempt after another and exits when no job may start; a
    worker that frees capacity starts others. So there is no task for each action. A paused job
    has no worker; one timer wakes the executor when the next attempt is due.

    Args:
        client: An open client.
        options: Mode, concurrency, rate and retry; all else is an attribute of each step.
        stop: Shared by the playbooks of one run. Requested when a failure stops the run.
        clock: Seconds on a monotonic clock.
        epoch: Its value when the run began; now if None.
        chance: From 0 to below 1, drawn for the jitter.
        new_request_id: Makes the `x-ms-client-request-id` that the attempts of an action share.
        recorder: Records what may have been sent and what ended.
        most_failures: How many actions of the run may fail; None for any number. After one more,
            nothing new starts.
        window: How far actions may start ahead of the reader of results, which takes them from it;
            any distance if None.
        on_wait: Called at the beginning of a wait that the service requests, once for each.

    Attributes:
        limiter: The concurrency limit. Read only: a progress display shows it.
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
        new_request_id: Callable[[], object] = uuid.uuid4,
        recorder: Recorder | None = None,
        most_failures: int | None = None,
        window: ReaderWindow | None = None,
        on_wait: Callable[[Wait], object] | None = None,
    ) -> None:
        most = 1 if options.mode is Mode.SEQUENTIAL else options.concurrency
        self.limiter = ConcurrencyLimiter(most)
        self._client = client
        self._options = options
        self._stop = stop
        self._clock = clock
        self._epoch = clock() if epoch is None else epoch
        self._chance = chance
        self._new_request_id = new_request_id
        self._recorder = recorder or NoRecorder()
        self._most_failures = most_failures
        self._window = window or ReaderWindow()
        self._on_wait = on_wait
        self._wait_notices = WaitNotices()
        self._policy = RetryPolicy(options.retry)
        self._scheduler = self._new_scheduler(())
        self._send_rate = RateLimiter(options.rate)
        self._send_lock = asyncio.Lock()
        self._error: BaseException | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._results: list[Result] = []
        self._wake = asyncio.Event()
        self._flush_timer: asyncio.TimerHandle | None = None
        self._wake_timer: asyncio.TimerHandle | None = None
        self._wake_at = 0.0
        self._read_ahead_handle: asyncio.Handle | None = None

    async def run(self, steps: Iterable[Step]) -> AsyncGenerator[Sequence[Result]]:
        """Run steps and yield a result for each, in batches, as they end.

        What has started is awaited. After a stop each remaining step is `skipped`. When the
        generator is closed early, requests in flight are canceled without a result. May be called
        again for further steps; rate and concurrency limits go on.

        Args:
            steps: In plan order, numbered upwards; read lazily.

        Raises:
            Exception: What reading the steps raised, after a result for each step before it.
        """
        self._scheduler = self._new_scheduler(steps)
        self._window.on_open = self._look_again
        stop_watcher = asyncio.create_task(self._watch_stop())
        try:
            self._start_jobs()
            while (
                self._workers
                or self._wake_timer
                or self._results
                or self._scheduler.waits_for_reader
            ):
                if not self._results:
                    self._wake.clear()
                    await self._wake.wait()
                    self._start_jobs()
                    continue
                yield self._take_results()
                self._start_jobs()
            unstarted = self._scheduler.unstarted()
            while batch := [self._skip(step) for step in islice(unstarted, BATCH)]:
                self._window.add(len(batch))
                yield batch
                await asyncio.sleep(0)  # signals are handled while a million steps are skipped
            error = self._error or self._scheduler.error
            if error is not None:
                raise error
        finally:
            stop_watcher.cancel()
            self._cancel()
            await asyncio.gather(stop_watcher, *self._workers, return_exceptions=True)

    def _new_scheduler(self, steps: Iterable[Step]) -> Scheduler:
        return Scheduler(steps, self._options, self._stop, self.limiter, self._window)

    def _take_results(self) -> Sequence[Result]:
        if self._flush_timer:
            self._flush_timer.cancel()
            self._flush_timer = None
        batch, self._results = self._results, []
        self._scheduler.deliver(len(batch))
        return batch

    def _skip(self, step: Step) -> Result:
        reason = self._stop.reason or SkipReason.STOPPED
        result = result_for(step, Status.SKIPPED, error=skip_error(reason))
        return self._recorder.record(step, result)

    async def _watch_stop(self) -> None:
        """Act on each kind of stop; each of them implies those before it."""
        await self._stop.requested.wait()
        self._look_again()
        await self._stop.pauses_ended.wait()
        self._look_again()
        await self._stop.abandoned.wait()
        self._cancel()

    def _look_again(self) -> None:
        """Start what may start, since time has passed or a stop was requested."""
        self._wake.set()
        self._start_jobs()

    def _cancel(self) -> None:
        """Cancel the requests in flight, and all timers."""
        for handle in (self._wake_timer, self._flush_timer, self._read_ahead_handle):
            if handle:
                handle.cancel()
        self._wake_timer = self._flush_timer = self._read_ahead_handle = None
        for worker in self._workers:
            worker.cancel()

    def _start_jobs(self) -> None:
        """Start a worker for each job that may start, and the timer for the next one."""
        if self._stop.pauses_ended.is_set():
            for paused in self._scheduler.cancel_retries():
                is_interrupted = self._stop.interrupted.is_set()
                reason = SkipReason.INTERRUPTED if is_interrupted else SkipReason.EXPIRED
                self._end(paused, cancelled_retry(paused.step.action, paused.history, reason))
        while (job := self._next_job()) is not None:
            worker = asyncio.create_task(self._work(job))
            self._workers.add(worker)
            worker.add_done_callback(self._worker_ended)
        self._set_wake_timer(self._scheduler.wake_at())

    def _next_job(self) -> Job | None:
        job = self._scheduler.next_job(self._clock())
        if job and self._read_ahead_handle is None and self._scheduler.wants_read_ahead:
            # Once the requests are sent: their responses are not there yet.
            self._read_ahead_handle = asyncio.get_running_loop().call_soon(self._read_ahead)
        return job

    def _read_ahead(self) -> None:
        self._read_ahead_handle = None
        self._scheduler.read_ahead()

    def _set_wake_timer(self, moment: float | None) -> None:
        if self._wake_timer:
            if moment == self._wake_at:
                return
            self._wake_timer.cancel()
            self._wake_timer = None
        if moment is not None:
            self._wake_at = moment
            delay = max(0.0, moment - self._clock())
            loop = asyncio.get_running_loop()
            self._wake_timer = loop.call_later(delay, self._on_wake_timer)

    def _on_wake_timer(self) -> None:
        self._wake_timer = None
        self._look_again()

    async def _work(self, first: Job) -> None:
        """Make attempts until none may start."""
        job: Job | None = first
        while job is not None:
            try:
                decision = await self._attempt(job)
            except Exception as error:  # noqa: BLE001 -- a defect; raised after the last result
                self._fail(error)
                decision = job.fail_by_defect()
            if isinstance(decision, Finish):
                self._scheduler.finish(job)
                self._end(job, decision)
            else:
                job.add_retry(decision.delay, self._epoch)
                self._scheduler.retry(job, self._clock() + decision.delay)
            if decision is not ACCEPTED:
                self._report_wait(job, decision)
            job = self._next_job()
            if not self.limiter.is_full:
                self._start_jobs()

    def _report_wait(self, job: Job, decision: Decision) -> None:
        """Report the wait that the last response to a job causes, if there is something to wait."""
        reply = job.history.last
        if (
            not isinstance(reply, Reply)
            or self._on_wait is None
            or self._stop.pauses_ended.is_set()
        ):
            return
        now, is_retried = self._clock(), isinstance(decision, Retry)
        of_run = is_throttling(reply)
        if of_run and (is_retried or self._scheduler.wake_at() is not None):
            seconds = self.limiter.next_at - now
        elif isinstance(decision, Retry) and reply.retry_after:
            seconds = decision.delay
        else:
            return
        if self._wait_notices.is_due(now, seconds):
            self._on_wait(Wait(seconds, reply, of_run))

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        self._wake.set()
        if not worker.cancelled() and (error := worker.exception()):
            self._fail(error)

    def _end(self, job: Job, decision: Finish) -> None:
        """Record the result of a job, and stop the run if its failure says so."""
        result = job.result(decision, self._clock(), self._epoch)
        self._results.append(self._recorder.record(job.step, result))
        if self._flush_timer is None:
            loop = asyncio.get_running_loop()
            self._flush_timer = loop.call_later(FLUSH_AFTER, self._wake.set)
        if decision.status is Status.FAILED or decision.status is Status.UNKNOWN:
            self._count_failure(job.step)

    def _count_failure(self, step: Step) -> None:
        """Stop the run if the failure of a step says so, or is one too many."""
        self._stop.failures += 1
        if step.on_error is OnError.STOP:
            self._stop.request(SkipReason.STOPPED)
        elif self._most_failures is not None and self._stop.failures > self._most_failures:
            self._stop.request(SkipReason.BUDGET)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._stop.request(SkipReason.STOPPED)

    async def _attempt(self, job: Job) -> Decision:
        """Send one request and decide what follows from its outcome."""
        step = job.step
        if not job.request_id:
            job.request_id = str(self._new_request_id())
        if not await self._may_send(job):
            reason = self._stop.reason or SkipReason.STOPPED
            return cancelled_retry(step.action, job.history, reason)
        job.start_attempt(sent := self._clock())
        try:
            outcome, _ = await self._client.send(
                step.request,
                timeout=step.timeout,
                request_id=job.request_id,
                attempt=job.history.attempts + 1,
            )
        except asyncio.CancelledError:
            if not self._stop.abandoned.is_set():
                raise
            job.abandon_attempt()
            return Finish(Status.UNKNOWN, abandoned_error(step.action))
        decision = self._decide(job, outcome, sent)
        if isinstance(decision, Retry) and not job.history.in_doubt:
            self._recorder.mark_unsent(step.index)
        return decision

    async def _may_send(self, job: Job) -> bool:
        """Record that an action is sent, and wait for its turn; False if it must not be sent.

        A stop keeps a new action from being sent, but not a further attempt.
        """
        index, idempotent = job.step.index, job.step.action.is_idempotent
        stop = self._stop.pauses_ended if job.history.attempts else self._stop.requested
        try:
            if not idempotent and not await self._recorder.sync_sending(index):
                return False
            if self._send_lock.locked() or self._next_send_at > self._clock():
                await self._wait_for_turn(stop)
        except asyncio.CancelledError:
            if not self._stop.abandoned.is_set():
                raise
            return False
        if stop.is_set():
            return False
        self._send_rate.reserve(self._clock())
        return not idempotent or self._recorder.mark_sending(index)

    async def _wait_for_turn(self, stop: asyncio.Event) -> None:
        """Wait until an attempt may be sent, or the run stops.

        Attempts that waited for the same sync of the journal would else be sent together,
        although they were started evenly, or in spite of a pause that began meanwhile.
        """
        async with self._send_lock:
            while not stop.is_set() and (delay := self._next_send_at - self._clock()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await stop.wait()

    @property
    def _next_send_at(self) -> float:
        return max(self._send_rate.next_at, self.limiter.next_at)

    def _decide(self, job: Job, outcome: Outcome, sent: float) -> Decision:
        """Decide what follows from an outcome, and adapt the concurrency limit to it."""
        history = job.end_attempt(outcome)
        if history.kind is OutcomeKind.ACCEPTED:  # nearly always
            self.limiter.accepted(sent)
            return ACCEPTED
        step, now = job.step, self._clock()
        if is_throttling(outcome):
            pause = self._policy.throttle_pause(history, self._chance())
            self.limiter.throttled(sent, now, pause)
        elif isinstance(outcome, Reply):
            self.limiter.accepted(sent)
        if is_missing(outcome):
            job.history = history = history.missing(now)
            return on_missing(step.action, step.on_missing, history, chance=self._chance(), now=now)
        return self._policy.decide(step.action, step.delivery, history, self._chance())
