"""RateLimiter and throttle, on a clock that the test turns."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.connect.reply import NoReply, Outcome, Reply
from wps_run.execution.limits import LATE, ConcurrencyLimiter, RateLimiter, is_throttling


@given(
    rate=st.floats(0.1, 10_000),
    pauses=st.lists(st.floats(0, 2), min_size=2, max_size=60),
)
def test_no_two_starts_are_nearer_than_the_rate_allows(rate: float, pauses: list[float]) -> None:
    """Smooth: neither after a pause nor at the beginning is there a burst."""
    pace, now, starts = RateLimiter(rate), 0.0, []
    for pause in pauses:
        now = max(now + pause, pace.next_at)
        pace.reserve(now)
        starts.append(now)

    assert all(late - early >= 0.999 / rate - LATE for early, late in pairwise(starts))
    assert starts[-1] - starts[0] >= 0.999 * (len(starts) - 1) / rate - LATE


def test_a_late_timer_does_not_lower_the_rate() -> None:
    """Each start two milliseconds late: the hundredth is still where the rate has it."""
    pace, now = RateLimiter(500), 0.0
    for _ in range(100):
        pace.reserve(now)
        now = pace.next_at + 0.002

    assert pace.next_at == pytest.approx(100 / 500)


def test_whoever_asks_late_starts_at_once() -> None:
    """A free moment is not waited for, and not made up for."""
    pace = RateLimiter(10)
    pace.reserve(0.0)
    assert pace.next_at == pytest.approx(0.1)
    pace.reserve(5.0)
    assert pace.next_at == pytest.approx(5.1)


def test_without_a_rate_nobody_waits() -> None:
    """No limit is the default."""
    pace = RateLimiter(None)
    pace.reserve(1.0)

    assert pace.next_at == -math.inf


def flying(most: int) -> ConcurrencyLimiter:
    throttle = ConcurrencyLimiter(most)
    throttle.in_flight = most
    return throttle


def test_a_refusal_halves_what_may_be_in_flight_and_makes_all_wait() -> None:
    """As long as the service says."""
    throttle = flying(16)
    throttle.throttled(sent=1.0, now=2.0, pause=5.0)

    assert (throttle.limit, throttle.next_at) == (8, 7.0)


def test_what_is_in_flight_counts_not_what_might_be() -> None:
    """A thousand that may fly while six do: three is half."""
    throttle = ConcurrencyLimiter(1000)
    throttle.in_flight = 6
    throttle.throttled(sent=1.0, now=2.0, pause=0.0)

    assert throttle.limit == 3


def test_a_burst_of_refusals_is_one() -> None:
    """All of them were sent before the first answer came; the longest pause is kept."""
    throttle = flying(16)
    for number in range(16):
        throttle.throttled(sent=1.0 + number / 100, now=2.0 + number / 100, pause=1.0)

    assert throttle.limit == 8
    assert throttle.next_at == pytest.approx(3.15)


def test_a_refusal_of_what_was_sent_later_halves_again_but_not_below_one() -> None:
    """The service still bears less."""
    throttle, windows = flying(5), []
    for now in (1.0, 2.0, 3.0, 4.0):
        throttle.throttled(sent=now - 0.5, now=now, pause=0.0)
        windows.append(throttle.limit)

    assert windows == [2, 1, 1, 1]


def test_each_window_that_is_borne_widens_it_by_one_up_to_the_most() -> None:
    """Additive increase: 2 answers for the third place, 3 for the fourth, and no further."""
    throttle = flying(4)
    throttle.throttled(sent=0.0, now=1.0, pause=0.0)
    windows = []
    for _ in range(8):
        throttle.accepted(sent=1.5)
        windows.append(throttle.limit)

    assert windows == [2, 3, 3, 3, 4, 4, 4, 4]


def test_answers_to_what_was_sent_before_it_halved_widen_nothing() -> None:
    """They say what the service bore before."""
    throttle = flying(2)
    throttle.throttled(sent=0.0, now=1.0, pause=0.0)
    for _ in range(9):
        throttle.accepted(sent=0.9)

    assert throttle.limit == 1


@given(
    most=st.integers(1, 1000),
    events=st.lists(st.tuples(st.booleans(), st.floats(0, 3), st.floats(0, 60)), max_size=80),
)
def test_the_window_stays_within_its_bounds(
    most: int, events: list[tuple[bool, float, float]]
) -> None:
    """Whatever comes: at least one may fly, never more than allowed, and time never goes back."""
    throttle, now = flying(most), 0.0
    for borne, passed, pause in events:
        before, opens, now = throttle.limit, throttle.next_at, now + passed
        if borne:
            throttle.accepted(now - passed / 2)
            assert throttle.limit - before in {0, 1}
        else:
            throttle.throttled(now - passed / 2, now, pause)
        assert 1 <= throttle.limit <= most
        assert throttle.next_at >= opens


def test_it_is_full_when_as_many_fly_as_may() -> None:
    """The next one waits for an answer."""
    throttle = ConcurrencyLimiter(2)
    throttle.in_flight = 1
    assert not throttle.is_full
    throttle.in_flight = 2
    assert throttle.is_full


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Reply(429), True),
        (Reply(503), True),
        *((Reply(status), False) for status in (200, 404, 408, 500, 502)),
        (NoReply(sent=True, code="timeout", message="m"), False),
    ],
)
def test_429_and_503_say_that_too_much_is_asked(outcome: Outcome, *, expected: bool) -> None:
    """Other trouble is the action's own."""
    assert is_throttling(outcome) is expected
