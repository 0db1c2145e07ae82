"""Check the values of a typed action by the rules of playbooks, and bring them to one form."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from wps_run.actions.fields import DATA, DATA_LIMIT, Field, FieldType
from wps_run.actions.names import argument_name
from wps_run.actions.payload import compact_json, encode_message
from wps_run.actions.table import ACTIONS
from wps_run.document.scalars import Base64
from wps_run.playbook import messages
from wps_run.playbook.constraints import Finding
from wps_run.playbook.schema import SchemaForm
from wps_run.playbook.validator import default_validator
from wps_run.problems import PlaybookError, Problem, limited

Values = dict[str, Any]
"""Values by the name of the argument."""


def checked_values(action_name: str, values: Mapping[str, Any]) -> Values:
    """Return the values of an action in the form in which it keeps them.

    Args:
        action_name: The `actionName`.
        values: The value of each argument; None for an optional one that is not given.

    Returns:
        A `str` for a string of any subclass, a tuple for a list; `data` as the text or the bytes
        that are sent, and `data_type`, which follows from it unless it was given; None for text.

    Raises:
        PlaybookError: A value is wrong. The problems have no position.
    """
    arguments = _arguments(action_name)
    plain = {name: _plain(field, values[name]) for name, field in arguments.items()}
    if "data" in plain:
        plain |= _message(action_name, plain["data"], plain["data_type"])
    mapping = {
        field.name: _as_in_document(plain[name])
        for name, field in arguments.items()
        if field.required or (plain[name] is not None and plain[name] != ())
    }
    findings = default_validator().validate_action(
        {"actionName": action_name, **mapping}, SchemaForm.BATCH, slash_in_names=False
    )
    problems = [_problem(action_name, _located(each), each.rule) for each in findings]
    data = plain.get(DATA.name)
    if isinstance(data, bytes):
        if len(data) > DATA_LIMIT:
            problems.append(_problem(action_name, messages.too_long(DATA, len(data)), "data"))
    elif not problems and plain.get("data_type") == "binary":
        plain[DATA.name] = encode_message(data, "binary")
    if problems:
        raise PlaybookError(limited(problems))
    return plain


@cache
def _arguments(action_name: str) -> Mapping[str, Field]:
    """Return the properties of an action by the name of the argument."""
    return {argument_name(field.name): field for field in ACTIONS[action_name].service_fields}


def _located(finding: Finding) -> str:
    """Return a message with the place in the string, which no excerpt shows."""
    if finding.span is None:
        return finding.message
    return f"{finding.message} (character {finding.span[0] + 1})"


def _problem(action_name: str, message: str, rule: str) -> Problem:
    return Problem(f"{action_name}: {message}", rule)


def _plain(field: Field, value: Any) -> Any:  # noqa: ANN401 -- any argument
    """Return a value without the subclass of its type, a list as a tuple."""
    if isinstance(value, str):
        return str.__str__(value)
    if field.type is FieldType.INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    if field.type is not FieldType.STRINGS or isinstance(value, bytes | Mapping):
        return value
    if value is None and not field.required:
        return ()
    return tuple(_plain(field, item) for item in value) if isinstance(value, Iterable) else value


def _message(action_name: str, data: object, data_type: str | None) -> Values:
    """Return `data` as text, bytes or what is to be refused, and `data_type`."""
    if isinstance(data, str):
        return {"data": data, "data_type": data_type}
    if isinstance(data, bytes | bytearray | memoryview):
        content = bytes(data)
        if data_type in (None, "binary"):
            return {"data": content, "data_type": "binary"}
        return {"data": _decoded(action_name, content), "data_type": data_type}
    if data_type not in (None, "json"):
        return {"data": data, "data_type": data_type}
    return {"data": _serialized(action_name, data), "data_type": "json"}


def _decoded(action_name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        message = (
            f"`data` is not UTF-8 (byte {error.start + 1}); only `dataType: binary` takes any bytes"
        )
        raise PlaybookError([_problem(action_name, message, "data")]) from None


def _serialized(action_name: str, data: object) -> str:
    try:
        return compact_json(data)
    except TypeError as error:
        message = f"`data` must be `str`, `bytes` or a value of JSON ({error})"
    except (RecursionError, ValueError):
        message = "`data` is nested too deeply for JSON, or contains itself"
    raise PlaybookError([_problem(action_name, message, "data")])


def _as_in_document(value: object) -> object:
    """Return a value as a document has it: a list for a tuple, base64 for bytes.

    The check of a mebibyte of base64 takes 0.3 s, and any bytes are valid: none stand for them.
    """
    if isinstance(value, tuple):
        return list(value)
    return Base64("") if isinstance(value, bytes) else value
