"""What `forEach` may be, and the errors of an invalid one."""

from functools import reduce
from operator import getitem
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from wps_run.playbook.foreach import (
    FOR_EACH_SCHEMA,
    SUFFIXES,
    column_error,
    file_name_error,
    for_each_errors,
)

SCALAR = st.sampled_from(
    [
        "a",
        "r.csv",
        "r.txt",
        "-",
        "",
        ";",
        "tab",
        "utf-16",
        "${x}",
        "${each}",
        "${env.X}",
        "a${x}",
        1,
        1.5,
        True,
        None,
    ]
)
ANYTHING = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["file", "matrix", "fil", "delimiter", "encoding", "column"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(value=ANYTHING)
def test_what_the_schema_refuses_is_reported_at_an_existing_path(value: Any) -> None:
    """Never a traceback: the way to the place leads somewhere."""
    if Draft7Validator(dict(FOR_EACH_SCHEMA)).is_valid(value):
        return

    errors = list(for_each_errors(value))

    assert errors
    for path, message in errors:
        reduce(getitem, path, value)
        assert message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_suffixes_are_known_in_any_case(suffix: str) -> None:
    """By the schema and by the message."""
    for name in (f"rows{suffix}", f"ROWS{suffix.upper()}"):
        assert file_name_error(name) is None
        assert Draft7Validator(dict(FOR_EACH_SCHEMA)).is_valid({"file": name})
        assert file_name_error(f"{name}.gz") is not None
        assert not Draft7Validator(dict(FOR_EACH_SCHEMA)).is_valid({"file": f"{name}.gz"})


def test_a_misspelled_column_gets_a_suggestion() -> None:
    """From the columns that the rows have."""
    assert "did you mean" in (column_error("tema", ["userId", "team"], "m.csv") or "")
