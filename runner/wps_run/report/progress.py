"""How far a run is, at what rate, and how long it will take: numbers, and the line that says them.

The clock is an argument, in seconds; it never goes back.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from wps_run import text as visible_text
from wps_run.execution.result import Status
from wps_run.text import Style, Styler, unstyled

MEMORY = 15.0
"""Seconds. What is older than this weighs little in the rate."""

SETTLING = 1.0
"""Seconds of work before a rate is told; the first moments of a run say little."""

_WIDEST = 110
"""Columns of the line, however wide the terminal: the eye need not travel."""

_BAR = 16
_GAP = "  "


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """What is known of a run at one moment.

    Attributes:
        place: Where it takes place, such as `LOCAL`.
        total: How many actions it has.
        counts: How many of them ended, by status.
        in_flight: How many requests are in flight.
        rate: Actions that end in a second, or None while that is not known.
        pause: Seconds for which nothing may start, as the service asked; 0 for none.
    """

    place: str
    total: int
    counts: Counter[Status]
    in_flight: int
    rate: float | None
    pause: float = 0.0

    @property
    def done(self) -> int:
        """How many actions have ended."""
        return self.counts.total()

    @property
    def percent(self) -> int:
        """Rounded down, so that 100 means all."""
        return 100 * self.done // self.total if self.total else 100

    @property
    def waits(self) -> bool:
        """Whether the service asked for a pause that is long enough to be told."""
        return self.pause >= 1

    @property
    def left(self) -> float | None:
        """Seconds that it will yet take at this rate, or None while that is not known."""
        rest = max(0, self.total - self.done)
        if not rest:
            return 0.0
        return max(self.pause, rest / self.rate) if self.rate else None


class RateMeter:
    """Measures the rate at which actions end, the latest weighing most.

    What an earlier part of a resumed run did, and what is skipped, takes no time and does not
    count. While nothing ends, as during a pause that the service asked for, the rate sinks.

    Args:
        now: When the work begins.
    """

    def __init__(self, now: float) -> None:
        self._seen = now
        self._worked = 0.0
        self._new = 0
        self._done = 0.0
        self._time = 0.0

    def add(self) -> None:
        """Note that an action ended for which something was done."""
        self._new += 1

    def rate(self, now: float) -> float | None:
        """Actions that end in a second, above 0; None while that is not known.

        Each call closes a stretch of time, however long. Both sums fade alike, so that the rate
        is the plain average at the start and a moving one later on.
        """
        passed = max(0.0, now - self._seen)
        if passed > 0:
            fade = math.exp(-passed / MEMORY)
            self._done = self._done * fade + self._new
            self._time = self._time * fade + passed
            self._worked += passed
            self._seen, self._new = now, 0
        if self._worked < SETTLING or self._done < _FAINT:
            return None
        return self._done / self._time


_FAINT = 1e-3
"""Actions. When less than this is remembered, nothing has ended for a long time."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the line: the text, how it is shown, and how soon it gives way; 1 stays longest."""

    rank: int
    text: str
    ink: Style | None = None


def progress_line(view: ProgressSnapshot, columns: int, paint: Styler = unstyled) -> str:
    """The line for a terminal: as many of its parts as fit into the columns, the gravest first.

    Args:
        view: What to say.
        columns: How wide the terminal is. The last column stays free, since some terminals
            wrap a line that fills them all.
        paint: Gives the counts their colours.
    """
    parts = list(_parts(view))
    room = min(_WIDEST, columns - 1) + len(_GAP)
    kept = set()
    for place in sorted(range(len(parts)), key=lambda place: parts[place].rank):
        needed = len(_GAP) + visible_text.display_width(parts[place].text)
        if needed <= room:
            room -= needed
            kept.add(place)
    shown = [part for place, part in enumerate(parts) if place in kept]
    return _GAP.join(paint(part.ink, part.text) if part.ink else part.text for part in shown)


def _parts(view: ProgressSnapshot) -> Iterator[_Part]:
    """The parts of the line, in the order in which they are shown."""
    filled = min(_BAR, _BAR * view.percent // 100)
    yield _Part(1, f"{view.percent:>3} %")
    yield _Part(9, f"[{'=' * filled:{_BAR}}]", Style.GUTTER)
    yield _Part(5, view.place, Style.LOCAL if view.place == "LOCAL" else Style.LOCATION)
    yield _Part(2, f"{view.done:,}/{view.total:,}")
    yield from _counts(view)
    if view.waits:
        yield _Part(3, f"waiting {duration(view.pause)}", Style.WARNING)
        yield _Part(8, "as the service asked", Style.WARNING)
    else:
        yield _Part(8, f"{view.in_flight:,} in flight")
    yield from _pace(view)


def _counts(view: ProgressSnapshot) -> Iterator[_Part]:
    counts = view.counts
    yield _Part(6, f"{counts[Status.OK]:,} ok", Style.SUCCESS if counts[Status.OK] else None)
    failed = counts[Status.FAILED]
    yield _Part(3, f"{failed:,} failed", Style.ERROR) if failed else _Part(7, "0 failed")
    if counts[Status.UNKNOWN]:
        yield _Part(3, f"{counts[Status.UNKNOWN]:,} unknown", Style.UNKNOWN)
    if counts[Status.SKIPPED]:
        yield _Part(6, f"{counts[Status.SKIPPED]:,} skipped", Style.WARNING)


def _pace(view: ProgressSnapshot) -> Iterator[_Part]:
    if view.rate is not None:
        yield _Part(7, f"{_rate(view.rate)}/s")
    if view.left:
        yield _Part(4, f"{duration(view.left)} left")


def plain_line(view: ProgressSnapshot) -> str:
    """The same for a log: no colours, no bar, nothing cut."""
    now = (
        f"waiting {duration(view.pause)} as the service asked"
        if view.waits
        else f"{view.in_flight:,} in flight"
    )
    counts = (part.text for part in _counts(view))
    pace = (part.text for part in _pace(view))
    done = f"{view.place} {view.done:,}/{view.total:,} ({view.percent} %)"
    return ", ".join((done, *counts, now, *pace))


def _rate(rate: float) -> str:
    """Three digits or so: `0.25`, `7.5`, `1,234`."""
    if rate >= 100:  # noqa: PLR2004 -- three digits
        return f"{rate:,.0f}"
    return f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
"""Seconds and name of each."""


def duration(seconds: float) -> str:
    """A time in its two largest units: `7 s`, `2 min 5 s`, `3 h 20 min`, `2 d 4 h`, `1 h`."""
    whole = math.ceil(seconds)
    place = next(place for place, (size, _) in enumerate(_UNITS) if whole >= size or size == 1)
    parts: list[str] = []
    for size, unit in _UNITS[place : place + 2]:
        number, whole = divmod(whole, size)
        if number or not (parts or whole):
            parts.append(f"{number:,} {unit}")
    return " ".join(parts)
