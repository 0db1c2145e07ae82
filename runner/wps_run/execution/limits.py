"""When a request may start, and how many at once, as arithmetic on a given clock value."""

import math
from http import HTTPStatus

from wps_run.connect.reply import Outcome, Reply

LATE = 0.005
"""Seconds that a start may be late without moving those after it.

Timers fire up to a few milliseconds late. If each of them moved the rest, a rate of 500 a
second would be far from reached. A longer pause is never made up for.
"""


class RateLimiter:
    """Spreads starts evenly: at most `rate` a second, without a burst after a pause.

    Args:
        rate: The most starts a second, above 0; None for no limit.

    Attributes:
        opens: When the next start is free, on the clock of `start`.
    """

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self.opens = -math.inf

    def start(self, now: float) -> None:
        """Note a start.

        Args:
            now: Seconds on a clock that never goes back; `opens` or later.
        """
        if self._interval:
            planned = self.opens if now - self.opens <= LATE else now
            self.opens = planned + self._interval


class ConcurrencyLimiter:
    """How many requests may be in flight, as the service bears it.

    Where the service refuses one as too many, the window halves, and all wait. Each window of
    answers after that lets it grow by one. What was sent before it last halved neither halves
    it again nor lets it grow: one burst is one refusal.

    Args:
        most: The widest window; it begins with it.

    Attributes:
        window: The most requests that may be in flight, at least 1.
        in_flight: How many are.
        opens: When the next may start, on the clock of the calls.
    """

    def __init__(self, most: int) -> None:
        self.window = most
        self.in_flight = 0
        self.opens = -math.inf
        self._most = most
        self._halved = -math.inf
        self._borne = 0

    @property
    def full(self) -> bool:
        """Whether as many are in flight as may be."""
        return self.in_flight >= self.window

    def borne(self, sent: float) -> None:
        """Note that the service took a request, whatever it made of it.

        Args:
            sent: When it was sent.
        """
        if self.window == self._most or sent <= self._halved:
            return
        self._borne += 1
        if self._borne >= self.window:
            self.window += 1
            self._borne = 0

    def refused(self, sent: float, now: float, pause: float) -> None:
        """Note that the service refused a request as one too many.

        Args:
            sent: When it was sent.
            now: When it was refused, while it is still counted as in flight.
            pause: Seconds that the service, or the usual back-off, wants all to wait.
        """
        self.opens = max(self.opens, now + pause)
        if sent > self._halved:
            self.window = max(1, min(self.window, self.in_flight) // 2)
            self._halved = now
            self._borne = 0


def is_throttling(outcome: Outcome) -> bool:
    """Whether an outcome says that the service is asked too much: 429 or 503."""
    return isinstance(outcome, Reply) and outcome.status in _TOO_MUCH


_TOO_MUCH = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
