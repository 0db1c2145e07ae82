"""A playbook, read and checked, with everything that is wrong with it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from wps_run.actions.fields import FieldType
from wps_run.actions.table import ACTIONS, Action
from wps_run.document.document import Document, Path
from wps_run.document.loader import load
from wps_run.playbook.foreach import invalid_references
from wps_run.playbook.options import OPTIONS
from wps_run.playbook.validator import Finding, SchemaForm, default_validator, is_batch
from wps_run.playbook.variables import reference_problem
from wps_run.problems import PlaybookError, Problem, sort_problems

_BY_FOLDED_NAME = {name.lower(): action for name, action in ACTIONS.items()}


@dataclass(frozen=True, slots=True)
class ActionTemplate:
    """One action of a playbook, `${…}` not yet filled in.

    Attributes:
        action: Its row of the action table.
        values: The table's properties as written.
        label: The author's name for it, or None.
        options: Its own options (`onError`, `delivery`, `timeout`) as written.
        path: Where it is in the document: `("actions", 2)`, in a bare batch `(2,)`, or `()`.
        templated: Whether a string in it holds `${`, or rows or a message come from elsewhere, so
            that it is to be checked once more when that is filled in; never so in a bare batch.
        for_each: Its `forEach` as written, or None.
        data_file: The file that stands in place of `data`, as written, or None.
    """

    action: Action
    values: Mapping[str, Any]
    label: str | None
    options: Mapping[str, Any]
    path: Path
    templated: bool
    for_each: Any = None
    data_file: str | None = None


@dataclass(frozen=True, slots=True)
class Playbook:
    """One file: a playbook or a bare batch. What is wrong in it is left out of its parts.

    Attributes:
        document: The data with its positions.
        name: What it is for, or None.
        hub: The hub, or None.
        connection: The name of the setting that holds the connection string, or None.
        options: The values of the keys of `OPTIONS` as written.
        variables: `vars`; each value as it stands in the source, so that 007 stays `007`.
        slash_in_names: Whether names in the path may hold `/`.
        bare: Whether it is a bare batch.
        actions: The actions without faults, in the written order.
        problems: Everything that was found, in order of place.
    """

    document: Document
    name: str | None
    hub: str | None
    connection: str | None
    options: Mapping[str, Any]
    variables: Mapping[str, str]
    slash_in_names: bool
    bare: bool
    actions: tuple[ActionTemplate, ...]
    problems: tuple[Problem, ...]


def read_playbook(text: str, file: str) -> Playbook:
    """Read and check a playbook or a bare batch, YAML or JSON.

    Args:
        text: Its text.
        file: The name that problems are told under.

    Raises:
        PlaybookError: It is no YAML at all. Anything else that is wrong is in `problems`.
    """
    document = load(text, file)
    bare = is_batch(document.data)
    findings = default_validator().validate_document(document.data, document.source_text)
    keys = {} if bare or not isinstance(document.data, dict) else dict(document.data)
    for finding in findings:
        keys.pop(str(finding.path[0]) if finding.path else "", None)
    if any(finding.path == ("connection",) for finding in findings):
        document.mask(("connection",))
    slash_in_names = keys.get("slashInNames") == "allow"
    actions, faults = _read_actions(document, keys, bare=bare, slash_in_names=slash_in_names)
    misused = {one.path: list(_misused(document, one.path)) for one in actions if one.templated}
    return Playbook(
        document=document,
        name=keys.get("name"),
        hub=keys.get("hub"),
        connection=keys.get("connection"),
        options={key: keys[key] for key in OPTIONS if key in keys},
        variables={name: document.source_text(("vars", name)) for name in keys.get("vars", ())},
        slash_in_names=slash_in_names,
        bare=bare,
        actions=tuple(one for one in actions if not misused.get(one.path)),
        problems=_problems(document, [*findings, *faults], chain(*misused.values())),
    )


def variables_from(document: Document) -> dict[str, str]:
    """The variables that a file of its own holds, each value as it is written.

    Raises:
        PlaybookError: It is not a mapping of names to single values; by the rules of `vars`.
    """
    findings = default_validator().validate_document({"vars": document.data, "actions": []})
    if findings:
        raise PlaybookError(
            document.problem(one.message, one.rule, one.path[1:], at_key=one.at_key)
            for one in findings
        )
    return {name: document.source_text((name,)) for name in document.data}


def _misused(document: Document, path: Path) -> Iterator[Problem]:
    """The `${each…}` of an action that can name nothing."""
    for below, reference, message in invalid_references(document.value_at(path)):
        yield reference_problem(document, (*path, *below), reference, message, "undefined-variable")


def _read_actions(
    document: Document, keys: Mapping[str, Any], *, bare: bool, slash_in_names: bool
) -> tuple[list[ActionTemplate], list[Finding]]:
    actions: list[ActionTemplate] = []
    faults: list[Finding] = []
    items = _batch(document.data) if bare else _listed(keys.get("actions", ()))
    for path, item in items:
        templated = not bare and (_holds_template(item) or _from_elsewhere(item))
        form = (
            SchemaForm.BATCH if bare else SchemaForm.TEMPLATE if templated else SchemaForm.EXPANDED
        )
        found = default_validator().validate_action(
            item, form, slash_in_names=slash_in_names, written=_Below(document, path)
        )
        if found:
            faults += (
                Finding((*path, *one.path), one.message, one.rule, one.at_key) for one in found
            )
        else:
            actions.append(_written(item, path, templated=templated))
    return actions, faults


def _batch(data: Any) -> Iterator[tuple[Path, Any]]:  # noqa: ANN401 -- what YAML holds
    if isinstance(data, dict):
        yield (), data
    else:
        for place, item in enumerate(data):
            yield (place,), item


def _listed(actions: Iterable[Any]) -> Iterator[tuple[Path, Any]]:
    for place, item in enumerate(actions):
        yield ("actions", place), item


@dataclass(frozen=True, slots=True)
class _Below:
    """Gives scalars of a document as written, by their paths below one of its values."""

    document: Document
    top: Path

    def __call__(self, path: Path) -> str:
        return self.document.source_text((*self.top, *path))


def _holds_template(item: object) -> bool:
    """Whether a string that variables are filled into holds `${`."""
    if isinstance(item, str):
        return "${" in item
    if isinstance(item, dict):
        return any(map(_holds_template, item.values()))
    return isinstance(item, list) and any(map(_holds_template, item))


def _from_elsewhere(item: object) -> bool:
    return isinstance(item, dict) and ("forEach" in item or "dataFile" in item)


def _written(item: Mapping[str, Any], path: Path, *, templated: bool) -> ActionTemplate:
    """An action without faults; a whole number that was written `60.0` becomes one."""
    action = _BY_FOLDED_NAME[item["actionName"].lower()]
    values = {one.name: item[one.name] for one in action.fields if one.name in item}
    for one in action.fields:
        if one.type is FieldType.INTEGER and isinstance(values.get(one.name), float):
            values[one.name] = int(values[one.name])
    options = {key: item[key] for key in OPTIONS if key in item}
    return ActionTemplate(
        action,
        values,
        item.get("name"),
        options,
        path,
        templated,
        item.get("forEach"),
        item.get("dataFile"),
    )


def _problems(
    document: Document, findings: Iterable[Finding], others: Iterable[Problem]
) -> tuple[Problem, ...]:
    """The findings with their places; what an alias brings up again is told once."""
    found = (
        document.problem(one.message, one.rule, one.path, at_key=one.at_key) for one in findings
    )
    return sort_problems(dict.fromkeys(chain(found, others)))
