"""Rate and concurrency limits, with times that the test sets."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.connect.reply import NoReply, Outcome, Reply
from wps_run.execution.limits import (
    LATE,
    NOTICE_INTERVAL,
    ConcurrencyLimiter,
    RateLimiter,
    WaitNotices,
    is_throttling,
)


@given(
    rate=st.floats(0.1, 10_000),
    pauses=st.lists(st.floats(0, 2), min_size=2, max_size=60),
)
def test_starts_are_never_closer_than_the_rate_allows(rate: float, pauses: list[float]) -> None:
    """There is no burst, neither after a pause nor at the beginning."""
    limiter, now, starts = RateLimiter(rate), 0.0, []
    for pause in pauses:
        now = max(now + pause, limiter.next_at)
        limiter.reserve(now)
        starts.append(now)

    assert all(late - early >= 0.999 / rate - LATE for early, late in pairwise(starts))
    assert starts[-1] - starts[0] >= 0.999 * (len(starts) - 1) / rate - LATE


def test_late_timer_does_not_lower_the_rate() -> None:
    limiter, now = RateLimiter(500), 0.0
    for _ in range(100):
        limiter.reserve(now)
        now = limiter.next_at + 0.002

    assert limiter.next_at == pytest.approx(100 / 500)


def test_unused_time_is_not_accumulated() -> None:
    limiter = RateLimiter(10)
    limiter.reserve(0.0)
    assert limiter.next_at == pytest.approx(0.1)
    limiter.reserve(5.0)
    assert limiter.next_at == pytest.approx(5.1)


def test_no_rate_means_no_wait() -> None:
    limiter = RateLimiter(None)
    limiter.reserve(1.0)

    assert limiter.next_at == -math.inf


def at_limit(most: int) -> ConcurrencyLimiter:
    limiter = ConcurrencyLimiter(most)
    limiter.in_flight = most
    return limiter


def test_throttling_halves_the_limit_and_pauses_all_requests() -> None:
    limiter = at_limit(16)
    limiter.throttled(sent=1.0, now=2.0, pause=5.0)

    assert (limiter.limit, limiter.next_at) == (8, 7.0)


def test_throttling_halves_the_requests_in_flight_not_the_limit() -> None:
    limiter = ConcurrencyLimiter(1000)
    limiter.in_flight = 6
    limiter.throttled(sent=1.0, now=2.0, pause=0.0)

    assert limiter.limit == 3


def test_throttling_of_requests_sent_before_the_first_refusal_counts_once() -> None:
    """The longest pause applies."""
    limiter = at_limit(16)
    for number in range(16):
        limiter.throttled(sent=1.0 + number / 100, now=2.0 + number / 100, pause=1.0)

    assert limiter.limit == 8
    assert limiter.next_at == pytest.approx(3.15)


def test_later_throttling_halves_again_down_to_one() -> None:
    limiter, limits = at_limit(5), []
    for now in (1.0, 2.0, 3.0, 4.0):
        limiter.throttled(sent=now - 0.5, now=now, pause=0.0)
        limits.append(limiter.limit)

    assert limits == [2, 1, 1, 1]


def test_limit_grows_by_one_per_limit_of_accepted_requests() -> None:
    """Additive increase: 2 responses for the third slot, 3 for the fourth, and no further."""
    limiter = at_limit(4)
    limiter.throttled(sent=0.0, now=1.0, pause=0.0)
    limits = []
    for _ in range(8):
        limiter.accepted(sent=1.5)
        limits.append(limiter.limit)

    assert limits == [2, 3, 3, 3, 4, 4, 4, 4]


def test_response_to_an_earlier_request_does_not_raise_the_limit() -> None:
    limiter = at_limit(2)
    limiter.throttled(sent=0.0, now=1.0, pause=0.0)
    for _ in range(9):
        limiter.accepted(sent=0.9)

    assert limiter.limit == 1


@given(
    most=st.integers(1, 1000),
    events=st.lists(st.tuples(st.booleans(), st.floats(0, 3), st.floats(0, 60)), max_size=80),
)
def test_limit_stays_within_its_bounds(most: int, events: list[tuple[bool, float, float]]) -> None:
    """And the end of a pause never moves back."""
    limiter, now = at_limit(most), 0.0
    for accepted, elapsed, pause in events:
        limit_before, next_before, now = limiter.limit, limiter.next_at, now + elapsed
        if accepted:
            limiter.accepted(now - elapsed / 2)
            assert limiter.limit - limit_before in {0, 1}
        else:
            limiter.throttled(now - elapsed / 2, now, pause)
        assert 1 <= limiter.limit <= most
        assert limiter.next_at >= next_before


def test_limiter_is_full_at_its_limit() -> None:
    limiter = ConcurrencyLimiter(2)
    limiter.in_flight = 1
    assert not limiter.is_full
    limiter.in_flight = 2
    assert limiter.is_full


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Reply(429), True),
        (Reply(503), True),
        *((Reply(status), False) for status in (200, 404, 408, 500, 502)),
        (NoReply(sent=True, code="timeout", message="m"), False),
    ],
)
def test_429_and_503_are_throttling(outcome: Outcome, *, expected: bool) -> None:
    assert is_throttling(outcome) is expected


def test_wait_is_reported_once_although_many_responses_cause_it() -> None:
    notices = WaitNotices()

    assert notices.is_due(0.0, 30.0)
    assert not any(notices.is_due(number / 20, 30.0) for number in range(20))


def test_wait_that_becomes_much_longer_is_reported_at_once() -> None:
    notices = WaitNotices()

    assert notices.is_due(0.0, 2.0)
    assert notices.is_due(0.1, 3600.0)
    assert not notices.is_due(0.2, 3600.0)
    assert not notices.is_due(0.3, 2.0)


def test_short_waits_are_reported_from_time_to_time() -> None:
    """One after the other, as when the service throttles for minutes."""
    notices = WaitNotices()

    reported = [now for now in range(0, 60, 2) if notices.is_due(float(now), 2.0)]

    assert reported == [0, 10, 20, 30, 40, 50]
    assert not notices.is_due(100.0, 0.9)


@given(events=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3600)), max_size=200))
def test_every_long_wait_is_covered_by_a_report(events: list[tuple[float, float]]) -> None:
    notices, now, until = WaitNotices(), 0.0, -math.inf
    for elapsed, seconds in events:
        now += elapsed
        if notices.is_due(now, seconds):
            until = now + seconds
        assert seconds <= NOTICE_INTERVAL or now + seconds <= until + NOTICE_INTERVAL
