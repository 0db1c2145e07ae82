"""The pace, on a clock that the test turns."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runner.execution.throttle import Pace


@given(
    rate=st.floats(0.1, 10_000),
    pauses=st.lists(st.floats(0, 2), min_size=2, max_size=60),
)
def test_no_two_starts_are_nearer_than_the_rate_allows(rate: float, pauses: list[float]) -> None:
    """Smooth: neither after a pause nor at the beginning is there a burst."""
    pace, now, starts = Pace(rate), 0.0, []
    for pause in pauses:
        now += pause
        starts.append(now + pace.reserve(now))

    assert all(late - early >= 0.999 / rate for early, late in pairwise(starts))


def test_whoever_asks_late_starts_at_once() -> None:
    """A free moment is not waited for."""
    pace = Pace(10)

    assert [pace.reserve(0.0), pace.reserve(0.05), pace.reserve(5.0)] == [0.0, 0.05, 0.0]


def test_without_a_rate_nobody_waits() -> None:
    """No limit is the default."""
    pace = Pace(None)

    assert [pace.reserve(1.0) for _ in range(3)] == [0.0] * 3
