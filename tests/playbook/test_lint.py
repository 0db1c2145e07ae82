"""Warnings: each rule where it is meant, and silence where the author may have had a reason."""

from pathlib import Path

import pytest

from wps_run.playbook.lint import find_unused_assignments, find_warnings, used_variables
from wps_run.playbook.model import read_playbook
from wps_run.problems import Severity

JOIN = "{actionName: addUserToGroup, userId: ada, group: red}"
LEAVE = "{actionName: removeUserFromGroup, userId: ada, group: red}"
OTHER = "{actionName: addUserToGroup, userId: bob, group: blue}"
HELLO = "{actionName: sendToGroup, group: red, data: Hello}"
BYE = "{actionName: sendToGroup, group: red, data: Bye}"
GRANT = "{actionName: grantPermission, connectionId: c, permission: sendToGroup, targetName: red}"
ALL = "{actionName: sendToAll, data: Hello}"
CLOSE = "{actionName: closeAllConnections}"
ROWS = "{actionName: removeUserFromGroup, userId: '${each}', group: red, forEach: [ada]}"


def told(*actions: str, head: str = "") -> list[tuple[str, int]]:
    """Rule and line of each warning; the first action is on line 2 below the head."""
    text = f"{head}actions:\n" + "".join(f"  - {action}\n" for action in actions)
    playbook = read_playbook(text, "p.yaml")
    assert playbook.problems == ()
    found = list(find_warnings(playbook))
    assert all(one.severity is Severity.WARNING for one in found)
    return [(one.rule, one.position.line) for one in found if one.position]


@pytest.mark.parametrize(
    "actions",
    [
        (JOIN, JOIN),
        (JOIN, OTHER, JOIN),
        (HELLO, OTHER, HELLO),
        (ALL, ALL),
        (JOIN, "{name: Again, timeout: 5s, group: red, userId: ada, actionName: addUserToGroup}"),
    ],
)
def test_the_same_action_twice_is_told_at_the_last_one(actions: tuple[str, ...]) -> None:
    """A label, an option or the order of the keys makes no difference."""
    assert told(*actions) == [("repeated-action", len(actions) + 1)]


@pytest.mark.parametrize(
    "actions",
    [
        (JOIN, LEAVE, JOIN),
        (JOIN, "{actionName: removeUserFromAllGroups, userId: ada}", JOIN),
        (JOIN, "{actionName: closeClientConnection, connectionId: c}", JOIN),
        (HELLO, BYE, HELLO),
        (ALL, OTHER, ALL),
        (JOIN, ROWS, JOIN),
        (ROWS, ROWS),
        (JOIN, OTHER),
        ("{actionName: sendToGroup, group: red, dataFile: a}",
         "{actionName: sendToGroup, group: red, dataFile: b}"),
    ],
)  # fmt: skip
def test_what_may_have_been_undone_in_between_is_no_repetition(actions: tuple[str, ...]) -> None:
    """Joining again after leaving, saying the same after something else, rows."""
    assert told(*actions) == []


def test_a_target_that_variables_fill_in_may_be_any() -> None:
    """So what is before it is not compared with what comes after; the two beside it are."""
    some = "{actionName: removeUserFromGroup, userId: '${who}', group: red}"
    head = "vars: {who: ada}\n"

    assert told(JOIN, some, JOIN, head=head) == []
    assert told(some, some, head=head) == [("repeated-action", 4)]


@pytest.mark.parametrize(
    "after",
    [ALL, HELLO, JOIN, GRANT],
)
def test_nobody_hears_what_comes_after_everybody_was_closed(after: str) -> None:
    """Sends, joins and grants."""
    assert told(CLOSE, after) == [("send-after-close", 3)]
    assert told(after, CLOSE) == []


@pytest.mark.parametrize(
    "actions",
    [
        ("{actionName: closeAllConnections, excluded: [c]}", ALL),
        (CLOSE, LEAVE),
        (CLOSE, "{actionName: addUserToGroup, userId: a, group: g, onMissing: {wait: 60s}}"),
        (
            CLOSE,
            "{actionName: addUserToGroup, userId: a, group: g, onMissing: {wait: 60s}}",
            "{actionName: sendToGroup, group: g, data: x}",
        ),
        ("{actionName: closeAllConnections, forEach: []}", "{actionName: sendToAll, data: x}"),
    ],
)
def test_somebody_may_be_left_or_come_back(actions: tuple[str, ...]) -> None:
    """Connections that are left out, a wait, and what needs nobody."""
    assert told(*actions) == []


def test_an_empty_message_is_told_but_not_an_empty_file() -> None:
    """A file is read only at run time."""
    assert told('{actionName: sendToAll, data: ""}') == [("empty-data", 2)]
    assert told("{actionName: sendToAll, dataFile: a}") == []


@pytest.mark.parametrize(("number", "warned"), [(200, False), (201, True)])
def test_many_excluded_make_a_long_url(number: int, *, warned: bool) -> None:
    """At some 40 characters each."""
    ids = ", ".join(f"c{n}" for n in range(number))
    rules = [("many-excluded", 2)] if warned else []

    assert told(f"{{actionName: sendToAll, data: x, excluded: [{ids}]}}") == rules


def test_a_variable_that_no_action_uses_is_told_at_its_key() -> None:
    """Rows, files and labels use variables too; `$${` does not."""
    head = "vars: {a: 1, b: 2, c: 3, d: 4}\nname: ${d}\n"
    rows = "{actionName: addUserToGroup, userId: '${each}', group: g, forEach: {file: '${c}.csv'}}"

    assert told("{actionName: sendToAll, data: '$${a} ${b}'}", rows, head=head) == [
        ("unused-variable", 1),
        ("unused-variable", 1),
    ]


def test_a_variable_that_only_a_wrong_action_uses_is_used() -> None:
    """One problem is enough."""
    text = "vars: {a: 1}\nactions: [{actionName: sendToAl, data: '${a}'}]"

    assert list(find_warnings(read_playbook(text, "p"))) == []


def test_a_bare_batch_uses_no_variables() -> None:
    """Its `${` is the user's own."""
    assert used_variables(read_playbook("[{actionName: sendToAll, data: '${a}'}]", "p")) == set()


def test_a_variable_given_from_outside_is_to_be_used_by_some_playbook() -> None:
    """It has no place, but a word that is near."""
    (found,) = find_unused_assignments(["room", "rom", "rom"], {"room"})

    assert (found.rule, found.position, found.severity) == (
        "unused-variable", None, Severity.WARNING,
    )  # fmt: skip
    assert "did you mean `room`?" in found.message


def test_no_example_gets_a_warning(project: Path) -> None:
    """What people copy from is beyond doubt."""
    for file in (project / "playbooks").glob("*.yaml"):
        assert list(find_warnings(read_playbook(file.read_text("utf-8"), file.name))) == []
