"""The check whether all actions of a plan commute is exact, and names the first two that do not."""

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.locks import Lock, locks_of
from wps_run.actions.table import ACTIONS
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import RunOptions
from wps_run.playbook.shard_conflicts import HashMarks, PlanPart, find_conflict, require_commuting
from wps_run.playbook.shards import shard_of
from wps_run.playbook.steps import Step, StepMaker
from wps_run.playbook.variables import VariableScope
from wps_run.problems import PlaybookError, format_problem

Keyed = Callable[[tuple[str, ...]], int]

EXAMPLES: dict[str, dict[str, Any]] = {
    "sendToAll": {"data": "x"},
    "sendToGroup": {"group": "g", "data": "x"},
    "sendToUser": {"userId": "u", "data": "x"},
    "sendToConnection": {"connectionId": "c", "data": "x"},
    "addUserToGroup": {"userId": "u", "group": "g"},
    "removeUserFromGroup": {"userId": "u", "group": "g"},
    "removeUserFromAllGroups": {"userId": "u"},
    "addConnectionToGroup": {"connectionId": "c", "group": "g"},
    "removeConnectionFromGroup": {"connectionId": "c", "group": "g"},
    "closeAllConnections": {},
    "closeClientConnection": {"connectionId": "c"},
    "closeGroupConnections": {"group": "g"},
    "closeUserConnections": {"userId": "u"},
    "grantPermission": {"connectionId": "c", "permission": "sendToGroup", "targetName": "g"},
    "revokePermission": {"connectionId": "c", "permission": "sendToGroup", "targetName": "g"},
    "removeConnectionFromAllGroups": {"connectionId": "c"},
    "addConnectionsToGroups": {"groups": ["g"], "filter": "userId eq 'u'"},
    "removeConnectionsFromGroups": {"groups": ["g"], "filter": "userId eq 'u'"},
}


