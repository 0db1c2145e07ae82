"""The key `groups`: the actions that an entry is expanded to, and what contradicts it."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wps_run.playbook.files import Files
from wps_run.playbook.live import LiveConnection, LiveGroups
from wps_run.playbook.model import Playbook, read_playbook
from wps_run.playbook.options import RunOptions
from wps_run.playbook.rows import DEFAULT_FORMAT, Cells, RowFormat, Rows
from wps_run.playbook.shards import Shard
from wps_run.playbook.steps import (
    Step,
    StepBlock,
    StepMaker,
    check_steps,
)
from wps_run.playbook.variables import VariableScope
from wps_run.problems import PlaybookError, format_problem


def read(text: str) -> Playbook:
    playbook = read_playbook(text, "p.yaml")
    assert playbook.problems == ()
    return playbook


def scope_of(
    playbook: Playbook, live: LiveGroups | None = None, folder: Path = Path()
) -> VariableScope:
    return VariableScope(playbook.parts[0].variables, {}, Files(folder), live=live)


def steps_of(text: str, live: LiveGroups | None = None, folder: Path = Path()) -> list[Step]:
    playbook = read(text)
    scope = scope_of(playbook, live, folder)
    checked = check_steps(playbook, scope)
    steps = list(StepMaker(playbook, scope, RunOptions(), "chat").steps())
    assert checked.problems == ()
    assert checked.steps == len(steps)
    return steps


def texts_of(text: str, live: LiveGroups | None = None, folder: Path = Path()) -> list[str]:
    """Return `action target` of each step."""
    return [
        " ".join([step.action.name, *map(str, step.target.values())])
        for step in steps_of(text, live, folder)
    ]


def problems_of(text: str, live: LiveGroups | None = None) -> list[str]:
    playbook = read(text)
    problems = check_steps(playbook, scope_of(playbook, live)).problems
    return [format_problem(problem) for problem in problems]


def live(**groups: Mapping[str, str | None]) -> LiveGroups:
    """Make live groups from connection ID to user."""
    return {
        group: tuple(LiveConnection(connection, user) for connection, user in members.items())
        for group, members in groups.items()
    }


def test_an_entry_is_expanded_to_joins_in_front_of_the_actions(tmp_path: Path) -> None:
    (tmp_path / "red.csv").write_text("name;userId\nAda;ada\nGrace;grace\n")

    steps = steps_of(
        "vars: {room: launch, team: [linus, ken]}\n"
        "actions: [{actionName: sendToGroup, group: launch-red, data: hi}]\n"
        "groups:\n"
        "  ${room}-red:\n"
        "    users: {file: red.csv, column: userId, delimiter: ';'}\n"
        "    connections: [wall]\n"
        "    onMissing: skip\n"
        "  blue: {users: '${team}'}\n",
        folder=tmp_path,
    )

    assert [(step.index, step.action_index, step.action.name) for step in steps] == [
        (0, 0, "addUserToGroup"),
        (1, 0, "addUserToGroup"),
        (2, 1, "addConnectionToGroup"),
        (3, 2, "addUserToGroup"),
        (4, 2, "addUserToGroup"),
        (5, 3, "sendToGroup"),
    ]
    assert [step.target for step in steps[:4]] == [
        {"userId": "ada", "group": "launch-red"},
        {"userId": "grace", "group": "launch-red"},
        {"connectionId": "wall", "group": "launch-red"},
        {"userId": "linus", "group": "blue"},
    ]
    assert steps[0].source == f"{tmp_path}/red.csv:2"
    assert steps[2].source == "p.yaml:6"
    assert [str(step.on_missing.rule) for step in steps] == ["skip"] * 3 + ["fail"] * 3


def test_prune_removes_the_connections_of_those_who_are_not_listed() -> None:
    """A listed connection stays, as does each connection of a listed user."""
    text = "groups: {red: {users: [ada], connections: [wall], prune: true}}"
    connections = {"c1": "ada", "c2": "ada", "c3": "bob", "c4": None, "wall": "eve"}

    assert texts_of(text, live(red=connections, blue={"c9": "bob"})) == [
        "addUserToGroup ada red",
        "addConnectionToGroup wall red",
        "removeConnectionFromGroup c3 red",
        "removeConnectionFromGroup c4 red",
    ]


def test_without_prune_nobody_is_removed() -> None:
    assert texts_of("groups: {red: {users: [ada]}}", live(red={"c3": "bob"})) == [
        "addUserToGroup ada red"
    ]


def test_roles_are_granted_to_the_connections_that_are_known() -> None:
    """Those that are listed, and those of listed users that are in the group."""
    text = (
        "groups: {red: {users: [ada], connections: [wall], prune: true, "
        "roles: [sendToGroup, joinLeaveGroup, sendToGroup]}}"
    )
    members = live(red={"c1": "ada", "c3": "bob", "wall": "ada"})

    assert texts_of(text, members) == [
        "addUserToGroup ada red",
        "addConnectionToGroup wall red",
        "grantPermission wall sendToGroup red",
        "grantPermission c1 sendToGroup red",
        "grantPermission wall joinLeaveGroup red",
        "grantPermission c1 joinLeaveGroup red",
        "removeConnectionFromGroup c3 red",
    ]


def test_roles_of_rows_in_a_file_are_granted_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "red.csv").write_text("id\nc1\nc2\n")
    text = "groups: {red: {connections: {file: red.csv}, roles: [sendToGroup]}}"

    playbook = read(text)
    scope = scope_of(playbook, folder=tmp_path)
    steps = StepMaker(playbook, scope, RunOptions(), "chat").blocks()
    assert [step.action.name for step in steps if isinstance(step, Step)][-2:] == [
        "grantPermission",
        "grantPermission",
    ]


def test_a_connection_that_left_before_its_roles_were_granted_is_skipped() -> None:
    text = "groups: {red: {users: [ada], roles: [sendToGroup], onError: continue}}"
    steps = steps_of(text, live(red={"c1": "ada"}))

    assert [str(step.on_missing.rule) for step in steps] == ["fail", "skip"]


NAMES = st.text("abc", min_size=1, max_size=2)


@given(
    users=st.lists(NAMES, unique=True),
    connections=st.lists(NAMES, unique=True),
    members=st.dictionaries(NAMES, st.none() | NAMES),
)
def test_after_a_prune_the_group_has_nobody_else(
    users: list[str], connections: list[str], members: dict[str, str | None]
) -> None:
    """Whoever is removed is not listed, and whoever is not removed is."""
    listed = f"users: {users}, connections: {connections}"
    text = f"groups: {{red: {{{listed}, prune: true, allowEmpty: true}}}}"

    removed = {
        step.values["connectionId"]
        for step in steps_of(text, live(red=members))
        if step.action.name == "removeConnectionFromGroup"
    }

    for connection, user in members.items():
        assert (connection in removed) is not (user in users or connection in connections)


@pytest.mark.parametrize("source", ["[]", "'${none}'", "{file: empty.csv}"])
def test_prune_refuses_to_empty_a_group_unless_it_says_so(source: str, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("userId\n")
    text = f"vars: {{none: []}}\ngroups:\n  red:\n    users: {source}\n    prune: true\n"
    playbook = read(text)

    problems = check_steps(playbook, scope_of(playbook, folder=tmp_path)).problems

    (problem,) = problems
    assert format_problem(problem) == (
        "p.yaml:5:5: error: nobody is listed, so that `prune` would empty the group; correct the "
        "list, or add `allowEmpty: true` if that is meant"
    )
    allowed = text + "    allowEmpty: true\n"
    assert texts_of(allowed, live(red={"c1": "ada"}), tmp_path) == [
        "removeConnectionFromGroup c1 red"
    ]


def test_a_prune_is_checked_before_the_group_was_read() -> None:
    """As `validate` does: only who is in the group is unknown."""
    assert problems_of("groups: {red: {users: [], prune: true}}")
    assert not problems_of("groups: {red: {users: [ada], prune: true}}")


def test_a_wrong_row_keeps_prune_from_removing_anybody() -> None:
    """Otherwise the one who is misspelled would be removed."""
    text = "groups: {red: {users: [ada, ''], prune: true}}"
    playbook = read(text)
    scope = scope_of(playbook, live(red={"c1": "bob"}))

    checked = check_steps(playbook, scope)

    assert [problem.rule for problem in checked.problems] == ["value"]
    with pytest.raises(PlaybookError):
        list(StepMaker(playbook, scope, RunOptions(), "chat").steps())


def test_a_list_that_changes_during_a_run_ends_it_before_anybody_is_removed(
    tmp_path: Path,
) -> None:
    """Whoever is no longer listed was added by an earlier step of the same run."""
    file = tmp_path / "red.csv"
    file.write_text("userId\nada\nbob\n")
    playbook = read("groups: {red: {users: {file: red.csv}, prune: true}}")
    scope = scope_of(playbook, live(red={"c1": "bob", "c2": "eve"}), tmp_path)
    assert not check_steps(playbook, scope).problems
    steps = StepMaker(playbook, scope, RunOptions(), "chat").steps()
    added = [next(steps), next(steps)]

    file.write_text("userId\nada\n")

    assert [step.values["userId"] for step in added] == ["ada", "bob"]
    with pytest.raises(PlaybookError) as caught:
        next(steps)
    assert "changed" in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("groups", "removal"),
    [
        ("users: [ada]", "{actionName: removeUserFromGroup, userId: ada, group: red}"),
        ("users: [ada]", "{actionName: removeUserFromAllGroups, userId: ada}"),
        ("users: '${team}'", "{actionName: removeUserFromGroup, userId: ada, group: '${room}'}"),
        (
            "connections: [c]",
            "{actionName: removeConnectionFromGroup, connectionId: c, group: red}",
        ),
        ("connections: [c]", "{actionName: removeConnectionFromAllGroups, connectionId: c}"),
        (
            "users: [ada]",
            "{actionName: removeUserFromGroup, userId: '${each}', group: red, forEach: [x, ada]}",
        ),
    ],
)
def test_a_removal_of_a_listed_member_is_an_error(groups: str, removal: str) -> None:
    text = f"vars: {{room: red, team: [ada]}}\ngroups: {{red: {{{groups}}}}}\nactions: [{removal}]"
    name = "c" if "connections" in groups else "ada"

    problem, *more = problems_of(text)

    assert not more
    assert f"removes `{name}`, and `groups` adds it to `red`; leave one of them out" in problem
    assert problem.startswith("p.yaml:3:")


def test_a_removal_of_others_is_no_contradiction() -> None:
    assert not problems_of(
        "groups: {red: {users: [ada]}}\n"
        "actions:\n"
        "  - {actionName: removeUserFromGroup, userId: ada, group: blue}\n"
        "  - {actionName: removeUserFromGroup, userId: bob, group: red}\n"
        "  - {actionName: removeUserFromAllGroups, userId: bob}\n"
    )


def test_a_group_may_be_listed_once_whatever_its_name_is_made_of() -> None:
    text = "vars: {room: red}\ngroups:\n  red: {users: [ada]}\n  ${room}: {users: [bob]}\n"

    assert problems_of(text) == [
        "p.yaml:4:3: error: the group `red` is already listed at p.yaml:3:3; list its members once"
    ]


def test_a_name_with_a_slash_is_refused_as_in_an_action() -> None:
    (problem,) = problems_of("groups: {tenant/1: {users: [ada]}}")

    assert problem.startswith("p.yaml:1:")
    assert "`group` has a `/`" in problem


def test_a_connection_that_cannot_be_removed_is_named() -> None:
    """The service has it, and the request would remove another one."""
    text = "groups:\n  red: {users: [ada], prune: true}"

    (problem,) = problems_of(text, live(red={"room/1": "eve", "c2": "bob"}))

    assert problem.startswith("p.yaml:2:")
    assert "the connection `room/1` cannot be removed: its connectionId has a `/`" in problem


def test_a_wrong_entry_does_not_hide_the_others() -> None:
    playbook = read_playbook("groups: {red: [ada], blue: {users: [bob]}}", "p.yaml")

    assert [problem.rule for problem in playbook.problems] == ["value"]
    assert [template.values["group"] for template in playbook.actions] == ["blue"]


@pytest.mark.parametrize("group", ["${each}", "red-${each.team}", "${each.connectionId}"])
def test_the_name_of_a_group_has_no_row(group: str) -> None:
    text = f"groups: {{'{group}': {{users: [ada], prune: true}}}}"
    reference = group[group.index("$") :]

    assert [problem.message for problem in read_playbook(text, "p.yaml").problems] == [
        f"`{reference}` stands for a row of `forEach`; a group has none"
    ]


def test_a_file_is_read_once_to_check_it_and_once_for_the_steps(tmp_path: Path) -> None:
    """Not again for whom `prune` removes, nor when the live groups have been read."""
    reads: list[str] = []

    class Counting(Files):
        def rows(self, name: str, row_format: RowFormat = DEFAULT_FORMAT) -> Rows:
            reads.append(name)
            return super().rows(name, row_format)

        def column(
            self, name: str, column: str | None, row_format: RowFormat = DEFAULT_FORMAT
        ) -> Cells:
            reads.append(name)
            return super().column(name, column, row_format)

    (tmp_path / "red.csv").write_text("userId\nada\n")
    playbook = read("groups: {red: {users: {file: red.csv}, prune: true}}")
    unread = VariableScope(playbook.parts[0].variables, {}, Counting(tmp_path))
    earlier = check_steps(playbook, unread)
    scope = unread.with_live(live(red={"a1": "ada", "b1": "bob"}))
    checked = check_steps(playbook, scope, earlier=earlier)
    assert reads == ["red.csv"]

    steps = list(StepMaker(playbook, scope, RunOptions(), "chat").steps())

    assert reads == ["red.csv", "red.csv"]
    assert [step.values for step in steps] == [
        {"userId": "ada", "group": "red"},
        {"connectionId": "b1", "group": "red"},
    ]
    assert (earlier.steps, checked.steps, checked.owned) == (1, 2, 2)


ODD_NAMES = st.lists(
    st.sampled_from(
        ["ada", "a b", " ada", "{{ x }}", "a/b", "$A", ".", "ö", "x" * 200, "", "ada,1"]
    )
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=3),
    max_size=3,
)


@given(odd=ODD_NAMES, count=st.sampled_from([1, 1000, 2300]), place=st.integers(0, 2300))
@settings(max_examples=20)
def test_blocks_of_steps_are_the_steps_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, odd: list[str], count: int, place: int
) -> None:
    """Problems, warnings, counts and steps do not depend on how a list of members is read."""
    folder = tmp_path_factory.mktemp("list")
    names = [f"user{number}@example.com" for number in range(count)]
    names[place:place] = odd
    text = "\n".join(["userId", *names, ""])
    (folder / "m.csv").write_text(text, encoding="utf-8", newline="")
    playbook = read("groups: {red: {users: {file: m.csv}, connections: [c1], prune: true}}")
    scope = scope_of(
        playbook, live(red={"c1": None, "c2": "user1@example.com", "c3": "eve"}), folder
    )

    check = check_steps(playbook, scope)
    one_by_one = check_steps(playbook, scope, Shard(1, 1))

    assert check[:-1] == one_by_one[:-1]
    assert (check.steps, check.owned) == (one_by_one.steps, one_by_one.owned)
    if check.problems:
        return
    steps = list(StepMaker(playbook, scope, RunOptions(), "chat", first=7).steps())
    parts = list(StepMaker(playbook, scope, RunOptions(), "chat", first=7).blocks())
    unrolled = [
        part.step(index) if isinstance(part, StepBlock) else part
        for part in parts
        for index in (part.indexes if isinstance(part, StepBlock) else [0])
    ]
    assert unrolled == steps
    assert count <= 1000 or odd or len(parts) < len(steps)
