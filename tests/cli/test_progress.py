"""Progress is shown where the stream allows it, and never disturbs output or the run."""

import asyncio
import io
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from typing import Any, TextIO

import click
import pytest
from msgspec.structs import replace

from wps_run.cli.logs import logging_to_stderr
from wps_run.cli.progress import Progress, ProgressMode, ProgressTracker, Screen, choose_mode
from wps_run.execution.limits import ConcurrencyLimiter
from wps_run.execution.result import Result, Status
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.report.progress import ProgressSnapshot

pyte: Any = import_module("pyte")

SNAPSHOT = ProgressSnapshot("LOCAL", 10, Counter({Status.OK: 4}), 2, None)
LINE = " 40 %  [======          ]  LOCAL  4/10  4 ok  0 failed  2 in flight"


class Terminal(io.StringIO):
    """A terminal of 80 columns for both streams; it records what is written."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """Return the lines on the screen, from the top."""
        screen = pyte.Screen(80, 24)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        return "\n".join(line.rstrip() for line in screen.display).rstrip("\n").split("\n")


@pytest.fixture(autouse=True)
def no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


@contextmanager
def at_a_terminal(stderr: TextIO | None = None) -> Iterator[Terminal]:
    """Make stdout and stderr a terminal, unless another stderr is given."""
    terminal = Terminal()
    with redirect_stdout(terminal), redirect_stderr(stderr or terminal):
        yield terminal


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until a condition is true."""
    loop = asyncio.get_running_loop()
    while not condition():
        timer = loop.create_future()
        loop.call_later(0.001, timer.set_result, None)
        await timer


@pytest.mark.parametrize(
    ("tty", "environment", "is_wanted", "mode"),
    [
        (True, {}, True, ProgressMode.LINE),
        (True, {"TERM": "xterm"}, True, ProgressMode.LINE),
        (True, {"TERM": "dumb"}, True, ProgressMode.LOG),
        (False, {}, True, ProgressMode.LOG),
        (True, {}, False, ProgressMode.NONE),
        (False, {}, False, ProgressMode.NONE),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="its old console obeys no escapes")
def test_mode_depends_on_the_stream(
    environment: dict[str, str], mode: ProgressMode, *, tty: bool, is_wanted: bool
) -> None:
    """A line where escapes work, a log elsewhere, nothing if it is not wanted."""
    stream = Terminal() if tty else io.StringIO()

    assert choose_mode(stream, environment, wanted=is_wanted) is mode


async def test_results_are_above_the_line_which_is_removed_at_the_end() -> None:
    """They are held until the next refresh, and stay in order."""
    with at_a_terminal() as terminal:
        with Progress(ProgressMode.LINE, lambda: SNAPSHOT, terminal.write, every=0.001) as progress:
            progress.write("one\n")
            assert "one" not in terminal.getvalue()
            progress.write("two\n")
            await until(lambda: "40 %" in terminal.getvalue())
            assert terminal.screen() == ["one", "two", LINE]
            progress.write("three\n")

        assert terminal.screen() == ["one", "two", "three"]
        assert sys.stderr is terminal


async def test_unchanged_line_is_not_drawn_again() -> None:
    with at_a_terminal() as terminal:
        calls = []

        def snapshot() -> ProgressSnapshot:
            calls.append(1)
            return SNAPSHOT

        with Progress(ProgressMode.LINE, snapshot, terminal.write, every=0.001):
            await until(lambda: len(calls) > 5)

        assert terminal.getvalue().count("40 %") == 1


async def test_other_output_on_stderr_has_its_own_lines() -> None:
    """By click, print or logging; the line is drawn again below."""
    with at_a_terminal() as terminal:
        with logging_to_stderr(None, verbose=True):
            with Progress(ProgressMode.LINE, lambda: SNAPSHOT, terminal.write, every=0.001):
                writers: list[Callable[[], object]] = [
                    lambda: click.echo("note: stopping", err=True),
                    lambda: print("said", file=sys.stderr),  # noqa: T201 -- as a library would
                    lambda: logging.getLogger("wps_run.test").info("logged"),
                ]
                for print_line in writers:
                    await until(lambda: terminal.screen()[-1] == LINE)
                    print_line()
            shown = terminal.screen()

        assert shown[:2] == ["note: stopping", "said"]
        assert shown[2].endswith("INFO wps_run.test logged")
        assert len(shown) == 3


async def test_line_is_not_drawn_after_an_incomplete_line() -> None:
    """A prompt is not overwritten."""
    with at_a_terminal() as terminal:
        screen = Screen(terminal)
        screen.write_above("Go on? ")
        screen.draw(SNAPSHOT)
        assert terminal.screen() == ["Go on?"]
        screen.write_above("y\n")
        screen.draw(SNAPSHOT)
        assert terminal.screen() == ["Go on? y", LINE]


async def test_results_that_are_held_are_bounded() -> None:
    output: list[str] = []
    with (
        at_a_terminal(),
        Progress(ProgressMode.LINE, lambda: SNAPSHOT, output.append, every=3600) as progress,
    ):
        for _ in range(1000):
            progress.write("x" * 99 + "\n")

        assert len("".join(output)) > 60_000


async def test_log_has_plain_lines_and_results_at_once() -> None:
    """No control characters, whatever stdout is."""
    log = io.StringIO()
    with at_a_terminal(log) as terminal:
        with Progress(ProgressMode.LOG, lambda: SNAPSHOT, terminal.write, every=0.001) as progress:
            progress.write("one\n")
            assert terminal.getvalue() == "one\n"
            await until(lambda: log.getvalue().count("\n") >= 2)

        assert set(log.getvalue().splitlines()) == {
            "note: LOCAL 4/10 (40 %), 4 ok, 0 failed, 2 in flight"
        }


async def test_results_are_written_without_progress() -> None:
    with at_a_terminal() as terminal:
        with Progress(ProgressMode.NONE, lambda: SNAPSHOT, terminal.write, every=0.001) as progress:
            progress.write("one\n")
            timer = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.02, timer.set_result, None)
            await timer

        assert terminal.getvalue() == "one\n"


