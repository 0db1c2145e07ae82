"""Check the data of a playbook, and explain each error once, at its place.

A compiled schema decides whether data is valid. jsonschema lists the errors only of data that is
not; this module turns each of them into a `Finding`.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from wps_run.actions.fields import GROUP, FieldLocation, FieldType
from wps_run.actions.names import hub_error, slash_error
from wps_run.actions.table import ACTIONS, Action
from wps_run.document.document import Path
from wps_run.input_limits import EXPECTATIONS, PROBLEMS, VARIABLE_COUNT
from wps_run.playbook import messages
from wps_run.playbook.batch import is_batch
from wps_run.playbook.compiled_schema import CompiledSchema, compile_schema
from wps_run.playbook.constraints import Finding, constraint_findings, data_type_of, json_findings
from wps_run.playbook.expectations import EXPECT, EXPECT_SCHEMA
from wps_run.playbook.expectations import entry_errors as expectation_errors
from wps_run.playbook.foreach import for_each_errors
from wps_run.playbook.groups import ENTRY_SCHEMA, GROUPS, entry_errors
from wps_run.playbook.includes import INCLUDE
from wps_run.playbook.options import OPTIONS, TIMEOUT, VARIABLE
from wps_run.playbook.schema import (
    FINALLY,
    SchemaForm,
    action_schema,
    data_keys,
    names_without_slash,
    no_slash_schema,
    playbook_key_schemas,
    playbook_schema,
)
from wps_run.playbook.selection import TAGS, tags_errors
from wps_run.playbook.variables import variable_errors
from wps_run.problems import SIMILAR_NAMES

if TYPE_CHECKING:
    from jsonschema import ValidationError

SourceText = Callable[[Path], str]
"""Returns a scalar as the source has it, so that a message suggests `"007"` for `007`."""


class PlaybookValidator:
    """Checks playbooks against the schemas of an action table.

    The schema of an action is looked up by its `actionName`. This takes a tenth of the time of
    the `if` and `then` in the published schema, with the same result.
    """

    def __init__(self, actions: Mapping[str, Action] = ACTIONS) -> None:
        self._actions = actions
        self._by_folded_name = {action.name.lower(): action for action in actions.values()}
        self._playbook_schema = CompiledSchema(_without_items(playbook_schema({})))
        self._no_slash_schema = CompiledSchema(no_slash_schema(actions))
        self._no_slash_names = names_without_slash(actions)
        self._schemas: dict[tuple[SchemaForm, str], CompiledSchema] = {}
        self._properties: dict[str, dict[str, Any]] = {}

    def validate_document(
        self, data: object, source_text: SourceText | None = None
    ) -> list[Finding]:
        """Return the errors of a playbook or a bare batch, except those inside an action."""
        if is_batch(data):
            return []
        if not isinstance(data, dict):
            message = "a playbook is a mapping with the list `actions`, or a bare list of actions"
            return [Finding((), message, "type")]
        findings, data = _check_variables(data)
        group_findings, data = _check_groups(data)
        findings += group_findings
        expectation_findings, data = _check_expectations(data, source_text)
        findings += expectation_findings
        explained = (
            finding
            for error in self._playbook_schema.errors(data)
            for finding in self._explain(error, source_text)
        )
        findings += islice(explained, PROBLEMS.value + 1)
        findings += _non_finite_numbers(data, playbook_key_schemas())
        return _first_at_each_place(findings)

    def validate_action(
        self,
        mapping: object,
        form: SchemaForm,
        *,
        slash_in_names: bool,
        source_text: SourceText | None = None,
    ) -> list[Finding]:
        """Return the errors of one action, with paths below the action.

        Args:
            mapping: The action.
            form: Whether it may contain `${…}`, and how its name is compared.
            slash_in_names: Whether names in the URL path may contain `/`.
            source_text: Returns a scalar as the source has it, by its path below the action.
        """
        if not isinstance(mapping, dict):
            return [Finding((), messages.not_an_action(mapping, self._actions), "type")]
        if legacy := _legacy_keys(mapping):
            return self._validate_legacy(
                mapping, legacy, form, slash_in_names=slash_in_names, source_text=source_text
            )
        return self._validate_mapping(
            mapping, form, slash_in_names=slash_in_names, source_text=source_text
        )

    def _validate_mapping(
        self,
        mapping: Mapping[str, Any],
        form: SchemaForm,
        *,
        slash_in_names: bool,
        source_text: SourceText | None,
    ) -> list[Finding]:
        action = self._find_action(mapping, form, source_text)
        if isinstance(action, Finding):
            return [action]
        findings: list[Finding] = []
        schema = self._schema_of(action, form)
        is_valid = schema.is_valid(mapping)
        if not is_valid:
            explainer = _ActionExplainer(
                action=action,
                mapping=mapping,
                form=form,
                actions=self._actions,
                properties=self._properties_of(action),
                source_text=source_text,
            )
            findings = list(islice(explainer.explain_all(schema), PROBLEMS.value + 1))
        if form is SchemaForm.TEMPLATE:
            findings += islice(
                json_findings(mapping.get("dataJson"), ("dataJson",)), PROBLEMS.value + 1
            )
        else:
            invalid = {finding.path[:1] for finding in findings}
            findings += constraint_findings(action, mapping, invalid)
        if any(isinstance(value, float | dict) for value in mapping.values()):
            findings += _non_finite_numbers(mapping, self._properties_of(action))
        if not is_valid and not findings:
            findings.append(Finding((), f"this is not a valid `{action.name}`", "value"))
        if not slash_in_names and any(
            "/" in str(mapping.get(name, "")) for name in self._no_slash_names
        ):
            # Values of rows and settings are not shown.
            shown = mapping if source_text else dict.fromkeys(mapping, "…")
            findings += self._slash_findings(action, mapping, shown)
        return _first_at_each_place(findings) if findings else findings

    def _validate_legacy(
        self,
        mapping: Mapping[str, Any],
        legacy: Mapping[str, str],
        form: SchemaForm,
        *,
        slash_in_names: bool,
        source_text: SourceText | None,
    ) -> list[Finding]:
        """Return the errors of an action with names of the binding's betas: these, and all others.

        Args:
            mapping: The action.
            legacy: The keys of the betas by their present names.
            form: As for `validate_action`, as are the others.
            slash_in_names: Whether names in the URL path may contain `/`.
            source_text: Returns a scalar as the source has it.
        """
        present = {key: name for name, key in legacy.items()}

        def in_source(path: Path) -> Path:
            return (legacy.get(str(path[0]), path[0]), *path[1:]) if path else path

        others = self._validate_mapping(
            {present.get(key, key): value for key, value in mapping.items()},
            form,
            slash_in_names=slash_in_names,
            source_text=source_text and (lambda path: source_text(in_source(path))),
        )
        findings = [
            Finding((key,), messages.legacy_key(key) or "", "unknown-key", at_key=True)
            for key in legacy.values()
        ]
        findings += [finding._replace(path=in_source(finding.path)) for finding in others]
        return _first_at_each_place(findings)

    def _schema_of(self, action: Action, form: SchemaForm) -> CompiledSchema:
        key = (form, action.name)
        if key not in self._schemas:
            self._schemas[key] = CompiledSchema(action_schema(action, form))
        return self._schemas[key]

    def _properties_of(self, action: Action) -> dict[str, Any]:
        """Return the keys that an action may have in any form, each with its schema."""
        if action.name not in self._properties:
            self._properties[action.name] = {
                **action_schema(action, SchemaForm.TEMPLATE)["properties"],
                **action_schema(action, SchemaForm.EXPANDED)["properties"],
            }
        return self._properties[action.name]

    def _find_action(
        self, mapping: Mapping[str, Any], form: SchemaForm, source_text: SourceText | None
    ) -> Action | Finding:
        """Return the action that `actionName` names, or what is wrong with the name."""
        if "actionName" not in mapping:
            in_batch = form is SchemaForm.BATCH
            message, key = messages.no_action_name(mapping, self._actions, in_batch=in_batch)
            return Finding((key,) if key else (), message, "missing-action-name", bool(key))
        name = mapping["actionName"]
        path = ("actionName",)
        if not isinstance(name, str):
            message = "`actionName` has no value; `wps-run actions` lists the actions"
            if name is not None:
                shown = _shown(source_text, path, name)
                message = messages.string_error("`actionName`", name, shown)
            return Finding(path, message, "type")
        action = self._actions.get(name)
        if action is None and form is SchemaForm.BATCH and name.isascii():
            action = self._by_folded_name.get(name.lower())
        return action or Finding(
            path, messages.unknown_action(name, self._actions), "unknown-action"
        )

    def _slash_findings(
        self, action: Action, mapping: Mapping[str, Any], shown: Mapping[str, Any]
    ) -> Iterator[Finding]:
        in_path = {field.name for field in action.fields_in(FieldLocation.PATH)}
        for error in self._no_slash_schema.errors(mapping):
            path = tuple(error.absolute_path)
            if error.validator == "pattern" and path[0] in in_path:
                reason = slash_error(action.name, shown)
                yield Finding(path, f"`{path[0]}` {reason}", "slash-in-name")

    def _explain(
        self, error: "ValidationError", source_text: SourceText | None
    ) -> Iterator[Finding]:
        path = tuple(error.absolute_path)
        if error.validator == "anyOf" and not path:
            yield from _missing_list(error)
        elif error.validator == "additionalProperties":
            for key in _unknown_keys(error):
                is_single = not isinstance(_instance(error)[key], dict)
                known = _schema(error)["properties"]
                yield self._unknown_key((*path, key), known, is_single=is_single)
        elif path == ("vars",) and error.validator == "pattern":
            name = str(error.instance)
            message = messages.invalid_variable_name(name)
            yield Finding((*path, name), message, "variable-name", at_key=True)
        elif path == (GROUPS,) and error.validator == "pattern":
            name = str(error.instance)
            message = messages.text_error(GROUP, name) or "this is not the name of a group"
            yield Finding((*path, name), message, "value", at_key=True)
        else:
            yield Finding(path, _value_message(error, path, source_text), "value")

    def _unknown_key(self, path: Path, known: Mapping[str, Any], *, is_single: bool) -> Finding:
        key = str(path[-1])
        fields = (field for action in self._actions.values() for field in action.fields)
        is_field = any(key == field.name for field in fields)
        near = messages.closest_key(key, known)
        if len(path) == 1 and key == INCLUDE:
            message = "`include` is an entry of the list `actions`; write `- include: …` there"
        elif len(path) == 1 and is_field and (is_single or not near):
            message = f"`{key}` belongs to an action, in the list `actions`"
        else:
            owner = "a playbook" if len(path) == 1 else f"`{path[0]}`"
            message = messages.unknown_key(key, known, owner)
        return Finding(path, message, "unknown-key", at_key=True)


def _legacy_keys(mapping: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of the binding's betas by their present names, which are not there too."""
    names = {messages.current_name(key): key for key in mapping}
    return {name: key for name, key in names.items() if name != key and name not in mapping}


