"""The result of one action: what the executor yields, the journal keeps and reports read."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from wps_run import input_limits
from wps_run.actions.table import ACTIONS
from wps_run.playbook.steps import Step

MAX_ACTIONS = input_limits.ACTIONS.value
"""The most actions of a run. A larger index in a journal is damage."""

Index = Annotated[int, Meta(ge=0, lt=MAX_ACTIONS)]
Count = Annotated[int, Meta(ge=0, le=MAX_ACTIONS)]
Milliseconds = Annotated[float, Meta(gt=-1e15, lt=1e15)]

# What follows is only in the published schema: reading a record does not check it.
ActionName = Annotated[str, Meta(extra_json_schema={"enum": [*ACTIONS]})]
HttpStatus = Annotated[int, Meta(extra_json_schema={"minimum": 100, "maximum": 999})]
Target = Annotated[
    Mapping[str, str | int | tuple[str, ...]],
    Meta(
        extra_json_schema={
            "propertyNames": {
                "enum": sorted({name for row in ACTIONS.values() for name in row.targets})
            }
        }
    ),
]


class Status(StrEnum):
    """How an action ended.

    `ok` means accepted by the service, not delivered. `unknown` means that it may or may not
    have happened.
    """

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why an action or an expectation was skipped; the `code` of its error."""

    STOPPED = "stopped"
    BUDGET = "budget"
    EXPIRED = "expired"
    INTERRUPTED = "interrupted"
    MISSING = "missing"
    JOURNAL = "journal"
    PROCESS = "process"
    RESOLVED = "resolved"
    IN_PLACE = "in-place"
    REHEARSAL_ONLY = "rehearsal-only"


SKIPPED_BY_RULE = frozenset({SkipReason.MISSING, SkipReason.IN_PLACE})
"""Why an action was skipped as the user wants it, so that nothing is left to do."""


class ActionError(Struct, frozen=True):
    """Why an action is not ok.

    Attributes:
        code: A stable code of ours, or the service's own error code.
        message: What happened. Never holds a secret.
        hint: What to do about it, or "".
    """

    code: str
    message: str
    hint: str = ""


class Attempt(Struct, frozen=True, rename="camel"):
    """An attempt that was followed by another one.

    Attributes:
        at_ms: Milliseconds from the start of the run to the start of the attempt.
        http_status: The status of its response, or None without a response.
        error: A stable code of ours, the service's error code, or None without one.
        pause_ms: Milliseconds of back-off before the next attempt.
    """

    at_ms: Milliseconds
    http_status: HttpStatus | None
    error: str | None
    pause_ms: Milliseconds


class Result(Struct, frozen=True, rename="camel", tag="result"):
    """How one action ended. It holds no payload.

    Attributes:
        index: The number of its step among all steps of the run, from 0.
        action: The number of the action in the playbook's list, or in `finally`, from 0.
        item: The number of the row it was made from, from 0, or None.
        action_name: The `actionName`.
        name: The author's label, or None.
        target: The target properties: name to value.
        source: `file:line`.
        status: How it ended.
        http_status: The status of the last response, or None.
        attempts: How many attempts were sent, or may have been; one that could not connect
            was not.
        duration_ms: Milliseconds from the start of the first attempt to the end, pauses included.
        request_id: The `x-ms-client-request-id` of its attempts, or None.
        error: Why it is not ok, or None.
        started_ms: Milliseconds from the start of the run to the first attempt; None without
            one. In a resumed run, from the start of its first part.
        waited_for: The index of the step whose end let this one start, or None if it waited
            for no other step.
        tries: The attempts before the last one, including those that could not connect.
        final: True for an action of `finally`; otherwise not in records.
        earlier: True for a result of an earlier part of a resumed run; otherwise not in records.
    """

    index: Index
    action: Index
    item: Index | None
    action_name: ActionName
    name: str | None
    target: Target
    source: str
    status: Status
    http_status: HttpStatus | None
    attempts: Count
    duration_ms: Milliseconds
    request_id: str | None
    error: ActionError | None
    started_ms: Milliseconds | None = None
    waited_for: Index | None = None
    tries: tuple[Attempt, ...] = ()
    final: bool | UnsetType = UNSET
    earlier: bool | UnsetType = UNSET

    def __repr__(self) -> str:
        error = f" ({self.error.code})" if self.error else ""
        target = " ".join(map(str, self.target.values()))
        return f"<{self.action_name} {target}: {self.status}{error}>"

    @property
    def label(self) -> str:
        """What readers see after action and target: its name, and that it is of `finally`."""
        return ", ".join(filter(None, (self.name, "finally" if self.final is True else "")))

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data, with the keys of journals and reports."""
        record: dict[str, Any] = msgspec.to_builtins(self)
        target = self.target.items()
        return {
            **record,
            "target": {name: [*v] if isinstance(v, tuple) else v for name, v in target},
            "tries": [*record["tries"]],
        }


class ExpectationResult(Struct, frozen=True, rename="camel", tag="expectation"):
    """Whether one expectation holds. It holds no payload in a journal.

    Attributes:
        index: Its number among all expectations of the run, from 0.
        statement: What is expected, as a sentence.
        source: `file:line`.
        status: `ok` if it holds, `failed` if it does not, `unknown` if that cannot be read.
        error: Why it is not ok, or None.
        duration_ms: Milliseconds until this was known, `within` included.
    """

    index: Index
    statement: str
    source: str
    status: Status
    error: ActionError | None
    duration_ms: Milliseconds

    def __repr__(self) -> str:
        return f"<{self.statement}: {self.status}>"

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data, with the keys of journals and reports."""
        record: dict[str, Any] = msgspec.to_builtins(self)
        return record


def result_for(  # noqa: PLR0913 -- what a run finds out about a step, by name
    step: Step,
    status: Status,
    *,
    error: ActionError | None = None,
    http_status: int | None = None,
    attempts: int = 0,
    duration: float = 0.0,
    request_id: str | None = None,
    started: float | None = None,
    waited_for: int | None = None,
    tries: tuple[Attempt, ...] = (),
) -> Result:
    """Make the result of a step. The arguments are its attributes, with times in seconds."""
    return Result(
        step.index,
        step.action_index,
        step.item,
        step.action.name,
        step.name,
        step.target,  # type: ignore[arg-type] # only `data` is bytes, and it is no target
        step.source,
        status,
        http_status,
        attempts,
        milliseconds(duration),
        request_id,
        error,
        None if started is None else milliseconds(started),
        waited_for,
        tries,
        step.is_final or UNSET,
    )


def milliseconds(seconds: float) -> float:
    """Convert seconds to milliseconds, rounded to the microsecond."""
    return int(seconds * 1_000_000 + 0.5) / 1000  # `round` takes three times as long
