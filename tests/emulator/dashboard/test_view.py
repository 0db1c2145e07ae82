"""What a page may ask to see."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.dashboard.view import DashboardView, Listing, Traffic, ViewError, read_view


def test_a_view_is_read_from_json() -> None:
    """What is left out is as at the start."""
    assert read_view("{}") == DashboardView()
    asked = {"hub": "chat", "listing": "users", "search": "a", "page": 2, "traffic": "trouble"}
    assert read_view(json.dumps(asked)) == DashboardView(
        "chat", Listing.USERS, "a", page=2, traffic=Traffic.TROUBLE
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
def test_anything_else_is_refused(text: str) -> None:
    """With an error, so that the page is closed."""
    with pytest.raises(ViewError):
        read_view(text)


@given(st.text() | st.binary())
def test_nothing_is_too_much(text: str | bytes) -> None:
    """Any text is a view or is refused."""
    with suppress(ViewError):
        assert isinstance(read_view(text), DashboardView)