@cache
def default_validator() -> PlaybookValidator:
    """Return the validator of `ACTIONS`."""
    return PlaybookValidator()


class _ActionExplainer(NamedTuple):
    """Turns the schema errors of one action into findings."""

    action: Action
    mapping: Mapping[str, Any]
    form: SchemaForm
    actions: Mapping[str, Action]
    properties: Mapping[str, Any]
    source_text: SourceText | None

    def explain_all(self, schema: CompiledSchema) -> Iterator[Finding]:
        """Explain the errors of the mapping, which is not valid.

        Long lists are checked one by one and left out of what jsonschema sees: it lists an error
        for each item and for each alternative, which takes gigabytes.
        """
        rest = dict(self.mapping)
        for key, value in self.mapping.items():
            if key not in self.properties or not _is_long(value):
                continue
            rest[key] = _SHORT.get(key, [])
            if key in _ERRORS:
                yield from _findings_below(key, value)
            else:
                yield from self._explain_long(key, value)
        for error in schema.list_errors(rest):
            yield from self.explain(error)

    def _explain_long(self, key: str, value: Any) -> Iterator[Finding]:  # noqa: ANN401 -- any data
        field = next((field for field in self.action.fields if field.name == key), None)
        if field is None:
            is_valid = compile_schema(self.properties[key])(value)
        elif field.type is FieldType.DATA:
            is_valid = not messages.data_error(field, value, data_type_of(self.mapping), "")
        elif field.type is FieldType.JSON:
            is_valid = True
        elif field.type is FieldType.STRINGS and isinstance(value, list):
            is_valid_item = compile_schema(self.properties[key]["items"])
            for index, item in enumerate(value):
                if not is_valid_item(item):
                    yield self._wrong_value((key, index))
            return
        else:
            is_valid = False
        if not is_valid:
            yield self._wrong_value((key,))

    def explain(self, error: "ValidationError") -> Iterator[Finding]:
        path = tuple(error.absolute_path)
        if error.validator in {"required", "oneOf"} and not path:
            yield from self._missing(error)
        elif error.validator == "additionalProperties" and not path:
            # An action without `forEach` is checked as expanded; its author may have meant one.
            is_batch_item = self.form is SchemaForm.BATCH
            known = _schema(error)["properties"] if is_batch_item else self.properties
            for key in _unknown_keys(error):
                yield self._unknown_key(key, known)
        elif path[0] in _ERRORS:
            yield from _findings_below(str(path[0]), self.mapping[str(path[0])])
        else:
            yield self._wrong_value(path)

    def _missing(self, error: "ValidationError") -> Iterator[Finding]:
        """Report missing properties; `dataJson` and `dataFile` replace `data`."""
        present = [key for key in data_keys(self.action) if key in self.mapping]
        if present[1:] and error.validator == "oneOf":
            surplus = "all but one" if present[2:] else "one of them"
            message = f"an action has either {messages.join_names(present)}; remove {surplus}"
            yield Finding((present[-1],), message, "value", at_key=True)
            return
        required = [
            field.name
            for field in self.action.fields
            if field.required and not (present and field.type is FieldType.DATA)
        ]
        yield from _missing_keys(error, f"`{self.action.name}`", required)

    def _unknown_key(self, key: str, known: Collection[str]) -> Finding:
        name = self.action.name
        absent = [field.name for field in self.action.fields if field.name not in self.mapping]
        is_misspelled = key.casefold() in map(str.casefold, known) or messages.closest_key(
            key, absent
        )
        message = None
        if not is_misspelled:
            message = messages.key_of_other_actions(key, self.action, self.actions.values(), known)
        if not message:
            message = (
                messages.key_only_in_playbooks(key)
                if key in self.properties and key not in known
                else messages.unknown_key(key, known, f"`{name}`", playbook_key_schemas())
            )
        return Finding((key,), message, "unknown-key", at_key=True)

    def _wrong_value(self, path: Path) -> Finding:
        """Explain why the value at a path is wrong, or the item of a list of strings."""
        key = str(path[0])
        value = self.mapping[key]
        if key == "dataType" and "dataJson" in self.mapping:
            return Finding(path, _ALWAYS_JSON, "value")
        field = next((field for field in self.action.fields if field.name == key), None)
        is_item = len(path) > 1 and field is not None and field.type is FieldType.STRINGS
        if is_item:
            path, value = path[:2], value[path[1]]
        else:
            path = path[:1]
        schema = self.properties[key]
        shown = _shown(self.source_text, path, value)
        message: str | None
        if field is None:
            message = messages.value_error(key, schema, value, shown)
        elif field.type is FieldType.DATA:
            in_batch = self.form is SchemaForm.BATCH
            message = messages.data_error(
                field, value, data_type_of(self.mapping), shown, in_batch=in_batch
            )
        elif is_item and isinstance(value, str):
            message = messages.text_error(field, value)
        elif is_item:
            message = messages.string_error(f"an item of `{key}`", value, shown)
        else:
            message = messages.field_error(field, schema, value, shown)
        return Finding(path, message or f"`{key}` is not valid: {schema['description']}", "value")


