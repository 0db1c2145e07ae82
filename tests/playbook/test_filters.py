"""Filters in playbooks are checked before anything is sent, at their place."""

import pytest

from wps_run.playbook.model import read_playbook
from wps_run.playbook.steps import check_steps
from wps_run.playbook.variables import VariableScope


def places(filter_text: str, *lines: str, environment: dict[str, str] | None = None) -> list[str]:
    """The rule, line and column of each problem; the filter is on line 4."""
    text = "\n".join(
        ["actions:", "- actionName: sendToAll", "  data: x", f"  filter: {filter_text}", *lines]
    )
    playbook = read_playbook(text, "p.yaml")
    variables = {**playbook.parts[0].variables, "n": "3", "who": "O'Brien"}
    problems = check_steps(playbook, VariableScope(variables, environment)).problems
    return [f"{one.rule} {one.position}" for one in (*playbook.problems, *problems)]


@pytest.mark.parametrize(
    ("filter_text", "column"),
    [
        ("userId eq mira", 21),
        ("\"'vip' in group\"", 21),
        ("'''vip'' in group'", 23),
        ("\"'v\\u0069p' in group\"", 11),
        ("userId eq '${who}' and x", 34),
        ("userId eq '${env.NAME}' and x", 39),
        ("length(userId) eq '${who}' && true", 38),
        ("${n} and true", 11),
    ],
)
def test_a_wrong_filter_is_an_error_at_the_wrong_part(filter_text: str, column: int) -> None:
    """In plain and quoted strings, also after variables; with escapes, at the string."""
    assert places(filter_text) == [f"filter p.yaml:4:{column}"]


@pytest.mark.parametrize(
    "filter_text",
    [
        "userId eq '${who}' and length(userId) gt ${n}",
        "userId eq '${env.NAME}' and ${env.FLAG}",
        "length(userId) gt ${env.COUNT} or not ${env.FLAG}",
    ],
)
def test_a_value_that_is_not_known_is_no_error(filter_text: str) -> None:
    """Offline, each variable of the environment is a valid value."""
    assert places(filter_text) == []


def test_the_form_is_checked_once_and_bare_cells_in_each_row() -> None:
    """A cell outside quotes decides the type."""
    rows = ("  forEach: [{n: '1'}, {n: 'true'}]",)

    assert places("length(userId) gt ${each.n}", *rows) == ["filter p.yaml:5:27"]
    assert places("userId eq '${each.n}' and x", *rows) == ["filter p.yaml:4:37"]
