"""What steps would change: each is compared with the live state, as earlier steps leave it.

The state is read where a step needs it, and nothing else is: groups are listed, users, connections
and permissions are asked for one by one. `LiveState` is pure; `compare` reads.
"""

import asyncio
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from collections.abc import Set as AbstractSet
from enum import StrEnum
from functools import cached_property, partial
from typing import Any, NamedTuple

from wps_run.actions.table import OverlapKind, Phase
from wps_run.playbook.live import LiveConnection, LiveGroups
from wps_run.playbook.steps import Step, StepBlock
from wps_run.state.reader import StateSource


class Verdict(StrEnum):
    """What a step would do.

    ABSENT: its user or connection does not exist, so that the service would answer 404.
    NOT_KNOWN: reading cannot show it.
    """

    CHANGE = "change"
    IN_PLACE = "in-place"
    ABSENT = "absent"
    NOT_KNOWN = "not-known"


class StepChange(NamedTuple):
    """A step, what it would do, and why that is so; "" where there is nothing to add."""

    step: Step
    verdict: Verdict
    reason: str = ""


class Compared(NamedTuple):
    """What some consecutive steps would do.

    Attributes:
        changes: Each step, or of a block those that are not in place.
        block: The indexes of all steps of the block; the others are in place.
    """

    changes: Sequence[StepChange]
    block: range = range(0)

    @property
    def others_in_place(self) -> int:
        """How many steps of the block are in place and not in `changes`."""
        return len(self.block) - len(self.changes) if self.block else 0


class QuestionKind(StrEnum):
    """What can be read."""

    MEMBERS = "members"
    USER = "user"
    CONNECTION = "connection"
    PERMISSION = "permission"


class Question(NamedTuple):
    """What must be read before a step can be judged: its kind, and the names that it is about."""

    kind: QuestionKind
    names: tuple[str, ...]


class _UnreadError(Exception):
    """Something has to be read first."""

    def __init__(self, kind: QuestionKind, *names: str) -> None:
        self.question = Question(kind, names)
        super().__init__(kind)


class _Judgment(NamedTuple):
    """A verdict, and how the state is after the step; None if the step leaves it as it is."""

    verdict: Verdict
    reason: str = ""
    apply: Callable[[], object] | None = None


class _Group:
    """The members of a group, as the steps so far leave them.

    Attributes:
        connections: Connection ID to user, or None if it is anonymous or its user is not known.
        joined: Users whom a step has added. Which connections they have is not known.
        strangers: Connections that a step has added. Which users they have is not known.
        doubtful: Users in `joined` and connections in `strangers` that a later step may have
            removed, as it removes a connection, or a user.
    """

    def __init__(self, connections: dict[str, str | None]) -> None:
        self.connections = connections
        self.joined: set[str] = set()
        self.strangers: set[str] = set()
        self.doubtful: Mapping[str, set[str]] = {"userId": set(), "connectionId": set()}
        self._users = Counter(filter(None, connections.values()))

    @property
    def users(self) -> AbstractSet[str]:
        """The users of its connections, as far as they are known."""
        return self._users.keys()

    def has_user(self, user: str) -> bool:
        is_joined = user in self.joined and user not in self.doubtful["userId"]
        return is_joined or user in self._users

    def has_connection(self, connection: str) -> bool:
        is_doubtful = connection in self.doubtful["connectionId"]
        return connection in self.connections and not is_doubtful

    def add_user(self, user: str) -> None:
        self.joined.add(user)
        self.doubtful["userId"].discard(user)

    def add_connection(self, connection: str) -> None:
        self.connections[connection] = None
        self.strangers.add(connection)
        self.doubtful["connectionId"].discard(connection)

    def remove_connection(self, connection: str) -> None:
        if connection in self.strangers or connection not in self.connections:
            self.doubtful["userId"].update(self.joined)
        self.strangers.discard(connection)
        self.doubtful["connectionId"].discard(connection)
        user = self.connections.pop(connection, None)
        if user is not None:
            self._users[user] -= 1
            if not self._users[user]:
                del self._users[user]

    def remove_user(self, user: str) -> None:
        self.joined.discard(user)
        self.doubtful["userId"].discard(user)
        self.doubtful["connectionId"].update(self.strangers)
        if user in self._users:
            for connection in self._connections_of[user]:
                if self.connections.get(connection) == user:
                    self.remove_connection(connection)

    @cached_property
    def _connections_of(self) -> Mapping[str, Sequence[str]]:
        """The connections of each user; some may have left since it was made, at the first use."""
        connections: dict[str, list[str]] = {}
        for connection, user in self.connections.items():
            if user is not None:
                connections.setdefault(user, []).append(connection)
        return connections


