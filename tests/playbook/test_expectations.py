"""The key `expect`: its forms, the names in it, and what contradicts it."""

from pathlib import Path

import pytest

from wps_run.checking import validate
from wps_run.playbook.expectations import (
    ClosedCondition,
    Condition,
    ConnectionCondition,
    GroupCondition,
    MessageCondition,
    PermissionCondition,
    UserCondition,
    check_expectations,
)
from wps_run.playbook.files import Files
from wps_run.playbook.model import read_playbook
from wps_run.playbook.validator import default_validator
from wps_run.playbook.variables import VariableScope
from wps_run.problems import format_problem


def expect(*entries: str, top: str = "") -> str:
    return f"hub: chat\n{top}expect:\n" + "".join(f"  - {entry}\n" for entry in entries)


def conditions(text: str, folder: Path = Path()) -> list[Condition]:
    playbook = read_playbook(text, "p.yaml")
    assert playbook.problems == ()
    scope = VariableScope(playbook.parts[0].variables, {}, Files(folder))
    checked = check_expectations(
        playbook.document, playbook.parts[0].expectations, scope, slash_in_names=False
    )
    assert checked.problems == ()
    return [each.condition for each in checked.expectations]


def statements(text: str) -> list[str]:
    playbook = read_playbook(text, "p.yaml")
    scope = VariableScope(playbook.parts[0].variables, {})
    checked = check_expectations(
        playbook.document, playbook.parts[0].expectations, scope, slash_in_names=False
    )
    return [each.statement for each in checked.expectations]


def problems(*entries: str, top: str = "") -> list[str]:
    """What `validate` says of a playbook with these entries; the first one is on line 3."""
    playbook = read_playbook(expect(*entries, top=top), "p.yaml")
    return [format_problem(problem) for problem in validate(playbook, {})]


@pytest.mark.parametrize(
    ("entry", "condition"),
    [
        ("{group: red, has: [ada, grace]}", GroupCondition("red", ("ada", "grace"))),
        ("{group: red, hasNot: [linus]}", GroupCondition("red", has_not=("linus",))),
        ("{group: red, users: []}", GroupCondition("red", users=())),
        (
            "{group: red, users: [ada], connections: [wall]}",
            GroupCondition("red", users=("ada",), connections=("wall",)),
        ),
        ("{user: linus, connected: true}", UserCondition("linus", connected=True)),
        ("{connection: wall, connected: false}", ConnectionCondition("wall", connected=False)),
        (
            "{connection: wall, permission: sendToGroup, targetName: red}",
            PermissionCondition("wall", "sendToGroup", "red", allowed=True),
        ),
        (
            "{connection: wall, permission: joinLeaveGroup, targetName: red, allowed: false}",
            PermissionCondition("wall", "joinLeaveGroup", "red", allowed=False),
        ),
        ('{message: "Hi, all", receivedBy: [ada]}', MessageCondition("Hi, all", ("ada",))),
        ("{closed: [troll], reason: Spam}", ClosedCondition(("troll",), "Spam")),
        ("{closed: [troll]}", ClosedCondition(("troll",), None)),
    ],
)
def test_each_form_is_read(entry: str, condition: Condition) -> None:
    assert conditions(expect(entry)) == [condition]


def test_names_come_from_lists_variables_and_columns_of_files(tmp_path: Path) -> None:
    (tmp_path / "red.csv").write_text("team,userId\nred,ada\nred,grace\nred,ada\n")
    text = expect(
        "{group: '${room}-1', has: ['${lead}', 007]}",
        "{group: b, has: '${names}'}",
        "{group: c, users: {file: red.csv, column: userId}}",
        top="vars: {room: launch, lead: ada, names: [bo, cy]}\n",
    )
    assert conditions(text, tmp_path) == [
        GroupCondition("launch-1", ("ada", "007")),
        GroupCondition("b", ("bo", "cy")),
        GroupCondition("c", users=("ada", "grace")),
    ]


