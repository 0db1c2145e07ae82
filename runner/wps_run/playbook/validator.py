"""Data held against the schema, and each fault told once, in words that help."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from wps_run.actions.fields import FieldLocation, FieldType
from wps_run.actions.names import SLASH_ERROR, hub_error
from wps_run.actions.table import ACTIONS, Action
from wps_run.document.document import Path
from wps_run.playbook import messages
from wps_run.playbook.compiled_schema import CompiledSchema
from wps_run.playbook.constraints import constraint_violations, data_type_of
from wps_run.playbook.foreach import for_each_error
from wps_run.playbook.schema import (
    SchemaForm,
    action_schema,
    names_without_slash,
    no_slash_schema,
    playbook_key_schemas,
    playbook_schema,
)

if TYPE_CHECKING:
    from jsonschema import ValidationError

__all__ = ["Finding", "PlaybookValidator", "SchemaForm", "Written", "default_validator", "is_batch"]

Written = Callable[[Path], str]
"""Path to a scalar as it stands in the source, so that `007` is answered with `"007"`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a piece of data.

    Attributes:
        path: The way to the value, from the top of what was checked.
        message: What is wrong and what to write instead. It never holds a secret.
        rule: A stable name for machines.
        at_key: Whether the key is meant, and not the value that it holds.
    """

    path: Path
    message: str
    rule: str
    at_key: bool = False


def is_batch(data: object) -> bool:
    """Whether data is a bare batch: a list of actions, or one action that stands alone."""
    return isinstance(data, list) or (
        isinstance(data, dict) and "actionName" in data and "actions" not in data
    )


class PlaybookValidator:
    """The schemas of an action table, ready to be held against data.

    The definition of an action is looked up by its `actionName`, which costs a tenth of going
    through the `if` and `then` of the published schema and gives the same verdict.
    """

    def __init__(self, actions: Mapping[str, Action] = ACTIONS) -> None:
        self._actions = actions
        self._folded = {action.name.lower(): action for action in actions.values()}
        self._known: dict[str, dict[str, Any]] = {}
        self._rules: dict[tuple[SchemaForm, str], CompiledSchema] = {}
        self._foreign = {one.name for action in actions.values() for one in action.fields}
        self._no_slash = CompiledSchema(no_slash_schema(actions))
        self._slashed = names_without_slash(actions)
        self._top = CompiledSchema(_without_items(playbook_schema({})))

    def validate_document(self, data: object, written: Written | None = None) -> list[Finding]:
        """Everything that is wrong with a playbook but for what is inside each action.

        Args:
            data: The playbook or the bare batch.
            written: Gives scalars as they stand in the source.
        """
        if is_batch(data):
            return []
        if not isinstance(data, dict):
            message = "a playbook is a mapping with the list `actions`, or a bare list of actions"
            return [Finding((), message, "type")]
        return _once(
            chain(
                (
                    finding
                    for error in self._top.errors(data)
                    for finding in self._top_fault(error, written)
                ),
                _not_finite(data, playbook_key_schemas()),
            )
        )

    def validate_action(
        self,
        mapping: object,
        form: SchemaForm,
        *,
        slash_in_names: bool,
        written: Written | None = None,
    ) -> list[Finding]:
        """Everything that is wrong with one action.

        Args:
            mapping: The action.
            form: Whether `${…}` may stand in it, and how its name is read.
            slash_in_names: Whether names in the path may hold `/`.
            written: Gives scalars as they stand in the source; paths begin below the action.

        Returns:
            The findings, with paths below the action.
        """
        if not isinstance(mapping, dict):
            return [Finding((), messages.not_an_action(mapping, self._actions), "type")]
        found = self._look_up(mapping, form, written)
        if isinstance(found, Finding):
            return [found]
        findings = [
            finding
            for error in self._rules_of(found, form).errors(mapping)
            for finding in self._fault(error, found, mapping, form, written)
        ]
        if form is not SchemaForm.TEMPLATE:
            faulty = {finding.path[:1] for finding in findings}
            findings += (
                Finding(path, message, rule)
                for path, message, rule in constraint_violations(found, mapping, faulty)
            )
        findings += _not_finite(mapping, self._properties_of(found))
        if not slash_in_names and any("/" in str(mapping.get(name, "")) for name in self._slashed):
            findings += self._slashes(found, mapping)
        return _once(findings) if findings else findings

    def _rules_of(self, action: Action, form: SchemaForm) -> CompiledSchema:
        """The schema of one action in one form, made when it is first asked for."""
        key = (form, action.name)
        if key not in self._rules:
            self._rules[key] = CompiledSchema(_lean(action_schema(action, form)))
        return self._rules[key]

    def _properties_of(self, action: Action) -> dict[str, Any]:
        """What an action may have, each key with the schema of its value."""
        if action.name not in self._known:
            self._known[action.name] = {
                **action_schema(action, SchemaForm.TEMPLATE)["properties"],
                **action_schema(action, SchemaForm.EXPANDED)["properties"],
            }
        return self._known[action.name]

    def _look_up(
        self, mapping: Mapping[str, Any], form: SchemaForm, written: Written | None
    ) -> Action | Finding:
        """The row that an action names, or what is wrong with its `actionName`."""
        if "actionName" not in mapping:
            message, key = messages.no_action_name(mapping, self._actions)
            return Finding((key,) if key else (), message, "missing-action-name", bool(key))
        name = mapping["actionName"]
        path = ("actionName",)
        if not isinstance(name, str):
            message = "`actionName` has no value; `wps-run actions` lists the actions"
            if name is not None:
                message = messages.string_error("`actionName`", name, _shown(written, path, name))
            return Finding(path, message, "type")
        action = self._actions.get(name)
        if action is None and form is SchemaForm.BATCH and name.isascii():
            action = self._folded.get(name.lower())
        return action or Finding(
            path, messages.unknown_action(name, self._actions), "unknown-action"
        )

    def _fault(
        self,
        error: "ValidationError",
        action: Action,
        mapping: Mapping[str, Any],
        form: SchemaForm,
        written: Written | None,
    ) -> Iterator[Finding]:
        """What one error of the schema says of an action."""
        path = tuple(error.absolute_path)
        if error.validator in {"required", "oneOf"} and not path:
            yield from _absent(error, action, mapping)
        elif error.validator == "additionalProperties" and not path:
            # What has no `forEach` is judged as filled in, and may have meant one all the same.
            batch = form is SchemaForm.BATCH
            known = _schema(error)["properties"] if batch else self._properties_of(action)
            for key in _unknown(error):
                yield self._unknown_key(key, action, mapping, known)
        else:
            yield _value(action, self._properties_of(action), mapping, path, written)

    def _unknown_key(
        self, key: str, action: Action, mapping: Mapping[str, Any], known: Iterable[str]
    ) -> Finding:
        absent = [one.name for one in action.fields if one.name not in mapping]
        misspelt = key.casefold() in map(str.casefold, known) or messages.closest_key(key, absent)
        message = (
            None if misspelt else messages.key_of_other_actions(key, action, self._actions.values())
        )
        if not message:
            owner = f"`{action.name}`"
            message = (
                messages.key_only_in_playbooks(key)
                if key in self._properties_of(action) and key not in known
                else messages.unknown_key(key, known, owner, playbook_key_schemas())
            )
        return Finding((key,), message, "unknown-key", at_key=True)

    def _slashes(self, action: Action, mapping: Mapping[str, Any]) -> Iterator[Finding]:
        own = {one.name for one in action.fields_in(FieldLocation.PATH)}
        for error in self._no_slash.errors(mapping):
            path = tuple(error.absolute_path)
            if error.validator == "pattern" and path[0] in own:
                yield Finding(path, f"`{path[0]}` {SLASH_ERROR}", "slash-in-name")

    def _top_fault(self, error: "ValidationError", written: Written | None) -> Iterator[Finding]:
        """What one error of the schema says of the keys of a playbook."""
        path = tuple(error.absolute_path)
        if error.validator == "required":
            yield from _missing(error, "a playbook", _schema(error)["required"])
        elif error.validator == "additionalProperties":
            for key in _unknown(error):
                yield self._unknown_top_key((*path, key), error)
        elif path == ("vars",) and error.validator == "pattern":
            name = str(error.instance)
            yield Finding(
                (*path, name), messages.invalid_variable_name(name), "variable-name", at_key=True
            )
        else:
            yield Finding(path, _top_value(error, path, written), "value")

    def _unknown_top_key(self, path: Path, error: "ValidationError") -> Finding:
        key = str(path[-1])
        known = _schema(error)["properties"]
        if len(path) == 1 and key in self._foreign and not messages.closest_key(key, known):
            message = f"`{key}` belongs to an action, in the list `actions`"
        else:
            message = messages.unknown_key(
                key, known, "a playbook" if path[1:] == () else f"`{path[0]}`"
            )
        return Finding(path, message, "unknown-key", at_key=True)


@cache
def default_validator() -> PlaybookValidator:
    """The checker of the action table, made once."""
    return PlaybookValidator()


def _without_items(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a playbook but for what it says of each action."""
    actions = {
        key: value for key, value in schema["properties"]["actions"].items() if key != "items"
    }
    rest = {key: value for key, value in schema.items() if key not in {"if", "else", "definitions"}}
    return rest | {"properties": schema["properties"] | {"actions": actions}}


