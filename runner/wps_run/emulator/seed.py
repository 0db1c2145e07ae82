"""Seeds: plain data that says who is there from the start, checked whole. No I/O."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wps_run.emulator.names import Permission, hub_key, is_group_name, is_hub_name, is_id
from wps_run.emulator.permissions import RULE_LIMIT
from wps_run.problems import did_you_mean
from wps_run.text import replace_invisible

DEFAULT_HUB = "local"
"""The hub of clients when the seed names none."""

CLIENT_LIMIT = 100_000
"""The most clients that one seed may bring."""

NUMBER = "${n}"
"""Stands in names for the number of a client, from 1, where there are several."""

NAME_LIMIT = 1_000_000
"""The most groups and permissions that all of them together may have."""

EXAMPLE = "clients: [{userId: ada, groups: [launch]}]"

_Fill = Callable[[str], str]

Path = tuple[str | int, ...]
"""The way to a value: keys and indexes from the top."""


@dataclass(frozen=True, slots=True)
class SeedProblem:
    """One thing that is wrong with a seed: where, and what to write instead."""

    path: Path
    message: str

    def __str__(self) -> str:
        where = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in self.path)
        return replace_invisible(f"{where.lstrip('.')}: {self.message}" if where else self.message)


class SeedError(ValueError):
    """A seed is wrong; holds everything that is."""

    def __init__(self, faults: list[SeedProblem]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class SeedClient:
    """One client that is to be there.

    Attributes:
        hub: Its hub, in lower case.
        user_id: Whose it is, or None for an anonymous one.
        connection_id: The ID of its connection, or None for a new one.
        groups: The groups it is in.
        permissions: What it may do with which groups.
    """

    hub: str
    user_id: str | None = None
    connection_id: str | None = None
    groups: tuple[str, ...] = ()
    permissions: tuple[tuple[Permission, str], ...] = ()


def read_seed(data: object) -> list[SeedClient]:
    """Check a seed and give the clients it names, in order.

    Args:
        data: `{"hub": ..., "clients": [...]}`; `hub` may be left out. A client has any of `hub`,
            `userId`, `connectionId`, `groups` (names), `permissions` (permission to groups) and
            `count`; where `count` is said, `${n}` in its names stands for 1, 2 and so on.

    Raises:
        SeedError: Something is wrong; nothing was done.
    """
    reader = _Reader()
    seats = list(reader.seats(data))
    if reader.faults:
        raise SeedError(reader.faults)
    return seats


class _Reader:
    """Reads a seed, and collects what is wrong with it."""

    def __init__(self) -> None:
        self.faults: list[SeedProblem] = []
        self._left = CLIENT_LIMIT
        self._left_named = NAME_LIMIT
        self._taken: set[tuple[str, str]] = set()

    def seats(self, data: object) -> Iterator[SeedClient]:
        top = self._mapping(data, (), ("hub", "clients"), f"a seed is written {EXAMPLE}")
        hub = self._name(top, (), "hub", is_hub_name) or DEFAULT_HUB
        clients = top.get("clients", [])
        if not isinstance(clients, list):
            self._wrong(("clients",), f"must be a list, as in {EXAMPLE}")
            return
        for at, client in enumerate(clients):
            yield from self._client(client, hub, ("clients", at))

    def _client(self, data: object, hub: str, path: Path) -> Iterator[SeedClient]:
        client = self._mapping(data, path, _CLIENT, "a client is written {userId: ada}")
        count = self._count(client, path)
        user = self._name(client, path, "userId", is_id)
        connection = self._name(client, path, "connectionId", is_id)
        hub = hub_key(self._name(client, path, "hub", is_hub_name) or hub)
        widest = _Numbered(str(count)) if "count" in client else str
        groups = self._names(client.get("groups", []), (*path, "groups"), widest)
        permissions = self._permissions(
            client.get("permissions", {}), (*path, "permissions"), widest
        )
        if connection is not None and count > 1 and NUMBER not in connection:
            self._wrong(
                (*path, "connectionId"),
                f"each client needs an ID of its own: write {NUMBER} in it, as in c-{NUMBER}",
            )
            return
        self._left -= count
        if self._left < 0:
            self._wrong((*path, "count"), f"there may be at most {CLIENT_LIMIT:,} clients")
            return
        self._left_named -= count * (len(groups) + len(permissions))
        if self._left_named < 0:
            message = f"there may be at most {NAME_LIMIT:,} groups and permissions in all"
            self._wrong((*path, "count"), message)
            return
        numbered = "count" in client
        for number in range(1, count + 1):
            fill = _Numbered(str(number)) if numbered else str
            one = None if connection is None else fill(connection)
            self._take(hub, one, (*path, "connectionId"))
            yield SeedClient(
                hub,
                None if user is None else fill(user),
                one,
                tuple(map(fill, groups)),
                tuple((permission, fill(group)) for permission, group in permissions),
            )

    def _take(self, hub: str, connection: str | None, path: Path) -> None:
        if connection is not None and (hub, connection) in self._taken:
            self._wrong(path, f"`{connection}` is there already in hub {hub}")
        elif connection is not None:
            self._taken.add((hub, connection))

    def _mapping(
        self, data: object, path: Path, known: tuple[str, ...], form: str
    ) -> Mapping[Any, Any]:
        if not isinstance(data, dict):
            self._wrong(path, f"must be a mapping: {form}")
            return {}
        for key in data:
            if key not in known:
                hint = did_you_mean(str(key), known) or f"; known are {', '.join(known)}"
                self._wrong((*path, str(key)), f"`{key}` is not known here{hint}")
        return data

    def _name(
        self, data: Mapping[Any, Any], path: Path, key: str | int, allowed: Callable[[str], bool]
    ) -> str | None:
        value = data.get(key)
        if value is None and key not in data:
            return None
        if not isinstance(value, str):
            quoted = f'; write "{value}"' if isinstance(value, int | float) else ""
            self._wrong((*path, key), f"must be a string{quoted}")
        elif not allowed(value):
            self._wrong((*path, key), f"`{value}` is no name the service takes")
        else:
            return value
        return None

    def _names(self, value: object, path: Path, widest: _Fill) -> tuple[str, ...]:
        """The groups of a list; their names must do with the last client's number in them, too."""

        def allowed(name: str) -> bool:
            return is_group_name(widest(name))

        if not isinstance(value, list):
            self._wrong(path, "must be a list of groups, as in [launch]")
            return ()
        names = (self._name({at: one}, path, at, allowed) for at, one in enumerate(value))
        return tuple(name for name in names if name is not None)

    def _permissions(
        self, value: object, path: Path, widest: _Fill
    ) -> list[tuple[Permission, str]]:
        form = "write {sendToGroup: [launch]}"
        found = self._mapping(value, path, tuple(map(str, Permission)), form)
        given: list[tuple[Permission, str]] = []
        for permission in filter(found.__contains__, Permission):
            names = self._names(found[permission], (*path, str(permission)), widest)
            if len(set(names)) > RULE_LIMIT:
                message = f"a connection may be granted at most {RULE_LIMIT:,} groups"
                self._wrong((*path, str(permission)), message)
            given += ((permission, group) for group in names)
        return given

    def _count(self, client: Mapping[Any, Any], path: Path) -> int:
        count = client.get("count", 1)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            self._wrong((*path, "count"), "must be a whole number from 1")
            return 1
        return count

    def _wrong(self, path: Path, message: str) -> None:
        self.faults.append(SeedProblem(path, message))


_CLIENT = ("hub", "userId", "connectionId", "groups", "permissions", "count")


class _Numbered:
    """Fills the number of a client into its names."""

    def __init__(self, number: str) -> None:
        self._number = number

    def __call__(self, name: str) -> str:
        return name.replace(NUMBER, self._number)
