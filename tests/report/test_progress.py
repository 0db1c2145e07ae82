"""Rate and time left are plausible at every moment, and the line fits every terminal."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.connect.reply import MAX_RETRY_AFTER, Reply
from wps_run.execution.limits import Wait
from wps_run.execution.result import Status
from wps_run.report.progress import (
    ProgressSnapshot,
    RateMeter,
    format_duration,
    plain_line,
    progress_line,
    wait_line,
)
from wps_run.text import Style, display_width


def snapshot(**changes: Any) -> ProgressSnapshot:
    """Make a snapshot of a run in progress."""
    counts: Counter[str] = Counter({Status.OK: 4200, Status.FAILED: 12})
    return replace(ProgressSnapshot("SERVICE", 10_000, counts, 16, 512.3), **changes)


def steady_meter(rate: float, seconds: float, *, start: float = 0.0) -> tuple[RateMeter, float]:
    """Make a meter of a constant rate, read ten times per second; return it and the time."""
    meter, now, due = RateMeter(start), start, 0.0
    while now < start + seconds:
        now += 0.1
        due += rate * 0.1
        while due >= 1:
            meter.add()
            due -= 1
        meter.rate(now)
    return meter, now


@pytest.mark.parametrize("rate", [0.5, 1.0, 20.0, 900.0])
def test_a_constant_rate_is_measured_exactly(rate: float) -> None:
    """Early and late."""
    for seconds in (10.0, 100.0):
        meter, now = steady_meter(rate, seconds)
        assert meter.rate(now) == pytest.approx(rate, rel=0.15)


def test_the_rate_is_unknown_at_first() -> None:
    """A tenth of a second is too short for a rate."""
    meter = RateMeter(100.0)
    meter.add()

    assert meter.rate(100.0) is None
    assert meter.rate(100.5) is None
    assert meter.rate(101.0) == pytest.approx(1.0, rel=0.1)


def test_the_rate_follows_a_change() -> None:
    """Recent actions weigh most."""
    meter, now = steady_meter(100.0, 60.0)
    for _ in range(600):
        now += 0.1
        meter.add()
        meter.rate(now)

    assert meter.rate(now) == pytest.approx(10.0, rel=0.25)


def test_a_pause_lowers_the_rate_and_a_long_one_makes_it_unknown() -> None:
    """The time left grows while no action ends."""
    meter, now = steady_meter(100.0, 30.0)
    rates = [meter.rate(now + pause) for pause in (5, 10, 20, 40, 600)]

    known = [rate for rate in rates if rate is not None]
    assert known == sorted(known, reverse=True)
    assert known[0] < 100
    assert rates[-1] is None


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 1e6), st.integers(0, 50)),
        max_size=30,
    ),
    total=st.integers(0, 10**9),
    done=st.integers(0, 10**9),
    pause=st.floats(0, 3600),
)
def test_no_history_makes_an_invalid_rate_or_time(
    steps: list[tuple[float, int]], total: int, done: int, pause: float
) -> None:
    """Never negative, infinite or NaN; the line can always be formatted."""
    meter, now = RateMeter(0.0), 0.0
    for passed, ended in steps:
        now += passed
        for _ in range(ended):
            meter.add()
        rate = meter.rate(now)
        assert rate is None or (rate > 0 and math.isfinite(rate))
        current = snapshot(rate=rate, total=total, counts=Counter({Status.OK: done}), pause=pause)
        assert current.time_left is None or (
            current.time_left >= 0 and math.isfinite(current.time_left)
        )
        assert current.percent >= 0
        progress_line(current, 80)
        plain_line(current)


def test_a_clock_that_stands_still_causes_no_division_by_zero() -> None:
    """Reading twice at one moment has the effect of reading once."""
    meter = RateMeter(5.0)
    meter.add()

    assert [meter.rate(5.0), meter.rate(5.0)] == [None, None]
    assert meter.rate(7.0) == pytest.approx(0.5, rel=0.1)


def test_percent_is_rounded_down() -> None:
    """100 means all."""
    assert snapshot(total=10_000, counts=Counter({Status.OK: 9_999})).percent == 99
    assert snapshot(total=1, counts=Counter({Status.OK: 1})).percent == 100
    assert snapshot(total=0, counts=Counter()).percent == 100


LINES = {
    200: " 42 %  [======          ]  SERVICE  4,212/10,000  4,200 ok  12 failed  16 in flight"
    "  512/s  12 s left",
    80: " 42 %  SERVICE  4,212/10,000  4,200 ok  12 failed  512/s  12 s left",
    40: " 42 %  SERVICE  4,212/10,000  12 failed",
    20: " 42 %  4,212/10,000",
    6: " 42 %",
    5: "",
    0: "",
}


@pytest.mark.parametrize(("columns", "line"), LINES.items())
def test_a_narrow_terminal_shows_the_most_important_parts(columns: int, line: str) -> None:
    """No part is cut."""
    assert progress_line(snapshot(), columns) == line


@given(columns=st.integers(-1, 300), done=st.integers(0, 10**12), in_flight=st.integers(0, 1000))
def test_the_line_never_fills_the_last_column(columns: int, done: int, in_flight: int) -> None:
    """Some terminals wrap a full line."""
    current = snapshot(total=10**12, counts=Counter({Status.UNKNOWN: done}), in_flight=in_flight)

    assert display_width(progress_line(current, columns)) <= max(0, columns - 1)


def test_a_pause_that_the_service_requested_is_shown() -> None:
    """In place of the requests in flight; the time left is never shorter than the pause."""
    waiting = snapshot(pause=41.5, rate=4000.0)

    assert "waiting 42 s  as the service requested" in progress_line(waiting, 110)
    assert "42 s left" in progress_line(waiting, 110)
    assert "in flight" not in progress_line(waiting, 110)
    assert "waiting 42 s" in progress_line(waiting, 60)


def test_unknown_and_skipped_are_shown_when_there_are_any() -> None:
    """Only then."""
    counts = Counter({Status.OK: 1, Status.UNKNOWN: 2, Status.SKIPPED: 3})

    assert "  2 unknown  3 skipped  " in progress_line(snapshot(counts=counts), 110)
    assert "unknown" not in progress_line(snapshot(), 110)


def test_colors_do_not_change_which_parts_fit() -> None:
    """They take no columns."""

    def marked(style: Style, text: str) -> str:
        return f"\x1b[{len(style)}m{text}\x1b[0m"

    for columns in (200, 80, 40):
        line = progress_line(snapshot(), columns, marked)
        for style in Style:
            line = line.replace(f"\x1b[{len(style)}m", "")
        assert line.replace("\x1b[0m", "") == LINES[columns]


def test_a_log_gets_a_plain_line() -> None:
    """Complete, whatever its length."""
    assert plain_line(snapshot()) == (
        "SERVICE 4,212/10,000 (42 %), 4,200 ok, 12 failed, 16 in flight, 512/s, 12 s left"
    )
    assert "waiting 3 s as the service requested" in plain_line(snapshot(pause=2.5))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.2, "1 s"),
        (59.5, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (86_399, "23 h 59 min"),
        (90_000, "1 d 1 h"),
        (1e9, "11,574 d 1 h"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    """Rounded up."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(0.25, "0.25/s"), (7.54, "7.5/s"), (99.9, "99.9/s"), (1234.5, "1,234/s")]
)
def test_rates_have_about_three_digits(rate: float, text: str) -> None:
    """More digits would not be exact."""
    assert f"  {text}" in progress_line(snapshot(rate=rate), 110)


@pytest.mark.parametrize(
    ("wait", "line"),
    [
        (
            Wait(30.0, Reply(429, retry_after=30.0), of_run=True),
            (
                "waiting 30 s before the next request: "
                "the response was 429 Too Many Requests with a Retry-After of 30 s"
            ),
        ),
        (
            Wait(3600.2, Reply(503, retry_after=MAX_RETRY_AFTER), of_run=True),
            (
                "waiting 1 h before the next request: the response was 503 Service Unavailable "
                "with a Retry-After of 1 h or more, which is limited to 1 h"
            ),
        ),
        (
            Wait(12.0, Reply(500, retry_after=11.0), of_run=False),
            (
                "waiting 12 s before another attempt of an action: "
                "the response was 500 Internal Server Error with a Retry-After of 11 s"
            ),
        ),
        (
            Wait(4.5, Reply(503), of_run=True),
            "waiting 5 s before the next request: the response was 503 Service Unavailable",
        ),
    ],
)
def test_line_says_how_long_a_run_waits_and_why(wait: Wait, line: str) -> None:
    assert wait_line(wait) == line
