"""Warnings: each rule where it is meant, and silence where the author may have had a reason."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.table import ACTIONS
from wps_run.checking import validate
from wps_run.playbook.files import Files
from wps_run.playbook.lint import find_unused_assignments, find_warnings, used_variables
from wps_run.playbook.live import LiveConnection, LiveGroups
from wps_run.playbook.model import read_playbook
from wps_run.playbook.steps import check_steps
from wps_run.playbook.variables import VariableScope
from wps_run.problems import Problem, Severity

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
    assert ("repeated-action", len(actions) + 1) not in told(*actions)


def test_a_target_that_variables_fill_in_may_be_any() -> None:
    """So what is before it is not compared with what comes after; the two beside it are."""
    some = "{actionName: removeUserFromGroup, userId: '${who}', group: red}"
    head = "vars: {who: ada}\n"

    assert told(JOIN, some, JOIN, head=head) == []
    assert told(some, some, head=head) == [("repeated-action", 4)]


@pytest.mark.parametrize(
    "after",
    [ALL, HELLO, JOIN, GRANT, '{actionName: addConnectionsToGroups, filter: "true", groups: [g]}'],
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


def test_examples_and_the_playbooks_of_the_readme_get_no_warning(project: Path) -> None:
    files = [*(project / "playbooks").glob("*.yaml")]
    texts = {file: file.read_text("utf-8") for file in files}
    blocks = (project / "README.md").read_text("utf-8").split("```yaml\n")[1:]
    texts |= {
        project / "playbooks" / f"readme-{number}.yaml": block.partition("```")[0]
        for number, block in enumerate(blocks)
    }
    playbooks = [read_playbook(text, str(file)) for file, text in texts.items()]
    playbooks = [playbook for playbook in playbooks if playbook.actions]

    assert len(playbooks) > 3
    for playbook in playbooks:
        assert validate(playbook, {}, environment=()) == ()


def warnings_of(
    actions: str, folder: Path = Path(), *, environment: set[str] | None = None, **variables: str
) -> list[Problem]:
    """The warnings of `validate` about a playbook, or about a bare batch in JSON."""
    head = "" if actions.startswith("[") else "actions:\n"
    playbook = read_playbook(head + actions, str(folder / "p.yaml"))
    found = validate(playbook, variables, environment=environment)
    assert all(problem.severity is Severity.WARNING for problem in found), found
    return list(found)


def send(data: str, **more: Any) -> str:
    """A message, as an item of a list in YAML."""
    action = {"actionName": "sendToGroup", "group": "g", "data": data, **more}
    return f"  - {json.dumps(action, ensure_ascii=False)}\n"


@pytest.mark.parametrize(
    ("text", "placeholder", "remedy"),
    [
        ("Hello {{ room }}", "{{ room }}", "${room}"),
        ("Hello {{user.name | upper}}", "{{user.name | upper}}", "${user.name}"),
        ("{{{room}}}", "{{{room}}}", "${room}"),
        ("{{#if x}}", "{{#if x}}", "${name}"),
        ("at $room.", "$room", "${room}"),
        ("at $(room)", "$(room)", "${room}"),
        ("$HOME/x", "$HOME", "${env.HOME}"),
        ("$env:HOME", "$env:HOME", "${env.HOME}"),
        ("$ROOM", "$ROOM", "${room}"),
        ("%USER_NAME%", "%USER_NAME%", "${env.USER_NAME}"),
        ("a-%Room%", "%Room%", "${room}"),
        ('{"to": "$room"}', "$room", "${room}"),
    ],
)
def test_placeholders_of_other_tools_are_warned_about(
    text: str, placeholder: str, remedy: str
) -> None:
    (found,) = warnings_of(send(f"${{room}} {text}"), room="red")

    assert found.rule == "placeholder"
    assert found.message.startswith(f"`{placeholder}` is not replaced here")
    assert found.message.endswith(f"write `{remedy}`")
    if '"' not in text:
        column = (found.position or Problem("", "")).column  # type: ignore[union-attr]
        assert found.line[column - 1 :].startswith(placeholder)
        assert found.width == len(placeholder)


@pytest.mark.parametrize(
    "text",
    [
        "for $5, or $5.50, or US$ 5", "$$room", "a$room", "\\$room", "$$HOME", "$5HOME",
        "100%", "5%, 6%", "%20group%20", "caf%C3%A9t%C3%A9", "%E2%82%ACeuro%20x", "%d of %s",
        "%Y-%m-%d", "50%off%", "{ x }", "{x}", "{{}}", "{{ }}", "{{1}}", "$name", "$userId",
        '{"$schema": "x", "$ref": "#/a", "$type": 1}', '{"$room": 1}', "?$room=1&$room=2",
        "$.each(x)", "$X", "jQuery $(document)",
    ],
)  # fmt: skip
def test_prices_json_and_urls_have_no_placeholders(text: str) -> None:
    assert warnings_of(send(f"{text} ${{room}}"), room="red") == []


def test_the_name_of_a_column_after_a_dollar_is_a_placeholder(tmp_path: Path) -> None:
    """Those of a file are known when it is read."""
    (tmp_path / "rows.csv").write_text("userId,team\nada,red\n")
    in_file = send("${each.userId} $team $other", forEach={"file": "rows.csv"})
    inline = send("${each.userId} $team $other", forEach=[{"userId": "ada", "team": "red"}])
    single = send("${each} $each", forEach=["ada"])

    messages = [problem.message for problem in warnings_of(in_file + inline + single, tmp_path)]

    assert [message.partition(" is")[0] for message in messages] == ["`$team`"] * 2 + ["`$each`"]
    assert [message.rpartition(" ")[2] for message in messages] == [
        "`${each.team}`",
        "`${each.team}`",
        "`${each}`",
    ]


def test_a_bare_batch_may_send_what_it_likes_but_not_name_placeholders() -> None:
    """Nothing is replaced in it; the template of its author was not."""
    sends = '{"actionName": "sendToAll", "data": "{{ x }} ${x} $HOME"}'
    names = '{"actionName": "sendToUser", "userId": "room-${user}", "data": "x"}'

    (found,) = warnings_of(f"[{sends}, {names}]")

    assert found.message == (
        "`${user}` is not replaced here, it stays as it is; write the value itself"
    )


def test_names_and_variables_are_checked_for_placeholders_but_hub_and_connection_resolve() -> None:
    head = "name: Run {{ x }}\nhub: '%Hub%'\nconnection: '%Name%'\nvars: {a: '{{ b }}'}\n"
    playbook = read_playbook(f"{head}actions:\n{send('${a}')}", "p.yaml")

    assert [
        (problem.rule, problem.position.line)
        for problem in validate(playbook, {})
        if problem.position
    ] == [("placeholder", 1), ("placeholder", 4)]


def test_groups_and_expectations_are_checked_for_placeholders_and_rows(tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("userId\n")
    text = (
        "groups:\n  '{{ room }}': {users: [$USER, ada]}\n  red: {users: {file: none.csv}}\n"
        "expect:\n  - {group: blue-%TEAM%, users: [ada]}\n"
    )
    playbook = read_playbook(text, str(tmp_path / "p.yaml"))

    found = [(one.rule, one.position.line) for one in validate(playbook, {}) if one.position]

    assert found == [("placeholder", 2), ("placeholder", 2), ("no-rows", 3), ("placeholder", 5)]


@pytest.mark.parametrize("text", ["actions: []", "[]", "hub: chat\nactions: []"])
def test_no_actions_are_warned_about(text: str) -> None:
    (found,) = validate(read_playbook(text, "p.yaml"), {})

    assert (found.rule, found.severity) == ("no-actions", Severity.WARNING)


def test_a_file_of_another_kind_has_only_its_own_problem() -> None:
    (found,) = validate(read_playbook("kind: Pod\napiVersion: v1", "p.yaml"), {})

    assert found.rule == "foreign-file"


@pytest.mark.parametrize(
    ("for_each", "what"),
    [
        ([], "`forEach`"),
        ("${teams}", "`${teams}`"),
        ({"file": "header.csv"}, "`header.csv`"),
        ({"file": "empty.ndjson"}, "`empty.ndjson`"),
        ({"file": "empty.json"}, "`empty.json`"),
        ({"matrix": {"a": ["x"], "b": []}}, "the matrix"),
        ({"matrix": {"a": ["x"], "b": {"file": "header.csv", "column": "a"}}}, "the matrix"),
    ],
)
def test_an_action_without_rows_is_warned_about(
    tmp_path: Path, for_each: object, what: str
) -> None:
    (tmp_path / "header.csv").write_text("a,b\n")
    (tmp_path / "empty.ndjson").write_text("")
    (tmp_path / "empty.json").write_text("[]")
    text = f"vars: {{teams: []}}\nactions:\n{send('x', forEach=for_each)}"
    playbook = read_playbook(text, str(tmp_path / "p.yaml"))

    (found,) = [one for one in validate(playbook, {}) if one.rule != "unused-variable"]

    assert (found.rule, found.severity) == ("no-rows", Severity.WARNING)
    assert found.message.startswith(f"{what} has no rows")


def test_rows_that_only_a_run_knows_are_not_missing() -> None:
    text = f"vars: {{teams: {{type: list}}}}\nactions:\n{send('x', forEach='${teams}')}"

    assert validate(read_playbook(text, "p.yaml"), {}) == ()


def test_cells_with_blanks_are_counted_by_column_at_the_first_one(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "user,team,text\nada,red, x \n bob,red ,x\n\u00a0eve,red,x\n"
    )
    join = {"actionName": "addUserToGroup", "userId": "${each.user}", "group": "g-${each.team}"}
    actions = "".join(
        f"  - {json.dumps({**join, 'forEach': {'file': 'rows.csv'}, **more})}\n"
        for more in ({}, {"name": "Again", "group": "x-${each.team}"})
    )
    rows = send("${each.text}", forEach={"file": "rows.csv"})

    found = warnings_of(actions + rows, tmp_path)

    assert [(str(one.position), one.full_message) for one in found] == [
        (
            f"{tmp_path / 'rows.csv'}:3",
            (
                "2 rows from here on have blanks around this cell, which are part of the name; "
                f"remove them (column user); used in {tmp_path / 'p.yaml'}:2:48"
            ),
        ),
        (
            f"{tmp_path / 'rows.csv'}:3",
            (
                "this cell has blanks around it, which are part of the name; remove them "
                f"(column team); used in {tmp_path / 'p.yaml'}:2:73"
            ),
        ),
    ]


def test_blanks_in_a_file_of_a_matrix_are_found_in_that_file(tmp_path: Path) -> None:
    (tmp_path / "rooms.csv").write_text("room\nred\nblue \n")
    matrix = {"user": ["ada"], "room": {"file": "rooms.csv"}}
    join = {"actionName": "addUserToGroup", "userId": "${each.user}", "group": "${each.room}"}

    (found,) = warnings_of(f"  - {json.dumps({**join, 'forEach': {'matrix': matrix}})}\n", tmp_path)

    assert str(found.position) == f"{tmp_path / 'rooms.csv'}:3"


def test_blanks_around_a_written_name_are_warned_about() -> None:
    (found,) = warnings_of('  - {actionName: sendToUser, userId: "ada ", data: " x "}\n')

    assert found.message == "`userId` has blanks around it, which are part of the name; remove them"


def test_many_rows_with_blanks_need_constant_memory(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("user\n" + " ada\n" * 20_000)
    text = f"actions:\n{send('x', forEach={'file': 'rows.csv'}, group='${each.user}')}"
    playbook = read_playbook(text, "p.yaml")
    tracemalloc.start()

    check = check_steps(playbook, VariableScope(inputs=Files(tmp_path)))

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "20,000 rows" in check.warnings[0].message
    assert len(check.warnings) == 1
    assert peak < 2_000_000


LONG = " or ".join(f"userId eq 'user-{n}'" for n in range(300))


@pytest.mark.parametrize(
    "actions",
    [
        send("x", filter=LONG),
        send("${a}", filter=LONG),
        send("x", filter="userId eq '${a}'"),
        send("x", filter=f"userId eq '${{env.X}}' or {LONG}"),
        send("x", filter="userId eq '${each}'", forEach=["bob", "x" * 8200]),
    ],
)
def test_a_filter_that_makes_the_url_too_long_is_warned_about(actions: str) -> None:
    """With its variables where they are known."""
    (found,) = warnings_of(actions, a="u" * 8200)

    assert found.rule == "long-filter"


@pytest.mark.parametrize(
    "actions",
    [
        send("${a}", filter=" or ".join(f"userId eq 'user-{n}'" for n in range(200))),
        "  - " + json.dumps({"actionName": "addConnectionsToGroups", "groups": ["${a}"],
                             "filter": LONG}) + "\n",
    ],
)  # fmt: skip
def test_a_shorter_filter_or_one_in_the_body_is_not(actions: str) -> None:
    assert warnings_of(actions, a="u") == []


def test_environment_variables_that_are_not_set_are_warned_about_once() -> None:
    actions = send("${env.ROOM} ${env.TEAM}") + send("${env.TEAM}")

    (found,) = warnings_of(actions, environment={"ROOM"})

    assert found.rule == "unset-environment"
    assert "`TEAM` is not set here" in found.message
    assert (str(found.position), found.width) == ("p.yaml:2:70", len("${env.TEAM}"))
    assert warnings_of(actions) == []


FILTERED = "{actionName: %s, filter: \"userId eq 'ada'\", groups: [red]}"
MEMBERS = "forEach: {file: members.csv}, userId: '${each.userId}'"
MANY = f"{{actionName: addUserToGroup, {MEMBERS}, group: '${{each.team}}'}}"
REVOKE = GRANT.replace("grant", "revoke")


@pytest.mark.parametrize(
    ("actions", "first"),
    [
        ((JOIN, LEAVE), 2),
        ((JOIN, OTHER, LEAVE), 2),
        ((JOIN, "{actionName: removeUserFromAllGroups, userId: ada}"), 2),
        ((GRANT, REVOKE), 2),
        ((GRANT, OTHER, REVOKE), 2),
        ((MANY, MANY.replace("add", "remove").replace("To", "From")), 2),
        ((MANY, f"{{actionName: removeUserFromAllGroups, {MEMBERS}}}"), 2),
        ((FILTERED % "addConnectionsToGroups", FILTERED % "removeConnectionsFromGroups"), 2),
    ],
)
def test_an_action_that_undoes_an_earlier_one_names_it(
    actions: tuple[str, ...], first: int
) -> None:
    text = "actions:\n" + "".join(f"  - {action}\n" for action in actions)

    (found,) = find_warnings(read_playbook(text, "p.yaml"))

    assert found.rule == "undone-action"
    assert f"at p.yaml:{first}, and nothing in between" in found.message
    assert found.position
    assert found.position.line == len(actions) + 1


@pytest.mark.parametrize(
    "actions",
    [
        (LEAVE, JOIN),
        ("{actionName: removeUserFromAllGroups, userId: ada}", JOIN),
        (REVOKE, GRANT),
        (JOIN, HELLO, LEAVE),
        (JOIN, "{actionName: sendToAll, data: x, filter: \"'red' in groups\"}", LEAVE),
        (JOIN, "{actionName: closeGroupConnections, group: red}", LEAVE),
        (JOIN, "{actionName: sendToGroup, forEach: [red], group: '${each}', data: x}", LEAVE),
        (JOIN, LEAVE.replace("red", "blue")),
        (JOIN, LEAVE.replace("ada", "bob")),
        (MANY, MANY.replace("add", "remove").replace("To", "From").replace("members", "leavers")),
        (MANY, HELLO, f"{{actionName: removeUserFromAllGroups, {MEMBERS}}}"),
        (GRANT, REVOKE.replace("red", "blue")),
    ],
)
def test_what_is_used_in_between_or_starts_afresh_is_not_undone(actions: tuple[str, ...]) -> None:
    assert [rule for rule, _ in told(*actions) if rule == "undone-action"] == []


CLOSE_ONE = "{actionName: closeClientConnection, connectionId: c}"
CLOSE_USER = "{actionName: closeUserConnections, userId: ada}"
CLOSE_GROUP = "{actionName: closeGroupConnections, group: red}"
TO_ROWS = "forEach: [c, d], connectionId: '${each}'"


@pytest.mark.parametrize(
    "actions",
    [
        (CLOSE_ONE, GRANT),
        (CLOSE_ONE, "{actionName: sendToConnection, connectionId: c, data: x}"),
        (CLOSE_ONE, OTHER, "{actionName: addConnectionToGroup, connectionId: c, group: g}"),
        (CLOSE_USER, JOIN),
        (CLOSE_USER, "{actionName: sendToUser, userId: ada, data: x}"),
        (CLOSE_GROUP, HELLO),
        (f"{{actionName: closeClientConnection, {TO_ROWS}}}",
         f"{{actionName: sendToConnection, {TO_ROWS}, data: x}}"),
    ],
)  # fmt: skip
def test_what_comes_after_its_target_was_closed_names_the_close(actions: tuple[str, ...]) -> None:
    text = "actions:\n" + "".join(f"  - {action}\n" for action in actions)

    (found,) = find_warnings(read_playbook(text, "p.yaml"))

    assert found.rule == "send-after-close"
    assert "at p.yaml:2, when" in found.message
    assert found.position
    assert found.position.line == len(actions) + 1


@pytest.mark.parametrize(
    "actions",
    [
        (HELLO, CLOSE_GROUP),
        (CLOSE_GROUP, JOIN, HELLO),
        (CLOSE_GROUP, "{actionName: addUserToGroup, userId: a, group: '${each}', forEach: [red]}",
         HELLO),
        (CLOSE_GROUP, FILTERED % "addConnectionsToGroups", HELLO),
        (CLOSE_GROUP.replace("group:", "excluded: [c], group:"), HELLO),
        (CLOSE_ONE, GRANT.replace(": c,", ": d,")),
        (CLOSE_ONE, JOIN),
        (CLOSE_USER, JOIN.replace("}", ", onMissing: {wait: 60s}}"), HELLO),
        (f"{{actionName: closeClientConnection, {TO_ROWS}}}",
         "{actionName: sendToConnection, connectionId: c, data: x}"),
    ],
)  # fmt: skip
def test_targets_that_may_be_open_get_no_warning(actions: tuple[str, ...]) -> None:
    assert told(*actions) == []


PLAIN = st.text(
    st.characters(
        exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="{}$%\u2028\u2029\ufeff"
    )
)


@given(text=PLAIN)
def test_plain_texts_have_no_placeholders(text: str) -> None:
    assert warnings_of(f"[{json.dumps({'actionName': 'sendToAll', 'data': 'x' + text})}]") == []
    assert warnings_of(send(f"x{text}")) == []


PARTS = st.lists(
    st.sampled_from(["{{", "}}", "{", "$", "$$", "${", "}", "%", "a", "C3", "ROOM", " ", "(", ")",
                     "each", ".", ":", "env", '"', "'", "\n", "\u00a0", "\U0001f600"]),
    min_size=1, max_size=12,
).map("".join)  # fmt: skip


@given(
    rows=st.none() | st.lists(PARTS, max_size=2) | st.just("${a}") | st.just({"matrix": {"x": []}}),
    names=st.lists(st.sampled_from(sorted(ACTIONS)), max_size=5),
    text=PARTS,
    is_bare=st.booleans(),
)
def test_warnings_of_any_playbook_have_a_place_in_it(
    rows: object, names: list[str], text: str, *, is_bare: bool
) -> None:
    """Nothing fails, and no warning is an error."""
    actions = []
    for name in names:
        fields = {one.name: one.example for one in ACTIONS[name].fields if one.required}
        values = {key: text if isinstance(value, str) else value for key, value in fields.items()}
        action = {"actionName": name, "name": text, **values}
        actions.append(action if rows is None else {**action, "forEach": rows})
    data = actions if is_bare else {"name": text, "vars": {"a": text}, "actions": actions}
    playbook = read_playbook(json.dumps(data), "p.json")

    for problem in validate(playbook, {"ROOM": "x"}, environment=()):
        assert problem.position
        assert problem.width > 0
    for problem in find_warnings(playbook, environment=()):
        assert problem.severity is Severity.WARNING


@pytest.mark.parametrize(
    "remove",
    [
        "{actionName: removeUserFromGroup, userId: '${each}', group: red, forEach: [ada]}",
        "{actionName: removeUserFromAllGroups, userId: '${each}', forEach: [ada]}",
    ],
)
def test_removing_again_whom_groups_adds_is_an_error_and_no_warning(remove: str) -> None:
    text = f"groups: {{red: {{users: [ada]}}}}\nactions:\n  - {remove}\n"

    assert [one.rule for one in validate(read_playbook(text, "p.yaml"), {})] == [
        "group-contradiction"
    ]


@pytest.mark.parametrize(
    ("actions", "rules"),
    [
        (["{actionName: closeGroupConnections, group: red}"], []),
        (["{actionName: closeGroupConnections, group: red}", HELLO], ["send-after-close"]),
    ],
)
def test_a_group_may_be_closed_whose_members_are_listed(
    actions: list[str], rules: list[str]
) -> None:
    """For example to close the connections of those who were in it before."""
    lines = "".join(f"  - {action}\n" for action in actions)
    text = f"groups: {{red: {{users: [ada]}}}}\nactions:\n{lines}"

    assert [one.rule for one in validate(read_playbook(text, "p.yaml"), {})] == rules


def test_names_and_lists_of_groups_use_variables() -> None:
    text = (
        "vars: {room: red, ada: ada}\n"
        "groups:\n  '${room}-${env.TEAM}': {users: ['${ada}', '${env.USER}']}\nactions: []\n"
    )

    found = validate(read_playbook(text, "p.yaml"), {}, environment=())

    assert [(one.rule, str(one.position), one.width) for one in found] == [
        ("unset-environment", "p.yaml:3:12", len("${env.TEAM}")),
        ("unset-environment", "p.yaml:3:46", len("${env.USER}")),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "groups: {red: {users: [], prune: true, allowEmpty: true}}\n",
        f"actions:\n{send('x', forEach={'group': 'red'})}",
        f"actions:\n{send('x', forEach={'matrix': {'a': {'group': 'red', 'column': 'userId'}}})}",
    ],
)
@pytest.mark.parametrize("live", [None, {"red": ()}])
def test_live_groups_and_those_that_are_pruned_may_be_empty(
    text: str, live: LiveGroups | None
) -> None:
    playbook = read_playbook(text, "p.yaml")

    check = check_steps(playbook, VariableScope(inputs=Files(Path()), live=live))

    assert (check.problems, check.warnings) == ((), ())


def test_the_names_of_those_who_are_connected_are_as_they_are() -> None:
    live = {"red": (LiveConnection("c", " ada"),)}
    text = f"actions:\n{send('x', forEach={'group': 'red'}, group='${each.userId}')}"
    playbook = read_playbook(text, "p.yaml")

    check = check_steps(playbook, VariableScope(inputs=Files(Path()), live=live))

    assert (check.problems, check.warnings) == ((), ())


def test_blanks_around_the_name_of_a_group_are_warned_about_once() -> None:
    text = "groups:\n  'red ': {users: [' ada'], connections: [c], prune: true}\nactions: []\n"

    found = validate(read_playbook(text, "p.yaml"), {})

    assert [(one.rule, str(one.position)) for one in found] == [
        ("blanks", "p.yaml:2:3"),
        ("blanks", "p.yaml:2:20"),
    ]
