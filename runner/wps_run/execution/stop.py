"""The request to end a run early, shared by all playbooks of the run."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from wps_run.execution.result import SkipReason
from wps_run.problems import UsageError

_T = TypeVar("_T")


class Stop:
    """Ends one run early on request, which may come from any thread.

    Args:
        grace: Seconds after an interrupt in which requests in flight may end before the run is
            abandoned; None for as long as they take.

    Attributes:
        reason: Why nothing new starts, or None. The first reason stays.
        failures: How many actions failed or are unknown.
        requested: Set when nothing new may start.
        pauses_ended: Set when pauses before another attempt end, too.
        interrupted: Set when the user ends the run, so that nothing is read either.
        abandoned: Set when requests in flight are no longer awaited.
    """

    def __init__(self, *, grace: float | None = None) -> None:
        self._grace = grace
        self.reason: SkipReason | None = None
        self.failures = 0
        self.requested = asyncio.Event()
        self.pauses_ended = asyncio.Event()
        self.interrupted = asyncio.Event()
        self.abandoned = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lost_journal = False
        self._finals: list[Stop] = []

    def attach(self) -> None:
        """Use it for a run in the event loop that runs now, where requests then take effect.

        Raises:
            UsageError: It was used for another run, whose failures would end this one.
        """
        if self._loop is not None:
            raise UsageError("this `Stop` was used for another run; make one for each run")
        self._loop = asyncio.get_running_loop()

    async def unless_interrupted(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """Await what only reads; cancel it and return None if the user ends the run."""
        reading = asyncio.create_task(work)
        interruption = asyncio.create_task(self.interrupted.wait())
        try:
            await asyncio.wait((reading, interruption), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            for task in (reading, interruption):
                task.cancel()
            await asyncio.gather(reading, interruption, return_exceptions=True)

    def final_stop(self) -> "Stop":
        """Return the request to end what is in `finally`, which runs although this one was made.

        It is made when this run is abandoned, and when its journal cannot be written.
        """
        final = Stop()
        self._finals.append(final)
        if self.abandoned.is_set():
            final.abandon()
        elif self._lost_journal:
            final.request(SkipReason.JOURNAL)
        return final

    def request(self, reason: SkipReason = SkipReason.INTERRUPTED) -> None:
        """Start nothing new; requests in flight may end. May be called again.

        Args:
            reason: The error code of the skipped actions. `INTERRUPTED` and `EXPIRED` also end
                pauses: an action that waits for another attempt ends as its last attempt left it.
        """
        if self._loop and self._loop is not _running_loop():
            with suppress(RuntimeError):  # it is closed: the run has ended
                self._loop.call_soon_threadsafe(self.request, reason)
            return
        self.reason = self.reason or reason
        self.requested.set()
        if reason is SkipReason.JOURNAL:
            self._lost_journal = True
            for final in self._finals:
                final.request(reason)
        if reason in {SkipReason.INTERRUPTED, SkipReason.EXPIRED}:
            self.pauses_ended.set()
        if reason is SkipReason.INTERRUPTED and not self.interrupted.is_set():
            self.interrupted.set()
            loop = _running_loop()
            if self._grace is not None and loop:  # else nothing is in flight yet
                loop.call_later(self._grace, self.abandon)

    def abandon(self) -> None:
        """Stop at once: actions whose requests are in flight end as `unknown`."""
        if self._loop and self._loop is not _running_loop():
            with suppress(RuntimeError):  # it is closed: the run has ended
                self._loop.call_soon_threadsafe(self.abandon)
            return
        self.request(SkipReason.INTERRUPTED)
        self.abandoned.set()
        for final in self._finals:
            final.abandon()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
