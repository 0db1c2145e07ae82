"""Scalars by the core schema of YAML 1.2."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.document.scalars import TagError, resolve_plain, resolve_tagged

PREFIX = "tag:yaml.org,2002:"


@given(number=st.integers())
def test_every_whole_number_is_one(number: int) -> None:
    """Signs and leading zeros included; none of them makes it octal."""
    assert resolve_plain(str(number)) == resolve_plain(f"{number:+05d}") == number


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_every_decimal_number_is_one(number: float) -> None:
    """As Python, JSON and JavaScript write them."""
    assert resolve_plain(repr(number)) == number


@given(text=st.text("01_:-.+eEoxX", min_size=1))
def test_what_only_looks_like_a_number_is_a_string(text: str) -> None:
    """Times, dates, versions and the 1_000 of YAML 1.1 stay as they are."""
    value = resolve_plain(text)

    assert value == text or (isinstance(value, int | float) and not {"_", ":"} & set(text))


@pytest.mark.parametrize(
    "text", ["yes", "Off", "y", "nULL", "tRUE", ".INf", "NaN", "Infinity", "-"]
)
def test_other_words_are_strings(text: str) -> None:
    """Only the three spellings of 1.2 mean anything."""
    assert resolve_plain(text) == text


@pytest.mark.parametrize(
    ("tag", "text", "message"),
    [
        ("int", "1.5", "`1.5` is not a valid !!int"),
        ("bool", "yes", "`yes` is not a valid !!bool"),
        ("null", "0", "`0` is not a valid !!null"),
        ("timestamp", "2026-11-24", "the tag `!!timestamp` is not supported"),
    ],
)
def test_a_tag_that_does_not_fit_is_refused(tag: str, text: str, message: str) -> None:
    """Rather than twisting the value."""
    with pytest.raises(TagError, match=message.replace(".", r"\.")):
        resolve_tagged(PREFIX + tag, text)
