"""What a schema cannot say of an action: UTF-16 units, bytes, whether a text is JSON."""

from collections.abc import Container, Iterator, Mapping
from typing import Any

from wps_run.actions.fields import Field, Shape
from wps_run.actions.payload import CONTENT_TYPES
from wps_run.actions.table import Action
from wps_run.playbook import advice
from wps_run.playbook.document import Path

Fault = tuple[Path, str, str]
"""The way to a value, what is wrong with it, and the rule's name."""


def data_type_of(mapping: Mapping[str, Any]) -> str:
    """The `dataType` of an action, `text` when it has none or an unknown one."""
    given = mapping.get("dataType")
    return given if isinstance(given, str) and given in CONTENT_TYPES else "text"


def beyond_schema(
    action: Action, mapping: Mapping[str, Any], faulty: Container[Path] = ()
) -> Iterator[Fault]:
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
            yield from field_faults(one, value, data_type)


def field_faults(one: Field, value: Any, data_type: str) -> Iterator[Fault]:  # noqa: ANN401 -- what its schema accepts
    """The same of one property, whose value its schema accepts."""
    if one.shape is Shape.DATA:
        yield from _data(one, value, data_type)
    elif one.shape is Shape.STRING:
        yield from _text(one, value, (one.name,))
    elif one.shape is Shape.STRINGS:
        for place, item in enumerate(value):
            yield from _text(one, item, (one.name, place))


def _data(one: Field, value: object, data_type: str) -> Iterator[Fault]:
    """Of ASCII that is sent as text there is nothing to say."""
    if data_type == "text" and type(value) is str and value.isascii():
        return
    message = advice.data_fault(one, value, data_type, "")
    if message:
        yield (one.name,), message, "data"


def _text(one: Field, value: str, path: Path) -> Iterator[Fault]:
    message = None if value.isascii() else advice.text_fault(one, value)
    if message:
        yield path, message, "value"
