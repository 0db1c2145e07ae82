"""A plan as text: each step, its request, and the steps that it waits for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from wps_run.actions.locks import HUB, MEMBERSHIP, Lock
from wps_run.execution.result import ActionName, Count, Index, Target
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.playbook.expectations import Expectation
from wps_run.playbook.steps import Step, UnreadAction
from wps_run.report.records import line, step_fields
from wps_run.report.values import action_text, value_text
from wps_run.text import one_line, replace_invisible, truncate, wrap_lines


@dataclass(frozen=True, slots=True)
class StepWait:
    """Earlier steps that must end before a step may start.

    Attributes:
        key: The key that both lock: the hub, the memberships, a user, a group or a connection.
        use: What the earlier steps hold the lock for.
        count: The number of earlier steps.
        first: The number of the first of them.
        last: The number of the last of them.
    """

    key: tuple[str, str]
    use: str
    count: int
    first: int
    last: int


MAX_KEYS = 10_000
"""The users, groups and connections whose locks are remembered, the latest ones: the plan of a
million rows needs constant memory. For a key that is no longer remembered, no wait is shown."""


class WaitTracker:
    """Computes from the locks which earlier steps each step waits for.

    A step waits for the nearest earlier steps that lock the same key in a way that excludes its own
    lock. Which of these have ended by then is known only in a run. A step that waits for a change
    of the hub's phase thereby waits for all steps before the change.
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], tuple[StepWait | None, StepWait]] = {}

    @property
    def key_count(self) -> int:
        """The number of keys that are remembered: at most `MAX_KEYS`, and the hub's."""
        return len(self._latest)

    def waits_of(self, step: Step) -> tuple[StepWait, ...]:
        """Return what the step waits for, one value per key. Call it for each step in order."""
        waits = (self._wait(lock, step.index) for lock in step.locks)
        mask = step.secrets.masked
        return tuple(replace(wait, key=mask(wait.key)) for wait in waits if wait)

    def _wait(self, lock: Lock, number: int) -> StepWait | None:
        """Return what holders of this lock wait for, and add the step to its holders."""
        waited_for, holders = self._latest.pop(lock.key, (None, None))
        if lock.key == HUB and holders is not None and holders.use != lock.use:
            self._latest.clear()
        elif len(self._latest) >= MAX_KEYS:
            del self._latest[next(key for key in self._latest if key != HUB)]
        if holders is not None and lock.shared and holders.use == lock.use:
            holders = replace(holders, count=holders.count + 1, last=number)
        else:
            waited_for, holders = holders, StepWait(lock.key, lock.use, 1, number, number)
        self._latest[lock.key] = (waited_for, holders)
        return waited_for


class PlanTotals:
    """Counts the steps of a plan."""

    def __init__(self) -> None:
        self._actions: Counter[str] = Counter()
        self._waiting = 0
        self._size = 0
        self._unread = 0

    def count_unread(self) -> None:
        """Count an action whose rows were not read."""
        self._unread += 1

    def count(self, step: Step, waits: Sequence[StepWait]) -> None:
        """Count a step and what it waits for."""
        self._actions[step.action.name] += 1
        self._waiting += bool(waits)
        self._size += len(step.request.body)

    def as_text(self, columns: int | None = None) -> str:
        """Return the number of requests, of steps that wait, and of each action.

        Lines fit into `columns`; None is any width.
        """
        total = self._actions.total()
        width = len(f"{total:,}")
        verb = "waits" if self._waiting == 1 else "wait"
        size = count_text(self._size, "byte")
        sent = f"{count_text(total, 'action')}, {count_text(total, 'request')} with {size}"
        waiting = f"{count_text(self._waiting, 'step')} {verb} for earlier ones"
        lines = [f"\n{Destination.PLAN}: {sent}; {waiting}"]
        if self._unread:
            lines.append(
                f"  plus the rows of {count_text(self._unread, 'action')} from live groups, whose "
                "number is not known; --live reads them now"
            )
        lines += [f"  {count:>{width},}  {name}" for name, count in self._actions.most_common()]
        return wrap_lines("\n".join(lines) + "\n", columns, _LINE_START)


