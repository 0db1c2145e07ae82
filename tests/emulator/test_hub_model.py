"""A property test: a hub under random commands against a model of sets of tuples."""

from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.hub import (
    ALL_CONNECTIONS,
    Connection,
    DuplicateConnectionError,
    Hub,
    Target,
    TargetKind,
    UnknownConnectionError,
    UnknownUserError,
)
from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import PermissionRules

IDS = [f"c{number}" for number in range(6)]
USERS = [None, "ada", "bob"]
GROUPS = ["g", "h", "a/b"]
PERMISSIONS = list(Permission)
ids = st.sampled_from(IDS)
users = st.sampled_from(["ada", "bob", "nobody"])
groups = st.sampled_from(GROUPS)
some_groups = st.lists(groups, max_size=3)
permissions = st.sampled_from(PERMISSIONS)
excluded = st.frozensets(ids, max_size=2)
targets = st.one_of(
    st.just(ALL_CONNECTIONS),
    groups.map(lambda name: Target(TargetKind.GROUP, name)),
    users.map(lambda name: Target(TargetKind.USER, name)),
    ids.map(lambda name: Target(TargetKind.CONNECTION, name)),
)


@dataclass(frozen=True)
class UserOrGroup:
    """A predicate for hub and model: of this user, or in this group."""

    user: str | None
    group: str

    def __call__(self, connection: Connection) -> bool:
        """Evaluate it on a connection of the hub."""
        return connection.user_id == self.user or self.group in connection.groups


predicates = st.none() | st.builds(UserOrGroup, st.sampled_from(USERS), groups)


