"""A plan as text: each step, its request and what it waits for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from wps_run.actions.locks import HUB, MEMBERSHIP, Lock
from wps_run.playbook.steps import Step
from wps_run.report.values import cut, target_text, value_text
from wps_run.text import replace_invisible


@dataclass(frozen=True, slots=True)
class StepWait:
    """Steps that must have ended before another one starts.

    Attributes:
        key: What both lock: the hub, a user, a group, a connection.
        use: What the earlier steps lock it for.
        count: How many they are.
        first: The number of the first of them.
        last: The number of the last of them.
    """

    key: tuple[str, str]
    use: str
    count: int
    first: int
    last: int


REMEMBERED = 10_000
"""Of so many users, groups and connections the latest locks are remembered, so that the plan of
a million rows stays in constant memory. Of one that did not come up since, no wait is shown."""


class WaitTracker:
    """What each step of a plan waits for, from the locks alone.

    A step waits for the nearest earlier steps that lock the same key in a way that conflicts
    with its own lock. Which of those are done by then is known only in a run.
    When the hub's phase changes, who waits for that waits for all that came before.
    """

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], tuple[StepWait | None, StepWait]] = {}

    @property
    def remembered(self) -> int:
        """How many keys are remembered: at most `REMEMBERED` and the hub's own."""
        return len(self._latest)

    def of(self, step: Step) -> tuple[StepWait, ...]:
        """What the step waits for, a value a key. Steps are given in their order."""
        found = (self._wait(lock, step.index) for lock in step.locks)
        return tuple(wait for wait in found if wait)

    def _wait(self, lock: Lock, number: int) -> StepWait | None:
        before, run = self._latest.pop(lock.key, (None, None))
        if lock.key == HUB and run is not None and run.use != lock.use:
            self._latest.clear()
        elif len(self._latest) >= REMEMBERED:
            del self._latest[next(key for key in self._latest if key != HUB)]
        if run is not None and lock.shared and run.use == lock.use:
            run = replace(run, count=run.count + 1, last=number)
        else:
            before, run = run, StepWait(lock.key, lock.use, 1, number, number)
        self._latest[lock.key] = (before, run)
        return before


def step_line(step: Step, waits: Sequence[StepWait]) -> str:
    """Three lines for a step, for people: the action, its request, its place."""
    name = f"  ({replace_invisible(cut(step.name))})" if step.name else ""
    body = f"  {len(step.request.body)} B {step.request.content_type}" if step.request.body else ""
    return (
        f"{step.index:>6}  {step.action.name} {target_text(step.target)}{name}\n"
        f"        {step.request.method} {step.request.target()}{body}\n"
        f"        {replace_invisible(step.source)}; waits for {_waits_text(waits)}\n"
    )


def _waits_text(waits: Sequence[StepWait]) -> str:
    return ", and for ".join(map(_wait_text, waits)) or "nothing"


def _wait_text(wait: StepWait) -> str:
    what, name = wait.key
    numbers = f"#{wait.first}" if wait.count == 1 else f"{wait.count} from #{wait.first}"
    if wait.key == HUB:
        return f"{numbers} ({wait.use})"
    if wait.key == MEMBERSHIP:
        return f"{numbers} (who is in which group)"
    return f"{numbers} ({wait.use}, {what} {value_text(name)})"


def step_record(step: Step, waits: Sequence[StepWait]) -> dict[str, Any]:
    """The record of one step, for machines. It holds no payload, only its size."""
    return {
        "type": "step",
        "index": step.index,
        "action": step.action_index,
        "item": step.item,
        "actionName": step.action.name,
        "name": step.name,
        "target": step.target,
        "source": step.source,
        "method": step.request.method,
        "path": step.request.path,
        "query": step.request.query,
        "contentType": step.request.content_type,
        "bodyBytes": len(step.request.body),
        "waitsFor": [
            {
                "what": wait.key[0],
                "name": wait.key[1],
                "use": wait.use,
                "count": wait.count,
                "first": wait.first,
                "last": wait.last,
            }
            for wait in waits
        ],
    }
