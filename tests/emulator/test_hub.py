"""Tests of a hub: commands and their effects."""

import pytest

from wps_run.emulator.effects import Close, DataType, Deliver, Message
from wps_run.emulator.hub import (
    ALL_CONNECTIONS,
    DuplicateConnectionError,
    Hub,
    Target,
    TargetKind,
    UnknownConnectionError,
    UnknownUserError,
)
from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import PermissionRules

HELLO = Message(b"hello", DataType.TEXT)
ROOM = Target(TargetKind.GROUP, "room")
ADA = Target(TargetKind.USER, "ada")


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
        (ALL_CONNECTIONS, ("a1", "a2", "b1", "x1")),
        (ROOM, ("a1", "b1")),
        (ADA, ("a1", "a2")),
        (Target(TargetKind.CONNECTION, "x1"), ("x1",)),
        (Target(TargetKind.GROUP, "nowhere"), ()),
        (Target(TargetKind.USER, "nobody"), ()),
        (Target(TargetKind.CONNECTION, "gone"), ()),
    ],
)
def test_a_send_reaches_the_connections_of_its_target(
    hub: Hub, target: Target, reached: tuple[str, ...]
) -> None:
    """In the order of connecting; no connection is not an error."""
    assert hub.send(target, HELLO) == Deliver(reached, HELLO)


def test_excluded_ids_are_compared_exactly(hub: Hub) -> None:
    """Unknown ones are harmless."""
    assert hub.send(ALL_CONNECTIONS, HELLO, {"a1", "A2", "gone"}).connections == ("a2", "b1", "x1")


def test_a_predicate_selects_within_the_target(hub: Hub) -> None:
    """A filter narrows a target; it never widens it."""
    effect = hub.send(ROOM, HELLO, matches=lambda connection: connection.user_id == "ada")

    assert effect.connections == ("a1",)


def test_a_user_joins_with_the_current_connections(hub: Hub) -> None:
    """A later connection is not in the group: membership belongs to connections."""
    hub.add_user_to_group("ada", "late")
    hub.connect("a3", "ada")

    assert list(hub.groups["late"]) == ["a1", "a2"]


def test_a_user_without_connections_cannot_join(hub: Hub) -> None:
    """Nothing is stored for later."""
    with pytest.raises(UnknownUserError):
        hub.add_user_to_group("nobody", "room")
    with pytest.raises(UnknownConnectionError):
        hub.add_connection_to_group("gone", "room")

    assert "nobody" not in hub.users


def test_removing_what_does_not_exist_changes_nothing(hub: Hub) -> None:
    """Unknown users, connections and groups alike."""
    hub.remove_user_from_group("nobody", "room")
    hub.remove_user_from_all_groups("nobody")
    hub.remove_connection_from_group("gone", "room")
    hub.remove_connection_from_group("a2", "room")
    hub.remove_connection_from_all_groups("gone")
    hub.disconnect("gone")

    assert list(hub.groups["room"]) == ["a1", "b1"]


def test_groups_and_users_are_removed_with_their_last_connection(hub: Hub) -> None:
    """They exist only while a connection belongs to them."""
    hub.disconnect("b1")
    hub.remove_user_from_all_groups("ada")

    assert "bob" not in hub.users
    assert "room" not in hub.groups


def test_a_close_removes_the_connections_at_once(hub: Hub) -> None:
    """The effect has their IDs."""
    assert hub.close(ROOM, "maintenance", {"b1"}) == Close(("a1",), "maintenance")
    assert list(hub.connections) == ["a2", "b1", "x1"]
    assert list(hub.users["ada"]) == ["a2"]


def test_an_id_is_used_once(hub: Hub) -> None:
    """A second connection with the same ID is refused and changes nothing."""
    with pytest.raises(DuplicateConnectionError):
        hub.connect("a1", "eve", ["room"])

    assert "eve" not in hub.users


def test_a_bulk_change_selects_before_it_changes(hub: Hub) -> None:
    """A filter on groups is evaluated before the change."""
    hub.add_to_groups(["second"], lambda connection: "second" not in connection.groups)
    hub.remove_from_groups(["second", "room"], lambda connection: "room" in connection.groups)

    assert list(hub.groups["second"]) == ["a2", "x1"]
    assert "room" not in hub.groups


def test_a_bulk_change_without_predicate_selects_all(hub: Hub) -> None:
    """As without a filter."""
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


def test_roles_apply_to_every_group_until_revoked(hub: Hub) -> None:
    """A revoke denies one group in spite of the role."""
    hub.connect("r1", rules={Permission.SEND_TO_GROUP: PermissionRules(all_groups=True)})

    hub.revoke(Permission.SEND_TO_GROUP, "r1", "room")

    assert hub.check(Permission.SEND_TO_GROUP, "r1", "other")
    assert not hub.check(Permission.SEND_TO_GROUP, "r1", "room")


@pytest.mark.parametrize("method", ["grant", "revoke", "check"])
def test_permissions_of_an_unknown_connection_are_an_error(hub: Hub, method: str) -> None:
    """The REST operations turn it into a response."""
    with pytest.raises(UnknownConnectionError):
        getattr(hub, method)(Permission.SEND_TO_GROUP, "gone", "room")


def test_members_are_sorted_and_begin_after_an_id(hub: Hub) -> None:
    """Pages are made from this."""
    hub.add_to_groups(["all"], None)

    assert [member.connection_id for member in hub.members("all", "a1", 2)] == ["a2", "b1"]
    assert hub.members("nowhere", "", 2) == []
