"""What is seen of a run while it goes on: its counts, its rate, and what the service allows."""

import time
from collections.abc import Callable

from wps_run.execution.record import Record
from wps_run.execution.result import Summary
from wps_run.execution.throttle import Throttle
from wps_run.report.heading import Heading
from wps_run.report.progress import Meter, View


class Watch:
    """Looks at a run and touches nothing.

    Args:
        heading: What is run and where.
        summary: The run's counts, kept by whoever carries it out.
        clock: Seconds; the one that the throttles go by.
    """

    def __init__(
        self, heading: Heading, summary: Summary, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._heading = heading
        self._summary = summary
        self._clock = clock
        self._meter = Meter(clock())
        self._throttle: Throttle | None = None

    def began(self, throttle: Throttle) -> None:
        """Note that the next playbook began, and what slows it."""
        self._throttle = throttle

    def ended(self, record: Record) -> None:
        """Note that an action ended; it counts for the rate when this part of the run did it."""
        if record.started_ms is not None and record.started_ms >= self._summary.since_ms:
            self._meter.add()

    def view(self) -> View:
        """What is to be said now."""
        now, throttle = self._clock(), self._throttle
        return View(
            place=str(self._heading.destination),
            total=self._heading.total,
            counts=self._summary.counts,
            in_flight=throttle.in_flight if throttle else 0,
            rate=self._meter.rate(now),
            pause=max(0.0, throttle.opens - now) if throttle else 0.0,
        )
