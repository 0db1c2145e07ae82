r"""The JSON Schemas of playbooks and of bare batches, made from the action table and the options.

Draft-07, which editors know best. Every pattern means the same to Python's `re` and to
ECMAScript with its `u` flag: no `\s`, and `$(?!\n)` for the very end.
"""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from wps_run.actions.fields import DATA_LIMIT, Field, FieldLocation, FieldType
from wps_run.actions.names import NAME_PATTERN, NO_SLASH_PATTERN
from wps_run.actions.table import ACTIONS, Action
from wps_run.playbook.foreach import DATA_FILE_SCHEMA, FOR_EACH_SCHEMA
from wps_run.playbook.options import OPTIONS, PLAYBOOK_KEYS

Actions = Mapping[str, Action]
Json = dict[str, Any]


class SchemaForm(StrEnum):
    """In which form an action is judged.

    TEMPLATE: in a playbook, `${…}` not yet filled in. EXPANDED: filled in. BATCH: an item of a
    bare batch, whose `${` is the user's own and whose `actionName` may be in any letter case,
    as the output binding takes it.
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

NO_SLASH = "namesWithoutSlash"
"""The definition that refuses `/` in names that travel in the path."""

_DRAFT = "http://json-schema.org/draft-07/schema#"


def playbook_schema(actions: Actions = ACTIONS) -> Json:
    """The schema of a playbook: a mapping with the list `actions`."""
    return {
        "$schema": _DRAFT,
        "$id": "urn:wps-run:playbook.schema.json",
        "title": "wps-run playbook",
        "description": "A batch of Azure Web PubSub actions and how to run it.",
        "type": "object",
        "required": ["actions"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "Yours: notes, anchors. It is not read."}},
        "properties": playbook_key_schemas()
        | {
            "actions": {
                "type": "array",
                "description": "What is done, in this order.",
                "items": {"$ref": "#/definitions/action"},
            }
        },
        "if": {
            "type": "object",
            "required": ["slashInNames"],
            "properties": {"slashInNames": {"const": "allow"}},
        },
        "else": {
            "type": "object",
            "properties": {
                "actions": {"type": "array", "items": {"$ref": f"#/definitions/{NO_SLASH}"}}
            },
        },
        "definitions": _definitions(actions, SchemaForm.TEMPLATE),
    }


def actions_schema(actions: Actions = ACTIONS) -> Json:
    """The schema of a bare batch: a list of actions, or a single one, as a function returns it."""
    item = {
        "allOf": [{"$ref": "#/definitions/action"}, {"$ref": f"#/definitions/{NO_SLASH}"}],
    }
    return {
        "$schema": _DRAFT,
        "$id": "urn:wps-run:actions.schema.json",
        "title": "Web PubSub actions",
        "description": "A bare batch of actions, as a function returns it.",
        "if": {"type": "array"},
        "then": {"type": "array", "items": item},
        "else": item,
        "definitions": _definitions(actions, SchemaForm.BATCH),
    }


SCHEMA_FILES: Mapping[str, Callable[[], Json]] = MappingProxyType(
    {"playbook.schema.json": playbook_schema, "actions.schema.json": actions_schema}
)
"""File name to what makes its content."""


def schema_text(schema: Json) -> str:
    """A schema as it is committed."""
    return json.dumps(schema, indent=2) + "\n"


def playbook_key_schemas() -> dict[str, Json]:
    """The keys of a playbook but `actions`, each with the schema of its value."""
    return {
        key: {"description": option.description, **option.schema}
        for key, option in PLAYBOOK_KEYS.items()
    }


def action_schema(action: Action, form: SchemaForm) -> Json:
    """The schema of one action in one form, complete in itself."""
    has_data = any(one.type is FieldType.DATA for one in action.fields)
    either = {"data"} if has_data and form is SchemaForm.TEMPLATE else set()
    required = [one.name for one in action.fields if one.required and one.name not in either]
    schema: Json = {
        "title": action.name,
        "description": action.summary,
        "type": "object",
        "required": ["actionName", *required],
        "additionalProperties": False,
        "properties": {
            "actionName": {
                "description": action.summary,
                **_named(action, form),
            },
            **{
                one.name: {"description": _description(one), **_field(action, one, form)}
                for one in action.fields
            },
            **action_option_schemas(),
            **(_from_files(has_data=has_data) if form is SchemaForm.TEMPLATE else {}),
        },
    }
    if either:
        schema["oneOf"] = [
            {"type": "object", "required": ["data"]},
            {"type": "object", "required": ["dataFile"]},
        ]
    if has_data:
        schema |= _data_by_type(form)
    return schema


def action_option_schemas() -> dict[str, Json]:
    """What any action may have besides its properties, each with the schema of its value."""
    label = {"type": "string", "description": "A label of yours for reports."}
    options = {
        option.key: {"description": option.description, **option.schema}
        for option in OPTIONS.values()
        if option.per_action
    }
    return {"name": label, **options}


def _from_files(*, has_data: bool) -> dict[str, Json]:
    """What only an action of a playbook may have, beyond what it fills in and sends."""
    data_file = {"dataFile": dict(DATA_FILE_SCHEMA)} if has_data else {}
    return {"forEach": dict(FOR_EACH_SCHEMA), **data_file}


def no_slash_schema(actions: Actions) -> Json:
    """What refuses `/` in names that travel in the path.

    By patterns, since an editor would offer what stands in `properties` for every action.
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
    """The names that travel in the path, where a `/` would go astray."""
    fields = [one for action in actions.values() for one in action.fields_in(FieldLocation.PATH)]
    return tuple(dict.fromkeys(one.name for one in fields if one.is_name))


