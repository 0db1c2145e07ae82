"""The record of one action, and the sum of a run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from runner.actions.wire import Value
from runner.execution.latency import Latency
from runner.playbook.step import Step

if TYPE_CHECKING:
    from runner.execution.record import Record


class Status(StrEnum):
    """How an action ended.

    `ok` means accepted by the service, not delivered. `unknown` means that it may or may not
    have happened.
    """

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class Skip(StrEnum):
    """Why an action was skipped; the `code` of its error."""

    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    MISSING = "missing"
    JOURNAL = "journal"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an action is not ok.

    Attributes:
        code: A stable word of ours, or the service's own error code.
        message: What happened, in words. Never holds a secret.
        hint: What to do about it, or "".
    """

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt that another one came after.

    Attributes:
        at: When it started, in seconds from the run's beginning.
        http_status: Its answer's status, or None when none came.
        error: A stable word of ours, the service's own error code, or None when it gave none.
        pause: Seconds that were to pass before the next attempt.
    """

    at: float
    http_status: int | None
    error: str | None
    pause: float


@dataclass(frozen=True, slots=True)
class Result:
    """How one action ended.

    Attributes:
        step: The action.
        status: How it ended.
        http_status: The last answer's status, or None when none came.
        attempts: How many left, or may have; one that could not connect did not.
        duration: Seconds from the first attempt's start to the end, pauses included.
        request_id: The `x-ms-client-request-id` of its attempts, or None when there were none.
        fault: Why it is not ok, or None.
        started: When its first attempt started, in seconds from the run's beginning; None when it
            did not start. In a resumed run, from the beginning of its first part.
        waited_for: The index of the step whose end let this one start, or None when it kept its
            written order for none.
        tries: The attempts before the last one, those that could not connect among them.
        record: Its record, once `record_of` has made it.
    """

    step: Step
    status: Status
    http_status: int | None = None
    attempts: int = 0
    duration: float = 0.0
    request_id: str | None = None
    fault: Fault | None = None
    started: float | None = None
    waited_for: int | None = None
    tries: tuple[Try, ...] = ()
    record: "Record | None" = field(default=None, init=False, repr=False, compare=False)

    @property
    def target(self) -> Mapping[str, Value]:
        """Whom the action was done to."""
        return self.step.target


EXIT_OK, EXIT_FAILED, EXIT_UNKNOWN = 0, 1, 3
"""Exit codes of a run. Frozen: engines that retry key on them. 2, nothing was sent, is the
border's (`cli.exits`), since there is no run then."""


@dataclass(slots=True)
class Summary:
    """The sum of a run, counted as results come.

    Attributes:
        counts: How many actions ended in each status.
        excused: How many of the skipped ones were skipped because the playbook said so.
        duration: Seconds the run took.
        interrupted_by: The signal's number when the run was interrupted, or None.
        latency: How long the actions took that started, pauses between attempts included.
        since_ms: When this part of a resumed run began, in milliseconds after its first part.
        fresh: How many actions started in this part.
    """

    counts: Counter[Status]
    excused: int = 0
    duration: float = 0.0
    interrupted_by: int | None = None
    latency: Latency = field(default_factory=Latency)
    since_ms: float = 0.0
    fresh: int = 0

    def count(self, record: "Record") -> None:
        """Count one action, and how long it took."""
        self.add(record.status, record.error)
        if record.started_ms is not None:
            self.latency.add(record.duration_ms)
            self.fresh += record.started_ms >= self.since_ms

    def add(self, status: Status, fault: Fault | None) -> None:
        """Count one action."""
        self.counts[status] += 1
        if status is Status.SKIPPED and fault and fault.code == Skip.MISSING:
            self.excused += 1

    @property
    def total(self) -> int:
        """How many actions there are; each is in exactly one status."""
        return self.counts.total()

    @property
    def per_second(self) -> float:
        """How many actions a second this part of the run carried out."""
        duration = round(self.duration, 6)  # as a journal has it, so that it is the same again
        return self.fresh / duration if duration > 0 else 0.0

    @property
    def exit_code(self) -> int:
        """The run's exit code: 128 + signal, 3 unknown, 1 failed or skipped, else 0."""
        if self.interrupted_by is not None:
            return 128 + self.interrupted_by
        if self.counts[Status.UNKNOWN]:
            return EXIT_UNKNOWN
        if self.counts[Status.FAILED] or self.counts[Status.SKIPPED] > self.excused:
            return EXIT_FAILED
        return EXIT_OK
