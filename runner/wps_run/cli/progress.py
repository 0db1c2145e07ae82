"""Shows the progress of a run on stderr, beside the results on stdout."""

import asyncio
import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Self, TextIO

from wps_run.cli.terminal import columns_of, styler_for
from wps_run.execution.limits import RequestLoad
from wps_run.execution.result import ExpectationResult, Result
from wps_run.execution.run_info import RunInfo
from wps_run.execution.summary import Summary
from wps_run.report.progress import ProgressSnapshot, RateMeter, plain_line, progress_line
from wps_run.text import Label, labeled


class ProgressTracker:
    """Measures the progress of a run and gives snapshots of it.

    Args:
        run: What is run and where.
        summary: The totals of the run.
        clock: Seconds, on the clock of the concurrency limits.
        load: The requests of other processes, until this one starts a plan; None if there are none.
    """

    def __init__(
        self,
        run: RunInfo,
        summary: Summary,
        clock: Callable[[], float] = time.monotonic,
        *,
        load: RequestLoad | None = None,
    ) -> None:
        self._run = run
        self.summary = summary
        self._clock = clock
        self._meter = RateMeter(clock())
        self._load = load

    def start_plan(self, load: RequestLoad) -> None:
        """Show the requests and pauses of the plan that starts, by its concurrency limit."""
        self._load = load

    def count(self, results: Iterable[Result | ExpectationResult]) -> None:
        """Count results for the rate, which covers those of this part of a resumed run."""
        for result in results:
            if isinstance(result, ExpectationResult):
                continue
            if result.started_ms is not None and result.started_ms >= self.summary.since_ms:
                self._meter.add()

    def snapshot(self) -> ProgressSnapshot:
        """Return the progress now."""
        now, load = self._clock(), self._load
        return ProgressSnapshot(
            destination=str(self._run.destination),
            total=self._run.total,
            counts=self.summary.counts,
            in_flight=load.in_flight if load else 0,
            rate=self._meter.rate(now),
            pause=max(0.0, load.next_at - now) if load else 0.0,
        )


REDRAW_SECONDS = 0.1
"""Seconds between two updates of the line."""

LOG_SECONDS = 10.0
"""Seconds between two lines without a terminal."""

_BUFFER_LIMIT = 65536
"""The most characters of results that wait for the next update of the line."""


class ProgressMode(StrEnum):
    """How progress is shown.

    Attributes:
        LINE: One line at the bottom of the terminal, updated in place.
        LOG: A plain line from time to time.
        NONE: Not at all.
    """

    LINE = "line"
    LOG = "log"
    NONE = "none"


def choose_mode(stream: TextIO, environment: Mapping[str, str], *, wanted: bool) -> ProgressMode:
    """Return how progress is shown on a stream: a line needs a terminal with escape sequences."""
    if not wanted:
        return ProgressMode.NONE
    if not stream.isatty() or environment.get("TERM") == "dumb":
        return ProgressMode.LOG
    # The console of Windows has them only in its newer terminal, or if TERM is set.
    if sys.platform == "win32" and not {"WT_SESSION", "TERM"} & environment.keys():
        return ProgressMode.LOG
    return ProgressMode.LINE


class Progress:
    """A context manager, inside an event loop, that shows the progress of a run.

    Results go through `write`. On a terminal they are buffered until the next update, and then
    shown above the line, at most ten times a second. Other output on stderr clears the line
    first, so that no text is torn. At the end the line is cleared.

    The cursor stays at the beginning of the line: a terminal that became narrower keeps it
    there, so that all rows of the wrapped line are cleared.

    Args:
        mode: How progress is shown.
        snapshot: Gives the progress now.
        emit: Writes results to stdout.
        every: Seconds between two updates; None for the default of the mode.
    """

    def __init__(
        self,
        mode: ProgressMode,
        snapshot: Callable[[], ProgressSnapshot],
        emit: Callable[[str], object],
        *,
        every: float | None = None,
    ) -> None:
        self._mode = mode
        self._snapshot = snapshot
        self._emit = emit
        default = REDRAW_SECONDS if mode is ProgressMode.LINE else LOG_SECONDS
        self._every = default if every is None else every
        self._is_buffered = mode is ProgressMode.LINE and sys.stdout.isatty()
        self._buffer: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._screen = Screen(sys.stderr)
        self._stderr = sys.stderr
        if self._mode is not ProgressMode.NONE:
            self._schedule()
        if self._mode is ProgressMode.LINE:
            sys.stderr = _StderrAboveLine(self._screen, sys.stderr)
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
        sys.stderr = self._stderr

    def write(self, text: str) -> None:
        """Write results, now or at the next update."""
        if not self._is_buffered:
            self._emit(text)
            return
        if not text:
            return
        self._buffer.append(text)
        self._size += len(text)
        if self._size > _BUFFER_LIMIT:
            self.flush()

    def flush(self) -> None:
        """Clear the line, and write the buffered results."""
        self._screen.clear()
        if self._buffer:
            text = "".join(self._buffer)
            self._buffer.clear()
            self._size = 0
            self._emit(text)

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._update)

    def _update(self) -> None:
        if self._buffer:
            self.flush()
        if self._mode is ProgressMode.LINE:
            self._screen.draw(self._snapshot())
        else:
            self._screen.write(f"{labeled(Label.NOTE, plain_line(self._snapshot()))}\n")
        self._schedule()


class Screen:
    """The bottom line of a terminal. Failures to write it are ignored."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._styler = styler_for(stream)
        self._line = ""
        self._in_other_line = False

    def draw(self, snapshot: ProgressSnapshot) -> None:
        """Draw the line, unless another job uses the terminal or other output ends in mid-line."""
        if self._in_other_line or not _in_foreground(self._stream):
            return
        line = progress_line(snapshot, columns_of(self._stream), self._styler)
        if line != self._line:
            self.write(f"\r{line}\x1b[J\r")
            self._line = line

    def clear(self) -> None:
        """Clear the line."""
        if self._line:
            self._line = ""
            self.write("\r\x1b[J")

    def write_above(self, text: str) -> None:
        """Write other output in place of the line, which is drawn again after its line break."""
        self.clear()
        if text:
            self._in_other_line = not text.endswith("\n")
        self._stream.write(text)

    def write(self, text: str) -> None:
        """Write and flush. A run does not fail because its progress cannot be shown."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


class _StderrAboveLine(io.StringIO):
    """Replaces stderr while the line is shown, and clears the line before other output.

    It stores nothing, and has no `buffer`, through which others would bypass it.
    """

    def __init__(self, screen: Screen, stream: TextIO) -> None:
        super().__init__()
        self._screen = screen
        self._stream = stream

    def isatty(self) -> bool:
        return True  # the line is shown on a terminal only

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        self._screen.write_above(text)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()


def _in_foreground(stream: TextIO) -> bool:
    """Whether this is the foreground job of the terminal."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # no controlling terminal, or Windows
        return True