def act(name: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """An action of the table; each number has names of its own."""
    values = {
        key: f"{value}{number}"
        if key in {"userId", "group", "connectionId", "targetName"}
        else value
        for key, value in EXAMPLES[name].items()
    }
    return {"actionName": name, **values, **more}


def part(actions: Sequence[dict[str, Any]], hub: str = "chat", first: int = 0) -> PlanPart:
    """A playbook of these actions, as part of a run."""
    playbook = read_playbook(yaml.safe_dump({"actions": list(actions)}), f"{hub}.yaml")
    assert playbook.problems == ()
    scope = VariableScope({}, {})
    return PlanPart(
        playbook,
        hub,
        lambda: StepMaker(playbook, scope, RunOptions(), hub, first=first).steps(),
    )


SHARDS = 999_999
"""So many that different targets of these tests are in different shards."""


def numbers(
    parts: Sequence[PlanPart], hashed: Keyed = hash, count: int = SHARDS
) -> tuple[int, int] | None:
    """The indexes of the two steps that conflict."""
    conflict = find_conflict(parts, count, hashed)
    return (conflict.first.step.index, conflict.second.step.index) if conflict else None


def overlap(one: Step, other: Step) -> bool:
    """Whether two steps may be done in any order, by their locks."""
    mine = {lock.key: lock for lock in locks_of(one.action, one.values)}
    its = {lock.key: lock for lock in locks_of(other.action, other.values)}
    return all(_go_together(mine[key], its[key]) for key in mine.keys() & its.keys())


def _go_together(one: Lock, other: Lock) -> bool:
    return one.shared and other.shared and one.use == other.use


def test_every_action_of_the_table_has_an_example() -> None:
    """A new row is tried here too."""
    assert EXAMPLES.keys() == ACTIONS.keys()


@pytest.mark.parametrize(
    "name",
    [
        *("addUserToGroup", "removeUserFromGroup", "addConnectionToGroup"),
        *("removeConnectionFromGroup", "grantPermission", "revokePermission"),
        *("removeUserFromAllGroups", "removeConnectionFromAllGroups"),
    ],
)
def test_what_commutes_with_itself_may_name_one_target_twice(name: str) -> None:
    """Joins, leaves, grants and revokes: the second changes nothing."""
    assert numbers([part([act(name), act(name), act(name, 1)])]) is None


@pytest.mark.parametrize(
    "name",
    [
        *("sendToGroup", "sendToUser", "sendToConnection"),
        *("closeClientConnection", "closeGroupConnections", "closeUserConnections"),
    ],
)
def test_what_does_not_commute_with_itself_may_name_one_target_twice(name: str) -> None:
    """One shard has all messages to a target, in their order, and all its closes."""
    assert numbers([part([act(name, n) for n in range(50)])]) is None
    assert numbers([part([act(name, n) for n in (0, 1, 2, 3, 1, 0)])]) is None
    assert numbers([part([act(name)]), part([act(name)], first=1)]) is None


def test_a_join_and_a_leave_of_one_member_are_in_one_shard() -> None:
    """So a playbook may remove someone from a group and add them again."""
    leave, join = act("removeUserFromGroup"), act("addUserToGroup")

    assert numbers([part([leave, join, act("addUserToGroup", 1)])]) is None
    assert numbers([part([leave, join, act("addUserToGroup", 1, group="g0")])]) == (0, 2)


@pytest.mark.parametrize("name", ["sendToAll", "closeAllConnections"])
def test_what_goes_to_the_whole_hub_may_only_be_with_its_like(name: str) -> None:
    """One shard has all of them."""
    assert numbers([part([act(name)])]) is None
    assert numbers([part([act(name), act(name)])]) is None
    assert numbers([part([act("addUserToGroup"), act(name)])]) == (0, 1)
    assert numbers([part([act(name), act("addUserToGroup")])]) == (0, 1)


@pytest.mark.parametrize("name", ["addConnectionsToGroups", "removeConnectionsFromGroups"])
def test_what_has_a_filter_may_only_be_alone(name: str) -> None:
    """A plan of one action has no order."""
    other = {**act(name), "filter": "userId eq 'v'"}

    assert numbers([part([act(name)])]) is None
    assert numbers([part([act(name), other])]) == (0, 1)
    assert numbers([part([act("addUserToGroup"), act(name)])]) == (0, 1)


def test_actions_of_one_shard_may_have_an_order() -> None:
    """Whether two targets are in one shard depends on the number of shards."""
    actions = [act("addUserToGroup"), act("sendToGroup")]
    shards = [
        [shard_of(step.action, step.values, count) for step in part(actions).steps()]
        for count in range(1, 30)
    ]
    counts = {len(set(numbers)) for numbers in shards}

    assert counts == {1, 2}
    for count, (first, second) in enumerate(shards, start=1):
        assert (numbers([part(actions)], count=count) is None) is (first == second)


def test_a_conflict_names_the_first_action_of_another_shard() -> None:
    """Those of its own shard keep their order."""
    actions = [act("sendToGroup"), act("sendToGroup", 1), act("sendToGroup"), act("addUserToGroup")]

    assert numbers([part(actions)]) == (0, 3)
    assert numbers([part([*actions[1:3], act("removeUserFromGroup"), actions[3]])]) == (1, 2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (act("addUserToGroup"), act("removeUserFromGroup", group="g1")),
        (act("addUserToGroup"), act("sendToGroup")),
        (act("sendToUser"), act("addUserToGroup")),
        (act("grantPermission"), act("revokePermission", targetName="g1")),
        (act("addUserToGroup", 1), act("removeUserFromAllGroups", 2)),
        (act("addUserToGroup", 1), act("closeUserConnections", 2)),
        (act("addUserToGroup", 1), act("sendToGroup", 2, filter="'x' in groups")),
    ],
)
def test_two_actions_whose_order_matters_conflict_either_way(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """However many that commute stand around them."""
    around = [act("addConnectionToGroup", n) for n in range(10, 20)]
    if one["actionName"] == "grantPermission":
        around = [act("grantPermission", n) for n in range(10, 20)]

    for first, second in ((one, other), (other, one)):
        assert numbers([part([first, second])]) == (0, 1)
        assert numbers([part([*around, first, second])]) is not None


def test_playbooks_of_one_hub_are_one_plan_and_those_of_two_hubs_are_not() -> None:
    """The service does not tell `Chat` from `chat`."""
    join, leave = [act("addUserToGroup")], [act("removeUserFromGroup", group="g1")]

    assert numbers([part(join), part(leave, "room", first=1)]) is None
    assert numbers([part(join), part(leave, "CHAT", first=1)]) == (0, 1)


def test_the_conflict_names_both_actions_with_place_name_and_target() -> None:
    """As a problem of the playbook, at the later one, with what to do."""
    playbook = read_playbook(
        "actions:\n"
        "  - name: Seat\n"
        "    forEach: [ada, bob]\n"
        "    actionName: addUserToGroup\n"
        "    userId: ${each}\n"
        "    group: red\n"
        "  - {name: Greet, actionName: sendToGroup, group: red, data: Hello}\n",
        "p.yaml",
    )
    plan_part = PlanPart(
        playbook,
        "chat",
        lambda: StepMaker(playbook, VariableScope({}, {}), RunOptions(), "chat").steps(),
    )

    with pytest.raises(PlaybookError) as caught:
        require_commuting([plan_part], 2)

    (problem,) = caught.value.problems
    assert format_problem(problem) == (
        "p.yaml:7:31: error: `sendToGroup group=red` (Greet) does not commute with `addUserToGroup "
        "userId=ada group=red` (Seat) from p.yaml:3, which comes before it, at p.yaml:4:17: `join` "
        "and `send` of one group, here `red`, run in the playbook's order. Shards do not wait for "
        "each other; run the plan without --shard, or move one of the two to a playbook that runs "
        "after all shards"
    )
    assert problem.rule == "shard-order"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (act("addUserToGroup"), act("sendToAll"), "in the hub chat, such actions run in the"),
        (act("addUserToGroup"), act("sendToUser"), "`join` and `send` of one user, here `u0`, run"),
        (
            act("addUserToGroup", 1),
            act("sendToGroup", 2, filter="'x' in groups"),
            "one changes group memberships, which the `filter` of the other may read",
        ),
    ],
    ids=["hub", "user", "memberships"],
)
def test_the_conflict_names_its_reason(
    first: dict[str, Any], second: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PlaybookError, match=re.escape(reason)):
        require_commuting([part([first, second])], SHARDS)


