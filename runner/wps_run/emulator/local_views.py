"""Views of the hubs, groups, users and connections of a `LocalPubSub`, for assertions in tests.

A view reads the state whenever one of its properties is used, in the emulator's thread. It can be
made before what it shows exists. Its `repr` is what a test runner shows when an assertion fails.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from wps_run.emulator.effects import DataType, Deliver, Message
from wps_run.emulator.hub import Connection, Hub
from wps_run.emulator.names import Permission, hub_key
from wps_run.emulator.request_log import LogEntry
from wps_run.emulator.seed import DEFAULT_HUB
from wps_run.emulator.server import Emulator
from wps_run.emulator.thread import EmulatorThread
from wps_run.text import escape_invisible, truncate_middle

DEFAULT_TIMEOUT = 5.0
"""How long to wait by default, in seconds."""

_MOST_NAMES = 10
"""The most names of one kind in a `repr`."""

_NAME_WIDTH = 40
"""The width of a name in a `repr`, in columns."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class HubReader:
    """One hub at this moment, with its part of the request log."""

    name: str
    hub: Hub
    log: Iterable[LogEntry]

    def messages(self, selects: Callable[[LogEntry, Message], bool]) -> list[Any]:
        """Return the data of the messages that are selected, oldest first."""
        return [
            decode_message(message) for entry, message in self._sent() if selects(entry, message)
        ]

    def members(self, connection_ids: Iterable[str]) -> list[Connection]:
        return [self.hub.connections[each] for each in connection_ids]

    def _sent(self) -> Iterator[tuple[LogEntry, Message]]:
        for entry in self.log:
            if entry.hub == self.name and isinstance(entry.what.effect, Deliver):
                yield entry, entry.what.effect.message


def hub_in_use(emulator: Emulator, hub: str | None) -> str:
    """Return the lower-case name of a hub; without one, of the only hub that is in use.

    A hub is in use if it has connections, or requests and events in the log.

    Raises:
        ValueError: Several hubs are in use.
    """
    if hub is not None:
        return hub_key(hub)
    names = {name for name, each in emulator.hubs.items() if each.connections}
    names |= {entry.hub for entry in emulator.request_log.entries() if entry.hub}
    if len(names) > 1:
        listed = " and ".join(sorted(names))
        raise ValueError(f'the hubs {listed} are in use: name one, as in hub="{min(names)}"')
    return names.pop() if names else DEFAULT_HUB


class LocalView:
    """The base of all views.

    Args:
        thread: The thread of the emulator.
        hub: The name of the hub; None for the only one that is in use.
    """

    _WAIT_FOR: ClassVar[tuple[str, ...]] = ()
    """The properties that `wait_until` takes."""

    def __init__(self, thread: EmulatorThread, hub: str | None) -> None:
        self._thread = thread
        self._hub = hub

    def __repr__(self) -> str:
        if not self._thread.is_running:
            return f"<{self._title}: the emulator is not running>"
        try:
            return self._read(lambda hub: f"<{self._heading(hub.name)}: {self._content(hub)}>")
        except ValueError as error:
            return f"<{self._title}: {error}>"

    @property
    def hub(self) -> str:
        """The lower-case name of the hub."""
        return self._read(lambda hub: hub.name)

    def wait_until(self, *, timeout: float = DEFAULT_TIMEOUT, **expected: Collection[Any]) -> None:
        """Wait until properties of this view have these values.

        Args:
            timeout: The maximum time to wait, in seconds.
            expected: The names of properties, each with the value to wait for.

        Raises:
            TimeoutError: They do not have them in time. The message has their values.
            TypeError: There is no such property, or a string stands for several values.
            ValueError: No hub was named, and several are in use.
        """
        values = self._values(expected)
        if not self._thread.wait_until(lambda: self._has(values), timeout):
            raise TimeoutError(self._shortfall(values, timeout))

    async def await_until(
        self,
        *,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - as `wait_until`
        **expected: Collection[Any],
    ) -> None:
        """Do the same as `wait_until` without blocking the event loop."""
        values = self._values(expected)
        if not await self._thread.await_until(lambda: self._has(values), timeout):
            raise TimeoutError(self._shortfall(values, timeout))

    @property
    def _title(self) -> str:
        raise NotImplementedError

    def _heading(self, hub: str) -> str:
        return f"{self._title} in hub {hub}"

    def _content(self, hub: HubReader) -> str:
        raise NotImplementedError

    def _read(self, function: Callable[[HubReader], _T]) -> _T:
        """Run a function on the hub in the emulator's thread; a hub may have no connections."""
        emulator = self._thread.emulator

        def read() -> _T:
            name = hub_in_use(emulator, self._hub)
            hub = emulator.hubs.get(name) or Hub()
            return function(HubReader(name, hub, emulator.request_log.entries()))

        return self._thread.call(read)

    def _values(self, expected: dict[str, Collection[Any]]) -> dict[str, Collection[Any]]:
        """Convert what is expected to the types of the properties."""
        if not expected:
            raise TypeError(f"say what to wait for: {', '.join(self._WAIT_FOR)}")
        for name, value in expected.items():
            if name not in self._WAIT_FOR:
                raise TypeError(f"`{name}` cannot be waited for; use {', '.join(self._WAIT_FOR)}")
            if isinstance(value, str | bytes):
                raise TypeError(f"`{name}` is a collection: write {name}={{{value!r}}}")
        return {
            name: list(value) if name == "messages" else set(value)
            for name, value in expected.items()
        }

    def _has(self, values: dict[str, Collection[Any]]) -> bool:
        return all(getattr(self, name) == value for name, value in values.items())

    def _shortfall(self, values: dict[str, Collection[Any]], timeout: float) -> str:
        missed = ", ".join(
            f"{name} are {_value_text(getattr(self, name))}, not {_value_text(value)}"
            for name, value in values.items()
        )
        return f"{self!r}: after {timeout:g} s, {missed}"


