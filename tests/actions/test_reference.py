"""The docs table, the listing and the examples come out of the action table."""

from dataclasses import replace

import pytest

from wps_run.actions.reference import render_action, render_example, render_list, render_markdown
from wps_run.actions.table import ACTIONS


def test_a_row_added_to_the_table_shows_up_in_page_and_listing() -> None:
    """Adding an action is one row."""
    row = replace(ACTIONS["sendToAll"], name="sendToMoon", summary="Send a message to the moon.")
    table = {**ACTIONS, row.name: row}

    assert "| `sendToMoon` | Send a message to the moon. |" in render_markdown(table)
    assert "## sendToMoon" in render_markdown(table)
    assert "Send a message to the moon." in render_list(table)
    assert render_example(row) == "- actionName: sendToMoon\n  data: Welcome\n"


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_is_described_with_every_property_and_an_example(name: str) -> None:
    """What a person needs to write it stands on one screen."""
    text = render_action(ACTIONS[name])

    assert all(one.name in text and one.summary in text for one in ACTIONS[name].fields)
    assert render_example(ACTIONS[name]) in text
    assert len(text.splitlines()) < 40
