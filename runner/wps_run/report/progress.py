"""The progress of a run: counts, rate and time left, and the line that shows them.

Times are in seconds. The clock is a parameter and never goes back.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from wps_run.connect.reply import MAX_RETRY_AFTER
from wps_run.execution.errors import status_text
from wps_run.execution.limits import Wait
from wps_run.execution.result import Status
from wps_run.text import Style, Styler, display_width, unstyled

TIME_CONSTANT = 15.0
"""Seconds after which a past second weighs 1/e in the rate."""

MIN_TIME = 1.0
"""Seconds of work before a rate is known."""

_MIN_ACTIONS = 1e-3
"""The weighted number of actions below which the rate is unknown: none ended for a long time."""

_MAX_WIDTH = 110
"""Columns. The line is not longer on a wider terminal."""

_BAR_WIDTH = 16
_SEPARATOR = "  "


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """The progress of a run at one moment.

    Attributes:
        destination: Where the run takes place, such as `LOCAL`.
        total: The number of actions.
        counts: The number of actions that have ended, by status.
        in_flight: The number of requests in flight.
        rate: Actions per second, or None when it is unknown.
        pause: Seconds for which no action may start, as the service requested; 0 for none.
    """

    destination: str
    total: int
    counts: Counter[str]
    in_flight: int
    rate: float | None
    pause: float = 0.0

    @property
    def done(self) -> int:
        """The number of actions that have ended."""
        return self.counts.total()

    @property
    def percent(self) -> int:
        """The share of actions that have ended, rounded down: 100 means all."""
        return 100 * self.done // self.total if self.total else 100

    @property
    def is_paused(self) -> bool:
        """Whether a pause is long enough to be shown."""
        return self.pause >= 1

    @property
    def time_left(self) -> float | None:
        """Seconds to the end of the run at this rate, or None when that is unknown."""
        actions_left = max(0, self.total - self.done)
        if not actions_left:
            return 0.0
        return max(self.pause, actions_left / self.rate) if self.rate else None


class RateMeter:
    """Measures the rate at which actions end, as an exponential moving average.

    Actions that need no time do not count: those of an earlier part of a resumed run, and skipped
    ones. The rate falls while no action ends, as in a pause that the service requested.

    Args:
        now: The time at which the work starts.
    """

    def __init__(self, now: float) -> None:
        self._updated_at = now
        self._elapsed = 0.0
        self._new_actions = 0
        self._weighted_actions = 0.0
        self._weighted_time = 0.0

    def add(self) -> None:
        self._new_actions += 1

    def rate(self, now: float) -> float | None:
        """Return actions per second, more than 0; None when the rate is unknown.

        It may be called at any interval. Both sums decay alike, so that the rate is the plain
        average at the start and a moving average later.
        """
        interval = max(0.0, now - self._updated_at)
        if interval > 0:
            decay = math.exp(-interval / TIME_CONSTANT)
            self._weighted_actions = self._weighted_actions * decay + self._new_actions
            self._weighted_time = self._weighted_time * decay + interval
            self._elapsed += interval
            self._updated_at, self._new_actions = now, 0
        if self._elapsed < MIN_TIME or self._weighted_actions < _MIN_ACTIONS:
            return None
        return self._weighted_actions / self._weighted_time


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the line: its priority, 1 being the highest, its text, and its style."""

    priority: int
    text: str
    style: Style | None = None


def progress_line(snapshot: ProgressSnapshot, columns: int, styler: Styler = unstyled) -> str:
    """Return the line for a terminal: the parts that fit, by priority.

    Args:
        snapshot: The progress.
        columns: The width of the terminal. The last column stays empty, since some terminals wrap
            a full line.
        styler: Adds the colors.
    """
    parts = list(_parts(snapshot))
    columns_left = min(_MAX_WIDTH, columns - 1) + len(_SEPARATOR)
    fitting = set()
    for index in sorted(range(len(parts)), key=lambda index: parts[index].priority):
        width = len(_SEPARATOR) + display_width(parts[index].text)
        if width <= columns_left:
            columns_left -= width
            fitting.add(index)
    shown = [part for index, part in enumerate(parts) if index in fitting]
    return _SEPARATOR.join(
        styler(part.style, part.text) if part.style else part.text for part in shown
    )