def _findings_below(key: str, value: object) -> Iterator[Finding]:
    for path, message in _ERRORS[key](value):
        yield Finding((key, *path), message, "value")


_ERRORS: Mapping[str, Callable[[object], Iterable[tuple[Path, str]]]] = MappingProxyType(
    {"forEach": for_each_errors, TAGS: tags_errors}
)
"""The keys with lists and mappings in them, and what explains their errors."""


_ALWAYS_JSON = "`dataJson` is always sent as `json`; remove `dataType`, or write `data`"

_is_variable = cache(lambda: compile_schema(VARIABLE))


def _check_variables(data: Mapping[str, Any]) -> tuple[list[Finding], Mapping[str, Any]]:
    """Check the entries of `vars`. Also return the playbook without what is wrong.

    jsonschema would list an error for each item of a long list.
    """
    variables = data.get("vars")
    if not isinstance(variables, dict):
        return [], data
    if len(variables) > VARIABLE_COUNT.value:
        message = f"`vars` {VARIABLE_COUNT.error}"
        findings = [Finding(("vars",), message, "too-many", at_key=True)]
        return findings, {key: value for key, value in data.items() if key != "vars"}
    is_valid = _is_variable()
    wrong = {name: entry for name, entry in variables.items() if not is_valid(entry)}
    findings = []
    for name, entry in wrong.items():
        errors = islice(variable_errors(name, entry), PROBLEMS.value + 1 - len(findings))
        findings += (Finding(("vars", name, *path), message, "value") for path, message in errors)
    rest = {name: entry for name, entry in variables.items() if name not in wrong}
    return findings, {**data, "vars": rest}


