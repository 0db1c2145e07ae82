"""The record of one action, and the sum of a run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from runner.actions.wire import Value
from runner.playbook.step import Step


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
class Result:
    """How one action ended.

    Attributes:
        step: The action.
        status: How it ended.
        http_status: The last answer's status, or None when none came.
        attempts: How many were made, those that could not connect among them; 0 when it did not
            start.
        duration: Seconds from the first attempt's start to the end, pauses included.
        request_id: The `x-ms-client-request-id` of its requests, or None when none left.
        fault: Why it is not ok, or None.
    """

    step: Step
    status: Status
    http_status: int | None = None
    attempts: int = 0
    duration: float = 0.0
    request_id: str | None = None
    fault: Fault | None = None

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
    """

    counts: Counter[Status]
    excused: int = 0
    duration: float = 0.0
    interrupted_by: int | None = None

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
    def exit_code(self) -> int:
        """The run's exit code: 128 + signal, 3 unknown, 1 failed or skipped, else 0."""
        if self.interrupted_by is not None:
            return 128 + self.interrupted_by
        if self.counts[Status.UNKNOWN]:
            return EXIT_UNKNOWN
        if self.counts[Status.FAILED] or self.counts[Status.SKIPPED] > self.excused:
            return EXIT_FAILED
        return EXIT_OK
