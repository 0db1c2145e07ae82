"""The request to end a run early, shared by all playbooks of the run."""

import asyncio

from wps_run.execution.result import SkipReason


class Stop:
    """Ends a run early on request.

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
        self._lost_journal = False
        self._finals: list[Stop] = []

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

        Call it where the event loop of the run runs.

        Args:
            reason: The error code of the skipped actions. `INTERRUPTED` and `EXPIRED` also end
                pauses: an action that waits for another attempt ends as its last attempt left it.
        """
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
            if self._grace is not None:
                asyncio.get_running_loop().call_later(self._grace, self.abandon)

    def abandon(self) -> None:
        """Stop at once: actions whose requests are in flight end as `unknown`."""
        self.request(SkipReason.INTERRUPTED)
        self.abandoned.set()
        for final in self._finals:
            final.abandon()
