"""The limits of a run, of rate, concurrency and reading ahead, and the notices of waits. Pure."""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple, Protocol

from wps_run.connect.reply import Outcome, Reply

LATE = 0.005
"""Seconds that a start may be late without delaying the ones after it.

Timers fire up to a few milliseconds late. If each late start delayed the rest, a rate of 500 a
second would never be reached. A longer gap is not made up for.
"""


class RequestLoad(Protocol):
    """What a progress display shows of requests, such as a concurrency limit."""

    @property
    def in_flight(self) -> int:
        """The requests in flight."""

    @property
    def next_at(self) -> float:
        """When the next request may start."""


class RateLimiter:
    """Spreads starts evenly: at most `rate` a second, without a burst after a gap.

    Args:
        rate: The most starts a second, above 0; None for no limit.

    Attributes:
        next_at: When the next start is allowed, on the clock of `reserve`.
    """

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self.next_at = -math.inf

    def reserve(self, now: float) -> None:
        """Count a start at `now`, which is `next_at` or later, in seconds on a monotonic clock."""
        if self._interval:
            planned = self.next_at if now - self.next_at <= LATE else now
            self.next_at = planned + self._interval


class ConcurrencyLimiter:
    """Limits the requests in flight to what the service accepts.

    When the service throttles a request, the limit halves and all requests wait. For each
    `limit` responses after that it grows by one. Requests that were sent before it last halved
    neither halve it again nor let it grow: one burst counts as one refusal.

    Args:
        most: The highest limit, and the first one.

    Attributes:
        limit: The most requests that may be in flight, at least 1.
        in_flight: The number of requests in flight.
        next_at: When the next request may start, on the clock of the calls.
    """

    def __init__(self, most: int) -> None:
        self.limit = most
        self.in_flight = 0
        self.next_at = -math.inf
        self._most = most
        self._halved_at = -math.inf
        self._accepted = 0

    @property
    def is_full(self) -> bool:
        """Whether no further request may be in flight."""
        return self.in_flight >= self.limit

    def accepted(self, sent: float) -> None:
        """Count a response that was not throttled, to a request sent at `sent`."""
        if self.limit == self._most or sent <= self._halved_at:
            return
        self._accepted += 1
        if self._accepted >= self.limit:
            self.limit += 1
            self._accepted = 0

    def throttled(self, sent: float, now: float, pause: float) -> None:
        """Halve the limit after a throttled response.

        Args:
            sent: When the request was sent.
            now: When the response came; the request still counts as in flight.
            pause: Seconds that all requests wait.
        """
        self.next_at = max(self.next_at, now + pause)
        if sent > self._halved_at:
            self.limit = max(1, min(self.limit, self.in_flight) // 2)
            self._halved_at = now
            self._accepted = 0


class ReaderWindow:
    """Limits how many actions start before the reader of results has finished with earlier ones.

    Args:
        ahead: The most results that may exist, or come, in addition to the one that the reader
            waits for or has. At 0, an action starts when the reader asks for its result.

    Attributes:
        started: How many actions have started, or have a result without a start.
        on_open: Called when an action may start again.
    """

    def __init__(self, ahead: float = math.inf) -> None:
        self.started = 0
        self.on_open: Callable[[], object] = lambda: None
        self._ahead = ahead
        self._unread = 0

    @property
    def is_full(self) -> bool:
        """Whether no further action may start."""
        return self._unread > self._ahead

    def add(self, count: int = 1) -> None:
        """Count actions that start, or results that come without a start."""
        self.started += count
        self._unread += count

    def take(self, count: int = 1) -> None:
        """Count results that the reader has finished with, or that are held back for now."""
        was_full = self.is_full
        self._unread -= count
        if was_full and not self.is_full:
            self.on_open()

    def open(self) -> None:
        """Hold nothing back any more: nobody reads the results."""
        self._ahead = math.inf
        self.on_open()

    def restore(self, count: int) -> None:
        """Count results that were held back, and now come."""
        self._unread += count


class Wait(NamedTuple):
    """A pause that a response causes.

    Attributes:
        seconds: How long it is.
        reply: The response.
        of_run: Whether all requests wait, or only one action.
    """

    seconds: float
    reply: Reply
    of_run: bool


SHORTEST_NOTICE = 1.0
"""Seconds; shorter waits are not reported."""

NOTICE_INTERVAL = 10.0
"""Seconds between two reports, unless a wait becomes longer by more than that."""


class WaitNotices:
    """Decides which waits are reported: each once, although many responses cause it."""

    def __init__(self) -> None:
        self._reported_until = -math.inf
        self._next_notice = -math.inf

    def is_due(self, now: float, seconds: float) -> bool:
        """Whether to report a wait of so many seconds that begins now."""
        until = now + seconds
        longer = until - self._reported_until
        if seconds < SHORTEST_NOTICE or longer <= SHORTEST_NOTICE:
            return False
        if now < self._next_notice and longer <= NOTICE_INTERVAL:
            return False
        self._reported_until, self._next_notice = until, now + NOTICE_INTERVAL
        return True


def is_throttling(outcome: Outcome) -> bool:
    """Whether a response asks for fewer requests: 429 or 503."""
    return isinstance(outcome, Reply) and outcome.status in _THROTTLING


_THROTTLING = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