_MESSAGES = "messages are not compared"
_CLOSES = "closes are not compared"
_FILTER = "which connections match a `filter` cannot be read"
_CLOSED = "an earlier step closes connections"
_FILTERED = "an earlier step changes the group by a `filter`"
_STRANGERS = "an earlier step adds connections whose users are not known"
_JOINED = "an earlier step adds users whose connections are not known"
_LEFT_USERS = "an earlier step removes users whose connections are not known"
_LEFT_CONNECTIONS = "an earlier step removes connections whose users are not known"
_OTHER_GROUPS = "the groups of one user or connection cannot be listed"
_NO_USER = "the user has no connection"
_NO_CONNECTION = "the connection does not exist"

_IN_PLACE = _Judgment(Verdict.IN_PLACE)


class LiveState:
    """The state of a hub, as far as it was read, and as the steps so far leave it. Pure."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._users: dict[str, bool] = {}
        self._connections: dict[str, bool] = {}
        self._permissions: dict[tuple[str, ...], bool] = {}
        self._filtered: set[str] = set()
        """Groups that a filter has changed."""
        self._left: set[str] = set()
        """Users who were removed from every group, also from those that are read later."""
        self._removed: set[str] = set()
        """Connections likewise."""
        self._closed_users: set[str] = set()
        """Users some of whose connections were closed."""
        self._all_closed = False

    def add_groups(self, groups: LiveGroups) -> None:
        """Add the groups that were read before, unless they are known."""
        for name, members in groups.items():
            if name not in self._groups:
                self._add_group(name, members)

    def question(self, step: Step) -> Question | None:
        """Return what must be read to judge a step, or None."""
        try:
            self._judgment(step)
        except _UnreadError as error:
            return error.question
        return None

    def missing(self, block: StepBlock) -> Iterable[int] | Question:
        """Return the indexes of the steps of a block that have to be judged one by one.

        The others are in place. Or return what must be read first.
        """
        name, key, names = block.members.group, block.members.key, block.members.cells.cells
        if self._all_closed or self._closed_users or name in self._filtered:
            return block.indexes
        try:
            group = self._group(name)
        except _UnreadError as error:
            return error.question
        if group.doubtful[key]:
            return block.indexes
        present = group.users if key == "userId" else group.connections.keys()
        return [i for i, name in zip(block.indexes, names, strict=True) if name not in present]

    def add_answer(
        self,
        question: Question,
        answer: bool | tuple[LiveConnection, ...],  # noqa: FBT001 -- read
    ) -> None:
        """Add what was read."""
        names = question.names
        if isinstance(answer, tuple):
            self._add_group(names[0], answer)
        elif question.kind is QuestionKind.USER:
            self._users[names[0]] = answer
        elif question.kind is QuestionKind.CONNECTION:
            self._connections[names[0]] = answer
        else:
            self._permissions[names] = answer

    def judge(self, step: Step) -> StepChange | Question:
        """Return what a step would do, and count it as done; or what must be read first."""
        try:
            verdict, reason, apply = self._judgment(step)
        except _UnreadError as error:
            return error.question
        if apply:
            apply()
        return StepChange(step, verdict, reason)

    def _add_group(self, name: str, members: tuple[LiveConnection, ...]) -> None:
        connections = dict(members)
        self._connections = dict.fromkeys(connections, True) | self._connections
        self._users = dict.fromkeys(filter(None, connections.values()), True) | self._users
        self._groups[name] = group = _Group(connections)
        for connection in self._removed:
            group.remove_connection(connection)
        for user in self._left:
            group.remove_user(user)

    def _judgment(self, step: Step) -> _Judgment:
        overlap, targets = step.action.overlap, step.action.targets
        kind = overlap.kind
        if kind is OverlapKind.JOIN or kind is OverlapKind.LEAVE:
            return self._membership(kind, step.values)
        values = {name: str(step.values[name]) for name in targets if name in step.values}
        if overlap.kind is OverlapKind.SEND or overlap.phase is Phase.BROADCAST:
            return _Judgment(Verdict.NOT_KNOWN, _MESSAGES)
        if overlap.phase is Phase.CLOSE:
            return self._close(values)
        if self._all_closed:
            return _Judgment(Verdict.NOT_KNOWN, _CLOSED)
        if overlap.kind in {OverlapKind.GRANT, OverlapKind.REVOKE}:
            return self._permission(overlap.kind, values)
        is_filter = "groups" in step.values
        return self._filter(step.values) if is_filter else self._leave_all(values)

    def _membership(self, kind: OverlapKind, values: Mapping[str, Any]) -> _Judgment:
        name, user = values["group"], values.get("userId")
        if self._all_closed or user in self._closed_users:
            return _Judgment(Verdict.NOT_KNOWN, _CLOSED)
        if name in self._filtered:
            return _Judgment(Verdict.NOT_KNOWN, _FILTERED)
        group = self._group(name)
        if user is not None:
            join, leave = self._join_user, self._leave_user
            return join(group, user) if kind is OverlapKind.JOIN else leave(group, user)
        connection = values["connectionId"]
        if kind is OverlapKind.JOIN:
            return self._join_connection(group, connection)
        return self._leave_connection(group, connection)

    def _filter(self, values: Mapping[str, Any]) -> _Judgment:
        apply = partial(self._filtered.update, values["groups"])
        return _Judgment(Verdict.NOT_KNOWN, _FILTER, apply)

    def _join_user(self, group: _Group, user: str) -> _Judgment:
        if group.has_user(user):
            return _IN_PLACE
        if user in group.doubtful["userId"]:
            return _Judgment(Verdict.NOT_KNOWN, _LEFT_CONNECTIONS, partial(group.add_user, user))
        if not self._has_user(user):
            return _Judgment(Verdict.ABSENT, _NO_USER)
        return _Judgment(Verdict.CHANGE, apply=partial(group.add_user, user))

    def _leave_user(self, group: _Group, user: str) -> _Judgment:
        apply = partial(group.remove_user, user)
        if group.has_user(user):
            return _Judgment(Verdict.CHANGE, apply=apply)
        if user in group.doubtful["userId"]:
            return _Judgment(Verdict.NOT_KNOWN, _LEFT_CONNECTIONS, apply)
        return _Judgment(Verdict.NOT_KNOWN, _STRANGERS, apply) if group.strangers else _IN_PLACE

    def _join_connection(self, group: _Group, connection: str) -> _Judgment:
        apply = partial(group.add_connection, connection)
        if group.has_connection(connection):
            return _IN_PLACE
        if connection in group.doubtful["connectionId"]:
            return _Judgment(Verdict.NOT_KNOWN, _LEFT_USERS, apply)
        if not self._has_connection(connection):
            return _Judgment(Verdict.ABSENT, _NO_CONNECTION)
        return _Judgment(Verdict.CHANGE, apply=apply)

    def _leave_connection(self, group: _Group, connection: str) -> _Judgment:
        apply = partial(group.remove_connection, connection)
        if group.has_connection(connection):
            return _Judgment(Verdict.CHANGE, apply=apply)
        if connection in group.doubtful["connectionId"]:
            return _Judgment(Verdict.NOT_KNOWN, _LEFT_USERS, apply)
        return _Judgment(Verdict.NOT_KNOWN, _JOINED, apply) if group.joined else _IN_PLACE

    def _leave_all(self, values: dict[str, str]) -> _Judgment:
        user, connection = values.get("userId"), values.get("connectionId", "")
        if user is not None:
            exists = self._has_user(user)
            is_member = any(group.has_user(user) for group in self._groups.values())
        else:
            exists = self._has_connection(connection)
            is_member = any(group.has_connection(connection) for group in self._groups.values())
        if not exists:
            return _IN_PLACE
        apply = (
            partial(self._remove_connection, connection)
            if user is None
            else partial(self._remove_user, user)
        )
        if is_member:
            return _Judgment(Verdict.CHANGE, "", apply)
        return _Judgment(Verdict.NOT_KNOWN, _OTHER_GROUPS, apply)

    def _permission(self, kind: OverlapKind, values: dict[str, str]) -> _Judgment:
        connection = values["connectionId"]
        key = (connection, values["permission"], values["targetName"])
        is_closed = self._connections.get(connection) is False
        is_allowed = not is_closed and self._has_permission(*key)
        if is_allowed is (kind is OverlapKind.GRANT):
            return _IN_PLACE
        if kind is OverlapKind.GRANT and not self._has_connection(connection):
            return _Judgment(Verdict.ABSENT, _NO_CONNECTION)
        return _Judgment(
            Verdict.CHANGE, apply=lambda: self._permissions.update({key: not is_allowed})
        )

    def _close(self, values: dict[str, str]) -> _Judgment:
        """Closes are not compared; whom they close is not there for later steps."""
        apply: Callable[[], object]
        if "connectionId" in values:
            apply = partial(self._close_connections, [values["connectionId"]])
        elif "userId" in values:
            apply = partial(self._close_user, values["userId"])
        elif "group" in values and values["group"] not in self._filtered:
            apply = partial(self._close_group, self._group(values["group"]))
        else:
            apply = self._close_all
        return _Judgment(Verdict.NOT_KNOWN, _CLOSES, apply)

    def _close_all(self) -> None:
        self._all_closed = True

    def _close_user(self, user: str) -> None:
        self._closed_users.add(user)
        self._remove_user(user)

    def _close_group(self, group: _Group) -> None:
        users = {user for user in group.connections.values() if user is not None} | group.joined
        self._closed_users |= users  # they may have other connections
        self._close_connections(list(group.connections))

    def _close_connections(self, connections: Iterable[str]) -> None:
        for connection in connections:
            for group in self._groups.values():
                user = group.connections.get(connection)
                if user is not None:
                    self._closed_users.add(user)
            self._connections[connection] = False
            self._remove_connection(connection)

    def _remove_user(self, user: str) -> None:
        self._left.add(user)
        for group in self._groups.values():
            group.remove_user(user)

    def _remove_connection(self, connection: str) -> None:
        self._removed.add(connection)
        for group in self._groups.values():
            group.remove_connection(connection)

    def _group(self, name: str) -> _Group:
        group = self._groups.get(name)
        if group is None:
            raise _UnreadError(QuestionKind.MEMBERS, name)
        return group

    def _has_user(self, user: str) -> bool:
        return self._read(self._users, QuestionKind.USER, user)

    def _has_connection(self, connection: str) -> bool:
        return self._read(self._connections, QuestionKind.CONNECTION, connection)

    def _has_permission(self, *key: str) -> bool:
        allowed = self._permissions.get(key)
        if allowed is None:
            raise _UnreadError(QuestionKind.PERMISSION, *key)
        return allowed

    def _read(self, known: Mapping[str, bool], kind: QuestionKind, name: str) -> bool:
        exists = known.get(name)
        if exists is None:
            raise _UnreadError(kind, name)
        return exists


BLOCK = 1000
"""How many steps are looked at together, so that what they need is read concurrently."""


async def compare(
    steps: Iterable[Step | StepBlock], source: StateSource, state: LiveState | None = None
) -> AsyncIterator[Compared]:
    """Judge the steps of a plan, in order and in blocks.

    Args:
        steps: The steps of one hub, in the order of the plan; read lazily.
        source: What answers about the hub.
        state: What was read before, or None.

    Raises:
        ReadError: Something cannot be read.
    """
    state = state or LiveState()
    for part in _parts(steps):
        if isinstance(part, StepBlock):
            while isinstance(missing := state.missing(part), Question):
                await _answer([missing], state, source)
            changes = await _judge([part.step(index) for index in missing], state, source)
            yield Compared(changes, part.indexes)
        else:
            yield Compared(await _judge(part, state, source))


def _parts(steps: Iterable[Step | StepBlock]) -> Iterator[list[Step] | StepBlock]:
    """Yield steps in lists of at most `BLOCK`, and blocks as they are."""
    singles: list[Step] = []
    for step in steps:
        if isinstance(step, StepBlock) or len(singles) == BLOCK:
            if singles:
                yield singles
            singles = []
        if isinstance(step, StepBlock):
            yield step
        else:
            singles.append(step)
    if singles:
        yield singles


async def _judge(
    steps: Sequence[Step], state: LiveState, source: StateSource
) -> Sequence[StepChange]:
    changes: list[StepChange] = []
    has_read = False
    for step in steps:
        while isinstance(change := state.judge(step), Question):
            if has_read:
                await _answer([change], state, source)
                continue
            has_read = True
            await _read_ahead(steps[len(changes) :], state, source)
        changes.append(change)
    return changes


async def _read_ahead(steps: Iterable[Step], state: LiveState, source: StateSource) -> None:
    """Read what steps need, as far as it is known before they are judged."""
    while questions := {question for step in steps if (question := state.question(step))}:
        await _answer(questions, state, source)


async def _answer(questions: Iterable[Question], state: LiveState, source: StateSource) -> None:
    """Read what is asked, all of it concurrently: the source limits the requests in flight."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {question: group.create_task(_ask(question, source)) for question in questions}
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    for question, task in tasks.items():
        state.add_answer(question, task.result())


async def _ask(question: Question, source: StateSource) -> bool | tuple[LiveConnection, ...]:
    asks: Mapping[QuestionKind, Callable[..., Awaitable[bool | tuple[LiveConnection, ...]]]] = {
        QuestionKind.MEMBERS: source.members,
        QuestionKind.USER: source.user_exists,
        QuestionKind.CONNECTION: source.connection_exists,
        QuestionKind.PERMISSION: source.has_permission,
    }
    return await asks[question.kind](*question.names)
