"""JSON with the source text of its values."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.json_text import (
    DEPTH_LIMIT,
    MEMBER_LIMIT,
    JsonObject,
    JsonTextError,
    parse_json,
    parse_members,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_the_members_are_those_of_the_json_module(expected: dict[str, object]) -> None:
    """Each value's source text alone has the same meaning."""
    text = json.dumps(expected, indent=1)

    members = parse_members(text)

    assert {name: json.loads(member.raw) for name, member in members.items()} == expected
    parse_json(text)


@given(st.text(alphabet='{}[]":,ntrue0 \\') | st.text())
def test_what_json_refuses_is_refused(text: str) -> None:
    """Other objects are parsed."""
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None

    if isinstance(parsed, dict):
        assert parse_members(text).keys() == parsed.keys()
    else:
        with pytest.raises(JsonTextError):
            parse_members(text)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "[" * 100_000, "", " ", "1 2"])
def test_invalid_json_is_refused(text: str) -> None:
    """Python's names for numbers, unbounded depth, an empty text, several values."""
    with pytest.raises(JsonTextError):
        parse_json(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"]":[', "]}")])
def test_nesting_has_a_limit(opening: str, closing: str) -> None:
    """64 levels, as in .NET. Brackets in strings, and those side by side, do not count."""
    levels = DEPTH_LIMIT // opening.count("[") // (1 + opening.count("{"))
    deepest = opening * levels + '"[[\\"{{",[],[]' + closing * levels

    with pytest.raises(JsonTextError, match="64"):
        parse_json(deepest)
    assert parse_json(deepest.replace(",[],[]", ""))
    assert parse_json("[" + ",".join(["{}"] * 100) + "]")


@pytest.mark.parametrize("text", ["1" * 100_000, "-0.5E+99999", ' ["\\ud800"]\n', "null"])
def test_unusual_json_is_accepted(text: str) -> None:
    """Numbers beyond every type, lone surrogates in escapes, whitespace around."""
    parse_json(text)


def test_an_object_keeps_names_that_come_twice() -> None:
    """Of members with the same name the last counts; inside a value all are kept."""
    members = parse_members('{"a":1,"a":{"b":"c","b":"d"}}')

    assert members["a"].raw == '{"b":"c","b":"d"}'
    assert members["a"].value == JsonObject((("b", "c"), ("b", "d")))


def test_a_flood_of_members_is_refused() -> None:
    """It would block the event loop. Members of nested values do not count."""
    members = {str(number): list(range(9)) for number in range(MEMBER_LIMIT)}

    assert parse_members(json.dumps(members)).keys() == members.keys()
    with pytest.raises(JsonTextError, match="more than"):
        parse_members(json.dumps(members | {"more": 1}))
