"""Rate and time left are sensible at every moment, and the line fits every terminal."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.execution.result import Status
from wps_run.report.progress import (
    ProgressSnapshot,
    RateMeter,
    format_duration,
    plain_line,
    progress_line,
)
from wps_run.text import Style, display_width


def view(**changes: Any) -> ProgressSnapshot:
    """A run in the middle."""
    counts = Counter({Status.OK: 4200, Status.FAILED: 12})
    return replace(ProgressSnapshot("SERVICE", 10_000, counts, 16, 512.3), **changes)


def steady(rate: float, seconds: float, *, start: float = 0.0) -> tuple[RateMeter, float]:
    """A meter that has seen so many actions a second, looked at ten times a second."""
    meter, now, owed = RateMeter(start), start, 0.0
    while now < start + seconds:
        now += 0.1
        owed += rate * 0.1
        while owed >= 1:
            meter.add()
            owed -= 1
        meter.rate(now)
    return meter, now


@pytest.mark.parametrize("rate", [0.5, 1.0, 20.0, 900.0])
def test_a_steady_rate_is_told_as_it_is(rate: float) -> None:
    """Early and late."""
    for seconds in (10.0, 100.0):
        meter, now = steady(rate, seconds)
        assert meter.rate(now) == pytest.approx(rate, rel=0.15)


def test_the_first_moments_tell_no_rate() -> None:
    """A guess after a tenth of a second is worth nothing."""
    meter = RateMeter(100.0)
    meter.add()

    assert meter.rate(100.0) is None
    assert meter.rate(100.5) is None
    assert meter.rate(101.0) == pytest.approx(1.0, rel=0.1)


def test_a_new_rate_is_believed_after_a_while() -> None:
    """The latest weighs most."""
    meter, now = steady(100.0, 60.0)
    for _ in range(600):
        now += 0.1
        meter.add()
        meter.rate(now)

    assert meter.rate(now) == pytest.approx(10.0, rel=0.25)


def test_a_pause_lowers_the_rate_and_a_long_one_makes_it_unknown() -> None:
    """Time left grows while nothing ends; it never jumps to nonsense."""
    meter, now = steady(100.0, 30.0)
    seen = [meter.rate(now + pause) for pause in (5, 10, 20, 40, 600)]

    told = [one for one in seen if one is not None]
    assert told == sorted(told, reverse=True)
    assert told[0] < 100
    assert seen[-1] is None


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 1e6), st.integers(0, 50)),
        max_size=30,
    ),
    total=st.integers(0, 10**9),
    done=st.integers(0, 10**9),
    pause=st.floats(0, 3600),
)
def test_no_history_makes_a_rate_or_a_time_that_is_none(
    steps: list[tuple[float, int]], total: int, done: int, pause: float
) -> None:
    """Never negative, infinite or not a number; the line can always be made."""
    meter, now = RateMeter(0.0), 0.0
    for passed, ended in steps:
        now += passed
        for _ in range(ended):
            meter.add()
        rate = meter.rate(now)
        assert rate is None or (rate > 0 and math.isfinite(rate))
        seen = view(rate=rate, total=total, counts=Counter({Status.OK: done}), pause=pause)
        assert seen.time_left is None or (seen.time_left >= 0 and math.isfinite(seen.time_left))
        assert seen.percent >= 0
        progress_line(seen, 80)
        plain_line(seen)


def test_a_clock_that_stands_still_divides_nothing_by_zero() -> None:
    """Two looks at one moment are one."""
    meter = RateMeter(5.0)
    meter.add()

    assert [meter.rate(5.0), meter.rate(5.0)] == [None, None]
    assert meter.rate(7.0) == pytest.approx(0.5, rel=0.1)


def test_percent_is_rounded_down() -> None:
    """A hundred means all."""
    assert view(total=10_000, counts=Counter({Status.OK: 9_999})).percent == 99
    assert view(total=1, counts=Counter({Status.OK: 1})).percent == 100
    assert view(total=0, counts=Counter()).percent == 100


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
def test_the_line_gives_way_part_by_part(columns: int, line: str) -> None:
    """What matters most stays longest; nothing is cut through."""
    assert progress_line(view(), columns) == line


@given(columns=st.integers(-1, 300), done=st.integers(0, 10**12), flying=st.integers(0, 1000))
def test_the_line_never_fills_the_last_column(columns: int, done: int, flying: int) -> None:
    """Some terminals would wrap it."""
    seen = view(total=10**12, counts=Counter({Status.UNKNOWN: done}), in_flight=flying)

    assert display_width(progress_line(seen, columns)) <= max(0, columns - 1)


def test_a_pause_that_the_service_asked_for_is_told() -> None:
    """Instead of what is in flight; the time left is never shorter than the pause."""
    waiting = view(pause=41.5, rate=4000.0)

    assert "waiting 42 s  as the service requested" in progress_line(waiting, 110)
    assert "42 s left" in progress_line(waiting, 110)
    assert "in flight" not in progress_line(waiting, 110)
    assert "waiting 42 s" in progress_line(waiting, 60)


def test_unknown_and_skipped_are_told_when_there_are_any() -> None:
    """And only then."""
    counts = Counter({Status.OK: 1, Status.UNKNOWN: 2, Status.SKIPPED: 3})

    assert "  2 unknown  3 skipped  " in progress_line(view(counts=counts), 110)
    assert "unknown" not in progress_line(view(), 110)


def test_colours_do_not_change_what_fits() -> None:
    """They take no room."""

    def marked(style: Style, text: str) -> str:
        return f"\x1b[{len(style)}m{text}\x1b[0m"

    for columns in (200, 80, 40):
        line = progress_line(view(), columns, marked)
        for style in Style:
            line = line.replace(f"\x1b[{len(style)}m", "")
        assert line.replace("\x1b[0m", "") == LINES[columns]


def test_a_log_gets_a_line_without_ornaments() -> None:
    """Whole, whatever its length."""
    assert plain_line(view()) == (
        "SERVICE 4,212/10,000 (42 %), 4,200 ok, 12 failed, 16 in flight, 512/s, 12 s left"
    )
    assert "waiting 3 s as the service requested" in plain_line(view(pause=2.5))


@pytest.mark.parametrize(
    ("seconds", "words"),
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
def test_times_are_told_in_their_two_largest_units(seconds: float, words: str) -> None:
    """Rounded up."""
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("rate", "words"), [(0.25, "0.25/s"), (7.54, "7.5/s"), (99.9, "99.9/s"), (1234.5, "1,234/s")]
)
def test_rates_have_as_many_digits_as_tell_something(rate: float, words: str) -> None:
    """Not more."""
    assert f"  {words}" in progress_line(view(rate=rate), 110)
