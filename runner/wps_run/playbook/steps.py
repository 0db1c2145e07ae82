"""A step: one action, checked and ready to be carried out.

A checked playbook, variables and a hub turned into a lazy stream of steps.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wps_run.actions.fields import FieldType
from wps_run.actions.locks import EXCLUSIVE, Lock, locks_for
from wps_run.actions.payload import encode_message
from wps_run.actions.request import Request, RequestTemplate, Value, Values
from wps_run.actions.table import Action
from wps_run.playbook.expansion import ExpandedAction, Expansion
from wps_run.playbook.model import ActionTemplate, Playbook
from wps_run.playbook.options import (
    Delivery,
    Mode,
    OnError,
    OnMissing,
    RunOptions,
    parse_duration,
    parse_on_missing,
)
from wps_run.playbook.shards import Shard
from wps_run.playbook.variables import VariableScope
from wps_run.problems import PlaybookError, Position, Problem


@dataclass(slots=True)
class Step:
    """One action of a run, after variables are filled in and rows expanded.

    It is not changed once it is made. It is not frozen, since to make it would take three times as
    long, and each action makes one.

    Attributes:
        index: Its number among all expanded actions of the run, from 0.
        action_index: The index of its action in the playbook, from 0.
        item: The row it was made from, from 0, or None when it is not made from rows.
        action: Its row of the action table.
        values: Its checked values.
        request: The REST call; `plan` shows it and `run` sends it.
        locks: The locks that it holds while it runs.
        source: `file:line` of the action, or of the row it was made from.
        name: The author's label, or None.
        on_error: Whether its failure stops the run.
        delivery: Whether it is sent again when the outcome is unknown.
        timeout: Seconds that one attempt may take.
        on_missing: What is done when its user or connection is not there.
    """

    index: int
    action_index: int
    item: int | None
    action: Action
    values: Values
    request: Request
    locks: tuple[Lock, ...]
    source: str
    name: str | None
    on_error: OnError
    delivery: Delivery
    timeout: float
    on_missing: OnMissing = field(default_factory=OnMissing)

    @property
    def target(self) -> dict[str, Value]:
        """Whom it is done to: its target properties, in the order of the table."""
        values = self.values
        return {name: values[name] for name in self.action.targets if name in values}


SHOWN_ROWS = 20
"""How many bad rows of one source are told; of the rest only how many they are."""


@dataclass(frozen=True, slots=True)
class StepCheck:
    """What comes of filling in all variables and all rows once.

    Attributes:
        problems: Everything that is wrong, in order.
        steps: How many steps there are; of use when nothing is wrong.
        owned: How many of them are the shard's; all of them without shards.
    """

    problems: tuple[Problem, ...]
    steps: int
    owned: int


class _Findings:
    """The problems of one pass, those of bad rows up to a bound."""

    def __init__(self) -> None:
        self.problems: dict[Problem, None] = {}
        self._bad = 0
        self._untold: Position | None = None

    def add(self, filled: ExpandedAction) -> None:
        """Take in what is wrong with one expanded action."""
        fresh = [problem for problem in filled.problems if problem not in self.problems]
        if filled.item is not None and fresh:
            self._bad += 1
            if self._bad > SHOWN_ROWS:
                self._untold = self._untold or filled.position
                return
        self.problems.update(dict.fromkeys(fresh))

    def close_source(self) -> None:
        """Say how many bad rows were not told, and begin to count anew."""
        if self._untold:
            more = self._bad - SHOWN_ROWS
            words = "1 more row is" if more == 1 else f"{more} more rows are"
            told = Problem(f"{words} wrong from here on", "more-rows", self._untold)
            self.problems[told] = None
        self._bad, self._untold = 0, None


def check(playbook: Playbook, scope: VariableScope, shard: Shard | None = None) -> StepCheck:
    """Everything that filling in variables and rows brings to light, and how many steps come.

    Every row is read. A value that is known only at run time (`environment` is None) is
    not judged.
    """
    findings = _Findings()
    steps = owned = 0
    for written in playbook.actions:
        owns = _owner(written, shard)
        if not written.has_templates:
            steps += 1
            owned += owns(written.values)
            continue
        for filled in Expansion(playbook, written, scope):
            steps += 1
            if filled.problems:
                findings.add(filled)
            else:
                owned += owns(filled.values)
        findings.close_source()
    return StepCheck(tuple(findings.problems), steps, owned)


def _owner(written: ActionTemplate, shard: Shard | None) -> Callable[[Mapping[str, Any]], bool]:
    """Whether an action with given values is to be carried out, as far as shards decide it."""
    return shard.owner(written.action) if shard else lambda _: True


def steps(  # noqa: PLR0913 -- what a step is made of, by name
    playbook: Playbook,
    scope: VariableScope,
    options: RunOptions,
    hub: str,
    *,
    first: int = 0,
    shard: Shard | None = None,
) -> Iterator[Step]:
    """The playbook's steps, in the written order, made one at a time.

    Args:
        playbook: A playbook without problems.
        scope: What `${…}` may name, and the files.
        options: The merged options of the run.
        hub: The hub's name.
        first: The number of the first step; later playbooks of a run count on.
        shard: Whose steps are made, or None for all. Each keeps the number that it has there.

    Raises:
        PlaybookError: A filled-in value is wrong; `check` finds all of these beforehand, unless
            a file has changed since.
    """
    index = first
    for written in playbook.actions:
        make = _maker(written, options, hub)
        owns = _owner(written, shard)
        for filled in _expanded(playbook, written, scope):
            if filled.problems:
                raise PlaybookError(filled.problems)
            if owns(filled.values):
                yield make(filled, index)
            index += 1


def _maker(
    written: ActionTemplate, options: RunOptions, hub: str
) -> Callable[[ExpandedAction, int], Step]:
    """What makes the steps of one written action; what no row changes is worked out once."""
    own, action, place = written.options, written.action, _place(written)
    on_error = OnError(own.get("onError", options.on_error))
    delivery = Delivery(own.get("delivery", options.delivery))
    timeout = parse_duration(own.get("timeout", options.timeout))
    missing = parse_on_missing(own["onMissing"]) if "onMissing" in own else options.on_missing
    request = RequestTemplate(action, hub).fill
    make_locks = locks_for(action)
    sequential = options.mode is Mode.SEQUENTIAL
    final = any(one.type in {FieldType.DATA, FieldType.STRINGS} for one in action.fields)

    def make(filled: ExpandedAction, index: int) -> Step:
        values = _final(action, filled.values) if final else filled.values
        position = filled.position
        return Step(
            index,
            place,
            filled.item,
            action,
            values,
            request(values),
            EXCLUSIVE if sequential else make_locks(values),
            f"{position.file}:{position.line}",
            filled.label,
            on_error,
            delivery,
            timeout,
            missing,
        )

    return make


def _place(written: ActionTemplate) -> int:
    """Its place in the list of actions; a single action that stands alone is the first."""
    last = written.path[-1] if written.path else 0
    return last if isinstance(last, int) else 0


def _expanded(
    playbook: Playbook, written: ActionTemplate, scope: VariableScope
) -> Iterator[ExpandedAction]:
    if written.has_templates:
        yield from Expansion(playbook, written, scope)
    else:
        position = playbook.document.position(written.path)
        yield ExpandedAction(written, None, position, written.values, written.label)


def _final(action: Action, values: Mapping[str, Any]) -> dict[str, Value]:
    """The values in their final form: bytes for data, a tuple for a list."""
    checked: dict[str, Value] = {}
    for one in action.fields:
        if one.name not in values:
            continue
        value = values[one.name]
        if one.type is FieldType.DATA:
            data_type = str(values.get("dataType", "text"))
            checked["dataType"] = data_type
            is_bytes = isinstance(value, bytes)
            checked[one.name] = value if is_bytes else encode_message(value, data_type)
        elif one.type is FieldType.STRINGS:
            checked[one.name] = tuple(value)
        else:
            checked[one.name] = value
    return checked
