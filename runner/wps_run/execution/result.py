"""The record of one action, and the sum of a run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from wps_run.actions.request import Value
from wps_run.execution.latency import Latency
from wps_run.playbook.steps import Step

if TYPE_CHECKING:
    from wps_run.execution.record import Record


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
class ActionError:
    """Why an action is not ok.

    Attributes:
        code: A stable word of ours, or the service's own error code.
        message: What happened, in words. Never holds a secret.
        hint: What to do about it, or "".
    """

    code: str
    message: str
    hint: str = ""


class Result(NamedTuple):
    """How one action ended. A tuple, since each action makes one.

    Attributes:
        step: The action.
        record: What became of it.
    """

    step: Step
    record: "Record"

    @property
    def target(self) -> Mapping[str, Value]:
        """Whom the action was done to."""
        return self.record.target

    @property
    def status(self) -> Status:
        """How it ended."""
        return self.record.status

    @property
    def http_status(self) -> int | None:
        """The last answer's status, or None when none came."""
        return self.record.http_status

    @property
    def attempts(self) -> int:
        """How many left, or may have; one that could not connect did not."""
        return self.record.attempts

    @property
    def duration(self) -> float:
        """Seconds from the first attempt's start to the end, pauses included."""
        return self.record.duration_ms / 1000

    @property
    def request_id(self) -> str | None:
        """The `x-ms-client-request-id` of its attempts, or None when there were none."""
        return self.record.request_id

    @property
    def fault(self) -> ActionError | None:
        """Why it is not ok, or None."""
        return self.record.error


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

    def add(self, status: Status, fault: ActionError | None) -> None:
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
