"""The totals of a run, and how long its actions took, in constant memory. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from wps_run.execution.result import (
    SKIPPED_BY_RULE,
    ActionError,
    ExpectationResult,
    Result,
    SkipReason,
    Status,
)

EXIT_OK, EXIT_FAILED, EXIT_UNKNOWN = 0, 1, 3
"""Exit codes of a run. Schedulers that retry depend on them, so they never change. Exit code 2,
nothing was sent, belongs to the command line: there is no run then."""

EXACT_DURATIONS = 2000
"""Up to this many different durations, in whole microseconds, are counted exactly. Beyond it,
each counts as the middle of its bucket, at most 0.4 % away."""

_BUCKET_BITS = 8
"""A bucket holds the durations that share their highest bits, so its width grows with them."""


@dataclass(slots=True)
class LatencyHistogram:
    """Counts durations.

    Its percentiles depend neither on the order in which durations were added nor on how they
    were divided among histograms before these were merged.

    Attributes:
        count: The number of durations.
        longest: The longest, in microseconds, exact.
        counts: Microseconds to the number of durations.
        is_coarse: Whether the counts are by bucket.
    """

    count: int = 0
    longest: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    is_coarse: bool = False

    def add(self, milliseconds: float) -> None:
        """Count one duration."""
        duration = round(milliseconds * 1000)
        self.count += 1
        self.longest = max(self.longest, duration)
        self.counts[_bucket(duration) if self.is_coarse else duration] += 1
        if not self.is_coarse and len(self.counts) > EXACT_DURATIONS:
            self._coarsen()

    def merge(self, other: "LatencyHistogram") -> None:
        """Add the durations of another histogram, such as that of another shard."""
        self.count += other.count
        self.longest = max(self.longest, other.longest)
        self.counts.update(other.counts)
        if self.is_coarse or other.is_coarse or len(self.counts) > EXACT_DURATIONS:
            self._coarsen()

    @property
    def longest_ms(self) -> float:
        """The longest, in milliseconds; 0 without any."""
        return self.longest / 1000

    def percentile(self, percent: int) -> float:
        """Return the duration, in milliseconds, that this share does not exceed; 0 without any.

        By nearest rank: the value is one of the durations, as far as they are counted exactly.
        """
        rank = ceil(self.count * percent / 100)
        for duration in sorted(self.counts):
            rank -= self.counts[duration]
            if rank <= 0:
                return min(duration, self.longest) / 1000
        return 0.0

    def _coarsen(self) -> None:
        exact, self.counts = self.counts, Counter()
        for duration, count in exact.items():
            self.counts[_bucket(duration)] += count
        self.is_coarse = True


def _bucket(duration: int) -> int:
    """Return the middle of a duration's bucket, which is in the same bucket."""
    shift = max(0, duration.bit_length() - _BUCKET_BITS)
    return (duration >> shift << shift) + (1 << shift >> 1)


@dataclass(slots=True)
class Summary:
    """The totals of a run, counted as results come.

    Attributes:
        counts: The number of actions for each status; its keys are of `Status`.
        skipped_by_rule: How many of the skipped ones the user asked to skip (`SKIPPED_BY_RULE`).
        limits: The codes of limits for which actions were skipped: `BUDGET`, `EXPIRED`.
        duration: Seconds that the run took.
        interrupted_by: The number of the signal that interrupted the run, or None.
        latency: How long the actions took that started, pauses between attempts included.
        since_ms: When this part of a resumed run began, in milliseconds after its first part.
        started: How many actions started in this part.
        earlier: How many results are of an earlier part of a resumed run.
        expectations: The number of expectations for each status; they are not in `counts`.
        rehearsal_only: How many of the skipped ones only a rehearsal can check.
    """

    counts: Counter[str] = field(default_factory=Counter)
    skipped_by_rule: int = 0
    limits: set[str] = field(default_factory=set)
    duration: float = 0.0
    interrupted_by: int | None = None
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    since_ms: float = 0.0
    started: int = 0
    earlier: int = 0
    expectations: Counter[str] = field(default_factory=Counter)
    rehearsal_only: int = 0

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.counts[status]} {status}" for status in Status)
        return f"<{self.total} actions: {counts}; exit code {self.exit_code}>"

    def _repr_html_(self) -> str:
        """Return a table, which notebooks show."""
        head = "".join(f"<th>{status}</th>" for status in ("total", *Status, "exit code"))
        numbers = (self.total, *(self.counts[status] for status in Status), self.exit_code)
        row = "".join(f"<td>{number:,}</td>" for number in numbers)
        return f"<table><tr>{head}</tr><tr>{row}</tr></table>"

    def as_json(self) -> dict[str, Any]:
        """Return the totals as plain data, with the keys of the last record of a run."""
        return {
            "total": self.total,
            **{str(status): self.counts[status] for status in Status},
            "durationMs": round(self.duration * 1000, 3),
            "exitCode": self.exit_code,
        }

    def count(self, result: Result) -> None:
        """Count one action, and how long it took."""
        self.add(result.status, result.error)
        if result.earlier is True:
            self.earlier += 1
        if result.started_ms is not None:
            self.latency.add(result.duration_ms)
            self.started += result.started_ms >= self.since_ms

    def add(self, status: Status, error: ActionError | None) -> None:
        """Count one action."""
        self.counts[status] += 1
        if status is Status.SKIPPED and error:
            self.skipped_by_rule += error.code in SKIPPED_BY_RULE
            if error.code in {SkipReason.BUDGET, SkipReason.EXPIRED}:
                self.limits.add(error.code)

    def count_expectation(self, result: ExpectationResult) -> None:
        """Count one expectation."""
        self.expectations[result.status] += 1
        if result.error and result.error.code == SkipReason.REHEARSAL_ONLY:
            self.rehearsal_only += 1

    @property
    def total(self) -> int:
        """The number of actions; each has exactly one status."""
        return self.counts.total()

    @property
    def not_done(self) -> int:
        """How many actions were skipped although the playbook did not ask for it."""
        return self.counts[Status.SKIPPED] - self.skipped_by_rule

    @property
    def not_checked(self) -> int:
        """How many expectations were skipped that could have been checked."""
        return self.expectations[Status.SKIPPED] - self.rehearsal_only

    @property
    def is_all_earlier(self) -> bool:
        """Whether this part of the run had nothing to do."""
        return 0 < self.earlier == self.total

    @property
    def per_second(self) -> float:
        """How many actions this part of the run carried out in a second."""
        duration = round(self.duration, 6)  # as in the journal, for the same figure in a replay
        return self.started / duration if duration > 0 else 0.0

    @property
    def exit_code(self) -> int:
        """The exit code of the run: 128 + signal, 3 unknown, 1 failed or skipped, else 0."""
        if self.interrupted_by is not None:
            return 128 + self.interrupted_by
        if self.counts[Status.UNKNOWN] or self.expectations[Status.UNKNOWN]:
            return EXIT_UNKNOWN
        is_failed = self.counts[Status.FAILED] or self.expectations[Status.FAILED]
        if is_failed or self.not_done > 0 or self.not_checked > 0:
            return EXIT_FAILED
        return EXIT_OK
