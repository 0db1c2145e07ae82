"""The content of every report: a run that has ended, read from its journal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wps_run.execution.result import Result, Status
from wps_run.execution.run_info import RunInfo
from wps_run.execution.summary import Summary
from wps_run.journal.reader import History, RecordedResults
from wps_run.problems import JournalError
from wps_run.report.simulation import Simulation, simulation_from


@dataclass(frozen=True, slots=True)
class RunReport:
    """The content of a report.

    Attributes:
        run_info: What was run, and where.
        started: The time at which the first part of the run started, as ISO 8601 in UTC.
        results: The last result of each action that ended, in the order of the playbook. They can
            be iterated several times.
        summary: The totals. In a run that did not end, actions that may have been sent count as
            unknown, and the others as skipped.
        simulations: The result of a rehearsal, one for each hub; otherwise empty.
        is_finished: Whether the run ended by itself.
    """

    run_info: RunInfo
    started: str
    results: Iterable[Result]
    summary: Summary
    simulations: Sequence[Simulation] = ()
    is_finished: bool = True


def report_from_history(history: History) -> RunReport:
    """Return the report of a run: the same as the run itself wrote at its end.

    Raises:
        JournalError: The record of a rehearsal is damaged.
    """
    results = RecordedResults(history)
    summary = Summary(since_ms=history.elapsed * 1000)
    for result in results:
        summary.count(result)
    try:
        simulations = tuple(map(simulation_from, history.rehearsals))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise JournalError(f"the journal is damaged: {error}") from None
    summary.counts[Status.UNKNOWN] += len(history.sending)
    summary.counts[Status.SKIPPED] += max(0, history.run.total - summary.total)
    if history.summary is not None:
        summary.duration = history.summary.duration_ms / 1000
        code = history.summary.exit_code
        summary.interrupted_by = code - 128 if code > 128 else None  # noqa: PLR2004 -- 128 + signal
    return RunReport(
        run_info=history.run,
        started=history.header.started,
        results=results,
        summary=summary,
        simulations=simulations,
        is_finished=history.summary is not None,
    )
