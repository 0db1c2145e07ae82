"""Expectations that cannot hold together, or that state the same."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from wps_run.document.document import Document, Path
from wps_run.playbook.expectations import (
    Condition,
    ConnectionCondition,
    Expectation,
    GroupCondition,
    PermissionCondition,
    UserCondition,
    connected_text,
    quoted,
    statement_of,
)
from wps_run.problems import Problem

_Fact: TypeAlias = tuple[str, ...]
"""What is true or false: who is connected, who is in a group, who has a permission."""

Placed: TypeAlias = tuple[Document, tuple[str, ...], Expectation]
"""An expectation, with its playbook and what names its hub."""


def contradictions(placed: Iterable[Placed]) -> Iterator[Problem]:
    """Yield a problem for each expectation that cannot hold, or that its playbook already states.

    It contradicts itself or an earlier one of the same hub.
    """
    by_hub: dict[tuple[str, ...], list[Placed]] = {}
    for each in placed:
        by_hub.setdefault(each[1], []).append(each)
    for expected in by_hub.values():
        checker = _ContradictionChecker(expected)
        for each in expected:
            yield from checker.check(each)


class _ExactMembers:
    """The members that a condition states exactly."""

    def __init__(self, condition: GroupCondition) -> None:
        self._condition = condition
        self._users = frozenset(condition.users or ())
        self._connections = frozenset(condition.connections or ())

    def excludes(self, key: str, name: str) -> bool:
        """Whether a name is not among them; a connection may be one of their users."""
        if name in self._users or name in self._connections:
            return False
        if key == "connections":
            return not self._users
        return self._condition.users is not None or not self._connections

    @property
    def statement(self) -> str:
        """The condition without what else it states."""
        return statement_of(self._condition._replace(has=(), has_not=()))


class _ContradictionChecker:
    """Compares each expectation of a hub with itself and with those before it."""

    def __init__(self, expected: Iterable[Placed]) -> None:
        conditions = [expectation.condition for _, _, expectation in expected]
        self._users = {each.user for each in conditions if isinstance(each, UserCondition)}
        self._connections = {
            each.connection for each in conditions if isinstance(each, ConnectionCondition)
        }
        self._conditions: dict[tuple[object, ...], Placed] = {}
        self._facts: dict[_Fact, tuple[bool, Placed]] = {}
        self._members: dict[str, dict[tuple[str, str], Placed]] = {}
        """Group to who is in it: the key of the list, and the name."""
        self._exact: dict[str, list[tuple[_ExactMembers, Placed]]] = {}

    def check(self, placed: Placed) -> Iterator[Problem]:
        """Yield the first problem of an expectation, if there is any."""
        document, _, expectation = placed
        condition = expectation.condition
        same = self._conditions.setdefault((type(condition), *condition), placed)
        is_repeated = same[0] is document and same[2].path != expectation.path
        if is_repeated:  # else it is of a file that is included several times
            message = f"{_entry(same, placed)} states the same; leave one of them out"
            yield document.problem(message, "repeated-expectation", expectation.path)
            return
        found = self._opposite(placed)
        if isinstance(condition, GroupCondition):
            found = found or self._outsider(condition, placed)
        if found:
            path, other, statement = found
            message = f"this contradicts {_entry(other, placed)}: {statement}"
            yield document.problem(message, "contradiction", (*expectation.path, *path))

    def _opposite(self, placed: Placed) -> tuple[Path, Placed, str] | None:
        """Find a fact of which an expectation states the opposite; add its own facts."""
        for key, fact, value in self._facts_of(placed[2].condition):
            known, other = self._facts.setdefault(fact, (value, placed))
            if known is not value:
                return _item(key, fact[-1], placed), other, _fact_text(fact, value=known)
        return None

    def _facts_of(self, condition: Condition) -> Iterator[tuple[str, _Fact, bool]]:
        """Yield what a condition states, and what follows from that, each with its key."""
        match condition:
            case UserCondition(name, connected):
                yield "connected", ("user", name), connected
            case ConnectionCondition(name, connected):
                yield "connected", ("connection", name), connected
            case PermissionCondition(connection, permission, target, allowed):
                yield "permission", ("permission", connection, permission, target), allowed
                if allowed:
                    yield "connection", ("connection", connection), True
            case GroupCondition():
                yield from self._group_facts(condition)
            case _:  # a client may receive several messages, and be closed several times
                return

    def _group_facts(self, condition: GroupCondition) -> Iterator[tuple[str, _Fact, bool]]:
        for key, name in _stated_members(condition):
            yield key, ("member", condition.group, name), True
            is_user, is_connection = name in self._users, name in self._connections
            if key == "users" or (key == "has" and is_user and not is_connection):
                yield key, ("user", name), True
            if key == "connections" or (key == "has" and is_connection and not is_user):
                yield key, ("connection", name), True
        for name in condition.has_not:
            yield "hasNot", ("member", condition.group, name), False

    def _outsider(
        self, condition: GroupCondition, placed: Placed
    ) -> tuple[Path, Placed, str] | None:
        """Find who is stated to be in a group but is not among those stated exactly."""
        group = condition.group
        own = _ExactMembers(condition) if condition.is_exact else None
        if own:
            self._exact.setdefault(group, []).append((own, placed))
        for exact, other in self._exact.get(group, ()):
            for key, name in _stated_members(condition):
                if exact.excludes(key, name):
                    return _item(key, name, placed), other, exact.statement
        members = self._members.setdefault(group, {})
        for (key, name), other in members.items() if own else ():
            if own and own.excludes(key, name):
                exact_key = "users" if condition.users is not None else "connections"
                return (exact_key,), other, _fact_text(("member", group, name), value=True)
        members.update((member, placed) for member in _stated_members(condition))
        return None


def _stated_members(condition: GroupCondition) -> Iterator[tuple[str, str]]:
    """Yield each name that a condition states to be in its group, after the key of its list."""
    for key, names in (
        ("has", condition.has),
        ("users", condition.users or ()),
        ("connections", condition.connections or ()),
    ):
        for name in names:
            yield key, name


def _fact_text(fact: _Fact, *, value: bool) -> str:
    match fact:
        case ("member", group, name):
            return f"{quoted(name)} is {'' if value else 'not '}in group {quoted(group)}"
        case ("permission", connection, permission, target):
            return statement_of(PermissionCondition(connection, permission, target, value))
        case _:
            return f"{fact[0]} {quoted(fact[1])} is {connected_text(value)}"


def _item(key: str, name: str, placed: Placed) -> Path:
    """Return the path below an entry of a name in a list, or of the key if it is no list."""
    document, _, expectation = placed
    entry = document.value_at(expectation.path)
    is_listed = isinstance(entry[key], list) and name in entry[key]
    return (key, entry[key].index(name)) if is_listed else (key,)


def _entry(other: Placed, placed: Placed) -> str:
    """Return which entry another one is, as seen from an expectation."""
    if other is placed:
        return "itself"
    document, _, expectation = other
    position = document.position(expectation.path)
    is_near = document is placed[0]
    if is_near and expectation.path == placed[2].path:
        return "the entry in another include of this file"
    return f"the entry on line {position.line}" if is_near else f"the entry at {position}"