class LocalHub(LocalView):
    """A hub: its users, groups and connections, and the messages that were sent to all."""

    _WAIT_FOR: ClassVar[tuple[str, ...]] = ("users", "groups", "connections", "messages")

    @property
    def users(self) -> set[str]:
        """The users with a connection."""
        return self._read(lambda hub: set(hub.hub.users))

    @property
    def groups(self) -> set[str]:
        """The groups with a connection."""
        return self._read(lambda hub: set(hub.hub.groups))

    @property
    def connections(self) -> set[str]:
        """The IDs of all connections."""
        return self._read(lambda hub: set(hub.hub.connections))

    @property
    def messages(self) -> list[Any]:
        """The data of the messages that were sent to all, oldest first."""
        return self._read(lambda hub: hub.messages(lambda entry, _: entry.operation == "SendToAll"))

    @property
    def _title(self) -> str:
        return "hub"

    def _heading(self, hub: str) -> str:
        return f"hub {hub}"

    def _content(self, hub: HubReader) -> str:
        groups = _listed("group", hub.hub.groups)
        return f"{_members_text(hub.hub.connections.values())}; {groups or 'no groups'}"


class LocalGroup(LocalView):
    """A group: its members, and the messages that were sent to it.

    Attributes:
        name: Its name.
    """

    _WAIT_FOR: ClassVar[tuple[str, ...]] = ("users", "connections", "messages")

    def __init__(self, thread: EmulatorThread, hub: str | None, name: str) -> None:
        super().__init__(thread, hub)
        self.name = name

    @property
    def users(self) -> set[str]:
        """The users with a connection in the group."""
        return self._read(
            lambda hub: {each.user_id for each in self._members(hub) if each.user_id is not None}
        )

    @property
    def connections(self) -> set[str]:
        """The IDs of the connections in the group, those of anonymous users included."""
        return self._read(lambda hub: {each.connection_id for each in self._members(hub)})

    @property
    def messages(self) -> list[Any]:
        """The data of the messages that were sent to the group, also while it was empty."""
        return self._read(lambda hub: hub.messages(lambda _, message: message.group == self.name))

    @property
    def _title(self) -> str:
        return f"group {_shown(self.name)}"

    def _content(self, hub: HubReader) -> str:
        return _members_text(self._members(hub))

    def _members(self, hub: HubReader) -> list[Connection]:
        return hub.members(hub.hub.groups.get(self.name, ()))


class LocalUser(LocalView):
    """A user: the groups of all its connections, and the messages that reached any of them.

    Attributes:
        name: The user ID.
    """

    _WAIT_FOR: ClassVar[tuple[str, ...]] = ("groups", "connections", "messages")

    def __init__(self, thread: EmulatorThread, hub: str | None, name: str) -> None:
        super().__init__(thread, hub)
        self.name = name

    @property
    def is_connected(self) -> bool:
        return bool(self.connections)

    @property
    def groups(self) -> set[str]:
        """The groups that have a connection of the user."""
        return self._read(lambda hub: {group for each in self._own(hub) for group in each.groups})

    @property
    def connections(self) -> set[str]:
        """The IDs of the user's connections."""
        return self._read(lambda hub: {each.connection_id for each in self._own(hub)})

    @property
    def messages(self) -> list[Any]:
        """The data of the messages that reached a connection of the user, each once."""
        return self._read(lambda hub: hub.messages(lambda entry, _: self.name in entry.users))

    @property
    def _title(self) -> str:
        return f"user {_shown(self.name)}"

    def _content(self, hub: HubReader) -> str:
        own = self._own(hub)
        groups = {group for each in own for group in each.groups}
        return f"{_counted(len(own))}, {_listed('in group', groups) or 'in no group'}"

    def _own(self, hub: HubReader) -> list[Connection]:
        return hub.members(hub.hub.users.get(self.name, ()))