class HubMachine(RuleBasedStateMachine):
    """A hub and its model: connections, owners, memberships, roles and permission changes."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub()
        self.connected: list[str] = []
        self.owners: set[tuple[str, str | None]] = set()
        self.memberships: set[tuple[str, str]] = set()
        self.role: set[tuple[str, Permission]] = set()
        self.granted: set[tuple[str, Permission, str]] = set()
        self.revoked: set[tuple[str, Permission, str]] = set()

    # The model's view.

    def candidates(self, destination: Target) -> set[str]:
        """The connections of a target."""
        match destination.kind:
            case TargetKind.HUB:
                return set(self.connected)
            case TargetKind.GROUP:
                return {id_ for id_, group in self.memberships if group == destination.name}
            case TargetKind.USER:
                return {id_ for id_, user in self.owners if user == destination.name}
            case TargetKind.CONNECTION:
                return {destination.name} & set(self.connected)

    def matching(self, predicate: UserOrGroup | None) -> set[str]:
        """The connections that match a predicate."""
        if predicate is None:
            return set(self.connected)
        return {
            id_
            for id_ in self.connected
            if (id_, predicate.user) in self.owners or (id_, predicate.group) in self.memberships
        }

    def remove(self, id_: str) -> None:
        """Remove every fact about a connection."""
        if id_ not in self.connected:
            return
        self.connected.remove(id_)
        self.owners = {fact for fact in self.owners if fact[0] != id_}
        self.memberships = {fact for fact in self.memberships if fact[0] != id_}
        self.role = {fact for fact in self.role if fact[0] != id_}
        self.granted = {fact for fact in self.granted if fact[0] != id_}
        self.revoked = {fact for fact in self.revoked if fact[0] != id_}

    # Commands.

    @rule(
        id_=ids,
        user=st.sampled_from(USERS),
        joined=some_groups,
        roles=st.frozensets(permissions),
    )
    def connect(
        self, id_: str, user: str | None, joined: list[str], roles: frozenset[Permission]
    ) -> None:
        """A duplicate ID is refused, and nothing changes."""
        rules = {role: PermissionRules(all_groups=True) for role in roles}
        if id_ in self.connected:
            with pytest.raises(DuplicateConnectionError):
                self.hub.connect(id_, user, joined, rules=rules)
            return
        self.hub.connect(id_, user, joined, rules=rules)
        self.connected.append(id_)
        self.owners.add((id_, user))
        self.memberships |= {(id_, group) for group in joined}
        self.role |= {(id_, role) for role in roles}

    @rule(id_=ids)
    def disconnect(self, id_: str) -> None:
        """An unknown one is ignored."""
        self.hub.disconnect(id_)
        self.remove(id_)

    @rule(destination=targets, excluded_ids=excluded)
    def close(self, destination: Target, excluded_ids: frozenset[str]) -> None:
        """The target's connections are removed, except the excluded ones."""
        effect = self.hub.close(destination, "why", excluded_ids)
        selected = self.candidates(destination) - excluded_ids
        assert effect.reason == "why"
        assert len(effect.connections) == len(selected)
        assert set(effect.connections) == selected
        for id_ in selected:
            self.remove(id_)

    @rule(destination=targets, excluded_ids=excluded, predicate=predicates)
    def send(
        self, destination: Target, excluded_ids: frozenset[str], predicate: UserOrGroup | None
    ) -> None:
        """Matching connections of the target receive it once, except the excluded ones."""
        message = Message(b"x", DataType.TEXT)
        effect = self.hub.send(destination, message, excluded_ids, predicate)
        selected = (self.candidates(destination) & self.matching(predicate)) - excluded_ids
        assert effect.message is message
        assert len(effect.connections) == len(selected)
        assert set(effect.connections) == selected
        if destination == ALL_CONNECTIONS:
            assert list(effect.connections) == [id_ for id_ in self.connected if id_ in selected]

    @rule(id_=ids, group=groups)
    def add_connection(self, id_: str, group: str) -> None:
        """An unknown one is an error."""
        if id_ in self.connected:
            self.hub.add_connection_to_group(id_, group)
            self.memberships.add((id_, group))
        else:
            with pytest.raises(UnknownConnectionError):
                self.hub.add_connection_to_group(id_, group)

    @rule(id_=ids, group=st.none() | groups)
    def remove_connection(self, id_: str, group: str | None) -> None:
        """From one group, or from all."""
        if group is None:
            self.hub.remove_connection_from_all_groups(id_)
        else:
            self.hub.remove_connection_from_group(id_, group)
        self.memberships -= {(id_, group_name) for group_name in ([group] if group else GROUPS)}

    @rule(user=users, group=groups)
    def add_user(self, user: str, group: str) -> None:
        """With all current connections; without one, an error."""
        user_connections = {id_ for id_, owner in self.owners if owner == user}
        if user_connections:
            self.hub.add_user_to_group(user, group)
            self.memberships |= {(id_, group) for id_ in user_connections}
        else:
            with pytest.raises(UnknownUserError):
                self.hub.add_user_to_group(user, group)

    @rule(user=users, group=st.none() | groups)
    def remove_user(self, user: str, group: str | None) -> None:
        """From one group, or from all."""
        if group is None:
            self.hub.remove_user_from_all_groups(user)
        else:
            self.hub.remove_user_from_group(user, group)
        user_connections = {id_ for id_, owner in self.owners if owner == user}
        self.memberships -= {
            (id_, group_name)
            for id_ in user_connections
            for group_name in ([group] if group else GROUPS)
        }

    @rule(group_names=some_groups, predicate=predicates)
    def add_many(self, group_names: list[str], predicate: UserOrGroup | None) -> None:
        """All matches are selected before the first change."""
        selected = self.matching(predicate)
        self.hub.add_to_groups(group_names, predicate)
        self.memberships |= {(id_, group) for id_ in selected for group in group_names}

    @rule(group_names=some_groups, predicate=predicates)
    def remove_many(self, group_names: list[str], predicate: UserOrGroup | None) -> None:
        """Those that match leave each group."""
        selected = self.matching(predicate)
        self.hub.remove_from_groups(group_names, predicate)
        self.memberships -= {(id_, group) for id_ in selected for group in group_names}

    @rule(id_=ids, permission=permissions, group=groups)
    def grant(self, id_: str, permission: Permission, group: str) -> None:
        """The last change counts."""
        if id_ not in self.connected:
            with pytest.raises(UnknownConnectionError):
                self.hub.grant(permission, id_, group)
            return
        self.hub.grant(permission, id_, group)
        self.granted.add((id_, permission, group))
        self.revoked.discard((id_, permission, group))

    @rule(id_=ids, permission=permissions, group=groups)
    def revoke(self, id_: str, permission: Permission, group: str) -> None:
        """It beats what the roles give."""
        if id_ not in self.connected:
            with pytest.raises(UnknownConnectionError):
                self.hub.revoke(permission, id_, group)
            return
        self.hub.revoke(permission, id_, group)
        self.revoked.add((id_, permission, group))
        self.granted.discard((id_, permission, group))

    # What must hold.

    @invariant()
    def the_indexes_agree(self) -> None:
        """Users and groups exist while a connection belongs to them; order is that of coming."""
        hub = self.hub
        assert list(hub.connections) == self.connected
        assert {
            (id_, connection.user_id) for id_, connection in hub.connections.items()
        } == self.owners
        assert {(id_, user) for user, ids_of in hub.users.items() for id_ in ids_of} == {
            fact for fact in self.owners if fact[1] is not None
        }
        members = {(id_, group) for group, ids_of in hub.groups.items() for id_ in ids_of}
        joined = {
            (id_, group)
            for id_, connection in hub.connections.items()
            for group in connection.groups
        }
        assert members == joined == self.memberships
        assert all(hub.groups.values())
        assert all(hub.users.values())

    @invariant()
    def the_lists_agree(self) -> None:
        """Sorted by ID, a page at a time."""
        for group in GROUPS:
            expected = sorted(id_ for id_, joined in self.memberships if joined == group)
            listed = [connection.connection_id for connection in self.hub.members(group, "c1", 2)]
            assert listed == [id_ for id_ in expected if id_ > "c1"][:2]

    @invariant()
    def the_permissions_agree(self) -> None:
        """A revocation overrides the roles; the last change counts."""
        for id_ in self.connected:
            for permission in PERMISSIONS:
                for group in GROUPS:
                    fact = (id_, permission, group)
                    allowed = fact in self.granted or (
                        (id_, permission) in self.role and fact not in self.revoked
                    )
                    assert self.hub.check(permission, id_, group) is allowed


TestHubMachine = HubMachine.TestCase
