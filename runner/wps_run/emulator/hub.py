"""The state of one hub: a command in, effects out.

The hub knows connections by their IDs only; whether a WebSocket or a simulated client is behind
an ID is not its business. Users and groups exist while a connection belongs to them. Sets are
kept as dicts, so that deliveries have the order in which connections came.
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
    """Whom a send or a close is meant for."""

    HUB = "hub"
    GROUP = "group"
    USER = "user"
    CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of target and its name; "" for the whole hub."""

    kind: TargetKind
    name: str = ""


ALL_CONNECTIONS = Target(TargetKind.HUB)


@dataclass(slots=True)
class Connection:
    """One connection. Owned by its hub; read it, change it only through the hub.

    Attributes:
        connection_id: Its ID.
        user_id: Whose it is, or None when anonymous.
        protocol: The subprotocol it speaks, or None.
        groups: The groups it is in, in the order in which it joined.
        rules: What it may do with which groups.
    """

    connection_id: str
    user_id: str | None = None
    protocol: str | None = None
    groups: dict[str, None] = field(default_factory=dict)
    rules: dict[Permission, PermissionRules] = field(default_factory=dict)


Predicate = Callable[[Connection], bool]
"""Which connections a filter selects."""

_Members = dict[str, Connection]


class Hub:
    """The connections of one hub, with indexes by user and by group."""

    def __init__(self) -> None:
        self._connections: _Members = {}
        self._users: dict[str, _Members] = {}
        self._groups: dict[str, _Members] = {}

    @property
    def connections(self) -> Mapping[str, Connection]:
        """Each connection by its ID, in the order in which they came."""
        return self._connections

    @property
    def users(self) -> Mapping[str, Collection[str]]:
        """The IDs of each user's connections."""
        return self._users

    @property
    def groups(self) -> Mapping[str, Collection[str]]:
        """The IDs of each group's members."""
        return self._groups

    # Connections come and go.

    def connect(
        self,
        connection_id: str,
        user_id: str | None = None,
        groups: Iterable[str] = (),
        *,
        protocol: str | None = None,
        rules: Mapping[Permission, PermissionRules] | None = None,
    ) -> None:
        """Let a connection in.

        Args:
            connection_id: Its ID, new to this hub.
            user_id: Whose it is, or None.
            groups: The groups it is in from the start.
            protocol: The subprotocol it speaks, or None.
            rules: What it may do with which groups; given away to the hub.

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
        """Forget a connection that has left; an unknown one is none of our business."""
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
        """Cut off whoever the target names, save for the excluded IDs."""
        chosen = self._select(target, excluded, None)
        users = tuple(self._connections[connection_id].user_id for connection_id in chosen)
        for connection_id in chosen:
            self.disconnect(connection_id)
        return Close(chosen, reason, users)

    # Groups.

    def add_connection_to_group(self, connection_id: str, group: str) -> None:
        """Raises UnknownConnectionError."""
        self._join(self._known(connection_id), group)

    def remove_connection_from_group(self, connection_id: str, group: str) -> None:
        """An unknown connection, or one that is no member, is left alone."""
        connection = self._connections.get(connection_id)
        if connection is not None:
            self._leave(connection, group)

    def remove_connection_from_all_groups(self, connection_id: str) -> None:
        """An unknown connection is left alone."""
        connection = self._connections.get(connection_id)
        for group in tuple(connection.groups) if connection else ():
            self.remove_connection_from_group(connection_id, group)

    def add_user_to_group(self, user_id: str, group: str) -> None:
        """Add the connections that the user has now; later ones are not added.

        Raises:
            UnknownUserError: The user has none.
        """
        connections = self._users.get(user_id)
        if connections is None:
            raise UnknownUserError(user_id)
        for connection in connections.values():
            self._join(connection, group)

    def remove_user_from_group(self, user_id: str, group: str) -> None:
        """An unknown user, or one that is no member, is left alone."""
        for connection in self._users.get(user_id, {}).values():
            self._leave(connection, group)

    def remove_user_from_all_groups(self, user_id: str) -> None:
        """An unknown user is left alone."""
        for connection_id in self._users.get(user_id, ()):
            self.remove_connection_from_all_groups(connection_id)

    def add_to_groups(self, groups: Collection[str], matches: Predicate | None) -> None:
        """Add every connection that matches (None: all of them) to each of the groups."""
        for connection in self._matching(matches):
            for group in groups:
                self._join(connection, group)

    def remove_from_groups(self, groups: Collection[str], matches: Predicate | None) -> None:
        """Remove every connection that matches (None: all of them) from each of the groups."""
        for connection in self._matching(matches):
            for group in groups:
                self._leave(connection, group)

    def members(self, group: str, after: str, limit: int) -> list[Connection]:
        """The first `limit` members of a group whose IDs come after a given one, sorted by ID."""
        members = self._groups.get(group, {})
        chosen = heapq.nsmallest(limit, (one for one in members if one > after))
        return [members[connection_id] for connection_id in chosen]

    # Messages.

    def send(
        self,
        target: Target,
        message: Message,
        excluded: Collection[str] = frozenset(),
        matches: Predicate | None = None,
    ) -> Deliver:
        """Address a message to whoever the target names, save for the excluded IDs.

        Nobody there is no error: the message is accepted and reaches no one.
        """
        return Deliver(self._select(target, excluded, matches), message)

    # Permissions.

    def grant(self, permission: Permission, connection_id: str, group: str) -> None:
        """Raises UnknownConnectionError, TooManyRulesError."""
        rules = self._known(connection_id).rules
        rules.setdefault(permission, PermissionRules()).grant(group)

    def revoke(self, permission: Permission, connection_id: str, group: str) -> None:
        """Take a permission away; membership stays.

        Raises:
            UnknownConnectionError, TooManyRulesError: Nothing was changed.
        """
        rules = self._known(connection_id).rules.get(permission)
        if rules is not None:
            rules.revoke(group)

    def check(self, permission: Permission, connection_id: str, group: str) -> bool:
        """Whether a connection may do this now. Raises UnknownConnectionError."""
        rules = self._known(connection_id).rules.get(permission)
        return rules is not None and rules.check(group)

    # The inside.

    def _known(self, connection_id: str) -> Connection:
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
        """All that match, chosen before the first change: a filter may ask for groups."""
        return [one for one in self._connections.values() if matches is None or matches(one)]

    def _select(
        self, target: Target, excluded: Collection[str], matches: Predicate | None
    ) -> tuple[str, ...]:
        addressed = self._addressed(target)
        if not excluded and matches is None:
            return tuple(addressed)
        return tuple(
            connection_id
            for connection_id, connection in addressed.items()
            if connection_id not in excluded and (matches is None or matches(connection))
        )

    def _addressed(self, target: Target) -> _Members:
        match target.kind:
            case TargetKind.HUB:
                return self._connections
            case TargetKind.GROUP:
                return self._groups.get(target.name, {})
            case TargetKind.USER:
                return self._users.get(target.name, {})
            case TargetKind.CONNECTION:
                one = self._connections.get(target.name)
                return {target.name: one} if one else {}


def _drop(index: dict[str, _Members], key: str, connection_id: str) -> None:
    """Take a connection out of an index; a user or group without connections is gone."""
    members = index[key]
    del members[connection_id]
    if not members:
        del index[key]
