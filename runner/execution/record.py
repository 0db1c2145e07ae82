"""The record of one action: what every report tells and the journal keeps of its result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.actions.wire import Value
from runner.execution.result import Fault, Result, Status
from runner.playbook.step import Step


@dataclass(frozen=True, slots=True)
class Record:
    """How one action ended, as every report tells it and the journal keeps it. No payload.

    Attributes:
        index: Its number among all expanded actions of the run, from 0.
        action: Its place in the playbook's list, from 0.
        item: The row it was made from, from 0, or None.
        action_name: The `actionName`.
        name: The author's label, or None.
        target: Whom it was done to: property to value.
        source: `file:line`.
        status: How it ended.
        http_status: The last answer's status, or None.
        attempts: How many attempts were made.
        duration_ms: Milliseconds from the first attempt to the end.
        request_id: The `x-ms-client-request-id` of its requests, or None.
        error: Why it is not ok, or None.
    """

    index: int
    action: int
    item: int | None
    action_name: str
    name: str | None
    target: Mapping[str, Value]
    source: str
    status: Status
    http_status: int | None
    attempts: int
    duration_ms: float
    request_id: str | None
    error: Fault | None

    def as_json(self) -> dict[str, Any]:
        """The record as it is written."""
        fault = self.error
        return {
            "type": "result",
            "index": self.index,
            "action": self.action,
            "item": self.item,
            "actionName": self.action_name,
            "name": self.name,
            "target": self.target,
            "source": self.source,
            "status": self.status,
            "httpStatus": self.http_status,
            "attempts": self.attempts,
            "durationMs": self.duration_ms,
            "requestId": self.request_id,
            "error": fault and {"code": fault.code, "message": fault.message, "hint": fault.hint},
        }


def record_of(result: Result) -> Record:
    """The record of a result."""
    step = result.step
    return Record(
        index=step.index,
        action=step.written,
        item=step.item,
        action_name=step.action.name,
        name=step.name,
        target=step.target,
        source=step.source,
        status=result.status,
        http_status=result.http_status,
        attempts=result.attempts,
        duration_ms=round(result.duration * 1000, 3),
        request_id=result.request_id,
        error=result.fault,
    )


def record_from(written: Mapping[str, Any]) -> Record:
    """The record of a result as it was written."""
    error = written["error"]
    return Record(
        index=written["index"],
        action=written["action"],
        item=written["item"],
        action_name=written["actionName"],
        name=written["name"],
        target=written["target"],
        source=written["source"],
        status=Status(written["status"]),
        http_status=written["httpStatus"],
        attempts=written["attempts"],
        duration_ms=written["durationMs"],
        request_id=written["requestId"],
        error=Fault(error["code"], error["message"], error["hint"]) if error else None,
    )


def result_from(step: Step, record: Record) -> Result:
    """The result that a record was made from, given its step."""
    return Result(
        step,
        record.status,
        record.http_status,
        record.attempts,
        record.duration_ms / 1000,
        record.request_id,
        record.error,
    )
