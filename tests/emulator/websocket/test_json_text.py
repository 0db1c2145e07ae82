"""JSON taken to pieces."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.websocket.json_text import MEMBER_LIMIT, JsonTextError, Object, check, members

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
def test_the_members_are_those_that_json_finds(expected: dict[str, object]) -> None:
    """Name by name; and each value's text alone means the same."""
    text = json.dumps(expected, indent=1)

    found = members(text)

    assert {name: json.loads(member.raw) for name, member in found.items()} == expected
    check(text)


@given(st.text(alphabet='{}[]":,ntrue0 \\') | st.text())
def test_what_json_refuses_is_refused(text: str) -> None:
    """And nothing else, if it is an object."""
    try:
        known = json.loads(text)
    except ValueError:
        known = None

    if isinstance(known, dict):
        assert members(text).keys() == known.keys()
    else:
        with pytest.raises(JsonTextError):
            members(text)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "[" * 100_000, "", " ", "1 2"])
def test_what_is_no_json_is_refused(text: str) -> None:
    """Python's own names for numbers, unbounded depth, nothing, and more than one value."""
    with pytest.raises(JsonTextError):
        check(text)


@pytest.mark.parametrize("text", ["1" * 100_000, "-0.5E+99999", ' ["\\ud800"]\n', "null"])
def test_what_is_json_is_taken(text: str) -> None:
    """Numbers beyond every type, halves of surrogate pairs in escapes, blanks around."""
    check(text)


def test_an_object_keeps_names_that_come_twice() -> None:
    """Of members with the same name the last counts; inside a value all are kept."""
    found = members('{"a":1,"a":{"b":"c","b":"d"}}')

    assert found["a"].raw == '{"b":"c","b":"d"}'
    assert found["a"].value == Object((("b", "c"), ("b", "d")))


def test_a_flood_of_members_is_refused() -> None:
    """A frame cannot hold up the others; what is inside a value does not count."""
    most = {str(number): list(range(9)) for number in range(MEMBER_LIMIT)}

    assert members(json.dumps(most)).keys() == most.keys()
    with pytest.raises(JsonTextError, match="more than"):
        members(json.dumps(most | {"more": 1}))
