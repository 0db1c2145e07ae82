"""Progress is shown where it can be, and never in the way of anything else."""

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

VIEW = ProgressSnapshot("LOCAL", 10, Counter({Status.OK: 4}), 2, None)
LINE = " 40 %  [======          ]  LOCAL  4/10  4 ok  0 failed  2 in flight"


class Terminal(io.StringIO):
    """Both streams of a terminal that keeps what it was sent; it is 80 columns wide."""

    def isatty(self) -> bool:
        """It is one."""
        return True

    def screen(self) -> list[str]:
        """What is on it, from the top."""
        screen = pyte.Screen(80, 24)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        return "\n".join(line.rstrip() for line in screen.display).rstrip("\n").split("\n")


@pytest.fixture(autouse=True)
def colourless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


@contextmanager
def at_a_terminal(stderr: TextIO | None = None) -> Iterator[Terminal]:
    """A terminal that is stdout and stderr, unless stderr is something else."""
    terminal = Terminal()
    with redirect_stdout(terminal), redirect_stderr(stderr or terminal):
        yield terminal


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until something is so."""
    turns = asyncio.get_running_loop()
    while not true():
        passed = turns.create_future()
        turns.call_later(0.001, passed.set_result, None)
        await passed


@pytest.mark.parametrize(
    ("tty", "environment", "wanted", "form"),
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
def test_the_form_is_that_of_the_stream(
    environment: dict[str, str], form: ProgressMode, *, tty: bool, wanted: bool
) -> None:
    """A line where escapes are obeyed, a log elsewhere, nothing when it is not wanted."""
    stream = Terminal() if tty else io.StringIO()

    assert choose_mode(stream, environment, wanted=wanted) is form


async def test_results_are_above_the_line_and_the_line_goes_at_the_end() -> None:
    """Held until the next look, in order; nothing is left of the line."""
    with at_a_terminal() as terminal:
        with Progress(ProgressMode.LINE, lambda: VIEW, terminal.write, every=0.001) as progress:
            progress.write("one\n")
            assert "one" not in terminal.getvalue()
            progress.write("two\n")
            await until(lambda: "40 %" in terminal.getvalue())
            assert terminal.screen() == ["one", "two", LINE]
            progress.write("three\n")

        assert terminal.screen() == ["one", "two", "three"]
        assert sys.stderr is terminal


async def test_a_line_that_did_not_change_is_not_drawn_again() -> None:
    """The terminal stays quiet."""
    with at_a_terminal() as terminal:
        looks = []

        def look() -> ProgressSnapshot:
            looks.append(1)
            return VIEW

        with Progress(ProgressMode.LINE, look, terminal.write, every=0.001):
            await until(lambda: len(looks) > 5)

        assert terminal.getvalue().count("40 %") == 1


async def test_whatever_is_said_on_stderr_stands_on_lines_of_its_own() -> None:
    """By click, by print, by a log; the line comes back below."""
    with at_a_terminal() as terminal:
        with logging_to_stderr(None, verbose=True):
            with Progress(ProgressMode.LINE, lambda: VIEW, terminal.write, every=0.001):
                ways: list[Callable[[], object]] = [
                    lambda: click.echo("wps-run: stopping", err=True),
                    lambda: print("said", file=sys.stderr),  # noqa: T201 -- as a library would
                    lambda: logging.getLogger("wps_run.test").info("logged"),
                ]
                for say in ways:
                    await until(lambda: terminal.screen()[-1] == LINE)
                    say()
            shown = terminal.screen()

        assert shown[:2] == ["wps-run: stopping", "said"]
        assert shown[2].endswith("INFO wps_run.test logged")
        assert len(shown) == 3


async def test_the_line_waits_while_somebody_is_within_a_line() -> None:
    """A question is not overwritten."""
    with at_a_terminal() as terminal:
        screen = Screen(terminal)
        screen.write_above("Go on? ")
        screen.draw(VIEW)
        assert terminal.screen() == ["Go on?"]
        screen.write_above("y\n")
        screen.draw(VIEW)
        assert terminal.screen() == ["Go on? y", LINE]


async def test_many_results_are_not_held_for_long() -> None:
    """Memory is bounded, though nobody looks."""
    told: list[str] = []
    with (
        at_a_terminal(),
        Progress(ProgressMode.LINE, lambda: VIEW, told.append, every=3600) as progress,
    ):
        for _ in range(1000):
            progress.write("x" * 99 + "\n")

        assert len("".join(told)) > 60_000


async def test_a_log_gets_plain_lines_and_results_at_once() -> None:
    """No control characters, whatever stdout is."""
    log = io.StringIO()
    with at_a_terminal(log) as terminal:
        with Progress(ProgressMode.LOG, lambda: VIEW, terminal.write, every=0.001) as progress:
            progress.write("one\n")
            assert terminal.getvalue() == "one\n"
            await until(lambda: log.getvalue().count("\n") >= 2)

        assert set(log.getvalue().splitlines()) == {
            "wps-run: LOCAL 4/10 (40 %), 4 ok, 0 failed, 2 in flight"
        }


async def test_nothing_is_shown_when_it_is_not_wanted() -> None:
    """Results all the same."""
    with at_a_terminal() as terminal:
        with Progress(ProgressMode.NONE, lambda: VIEW, terminal.write, every=0.001) as progress:
            progress.write("one\n")
            turn = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.02, turn.set_result, None)
            await turn

        assert terminal.getvalue() == "one\n"


class Broken(Terminal):
    """A terminal whose other side is gone."""

    def write(self, text: str) -> int:
        """Fail."""
        del text
        raise OSError(5, os.strerror(5))


async def test_a_run_goes_on_though_nobody_can_watch_it() -> None:
    """A terminal that is gone ends the line, not the run."""
    told: list[str] = []
    looks = []

    def look() -> ProgressSnapshot:
        looks.append(1)
        return VIEW

    with (
        at_a_terminal(Broken()),
        Progress(ProgressMode.LINE, look, told.append, every=0.001) as progress,
    ):
        progress.write("one\n")
        await until(lambda: len(looks) > 2)

    assert told == ["one\n"]


async def test_what_is_held_is_shown_when_the_run_breaks() -> None:
    """A bug hides no results."""
    with at_a_terminal() as terminal:

        async def broken() -> None:
            with Progress(ProgressMode.LINE, lambda: VIEW, terminal.write, every=3600) as progress:
                progress.write("one\n")
                raise ValueError("broke")

        with pytest.raises(ValueError, match="broke"):
            await broken()

        assert terminal.getvalue() == "one\n"
        assert sys.stderr is terminal


HEADING = RunInfo(Destination.SERVICE, ("x.example",), ("chat",), ("p.yaml",), 100, "sequential")
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
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def end(watch: ProgressTracker, record: Result, times: int) -> None:
    """Let so many actions end alike."""
    watch.count([record] * times)


def test_what_an_earlier_part_did_and_what_is_skipped_does_not_count_for_the_rate() -> None:
    """They are done, but took no time of this part."""
    summary = Summary(Counter(), since_ms=4000.0)
    clock = Clock()
    watch = ProgressTracker(HEADING, summary, clock)

    end(watch, replace(RECORD, started_ms=100.0), 50)
    end(watch, replace(RECORD, started_ms=None, status=Status.SKIPPED), 20)
    clock.now = 2.0
    assert watch.snapshot().rate is None
    end(watch, RECORD, 4)
    clock.now = 4.0

    view = watch.snapshot()
    assert (view.done, view.percent) == (74, 74)
    assert view.rate == pytest.approx(1.0, rel=0.2)
    assert view.time_left == pytest.approx(26, rel=0.2)


def test_flights_and_pauses_are_those_of_the_playbook_under_way() -> None:
    """None before the first begins."""
    clock = Clock()
    watch = ProgressTracker(HEADING, Summary(Counter()), clock)
    assert (watch.snapshot().in_flight, watch.snapshot().pause) == (0, 0.0)
    throttle = ConcurrencyLimiter(16)
    throttle.in_flight = 4
    watch.start_plan(throttle)
    assert (watch.snapshot().in_flight, watch.snapshot().pause) == (4, 0.0)

    throttle.throttled(-1.0, 0.0, 12.0)
    clock.now = 2.0

    assert watch.snapshot().pause == 10.0
    watch.start_plan(ConcurrencyLimiter(1))
    assert (watch.snapshot().in_flight, watch.snapshot().pause) == (0, 0.0)
