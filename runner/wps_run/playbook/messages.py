"""What is wrong with a value or a key, in words, and what to write instead."""

import json
from collections.abc import Container, Iterable, Mapping
from typing import Any

from wps_run.actions.fields import Field, FieldType
from wps_run.actions.names import name_error
from wps_run.actions.payload import encode_message, quote_json
from wps_run.actions.table import Action
from wps_run.document.scalars import resolve_plain
from wps_run.playbook.options import DURATION, TIMEOUT
from wps_run.problems import did_you_mean

_SHOWN = 60
"""Longer values are not repeated in a message."""

_LEGACY = {"operationKind": "actionName", "message": "data", "messageDataType": "dataType"}
"""Names of the output binding's betas, and what they are called now. Source: its changelog."""

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a mapping"),
)


def join_names(names: Iterable[str], last: str = "or") -> str:
    """Names in backticks: `a`, `b` or `c`."""
    quoted = [f"`{name}`" for name in names]
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]]) if quoted[1:] else quoted[0]


def describe_type(value: object) -> str:
    """What a value is: `a number`, `a list`."""
    return next((words for kind, words in _KINDS if isinstance(value, kind)), "nothing")


def value_error(key: str, schema: Mapping[str, Any], value: object, written: str) -> str:
    """Why a value does not fit its schema.

    Args:
        key: The key that holds it.
        schema: What it may be.
        value: The value.
        written: A scalar as it stands in the source.
    """
    if "enum" in schema and isinstance(value, str):
        near = did_you_mean(value, schema["enum"])
        shown = f", not `{value}`" if len(value) <= _SHOWN else ""
        return f"`{key}` must be {join_names(schema['enum'])}{shown}{near}"
    if schema.get("type") == "string" and "enum" not in schema and not isinstance(value, str):
        return string_error(f"`{key}`", value, written)
    remedy = ""
    if isinstance(value, str) and "enum" not in schema and _is_number(value):
        remedy = f"; write {value} without quotes" if len(value) <= _SHOWN else ""
    if value is None:
        remedy = "; it has no value"
    if value == "" and "minLength" in schema:
        return f"`{key}` is empty"
    if key == "onMissing":
        return _on_missing_fault(value)
    return f"`{key}` must be {_expected(schema)}{remedy}"


def _is_number(text: str) -> bool:
    value = resolve_plain(text)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _on_missing_fault(value: object) -> str:
    words = "`onMissing` must be `fail`, `skip`, or `{wait: 60s}`"
    if value == "wait":
        return f"{words}; say for how long: `{{wait: 60s}}`"
    if isinstance(value, str):
        return f"{words}{did_you_mean(value, ['fail', 'skip'])}"
    if isinstance(value, dict) and list(value) == ["wait"]:
        return f"{words}; `wait` is {_expected(TIMEOUT)}"
    return words


def string_error(what: str, value: object, written: str) -> str:
    """Why something that is not a string cannot stand where one is meant."""
    if value is None:
        hint = f' ("{written}" in quotes, if that is meant)' if written else ""
        return f"{what} has no value; write a string{hint}"
    if isinstance(value, list | dict):
        return f"{what} must be a string, not {describe_type(value)}"
    remedy = f'write "{written}"' if len(written) <= _SHOWN else "put it in quotes"
    return f"{what} must be a string, not {describe_type(value)}; {remedy}"


def field_error(one: Field, schema: Mapping[str, Any], value: object, written: str) -> str | None:
    """Why the value of a property is wrong, or None; of `data` see `data_fault`."""
    if value is None and not one.required:
        return f"`{one.name}` has no value; leave it out"
    if one.type is FieldType.STRINGS:
        return _list_fault(one, value, written)
    if one.type is FieldType.STRING and isinstance(value, str):
        return text_error(one, value)
    return value_error(one.name, schema, value, written)


def text_error(one: Field, value: str) -> str | None:
    """Why a string is wrong as this property, or as an item of it, or None."""
    what = f"an item of `{one.name}`" if one.type is FieldType.STRINGS else f"`{one.name}`"
    if one.is_name:
        reason = name_error(value, one.limit)
        return f"{what} {reason}" if reason else None
    if not value and one.type is FieldType.STRING:
        return f"{what} is empty" + ("" if one.required else "; leave it out")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        return f"{what} has half of a surrogate pair, which is no character"
    return None


def data_error(one: Field, value: object, data_type: str, written: str) -> str | None:
    """Why `data` cannot be sent as this type, or None."""
    if data_type != "binary" and not isinstance(value, str):
        if isinstance(value, list | dict):
            text = quote_json(value)
            remedy = text if len(text) <= 2 * _SHOWN else "it as one JSON string in quotes"
            return f"`{one.name}` must be a string, not {describe_type(value)}; write {remedy}"
        return string_error(f"`{one.name}`", value, written)
    try:
        size = len(encode_message(value, data_type))
    except ValueError as error:
        return str(error)
    if one.limit is not None and size > one.limit:
        return f"`{one.name}` is {size} bytes, at most {one.limit} (1 MiB) are allowed"
    return None


