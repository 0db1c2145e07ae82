r"""The JSON Schemas of playbooks and of bare batches, made from the action table and the options.

Draft-07, which editors support best. Every pattern has the same meaning in Python's `re` and in
ECMAScript with the flag `u`: no `\s`, and `$(?!\n)` for the end of the text.
"""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from wps_run.actions.fields import DATA_LIMIT, Field, FieldLocation, FieldType, Origin
from wps_run.actions.names import NAME_PATTERN, NO_SLASH_PATTERN
from wps_run.actions.table import ACTIONS, Action
from wps_run.input_limits import ENVIRONMENTS as ENVIRONMENT_LIMIT
from wps_run.input_limits import VARIABLE_COUNT
from wps_run.playbook.expectations import EXPECT, EXPECT_SCHEMA, NO_SLASH_EXPECTATIONS
from wps_run.playbook.foreach import DATA_FILE_SCHEMA, FOR_EACH_SCHEMA
from wps_run.playbook.groups import GROUPS, GROUPS_SCHEMA, NO_SLASH_GROUPS
from wps_run.playbook.includes import INCLUDE, INCLUDE_SCHEMA
from wps_run.playbook.options import (
    ACCESS_OPTIONS,
    CONFIGURATION_KEYS,
    ENVIRONMENT_NAME_PATTERN,
    OPTIONS,
    PLAYBOOK_KEYS,
    VALUE,
    VARIABLE_PATTERN,
)
from wps_run.playbook.selection import TAGS, TAGS_SCHEMA
from wps_run.version import SCHEMAS

Actions = Mapping[str, Action]
Json = dict[str, Any]


class SchemaForm(StrEnum):
    """The form of an action that is checked.

    TEMPLATE: in a playbook, before `${…}` is filled in. EXPANDED: after that. BATCH: an item of a
    bare batch, in which `${` has no meaning and `actionName` may be in any letter case, as the
    output binding accepts it.
    """

    TEMPLATE = "template"
    EXPANDED = "expanded"
    BATCH = "batch"


TEMPLATE_PATTERN = r"\$\{"
WHOLE_TEMPLATE_PATTERN = r"^\$\{[^}\n]*\}$(?!\n)"
BASE64_PATTERN = (
    r"^[\t\n\r ]*(?:(?:[A-Za-z0-9+/][\t\n\r ]*){4})*"
    r"(?:(?:[A-Za-z0-9+/][\t\n\r ]*){2}=[\t\n\r ]*=[\t\n\r ]*"
    r"|(?:[A-Za-z0-9+/][\t\n\r ]*){3}=[\t\n\r ]*)?$(?!\n)"
)

_ITEM = "item"
"""The definition of an item of `actions`: an action, or the include of a file."""

FINALLY = "finally"
"""The key of the actions that run at the end of a run, whatever the results of the others."""

FINALLY_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "array",
        "description": "Actions that run at the end of the run, after all other actions and after "
        "`expect`, also if one of these failed or the run was interrupted.",
        "items": {"$ref": f"#/definitions/{_ITEM}"},
    }
)

NO_SLASH = "namesWithoutSlash"
"""The definition that refuses `/` in names that are part of the URL path."""

_FOR_EACH = "forEach"
"""The definition of the rows of an action. The schema of one action has no references."""

_DRAFT = "http://json-schema.org/draft-07/schema#"


def playbook_schema(actions: Actions = ACTIONS) -> Json:
    """Return the schema of a playbook: a mapping with the list `actions`."""
    return {
        "$schema": _DRAFT,
        "$id": f"{SCHEMAS}/playbook.schema.json",
        "title": "wps-run playbook",
        "description": "A batch of Azure Web PubSub actions, and how to run them.",
        "type": "object",
        "anyOf": [{"type": "object", "required": [key]} for key in ("actions", GROUPS, EXPECT)],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "Notes and anchors of your own; ignored."}},
        "properties": playbook_key_schemas()
        | {
            GROUPS: dict(GROUPS_SCHEMA),
            "actions": {
                "type": "array",
                "description": "The actions, in the order in which they run.",
                "items": {"$ref": f"#/definitions/{_ITEM}"},
            },
            EXPECT: dict(EXPECT_SCHEMA),
            FINALLY: dict(FINALLY_SCHEMA),
        },
        "if": {
            "type": "object",
            "required": ["slashInNames"],
            "properties": {"slashInNames": {"const": "allow"}},
        },
        "else": {
            "type": "object",
            "properties": {
                "actions": {"type": "array", "items": {"$ref": f"#/definitions/{NO_SLASH}"}},
                GROUPS: dict(NO_SLASH_GROUPS),
                EXPECT: dict(NO_SLASH_EXPECTATIONS),
                FINALLY: {"type": "array", "items": {"$ref": f"#/definitions/{NO_SLASH}"}},
            },
        },
        "definitions": _item_definitions(actions) | _definitions(actions, SchemaForm.TEMPLATE),
    }


