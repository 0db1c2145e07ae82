"""A report from a journal is the same as the one that the run wrote."""

from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import pytest

from wps_run.execution.result import Result, Status
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.journal.format import VERSION, Chain, run_fields
from wps_run.journal.reader import History, read_history
from wps_run.problems import JournalError
from wps_run.report.formats import FILE_FORMATS, OUTPUT_FORMATS
from wps_run.report.records import summary_record
from wps_run.report.run_report import RunReport, report_from_history
from wps_run.report.simulation import ClosedClient, PermissionState, Simulation, message_delivery

RUN_INFO = RunInfo(Destination.SERVICE, ("h",), ("chat",), ("p",), total=3, pace="sequential")
BEGAN = "2026-11-24T14:00:00.000+00:00"
SIMULATION = Simulation(
    hub="chat",
    client_count=2,
    groups={"red": ("ada", "bob")},
    deliveries=(
        message_delivery("red", "text", b"Welcome", ("ada",)),
        message_delivery("server", "binary", b"\0", ()),
    ),
    closed_clients=(ClosedClient("mallory", "Spam"),),
    permissions=(PermissionState("c1", "sendToGroup", "red", is_allowed=True),),
)


def journal(results: list[Result], *more_records: Mapping[str, Any]) -> History:
    """The history of a run with these results."""
    known = {"started": BEGAN, "paths": [], "salt": "s", "fingerprint": {}}
    header = {"type": "run", "version": VERSION, **known, **run_fields(RUN_INFO)}
    records = [header, *(result.as_json() for result in results), *more_records]
    content = b"".join(map(Chain().seal, records))
    return read_history(lambda: BytesIO(content), "j")


def summed(results: list[Result], **changes: Any) -> Summary:
    """The totals of these results."""
    summary = Summary(Counter(), **changes)
    for result in results:
        summary.count(result)
    return summary


def test_a_finished_run_has_the_same_report(results: list[Result]) -> None:
    """Every format of standard output gives the very text again."""
    summary = summed(results, duration=1.5)
    report = report_from_history(journal(results, summary_record(RUN_INFO, summary)))

    assert report.is_finished
    for row in OUTPUT_FORMATS.values():
        then, now = row.new_reporter(), row.new_reporter()
        first = then.begin(RUN_INFO) + "".join(then.result(result) for result in results)
        again = now.begin(report.run_info) + "".join(
            now.result(result) for result in report.results
        )
        assert first + then.end(summary, ()) == again + now.end(report.summary, ())


@pytest.mark.parametrize("duration", [0.0359537, 1.2345678, 0.0000004])
@pytest.mark.parametrize("suffix", FILE_FORMATS)
def test_every_report_file_is_the_same_again(
    results: list[Result], suffix: str, duration: float
) -> None:
    """Byte for byte, with what would happen; the messages are in neither, as in the journal."""
    summary = summed(results, duration=duration)
    simulations = (SIMULATION.without_text(),)
    then = RunReport(RUN_INFO, BEGAN, results, summary, simulations)
    rehearsal = simulations[0].as_json()
    report = report_from_history(journal(results, rehearsal, summary_record(RUN_INFO, summary)))

    text = "".join(FILE_FORMATS[suffix].render(then))
    assert "".join(FILE_FORMATS[suffix].render(report)) == text
    assert "Welcome" not in text


def test_a_resumed_run_has_the_settings_of_its_last_part(results: list[Result]) -> None:
    """Its pace is that of the last part; its rate counts what that part did."""
    pace = {**run_fields(RUN_INFO), "pace": "concurrent"}
    resumed = {"type": "resumed", "resumed": "2026-11-24T15:00:00.000+00:00", **pace}
    late = {**results[1].as_json(), "startedMs": 3_600_000.5}
    ending = {"type": "summary", "durationMs": 500.0, "exitCode": 1}

    report = report_from_history(journal(results, resumed, late, ending))

    assert report.run_info.pace == "concurrent"
    assert report.summary.per_second == 2.0
    assert report.summary.latency.count == 2


def test_a_run_that_did_not_end_adds_up(results: list[Result]) -> None:
    """What may have left is unknown, what was not done is skipped."""
    report = report_from_history(journal(results[:1], {"type": "sending", "index": 4}))

    assert not report.is_finished
    assert report.summary.counts == Counter(
        {Status.OK: 1, Status.UNKNOWN: 1, Status.SKIPPED: 1, Status.FAILED: 0}
    )
    assert report.summary.exit_code == 3


def test_an_interrupted_run_keeps_its_exit_code(results: list[Result]) -> None:
    """130 stays 130."""
    summary = Summary(Counter(), interrupted_by=2)

    report = report_from_history(journal(results, summary_record(RUN_INFO, summary)))

    assert report.summary.exit_code == 130
    assert summary_record(report.run_info, report.summary)["exitCode"] == 130


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "rehearsal", "hub": "chat"},
        {**SIMULATION.as_json(), "messages": ["x"]},
        {**SIMULATION.as_json(), "groups": 3},
    ],
)
def test_a_rehearsal_that_was_edited_is_refused(wrong: Mapping[str, Any]) -> None:
    """As damage, not as a bug."""
    with pytest.raises(JournalError, match="damaged"):
        report_from_history(journal([], wrong))


def test_the_verdict_is_one_sentence(
    make_report: Callable[..., RunReport], make_result: Callable[..., Result]
) -> None:
    """What is not ok, of how many; whether the run ended."""

    def verdict(*counts: int, **changes: Any) -> tuple[str, str]:
        results = [
            make_result(status=status)
            for status, count in zip(Status, counts, strict=True)
            for _ in range(count)
        ]
        report = make_report(*results, **changes)
        return report.verdict, report.verdict_status

    assert verdict(300, 0, 0, 0) == ("All 300 actions are ok", "ok")
    assert verdict(1, 0, 0, 0) == ("The action is ok", "ok")
    assert verdict(0, 1, 0, 0) == ("1 of 1 action failed", "failed")
    assert verdict(288, 12, 0, 0) == ("12 of 300 actions failed", "failed")
    assert verdict(0, 1000, 1, 2) == (
        "1,000 of 1,003 actions failed, 1 is unknown, 2 were skipped",
        "unknown",
    )
    assert verdict(1, 0, 2, 1) == ("2 of 4 actions are unknown, 1 was skipped", "unknown")
    assert verdict(1, 0, 0, 1) == ("1 of 2 actions was skipped", "failed")
    assert verdict(1, 1, 0, 0, is_finished=False) == (
        "The run did not end: 1 of 2 actions failed",
        "unknown",
    )
