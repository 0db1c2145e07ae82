"""Messages about a wrong value or key: what is wrong and what to write instead."""

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from wps_run.actions.fields import Field, FieldType, Origin
from wps_run.actions.names import name_error
from wps_run.actions.payload import (
    BUFFER_ERROR,
    buffer_bytes,
    encode_message,
    is_buffer,
    quote_json,
)
from wps_run.actions.table import Action
from wps_run.document.scalars import resolve_plain
from wps_run.playbook.options import (
    DURATION,
    FAILURE_LIMIT,
    MOMENT,
    MOST_FAILURES,
    MOST_PROCESSES,
    PROCESS_COUNT,
    TIMEOUT,
)
from wps_run.problems import SIMILAR_NAMES, did_you_mean
from wps_run.text import has_surrogate

NOT_IN_BINDING = "not-in-binding"
"""The rule of the problems of what the Functions output binding does not have."""

_SHOWN = 60
"""Values with more characters are not quoted in a message."""

_LEGACY_BY_FOLDED_NAME = {
    "operationkind": "actionName",
    "message": "data",
    "messagedatatype": "dataType",
}
"""Names in the output binding's beta versions, with the current names. Source: its changelog."""

_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a mapping"),
)


def join_names(names: Iterable[str], last: str = "or") -> str:
    """Join names in backticks: `a`, `b` or `c`."""
    quoted = [f"`{name}`" for name in names]
    return f" {last} ".join([", ".join(quoted[:-1]), quoted[-1]]) if quoted[1:] else quoted[0]


def describe_type(value: object) -> str:
    """Return the type of a value with an article: `a number`, `a list`."""
    return next((name for type_, name in _TYPE_NAMES if isinstance(value, type_)), "nothing")


def value_error(key: str, schema: Mapping[str, Any], value: object, source_text: str) -> str:
    """Explain why the value of a key is not valid; `source_text` is a scalar as in the source."""
    if "enum" in schema and isinstance(value, str):
        near = did_you_mean(value, schema["enum"])
        shown = f", not `{value}`" if len(value) <= _SHOWN else ""
        return f"`{key}` must be {join_names(schema['enum'])}{shown}{near}"
    if schema.get("type") == "string" and "enum" not in schema and not isinstance(value, str):
        return string_error(f"`{key}`", value, source_text)
    remedy = ""
    if isinstance(value, str) and "enum" not in schema and _is_number(value):
        remedy = f"; write {value} without quotes" if len(value) <= _SHOWN else ""
    if value is None:
        remedy = "; it has no value"
    if value == "" and "minLength" in schema:
        return f"`{key}` is empty"
    if key == "onMissing":
        return _on_missing_error(value)
    return f"`{key}` must be {_expected(schema)}{remedy}"


def _is_number(text: str) -> bool:
    value = resolve_plain(text)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _on_missing_error(value: object) -> str:
    message = "`onMissing` must be `fail`, `skip`, or `{wait: 60s}`"
    if value == "wait":
        return f"{message}; add the time to wait: `{{wait: 60s}}`"
    if isinstance(value, str):
        return f"{message}{did_you_mean(value, ['fail', 'skip'])}"
    if isinstance(value, dict) and list(value) == ["wait"]:
        return f"{message}; `wait` is {_expected(TIMEOUT)}"
    return message


def string_error(what: str, value: object, source_text: str) -> str:
    """Explain that a value must be a string, and how to write it as one."""
    if value is None:
        hint = f' ("{source_text}" in quotes, if that is meant)' if source_text else ""
        return f"{what} has no value; write a string{hint}"
    if isinstance(value, list | dict):
        return f"{what} must be a string, not {describe_type(value)}"
    remedy = f'write "{source_text}"' if len(source_text) <= _SHOWN else "put it in quotes"
    return f"{what} must be a string, not {describe_type(value)}; {remedy}"


def field_error(
    field: Field, schema: Mapping[str, Any], value: object, source_text: str
) -> str | None:
    """Explain why the value of a property other than `data` is wrong; None if it is not."""
    if value is None and not field.required:
        return f"`{field.name}` has no value; leave it out"
    if field.type is FieldType.STRINGS:
        return _list_error(field, value, source_text)
    if field.type is FieldType.STRING and isinstance(value, str):
        return text_error(field, value)
    return value_error(field.name, schema, value, source_text)