def _check_groups(data: Mapping[str, Any]) -> tuple[list[Finding], Mapping[str, Any]]:
    """Check the entries of `groups`. Also return the playbook without what is wrong."""
    groups = data.get(GROUPS)
    if not isinstance(groups, dict):
        return [], data
    findings: list[Finding] = []
    rest = {}
    for name, entry in groups.items():
        if _is_group_entry()(entry):
            rest[name] = entry
        elif len(findings) <= PROBLEMS.value:
            findings += (
                Finding((GROUPS, name, *path), message, "value", at_key)
                for path, message, at_key in islice(entry_errors(name, entry), PROBLEMS.value + 1)
            )
    return findings, {**data, GROUPS: rest}


def _check_expectations(
    data: Mapping[str, Any], source_text: SourceText | None
) -> tuple[list[Finding], Mapping[str, Any]]:
    """Check the entries of `expect`. Also return the playbook without what is wrong."""
    entries = data.get(EXPECT)
    if not isinstance(entries, list):
        return [], data
    if len(entries) > EXPECTATIONS.value:
        message = f"`{EXPECT}` {EXPECTATIONS.error}"
        findings = [Finding((EXPECT,), message, "too-many", at_key=True)]
        return findings, {**data, EXPECT: []}
    findings = []
    is_valid = _is_expectation()
    for index, entry in enumerate(entries):
        if is_valid(entry) or len(findings) > PROBLEMS.value:
            continue
        shown = partial(_shown_below, source_text, (EXPECT, index))
        findings += (
            Finding((EXPECT, index, *path), message, "value", at_key)
            for path, message, at_key in islice(
                expectation_errors(entry, shown), PROBLEMS.value + 1
            )
        )
    return findings, {**data, EXPECT: []}


