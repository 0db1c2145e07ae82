"""What is seen of a run is what has happened in it."""

from collections import Counter

import pytest
from msgspec.structs import replace

from wps_run.cli.progress import ProgressTracker
from wps_run.execution.limits import ConcurrencyLimiter
from wps_run.execution.result import Result, Status
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary

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