def test_a_statement_says_what_is_expected_and_counts_long_lists() -> None:
    many = ", ".join(f"user-{number}" for number in range(12))
    assert statements(
        expect(
            "{group: red, has: [ada, 'x, y']}",
            "{group: lobby, users: []}",
            "{group: blue, users: [ada], connections: [wall], hasNot: [bo]}",
            "{user: linus, connected: false}",
            "{connection: wall, permission: sendToGroup, targetName: red, allowed: false}",
            "{closed: [troll], reason: Spam}",
            f"{{group: many, has: [{many}]}}",
        )
    ) == [
        'group red has ada, "x, y"',
        "group lobby is empty",
        "group blue has exactly ada, connection wall and does not have bo",
        "user linus is not connected",
        "connection wall may not sendToGroup red",
        "closed with the reason Spam: troll",
        "group many has user-0, user-1, user-2, user-3, user-4, user-5, user-6, user-7 and 4 more",
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "launch",
            (
                "3:5: error: an entry of `expect` is a mapping, such as "
                "`{group: launch-red, has: [ada, grace]}`"
            ),
        ),
        (
            "{grup: a, has: [b]}",
            "3:6: error: `grup` is not a key of an expectation; did you mean `group`?",
        ),
        (
            "{group: a}",
            (
                "3:5: error: an expectation with `group` needs `has`, `hasNot`, `users` or "
                "`connections`"
            ),
        ),
        (
            "{group: 007, has: [b]}",
            '3:13: error: `group` must be a string, not a number; write "007"',
        ),
        (
            "{user: a, connected: yes}",
            "3:26: error: `connected` must be true or false",
        ),
        (
            "{connection: a, permission: sendToGroup}",
            "3:5: error: an expectation with `permission` needs `targetName`",
        ),
        (
            "{connection: a, connected: true, allowed: false}",
            "3:38: error: `allowed` is for an expectation with `permission`, not with `connection`",
        ),
        (
            "{group: a, has: [x], user: b}",
            "3:26: error: an expectation is about `group` or about `user`; write two entries",
        ),
        (
            "{user: a, connected: true, within: soon}",
            (
                "3:40: error: `within` must be a duration of 0 to 24 hours, such as `250ms`, `10s` "
                "or `2m`, or a number of seconds"
            ),
        ),
        (
            "{group: a, has: []}",
            (
                "3:21: error: `has` is empty, so that it says nothing; `users: []` says that the "
                "group is empty"
            ),
        ),
        ("{group: a, has: [x, x]}", "3:25: error: `has` has this name twice"),
        ("{group: a, has: ['']}", "3:22: error: a name in `has` is empty"),
        (
            "{group: a/b, has: [x]}",
            (
                "3:13: error: `group` has a `/`: the service reads it as `%2F`, so nobody with "
                "this name would be found (`slashInNames: allow` reads it anyway)"
            ),
        ),
        (
            "{group: a, has: ['${each}']}",
            "3:23: error: `${each}` stands for a row of `forEach`; an expectation has none",
        ),
        (
            "{group: '${nope}', has: [x]}",
            "3:14: error: `${nope}` names no variable; add it to `vars`, or give --var",
        ),
        ("{group: a, has: {file: none.csv}}", "3:28: error: there is no file `none.csv`"),
    ],
)
def test_a_wrong_entry_has_a_message_at_its_place(entry: str, problem: str) -> None:
    assert problems(entry) == [f"p.yaml:{problem}"]


