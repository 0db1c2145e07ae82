"""Statistics of a run: the groups of failures, and the slowest actions."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from wps_run.execution.result import Result, Status

MAX_GROUPS = 20
"""The most groups of failures that are listed; the others are counted together."""

THROTTLING = frozenset({429, 503})
"""The HTTP statuses with which the service throttles a run."""


@dataclass(slots=True)
class FailureGroup:
    """Actions that ended with the same status, error code and hint.

    Attributes:
        status: The status.
        code: The error code.
        hint: What to do about it, or "".
        example: The first of them.
        count: The number of actions.
    """

    status: Status
    code: str
    hint: str
    example: Result
    count: int = 0


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """The statistics of a run.

    Attributes:
        groups: The actions that are not ok, largest group first; failed and unknown before skipped.
        ungrouped: The number of other actions that are not ok, beyond `MAX_GROUPS`.
        failures: The first that failed or are unknown, in the order of the playbook.
        slowest: The actions that took longest, slowest first.
        retried: The number of actions that took more than one attempt.
        throttled: The number of attempts whose response was 429 or 503.
    """

    groups: tuple[FailureGroup, ...]
    ungrouped: int
    failures: tuple[Result, ...]
    slowest: tuple[Result, ...]
    retried: int
    throttled: int


def statistics_of(
    results: Iterable[Result], *, failures: int = 0, slowest: int = 0
) -> RunStatistics:
    """Iterate over the results once, in constant memory.

    At most so many `failures` and `slowest` actions are listed.
    """
    counter = _Counter()
    first_failures: list[Result] = []
    longest: list[tuple[float, int, Result]] = []
    for result in results:
        counter.add(result)
        if result.status in {Status.FAILED, Status.UNKNOWN} and len(first_failures) < failures:
            first_failures.append(result)
        if result.started_ms is not None and slowest:
            entry = (result.duration_ms, -result.index, result)
            if len(longest) < slowest:
                heapq.heappush(longest, entry)
            else:
                heapq.heappushpop(longest, entry)
    return RunStatistics(
        groups=tuple(sorted(counter.groups.values(), key=_rank)),
        ungrouped=counter.ungrouped,
        failures=tuple(first_failures),
        slowest=tuple(result for _, _, result in sorted(longest, reverse=True)),
        retried=counter.retried,
        throttled=counter.throttled,
    )


class _Counter:
    def __init__(self) -> None:
        self.groups: dict[tuple[str, str, str], FailureGroup] = {}
        self.ungrouped = 0
        self.retried = 0
        self.throttled = 0

    def add(self, result: Result) -> None:
        if result.tries:
            self.retried += 1
            self.throttled += sum(attempt.http_status in THROTTLING for attempt in result.tries)
        self.throttled += result.http_status in THROTTLING
        if result.error is not None and result.status is not Status.OK:
            self._group(result, result.error.code, result.error.hint)

    def _group(self, result: Result, code: str, hint: str) -> None:
        key = (result.status, code, hint)
        group = self.groups.get(key)
        if group is None:
            if len(self.groups) >= MAX_GROUPS:
                self.ungrouped += 1
                return
            group = self.groups[key] = FailureGroup(result.status, code, hint, result)
        group.count += 1


def _rank(group: FailureGroup) -> tuple[bool, int, int]:
    return group.status is Status.SKIPPED, -group.count, group.example.index
