"""What counts as JSON, and why something does not."""

import pytest

from wps_run.document.json import explain_json, json_error, looks_like_json


@pytest.mark.parametrize(
    "text", ["[1.50, 1e400]", '{"a": "\\ud83d\\ude00"}', "[" + "9" * 5000 + "]"]
)
def test_json_is_valid(text: str) -> None:
    """Numbers of any length included."""
    assert json_error(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [("[NaN]", "no NaN"), ("[1,]", "Illegal|Expecting")],
)
def test_what_is_not_json_says_why(text: str, message: str) -> None:
    """NaN is Python's, not JSON's."""
    error = json_error(text)

    assert error is not None
    assert any(part in error.msg for part in message.split("|"))


@pytest.mark.parametrize(
    ("text", "answer"), [(" \n[", True), ("{", True), ("- a", False), ("", False)]
)
def test_a_text_may_be_json_by_its_first_character(text: str, *, answer: bool) -> None:
    """Whatever may follow."""
    assert looks_like_json(text) is answer


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("[1, // one\n2]", "no comments", 4),
        ("# one\n[1]", "no comments", 0),
        ("[1 /* one */]", "no comments", 3),
        ("[1,\n]", "remove the `,`", 2),
        ('{"a": [1], }', "remove the `,`", 9),
        ("{'a': 1}", "straight double quotes", 1),
        ("{\u201ca\u201d: 1}", "straight double quotes", 1),
        ("{a: 1}", '`"a"`', 1),
        ("[yes]", '`"yes"`', 1),
        ("[True]", "`true`", 1),
        ('["NaN", NaN]', "no `NaN`", 8),
        ("[-Infinity]", "no `-Infinity`", 1),
        ("[01]", "leading zeros", 1),
        ("[.5]", "begins with a digit", 1),
        ("actions: []", "rename it to `.yaml`", 0),
        ("- a", "rename it to `.yaml`", 0),
        ("[1 2]", "is missing here", 3),
        ("[1,, 2]", "value is missing", 3),
        ('{"a" 1}', "`:` is missing", 5),
        ('{"a": 1', "missing at the end", 6),
        ('["a', "not closed", 1),
        ('["a\nb"]', "line break", 3),
        ('["\\q"]', "not an escape", 2),
        ("{}\n{}", "as a list", 3),
    ],
)
def test_each_error_says_what_to_write_and_where(text: str, message: str, offset: int) -> None:
    """What YAML, JavaScript and Python allow and JSON does not."""
    error = json_error(text)

    assert error is not None
    explanation, position = explain_json(error)
    assert explanation.startswith("this is not JSON: ")
    assert message in explanation
    assert position == offset
