"""The totals of a run, its exit code, and its percentiles."""

import random
from collections.abc import Callable
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.execution.result import ActionError, SkipReason, Status, result_for
from wps_run.execution.summary import EXACT_DURATIONS, LatencyHistogram, Summary
from wps_run.playbook.steps import Step

MILLISECONDS = st.lists(st.integers(0, 10**9).map(lambda number: number / 1000), min_size=1)


def latencies(durations: list[float]) -> LatencyHistogram:
    """Return a histogram of these durations."""
    histogram = LatencyHistogram()
    for duration in durations:
        histogram.add(duration)
    return histogram


@given(durations=MILLISECONDS, percent=st.integers(1, 100))
def test_percentiles_of_few_durations_are_exact(durations: list[float], percent: int) -> None:
    """By the nearest-rank method."""
    expected = sorted(durations)[ceil(len(durations) * percent / 100) - 1]

    assert latencies(durations).percentile(percent) == expected
    assert latencies(durations).longest_ms == max(durations)


@pytest.mark.parametrize("percent", [1, 50, 90, 99, 100])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_percentiles_of_many_durations_are_within_half_a_percent(seed: int, percent: int) -> None:
    chance = random.Random(seed)  # noqa: S311 -- the same each time
    durations = [round(chance.lognormvariate(3, 2), 3) for _ in range(EXACT_DURATIONS + 500)]
    exact = sorted(durations)[ceil(len(durations) * percent / 100) - 1]
    histogram = latencies(durations)

    assert abs(histogram.percentile(percent) - exact) <= exact * 0.004 + 0.001
    assert histogram.longest_ms == max(durations)


def test_histogram_of_many_durations_is_small() -> None:
    histogram = latencies([1 + number * 0.05 for number in range(100_000)])

    assert histogram.count == 100_000
    assert len(histogram.counts) < 2500


@given(left=MILLISECONDS, right=MILLISECONDS)
def test_merged_histograms_equal_one_of_all_durations(
    left: list[float], right: list[float]
) -> None:
    merged = latencies(left)
    merged.merge(latencies(right))

    assert merged == latencies(right + left)


def test_exact_and_bucketed_histograms_are_merged() -> None:
    """Each way round, and two that are exact only separately."""
    many = [1 + number * 0.01 for number in range(EXACT_DURATIONS + 1)]
    few = [5.0, 7777.777]
    for left, right in ((many, few), (few, many), (many[:1500], many[1400:])):
        merged = latencies(left)
        merged.merge(latencies(right))
        assert merged == latencies(left + right)


def test_empty_histogram_is_zero() -> None:
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
def test_exit_code_is_that_of_the_worst_result(statuses: list[Status], code: int) -> None:
    """Unknown takes precedence over failed and skipped."""
    summary = Summary()
    for status in statuses:
        summary.add(status, None)

    assert summary.exit_code == code
    assert summary.total == len(statuses)


@pytest.mark.parametrize(("reason", "code"), [(SkipReason.MISSING, 0), (SkipReason.STOPPED, 1)])
def test_skip_by_on_missing_is_no_failure(reason: SkipReason, code: int) -> None:
    summary = Summary()
    summary.add(Status.SKIPPED, ActionError(reason, "m"))

    assert summary.exit_code == code


def test_only_actions_that_started_in_this_part_of_the_run_count_for_its_rate(
    join: Callable[..., Step],
) -> None:
    """The latency covers every action that started; skipped ones did not."""
    summary = Summary(duration=4.0, since_ms=1000.0)
    for started in (0.5, 1.0, 2.0):
        summary.count(result_for(join(), Status.OK, started=started, duration=0.25))
    summary.count(result_for(join(), Status.SKIPPED, error=ActionError("missing", "m")))

    assert (summary.total, summary.not_done, summary.started) == (4, 0, 2)
    assert summary.per_second == 0.5
    assert (summary.latency.count, summary.latency.longest_ms) == (3, 250.0)
    assert Summary().per_second == 0.0


def test_exit_code_of_an_interrupted_run_is_128_plus_the_signal() -> None:
    """Whatever the results are."""
    summary = Summary(interrupted_by=2)
    summary.add(Status.UNKNOWN, None)

    assert summary.exit_code == 130
