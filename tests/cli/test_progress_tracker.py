"""What is seen of a run is what has happened in it."""

from collections import Counter
from dataclasses import replace

import pytest

from wps_run.cli.progress import ProgressTracker
from wps_run.execution.limits import ConcurrencyLimiter
from wps_run.execution.record import Record
from wps_run.execution.result import Status, Summary
from wps_run.execution.run_info import Destination, RunInfo

HEADING = RunInfo(Destination.SERVICE, ("x.example",), ("chat",), ("p.yaml",), 100, "sequential")
RECORD = Record(
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


def end(watch: ProgressTracker, summary: Summary, record: Record, times: int) -> None:
    """Let so many actions end alike."""
    for _ in range(times):
        summary.count(record)
        watch.ended(record)


def test_what_an_earlier_part_did_and_what_is_skipped_does_not_count_for_the_rate() -> None:
    """They are done, but took no time of this part."""
    summary = Summary(Counter(), since_ms=4000.0)
    clock = Clock()
    watch = ProgressTracker(HEADING, summary, clock)

    end(watch, summary, replace(RECORD, started_ms=100.0), 50)
    end(watch, summary, replace(RECORD, started_ms=None, status=Status.SKIPPED), 20)
    clock.now = 2.0
    assert watch.view().rate is None
    end(watch, summary, RECORD, 4)
    clock.now = 4.0

    view = watch.view()
    assert (view.done, view.percent) == (74, 74)
    assert view.rate == pytest.approx(1.0, rel=0.2)
    assert view.time_left == pytest.approx(26, rel=0.2)


def test_flights_and_pauses_are_those_of_the_playbook_under_way() -> None:
    """None before the first begins."""
    clock = Clock()
    watch = ProgressTracker(HEADING, Summary(Counter()), clock)
    assert (watch.view().in_flight, watch.view().pause) == (0, 0.0)
    throttle = ConcurrencyLimiter(16)
    throttle.in_flight = 4
    watch.began(throttle)
    assert (watch.view().in_flight, watch.view().pause) == (4, 0.0)

    throttle.refused(-1.0, 0.0, 12.0)
    clock.now = 2.0

    assert watch.view().pause == 10.0
    watch.began(ConcurrencyLimiter(1))
    assert (watch.view().in_flight, watch.view().pause) == (0, 0.0)
