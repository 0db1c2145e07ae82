"""Percentiles are right, in whatever order and however many durations come."""

import random
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.execution.latency import EXACT, Latency

MILLISECONDS = st.lists(st.integers(0, 10**9).map(lambda number: number / 1000), min_size=1)


def latency(durations: list[float]) -> Latency:
    """These durations, counted."""
    made = Latency()
    for duration in durations:
        made.add(duration)
    return made


@given(durations=MILLISECONDS, percent=st.integers(1, 100))
def test_few_durations_are_exact(durations: list[float], percent: int) -> None:
    """By nearest rank, which is one of them."""
    expected = sorted(durations)[ceil(len(durations) * percent / 100) - 1]

    assert latency(durations).percentile(percent) == expected
    assert latency(durations).most == max(durations)


@pytest.mark.parametrize("percent", [1, 50, 90, 99, 100])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_durations_are_within_half_a_percent(seed: int, percent: int) -> None:
    """Once they are counted by buckets, of which there are few."""
    chance = random.Random(seed)  # noqa: S311 -- the same each time
    durations = [round(chance.lognormvariate(3, 2), 3) for _ in range(EXACT + 500)]
    exact = sorted(durations)[ceil(len(durations) * percent / 100) - 1]
    counted = latency(durations)

    assert abs(counted.percentile(percent) - exact) <= exact * 0.004 + 0.001
    assert counted.most == max(durations)


def test_a_million_durations_take_little_memory() -> None:
    """There are 128 buckets for each doubling."""
    counted = latency([1 + number * 0.05 for number in range(100_000)])

    assert counted.count == 100_000
    assert len(counted.counts) < 2500


@given(left=MILLISECONDS, right=MILLISECONDS)
def test_shares_that_are_merged_are_as_one(left: list[float], right: list[float]) -> None:
    """In whatever order."""
    merged = latency(left)
    merged.merge(latency(right))

    assert merged == latency(right + left)


def test_shares_of_many_are_merged_too() -> None:
    """One counted by buckets and one not, each way round, and two that are exact only alone."""
    many = [1 + number * 0.01 for number in range(EXACT + 1)]
    few = [5.0, 7777.777]
    for left, right in ((many, few), (few, many), (many[:1500], many[1400:])):
        merged = latency(left)
        merged.merge(latency(right))
        assert merged == latency(left + right)


def test_without_durations_all_is_nought() -> None:
    """Nothing started."""
    assert (Latency().percentile(50), Latency().most, Latency().count) == (0.0, 0.0, 0)
