"""Checks of an action that JSON Schema cannot express, and fast checks of single properties.

JSON Schema counts characters, not UTF-16 units or bytes, and does not parse a string as JSON.

The values of rows are checked by one predicate for each property, made from the same schema. Where
all are true the action is valid; otherwise the validator checks the whole action and reports why.
"""

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from wps_run.actions.fields import Field, FieldType
from wps_run.actions.payload import CONTENT_TYPES
from wps_run.actions.table import Action
from wps_run.document.document import Path
from wps_run.document.scalars import Base64
from wps_run.odata import filter_error
from wps_run.playbook import messages
from wps_run.playbook.compiled_schema import Predicate, compile_schema, conjunction
from wps_run.playbook.references import referenced_names
from wps_run.playbook.schema import SchemaForm, action_schema, names_without_slash


class Finding(NamedTuple):
    """An error in the data of a playbook or of an action.

    Attributes:
        path: The path to the value, from the top of the data that was checked.
        message: What is wrong and what to write instead. It never contains a secret.
        rule: A stable name for machines.
        at_key: Whether the key is wrong, not its value.
        span: The offset and width of the part of a string that is wrong; None for all of it.
    """

    path: Path
    message: str
    rule: str
    at_key: bool = False
    span: tuple[int, int] | None = None


def data_type_of(mapping: Mapping[str, Any]) -> str:
    """Return the `dataType` of an action; `text` when it is absent or unknown."""
    data_type = mapping.get("dataType")
    return data_type if isinstance(data_type, str) and data_type in CONTENT_TYPES else "text"


def constraint_findings(
    action: Action, mapping: Mapping[str, Any], invalid: Container[Path] = ()
) -> Iterator[Finding]:
    """Yield the errors of an expanded action that its schema does not detect.

    Args:
        action: The row of the action table.
        mapping: The action, or some of its properties.
        invalid: The paths of values that the schema refuses; they are not checked.
    """
    data_type = data_type_of(mapping)
    for field in action.fields:
        value = mapping.get(field.name)
        if value is not None and (field.name,) not in invalid:
            yield from _field_findings(field, value, data_type)


def _field_findings(field: Field, value: Any, data_type: str) -> Iterator[Finding]:  # noqa: ANN401 -- what its schema accepts
    if field.type is FieldType.DATA:
        yield from _data_findings(field, value, data_type)
    elif field.type is FieldType.STRING:
        yield from _string_findings(field, value, (field.name,))
        if field.is_expression and value:
            yield from _expression_findings(field, value)
    elif field.type is FieldType.STRINGS:
        for index, item in enumerate(value):
            yield from _string_findings(field, item, (field.name, index))


def _data_findings(field: Field, value: object, data_type: str) -> Iterator[Finding]:
    if data_type == "text" and type(value) is str and value.isascii():
        return  # as many bytes as characters, which the schema limits
    message = messages.data_error(field, value, data_type, "")
    if message:
        yield Finding((field.name,), message, "data")


def _string_findings(field: Field, value: str, path: Path) -> Iterator[Finding]:
    # Of ASCII, the schema checks everything: it has as many UTF-16 units as characters.
    message = None if value.isascii() else messages.text_error(field, value)
    if message:
        yield Finding(path, message, "value")


def _expression_findings(field: Field, value: str) -> Iterator[Finding]:
    if error := filter_error(value):
        message = f"`{field.name}` is not valid: {error.explanation}"
        yield Finding((field.name,), message, "filter", span=(error.start, error.width))


def json_findings(value: object, path: Path) -> Iterator[Finding]:
    """Yield what cannot be sent as JSON, in the value of `dataJson` at a path."""
    if isinstance(value, Base64):
        message = (
            "JSON has no `!!binary`; write base64 as a string, or send the bytes with `data` and "
            "`dataType: binary`"
        )
        yield Finding(path, message, "data")
    elif isinstance(value, float) and not math.isfinite(value):
        message = (
            "JSON has no infinity and no NaN, and this number is one or is too large; write null, "
            "or a string in quotes"
        )
        yield Finding(path, message, "data")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from json_findings(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            if any(referenced_names(key)):
                message = "a key in `dataJson` cannot hold `${…}`, only a value can"
                yield Finding((*path, key), message, "data", at_key=True)
            yield from json_findings(item, (*path, key))


def compile_predicates(
    action: Action, names: Iterable[str], data_type: str, *, slash_in_names: bool
) -> dict[str, Predicate]:
    """Make a predicate for each of these properties, for actions of one `dataType`."""
    schema = action_schema(action, SchemaForm.EXPANDED)
    branch = schema.get("then" if data_type == "binary" else "else", {})
    schemas = {**schema["properties"], **branch.get("properties", {})}
    no_slash_names = () if slash_in_names else names_without_slash({action.name: action})
    fields = {field.name: field for field in action.fields}
    predicates = {}
    for name in names:
        rest = _constraints_of(fields[name], data_type, may_have_slash=name not in no_slash_names)
        predicates[name] = conjunction([compile_schema(schemas[name]), rest])
    return predicates


def _constraints_of(field: Field, data_type: str, *, may_have_slash: bool) -> Predicate:
    def is_valid(value: Any) -> bool:  # noqa: ANN401 -- what its schema accepts
        return not any(_field_findings(field, value, data_type))

    if field.type is not FieldType.STRING:
        return is_valid
    # Most names are ASCII, and then the schema is sufficient.
    if may_have_slash:
        return lambda value: value.isascii() or is_valid(value)
    return lambda value: "/" not in value and (value.isascii() or is_valid(value))
