"""The quick check of a schema gives the verdict of jsonschema, for any data."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from wps_run.actions.table import ACTIONS
from wps_run.playbook.compiled_schema import CompiledSchema, compile_schema
from wps_run.playbook.schema import (
    FINALLY,
    SchemaForm,
    action_schema,
    no_slash_schema,
    playbook_schema,
)

SCHEMAS = {
    **{
        f"{form} {action.name}": action_schema(action, form)
        for form in SchemaForm
        for action in ACTIONS.values()
    },
    "no slash": no_slash_schema(ACTIONS),
    "top": {
        key: value
        for key, value in playbook_schema({}).items()
        if key not in {"definitions", "if", "else"}
    },
}
for key in ("actions", FINALLY):
    SCHEMAS["top"]["properties"][key].pop("items")
KEYS = sorted({key for schema in SCHEMAS.values() for key in schema.get("properties", ())})
NAMES = [*ACTIONS, "SENDTOALL", "sendToAl"]

SCALARS: st.SearchStrategy[Any] = st.sampled_from(
    ["ada", "", "a/b", "${x}", "10s", "text", "json", "binary", "stop", "aGk=", "refuse", "fail",
     "sendToGroup", 0, 1, 1.0, 1.5, -1, 301, True, False, None, float("inf")]
) | st.text(max_size=3)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["file", "matrix", "wait", "attempts", "type", "data", "a", "x-a"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=4,
)


@st.composite
def actions(draw: st.DrawFn) -> Any:
    """Mostly an action that is nearly right, else anything."""
    if draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    action = ACTIONS[draw(st.sampled_from(list(ACTIONS)))]
    right = {one.name: one.example for one in action.fields if one.required or draw(st.booleans())}
    mapping = {
        key: list(value) if isinstance(value, tuple) else value for key, value in right.items()
    }
    mapping["actionName"] = draw(st.sampled_from([action.name, *NAMES]))
    return mapping | draw(st.dictionaries(st.sampled_from([*KEYS, "x-y", "Z"]), VALUES, max_size=2))


VALIDATORS = {name: Draft7Validator(schema) for name, schema in SCHEMAS.items()}
CHECKS = {name: compile_schema(schema) for name, schema in SCHEMAS.items()}


@given(data=actions(), name=st.sampled_from(list(SCHEMAS)))
def test_the_quick_check_and_jsonschema_agree(data: Any, name: str) -> None:
    """Of every schema that is used, on data that is right, nearly right, or anything."""
    assert CHECKS[name](data) is VALIDATORS[name].is_valid(data)


@given(data=actions())
def test_they_agree_on_the_schema_of_the_action_that_is_named(data: Any) -> None:
    """So that much of the data is right."""
    name = data.get("actionName") if isinstance(data, dict) else None
    for form in SchemaForm:
        known = isinstance(name, str) and name in ACTIONS
        schema = f"{form} {name if known else 'sendToAll'}"
        assert CHECKS[schema](data) is VALIDATORS[schema].is_valid(data)


@given(data=VALUES)
def test_errors_are_those_of_jsonschema(data: Any) -> None:
    """In its order, so that the first of a value is the one that is told."""
    schema = SCHEMAS["template sendToAll"]

    assert [error.message for error in CompiledSchema(schema).errors(data)] == [
        error.message for error in Draft7Validator(schema).iter_errors(data)
    ]


@pytest.mark.parametrize(
    ("schema", "data", "right"),
    [
        ({"const": "1"}, 1, False),
        ({"type": "integer"}, 1.0, True),
        ({"type": "integer"}, True, False),
        ({"type": "number"}, True, False),
        ({"additionalProperties": {"type": "string"}}, {"a": 1}, False),
        ({"minProperties": 1}, {}, False),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 1}, False),
        (True, 1, True),
        (False, 1, False),
    ],
)
def test_the_meaning_of_a_keyword(schema: Any, data: Any, *, right: bool) -> None:
    """Where it is easily got wrong."""
    assert compile_schema(schema)(data) is right


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 2, "maxLength": 4},
        {"type": "string", "maxLength": 4},
        {"minLength": 2, "maxLength": 4},
        {"minItems": 2},
        {"minProperties": 1},
        {"minimum": 2, "maximum": 4},
        {"exclusiveMinimum": 2},
        {"type": "null"},
        {"propertyNames": {"maxLength": 4}},
    ],
    ids=str,
)
def test_bounds_are_those_of_jsonschema(schema: Any) -> None:
    values = [None, True, *range(7), *(n * "x" for n in range(7)), *([0] * n for n in range(7))]
    values += [{n * "x": 0} for n in range(7)]

    for value in values:
        assert compile_schema(schema)(value) == Draft7Validator(schema).is_valid(value), value


def test_a_keyword_that_is_not_known_is_no_schema_for_it() -> None:
    """Rather than a rule that is silently not kept."""
    with pytest.raises(KeyError, match="multipleOf"):
        compile_schema({"multipleOf": 2})
