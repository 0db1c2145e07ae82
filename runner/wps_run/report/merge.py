"""One report from the journals of all shards of a plan.

Times count from the start of the shard that started first, by the clocks of the machines on which
the shards ran.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from wps_run.execution.result import Result
from wps_run.execution.run_info import RunInfo
from wps_run.execution.summary import Summary
from wps_run.journal.fingerprint import SHARD_PART, changed_parts
from wps_run.journal.reader import History
from wps_run.playbook.shards import Shard
from wps_run.problems import JournalError
from wps_run.report.run_report import RunReport, report_from_history


@dataclass(frozen=True, slots=True)
class _ShardRun:
    """The run of one shard.

    Attributes:
        name: The name of its journal in messages.
        history: The content of the journal.
        report: The report of the run.
        offset_ms: Milliseconds from the start of the first shard to the start of this one.
    """

    name: str
    history: History
    report: RunReport
    offset_ms: float = 0.0

    @property
    def run_info(self) -> RunInfo:
        return self.report.run_info

    def results(self) -> Iterator[Result]:
        """Return the results with their times counted from the start of the first shard."""
        return (_shifted(result, self.offset_ms) for result in self.report.results)

    @property
    def ended(self) -> float:
        """Seconds from the start of the first shard to the end of this one.

        When the run did not end, to the end of its last action.
        """
        summary = self.report.summary
        if self.report.is_finished:
            return (self.offset_ms + summary.since_ms) / 1000 + summary.duration
        return max(map(_ended_ms, self.results()), default=self.offset_ms) / 1000


@dataclass(frozen=True, slots=True)
class _MergedResults:
    """The results of all shards in the order of the playbook; can be iterated several times."""

    shard_runs: Sequence[_ShardRun]

    def __iter__(self) -> Iterator[Result]:
        return heapq.merge(
            *(shard_run.results() for shard_run in self.shard_runs), key=lambda result: result.index
        )


def merge_histories(histories: Sequence[tuple[str, History]]) -> RunReport:
    """Return one report of the runs of all shards of a plan.

    Its exit code is the highest of theirs: 3 over 1, an interrupt over both.

    Args:
        histories: The contents of the journals, each with its name in messages.

    Raises:
        JournalError: They are not the journals of all shards of one plan, each exactly once. The
            message lists everything that is missing, repeated, or from another plan.
    """
    shard_runs = [
        _ShardRun(name, history, report_from_history(history)) for name, history in histories
    ]
    _require_complete(shard_runs)
    started = min(shard_run.history.started for shard_run in shard_runs)
    shard_runs = [
        replace(shard_run, offset_ms=(shard_run.history.started - started).total_seconds() * 1000)
        for shard_run in shard_runs
    ]
    return RunReport(
        run_info=_run_info([shard_run.run_info for shard_run in shard_runs]),
        started=started.isoformat(timespec="milliseconds"),
        results=_MergedResults(shard_runs),
        summary=_summary(shard_runs),
        simulations=tuple(
            simulation for shard_run in shard_runs for simulation in shard_run.report.simulations
        ),
        is_finished=all(shard_run.report.is_finished for shard_run in shard_runs),
    )


def _require_complete(shard_runs: Sequence[_ShardRun]) -> None:
    """Raise a JournalError unless they are all shards of one plan, each exactly once."""
    errors = [
        f"`{shard_run.name}` is the journal of a run without shards"
        for shard_run in shard_runs
        if shard_run.run_info.shard is None
    ]
    errors = errors or [*_plan_errors(shard_runs), *_number_errors(shard_runs)]
    errors = errors or _count_errors(shard_runs)
    if errors:
        raise JournalError("these journals do not make one run:\n  " + "\n  ".join(errors))


def _plan_errors(shard_runs: Sequence[_ShardRun]) -> Iterator[str]:
    """Yield an error for each whose plan or number of shards differs from the first."""
    first = shard_runs[0]
    for shard_run in shard_runs[1:]:
        shard, first_shard = shard_run.run_info.shard, first.run_info.shard
        if shard and first_shard and shard.count != first_shard.count:
            yield (
                f"`{shard_run.name}` is of {shard.count} shards, "
                f"`{first.name}` of {first_shard.count}"
            )
        differences = _differences(first.history, shard_run.history)
        if differences:
            yield f"`{shard_run.name}` is of another plan than `{first.name}`; {differences}"


def _differences(first: History, second: History) -> str:
    """Return the differences between the plans of two journals; "" when there are none."""
    if first.header.salt != second.header.salt:
        return "the playbooks differ"
    fingerprint, other = (
        {name: value for name, value in each.header.fingerprint.items() if name != SHARD_PART}
        for each in (first, second)
    )
    # Only the values count: a playbook may be in another folder on another machine.
    if list(fingerprint.values()) == list(other.values()):
        return ""
    return f"this differs: {', '.join(changed_parts(fingerprint, other))}"


def _number_errors(shard_runs: Sequence[_ShardRun]) -> Iterator[str]:
    """Yield an error for each shard that is missing or repeated."""
    names_by_shard: dict[Shard, list[str]] = {}
    for shard_run in shard_runs:
        if shard_run.run_info.shard:
            names_by_shard.setdefault(shard_run.run_info.shard, []).append(shard_run.name)
    for shard, names in names_by_shard.items():
        if len(names) > 1:
            listed = " and ".join(f"`{name}`" for name in names)
            yield f"shard {shard} is there {len(names)} times: {listed}"
    for count in sorted({shard.count for shard in names_by_shard}):
        missing = [n for n in range(1, count + 1) if Shard(n, count) not in names_by_shard]
        if missing:
            yield f"missing of {count}: {_ranges(missing)}"


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers as text, consecutive ones as a range: `shard 3`, `shards 2, 5 to 9`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    listed = ", ".join(" to ".join(map(str, each)) for each in ranges)
    return f"{'shard' if len(numbers) == 1 else 'shards'} {listed}"


def _count_errors(shard_runs: Sequence[_ShardRun]) -> list[str]:
    """Return an error for each wrong number of actions; when there is none, for a repeat."""
    errors = [
        f"`{shard_run.name}` has {shard_run.report.summary.total} actions, its shard has "
        f"{shard_run.run_info.total}"
        for shard_run in shard_runs
        if shard_run.report.summary.total != shard_run.run_info.total
    ]
    plan_sizes = sorted({shard_run.run_info.plan_total for shard_run in shard_runs})
    total = sum(shard_run.run_info.total for shard_run in shard_runs)
    if plan_sizes != [total]:
        plan_size = " or ".join(map(str, plan_sizes))
        errors.append(f"the shards have {total} actions, the plan {plan_size}")
    return errors or _repeated_actions(shard_runs)


def _repeated_actions(shard_runs: Sequence[_ShardRun]) -> list[str]:
    previous = -1
    for result in _MergedResults(shard_runs):
        if result.index == previous:
            return [f"action {previous} is in two journals"]
        previous = result.index
    return []


def _run_info(run_infos: Sequence[RunInfo]) -> RunInfo:
    first = run_infos[0]
    paces = dict.fromkeys(run_info.pace for run_info in run_infos)
    endpoints = dict.fromkeys(host for run_info in run_infos for host in run_info.endpoints)
    return replace(
        first,
        endpoints=tuple(endpoints),
        total=first.plan_total,
        pace=f"{len(run_infos)} shards, each {' / '.join(paces)}",
        shard=None,
    )


def _summary(shard_runs: Sequence[_ShardRun]) -> Summary:
    total = Summary()
    for shard_run in shard_runs:
        summary = shard_run.report.summary
        total.counts.update(summary.counts)
        total.skipped_by_rule += summary.skipped_by_rule
        total.limits |= summary.limits
        total.started += summary.started
        total.latency.merge(summary.latency)
        total.interrupted_by = max(
            (by for by in (total.interrupted_by, summary.interrupted_by) if by is not None),
            default=None,
        )
    total.duration = max(shard_run.ended for shard_run in shard_runs)
    return total


def _shifted(result: Result, offset_ms: float) -> Result:
    """Return a result with its times moved later by so many milliseconds."""
    if not offset_ms or result.started_ms is None:
        return result
    return structs.replace(
        result,
        started_ms=round(result.started_ms + offset_ms, 3),
        tries=tuple(
            structs.replace(attempt, at_ms=round(attempt.at_ms + offset_ms, 3))
            for attempt in result.tries
        ),
    )


def _ended_ms(result: Result) -> float:
    return 0.0 if result.started_ms is None else result.started_ms + result.duration_ms