def _shown_below(source_text: SourceText | None, parent: Path, path: Path, value: object) -> str:
    return _shown(source_text, (*parent, *path), value)


_is_expectation = cache(lambda: compile_schema(EXPECT_SCHEMA["items"]))


_is_group_entry = cache(lambda: compile_schema(ENTRY_SCHEMA))


def _missing_list(error: "ValidationError") -> Iterator[Finding]:
    """Report that a playbook has nothing to do, unless a misspelled key is reported."""
    lists = [alternative["required"][0] for alternative in _schema(error)["anyOf"]]
    unknown = islice(_unknown_keys(error), SIMILAR_NAMES)
    if not any(messages.closest_key(key, lists) for key in unknown):
        yield Finding((), f"a playbook needs {messages.join_names(lists)}", "missing")


def _without_items(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a playbook without the parts about each action."""
    lists = {
        key: {name: part for name, part in schema["properties"][key].items() if name != "items"}
        for key in ("actions", FINALLY)
    }
    rest = {key: value for key, value in schema.items() if key not in {"if", "else", "definitions"}}
    return rest | {"properties": schema["properties"] | lists}


def _first_at_each_place(findings: Iterable[Finding]) -> list[Finding]:
    """Keep only the first finding of each value and of each key."""
    first: dict[tuple[Path, bool], Finding] = {}
    for finding in findings:
        first.setdefault((finding.path, finding.at_key), finding)
    return list(first.values())


def _schema(error: "ValidationError") -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", error.schema)


def _instance(error: "ValidationError") -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", error.instance)


def _unknown_keys(error: "ValidationError") -> Iterator[str]:
    """Yield the keys that an error about additional properties is about."""
    known = _schema(error)["properties"]
    patterns = _schema(error).get("patternProperties", ())
    for key in _instance(error):
        if key not in known and not any(re.search(pattern, key) for pattern in patterns):
            yield key


def _missing_keys(
    error: "ValidationError", owner: str, required: Iterable[str]
) -> Iterator[Finding]:
    """Report missing keys, except those whose misspelling is reported as an unknown key."""
    absent = [name for name in required if name not in _instance(error)]
    unknown = islice(_unknown_keys(error), SIMILAR_NAMES)
    misspelled = {messages.closest_key(key, absent) for key in unknown}
    missing = [name for name in absent if name not in misspelled]
    if missing:
        yield Finding((), f"{owner} needs {messages.join_names(missing, 'and')}", "missing")


def _shown(source_text: SourceText | None, path: Path, value: object) -> str:
    """Return a value for a message, as the source has it where that is known."""
    if source_text is not None and not isinstance(value, list | dict):
        return source_text(path)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _is_long(value: object) -> bool:
    """Whether a list or mapping, or one in it, has many items."""
    if not isinstance(value, list | dict):
        return False
    if len(value) > _LONG:
        return True
    items = value.values() if isinstance(value, dict) else value
    return any(isinstance(item, list | dict) and _is_long(item) for item in items)


_LONG = 200
"""A list or mapping with more items is long."""

_SHORT: Mapping[str, Any] = MappingProxyType({"data": "", "excluded": ["x"], "groups": ["x"]})
"""Valid values in place of long ones."""


def _non_finite_numbers(
    mapping: Mapping[str, Any], schemas: Mapping[str, Any], path: Path = ()
) -> Iterator[Finding]:
    """Report infinity and NaN in options, which JSON, and so JSON Schema, does not have."""
    for key, value in mapping.items():
        if key not in schemas or not (path or key in OPTIONS):
            continue
        if isinstance(value, float):
            if not math.isfinite(value):
                message = messages.value_error(key, schemas[key], value, "")
                yield Finding((*path, key), message, "value")
        elif isinstance(value, dict):
            inner = schemas[key].get("properties") or _WAIT
            yield from _non_finite_numbers(value, inner, (*path, key))


_WAIT = {"wait": TIMEOUT}
"""The only key below `onMissing`."""


CONNECTION_ERROR = (
    "`connection` is the name of a setting, such as `WebPubSubConnectionString`, never the "
    "connection string itself"
)


def _value_message(error: "ValidationError", path: Path, source_text: SourceText | None) -> str:
    if path == ("connection",):
        return CONNECTION_ERROR
    shown = _shown(source_text, path, error.instance)
    if path == ("hub",):
        if isinstance(error.instance, str):
            return f"`hub` {hub_error(error.instance)}"
        return messages.string_error("`hub`", error.instance, shown)
    return messages.value_error(str(path[-1]), _schema(error), error.instance, shown)
