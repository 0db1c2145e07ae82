"""Which steps a selection leaves, and what of it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run import planning
from wps_run.checking import validate
from wps_run.planning import Plan, RunOverrides
from wps_run.playbook.live import LiveConnection
from wps_run.playbook.model import read_playbook
from wps_run.playbook.selection import Selection, parse_selection
from wps_run.playbook.shards import Shard
from wps_run.problems import PlaybookError, UsageError

SETUP = """
hub: chat
groups:
  red: {users: [ada, grace], tags: [setup, red]}
actions:
  - {actionName: addUserToGroup, name: "Seat ${each}", forEach: [u1, u2, u3], userId: "${each}",
     group: blue, tags: [setup]}
  - {actionName: sendToGroup, name: Hello, group: red, data: x, tags: [red]}
  - {actionName: sendToGroup, group: blue, data: x}
expect:
  - {user: ada, connected: true, tags: [red]}
  - {user: u1, connected: true}
finally:
  - {actionName: sendToAll, name: Bye, data: x, tags: [cleanup]}
"""


def plans_of(selection: Selection, *texts: str, shard: Shard | None = None) -> tuple[Plan, ...]:
    playbooks = [read_playbook(text, f"{number}.yaml") for number, text in enumerate(texts)]
    return planning.plan(playbooks, RunOverrides(selection=selection, shard=shard))


def indexes_of(plans: tuple[Plan, ...]) -> list[int]:
    return [step.index for plan in plans for step in plan.steps()]


def selected(selection: Selection, *texts: str) -> list[int]:
    plans = plans_of(selection, *(texts or (SETUP,)))
    indexes = indexes_of(plans)
    assert sum(plan.total for plan in plans) == sum(plan.selected for plan in plans) == len(indexes)
    return indexes


@pytest.mark.parametrize(
    ("selection", "indexes"),
    [
        (parse_selection(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (parse_selection(tags=["setup"]), [0, 1, 2, 3, 4]),
        (parse_selection(tags=["red,cleanup"]), [0, 1, 5, 7]),
        (parse_selection(tags=["red", " cleanup, setup"]), [0, 1, 2, 3, 4, 5, 7]),
        (parse_selection(skip_tags=["setup"]), [5, 6, 7]),
        (parse_selection(tags=["red"], skip_tags=["setup"]), [5]),
        (parse_selection(only=["1,3..4", "7"]), [1, 3, 4, 7]),
        (parse_selection(start_at="Hello"), [5, 6, 7]),
        (parse_selection(start_at="Seat u2"), [3, 4, 5, 6, 7]),
        (parse_selection(start_at="Seat ${each}"), [2, 3, 4, 5, 6, 7]),
        (parse_selection(tags=["setup"], only=["0,3,6"], start_at="Seat u1"), [3]),
    ],
    ids=str,
)
def test_steps_keep_the_index_of_the_whole_plan(selection: Selection, indexes: list[int]) -> None:
    assert selected(selection) == indexes


def test_indexes_and_the_start_are_those_of_all_playbooks_of_a_run() -> None:
    other = "hub: chat\nactions:\n  - {actionName: sendToAll, name: Last, data: x}\n"
    assert selected(parse_selection(start_at="Last"), SETUP, other) == [7, 8]
    assert selected(parse_selection(only=["0,7"]), SETUP, other) == [0, 7]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=8), st.integers(0, 40))
def test_indexes_are_counted_as_they_are_listed(parts: list[tuple[int, int]], first: int) -> None:
    only = [f"{start}..{start + more}" for start, more in parts]
    selection = parse_selection(only=only)
    listed = {i for start, more in parts for i in range(start, start + more + 1)} or range(60)
    indexes = range(first, first + 15)
    assert selection.count(indexes) == sum(index in listed for index in indexes)
    assert [i for i in indexes if selection.has_index(i)] == [i for i in indexes if i in listed]


@pytest.mark.parametrize(
    ("selection", "statements"),
    [
        (parse_selection(), [0, 1]),
        (parse_selection(tags=["red"]), [0]),
        (parse_selection(tags=["cleanup"]), []),
        (parse_selection(skip_tags=["red"]), [1]),
        (parse_selection(only=["0"]), [0, 1]),
    ],
    ids=str,
)
def test_tags_select_expectations_as_well(selection: Selection, statements: list[int]) -> None:
    plans = plans_of(selection, SETUP)
    assert [each.index for plan in plans for each in plan.expectations] == statements


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (parse_selection(tags=["rde"]), "--tags: nothing has the tag `rde`; did you mean `red`?"),
        (
            parse_selection(skip_tags=["x1y2"]),
            "--skip-tags: nothing has the tag `x1y2`; the tags are `cleanup`, `red`, `setup`",
        ),
        (
            parse_selection(only=["3,8"]),
            "--only 8: the plan has the indexes 0 to 7, as `wps-run plan` shows them",
        ),
        (
            parse_selection(start_at="Hallo"),
            "--start-at: no action has the name `Hallo`; did you mean `Hello`?",
        ),
        (
            parse_selection(tags=["red"], only=["2"]),
            "nothing is selected: no action of the plan fits --tags red --only 2",
        ),
        (
            parse_selection(tags=["red"], skip_tags=["red"]),
            "nothing is selected: no action of the plan fits --tags red --skip-tags red",
        ),
    ],
    ids=str,
)
def test_a_selection_of_what_is_not_there_is_refused(selection: Selection, message: str) -> None:
    with pytest.raises(UsageError) as error:
        plans_of(selection, SETUP)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tags": ["a,,b"]}, "--tags has an empty item; write it as --tags setup,red"),
        ({"only": [""]}, "--only has an empty item; write it as --only 3,7..12"),
        ({"only": ["9..7"]}, "--only 9..7: the range ends before it begins; write 7..9"),
        (
            {"only": ["-1"]},
            (
                "--only takes indexes and ranges, such as 3,7..12, as `wps-run plan` shows them; "
                "not `-1`"
            ),
        ),
        ({"start_at": ""}, "--start-at is empty; write the `name` of an action"),
    ],
    ids=str,
)
def test_a_selection_that_is_no_selection_is_refused(
    arguments: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        parse_selection(**arguments)  # type: ignore[arg-type] # one test for all of them
    assert str(error.value) == message


def test_shards_divide_what_is_selected() -> None:
    names = "[" + ", ".join(f"u{number}" for number in range(30)) + "]"
    text = f"""