def text_error(field: Field, value: str) -> str | None:
    """Explain why a string is wrong as a property or as an item of it; None if it is not."""
    what = f"an item of `{field.name}`" if field.type is FieldType.STRINGS else f"`{field.name}`"
    if field.is_name:
        reason = name_error(value, field.limit)
        return f"{what} {reason}" if reason else None
    if not value and field.type is FieldType.STRING:
        return f"{what} is empty" + ("" if field.required else "; leave it out")
    if has_surrogate(value):
        return f"{what} has half of a surrogate pair, which is not a character"
    return None


def data_error(
    field: Field, value: object, data_type: str, source_text: str, *, in_batch: bool = False
) -> str | None:
    """Explain why `data` cannot be sent as this `dataType`; None if it can."""
    if data_type != "binary" and not isinstance(value, str):
        return _not_a_message(field, value, source_text, in_batch=in_batch)
    try:
        size = len(encode_message(value, data_type))
    except ValueError as error:
        return str(error)
    return too_long(field, size) if field.limit is not None and size > field.limit else None


def too_long(field: Field, size: int) -> str:
    """Explain that `data` has too many bytes."""
    return f"`{field.name}` is {size} bytes, at most {field.limit} (1 MiB) are allowed"


def _not_a_message(field: Field, value: object, source_text: str, *, in_batch: bool) -> str:
    """Explain that `data` must be a string for text and JSON."""
    content = buffer_bytes(value)
    if content is not None:
        return (
            f"`{field.name}` is a Buffer, which a playbook takes for `dataType: binary` only; "
            f"write {_quoted_text(content)}"
        )
    if is_buffer(value):
        return BUFFER_ERROR
    if isinstance(value, list | dict):
        text = quote_json(value)
        remedy = text if len(text) <= 2 * _SHOWN else "it as one JSON string in quotes"
        if not in_batch:
            remedy += ", or rename `data` to `dataJson`, which takes any value and sends it as JSON"
        return f"`{field.name}` must be a string, not {describe_type(value)}; write {remedy}"
    return string_error(f"`{field.name}`", value, source_text)


def _quoted_text(content: bytes) -> str:
    try:
        return quote_json(content.decode()) if len(content) <= _SHOWN else "its text as a string"
    except UnicodeDecodeError:
        return "`dataType: binary`"


def closest_key(key: str, known: Iterable[str]) -> str:
    """Return the known key that an unknown key was probably meant to be, or an empty text."""
    known = list(known)
    if _LEGACY_BY_FOLDED_NAME.get(key.lower()) in known:
        return _LEGACY_BY_FOLDED_NAME[key.lower()]
    near = did_you_mean(key, known)
    return near.split("`")[1] if near else ""


def current_name(key: str) -> str:
    """Return the present name of a key of the output binding's betas; other keys as they are."""
    return _LEGACY_BY_FOLDED_NAME.get(key.lower(), key)


def legacy_key(key: str) -> str | None:
    """Explain a key of the output binding's betas, in any letter case; None for other keys."""
    name = _LEGACY_BY_FOLDED_NAME.get(key.lower())
    return f"`{key}` was the name in the binding's betas; it is `{name}` now" if name else None


def unknown_key(key: str, known: Iterable[str], owner: str, top_level: Container[str] = ()) -> str:
    """Explain an unknown key.

    Args:
        key: The key.
        known: The keys that are allowed.
        owner: The mapping, for readers.
        top_level: The keys of a playbook, which are allowed elsewhere.
    """
    known = list(known)
    if key in top_level:
        return f"`{key}` belongs to the top of the playbook, not to {owner}"
    legacy = legacy_key(key)
    if legacy and _LEGACY_BY_FOLDED_NAME[key.lower()] in known:
        return legacy
    near = did_you_mean(key, known)
    return f"`{key}` is not a key of {owner}{near or '; it has ' + join_names(known, 'and')}"


def key_only_in_playbooks(key: str) -> str:
    """Explain a key that an item may have in a playbook but not in a bare batch."""
    return f"`{key}` works in a playbook only, not in a bare batch; put the list under `actions:`"


def key_of_other_actions(
    key: str, action: Action, actions: Iterable[Action], known: Container[str]
) -> str | None:
    """Explain a key that only other actions have; None if no action has it.

    Args:
        key: The key.
        action: The action that does not have it.
        actions: All actions.
        known: The keys that the action may have here.
    """
    owners = [other.name for other in actions if any(key == own.name for own in other.fields)]
    if not owners:
        return None
    shown = f"`{owners[0]}`, `{owners[1]}` and others" if owners[2:] else join_names(owners)
    own = join_names([field.name for field in action.fields if field.name in known], "and")
    return f"`{action.name}` has no `{key}`, that is for {shown}; it has {own}"


