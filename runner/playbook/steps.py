"""A checked playbook, variables and a hub turned into a lazy stream of steps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.actions.claims import ALONE, claims_of
from runner.actions.fields import Shape
from runner.actions.payload import message_bytes
from runner.actions.wire import Value, build_request
from runner.playbook.model import Playbook, WrittenAction
from runner.playbook.options import Delivery, Mode, OnError, RunOptions, seconds
from runner.playbook.step import Step
from runner.playbook.validation import Finding, Form, checker
from runner.playbook.variables import NotYetKnownError, Scope, UndefinedError, fill
from runner.playbook.yaml12 import Path
from runner.problems import PlaybookError, Position, Problem


@dataclass(frozen=True, slots=True)
class _Filled:
    """One expanded action: its filled-in properties, or what is wrong with them."""

    written: WrittenAction
    values: Mapping[str, Any]
    label: str | None
    problems: tuple[Problem, ...]


def check(playbook: Playbook, scope: Scope) -> tuple[Problem, ...]:
    """Every problem that filling in the variables brings to light, in order.

    A value that is known only at run time (`Scope.environment` is None) is not judged.
    """
    return tuple(problem for filled in _expanded(playbook, scope) for problem in filled.problems)


def count(playbook: Playbook) -> int:
    """How many steps the playbook has."""
    return len(playbook.actions)


def steps(
    playbook: Playbook, scope: Scope, options: RunOptions, hub: str, *, first: int = 0
) -> Iterator[Step]:
    """The playbook's steps, in the written order, made one at a time.

    Args:
        playbook: A playbook without problems.
        scope: What `${…}` may name.
        options: The merged options of the run.
        hub: The hub's name.
        first: The number of the first step; later playbooks of a run count on.

    Raises:
        PlaybookError: A filled-in value is wrong; `check` finds all of these beforehand.
    """
    for index, filled in enumerate(_expanded(playbook, scope), start=first):
        if filled.problems:
            raise PlaybookError(filled.problems)
        yield _step(playbook, filled, options, hub, index)


def _step(playbook: Playbook, filled: _Filled, options: RunOptions, hub: str, index: int) -> Step:
    written = filled.written
    own = written.options
    values = _checked(written, filled.values)
    position = playbook.document.position(written.path)
    return Step(
        index=index,
        written=_place(written),
        item=None,
        action=written.action,
        values=values,
        request=build_request(written.action, values, hub),
        claims=ALONE if options.mode is Mode.SEQUENTIAL else claims_of(written.action, values),
        source=f"{position.file}:{position.line}",
        name=filled.label,
        on_error=OnError(own.get("onError", options.on_error)),
        delivery=Delivery(own.get("delivery", options.delivery)),
        timeout=seconds(own.get("timeout", options.timeout)),
    )


def _place(written: WrittenAction) -> int:
    """Its place in the list of actions; a single action that stands alone is the first."""
    last = written.path[-1] if written.path else 0
    return last if isinstance(last, int) else 0


def _expanded(playbook: Playbook, scope: Scope) -> Iterator[_Filled]:
    for written in playbook.actions:
        if written.templated:
            yield _fill(playbook, written, scope)
        else:
            yield _Filled(written, written.values, written.label, ())


def _fill(playbook: Playbook, written: WrittenAction, scope: Scope) -> _Filled:
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    known = True
    for key, value in {**written.values, "name": written.label}.items():
        try:
            values[key] = _fill_in(playbook, value, (*written.path, key), scope, problems)
        except NotYetKnownError:
            known = False
    label = values.pop("name", None)
    for one in written.action.fields:
        if one.shape is Shape.INTEGER and one.name in values:
            values[one.name] = _number(values[one.name])
    if known and not problems:
        problems += _faults(playbook, written, values)
    return _Filled(written, values, label, tuple(problems))


def _fill_in(
    playbook: Playbook, value: object, path: Path, scope: Scope, problems: list[Problem]
) -> object:
    """A string, or each string of a list, with its variables filled in."""
    if isinstance(value, list):
        return [
            _fill_in(playbook, item, (*path, number), scope, problems)
            for number, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    try:
        return fill(value, scope)
    except UndefinedError as error:
        problems.append(_undefined(playbook, path, error))
        return value


def _faults(
    playbook: Playbook, written: WrittenAction, values: Mapping[str, Any]
) -> Iterator[Problem]:
    mapping = {"actionName": written.action.name, **values}
    for finding in checker().action(mapping, Form.FILLED, slash_in_names=playbook.slash_in_names):
        yield _at(playbook, written, finding)


def _at(playbook: Playbook, written: WrittenAction, finding: Finding) -> Problem:
    return playbook.document.problem(
        f"{finding.message} (after its variables are filled in)",
        finding.rule,
        (*written.path, *finding.path),
        at_key=finding.at_key,
    )


def _undefined(playbook: Playbook, path: Path, error: UndefinedError) -> Problem:
    problem = playbook.document.problem(error.message, "undefined-variable", path)
    position = problem.position
    if position is None:
        return problem
    at = problem.line.find(error.reference, position.column - 1)
    if at < 0:
        return problem
    place = Position(position.file, position.line, at + 1)
    return replace(problem, position=place, width=len(error.reference))


def _number(value: object) -> object:
    """A whole number written as a filled-in string, as a number."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def _checked(written: WrittenAction, values: Mapping[str, Any]) -> dict[str, Value]:
    """The values in their final form: bytes for data, a tuple for a list."""
    checked: dict[str, Value] = {}
    for one in written.action.fields:
        if one.name not in values:
            continue
        value = values[one.name]
        if one.shape is Shape.DATA:
            data_type = str(values.get("dataType", "text"))
            checked["dataType"] = data_type
            checked[one.name] = message_bytes(value, data_type)
        elif one.shape is Shape.STRINGS:
            checked[one.name] = tuple(value)
        else:
            checked[one.name] = value
    return checked