def test_plan_whose_actions_commute_is_accepted() -> None:
    require_commuting([part([act("addUserToGroup"), act("sendToUser", 1)])], 4)


def test_many_joins_are_known_to_commute_without_reading_a_row() -> None:
    """The playbook alone decides."""
    playbook = read_playbook(
        "actions: [{forEach: {file: no.csv}, actionName: addUserToGroup, userId: '${each.u}', "
        "group: '${each.g}'}]",
        "p.yaml",
    )

    def unread() -> Any:
        raise AssertionError("the rows were read")

    assert find_conflict([PlanPart(playbook, "chat", unread)], 4) is None


ACTS = st.builds(act, st.sampled_from(sorted(EXAMPLES)), st.integers(0, 3))
USES = st.lists(ACTS, min_size=1, max_size=6) | st.lists(
    st.builds(act, st.sampled_from(["addUserToGroup", "addConnectionToGroup", "sendToUser"]),
              st.integers(0, 20)),
    min_size=1, max_size=12,
)  # fmt: skip


@given(actions=USES, few=st.sampled_from([1, 2, 1 << 60]), count=st.sampled_from([1, 2, 3, SHARDS]))
def test_a_plan_is_refused_exactly_when_two_actions_of_different_shards_do_not_commute(
    actions: list[dict[str, Any]], few: int, count: int
) -> None:
    """Held to every pair by itself; and whatever keys share a hash."""
    plan_part = part(actions)
    every = list(plan_part.steps())
    shards = [shard_of(step.action, step.values, count) for step in every]
    conflicting = [
        (one.index, other.index)
        for one, other in combinations(every, 2)
        if not overlap(one, other) and shards[one.index] != shards[other.index]
    ]

    result = numbers([plan_part], lambda key: hash(key) % few, count)

    assert result in conflicting if conflicting else result is None
    assert (
        not conflicting or result is None or result[1] == min(second for _, second in conflicting)
    )


@given(keys=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3000))
def test_marks_remember_the_first_mark_of_every_key(keys: list[int]) -> None:
    """As a dictionary would, while the table grows."""
    marks, expected = HashMarks(), dict[int, tuple[int, int]]()

    for number, key in enumerate(keys):
        tag = key % 2**56
        assert marks.set_default(key, number % 254 + 1, number) == expected.get(tag, (0, 0))
        expected.setdefault(tag, (number % 254 + 1, number))

    assert all(marks.set_default(key, 1, 1) == expected[key % 2**56] for key in keys)


def test_a_key_takes_at_most_36_bytes() -> None:
    """What the documents promise."""
    marks = HashMarks()

    for key in range(100_000):
        marks.set_default(key * 0x9E3779B97F4A7C15, 1, 1)

    assert marks.size <= 36 * 100_000
