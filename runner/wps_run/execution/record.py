"""The record of one action: what became of it, as reports tell it and the journal keeps it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wps_run.actions.request import Value
from wps_run.execution.result import ActionError, Result, Status
from wps_run.playbook.steps import Step

in_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""A value as journals and reports write it: on one line, without blanks, characters as they are."""

_text = json.encoder.encode_basestring
_NULL = "null"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that another one came after.

    Attributes:
        at_ms: Milliseconds from the run's beginning to its start.
        http_status: Its answer's status, or None when none came.
        error: A stable word of ours, the service's own error code, or None when it gave none.
        pause_ms: Milliseconds that were to pass before the next attempt.
    """

    at_ms: float
    http_status: int | None
    error: str | None
    pause_ms: float

    def as_json(self) -> dict[str, Any]:
        """The attempt as it is written."""
        return {
            "atMs": self.at_ms,
            "httpStatus": self.http_status,
            "error": self.error,
            "pauseMs": self.pause_ms,
        }


@dataclass(slots=True)
class Record:
    """How one action ended, as every report tells it and the journal keeps it. No payload.

    It is not changed once it is made. It is not frozen, since to make it would take three times as
    long, and each action makes one.

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
        attempts: How many attempts left, or may have; one that could not connect did not.
        duration_ms: Milliseconds from the first attempt's start to the end, pauses included.
        request_id: The `x-ms-client-request-id` of its attempts, or None.
        error: Why it is not ok, or None.
        started_ms: Milliseconds from the run's beginning to the first attempt; None when there was
            none. In a resumed run, from the beginning of its first part.
        waited_for: The index of the step whose end let this one start, or None when it kept its
            written order for none.
        tries: The attempts before the last one, those that could not connect among them.
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
    error: ActionError | None
    started_ms: float | None = None
    waited_for: int | None = None
    tries: tuple[Attempt, ...] = ()
    _line: str = field(default="", init=False, repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """The record as it is written, as plain data."""
        written: dict[str, Any] = json.loads(self.line)
        return written

    @property
    def line(self) -> str:
        """The record as one line of ndjson, with its line break; journal and report share it."""
        if not self._line:
            self._line = self._written()
        return self._line

    def _written(self) -> str:
        """The record in JSON. Written out: the encoder takes four times as long for the whole."""
        fault = self.error
        error = fault and {"code": fault.code, "message": fault.message, "hint": fault.hint}
        tries = in_json([one.as_json() for one in self.tries]) if self.tries else "[]"
        return (
            f'{{"type":"result","index":{self.index},"action":{self.action},'
            f'"item":{_NULL if self.item is None else self.item},'
            f'"actionName":"{self.action_name}",'
            f'"name":{_NULL if self.name is None else _text(self.name)},'
            f'"target":{_target(self.target)},'
            f'"source":{_text(self.source)},"status":"{self.status}",'
            f'"httpStatus":{_NULL if self.http_status is None else self.http_status},'
            f'"attempts":{self.attempts},"durationMs":{self.duration_ms},'
            f'"requestId":{_NULL if self.request_id is None else _text(self.request_id)},'
            f'"error":{in_json(error) if error else _NULL},'
            f'"startedMs":{_NULL if self.started_ms is None else self.started_ms},'
            f'"waitedFor":{_NULL if self.waited_for is None else self.waited_for},'
            f'"tries":{tries}}}\n'
        )


def _target(target: Mapping[str, Value]) -> str:
    """Whom an action is done to, in JSON; nearly always names, and their keys are plain."""
    pairs = [
        f'"{name}":{_text(value) if type(value) is str else in_json(value)}'
        for name, value in target.items()
    ]
    return f"{{{','.join(pairs)}}}"


def ended(  # noqa: PLR0913, PLR0917 -- all that a run finds out about a step
    step: Step,
    status: Status,
    http_status: int | None = None,
    attempts: int = 0,
    duration: float = 0.0,
    request_id: str | None = None,
    fault: ActionError | None = None,
    *,
    started: float | None = None,
    waited_for: int | None = None,
    tries: tuple[Attempt, ...] = (),
) -> Result:
    """The result of a step; the arguments are its record's, but for times, which are in seconds."""
    record = Record(
        step.index,
        step.action_index,
        step.item,
        step.action.name,
        step.name,
        step.target,
        step.source,
        status,
        http_status,
        attempts,
        milliseconds(duration),
        request_id,
        fault,
        None if started is None else milliseconds(started),
        waited_for,
        tries,
    )
    return Result(step, record)


def milliseconds(seconds: float) -> float:
    """Seconds as records tell them: milliseconds, to the microsecond."""
    return int(seconds * 1_000_000 + 0.5) / 1000  # `round` takes three times as long


def record_from(written: Mapping[str, Any]) -> Record:
    """The record of a result as it was written; one of an older journal has no times."""
    error = written["error"]
    return Record(
        index=written["index"],
        action=written["action"],
        item=written["item"],
        action_name=written["actionName"],
        name=written["name"],
        target={
            name: tuple(value) if isinstance(value, list) else value
            for name, value in written["target"].items()
        },
        source=written["source"],
        status=Status(written["status"]),
        http_status=written["httpStatus"],
        attempts=written["attempts"],
        duration_ms=written["durationMs"],
        request_id=written["requestId"],
        error=ActionError(error["code"], error["message"], error["hint"]) if error else None,
        started_ms=written.get("startedMs"),
        waited_for=written.get("waitedFor"),
        tries=tuple(
            Attempt(one["atMs"], one["httpStatus"], one["error"], one["pauseMs"])
            for one in written.get("tries", ())
        ),
    )
