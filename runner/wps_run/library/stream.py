"""The results of a run as its reader takes them, and a true account of it in any case."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Self

from wps_run.execution.limits import ReaderWindow
from wps_run.execution.result import ExpectationResult, Result, Status
from wps_run.execution.stop import Stop
from wps_run.execution.summary import Summary

LOG = logging.getLogger("wps_run")

_MOST_BUFFERED = 64
"""How many results wait for the reader before those of skipped actions are made."""


class ActiveRun:
    """A run in a task of its own, which nothing cancels: it stops, and accounts for every action.

    Args:
        ahead: The most results that it may be ahead of its reader.
        stop: Ends it early on request.

    Attributes:
        stop: The argument.
        window: Holds it back as far as `ahead` says.
        total: How many actions it has, once it is planned.
        summary: Its totals so far.
        expectations: The results of its expectations so far.
        error: What ended it, or None.
        task: The task, once it has started.
    """

    def __init__(self, ahead: int, stop: Stop) -> None:
        self.stop = stop
        self.window = ReaderWindow(ahead)
        self.total = 0
        self.summary = Summary()
        self.expectations: list[ExpectationResult] = []
        self.error: Exception | None = None
        self.task: asyncio.Task[None] | None = None
        self._buffer: deque[Result] = deque()
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._has_reader = True
        self._has_ended = False

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Start the task that calls `put` with what it gets."""
        self.task = asyncio.create_task(self._carry_out(work))

    async def _carry_out(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 -- raised where results are read
            self.error = error
        finally:
            self._has_ended = True
            self._changed.set()

    async def put(self, batches: AsyncGenerator[Sequence[Result | ExpectationResult]]) -> None:
        """Take the results of the run to its end, as fast as the reader does."""
        async for batch in batches:
            self.expectations += (each for each in batch if isinstance(each, ExpectationResult))
            if self._has_reader:
                self._buffer.extend(each for each in batch if isinstance(each, Result))
                self._changed.set()
            while self._has_reader and len(self._buffer) > _MOST_BUFFERED:
                self._taken.clear()
                await self._taken.wait()

    async def next(self) -> Result | None:
        """Wait for the next result, and take it; None at the end of the run.

        Raises:
            Exception: What ended the run, once, behind its last result.
        """
        while not self._buffer:
            if self._has_ended or not self.task:
                error, self.error = self.error, None
                if error:
                    raise error
                return None
            self._changed.clear()
            await self._changed.wait()
        result = self._buffer.popleft()
        if len(self._buffer) <= _MOST_BUFFERED:
            self._taken.set()
        return result

    def leave(self) -> None:
        """Stop the run, since nobody reads its results any more."""
        if self._has_reader:
            self._has_reader = False
            self._buffer.clear()
            self._taken.set()
            if self.task and not self._has_ended:
                self.stop.request()
                self.window.open()  # what is in `finally` still runs

    def leave_from_any_thread(self) -> None:
        """Do the same when garbage is collected, which may be in another thread."""
        if not self.task:
            return
        loop = self.task.get_loop()
        if asyncio._get_running_loop() is loop:  # noqa: SLF001 -- does not raise if there is none
            self.leave()
        else:
            with suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(self.leave)

    def take_error(self) -> None:
        """Log what ended the run if nobody has read it."""
        error, self.error = self.error, None
        if error:
            LOG.error("a run whose results were not read to the end failed: %s", error)

    @property
    def account(self) -> Summary:
        """The totals: those so far, and complete once the run has ended or its reader has left."""
        is_complete = self._has_ended or not self._has_reader
        return self.complete_account() if is_complete else replace(self.summary)

    def complete_account(self) -> Summary:
        """Return totals of all actions.

        Before the end, what may have been sent counts as unknown, and the rest as skipped.
        """
        rest = max(0, self.total - self.summary.total)
        in_flight = max(0, min(self.window.started - self.summary.total, rest))
        counts = Counter(self.summary.counts)
        counts[Status.UNKNOWN] += in_flight
        counts[Status.SKIPPED] += rest - in_flight
        return replace(self.summary, counts=counts)


async def end_runs(runs: Iterable[ActiveRun]) -> None:
    """Stop the runs that have not ended, and wait for their end.

    When this is canceled, requests in flight are abandoned.
    """
    runs, is_canceled = tuple(runs), False
    for run in runs:
        run.leave()
    while tasks := {run.task for run in runs if run.task and not run.task.done()}:
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            is_canceled = True
            for run in runs:
                run.stop.abandon()
    for run in runs:
        run.take_error()
    if is_canceled:
        raise asyncio.CancelledError


class ResultStream:
    """The results of a run, in the order in which its actions end: an async iterator.

    The run starts with the first result that is asked for. A reader who leaves early stops it:
    nothing new starts, and requests in flight may end. `aclose` waits until they have.

    Args:
        run: The run.
        start: Returns what carries it out.
    """

    def __init__(self, run: ActiveRun, start: Callable[[], Coroutine[None, None, None]]) -> None:
        self._run = run
        self._start: Callable[[], Coroutine[None, None, None]] | None = start
        self._has_result = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        if self._start:
            start, self._start = self._start, None
            self._run.start(start())
        if self._has_result:
            self._has_result = False
            self._run.window.take()
        try:
            result = await self._run.next()
        except asyncio.CancelledError:
            await end_runs((self._run,))
            raise
        if result is None:
            raise StopAsyncIteration
        self._has_result = True
        return result

    async def aclose(self) -> None:
        """Stop the run unless it has ended, and wait until every action is accounted for."""
        self._start = None
        await end_runs((self._run,))

    def __del__(self) -> None:
        self._run.leave_from_any_thread()