def actions_schema(actions: Actions = ACTIONS) -> Json:
    """Return the schema of a bare batch: a list of actions, or a single one."""
    item = {"allOf": [{"$ref": "#/definitions/action"}, {"$ref": f"#/definitions/{NO_SLASH}"}]}
    return {
        "$schema": _DRAFT,
        "$id": f"{SCHEMAS}/actions.schema.json",
        "title": "Web PubSub actions",
        "description": "A bare batch of actions, as a function returns it.",
        "if": {"type": "array"},
        "then": {"type": "array", "items": item},
        "else": item,
        "definitions": _definitions(actions, SchemaForm.BATCH),
    }


DEFAULTS, ENVIRONMENTS = "defaults", "environments"
"""The keys of a configuration file."""


def configuration_schema() -> Json:
    """Return the schema of a configuration file, `wps-run.yaml`."""
    options = {
        key: {
            "description": f"{option.description} Only in a file that is named with --config."
            if option in ACCESS_OPTIONS
            else option.description,
            **option.schema,
        }
        for key, option in CONFIGURATION_KEYS.items()
    }
    variables = {
        "type": "object",
        "description": "Set variables, in place of those of the playbook.",
        "maxProperties": VARIABLE_COUNT.value,
        "propertyNames": {"pattern": VARIABLE_PATTERN},
        "additionalProperties": dict(VALUE),
    }
    return {
        "$schema": _DRAFT,
        "$id": f"{SCHEMAS}/config.schema.json",
        "title": "wps-run configuration",
        "description": "Defaults for the options of runs, and the environments that runs are for.",
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "Notes and anchors of your own; ignored."}},
        "properties": {
            "$schema": {"type": "string", "description": "Name the JSON Schema for editors."},
            DEFAULTS: _nullable(options, "Set options that neither playbook nor environment has."),
            ENVIRONMENTS: {
                "description": "Name each environment, such as `dev` or `prod`, and set its "
                "options and variables. `--env NAME` chooses one.",
                "type": ["object", "null"],
                "maxProperties": ENVIRONMENT_LIMIT.value,
                "propertyNames": {"pattern": ENVIRONMENT_NAME_PATTERN},
                "additionalProperties": _nullable(
                    {**options, "vars": variables}, "Options in place of those of the playbook."
                ),
            },
        },
    }


def _nullable(properties: Json, description: str) -> Json:
    """Return the schema of a mapping of options, which may have none yet."""
    return {
        "description": description,
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": properties,
    }


SCHEMA_FILES: Mapping[str, Callable[[], Json]] = MappingProxyType(
    {
        "playbook.schema.json": playbook_schema,
        "actions.schema.json": actions_schema,
        "config.schema.json": configuration_schema,
    }
)
"""File name to the function that returns its content."""


def schema_text(schema: Json) -> str:
    """Format a schema as the text of its file."""
    return json.dumps(schema, indent=2) + "\n"


def playbook_key_schemas() -> dict[str, Json]:
    """Return the schema of each key of a playbook but `actions`."""
    return {
        key: {"description": option.description, **option.schema}
        for key, option in PLAYBOOK_KEYS.items()
    }


