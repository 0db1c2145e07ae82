"""The way to end a run early, shared by all of its playbooks."""

import asyncio

from wps_run.execution.result import Skip


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
