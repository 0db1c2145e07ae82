"""The content of every report: a run that has ended, read from its journal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wps_run.execution.result import ExpectationResult, Result, Status
from wps_run.execution.run_info import RunInfo
from wps_run.execution.summary import EXIT_UNKNOWN, Summary
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
        expectations: The results of the expectations, in the order of the playbook.
    """

    run_info: RunInfo
    started: str
    results: Iterable[Result]
    summary: Summary
    simulations: Sequence[Simulation] = ()
    is_finished: bool = True
    expectations: Sequence[ExpectationResult] = ()

    @property
    def verdict(self) -> str:
        """How the run ended, in one sentence: `12 of 300 actions failed, 1 was skipped`."""
        text = self._actions_verdict
        if self.summary.expectations.total():
            expectations = _expectations_verdict(self.summary)
            if not self.summary.total:
                text = expectations[0].upper() + expectations[1:]
            else:
                text = f"{text}; {expectations}"
        if not self.is_finished:
            return f"The run did not end: {text[0].lower()}{text[1:]}"
        if self.summary.interrupted_by is not None:
            return f"The run was interrupted: {text[0].lower()}{text[1:]}"
        return text

    @property
    def _actions_verdict(self) -> str:
        summary = self.summary
        total = summary.total
        if not total:
            return "There was no action to run"
        actions = "action" if total == 1 else "actions"
        not_ok = [(status, summary.counts[status]) for status in Status if status is not Status.OK]
        parts = [_part(status, count) for status, count in not_ok if count]
        if not parts:
            return "The action is ok" if total == 1 else f"All {total:,} actions are ok"
        count, _, verb = parts[0].partition(" ")
        return ", ".join([f"{count} of {total:,} {actions} {verb}", *parts[1:]])

    @property
    def verdict_status(self) -> Status:
        """The status that the exit code stands for: ok, failed or unknown."""
        if not self.is_finished or self.summary.exit_code == EXIT_UNKNOWN:
            return Status.UNKNOWN
        return Status.FAILED if self.summary.exit_code else Status.OK


def _expectations_verdict(summary: Summary) -> str:
    """Return `all 3 expectations hold`, or `1 of 3 expectations failed, 1 is unknown`."""
    total = summary.expectations.total()
    expectations = "expectation" if total == 1 else "expectations"
    counts = [(status, summary.expectations[status]) for status in Status if status != Status.OK]
    parts = [_part(status, count) for status, count in counts if count]
    if not parts:
        return "the expectation holds" if total == 1 else f"all {total:,} expectations hold"
    count, _, verb = parts[0].partition(" ")
    return ", ".join([f"{count} of {total:,} {expectations} {verb}", *parts[1:]])


def _part(status: Status, count: int) -> str:
    """Return `1 failed`, `2 are unknown` or `3 were skipped`."""
    if status is Status.FAILED:
        return f"{count:,} failed"
    if status is Status.UNKNOWN:
        return f"{count:,} {'is' if count == 1 else 'are'} unknown"
    return f"{count:,} {'was' if count == 1 else 'were'} skipped"


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
    summary.counts[Status.OK] += len(history.resolved)
    summary.counts[Status.SKIPPED] += max(0, history.run.total - summary.total)
    expectations = expectations_of(history)
    for expectation in expectations:
        summary.count_expectation(expectation)
    if unchecked := history.run.expectations - len(expectations):
        summary.expectations[Status.SKIPPED] += unchecked
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
        expectations=expectations,
    )


def expectations_of(history: History) -> tuple[ExpectationResult, ...]:
    """Return the results of the expectations of a run, in the order of the playbook."""
    return tuple(result for _, result in sorted(history.expectations.items()))
