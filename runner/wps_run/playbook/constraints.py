"""What a schema cannot say of an action: UTF-16 units, bytes, whether a text is JSON.

Whether a property that a row has filled in is right, from that property's own schema alone.

A predicate that says yes is right: the check of the whole action would find nothing in it. Where
one says no, that check has the word. So there is one rule book, and a row costs microseconds.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from wps_run.actions.fields import Field, FieldType
from wps_run.actions.payload import CONTENT_TYPES
from wps_run.actions.table import Action
from wps_run.document.document import Path
from wps_run.playbook import messages
from wps_run.playbook.compiled_schema import Predicate, compile_schema, conjunction
from wps_run.playbook.schema import SchemaForm, action_schema, names_without_slash

Violation = tuple[Path, str, str]
"""The way to a value, what is wrong with it, and the rule's name."""


def data_type_of(mapping: Mapping[str, Any]) -> str:
    """The `dataType` of an action, `text` when it has none or an unknown one."""
    given = mapping.get("dataType")
    return given if isinstance(given, str) and given in CONTENT_TYPES else "text"


def constraint_violations(
    action: Action, mapping: Mapping[str, Any], faulty: Container[Path] = ()
) -> Iterator[Violation]:
    """The faults of a filled-in action that its schema does not see.

    Args:
        action: Its row of the action table.
        mapping: The action, or some of its properties.
        faulty: The paths of values that the schema has found fault with.
    """
    data_type = data_type_of(mapping)
    for one in action.fields:
        value = mapping.get(one.name)
        if value is not None and (one.name,) not in faulty:
            yield from field_violations(one, value, data_type)


def field_violations(one: Field, value: Any, data_type: str) -> Iterator[Violation]:  # noqa: ANN401 -- what its schema accepts
    """The same of one property, whose value its schema accepts."""
    if one.type is FieldType.DATA:
        yield from _data(one, value, data_type)
    elif one.type is FieldType.STRING:
        yield from _text(one, value, (one.name,))
    elif one.type is FieldType.STRINGS:
        for place, item in enumerate(value):
            yield from _text(one, item, (one.name, place))


def _data(one: Field, value: object, data_type: str) -> Iterator[Violation]:
    """Of ASCII that is sent as text there is nothing to say."""
    if data_type == "text" and type(value) is str and value.isascii():
        return
    message = messages.data_error(one, value, data_type, "")
    if message:
        yield (one.name,), message, "data"


def _text(one: Field, value: str, path: Path) -> Iterator[Violation]:
    message = None if value.isascii() else messages.text_error(one, value)
    if message:
        yield path, message, "value"


def compile_predicates(
    action: Action, names: Iterable[str], data_type: str, *, slash_in_names: bool
) -> dict[str, Predicate]:
    """A predicate for each of some properties of an action.

    Args:
        action: The row of the action table.
        names: The properties.
        data_type: The `dataType` of every action that is judged.
        slash_in_names: Whether names in the path may hold `/`.
    """
    schema = action_schema(action, SchemaForm.EXPANDED)
    branch = schema.get("then" if data_type == "binary" else "else", {})
    properties = {**schema["properties"], **branch.get("properties", {})}
    refused = () if slash_in_names else names_without_slash({action.name: action})
    fields = {one.name: one for one in action.fields}
    return {
        name: _predicate(
            [compile_schema(properties[name]), *([_without_slash] if name in refused else [])],
            fields[name],
            data_type,
        )
        for name in names
    }


def _without_slash(name: str) -> bool:
    """What `no_slash_schema` says of a name."""
    return "/" not in name


def _predicate(rules: list[Predicate], one: Field, data_type: str) -> Predicate:
    def faultless(value: Any) -> bool:  # noqa: ANN401 -- what its schema accepts
        return not any(field_violations(one, value, data_type))

    if one.type is FieldType.STRING:  # ASCII, as most names are, has never a fault of this kind
        return conjunction([*rules, lambda value: value.isascii() or faultless(value)])
    return conjunction([*rules, faultless])
