"""What is seen of a run while it goes on: its counts, its rate, and what the service allows.

How far a run is, shown on stderr while it goes on, and results on stdout beside it.
"""

import asyncio
import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Self, TextIO

from wps_run.cli.terminal import styler_for
from wps_run.execution.limits import ConcurrencyLimiter
from wps_run.execution.record import Record
from wps_run.execution.result import Summary
from wps_run.execution.run_info import RunInfo
from wps_run.report.progress import ProgressSnapshot, RateMeter, plain_line, progress_line


class ProgressTracker:
    """Looks at a run and touches nothing.

    Args:
        heading: What is run and where.
        summary: The run's counts, kept by whoever carries it out.
        clock: Seconds; the one that the throttles go by.
    """

    def __init__(
        self, heading: RunInfo, summary: Summary, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._heading = heading
        self._summary = summary
        self._clock = clock
        self._meter = RateMeter(clock())
        self._throttle: ConcurrencyLimiter | None = None

    def began(self, throttle: ConcurrencyLimiter) -> None:
        """Note that the next playbook began, and what slows it."""
        self._throttle = throttle

    def ended(self, record: Record) -> None:
        """Note that an action ended; it counts for the rate when this part of the run did it."""
        if record.started_ms is not None and record.started_ms >= self._summary.since_ms:
            self._meter.add()

    def view(self) -> ProgressSnapshot:
        """What is to be said now."""
        now, throttle = self._clock(), self._throttle
        return ProgressSnapshot(
            destination=str(self._heading.destination),
            total=self._heading.total,
            counts=self._summary.counts,
            in_flight=throttle.in_flight if throttle else 0,
            rate=self._meter.rate(now),
            pause=max(0.0, throttle.opens - now) if throttle else 0.0,
        )


REDRAWN = 0.1
"""Seconds between two looks of the line."""

LOGGED = 10.0
"""Seconds between two lines where there is no terminal."""

_MOST_HELD = 65536
"""Characters of results that wait for the next look of the line at most."""

_ASSUMED = 80
"""Columns of a terminal that does not know how wide it is."""


class ProgressMode(StrEnum):
    """How progress is shown."""

    LINE = "line"
    """A line at the bottom of the terminal, drawn again and again."""

    LOG = "log"
    """A plain line now and then, for logs."""

    NONE = "none"


def form_for(stream: TextIO, environment: Mapping[str, str], *, wanted: bool) -> ProgressMode:
    """How progress is shown on a stream: a line only on a terminal that obeys escapes."""
    if not wanted:
        return ProgressMode.NONE
    if not stream.isatty() or environment.get("TERM") == "dumb":
        return ProgressMode.LOG
    # The console of Windows obeys them only in its newer terminal, or where a TERM is set.
    if sys.platform == "win32" and not {"WT_SESSION", "TERM"} & environment.keys():
        return ProgressMode.LOG
    return ProgressMode.LINE


class Progress:
    """Shows how far a run is, as long as it is entered; inside an event loop.

    Results go through `write`. On a terminal they are held until the next look, and then shown
    above the line, ten times a second at most. Whatever else is said on stderr meanwhile takes
    the line away before it, so that nothing is torn. At the end the line is gone.

    The cursor rests at the beginning of the line: a terminal that has become narrower keeps it
    there, so that all rows of what was a line once are wiped.

    Args:
        form: How it is shown.
        view: What is to be said now.
        emit: Writes results to stdout.
        every: Seconds between two looks; those of the form unless given.
    """

    def __init__(
        self,
        form: ProgressMode,
        view: Callable[[], ProgressSnapshot],
        emit: Callable[[str], object],
        *,
        every: float | None = None,
    ) -> None:
        self._form = form
        self._view = view
        self._emit = emit
        usual = REDRAWN if form is ProgressMode.LINE else LOGGED
        self._every = usual if every is None else every
        self._holds = form is ProgressMode.LINE and sys.stdout.isatty()
        self._held: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._screen = Screen(sys.stderr)
        self._before = sys.stderr
        if self._form is not ProgressMode.NONE:
            self._wait()
        if self._form is ProgressMode.LINE:
            sys.stderr = _Aside(self._screen, sys.stderr)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer:
            self._timer.cancel()
        self.flush()
        sys.stderr = self._before

    def write(self, text: str) -> None:
        """Write results, now or at the next look."""
        if not self._holds:
            self._emit(text)
            return
        if not text:
            return
        self._held.append(text)
        self._size += len(text)
        if self._size > _MOST_HELD:
            self.flush()

    def flush(self) -> None:
        """Take the line away, and write what is held."""
        self._screen.wipe()
        if self._held:
            text = "".join(self._held)
            self._held.clear()
            self._size = 0
            self._emit(text)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._look)

    def _look(self) -> None:
        if self._held:
            self.flush()
        if self._form is ProgressMode.LINE:
            self._screen.draw(self._view())
        else:
            self._screen.say(f"wps-run: {plain_line(self._view())}\n")
        self._wait()


class Screen:
    """The bottom line of a terminal, on a stream. When that cannot be written it falls silent."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._paint = styler_for(stream)
        self._drawn = ""
        self._broken_line = False

    def draw(self, view: ProgressSnapshot) -> None:
        """Draw the line, unless somebody else uses the terminal or is in the middle of a line."""
        if self._broken_line or not _in_front(self._stream):
            return
        line = progress_line(view, _columns(self._stream), self._paint)
        if line != self._drawn:
            self.say(f"\r{line}\x1b[J\r")
            self._drawn = line

    def wipe(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._drawn = ""
            self.say("\r\x1b[J")

    def aside(self, text: str) -> None:
        """Let somebody else's words through; the line goes, and comes back when theirs ends."""
        self.wipe()
        if text:
            self._broken_line = not text.endswith("\n")
        self._stream.write(text)

    def say(self, text: str) -> None:
        """Write, as far as that goes; a run does not fail since nobody can watch it."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


class _Aside(io.StringIO):
    """Stands for stderr while the line is there, and takes the line away for what is written.

    It keeps nothing, and has no `buffer`, by which others would get around it.
    """

    def __init__(self, screen: Screen, stream: TextIO) -> None:
        super().__init__()
        self._screen = screen
        self._stream = stream

    def isatty(self) -> bool:
        """It is one: there is no line elsewhere."""
        return True

    def fileno(self) -> int:
        """The file descriptor of stderr."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write, with the line out of the way."""
        self._screen.aside(text)
        return len(text)

    def flush(self) -> None:
        """Let it be seen."""
        self._stream.flush()


def _columns(stream: TextIO) -> int:
    """How wide the terminal is now."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _ASSUMED
    except (OSError, ValueError):
        return _ASSUMED


def _in_front(stream: TextIO) -> bool:
    """Whether the terminal is ours: a job in the background leaves it to the shell."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # no terminal of ours, or none at all: Windows
        return True
