"""The state of one hub: commands change it and return effects.

The hub knows only the IDs of connections, not their clients. Users and groups exist while a
connection belongs to them. Sets are dicts, so that deliveries are in the order of connecting.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wps_run.emulator.effects import Close, Deliver, Message
from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import PermissionRules


class UnknownConnectionError(Exception):
    """No connection of the hub has this ID."""


class UnknownUserError(Exception):
    """No connection of the hub belongs to this user."""


class DuplicateConnectionError(ValueError):
    """A connection of the hub has this ID already."""


class TargetKind(StrEnum):
    """The kind of target of a send or a close."""

    HUB = "hub"
    GROUP = "group"
    USER = "user"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Target:
    """A target of a send or a close; `name` is "" for the whole hub."""

    kind: TargetKind
    name: str = ""


ALL_CONNECTIONS = Target(TargetKind.HUB)


@dataclass(slots=True)
class Connection:
    """One connection, of an anonymous user if `user_id` is None. Only its hub may change it."""

    connection_id: str
    user_id: str | None = None
    protocol: str | None = None
    groups: dict[str, None] = field(default_factory=dict)  # in the order of joining
    rules: dict[Permission, PermissionRules] = field(default_factory=dict)


Predicate = Callable[[Connection], bool]
"""Whether a filter selects a connection."""

_Members = dict[str, Connection]


class Hub:
    """The connections of one hub, with indexes by user and by group."""

    def __init__(self) -> None:
        self._connections: _Members = {}
        self._users: dict[str, _Members] = {}
        self._groups: dict[str, _Members] = {}

    @property
    def connections(self) -> Mapping[str, Connection]:
        """The connections by ID, in the order of connecting."""
        return self._connections

    @property
    def users(self) -> Mapping[str, Collection[str]]:
        """The IDs of each user's connections."""
        return self._users

    @property
    def groups(self) -> Mapping[str, Collection[str]]:
        """The IDs of each group's members."""
        return self._groups

    # Connections.

    def connect(
        self,
        connection_id: str,
        user_id: str | None = None,
        groups: Iterable[str] = (),
        *,
        protocol: str | None = None,
        rules: Mapping[Permission, PermissionRules] | None = None,
    ) -> None:
        """Add a connection; the hub owns its rules from now on.

        Raises:
            DuplicateConnectionError: The ID is in use.
        """
        if connection_id in self._connections:
            raise DuplicateConnectionError(connection_id)
        connection = Connection(connection_id, user_id, protocol, rules=dict(rules or {}))
        self._connections[connection_id] = connection
        if user_id is not None:
            self._users.setdefault(user_id, {})[connection_id] = connection
        for group in groups:
            self._join(connection, group)

    def disconnect(self, connection_id: str) -> None:
        """Remove a connection; an unknown one is ignored."""
        connection = self._connections.pop(connection_id, None)
        if connection is None:
            return
        for group in tuple(connection.groups):
            self._leave(connection, group)
        if connection.user_id is not None:
            _drop(self._users, connection.user_id, connection_id)

    def close(
        self, target: Target, reason: str = "", excluded: Collection[str] = frozenset()
    ) -> Close:
        """Remove the connections of a target, except the excluded IDs."""
        selected = self._select(target, excluded, None)
        users = tuple(self._connections[connection_id].user_id for connection_id in selected)
        for connection_id in selected:
            self.disconnect(connection_id)
        return Close(selected, reason, users)

    # Groups.

    def add_connection_to_group(self, connection_id: str, group: str) -> None:
        """Add a connection to a group. Raises UnknownConnectionError."""
        self._join(self._find(connection_id), group)

    def remove_connection_from_group(self, connection_id: str, group: str) -> None:
        """Remove a connection from a group; an unknown one or a non-member is ignored."""
        connection = self._connections.get(connection_id)
        if connection is not None:
            self._leave(connection, group)

    def remove_connection_from_all_groups(self, connection_id: str) -> None:
        """Remove a connection from all groups; an unknown one is ignored."""
        connection = self._connections.get(connection_id)
        for group in tuple(connection.groups) if connection else ():
            self.remove_connection_from_group(connection_id, group)

    def add_user_to_group(self, user_id: str, group: str) -> None:
        """Add the current connections of a user to a group. Raises UnknownUserError."""
        connections = self._users.get(user_id)
        if connections is None:
            raise UnknownUserError(user_id)
        for connection in connections.values():
            self._join(connection, group)

    def remove_user_from_group(self, user_id: str, group: str) -> None:
        """Remove a user's connections from a group; an unknown user is ignored."""
        for connection in self._users.get(user_id, {}).values():
            self._leave(connection, group)

    def remove_user_from_all_groups(self, user_id: str) -> None:
        """Remove a user's connections from all groups; an unknown user is ignored."""
        for connection_id in self._users.get(user_id, ()):
            self.remove_connection_from_all_groups(connection_id)

    def add_to_groups(self, groups: Collection[str], matches: Predicate | None) -> None:
        """Add each connection that matches (None: all) to each of the groups."""
        for connection in self._matching(matches):
            for group in groups:
                self._join(connection, group)

    def remove_from_groups(self, groups: Collection[str], matches: Predicate | None) -> None:
        """Remove each connection that matches (None: all) from each of the groups."""
        for connection in self._matching(matches):
            for group in groups:
                self._leave(connection, group)

    def members(self, group: str, after: str, limit: int) -> list[Connection]:
        """Return the first `limit` members of a group, sorted by ID, whose ID is above `after`."""
        members = self._groups.get(group, {})
        following = (connection_id for connection_id in members if connection_id > after)
        return [members[connection_id] for connection_id in heapq.nsmallest(limit, following)]

    # Messages.

    def send(
        self,
        target: Target,
        message: Message,
        excluded: Collection[str] = frozenset(),
        matches: Predicate | None = None,
    ) -> Deliver:
        """Address a message to a target, which may have no connections, except the excluded IDs."""
        return Deliver(self._select(target, excluded, matches), message)

    # Permissions.

    def grant(self, permission: Permission, connection_id: str, group: str) -> None:
        """Grant a permission. Raises UnknownConnectionError, TooManyRulesError."""
        rules = self._find(connection_id).rules
        rules.setdefault(permission, PermissionRules()).grant(group)

    def revoke(self, permission: Permission, connection_id: str, group: str) -> None:
        """Revoke a permission; the connection stays in the group. Raises as `grant` does."""
        rules = self._find(connection_id).rules.get(permission)
        if rules is not None:
            rules.revoke(group)

    def check(self, permission: Permission, connection_id: str, group: str) -> bool:
        """Whether a connection has a permission. Raises UnknownConnectionError."""
        rules = self._find(connection_id).rules.get(permission)
        return rules is not None and rules.check(group)

    def _find(self, connection_id: str) -> Connection:
        try:
            return self._connections[connection_id]
        except KeyError:
            raise UnknownConnectionError(connection_id) from None

    def _join(self, connection: Connection, group: str) -> None:
        connection.groups[group] = None
        self._groups.setdefault(group, {})[connection.connection_id] = connection

    def _leave(self, connection: Connection, group: str) -> None:
        if group in connection.groups:
            del connection.groups[group]
            _drop(self._groups, group, connection.connection_id)

    def _matching(self, matches: Predicate | None) -> list[Connection]:
        """Select the connections before the first change: a filter may depend on groups."""
        connections = self._connections.values()
        return [connection for connection in connections if matches is None or matches(connection)]

    def _select(
        self, target: Target, excluded: Collection[str], matches: Predicate | None
    ) -> tuple[str, ...]:
        candidates = self._candidates(target)
        if not excluded and matches is None:
            return tuple(candidates)
        return tuple(
            connection_id
            for connection_id, connection in candidates.items()
            if connection_id not in excluded and (matches is None or matches(connection))
        )

    def _candidates(self, target: Target) -> _Members:
        match target.kind:
            case TargetKind.HUB:
                return self._connections
            case TargetKind.GROUP:
                return self._groups.get(target.name, {})
            case TargetKind.USER:
                return self._users.get(target.name, {})
            case TargetKind.CONNECTION:
                connection = self._connections.get(target.name)
                return {target.name: connection} if connection else {}


def _drop(index: dict[str, _Members], key: str, connection_id: str) -> None:
    """Remove a connection from an index; a user or group without connections is removed."""
    members = index[key]
    del members[connection_id]
    if not members:
        del index[key]
