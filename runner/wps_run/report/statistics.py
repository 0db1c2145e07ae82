"""What a reader of a long report wants to see first: the kinds of trouble, and the slowest."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from wps_run.execution.record import Record
from wps_run.execution.result import Status

KINDS = 20
"""Of so many kinds of trouble examples are kept; the rest is counted together."""


@dataclass(slots=True)
class FailureGroup:
    """Actions that ended in the same way.

    Attributes:
        status: How they ended.
        code: The code of their errors.
        hint: What to do about it, or "".
        example: The first of them.
        count: How many they are.
    """

    status: Status
    code: str
    hint: str
    example: Record
    count: int = 0


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """A run in a few lines.

    Attributes:
        kinds: What was not ok, most frequent first; failed and unknown before skipped.
        others: How many more actions were not ok, in kinds that are not listed.
        failures: The first that failed or are unknown, in the order of the playbook.
        slowest: What took longest, slowest first.
        retried: How many actions took more than one attempt.
        throttled: How many attempts were answered with 429 or 503.
    """

    kinds: tuple[FailureGroup, ...]
    others: int
    failures: tuple[Record, ...]
    slowest: tuple[Record, ...]
    retried: int
    throttled: int


def statistics_of(
    records: Iterable[Record], *, failures: int = 0, slowest: int = 0
) -> RunStatistics:
    """Go through the records once, in constant memory.

    Args:
        records: Every action that has a record.
        failures: How many failures are kept.
        slowest: How many of the slowest are kept.
    """
    counted = _Counted()
    shown: list[Record] = []
    long: list[tuple[float, int, Record]] = []
    for record in records:
        counted.add(record)
        if record.status in {Status.FAILED, Status.UNKNOWN} and len(shown) < failures:
            shown.append(record)
        if record.started_ms is not None and slowest:
            entry = (record.duration_ms, -record.index, record)
            if len(long) < slowest:
                heapq.heappush(long, entry)
            else:
                heapq.heappushpop(long, entry)
    return RunStatistics(
        tuple(sorted(counted.kinds.values(), key=_rank)),
        counted.others,
        tuple(shown),
        tuple(record for _, _, record in sorted(long, reverse=True)),
        counted.retried,
        counted.throttled,
    )


THROTTLING = frozenset({429, 503})
"""The answers that slow a run down."""


class _Counted:
    def __init__(self) -> None:
        self.kinds: dict[tuple[str, str, str], FailureGroup] = {}
        self.others = 0
        self.retried = 0
        self.throttled = 0

    def add(self, record: Record) -> None:
        if record.tries:
            self.retried += 1
            self.throttled += sum(one.http_status in THROTTLING for one in record.tries)
        self.throttled += record.http_status in THROTTLING
        if record.error is not None:
            self._add_kind(record, record.error.code, record.error.hint)

    def _add_kind(self, record: Record, code: str, hint: str) -> None:
        key = (record.status, code, hint)
        kind = self.kinds.get(key)
        if kind is None:
            if len(self.kinds) >= KINDS:
                self.others += 1
                return
            kind = self.kinds[key] = FailureGroup(record.status, code, hint, record)
        kind.count += 1


def _rank(kind: FailureGroup) -> tuple[bool, int, int]:
    return kind.status is Status.SKIPPED, -kind.count, kind.example.index
