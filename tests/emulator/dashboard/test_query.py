"""Queries of the dashboard."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.dashboard.query import (
    DashboardQuery,
    Listing,
    QueryError,
    TrafficFilter,
    parse_query,
)


def test_a_query_is_parsed_from_json() -> None:
    """Missing keys have their defaults."""
    assert parse_query("{}") == DashboardQuery()
    values = {"hub": "chat", "listing": "users", "search": "a", "page": 2, "traffic": "trouble"}
    assert parse_query(json.dumps(values)) == DashboardQuery(
        "chat", Listing.USERS, "a", page=2, traffic=TrafficFilter.TROUBLE
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        "[" * 100_000,
        '{"x": 1}',
        '{"hub": 1}',
        '{"page": -1}',
        '{"page": true}',
        '{"page": 1.0}',
        '{"page": 2147483648}',
        '{"listing": "all"}',
        '{"traffic": ""}',
        json.dumps({"search": "x" * 1025}),
    ],
)
def test_anything_else_is_rejected(text: str) -> None:
    """With a QueryError."""
    with pytest.raises(QueryError):
        parse_query(text)


@given(st.text() | st.binary())
def test_any_text_is_parsed_or_rejected(text: str | bytes) -> None:
    """No other exception is raised."""
    with suppress(QueryError):
        assert isinstance(parse_query(text), DashboardQuery)