class LocalConnection(LocalView):
    """A connection: its user, groups and permissions, and the messages that reached it.

    Attributes:
        connection_id: Its ID.
    """

    _WAIT_FOR: ClassVar[tuple[str, ...]] = ("groups", "messages")

    def __init__(self, thread: EmulatorThread, hub: str | None, connection_id: str) -> None:
        super().__init__(thread, hub)
        self.connection_id = connection_id

    @property
    def is_connected(self) -> bool:
        return self._read(lambda hub: self._own(hub) is not None)

    @property
    def user(self) -> str | None:
        """The user ID; None for an anonymous connection, and for one that does not exist."""
        return self._read(lambda hub: own.user_id if (own := self._own(hub)) else None)

    @property
    def groups(self) -> set[str]:
        """The groups that the connection is in."""
        return self._read(lambda hub: set(own.groups) if (own := self._own(hub)) else set())

    @property
    def messages(self) -> list[Any]:
        """The data of the messages that reached the connection, oldest first."""
        return self._read(
            lambda hub: hub.messages(lambda entry, _: self.connection_id in entry.connections)
        )

    def has_permission(self, permission: str, group: str) -> bool:
        """Check a permission on a group, by its roles, grants and revocations.

        Args:
            permission: `sendToGroup` or `joinLeaveGroup`.
            group: The name of the group.

        Raises:
            ValueError: There is no such permission.
        """
        checked = _permission(permission)

        def check(hub: HubReader) -> bool:
            return self._own(hub) is not None and hub.hub.check(checked, self.connection_id, group)

        return self._read(check)

    @property
    def _title(self) -> str:
        return f"connection {_shown(self.connection_id)}"

    def _content(self, hub: HubReader) -> str:
        own = self._own(hub)
        if own is None:
            return "not connected"
        user = "anonymous" if own.user_id is None else f"user {_shown(own.user_id)}"
        return f"{user}, {describe_connection(own)}"

    def _own(self, hub: HubReader) -> Connection | None:
        return hub.hub.connections.get(self.connection_id)


def decode_message(message: Message) -> Any:  # noqa: ANN401 - data of any type
    """Return the data of a message: str for text, decoded JSON for json, else bytes."""
    match message.data_type:
        case DataType.TEXT:
            return message.data.decode()
        case DataType.JSON:
            return json.loads(message.data)
        case _:
            return message.data


def describe_connection(connection: Connection) -> str:
    """Return `in groups red, blue, may sendToGroup red`."""
    parts = [_listed("in group", connection.groups) or "in no group"]
    for permission, rules in connection.rules.items():
        patterns = [pattern.text for pattern in rules.patterns]
        groups = ["all groups"] if rules.all_groups else [*patterns, *sorted(rules.allowed)]
        if groups:
            denied = f" but not {', '.join(sorted(rules.denied))}" if rules.denied else ""
            parts.append(f"may {permission} {', '.join(groups[:_MOST_NAMES])}{denied}")
    return ", ".join(parts)


def _permission(name: str) -> Permission:
    try:
        return Permission(name)
    except ValueError:
        known = " or ".join(Permission)
        raise ValueError(f"`{name}` is not a permission; use {known}") from None


def _value_text(value: Collection[Any]) -> str:
    """Return a list as it is, and a set sorted: `{'ada', 'bob'}`."""
    if isinstance(value, list):
        return repr(value)
    return f"{{{', '.join(sorted(map(repr, value)))}}}"


def _members_text(connections: Iterable[Connection]) -> str:
    """Return `users ada, bob and 1 anonymous connection`, or `no connections`."""
    users = [each.user_id for each in connections]
    anonymous = users.count(None)
    parts = [_listed("user", {user for user in users if user is not None})]
    parts.append(f"{_counted(anonymous)} without a user" if anonymous else "")
    return " and ".join(filter(None, parts)) or _counted(0)


def _counted(connections: int) -> str:
    return {0: "no connections", 1: "1 connection"}.get(connections, f"{connections} connections")


def _listed(noun: str, names: Collection[str]) -> str:
    """Return `users ada, bob`, sorted; "" without any."""
    if not names:
        return ""
    shown = [_shown(name) for name in sorted(names)[:_MOST_NAMES]]
    if len(names) > len(shown):
        shown.append(f"and {len(names) - len(shown)} more")
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(shown)}"


def _shown(name: str) -> str:
    return truncate_middle(escape_invisible(name), _NAME_WIDTH)
