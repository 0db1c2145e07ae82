"""One hub at random, against sets of tuples."""

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
class Wanted:
    """A predicate that both sides can ask: of this user, or in this group."""

    user: str | None
    group: str

    def __call__(self, connection: Connection) -> bool:
        """What the hub asks."""
        return connection.user_id == self.user or self.group in connection.groups


wanted = st.none() | st.builds(Wanted, st.sampled_from(USERS), groups)


class HubMachine(RuleBasedStateMachine):
    """A hub, and facts written down one by one: who is there, whose, in what, allowed what."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub()
        self.there: list[str] = []
        self.whose: set[tuple[str, str | None]] = set()
        self.member: set[tuple[str, str]] = set()
        self.role: set[tuple[str, Permission]] = set()
        self.granted: set[tuple[str, Permission, str]] = set()
        self.revoked: set[tuple[str, Permission, str]] = set()

    # The model's view.

    def addressed(self, target: Target) -> set[str]:
        """Who is meant."""
        match target.kind:
            case TargetKind.HUB:
                return set(self.there)
            case TargetKind.GROUP:
                return {one for one, group in self.member if group == target.name}
            case TargetKind.USER:
                return {one for one, user in self.whose if user == target.name}
            case TargetKind.CONNECTION:
                return {target.name} & set(self.there)

    def matching(self, want: Wanted | None) -> set[str]:
        """Who fits a predicate."""
        if want is None:
            return set(self.there)
        return {
            one
            for one in self.there
            if (one, want.user) in self.whose or (one, want.group) in self.member
        }

    def forget(self, one: str) -> None:
        """Strike every fact about a connection."""
        if one not in self.there:
            return
        self.there.remove(one)
        self.whose = {fact for fact in self.whose if fact[0] != one}
        self.member = {fact for fact in self.member if fact[0] != one}
        self.role = {fact for fact in self.role if fact[0] != one}
        self.granted = {fact for fact in self.granted if fact[0] != one}
        self.revoked = {fact for fact in self.revoked if fact[0] != one}

    # Commands.

    @rule(
        one=ids,
        user=st.sampled_from(USERS),
        joined=some_groups,
        roles=st.frozensets(permissions),
    )
    def connect(
        self, one: str, user: str | None, joined: list[str], roles: frozenset[Permission]
    ) -> None:
        """An ID that is taken is refused, and nothing changes."""
        rules = {role: PermissionRules(all_groups=True) for role in roles}
        if one in self.there:
            with pytest.raises(DuplicateConnectionError):
                self.hub.connect(one, user, joined, rules=rules)
            return
        self.hub.connect(one, user, joined, rules=rules)
        self.there.append(one)
        self.whose.add((one, user))
        self.member |= {(one, group) for group in joined}
        self.role |= {(one, role) for role in roles}

    @rule(one=ids)
    def disconnect(self, one: str) -> None:
        """An unknown one is left alone."""
        self.hub.disconnect(one)
        self.forget(one)

    @rule(aim=targets, spared=excluded)
    def close(self, aim: Target, spared: frozenset[str]) -> None:
        """Whoever is addressed and not spared is gone."""
        effect = self.hub.close(aim, "why", spared)
        chosen = self.addressed(aim) - spared
        assert effect.reason == "why"
        assert len(effect.connections) == len(chosen)
        assert set(effect.connections) == chosen
        for one in chosen:
            self.forget(one)

    @rule(aim=targets, spared=excluded, want=wanted)
    def send(self, aim: Target, spared: frozenset[str], want: Wanted | None) -> None:
        """Whoever is addressed, matches and is not spared hears it, once."""
        message = Message(b"x", DataType.TEXT)
        effect = self.hub.send(aim, message, spared, want)
        chosen = (self.addressed(aim) & self.matching(want)) - spared
        assert effect.message is message
        assert len(effect.connections) == len(chosen)
        assert set(effect.connections) == chosen
        if aim == ALL_CONNECTIONS:
            assert list(effect.connections) == [one for one in self.there if one in chosen]

    @rule(one=ids, group=groups)
    def add_connection(self, one: str, group: str) -> None:
        """An unknown one is an error."""
        if one in self.there:
            self.hub.add_connection_to_group(one, group)
            self.member.add((one, group))
        else:
            with pytest.raises(UnknownConnectionError):
                self.hub.add_connection_to_group(one, group)

    @rule(one=ids, group=st.none() | groups)
    def remove_connection(self, one: str, group: str | None) -> None:
        """From one group, or from all."""
        if group is None:
            self.hub.remove_connection_from_all_groups(one)
        else:
            self.hub.remove_connection_from_group(one, group)
        self.member -= {(one, left) for left in ([group] if group else GROUPS)}

    @rule(user=users, group=groups)
    def add_user(self, user: str, group: str) -> None:
        """With all connections there are; with none, an error."""
        here = {one for one, owner in self.whose if owner == user}
        if here:
            self.hub.add_user_to_group(user, group)
            self.member |= {(one, group) for one in here}
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
        here = {one for one, owner in self.whose if owner == user}
        self.member -= {(one, left) for one in here for left in ([group] if group else GROUPS)}

    @rule(many=some_groups, want=wanted)
    def add_many(self, many: list[str], want: Wanted | None) -> None:
        """All matches are chosen before the first change."""
        chosen = self.matching(want)
        self.hub.add_to_groups(many, want)
        self.member |= {(one, group) for one in chosen for group in many}

    @rule(many=some_groups, want=wanted)
    def remove_many(self, many: list[str], want: Wanted | None) -> None:
        """Those that match leave each group."""
        chosen = self.matching(want)
        self.hub.remove_from_groups(many, want)
        self.member -= {(one, group) for one in chosen for group in many}

    @rule(one=ids, what=permissions, group=groups)
    def grant(self, one: str, what: Permission, group: str) -> None:
        """The last word counts."""
        if one not in self.there:
            with pytest.raises(UnknownConnectionError):
                self.hub.grant(what, one, group)
            return
        self.hub.grant(what, one, group)
        self.granted.add((one, what, group))
        self.revoked.discard((one, what, group))

    @rule(one=ids, what=permissions, group=groups)
    def revoke(self, one: str, what: Permission, group: str) -> None:
        """It beats what the roles give."""
        if one not in self.there:
            with pytest.raises(UnknownConnectionError):
                self.hub.revoke(what, one, group)
            return
        self.hub.revoke(what, one, group)
        self.revoked.add((one, what, group))
        self.granted.discard((one, what, group))

    # What must hold.

    @invariant()
    def the_indexes_agree(self) -> None:
        """Users and groups exist while a connection belongs to them; order is that of coming."""
        hub = self.hub
        assert list(hub.connections) == self.there
        assert {(one, each.user_id) for one, each in hub.connections.items()} == self.whose
        assert {(one, user) for user, those in hub.users.items() for one in those} == {
            fact for fact in self.whose if fact[1] is not None
        }
        members = {(one, group) for group, those in hub.groups.items() for one in those}
        joined = {(one, group) for one, each in hub.connections.items() for group in each.groups}
        assert members == joined == self.member
        assert all(hub.groups.values())
        assert all(hub.users.values())

    @invariant()
    def the_lists_agree(self) -> None:
        """Sorted by ID, a page at a time."""
        for group in GROUPS:
            expected = sorted(one for one, joined in self.member if joined == group)
            found = [each.connection_id for each in self.hub.members(group, "c1", 2)]
            assert found == [one for one in expected if one > "c1"][:2]

    @invariant()
    def the_permissions_agree(self) -> None:
        """A revocation beats the roles, the last word counts."""
        for one in self.there:
            for what in PERMISSIONS:
                for group in GROUPS:
                    fact = (one, what, group)
                    allowed = fact in self.granted or (
                        (one, what) in self.role and fact not in self.revoked
                    )
                    assert self.hub.check(what, one, group) is allowed


TestHubMachine = HubMachine.TestCase
