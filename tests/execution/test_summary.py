"""The totals of a run, its exit code, and exact percentiles in any order of durations."""

import random
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.execution.result import ActionError, SkipReason, Status
from wps_run.execution.summary import EXACT_DURATIONS, LatencyHistogram, Summary

MILLISECONDS = st.lists(st.integers(0, 10**9).map(lambda number: number / 1000), min_size=1)


def latency(durations: list[float]) -> LatencyHistogram:
    """These durations, counted."""
    made = LatencyHistogram()
    for duration in durations:
        made.add(duration)
    return made


@given(durations=MILLISECONDS, percent=st.integers(1, 100))
def test_few_durations_are_exact(durations: list[float], percent: int) -> None:
    """By nearest rank, which is one of them."""
    expected = sorted(durations)[ceil(len(durations) * percent / 100) - 1]

    assert latency(durations).percentile(percent) == expected
    assert latency(durations).longest_ms == max(durations)


@pytest.mark.parametrize("percent", [1, 50, 90, 99, 100])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_durations_are_within_half_a_percent(seed: int, percent: int) -> None:
    """Once they are counted by buckets, of which there are few."""
    chance = random.Random(seed)  # noqa: S311 -- the same each time
    durations = [round(chance.lognormvariate(3, 2), 3) for _ in range(EXACT_DURATIONS + 500)]
    exact = sorted(durations)[ceil(len(durations) * percent / 100) - 1]
    counted = latency(durations)

    assert abs(counted.percentile(percent) - exact) <= exact * 0.004 + 0.001
    assert counted.longest_ms == max(durations)


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
    many = [1 + number * 0.01 for number in range(EXACT_DURATIONS + 1)]
    few = [5.0, 7777.777]
    for left, right in ((many, few), (few, many), (many[:1500], many[1400:])):
        merged = latency(left)
        merged.merge(latency(right))
        assert merged == latency(left + right)


def test_without_durations_all_is_nought() -> None:
    """Nothing started."""
    assert (
        LatencyHistogram().percentile(50),
        LatencyHistogram().longest_ms,
        LatencyHistogram().count,
    ) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        ([Status.OK, Status.OK], 0),
        ([Status.OK, Status.FAILED], 1),
        ([Status.OK, Status.SKIPPED], 1),
        ([Status.FAILED, Status.UNKNOWN, Status.SKIPPED], 3),
    ],
)
def test_the_exit_code_is_the_worst_of_the_results(statuses: list[Status], code: int) -> None:
    """Unknown wins over failed and skipped, which win over ok."""
    summary = Summary()
    for status in statuses:
        summary.add(status, None)

    assert summary.exit_code == code
    assert summary.total == len(statuses)


@pytest.mark.parametrize(("reason", "code"), [(SkipReason.MISSING, 0), (SkipReason.STOPPED, 1)])
def test_a_skip_that_the_playbook_asked_for_is_no_failure(reason: SkipReason, code: int) -> None:
    """Only such a skip leaves the exit code at 0."""
    summary = Summary()
    summary.add(Status.SKIPPED, ActionError(reason, "m"))

    assert summary.exit_code == code


def test_an_interrupted_run_exits_with_its_signal() -> None:
    """128 and the signal's number, whatever the results are."""
    summary = Summary(interrupted_by=2)
    summary.add(Status.UNKNOWN, None)

    assert summary.exit_code == 130
