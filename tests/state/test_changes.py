"""What a playbook would change: each step is compared with what earlier steps leave."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wps_run.connect.client import Client
from wps_run.emulator.clients import NullClient
from wps_run.emulator.hub import Hub as EmulatedHub
from wps_run.emulator.server import Emulator
from wps_run.playbook.files import Files
from wps_run.playbook.live import LiveConnection
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import RunOptions
from wps_run.playbook.steps import Step, StepMaker
from wps_run.playbook.variables import VariableScope
from wps_run.rehearsal import SimulatedClients, SimulatedState
from wps_run.report.changes import ChangeReport
from wps_run.state import changes
from wps_run.state.changes import Compared, StepChange, Verdict, compare
from wps_run.state.reader import StateSource

CHANGE, IN_PLACE, ABSENT, NOT_KNOWN = Verdict


@dataclass
class Hub:
    """A hub in memory: connection ID to user; group to connection IDs; permissions; its reads."""

    users: dict[str, str | None] = field(default_factory=dict)
    groups: dict[str, set[str]] = field(default_factory=dict)
    permissions: set[tuple[str, str, str]] = field(default_factory=set)
    reads: Counter[str] = field(default_factory=Counter)

    async def members(self, group: str) -> tuple[LiveConnection, ...]:
        self.reads[f"members {group}"] += 1
        members = sorted(self.groups.get(group, ()))
        return tuple(LiveConnection(connection, self.users[connection]) for connection in members)

    async def user_exists(self, user_id: str) -> bool:
        self.reads[f"user {user_id}"] += 1
        return user_id in self.users.values()

    async def connection_exists(self, connection_id: str) -> bool:
        self.reads[f"connection {connection_id}"] += 1
        return connection_id in self.users

    async def group_exists(self, group: str) -> bool:
        return bool(self.groups.get(group))

    async def has_permission(self, connection_id: str, permission: str, target_name: str) -> bool:
        self.reads[f"permission {connection_id}"] += 1
        return (connection_id, permission, target_name) in self.permissions


def steps_of(actions: Sequence[str]) -> list[Step]:
    lines = "".join(f"  - {{{action}}}\n" for action in actions)
    playbook = read_playbook(f"actions:\n{lines}", "p.yaml")
    assert playbook.problems == ()
    return list(StepMaker(playbook, VariableScope(), RunOptions(), "chat").steps())


async def changes_of(hub: StateSource, *actions: str) -> list[StepChange]:
    return [
        change async for compared in compare(steps_of(actions), hub) for change in compared.changes
    ]


async def verdicts(hub: Hub, *actions: str) -> list[Verdict]:
    return [change.verdict for change in await changes_of(hub, *actions)]


def join(user: str, group: str = "red") -> str:
    return f"actionName: addUserToGroup, userId: {user}, group: {group}"


def leave(user: str, group: str = "red") -> str:
    return f"actionName: removeUserFromGroup, userId: {user}, group: {group}"


def seat(connection: str, group: str = "red") -> str:
    return f"actionName: addConnectionToGroup, connectionId: {connection}, group: {group}"


def unseat(connection: str, group: str = "red") -> str:
    return f"actionName: removeConnectionFromGroup, connectionId: {connection}, group: {group}"


def permit(verb: str, connection: str) -> str:
    return (
        f"actionName: {verb}Permission, connectionId: {connection}, permission: sendToGroup, "
        "targetName: red"
    )


async def test_joins_and_leaves_of_users() -> None:
    """A user is in place if any of their connections is; one without a connection is absent."""
    hub = Hub({"a1": "ada", "a2": "ada", "b1": "bob"}, {"red": {"a1"}})

    assert await verdicts(hub, join("ada"), join("bob"), join("eve")) == [IN_PLACE, CHANGE, ABSENT]
    assert await verdicts(hub, leave("ada"), leave("bob"), leave("eve")) == [
        CHANGE,
        IN_PLACE,
        IN_PLACE,
    ]


async def test_joins_and_leaves_of_connections() -> None:
    hub = Hub({"a1": "ada", "b1": None}, {"red": {"a1"}})

    assert await verdicts(hub, seat("a1"), seat("b1"), seat("x")) == [IN_PLACE, CHANGE, ABSENT]
    assert await verdicts(hub, unseat("a1"), unseat("b1"), unseat("x")) == [
        CHANGE,
        IN_PLACE,
        IN_PLACE,
    ]


async def test_permissions() -> None:
    hub = Hub({"a1": "ada", "b1": None}, permissions={("a1", "sendToGroup", "red")})

    assert await verdicts(hub, *(permit("grant", name) for name in ("a1", "b1", "x"))) == [
        IN_PLACE,
        CHANGE,
        ABSENT,
    ]
    assert await verdicts(hub, *(permit("revoke", name) for name in ("a1", "b1", "x"))) == [
        CHANGE,
        IN_PLACE,
        IN_PLACE,
    ]


async def test_a_step_is_judged_by_what_earlier_steps_leave() -> None:
    hub = Hub({"a1": "ada", "b1": "bob"}, {"red": {"a1"}})

    assert await verdicts(hub, leave("ada"), join("ada"), join("ada"), leave("ada")) == [
        CHANGE,
        CHANGE,
        IN_PLACE,
        CHANGE,
    ]
    assert await verdicts(hub, permit("grant", "b1"), permit("grant", "b1")) == [CHANGE, IN_PLACE]
    everywhere = "actionName: removeUserFromAllGroups, userId: ada"
    assert await verdicts(hub, join("ada"), everywhere, join("ada")) == [IN_PLACE, CHANGE, CHANGE]


async def test_a_group_that_is_read_after_a_user_left_every_group() -> None:
    """The user is not in it any more, although the service still lists them."""
    hub = Hub({"a1": "ada"}, {"red": {"a1"}})
    everywhere = "actionName: removeUserFromAllGroups, userId: ada"

    (alone,) = await changes_of(hub, everywhere)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "BLOCK", 1)
        read_later = await verdicts(hub, everywhere, join("ada"))

    assert alone.verdict is NOT_KNOWN
    assert alone.reason == "the groups of one user or connection cannot be listed"
    assert read_later == [NOT_KNOWN, CHANGE]
    assert await verdicts(hub, everywhere, join("ada")) == [CHANGE, CHANGE]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("actionName: sendToGroup, group: red, data: hi", "messages are not compared"),
        ("actionName: sendToAll, data: hi", "messages are not compared"),
        ("actionName: closeClientConnection, connectionId: a1", "closes are not compared"),
        ("actionName: closeAllConnections", "closes are not compared"),
        (
            "actionName: addConnectionsToGroups, groups: [red], filter: \"userId eq 'ada'\"",
            "which connections match a `filter` cannot be read",
        ),
    ],
)
async def test_what_reading_cannot_tell_is_said(action: str, reason: str) -> None:
    hub = Hub({"a1": "ada"}, {"red": {"a1"}})

    (change,) = await changes_of(hub, action)

    assert (change.verdict, change.reason) == (NOT_KNOWN, reason)


@pytest.mark.parametrize(
    "close",
    [
        "actionName: closeAllConnections",
        "actionName: closeGroupConnections, group: red",
        "actionName: closeUserConnections, userId: ada",
        "actionName: closeClientConnection, connectionId: a1",
    ],
)
async def test_after_a_close_it_is_not_known_whether_the_user_is_there(close: str) -> None:
    """They may have another connection, and clients connect again."""
    hub = Hub({"a1": "ada"}, {"red": {"a1"}})

    verdicts_after = await verdicts(hub, seat("a1"), close, join("ada"))

    assert verdicts_after == [IN_PLACE, NOT_KNOWN, NOT_KNOWN]


async def test_a_closed_connection_does_not_come_back() -> None:
    hub = Hub({"a1": None}, {"red": {"a1"}}, {("a1", "sendToGroup", "red")})
    close = "actionName: closeClientConnection, connectionId: a1"

    assert await verdicts(
        hub, close, seat("a1"), unseat("a1"), permit("grant", "a1"), permit("revoke", "a1")
    ) == [NOT_KNOWN, ABSENT, IN_PLACE, ABSENT, IN_PLACE]


async def test_a_group_changed_by_a_filter_is_not_known_any_more() -> None:
    hub = Hub({"a1": "ada"}, {"red": {"a1"}, "blue": {"a1"}})
    remove = "actionName: removeConnectionsFromGroups, groups: [red], filter: \"userId eq 'ada'\""

    assert await verdicts(hub, remove, join("ada"), join("ada", "blue")) == [
        NOT_KNOWN,
        NOT_KNOWN,
        IN_PLACE,
    ]


async def test_each_thing_is_read_once() -> None:
    hub = Hub({"a1": "ada"}, {"red": {"a1"}})

    await changes_of(hub, *[join("ada"), join("bob"), seat("x")] * 3)

    assert hub.reads == {"members red": 1, "user bob": 1, "connection x": 1}


NAMES = st.sampled_from("abc")
GROUPS = st.sampled_from(["red", "blue"])
MEMBERSHIP = st.one_of(
    st.builds(seat, NAMES, GROUPS),
    st.builds(unseat, NAMES, GROUPS),
    st.builds(permit, st.sampled_from(["grant", "revoke"]), NAMES),
)


@given(
    connections=st.sets(NAMES),
    members=st.dictionaries(GROUPS, st.sets(NAMES)),
    permitted=st.sets(NAMES),
    actions=st.lists(MEMBERSHIP, min_size=1, max_size=8),
    block=st.integers(1, 3),
)
async def test_for_connections_the_verdict_is_what_happens(
    connections: set[str],
    members: dict[str, set[str]],
    permitted: set[str],
    actions: list[str],
    block: int,
) -> None:
    """A change changes the state of the hub, and what is in place or absent does not."""
    hub = Hub(
        dict.fromkeys(connections),
        {group: names & connections for group, names in members.items()},
        {(name, "sendToGroup", "red") for name in permitted & connections},
    )
    groups = {group: set(names) for group, names in hub.groups.items()}
    permissions = set(hub.permissions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "BLOCK", block)
        judged = await changes_of(hub, *actions)

    for change in judged:
        values = {key: str(value) for key, value in change.step.values.items()}
        name = values["connectionId"]
        state: set[Any] = (
            permissions if "permission" in values else groups.setdefault(values["group"], set())
        )
        key = (name, "sendToGroup", "red") if "permission" in values else name
        adds = change.step.action.name in {"addConnectionToGroup", "grantPermission"}
        if adds and name not in connections:
            expected = ABSENT
        else:
            expected = IN_PLACE if (key in state) is adds else CHANGE
            (state.add if adds else state.discard)(key)
        assert change.verdict is expected


async def test_a_narrow_terminal_shows_whole_names() -> None:
    """It is what a run would do: a name has its source on the next line if both do not fit."""
    hub = Hub({"a1": "ada", "b1": None}, {"red": {"b1"}})
    add = "actionName: addUserToGroup, group: red, userId"
    report = ChangeReport()
    remove = "actionName: removeConnectionFromGroup, group: red, connectionId: b1"
    changes = await changes_of(hub, f"{add}: ada", f"{add}: grace", remove)
    report.add(Compared(changes), "")

    assert list(report.lines(columns=24)) == [
        "\ngroup red",
        "  + ada\n      p.yaml:2",
        "  - connection b1\n      p.yaml:4",
        "\nnot there, so that\n      nothing changes",
        (
            "  addUserToGroup\n      userId=grace\n      group=red \n      p.yaml:3: the user\n"
            "      has no connection"
        ),
        (
            "\nDIFF: 3 actions: 2 to\n      change, 0 in\n      place, 1 not\n      there, 0 not\n"
            "      compared"
        ),
    ]


USERS = st.sampled_from(["ada", "bob"])
ANY = st.one_of(
    MEMBERSHIP,
    st.builds(join, USERS, GROUPS),
    st.builds(leave, USERS, GROUPS),
    st.builds("actionName: removeUserFromAllGroups, userId: {}".format, USERS),
    st.builds("actionName: removeConnectionFromAllGroups, connectionId: {}".format, NAMES),
    st.builds("actionName: closeClientConnection, connectionId: {}".format, NAMES),
)


async def facts_of(state: StateSource, connections: Iterable[str]) -> set[tuple[str, str]]:
    """Return who is in which group, who may send to one, and who is connected."""
    facts = {(name, "") for name in connections if await state.connection_exists(name)}
    for group in ("red", "blue"):
        facts |= {(member.connection_id, group) for member in await state.members(group)}
    for name in connections:
        if await state.has_permission(name, "sendToGroup", "red"):
            facts.add((name, "sendToGroup"))
    return facts


@given(
    users=st.dictionaries(NAMES, st.none() | USERS),
    members=st.dictionaries(GROUPS, st.sets(NAMES)),
    actions=st.lists(ANY, min_size=1, max_size=6),
)
@example(
    users={"a": "ada", "b": "ada"}, members={"red": {"a"}}, actions=[join("ada"), leave("ada")]
)
@example(users={"a": "ada"}, members={}, actions=[seat("a"), leave("ada"), seat("a")])
@example(users={"a": "ada"}, members={}, actions=[join("ada"), unseat("a"), join("ada")])
@settings(max_examples=40, deadline=None)
async def test_on_the_emulator_the_verdict_is_what_happens(
    users: dict[str, str | None], members: dict[str, set[str]], actions: list[str]
) -> None:
    """Changes change the hub; what is in place or absent does not.

    A user is in place if one connection is, and then a run adds the others. A change may be none if
    earlier steps name the client by its user and this one by its connection, or the reverse.
    """
    async with Emulator() as emulator:
        for name, user in users.items():
            groups = [group for group, names in members.items() if name in names]
            emulator.attach("chat", NullClient(), user_id=user, connection_id=name, groups=groups)
        state = SimulatedState(emulator.hubs.get("chat", EmulatedHub()), SimulatedClients())
        judged = await changes_of(state, *actions)
        named: set[str] = set()
        async with Client(emulator.endpoint, concurrency=1) as client:
            for change in judged:
                before = await facts_of(state, users)
                await client.send(change.step.request, timeout=5, request_id="r")
                after = await facts_of(state, users)
                values = change.step.values
                if change.verdict is IN_PLACE and change.step.action.name == "addUserToGroup":
                    own = {name for name, owner in users.items() if owner == values["userId"]}
                    assert before <= after
                    assert {name for name, *_ in after - before} <= own
                    assert any((name, values["group"]) in before for name in own)
                elif change.verdict in {IN_PLACE, ABSENT}:
                    assert before == after
                elif change.verdict is CHANGE:
                    other = "connectionId" if "userId" in values else "userId"
                    assert before != after or other in named
                named |= values.keys()


async def test_a_block_of_steps_is_judged_as_the_steps_are(tmp_path: Path) -> None:
    """Whoever is not in the group is judged alone, also who is listed twice; others are counted."""
    names = [f"user{number}" for number in range(2500)]
    hub = Hub({f"c-{name}": name for name in names}, {"red": {f"c-{name}" for name in names[:-2]}})
    listed = [*names, names[-1], "nobody"]
    (tmp_path / "m.csv").write_text("\n".join(["userId", *listed, ""]))
    playbook = read_playbook("groups: {red: {users: {file: m.csv}}}", "p.yaml")
    scope = VariableScope(inputs=Files(tmp_path))
    expected = [IN_PLACE] * 2498 + [CHANGE, CHANGE, IN_PLACE, ABSENT]

    single = StepMaker(playbook, scope, RunOptions(), "chat").steps()
    one_by_one = [part async for part in compare(single, hub)]
    assert [change.verdict for changes, _ in one_by_one for change in changes] == expected

    blocks = StepMaker(playbook, scope, RunOptions(), "chat").blocks()
    compared = [part async for part in compare(blocks, hub)]
    verdicts = dict.fromkeys(index for _, block in compared for index in block)
    verdicts = dict.fromkeys(verdicts, IN_PLACE)
    verdicts |= {step.index: verdict for changes, _ in compared for step, verdict, _ in changes}
    assert [verdicts[index] for index in sorted(verdicts)] == expected
    assert sum(len(changes) for changes, _ in compared) < len(listed)
    report = ChangeReport()
    for part in compared:
        report.count(part)
    assert report.counts == Counter(expected)
