"""A run told again from its journal: the heading, the records and the totals it had."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from wps_run.execution.record import Record, record_from
from wps_run.execution.result import Status, Summary
from wps_run.execution.run_info import RunInfo, run_info_from
from wps_run.journal.reader import History
from wps_run.problems import JournalError
from wps_run.report.run_report import RunReport
from wps_run.report.simulation import simulation_from


@dataclass(frozen=True, slots=True)
class _Ended:
    """The records of the actions that ended, read anew from the journal each time."""

    history: History

    def __iter__(self) -> Iterator[Record]:
        return map(record_from, self.history.ended())


def replay(history: History) -> RunReport:
    """Tell a run again, as the run itself told it.

    Raises:
        JournalError: The journal was edited, and something in it is not as we write it.
    """
    records = _Ended(history)
    summary = Summary(Counter(), since_ms=history.elapsed * 1000)
    for record in records:
        summary.count(record)
    try:
        heading = _heading(history)
        outlooks = tuple(map(simulation_from, history.rehearsals))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise JournalError(f"the journal is damaged: {error}") from None
    summary.counts[Status.UNKNOWN] += len(history.sending)
    summary.counts[Status.SKIPPED] += max(0, heading.total - summary.total)
    if history.summary is not None:
        summary.duration = history.summary["durationMs"] / 1000
        code = history.summary["exitCode"]
        summary.interrupted_by = code - 128 if code > 128 else None  # noqa: PLR2004 -- 128 + signal
    finished = history.summary is not None
    return RunReport(
        heading, history.header["started"], records, summary, outlooks, finished=finished
    )


def _heading(history: History) -> RunInfo:
    """The heading of its last part, which may be run at another pace than the first."""
    resumed = history.resumed
    return run_info_from(resumed if resumed and "destination" in resumed else history.header)
