"""Whether a property that a row has filled in is right, from that property's own schema alone.

A predicate that says yes is right: the check of the whole action would find nothing in it. Where
one says no, that check has the word. So there is one rule book, and a row costs microseconds.
"""

from collections.abc import Callable, Iterable
from typing import Any

from wps_run.actions.fields import Field, Shape
from wps_run.actions.table import Action
from wps_run.playbook.beyond import field_faults
from wps_run.playbook.fits import Fits, fits, together
from wps_run.playbook.schema import Form, action_schema, slashless

Predicate = Callable[[Any], bool]


def predicates_of(
    action: Action, names: Iterable[str], data_type: str, *, slash_in_names: bool
) -> dict[str, Predicate]:
    """A predicate for each of some properties of an action.

    Args:
        action: The row of the action table.
        names: The properties.
        data_type: The `dataType` of every action that is judged.
        slash_in_names: Whether names in the path may hold `/`.
    """
    schema = action_schema(action, Form.FILLED)
    branch = schema.get("then" if data_type == "binary" else "else", {})
    properties = {**schema["properties"], **branch.get("properties", {})}
    refused = () if slash_in_names else slashless({action.name: action})
    fields = {one.name: one for one in action.fields}
    return {
        name: _predicate(
            [fits(properties[name]), *([_without_slash] if name in refused else [])],
            fields[name],
            data_type,
        )
        for name in names
    }


def _without_slash(name: str) -> bool:
    """What `no_slash_schema` says of a name."""
    return "/" not in name


def _predicate(rules: list[Fits], one: Field, data_type: str) -> Predicate:
    def faultless(value: Any) -> bool:  # noqa: ANN401 -- what its schema accepts
        return not any(field_faults(one, value, data_type))

    if one.shape is Shape.STRING:  # ASCII, as most names are, has never a fault of this kind
        return together([*rules, lambda value: value.isascii() or faultless(value)])
    return together([*rules, faultless])