def action_schema(action: Action, form: SchemaForm) -> Json:
    """Return the schema of an action in one form, without references."""
    has_data = any(field.type is FieldType.DATA for field in action.fields)
    either = data_keys(action) if form is SchemaForm.TEMPLATE else ()
    fields = [
        field
        for field in action.fields
        if form is SchemaForm.TEMPLATE or field.origin is not Origin.PLAYBOOK
    ]
    required = [field.name for field in fields if field.required and field.name not in either]
    schema: Json = {
        "title": action.name,
        "description": action.summary,
        "type": "object",
        "required": ["actionName", *required],
        "additionalProperties": False,
        "properties": {
            "actionName": {"description": action.summary, **_named(action, form)},
            **{
                field.name: {"description": _description(field), **_field(field, form)}
                for field in fields
            },
            **action_option_schemas(),
            **(_from_files(has_data=has_data) if form is SchemaForm.TEMPLATE else {}),
        },
    }
    if either:
        schema["oneOf"] = [_with(key) for key in either]
    if form is SchemaForm.TEMPLATE and has_data:
        schema |= {"if": _with("dataJson"), "then": _json_only(), "else": _data_by_type(form)}
    elif has_data:
        schema |= _data_by_type(form)
    return schema


def data_keys(action: Action) -> tuple[str, ...]:
    """Return the keys of a playbook of which an action that sends has one."""
    names = [field.name for field in action.fields if "data" in {field.name, field.replaces}]
    return (*names, "dataFile") if names else ()


def action_option_schemas() -> dict[str, Json]:
    """Return the schema of each key that any action may have in addition to its properties."""
    label = {"type": "string", "description": "Name the action in reports."}
    options = {
        option.key: {"description": option.description, **option.schema}
        for option in OPTIONS.values()
        if option.per_action
    }
    return {"name": label, TAGS: dict(TAGS_SCHEMA), **options}


def _from_files(*, has_data: bool) -> dict[str, Json]:
    """Return the schemas of the keys that take rows and messages from elsewhere."""
    data_file = {"dataFile": dict(DATA_FILE_SCHEMA)} if has_data else {}
    return {"forEach": dict(FOR_EACH_SCHEMA), **data_file}


def no_slash_schema(actions: Actions) -> Json:
    """Return the schema that refuses `/` in names that are part of the URL path.

    It uses patterns, because an editor would suggest names under `properties` for every action.
    """
    names = names_without_slash(actions)
    return {
        "type": "object",
        "description": "The service reads `%2F`, not `/`, in these names.",
        "patternProperties": {
            f"^({'|'.join(names)})$(?!\\n)": {"type": "string", "pattern": NO_SLASH_PATTERN}
        },
    }


def names_without_slash(actions: Actions) -> tuple[str, ...]:
    """Return the properties that are part of the URL path, where a `/` separates segments."""
    fields = [
        field for action in actions.values() for field in action.fields_in(FieldLocation.PATH)
    ]
    return tuple(dict.fromkeys(field.name for field in fields if field.is_name))


def _item_definitions(actions: Actions) -> Json:
    """Return the schemas that distinguish an action from an include by their keys.

    The last one is for an item that has neither key yet: an editor suggests both.
    """
    include = dict(INCLUDE_SCHEMA)
    neither = {
        "type": "object",
        "required": ["actionName"],
        "properties": {
            "actionName": _any_name(actions, SchemaForm.TEMPLATE),
            INCLUDE: include["properties"][INCLUDE],
        },
    }
    return {
        _ITEM: {
            "if": _with(INCLUDE),
            "then": {"$ref": f"#/definitions/{INCLUDE}"},
            "else": {
                "if": _with("actionName"),
                "then": {"$ref": "#/definitions/action"},
                "else": neither,
            },
        },
        INCLUDE: include,
    }


def _definitions(actions: Actions, form: SchemaForm) -> Json:
    schemas = {action.name: action_schema(action, form) for action in actions.values()}
    if form is SchemaForm.TEMPLATE:
        for schema in schemas.values():
            schema["properties"]["forEach"] = {"$ref": f"#/definitions/{_FOR_EACH}"}
        schemas[_FOR_EACH] = dict(FOR_EACH_SCHEMA)
    return {
        "action": {
            "type": "object",
            "required": ["actionName"],
            # No description: an editor shows the first that applies, and that of the action
            # comes later.
            "properties": {"actionName": _any_name(actions, form)},
            "allOf": [
                {
                    "if": {
                        "type": "object",
                        "required": ["actionName"],
                        "properties": {"actionName": _named(action, form)},
                    },
                    "then": {"$ref": f"#/definitions/{action.name}"},
                }
                for action in actions.values()
            ],
        },
        NO_SLASH: no_slash_schema(actions),
        **schemas,
    }