def closest_key(key: str, known: Iterable[str]) -> str:
    """The known key that an unknown one was probably meant to be, or ""."""
    known = list(known)
    if _LEGACY.get(key) in known:
        return _LEGACY[key]
    near = did_you_mean(key, known)
    return near.split("`")[1] if near else ""


def unknown_key(key: str, known: Iterable[str], owner: str, outside: Container[str] = ()) -> str:
    """What to say of a key that is not known here; `outside` are the keys of the playbook."""
    known = list(known)
    if key in outside:
        return f"`{key}` belongs to the top of the playbook, not to {owner}"
    if _LEGACY.get(key) in known:
        return f"`{key}` was the name in the binding's betas; it is `{_LEGACY[key]}` now"
    near = did_you_mean(key, known)
    return f"`{key}` is not a key of {owner}{near or '; it has ' + join_names(known, 'and')}"


def key_only_in_playbooks(key: str) -> str:
    """What to say of a key that an action has in a playbook but not in a bare batch."""
    return f"`{key}` works in a playbook only, not in a bare batch; put the list under `actions:`"


def key_of_other_actions(key: str, action: Action, actions: Iterable[Action]) -> str | None:
    """What to say of a key that only other actions have, or None when none has it."""
    owners = [one.name for one in actions if any(key == field.name for field in one.fields)]
    if not owners:
        return None
    shown = f"`{owners[0]}`, `{owners[1]}` and others" if owners[2:] else join_names(owners)
    own = join_names([field.name for field in action.fields], "and")
    return f"`{action.name}` has no `{key}`, that is for {shown}; it has {own}"


def unknown_action(name: str, actions: Iterable[str]) -> str:
    """What to say of an `actionName` that is none."""
    if "${" in name:
        return "`actionName` cannot hold `${…}`; write one action for each"
    known = list(actions)
    shown = f"`{name}`" if len(name) <= _SHOWN else "this"
    bare = name[: -len("Action")] if name.lower().endswith("action") else name
    near = did_you_mean(bare, known)
    return f"{shown} is not an action{near or '; `wps-run actions` lists them'}"


def no_action_name(mapping: Mapping[str, object], actions: Iterable[str]) -> tuple[str, str]:
    """What to say of an action without `actionName`, and the key it is about, or ""."""
    if "operationKind" in mapping:
        return unknown_key("operationKind", ["actionName"], "an action"), "operationKind"
    known = set(actions)
    key = next((key for key in mapping if key in known), "")
    if key:
        return f"write `actionName: {key}`, and its properties beside it", key
    for key in mapping:
        if did_you_mean(key, ["actionName"]):
            return f"`{key}` is not a key of an action; did you mean `actionName`?", key
    return "this action has no `actionName`", ""


def not_an_action(value: object, actions: Iterable[str]) -> str:
    """What to say of an item of `actions` that is not a mapping."""
    if isinstance(value, str) and value in set(actions):
        return f"an action is a mapping; write `actionName: {value}`"
    found = "here is nothing" if value is None else f"this is {describe_type(value)}"
    return f"an action is a mapping that begins with `actionName: …`; {found}"


def invalid_variable_name(name: str) -> str:
    """What to say of a name that no variable can have."""
    if name in {"each", "env"}:
        return f"`{name}` has a meaning of its own in `${{…}}`; choose another name"
    return (
        f"`{name}` cannot name a variable; it begins with a letter or `_`, "
        "and letters, digits, `_` and `-` follow"
    )


def as_source_text(value: object) -> str:
    """A scalar as it may have been written, when the source is not at hand."""
    return json.dumps(value, default=str) if not isinstance(value, str) else value


def _list_fault(one: Field, value: object, written: str) -> str | None:
    if isinstance(value, list):
        return None if value else f"`{one.name}` is empty"
    if isinstance(value, dict) or not written or len(written) > _SHOWN:
        return f"`{one.name}` must be a list of strings, not {describe_type(value)}"
    return f'`{one.name}` must be a list of strings; write ["{written}"]'


def _expected(schema: Mapping[str, Any]) -> str:
    """What a schema asks for, in words."""
    if schema.get("anyOf") in (DURATION["anyOf"], TIMEOUT["anyOf"]):
        longer = " longer than 0" if schema["anyOf"] == TIMEOUT["anyOf"] else ""
        return f"a duration{longer} such as `250ms`, `10s` or `2m`, or a number of seconds"
    if "anyOf" in schema:
        return "a string, a number, or true or false"
    if "enum" in schema:
        return join_names(schema["enum"])
    if schema["type"] == "integer":
        return f"a whole number from {schema['minimum']} to {schema['maximum']}"
    if schema["type"] == "number":
        return f"a number above {schema['exclusiveMinimum']}"
    return {
        "object": "a mapping",
        "array": "a list with `- ` before each item",
        "string": "a string",
    }[schema["type"]]