def _parts(snapshot: ProgressSnapshot) -> Iterator[_Part]:
    """Yield the parts of the line, from left to right."""
    filled = min(_BAR_WIDTH, _BAR_WIDTH * snapshot.percent // 100)
    destination_style = Style.LOCAL if snapshot.destination == "LOCAL" else Style.LOCATION
    yield _Part(1, f"{snapshot.percent:>3} %")
    yield _Part(9, f"[{'=' * filled:{_BAR_WIDTH}}]", Style.GUTTER)
    yield _Part(5, snapshot.destination, destination_style)
    yield _Part(2, f"{snapshot.done:,}/{snapshot.total:,}")
    yield from _counts(snapshot)
    if snapshot.is_paused:
        yield _Part(3, f"waiting {format_duration(snapshot.pause)}", Style.WARNING)
        yield _Part(8, "as the service requested", Style.WARNING)
    else:
        yield _Part(8, f"{snapshot.in_flight:,} in flight")
    yield from _rate_and_time(snapshot)


def _counts(snapshot: ProgressSnapshot) -> Iterator[_Part]:
    counts = snapshot.counts
    yield _Part(6, f"{counts[Status.OK]:,} ok", Style.SUCCESS if counts[Status.OK] else None)
    failed = counts[Status.FAILED]
    yield _Part(3, f"{failed:,} failed", Style.ERROR) if failed else _Part(7, "0 failed")
    if counts[Status.UNKNOWN]:
        yield _Part(3, f"{counts[Status.UNKNOWN]:,} unknown", Style.UNKNOWN)
    if counts[Status.SKIPPED]:
        yield _Part(6, f"{counts[Status.SKIPPED]:,} skipped", Style.WARNING)


def _rate_and_time(snapshot: ProgressSnapshot) -> Iterator[_Part]:
    if snapshot.rate is not None:
        yield _Part(7, f"{_format_rate(snapshot.rate)}/s")
    if snapshot.time_left:
        yield _Part(4, f"{format_duration(snapshot.time_left)} left")


def plain_line(snapshot: ProgressSnapshot) -> str:
    """Return the complete line for a log, without colors and bar."""
    activity = (
        f"waiting {format_duration(snapshot.pause)} as the service requested"
        if snapshot.is_paused
        else f"{snapshot.in_flight:,} in flight"
    )
    counts = (part.text for part in _counts(snapshot))
    rate_and_time = (part.text for part in _rate_and_time(snapshot))
    done = f"{snapshot.done:,}/{snapshot.total:,} ({snapshot.percent} %)"
    return ", ".join((f"{snapshot.destination} {done}", *counts, activity, *rate_and_time))


def wait_line(wait: Wait) -> str:
    """Return the line that says that a run waits, for how long, and why."""
    waiting = format_duration(wait.seconds)
    until = "the next request" if wait.of_run else "another attempt of an action"
    line = f"waiting {waiting} before {until}: the response was {status_text(wait.reply.status)}"
    requested = wait.reply.retry_after
    if requested is None:
        return line
    if requested >= MAX_RETRY_AFTER:
        limit = format_duration(MAX_RETRY_AFTER)
        return f"{line} with a Retry-After of {limit} or more, which is limited to {limit}"
    return f"{line} with a Retry-After of {format_duration(requested)}"


def _format_rate(rate: float) -> str:
    """Return about three digits: `0.25`, `7.5`, `1,234`."""
    if rate >= 100:  # noqa: PLR2004 -- three digits
        return f"{rate:,.0f}"
    return f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
"""Seconds and name of each unit."""


def format_duration(seconds: float) -> str:
    """Return a time in its two largest units, rounded up: `7 s`, `1 h`, `2 min 5 s`, `2 d 4 h`."""
    left = math.ceil(seconds)
    first = next(index for index, (size, _) in enumerate(_UNITS) if left >= size or size == 1)
    parts: list[str] = []
    for size, unit in _UNITS[first : first + 2]:
        count, left = divmod(left, size)
        if count or not (parts or left):
            parts.append(f"{count:,} {unit}")
    return " ".join(parts)
