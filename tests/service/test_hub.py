"""One hub: commands in, effects out."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runner.service.effects import Close, DataType, Deliver, Message
from runner.service.hub import (
    EVERYONE,
    Hub,
    Scope,
    TakenConnectionError,
    Target,
    UnknownConnectionError,
    UnknownUserError,
)
from runner.service.names import Permission

HELLO = Message(b"hello", DataType.TEXT)
ROOM = Target(Scope.GROUP, "room")
ADA = Target(Scope.USER, "ada")


@pytest.fixture
def hub() -> Hub:
    """Ada twice, Bob once, and an anonymous connection; Ada's first and Bob are in `room`."""
    hub = Hub()
    hub.connect("a1", "ada", ["room"])
    hub.connect("a2", "ada")
    hub.connect("b1", "bob", ["room"])
    hub.connect("x1")
    return hub


@pytest.mark.parametrize(
    ("target", "reached"),
    [
        (EVERYONE, ("a1", "a2", "b1", "x1")),
        (ROOM, ("a1", "b1")),
        (ADA, ("a1", "a2")),
        (Target(Scope.CONNECTION, "x1"), ("x1",)),
        (Target(Scope.GROUP, "nowhere"), ()),
        (Target(Scope.USER, "nobody"), ()),
        (Target(Scope.CONNECTION, "gone"), ()),
    ],
)
def test_a_send_reaches_those_it_names(hub: Hub, target: Target, reached: tuple[str, ...]) -> None:
    """In the order in which they came; nobody there is no error."""
    assert hub.send(target, HELLO) == Deliver(reached, HELLO)


def test_excluded_ids_are_compared_to_the_letter(hub: Hub) -> None:
    """Unknown ones are harmless."""
    assert hub.send(EVERYONE, HELLO, {"a1", "A2", "gone"}).connections == ("a2", "b1", "x1")


def test_a_predicate_chooses_among_the_addressed(hub: Hub) -> None:
    """A filter narrows a target; it never widens it."""
    effect = hub.send(ROOM, HELLO, matches=lambda one: one.user_id == "ada")

    assert effect.connections == ("a1",)


def test_a_user_joins_with_the_connections_that_are_there(hub: Hub) -> None:
    """A later connection is not in the group: membership belongs to connections."""
    hub.add_user_to_group("ada", "late")
    hub.connect("a3", "ada")

    assert list(hub.groups["late"]) == ["a1", "a2"]


def test_a_user_without_connections_cannot_join(hub: Hub) -> None:
    """Nothing is remembered for later."""
    with pytest.raises(UnknownUserError):
        hub.add_user_to_group("nobody", "room")
    with pytest.raises(UnknownConnectionError):
        hub.add_connection_to_group("gone", "room")

    assert "nobody" not in hub.users


def test_removing_who_is_not_there_changes_nothing(hub: Hub) -> None:
    """Unknown users, connections and groups alike."""
    hub.remove_user_from_group("nobody", "room")
    hub.remove_user_from_all_groups("nobody")
    hub.remove_connection_from_group("gone", "room")
    hub.remove_connection_from_group("a2", "room")
    hub.remove_connection_from_all_groups("gone")
    hub.disconnect("gone")

    assert list(hub.groups["room"]) == ["a1", "b1"]


def test_groups_and_users_are_gone_with_their_last_connection(hub: Hub) -> None:
    """They exist only while somebody belongs to them."""
    hub.disconnect("b1")
    hub.remove_user_from_all_groups("ada")

    assert "bob" not in hub.users
    assert "room" not in hub.groups


def test_a_close_forgets_the_connections_at_once(hub: Hub) -> None:
    """The effect names them, for whoever holds the sockets."""
    assert hub.close(ROOM, "maintenance", {"b1"}) == Close(("a1",), "maintenance")
    assert list(hub.connections) == ["a2", "b1", "x1"]
    assert list(hub.users["ada"]) == ["a2"]


def test_an_id_is_used_once(hub: Hub) -> None:
    """A second connection with the same ID is refused and changes nothing."""
    with pytest.raises(TakenConnectionError):
        hub.connect("a1", "eve", ["room"])

    assert "eve" not in hub.users


def test_a_bulk_change_selects_before_it_changes(hub: Hub) -> None:
    """A filter that asks for groups sees them as they were."""
    hub.add_to_groups(["second"], lambda one: "second" not in one.groups)
    hub.remove_from_groups(["second", "room"], lambda one: "room" in one.groups)

    assert list(hub.groups["second"]) == ["a2", "x1"]
    assert "room" not in hub.groups


