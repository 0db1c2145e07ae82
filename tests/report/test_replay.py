"""A run is told again from its journal as it was told when it ran."""

import json
from collections import Counter
from typing import Any

from runner.execution.history import History, read_history
from runner.execution.record import record_of
from runner.execution.result import Result, Status, Summary
from runner.report.heading import Destination, Heading
from runner.report.records import line, summary_record
from runner.report.replay import heading_record, replay
from runner.report.reporters import REPORTERS

HEADING = Heading(Destination.SERVICE, ("h",), ("chat",), ("p",), total=3, pace="sequential")


def journal(results: list[Result], *more: dict[str, Any]) -> History:
    """The history of a run with these results."""
    header = {"type": "run", "version": 1, "fingerprint": {}, **heading_record(HEADING)}
    records = [header, *(record_of(result).as_json() for result in results), *more]
    return read_history([line(record).encode() for record in records], "j")


def test_a_finished_run_is_told_as_it_was(results: list[Result]) -> None:
    """Every format gives the very text again."""
    summary = Summary(Counter(), duration=1.5)
    for result in results:
        summary.add(result.status, result.fault)
    told = replay(journal(results, summary_record(HEADING, summary)))

    assert told.finished
    for make in REPORTERS.values():
        then, now = make(), make()
        first = then.begin(HEADING) + "".join(then.result(record_of(one)) for one in results)
        again = now.begin(told.heading) + "".join(now.result(one) for one in told.records)
        assert first + then.end(summary, ()) == again + now.end(told.summary, ())


def test_a_broken_off_run_adds_up(results: list[Result]) -> None:
    """What may have left is unknown, what was not done is skipped."""
    told = replay(journal(results[:1], {"type": "sending", "index": 4}))

    assert not told.finished
    assert told.summary.counts == Counter(
        {Status.OK: 1, Status.UNKNOWN: 1, Status.SKIPPED: 1, Status.FAILED: 0}
    )
    assert told.summary.exit_code == 3


def test_an_interrupted_run_keeps_its_exit_code(results: list[Result]) -> None:
    """130 stays 130."""
    summary = Summary(Counter(), interrupted_by=2)

    told = replay(journal(results, summary_record(HEADING, summary)))

    assert told.summary.exit_code == 130
    assert json.loads(line(summary_record(told.heading, told.summary)))["exitCode"] == 130