def _definitions(actions: Actions, form: SchemaForm) -> Json:
    return {
        "action": {
            "type": "object",
            "required": ["actionName"],
            # Without words: an editor that points at a name shows the first that it finds, and
            # those of the action itself come later.
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
        **{action.name: action_schema(action, form) for action in actions.values()},
    }


def _any_name(actions: Actions, form: SchemaForm) -> Json:
    if form is not SchemaForm.BATCH:
        return {"enum": list(actions)}
    return {"anyOf": [{"enum": list(actions)}, *(_named(one, form) for one in actions.values())]}


def _named(action: Action, form: SchemaForm) -> Json:
    """An `actionName` that means this action; in a bare batch in any letter case."""
    if form is not SchemaForm.BATCH:
        return {"const": action.name}
    letters = "".join(f"[{c.lower()}{c.upper()}]" for c in action.name)
    return {"type": "string", "pattern": f"^{letters}$(?!\\n)"}


def _description(one: Field) -> str:
    return " ".join([one.summary, *(f"`{key}`: {text}" for key, text in one.choices.items())])


def _field(action: Action, one: Field, form: SchemaForm) -> Json:
    if one.type is FieldType.DATA:
        return {}
    if one.type is FieldType.STRINGS:
        item = _string(action, one, form) if one.is_name else {"type": "string"}
        return {"type": "array", "items": item} | ({"minItems": 1} if one.required else {})
    if one.type is FieldType.STRING:
        return _string(action, one, form)
    if one.type is FieldType.CHOICE:
        return _or_template({"type": "string", "enum": list(one.choices)}, form)
    number = {"type": "integer", "minimum": one.minimum, "maximum": one.maximum}
    return _or_template(number, form, WHOLE_TEMPLATE_PATTERN)


def _string(action: Action, one: Field, form: SchemaForm) -> Json:
    schema: Json = {"type": "string"}
    if one.is_name:
        schema["pattern"] = NAME_PATTERN
    elif one.required or one.name in action.rest_fields:
        schema["minLength"] = 1  # an empty filter would choose everyone
    if one.limit is not None:
        schema["maxLength"] = one.limit
    return schema if len(schema) == 1 else _or_template(schema, form)


def _or_template(strict: Json, form: SchemaForm, pattern: str = TEMPLATE_PATTERN) -> Json:
    """The strict schema, or where variables are not yet filled in a string that has some."""
    if form is not SchemaForm.TEMPLATE:
        return strict
    return {"anyOf": [strict, {"type": "string", "pattern": pattern}]}


def _data_by_type(form: SchemaForm) -> Json:
    """What `data` may be: for `binary` base64 or a Buffer, otherwise a string."""
    base64 = _or_template({"type": "string", "pattern": BASE64_PATTERN}, form)
    string = _or_template({"type": "string", "maxLength": DATA_LIMIT}, form)
    text: Json = {"properties": {"data": string}}
    if form is SchemaForm.TEMPLATE:
        text = {
            "if": _with_type({"type": "string", "pattern": TEMPLATE_PATTERN}),
            "else": text,
        }
    return {
        "if": _with_type({"const": "binary"}),
        "then": {"properties": {"data": {"anyOf": [base64, _buffer()]}}},
        "else": text,
    }


def _with_type(schema: Json) -> Json:
    return {"type": "object", "required": ["dataType"], "properties": {"dataType": schema}}


def _buffer() -> Json:
    return {
        "type": "object",
        "description": "What a Node Buffer serialises to.",
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
