"""Failures are grouped, and the slowest actions are listed."""

from collections.abc import Callable

from wps_run.execution.result import ActionError, Attempt, Result, Status
from wps_run.report.statistics import MAX_GROUPS, statistics_of


def test_trouble_is_counted_by_group_with_the_first_as_example(
    make_result: Callable[..., Result],
) -> None:
    """Most frequent first, what was skipped last."""
    gone = ActionError("NotExisted", "User `ada` is not statistics.", "Let the user connect.")
    other = ActionError("NotExisted", "User `bob` is not statistics.", "Let the user connect.")
    stopped = ActionError("stopped", "an action failed")
    results = [
        *(make_result(index=index, status=Status.SKIPPED, error=stopped) for index in range(5)),
        make_result(index=5, status=Status.UNKNOWN, error=ActionError("timeout", "no answer")),
        make_result(index=6, status=Status.FAILED, error=gone),
        make_result(index=7, status=Status.FAILED, error=other),
    ]

    statistics = statistics_of(results)

    assert [(group.code, group.count, group.example.index) for group in statistics.groups] == [
        ("NotExisted", 2, 6),
        ("timeout", 1, 5),
        ("stopped", 5, 0),
    ]


def test_many_kinds_are_counted_together(make_result: Callable[..., Result]) -> None:
    """So that memory is bounded, whatever the service answers."""
    results = [
        make_result(index=index, status=Status.FAILED, error=ActionError(f"code{index}", "m"))
        for index in range(MAX_GROUPS + 7)
    ]

    statistics = statistics_of(results, failures=3)

    assert (len(statistics.groups), statistics.ungrouped) == (MAX_GROUPS, 7)
    assert [result.index for result in statistics.failures] == [0, 1, 2]


def test_the_slowest_come_first_and_equal_ones_in_order(
    make_result: Callable[..., Result],
) -> None:
    """What did not start took no time."""
    durations = [5.0, 9.0, 7.0, 9.0]
    results = [
        make_result(index=index, duration_ms=duration, started_ms=1.0)
        for index, duration in enumerate(durations)
    ]
    results.append(make_result(index=9, duration_ms=99.0, started_ms=None))

    assert [result.index for result in statistics_of(results, slowest=3).slowest] == [1, 3, 2]


def test_throttled_answers_are_counted(make_result: Callable[..., Result]) -> None:
    """Each 429 and 503, whether another attempt came after it or not."""
    tries = (Attempt(0.0, 429, None, 1.0), Attempt(1.0, 500, None, 1.0))
    statistics = statistics_of(
        [make_result(tries=tries), make_result(http_status=503), make_result()]
    )

    assert (statistics.retried, statistics.throttled) == (1, 2)