class BrokenTerminal(Terminal):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        """Fail."""
        del text
        raise OSError(5, os.strerror(5))


async def test_run_continues_when_its_terminal_is_closed() -> None:
    output: list[str] = []
    calls = []

    def snapshot() -> ProgressSnapshot:
        calls.append(1)
        return SNAPSHOT

    with (
        at_a_terminal(BrokenTerminal()),
        Progress(ProgressMode.LINE, snapshot, output.append, every=0.001) as progress,
    ):
        progress.write("one\n")
        await until(lambda: len(calls) > 2)

    assert output == ["one\n"]


async def test_held_results_are_written_when_the_run_fails() -> None:
    with at_a_terminal() as terminal:

        async def broken() -> None:
            with Progress(
                ProgressMode.LINE, lambda: SNAPSHOT, terminal.write, every=3600
            ) as progress:
                progress.write("one\n")
                raise ValueError("broke")

        with pytest.raises(ValueError, match="broke"):
            await broken()

        assert terminal.getvalue() == "one\n"
        assert sys.stderr is terminal


RUN_INFO = RunInfo(Destination.SERVICE, ("x.example",), ("chat",), ("p.yaml",), 100, "sequential")
RECORD = Result(
    index=0,
    action=0,
    item=None,
    action_name="addUserToGroup",
    name=None,
    target={"userId": "ada", "group": "red"},
    source="p.yaml:3",
    status=Status.OK,
    http_status=200,
    attempts=1,
    duration_ms=3.0,
    request_id="id",
    error=None,
    started_ms=5000.0,
)


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return its time in seconds."""
        return self.now


def end_actions(tracker: ProgressTracker, record: Result, times: int) -> None:
    """Count the results of so many actions."""
    for _ in range(times):
        tracker.summary.count(record)
    tracker.count([record] * times)


def test_rate_excludes_earlier_and_skipped_results() -> None:
    """They are done, but took no time of this run."""
    summary = Summary(Counter(), since_ms=4000.0)
    clock = Clock()
    tracker = ProgressTracker(RUN_INFO, summary, clock)

    end_actions(tracker, replace(RECORD, started_ms=100.0), 50)
    end_actions(tracker, replace(RECORD, started_ms=None, status=Status.SKIPPED), 20)
    clock.now = 2.0
    assert tracker.snapshot().rate is None
    end_actions(tracker, RECORD, 4)
    clock.now = 4.0

    snapshot = tracker.snapshot()
    assert (snapshot.done, snapshot.percent) == (74, 74)
    assert snapshot.rate == pytest.approx(1.0, rel=0.2)
    assert snapshot.time_left == pytest.approx(26, rel=0.2)


def test_requests_in_flight_and_pause_are_those_of_the_current_playbook() -> None:
    clock = Clock()
    tracker = ProgressTracker(RUN_INFO, Summary(Counter()), clock)
    assert (tracker.snapshot().in_flight, tracker.snapshot().pause) == (0, 0.0)
    limiter = ConcurrencyLimiter(16)
    limiter.in_flight = 4
    tracker.start_plan(limiter)
    assert (tracker.snapshot().in_flight, tracker.snapshot().pause) == (4, 0.0)

    limiter.throttled(-1.0, 0.0, 12.0)
    clock.now = 2.0

    assert tracker.snapshot().pause == 10.0
    tracker.start_plan(ConcurrencyLimiter(1))
    assert (tracker.snapshot().in_flight, tracker.snapshot().pause) == (0, 0.0)