def test_a_bad_row_is_reported_with_the_list_that_uses_it(tmp_path: Path) -> None:
    (tmp_path / "red.csv").write_text('userId\nada\n"\x07"\n')
    file = tmp_path / "p.yaml"
    file.write_text(expect("{group: a, has: {file: red.csv}}"))
    playbook = read_playbook(file.read_text(), str(file))
    (problem,) = validate(playbook, {})
    assert format_problem(problem) == (
        f"{tmp_path / 'red.csv'}:3: error: a name in `has` has a control character (U+0007); "
        f"used in {file}:3:21"
    )


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        (
            "{user: linus, connected: true}",
            "{user: linus, connected: false}",
            "4:30: error: this contradicts the entry on line 3: user linus is connected",
        ),
        (
            "{connection: w, permission: sendToGroup, targetName: x}",
            "{connection: w, permission: sendToGroup, targetName: x, allowed: false}",
            "4:33: error: this contradicts the entry on line 3: connection w may sendToGroup x",
        ),
        (
            "{connection: w, permission: sendToGroup, targetName: x}",
            "{connection: w, connected: false}",
            "4:32: error: this contradicts the entry on line 3: connection w is connected",
        ),
        (
            "{group: a, users: []}",
            "{group: a, has: [ada]}",
            "4:22: error: this contradicts the entry on line 3: group a is empty",
        ),
        (
            "{group: a, has: [ada]}",
            "{group: a, users: []}",
            "4:23: error: this contradicts the entry on line 3: ada is in group a",
        ),
        (
            "{group: a, users: [ada]}",
            "{group: a, users: [ada, bo]}",
            "4:29: error: this contradicts the entry on line 3: group a has exactly ada",
        ),
        (
            "{group: a, hasNot: [ada]}",
            "{group: a, has: [bo, ada]}",
            "4:26: error: this contradicts the entry on line 3: ada is not in group a",
        ),
        (
            "{user: ada, connected: false}",
            "{group: a, has: [ada]}",
            "4:22: error: this contradicts the entry on line 3: user ada is not connected",
        ),
        (
            "{group: a, has: [ada]}",
            "{user: ada, connected: false}",
            "4:28: error: this contradicts the entry on line 3: user ada is connected",
        ),
        (
            "{group: a, has: [ada]}",
            "{group: a, has: [ada]}",
            "4:5: error: the entry on line 3 states the same; leave one of them out",
        ),
    ],
)
def test_an_entry_that_contradicts_or_repeats_another_is_an_error_with_both_places(
    first: str, second: str, problem: str
) -> None:
    assert problems(first, second) == [f"p.yaml:{problem}"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "{group: a, users: [ada], has: [grace]}",
            "3:36: error: this contradicts itself: group a has exactly ada",
        ),
        (
            "{group: a, has: [x], hasNot: [x]}",
            "3:35: error: this contradicts itself: x is in group a",
        ),
    ],
)
def test_an_entry_that_contradicts_itself_is_an_error(entry: str, problem: str) -> None:
    assert problems(entry) == [f"p.yaml:{problem}"]


def test_entries_that_may_hold_together_are_no_contradiction() -> None:
    assert not problems(
        "{group: a, has: [ada]}",
        "{group: a, has: [grace], hasNot: [bo]}",
        "{group: a, users: [ada, grace], connections: [wall]}",
        "{group: b, users: [ada]}",
        "{group: b, connections: [of-ada]}",
        "{user: wall, connected: false}",
        "{connection: wall, connected: true}",
        "{group: c, has: [wall]}",
        "{connection: gone, connected: false}",
        "{connection: gone, permission: sendToGroup, targetName: a, allowed: false}",
    )


def test_values_that_are_known_only_at_run_time_are_not_compared() -> None:
    assert not problems("{group: '${env.ROOM}', has: [ada]}", "{group: '${env.ROOM}', users: [bo]}")


def test_an_expectation_uses_variables_and_needs_no_actions() -> None:
    assert not problems("{group: '${room}', has: [ada]}", top="vars: {room: red}\n")


def test_the_number_of_entries_is_limited() -> None:
    data = {"expect": [{"user": str(number), "connected": True} for number in range(10_001)]}
    (finding,) = default_validator().validate_document(data)
    assert finding.message == "`expect` has more than 10,000 entries; use lists in them"
