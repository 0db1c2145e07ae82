"""The journals of all shards of a plan told as one run. Pure.

Times are counted from the beginning of the shard that began first, by the clocks of the machines
that the shards ran on.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wps_run.execution.record import Record
from wps_run.execution.result import Summary
from wps_run.execution.run_info import RunInfo
from wps_run.journal.fingerprint import SHARD_PART
from wps_run.journal.reader import History, changes
from wps_run.playbook.shards import Shard
from wps_run.problems import JournalError
from wps_run.report.replay import replay
from wps_run.report.run_report import RunReport


@dataclass(frozen=True, slots=True)
class _Share:
    """One journal of those that are merged.

    Attributes:
        name: What messages call it.
        history: What it says.
        account: The run that it keeps.
        late: Milliseconds from the beginning of the first shard to its own.
    """

    name: str
    history: History
    account: RunReport
    late: float = 0.0

    @property
    def heading(self) -> RunInfo:
        """What it says of its run."""
        return self.account.heading

    def records(self) -> Iterator[Record]:
        """Its records, their times counted from the beginning of the first shard."""
        return (_later(record, self.late) for record in self.account.records)

    @property
    def ended(self) -> float:
        """Seconds from the beginning of the first shard to the end of this one.

        To the end of its last action, when it was broken off.
        """
        summary = self.account.summary
        if self.account.finished:
            return (self.late + summary.since_ms) / 1000 + summary.duration
        return max(map(_ended, self.records()), default=self.late) / 1000


@dataclass(frozen=True, slots=True)
class _InOrder:
    """The records of all shares in the order of the playbook; can be gone through again."""

    shares: Sequence[_Share]

    def __iter__(self) -> Iterator[Record]:
        return heapq.merge(*(one.records() for one in self.shares), key=lambda one: one.index)


def merged(histories: Sequence[tuple[str, History]]) -> RunReport:
    """Tell the runs of all shards of a plan as one.

    Its exit code is the highest of theirs: 3 over 1, an interrupt over both.

    Args:
        histories: What the journals say, each with what messages call it.

    Raises:
        JournalError: They are not the journals of all shards of one plan, each there once; says
            everything that is missing, there twice, or of something else.
    """
    shares = [_Share(name, history, replay(history)) for name, history in histories]
    _require_whole(shares)
    began = min(one.history.began for one in shares)
    shares = [
        replace(one, late=(one.history.began - began).total_seconds() * 1000) for one in shares
    ]
    return RunReport(
        heading=_heading([one.heading for one in shares]),
        began=began.isoformat(timespec="milliseconds"),
        records=_InOrder(shares),
        summary=_summary(shares),
        finished=all(one.account.finished for one in shares),
        outlooks=tuple(outlook for one in shares for outlook in one.account.outlooks),
    )


def _require_whole(shares: Sequence[_Share]) -> None:
    """Refuse what is not all shards of one plan, each there once."""
    faults = [
        f"`{one.name}` is the journal of a run without shards"
        for one in shares
        if one.heading.shard is None
    ]
    faults = faults or [*_other_plans(shares), *_wrong_numbers(shares)] or _wrong_sums(shares)
    if faults:
        raise JournalError("these journals do not make one run:\n  " + "\n  ".join(faults))


def _other_plans(shares: Sequence[_Share]) -> Iterator[str]:
    """What is of another plan than the first one, or of so many shards."""
    first = shares[0]
    for one in shares[1:]:
        if one.heading.shard and first.heading.shard:
            count, usual = one.heading.shard.count, first.heading.shard.count
            if count != usual:
                yield f"`{one.name}` is of {count} shards, `{first.name}` of {usual}"
        differs = _differences(first.history, one.history)
        if differs:
            yield f"`{one.name}` is of another plan than `{first.name}`; {differs}"


def _differences(one: History, other: History) -> str:
    """What differs between the plans of two journals, in words; "" when nothing does."""
    if one.header["salt"] != other.header["salt"]:
        return "the playbooks differ"
    plan, its_plan = (
        {name: value for name, value in each.header["fingerprint"].items() if name != SHARD_PART}
        for each in (one, other)
    )
    # The same playbook may lie in another folder on another machine.
    if list(plan.values()) == list(its_plan.values()):
        return ""
    return f"this differs: {', '.join(changes(plan, its_plan))}"


def _wrong_numbers(shares: Sequence[_Share]) -> Iterator[str]:
    """Which shards are missing, and which are there more than once."""
    there: dict[Shard, list[str]] = {}
    for one in shares:
        if one.heading.shard:
            there.setdefault(one.heading.shard, []).append(one.name)
    for shard, names in there.items():
        if len(names) > 1:
            listed = " and ".join(f"`{name}`" for name in names)
            yield f"shard {shard} is there {len(names)} times: {listed}"
    for count in sorted({shard.count for shard in there}):
        missing = [n for n in range(1, count + 1) if Shard(n, count) not in there]
        if missing:
            yield f"missing of {count}: {_ranges(missing)}"


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in words, runs of them as one: `shard 3`, `shards 2, 5 to 9`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    listed = ", ".join(" to ".join(map(str, run)) for run in runs)
    return f"{'shard' if len(numbers) == 1 else 'shards'} {listed}"


def _wrong_sums(shares: Sequence[_Share]) -> list[str]:
    """Where the shards do not add up to the plan."""
    faults = [
        f"`{one.name}` tells of {one.account.summary.total} actions, its shard has "
        f"{one.heading.total}"
        for one in shares
        if one.account.summary.total != one.heading.total
    ]
    wholes = sorted({one.heading.whole for one in shares})
    total = sum(one.heading.total for one in shares)
    if wholes != [total]:
        plan = " or ".join(map(str, wholes))
        faults.append(f"the shards have {total} actions, the plan {plan}")
    return faults or _repeated(shares)


def _repeated(shares: Sequence[_Share]) -> list[str]:
    """An action that two shards tell of."""
    before = -1
    for record in _InOrder(shares):
        if record.index == before:
            return [f"action {before} is in two journals"]
        before = record.index
    return []


def _heading(headings: Sequence[RunInfo]) -> RunInfo:
    first = headings[0]
    paces = dict.fromkeys(one.pace for one in headings)
    endpoints = dict.fromkeys(host for one in headings for host in one.endpoints)
    return replace(
        first,
        endpoints=tuple(endpoints),
        total=first.whole,
        pace=f"{len(headings)} shards, each {' / '.join(paces)}",
        shard=None,
    )


def _summary(shares: Sequence[_Share]) -> Summary:
    summary = Summary(Counter())
    for one in shares:
        its = one.account.summary
        summary.counts.update(its.counts)
        summary.excused += its.excused
        summary.fresh += its.fresh
        summary.latency.merge(its.latency)
        summary.interrupted_by = max(
            (by for by in (summary.interrupted_by, its.interrupted_by) if by is not None),
            default=None,
        )
    summary.duration = max(one.ended for one in shares)
    return summary


def _later(record: Record, late: float) -> Record:
    """A record with its times counted from so many milliseconds earlier."""
    if not late or record.started_ms is None:
        return record
    return replace(
        record,
        started_ms=round(record.started_ms + late, 3),
        tries=tuple(replace(one, at_ms=round(one.at_ms + late, 3)) for one in record.tries),
    )


def _ended(record: Record) -> float:
    return 0.0 if record.started_ms is None else record.started_ms + record.duration_ms