def _lean(schema: Any) -> Any:  # noqa: ANN401 -- a schema, or any part of one
    """A schema without its words and without `actionName`, which the look-up has judged.

    The verdict is the same, in half the time: jsonschema goes through every keyword.
    """
    if isinstance(schema, list):
        return [_lean(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    rest = {
        key: key == "actionName" or _lean(part)
        for key, part in schema.items()
        if not (key in {"title", "description"} and isinstance(part, str))
    }
    return rest or True


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """The findings, of each value and of each key only the first."""
    seen: dict[tuple[Path, bool], Finding] = {}
    for one in findings:
        seen.setdefault((one.path, one.at_key), one)
    return list(seen.values())


def _schema(error: "ValidationError") -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", error.schema)


def _mapping(error: "ValidationError") -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", error.instance)


def _unknown(error: "ValidationError") -> list[str]:
    """The keys that an error about additional properties is about."""
    known = _schema(error)["properties"]
    own = _schema(error).get("patternProperties", ())
    return [
        key
        for key in _mapping(error)
        if key not in known and not any(re.search(pattern, key) for pattern in own)
    ]


def _absent(
    error: "ValidationError", action: Action, mapping: Mapping[str, Any]
) -> Iterator[Finding]:
    """What an action needs and has not; `dataFile` stands in place of `data`."""
    from_file = "dataFile" in mapping
    if from_file and "data" in mapping and error.validator == "oneOf":
        yield Finding(
            ("dataFile",), "here are `data` and `dataFile`; keep one", "value", at_key=True
        )
        return
    required = [
        one.name
        for one in action.fields
        if one.required and not (from_file and one.type is FieldType.DATA)
    ]
    yield from _missing(error, f"`{action.name}`", required)


def _missing(error: "ValidationError", owner: str, required: Iterable[str]) -> Iterator[Finding]:
    """What is missing, unless a misspelt key is told already and explains it."""
    absent = [name for name in required if name not in _mapping(error)]
    meant = {messages.closest_key(key, absent) for key in _unknown(error)}
    missing = [name for name in absent if name not in meant]
    if missing:
        yield Finding((), f"{owner} needs {messages.join_names(missing, 'and')}", "missing")


def _shown(written: Written | None, path: Path, value: object) -> str:
    if written is None or isinstance(value, list | dict):
        return messages.as_source_text(value)
    return written(path)


def _value(
    action: Action,
    properties: Mapping[str, Any],
    mapping: Mapping[str, Any],
    path: Path,
    written: Written | None,
) -> Finding:
    """Why the value that an error of the schema is about is wrong."""
    key = str(path[0])
    one = next((one for one in action.fields if one.name == key), None)
    value = mapping[key]
    if key == "forEach":
        inner, message = for_each_error(value)
        return Finding((key, *inner), message, "value")
    item = path[1:] and one is not None and one.type is FieldType.STRINGS
    if item:
        path, value = path[:2], value[path[1]]
    else:
        path = path[:1]
    shown = _shown(written, path, value)
    if one is None:
        message = messages.value_error(key, properties[key], value, shown)
    elif one.type is FieldType.DATA:
        message = messages.data_error(one, value, data_type_of(mapping), shown) or ""
    elif item:
        is_text = isinstance(value, str)
        message = (
            messages.text_error(one, value) or ""
            if is_text
            else messages.string_error(f"an item of `{key}`", value, shown)
        )
    else:
        message = messages.field_error(one, properties[key], value, shown) or ""
    return Finding(
        path, message or f"`{key}` does not fit: {properties[key]['description']}", "value"
    )


def _not_finite(data: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[Finding]:
    """Numbers that JSON, and so a schema, does not know: infinity and what is no number."""
    for key, value in data.items():
        if isinstance(value, float) and not math.isfinite(value) and key in properties:
            yield Finding((key,), messages.value_error(key, properties[key], value, ""), "value")
        elif key == "retry" and isinstance(value, dict):
            inner = properties[key]["properties"]
            for finding in _not_finite(value, inner):
                yield replace(finding, path=(key, *finding.path))


def _top_value(error: "ValidationError", path: Path, written: Written | None) -> str:
    key = str(path[-1])
    if path == ("connection",):
        return (
            "`connection` is the name of a setting, such as `WebPubSubConnectionString`, "
            "never the connection string itself"
        )
    if path == ("hub",) and isinstance(error.instance, str):
        return f"`hub` {hub_error(error.instance)}"
    shown = _shown(written, path, error.instance)
    return messages.value_error(key, _schema(error), error.instance, shown)
