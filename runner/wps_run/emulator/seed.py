"""Seeds: parse and check plain data that lists the initial clients of an emulator."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wps_run.emulator.names import Permission, hub_key, is_group_name, is_hub_name, is_id
from wps_run.emulator.permissions import RULE_LIMIT
from wps_run.problems import did_you_mean
from wps_run.text import replace_invisible

DEFAULT_HUB = "local"
"""The hub of clients that name none."""

CLIENT_LIMIT = 100_000
"""The maximum number of clients in a seed."""

NAME_LIMIT = 1_000_000
"""The maximum number of groups and permissions of all clients together."""

NUMBER = "${n}"
"""The placeholder in names for the number of a client, from 1, where there is a `count`."""

EXAMPLE = "clients: [{userId: ada, groups: [launch]}]"

_CLIENT_KEYS = ("hub", "userId", "connectionId", "groups", "permissions", "count")

_Path = tuple[str | int, ...]
"""The path to a value: keys and indexes from the top."""


@dataclass(frozen=True, slots=True)
class SeedProblem:
    """One problem of a seed: its path, and how to correct it."""

    path: _Path
    message: str

    def __str__(self) -> str:
        location = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path)
        return replace_invisible(
            f"{location.lstrip('.')}: {self.message}" if location else self.message
        )


class SeedError(ValueError):
    """A seed is invalid; `problems` has everything that is wrong."""

    def __init__(self, problems: list[SeedProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class SeedClient:
    """One client of a seed.

    Attributes:
        hub: Its hub, in lower case.
        user_id: Its user, or None for an anonymous client.
        connection_id: Its connection ID, or None for a new one.
        permissions: The permissions that it is granted, each with a group.
    """

    hub: str
    user_id: str | None = None
    connection_id: str | None = None
    groups: tuple[str, ...] = ()
    permissions: tuple[tuple[Permission, str], ...] = ()


def read_seed(data: object, default_hub: str = DEFAULT_HUB) -> list[SeedClient]:
    """Check a seed and return its clients, in order.

    Args:
        data: `{"hub": ..., "clients": [...]}`; `hub` is optional. A client has any of `hub`,
            `userId`, `connectionId`, `groups` (names), `permissions` (permission to groups) and
            `count`; with a `count`, `${n}` in its names stands for 1, 2 and so on.
        default_hub: The hub of clients that name none, nor does the seed.

    Raises:
        SeedError: The seed is invalid.
    """
    reader = _Reader(default_hub)
    clients = list(reader.read(data))
    if reader.problems:
        raise SeedError(reader.problems)
    return clients


def seed_text(hub: str, clients: Iterable[SeedClient]) -> Iterator[str]:
    """Yield the YAML of a seed in pieces, a line for each client. `read_seed` reads the same.

    Args:
        hub: The hub of all clients.
        clients: The clients, without permissions. Their names must not have halves of surrogate
            pairs, which YAML does not allow.
    """
    yield f"hub: {_quoted(hub)}\n"
    head = "clients:\n"
    for client in clients:
        named = (("userId", client.user_id), ("connectionId", client.connection_id))
        fields = [f"{key}: {_quoted(name)}" for key, name in named if name is not None]
        fields.append(f"groups: [{', '.join(map(_quoted, client.groups))}]")
        yield f"{head}- {{{', '.join(fields)}}}\n"
        head = ""
    if head:
        yield "clients: []\n"


def _quoted(name: str) -> str:
    """Return a name in double quotes, with escapes that YAML and JSON have."""
    quoted = json.dumps(name, ensure_ascii=False)
    return quoted if quoted.isprintable() else "".join(map(_printable, quoted))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if character <= "\uffff" else f"\\U{ord(character):08x}"


class _Reader:
    """Reads a seed and collects its problems."""

    def __init__(self, default_hub: str) -> None:
        self.problems: list[SeedProblem] = []
        self._default_hub = default_hub
        self._clients_left = CLIENT_LIMIT
        self._names_left = NAME_LIMIT
        self._connections: set[tuple[str, str]] = set()

    def read(self, data: object) -> Iterator[SeedClient]:
        seed = self._mapping(data, (), ("hub", "clients"), EXAMPLE)
        hub = self._name(seed, (), "hub", is_hub_name) or self._default_hub
        clients = seed.get("clients", [])
        if not isinstance(clients, list):
            self._add_problem(("clients",), f"must be a list, as in {EXAMPLE}")
            return
        for index, client in enumerate(clients):
            yield from self._client(client, hub, ("clients", index))

    def _client(self, data: object, hub: str, path: _Path) -> Iterator[SeedClient]:
        client = self._mapping(data, path, _CLIENT_KEYS, "{userId: ada}")
        is_numbered = "count" in client
        count = self._count(client, path)
        user_id = self._name(client, path, "userId", is_id)
        connection_id = self._name(client, path, "connectionId", is_id)
        hub = hub_key(self._name(client, path, "hub", is_hub_name) or hub)
        highest = str(count) if is_numbered else NUMBER
        groups = self._groups(client.get("groups", []), (*path, "groups"), highest)
        permissions = self._permissions(
            client.get("permissions", {}), (*path, "permissions"), highest
        )
        if connection_id is not None and count > 1 and NUMBER not in connection_id:
            self._add_problem(
                (*path, "connectionId"),
                f"each client needs an ID of its own: write {NUMBER} in it, as in c-{NUMBER}",
            )
            return
        if not self._is_within_limits(count, len(groups) + len(permissions), path):
            return
        for index in range(count):
            number = str(index + 1) if is_numbered else NUMBER
            numbered_id = connection_id and connection_id.replace(NUMBER, number)
            self._check_new(hub, numbered_id, (*path, "connectionId"))
            yield SeedClient(
                hub,
                user_id and user_id.replace(NUMBER, number),
                numbered_id,
                tuple(group.replace(NUMBER, number) for group in groups),
                tuple(
                    (permission, group.replace(NUMBER, number)) for permission, group in permissions
                ),
            )

    def _is_within_limits(self, count: int, names: int, path: _Path) -> bool:
        self._clients_left -= count
        if self._clients_left < 0:
            self._add_problem((*path, "count"), f"there may be at most {CLIENT_LIMIT:,} clients")
            return False
        self._names_left -= count * names
        if self._names_left < 0:
            message = f"there may be at most {NAME_LIMIT:,} groups and permissions in all"
            self._add_problem((*path, "count"), message)
            return False
        return True

    def _check_new(self, hub: str, connection_id: str | None, path: _Path) -> None:
        if connection_id is None:
            return
        if (hub, connection_id) in self._connections:
            self._add_problem(path, f"`{connection_id}` is in hub {hub} already")
        self._connections.add((hub, connection_id))

    def _mapping(
        self, data: object, path: _Path, keys: tuple[str, ...], example: str
    ) -> Mapping[Any, Any]:
        if not isinstance(data, dict):
            self._add_problem(path, f"must be a mapping, such as {example}")
            return {}
        for key in data:
            if key not in keys:
                hint = did_you_mean(str(key), keys) or f"; known are {', '.join(keys)}"
                self._add_problem((*path, str(key)), f"`{key}` is not known here{hint}")
        return data

    def _name(
        self, data: Mapping[Any, Any], path: _Path, key: str | int, is_valid: Callable[[str], bool]
    ) -> str | None:
        value = data.get(key)
        if value is None and key not in data:
            return None
        if not isinstance(value, str):
            hint = f'; write "{value}"' if isinstance(value, int | float) else ""
            self._add_problem((*path, key), f"must be a string{hint}")
        elif not is_valid(value):
            self._add_problem((*path, key), f"`{value}` is not a valid name")
        else:
            return value
        return None

    def _groups(self, value: object, path: _Path, highest: str) -> tuple[str, ...]:
        """Read a list of groups; each name must be valid with the last client's number, too."""

        def is_valid(name: str) -> bool:
            return is_group_name(name.replace(NUMBER, highest))

        if not isinstance(value, list):
            self._add_problem(path, "must be a list of groups, as in [launch]")
            return ()
        names = (
            self._name({index: name}, path, index, is_valid) for index, name in enumerate(value)
        )
        return tuple(name for name in names if name is not None)

    def _permissions(
        self, value: object, path: _Path, highest: str
    ) -> list[tuple[Permission, str]]:
        keys = tuple(map(str, Permission))
        mapping = self._mapping(value, path, keys, "{sendToGroup: [launch]}")
        permissions: list[tuple[Permission, str]] = []
        for permission in filter(mapping.__contains__, Permission):
            groups = self._groups(mapping[permission], (*path, str(permission)), highest)
            if len(set(groups)) > RULE_LIMIT:
                message = f"a connection may be granted at most {RULE_LIMIT:,} groups"
                self._add_problem((*path, str(permission)), message)
            permissions += ((permission, group) for group in groups)
        return permissions

    def _count(self, client: Mapping[Any, Any], path: _Path) -> int:
        count = client.get("count", 1)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            self._add_problem((*path, "count"), "must be a whole number from 1")
            return 1
        return count

    def _add_problem(self, path: _Path, message: str) -> None:
        self.problems.append(SeedProblem(path, message))