def _any_name(actions: Actions, form: SchemaForm) -> Json:
    if form is not SchemaForm.BATCH:
        return {"enum": list(actions)}
    return {
        "anyOf": [{"enum": list(actions)}, *(_named(action, form) for action in actions.values())]
    }


def _named(action: Action, form: SchemaForm) -> Json:
    """Return the schema of an `actionName`; in a bare batch it may be in any letter case."""
    if form is not SchemaForm.BATCH:
        return {"const": action.name}
    letters = "".join(f"[{c.lower()}{c.upper()}]" for c in action.name)
    return {"type": "string", "pattern": f"^{letters}$(?!\\n)"}


def _description(field: Field) -> str:
    return " ".join([field.summary, *(f"`{key}`: {text}" for key, text in field.choices.items())])


def _field(field: Field, form: SchemaForm) -> Json:
    if field.type in {FieldType.DATA, FieldType.JSON}:
        return {}
    if field.type is FieldType.STRINGS:
        item = _string(field, form) if field.is_name else {"type": "string"}
        return {"type": "array", "items": item} | ({"minItems": 1} if field.required else {})
    if field.type is FieldType.STRING:
        return _string(field, form)
    if field.type is FieldType.CHOICE:
        return _or_template({"type": "string", "enum": list(field.choices)}, form)
    number = {"type": "integer", "minimum": field.minimum, "maximum": field.maximum}
    return _or_template(number, form, WHOLE_TEMPLATE_PATTERN)


def _string(field: Field, form: SchemaForm) -> Json:
    schema: Json = {"type": "string"}
    if field.is_name:
        schema["pattern"] = NAME_PATTERN
    elif field.required or field.origin is Origin.REST:
        schema["minLength"] = 1  # an empty filter would select everyone
    if field.limit is not None:
        schema["maxLength"] = field.limit
    return schema if len(schema) == 1 else _or_template(schema, form)


def _or_template(strict: Json, form: SchemaForm, pattern: str = TEMPLATE_PATTERN) -> Json:
    """In a template, also accept a string with `${…}`."""
    if form is not SchemaForm.TEMPLATE:
        return strict
    return {"anyOf": [strict, {"type": "string", "pattern": pattern}]}


def _data_by_type(form: SchemaForm) -> Json:
    """Return the conditions on `data`: base64 or a Buffer for `binary`, otherwise a string."""
    base64 = _or_template({"type": "string", "pattern": BASE64_PATTERN}, form)
    string = _or_template({"type": "string", "maxLength": DATA_LIMIT}, form)
    text: Json = {"properties": {"data": string}}
    if form is SchemaForm.TEMPLATE:
        text = {"if": _with_type({"type": "string", "pattern": TEMPLATE_PATTERN}), "else": text}
    return {
        "if": _with_type({"const": "binary"}),
        "then": {"properties": {"data": {"anyOf": [base64, _buffer()]}}},
        "else": text,
    }


def _json_only() -> Json:
    """Return the condition on `dataType` beside a value that is sent as JSON."""
    json_type = {"const": "json", "description": "Always `json` with `dataJson`; may be left out."}
    return {"properties": {"dataType": json_type}}


def _with_type(schema: Json) -> Json:
    return _with("dataType") | {"properties": {"dataType": schema}}


def _with(key: str) -> Json:
    return {"type": "object", "required": [key]}


def _buffer() -> Json:
    return {
        "type": "object",
        "description": "The JSON of a Node.js Buffer.",
        "required": ["type", "data"],
        "additionalProperties": False,
        "properties": {
            "type": {
                "type": "string",
                "description": "`Buffer`.",
                "pattern": r"^[bB][uU][fF][fF][eE][rR]$(?!\n)",
            },
            "data": {
                "type": "array",
                "description": "The bytes.",
                "items": {"type": "integer", "minimum": 0, "maximum": 255},
            },
        },
    }