hub: chat
actions:
  - {{actionName: addUserToGroup, forEach: {names}, userId: "${{each}}", group: g, tags: [a]}}
  - {{actionName: sendToAll, data: x}}
"""
    for selection in (parse_selection(tags=["a"]), parse_selection(tags=["a"], only=["4..20"])):
        shards = [plans_of(selection, text, shard=Shard(number, 3)) for number in (1, 2, 3)]
        assert sorted(index for plans in shards for index in indexes_of(plans)) == selected(
            selection, text
        )
        for plans in shards:
            assert plans[0].total == len(indexes_of(plans)) > 0
    with pytest.raises(PlaybookError):  # the send to all does not commute
        plans_of(parse_selection(), text, shard=Shard(1, 3))


LIVE = """
hub: chat
actions:
  - {actionName: sendToConnection, forEach: {group: red}, connectionId: "${each.connectionId}",
     name: "To ${each.userId}", data: x, tags: [red]}
  - {actionName: sendToConnection, forEach: {group: blue}, connectionId: "${each.connectionId}",
     data: x, tags: [blue]}
  - {actionName: sendToAll, name: Last, data: x, tags: [blue]}
"""
PEOPLE = {
    "red": (LiveConnection("c1", "ada"), LiveConnection("c2", "grace")),
    "blue": (LiveConnection("c3", "linus"),),
}


@pytest.mark.parametrize(
    ("selection", "groups", "indexes"),
    [
        (parse_selection(), ("red", "blue"), [0, 1, 2, 3]),
        (parse_selection(tags=["blue"]), ("blue",), [0, 1]),
        (parse_selection(only=["0"]), ("red", "blue"), [0]),
        (parse_selection(only=["3"]), ("red", "blue"), [3]),
        (parse_selection(start_at="Last"), ("red", "blue"), [3]),
        (parse_selection(start_at="To grace"), ("red", "blue"), [1, 2, 3]),
    ],
    ids=str,
)
def test_only_groups_that_the_selection_needs_are_read(
    selection: Selection, groups: tuple[str, ...], indexes: list[int]
) -> None:
    playbooks = [read_playbook(LIVE, "live.yaml")]
    overrides = RunOverrides(selection=selection)
    unread = planning.plan(playbooks, overrides)
    assert unread[0].live_groups == groups
    people = {group: PEOPLE[group] for group in groups}
    plans = planning.plan(playbooks, overrides, live=[people], earlier=unread)
    assert plans[0].live_groups == groups
    assert indexes_of(plans) == indexes
    assert plans[0].total == len(indexes)


def test_an_index_after_the_rows_that_were_read_is_refused() -> None:
    playbooks = [read_playbook(LIVE, "live.yaml")]
    overrides = RunOverrides(selection=parse_selection(only=["4"]))
    unread = planning.plan(playbooks, overrides)  # nobody knows yet
    with pytest.raises(UsageError, match="0 to 3"):
        planning.plan(playbooks, overrides, live=[PEOPLE], earlier=unread)


def test_what_is_for_different_runs_does_not_contradict() -> None:
    text = """
hub: chat
groups:
  red: {users: [ada], tags: [setup]}
actions:
  - {actionName: addUserToGroup, userId: ada, group: blue, tags: [setup]}
  - {actionName: removeUserFromGroup, userId: ada, group: red, tags: [TAG]}
  - {actionName: removeUserFromGroup, userId: ada, group: blue, tags: [TAG]}
"""
    apart = read_playbook(text.replace("TAG", "teardown"), "apart.yaml")
    assert validate(apart, {}) == ()
    together = read_playbook(text.replace("TAG", "setup"), "together.yaml")
    rules = [problem.rule for problem in validate(together, {})]
    assert rules == ["group-contradiction", "undone-action"]


def test_who_is_pruned_depends_on_the_whole_entry() -> None:
    text = "hub: chat\ngroups:\n  red: {users: [ada], prune: true}\n"
    playbooks = [read_playbook(text, "groups.yaml")]
    overrides = RunOverrides(selection=parse_selection(only=["1"]))
    unread = planning.plan(playbooks, overrides)
    (plan,) = planning.plan(playbooks, overrides, live=[PEOPLE], earlier=unread)
    assert [step.values["connectionId"] for step in plan.steps()] == ["c2"]
