"""What counts as JSON, and why something does not."""

import pytest

from wps_run.document.json import json_error, looks_like_json


@pytest.mark.parametrize(
    "text", ["[1.50, 1e400]", '{"a": "\\ud83d\\ude00"}', "[" + "9" * 5000 + "]"]
)
def test_json_is_valid(text: str) -> None:
    """Numbers of any length included."""
    assert json_error(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [("[NaN]", "no NaN"), ("[1,]", "Illegal|Expecting"), ("[" * 200_000, "too deeply")],
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