def test_a_bulk_change_without_predicate_means_everybody(hub: Hub) -> None:
    """That is what a missing filter says."""
    hub.add_to_groups(["all"], None)

    assert list(hub.groups["all"]) == ["a1", "a2", "b1", "x1"]


def test_permissions_belong_to_a_connection(hub: Hub) -> None:
    """A grant is for that connection and permission alone; revoking does not evict."""
    hub.grant(Permission.SEND_TO_GROUP, "a1", "room")

    assert hub.check(Permission.SEND_TO_GROUP, "a1", "room")
    assert not hub.check(Permission.JOIN_LEAVE_GROUP, "a1", "room")
    assert not hub.check(Permission.SEND_TO_GROUP, "a2", "room")

    hub.revoke(Permission.SEND_TO_GROUP, "a1", "room")
    hub.revoke(Permission.JOIN_LEAVE_GROUP, "a2", "room")

    assert not hub.check(Permission.SEND_TO_GROUP, "a1", "room")
    assert "a1" in hub.groups["room"]


def test_roles_hold_for_every_group_until_revoked(hub: Hub) -> None:
    """A revoke denies one group in spite of the role."""
    hub.connect("r1", everywhere=[Permission.SEND_TO_GROUP])

    hub.revoke(Permission.SEND_TO_GROUP, "r1", "room")

    assert hub.check(Permission.SEND_TO_GROUP, "r1", "other")
    assert not hub.check(Permission.SEND_TO_GROUP, "r1", "room")


@pytest.mark.parametrize("ask", ["grant", "revoke", "check"])
def test_permissions_of_an_unknown_connection_are_an_error(hub: Hub, ask: str) -> None:
    """What that means for the caller is for the REST side to say."""
    with pytest.raises(UnknownConnectionError):
        getattr(hub, ask)(Permission.SEND_TO_GROUP, "gone", "room")


def test_members_come_sorted_and_from_a_place_on(hub: Hub) -> None:
    """Pages are cut from this."""
    hub.add_to_groups(["all"], None)

    assert [one.connection_id for one in hub.members("all", "a1", 2)] == ["a2", "b1"]
    assert hub.members("nowhere", "", 2) == []


IDS = st.sampled_from(["c1", "c2", "c3", "c4"])
USERS = st.sampled_from(["ada", "bob"])
GROUPS = st.sampled_from(["g", "h"])


class HubAgainstModel(RuleBasedStateMachine):
    """The indexes agree with the connections, whatever was done."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub()
        self.users: dict[str, str | None] = {}
        self.joined: set[tuple[str, str]] = set()

    @rule(one=IDS, user=st.none() | USERS, group=GROUPS)
    def connect(self, one: str, user: str | None, group: str) -> None:
        """A new connection, a member from the start."""
        if one not in self.users:
            self.hub.connect(one, user, [group])
            self.users[one] = user
            self.joined.add((one, group))

    @rule(one=IDS, group=GROUPS)
    def join(self, one: str, group: str) -> None:
        """One connection joins."""
        if one in self.users:
            self.hub.add_connection_to_group(one, group)
            self.joined.add((one, group))

    @rule(one=IDS, group=GROUPS)
    def leave(self, one: str, group: str) -> None:
        """One connection leaves, or was not there."""
        self.hub.remove_connection_from_group(one, group)
        self.joined.discard((one, group))

    @rule(user=USERS, group=GROUPS)
    def join_user(self, user: str, group: str) -> None:
        """All of a user join."""
        mine = [one for one, owner in self.users.items() if owner == user]
        if mine:
            self.hub.add_user_to_group(user, group)
            self.joined.update((one, group) for one in mine)

    @rule(user=USERS)
    def leave_all(self, user: str) -> None:
        """All of a user leave everything."""
        self.hub.remove_user_from_all_groups(user)
        self.joined = {(one, group) for one, group in self.joined if self.users[one] != user}

    @rule(group=GROUPS)
    def close(self, group: str) -> None:
        """A group is cut off."""
        closed = self.hub.close(Target(Scope.GROUP, group)).connections
        assert set(closed) == {one for one, where in self.joined if where == group}
        for one in closed:
            del self.users[one]
        self.joined = {(one, where) for one, where in self.joined if one in self.users}

    @invariant()
    def agrees(self) -> None:
        """Users, groups and connections tell one story."""
        members = {(one, group) for group, ones in self.hub.groups.items() for one in ones}
        owners = {(one, user) for user, ones in self.hub.users.items() for one in ones}
        own = {(c.connection_id, g) for c in self.hub.connections.values() for g in c.groups}
        assert members == own == self.joined
        assert owners == {(one, user) for one, user in self.users.items() if user is not None}


TestHubAgainstModel = HubAgainstModel.TestCase