class PlanTextReporter:
    """Reports a plan as text for people, with the totals at the end."""

    def begin(self, run_info: RunInfo, columns: int | None) -> str:
        self._waits, self._totals, self._columns = WaitTracker(), PlanTotals(), columns
        return wrap_lines(f"{run_info}\n", columns, _LINE_START) + "\n"

    def step(self, step: Step) -> str:
        waits = self._waits.waits_of(step)
        self._totals.count(step, waits)
        return step_text(step, waits, self._columns)

    def unread(self, action: UnreadAction) -> str:
        self._totals.count_unread()
        return unread_text(action, self._columns)

    def begin_final(self) -> str:
        return "\nAfter these and the expectations, whatever their results:\n"

    def end(self, expectations: Sequence[Expectation]) -> str:
        return f"{expectations_text(expectations)}{self._totals.as_text(self._columns)}"


class PlanRecordReporter:
    """Reports a plan as one record per line, for programs."""

    def begin(self, run_info: RunInfo, columns: int | None) -> str:  # noqa: ARG002
        self._waits = WaitTracker()
        return ""

    def step(self, step: Step) -> str:
        return line(step_record(step, self._waits.waits_of(step)))

    def unread(self, action: UnreadAction) -> str:
        return line(unread_record(action))

    def begin_final(self) -> str:
        return ""

    def end(self, expectations: Sequence[Expectation]) -> str:
        return "".join(line(expectation_record(each)) for each in expectations)