def unknown_action(name: str, actions: Iterable[str]) -> str:
    """Explain an `actionName` that is not an action."""
    if "${" in name:
        return "`actionName` cannot hold `${…}`; write one action for each"
    known = list(actions)
    shown = f"`{name}`" if len(name) <= _SHOWN else "this"
    bare = name[: -len("Action")] if name.lower().endswith("action") else name
    near = did_you_mean(bare, known)
    return f"{shown} is not an action{near or '; `wps-run actions` lists them'}"


def no_action_name(
    mapping: Mapping[str, object], actions: Iterable[str], *, in_batch: bool
) -> tuple[str, str]:
    """Explain that `actionName` is missing; also return the wrong key in its place, or ""."""
    known = set(actions)
    key = next((key for key in mapping if key in known), "")
    if key:
        return f"write `actionName: {key}`, and its properties beside it", key
    for key in islice(mapping, SIMILAR_NAMES):
        if in_batch and key == "include":
            return key_only_in_playbooks(key), key
        if near := did_you_mean(key, ["actionName"] if in_batch else ["actionName", "include"]):
            return f"`{key}` is not a key of an action{near}", key
    return "this action has no `actionName`", ""


def not_an_action(value: object, actions: Iterable[str]) -> str:
    """Explain that an item of `actions` is not a mapping."""
    if isinstance(value, str) and value in set(actions):
        return f"an action is a mapping; write `actionName: {value}`"
    actual = "here is nothing" if value is None else f"this is {describe_type(value)}"
    return f"an action is a mapping that begins with `actionName: …`; {actual}"


def not_in_binding(action: Action, names: Container[str]) -> Iterator[tuple[str, str]]:
    """Yield what the binding does not have of an action: the key, and the message.

    Args:
        action: The row of the action table.
        names: The properties that are given.
    """
    if action.origin is Origin.REST:
        yield (
            "actionName",
            f"`{action.name}` is not an action of the Functions output binding",
        )
        return
    for field in action.fields:
        if field.origin is not Origin.BINDING and field.name in names:
            message = f"the Functions output binding has no `{field.name}` on `{action.name}`"
            yield field.name, message


def invalid_variable_name(name: str) -> str:
    """Explain a name that a variable cannot have."""
    if name in {"each", "env"}:
        return f"`{name}` has a meaning of its own in `${{…}}`; choose another name"
    return (
        f"`{name}` cannot name a variable; it begins with a letter or `_`, "
        "and letters, digits, `_` and `-` follow"
    )


def _list_error(field: Field, value: object, source_text: str) -> str | None:
    if isinstance(value, list):
        return None if value else f"`{field.name}` is empty"
    if isinstance(value, dict) or not source_text or len(source_text) > _SHOWN:
        return f"`{field.name}` must be a list of strings, not {describe_type(value)}"
    return f'`{field.name}` must be a list of strings; write ["{source_text}"]'


def _duration_text(limits: str) -> str:
    return f"a duration of {limits}, such as `250ms`, `10s` or `2m`, or a number of seconds"


_MOMENT_TEXT = (
    "a date and a time from 2000 to 2099 with an offset, such as `2026-12-01T18:00Z` or "
    "`2026-12-01T18:00+01:00`"
)
_DESCRIBED = (
    (DURATION, _duration_text("0 to 24 hours")),
    (TIMEOUT, _duration_text("1 ms to 24 hours")),
    (PROCESS_COUNT, f"a whole number from 1 to {MOST_PROCESSES}, or `auto`"),
    (FAILURE_LIMIT, f"a whole number from 0 to {MOST_FAILURES:,}, or a percentage such as `2%`"),
    (MOMENT, _MOMENT_TEXT),
)
"""Schemas of values that have a form of their own, and what they accept."""


def _expected(schema: Mapping[str, Any]) -> str:
    for described, text in _DESCRIBED:
        if described.items() <= schema.items():
            return text
    if "anyOf" in schema:
        return "a string, a number, or true or false"
    if "enum" in schema:
        return join_names(schema["enum"])
    if schema["type"] == "integer":
        return f"a whole number from {schema['minimum']} to {schema['maximum']}"
    if schema["type"] == "number":
        return f"a number from {schema['minimum']} to {schema['maximum']:,}"
    return {
        "boolean": "true or false",
        "object": "a mapping",
        "array": "a list with `- ` before each item",
        "string": "a string",
    }[schema["type"]]