def count_text(number: int, noun: str) -> str:
    """Return `1 step`, or `2 steps`."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


MESSAGE_COLUMNS = 80
"""The columns of the preview of a message where there is no terminal."""

_LINE_START = " " * 8


def step_text(step: Step, waits: Sequence[StepWait], columns: int | None = None) -> str:
    """Return lines for people: the action, its request, its message, and what it waits for.

    Args:
        step: The step.
        waits: The earlier steps that it waits for.
        columns: The width of the terminal, to which names and the message are shortened; None
            without a terminal.
    """
    width = columns - len(_LINE_START) if columns else None
    action = action_text(step.action.name, step.target, replace_invisible(step.name or ""), width)
    body = f"  {len(step.request.body)} B {step.request.content_type}" if step.request.body else ""
    message = _message_preview(step)
    source = f"{_LINE_START}{replace_invisible(step.source)}; waits for {_waits_text(waits)}"
    lines = [
        f"{step.index:>6}  {action}",
        f"{_LINE_START}{step.request.method} {step.secrets.mask(step.request.target())}{body}",
        *([_LINE_START + truncate(message, width or MESSAGE_COLUMNS)] if message else ()),
        wrap_lines(source, columns, _LINE_START),
    ]
    return "\n".join(lines) + "\n"


def _message_preview(step: Step) -> str:
    """Return the start of the message on one line, its size if it is binary, "" without one."""
    body = step.request.body
    if "data" not in step.values or not body:
        return ""
    if step.values.get("dataType") == "binary":
        return f"message: {count_text(len(body), 'byte')} of binary"
    return (
        f"message: {one_line(step.secrets.mask(body.decode(errors='replace'))[:_PREVIEW_LENGTH])}"
    )


_PREVIEW_LENGTH = 4096
"""The most characters of a message that its preview is made of."""


def _waits_text(waits: Sequence[StepWait]) -> str:
    return ", and for ".join(map(_wait_text, waits)) or "nothing"


def _wait_text(wait: StepWait) -> str:
    kind, name = wait.key
    numbers = f"#{wait.first}" if wait.count == 1 else f"{wait.count} from #{wait.first}"
    if wait.key == HUB:
        return f"{numbers} ({wait.use})"
    if wait.key == MEMBERSHIP:
        return f"{numbers} (group members)"
    return f"{numbers} ({wait.use}, {kind} {value_text(name)})"


def unread_text(action: UnreadAction, columns: int | None = None) -> str:
    """Return lines for people: the action, and which connections it runs for."""
    width = columns - len(_LINE_START) if columns else None
    groups = ", ".join(map(value_text, action.groups))
    noun = "group" if len(action.groups) == 1 else "groups"
    rows = (
        f"{_LINE_START}rows: the connections in {noun} {groups}, not read; a run reads them first"
    )
    lines = [
        f"{'?':>6}  {action_text(action.name, action.target, '', width)}",
        wrap_lines(rows, columns, _LINE_START),
        wrap_lines(f"{_LINE_START}{replace_invisible(action.source)}", columns, _LINE_START),
    ]
    return "\n".join(lines) + "\n"


class UnreadRecord(Struct, frozen=True, rename="camel", tag="unread"):
    """An action of a plan whose rows were not read.

    Attributes:
        action: The number of the action in the playbook's list, from 0.
        action_name: The `actionName`.
        groups: The live groups that its rows come from.
        source: `file:line`.
    """

    action: Index
    action_name: ActionName
    groups: tuple[str, ...]
    source: str


def unread_record(action: UnreadAction) -> dict[str, Any]:
    """Return the record of an action whose rows were not read, for programs."""
    record = UnreadRecord(action.action_index, action.name, action.groups, action.source)
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields


def expectations_text(expectations: Sequence[Expectation]) -> str:
    """Return what is checked after the actions, or an empty text."""
    if not expectations:
        return ""
    rows = (f"  {replace_invisible(each.statement)}  ({each.source})" for each in expectations)
    return "\n".join(["\nChecked after the actions:", *rows, ""])


class PlannedExpectation(Struct, frozen=True, tag="expectation"):
    """An expectation of a plan.

    Attributes:
        index: Its number among all expectations of the run, from 0.
        statement: What is expected, as a sentence; of a message, it has only the size.
        source: `file:line`.
    """

    index: Index
    statement: str
    source: str


def expectation_record(expectation: Expectation) -> dict[str, Any]:
    """Return the record of an expectation, for programs."""
    record = PlannedExpectation(
        expectation.index, expectation.recorded_statement, expectation.source
    )
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields


class WaitRecord(Struct, frozen=True):
    """Earlier steps that must end before a step of a plan may start.

    Attributes:
        what: What they have in common with the step: `hub`, `group`, `user`, `connection`, …
        name: Its name, or "".
        use: What the earlier steps do with it.
        count: The number of earlier steps.
        first: The number of the first of them.
        last: The number of the last of them.
    """

    what: str
    name: str
    use: str
    count: Count
    first: Index
    last: Index


class StepRecord(Struct, frozen=True, kw_only=True, rename="camel", tag="step"):
    """A step of a plan. Of the payload, it has only the size.

    Attributes:
        index: Its number among all steps of the run, from 0.
        action: The number of the action in the playbook's list, or in `finally`, from 0.
        item: The number of the row it was made from, from 0, or null.
        action_name: The `actionName`.
        name: The author's label, or null.
        target: The target properties: name to value.
        source: `file:line`.
        final: True for an action of `finally`; otherwise not in records.
        method: The HTTP method.
        path: The path, percent-encoded.
        query: The query, percent-encoded, without api-version.
        content_type: The media type of the body, or null without a body.
        body_bytes: The size of the body.
        waits_for: The earlier steps that it waits for.
    """

    index: Index
    action: Index
    item: Index | None
    action_name: ActionName
    name: str | None
    target: Target
    source: str
    final: bool | UnsetType = UNSET
    method: str
    path: str
    query: str
    content_type: str | None
    body_bytes: Count
    waits_for: tuple[WaitRecord, ...]


def step_record(step: Step, waits: Sequence[StepWait]) -> dict[str, Any]:
    """Return the record of a step, for programs."""
    record = StepRecord(
        **step_fields(step),
        method=step.request.method,
        path=step.secrets.mask(step.request.path),
        query=step.secrets.mask(step.request.query),
        content_type=step.request.content_type,
        body_bytes=len(step.request.body),
        waits_for=tuple(
            WaitRecord(*wait.key, wait.use, wait.count, wait.first, wait.last) for wait in waits
        ),
    )
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields
