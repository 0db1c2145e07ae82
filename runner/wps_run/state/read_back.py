"""Doubt that reading can settle: a join, leave, grant or revoke whose response did not come.

A request that timed out may take effect later. So a doubt is settled only if the wanted state is
there, and no later step that conflicts with it has started: the state is then the one that a run
without the doubt would have left. Messages and closes leave nothing that can be read.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import UNSET

from wps_run.actions.locks import Lock, locks_of
from wps_run.actions.request import Value
from wps_run.actions.table import ACTIONS, Action, OverlapKind
from wps_run.execution.result import ActionError, Result, Status
from wps_run.playbook.steps import Step
from wps_run.redaction import MASK
from wps_run.state.reader import ReadError, StateSource

READ_BACK = ActionError(
    "read-back",
    "no response came that says so, but the state was read afterwards, and it is the wanted one",
)
"""Why an action is ok although no response said so."""

MOST_DOUBTS = 10_000
"""The most results that are held; further ones stay in doubt."""

MOST_FAILED_READS = 16
"""After so many failed reads, nothing more is read: the service is down, or refuses reads."""

_READERS = 16
"""The most reads at once, as far as the source does them at once."""

_SETTLED: Mapping[OverlapKind, bool] = {
    OverlapKind.JOIN: True,
    OverlapKind.GRANT: True,
    OverlapKind.LEAVE: False,
    OverlapKind.REVOKE: False,
}
"""What a read says if an action was done."""


class Doubts:
    """Holds the results in doubt of a run in one hub until they are read back."""

    def __init__(self) -> None:
        self._held: dict[int, Result] = {}
        self._unsettled: dict[int, Result] = {}
        """Those that a conflict keeps in doubt."""
        self._holders: dict[tuple[str, str], dict[Lock, set[int]]] = {}
        """Key to lock to the indexes of the held results that need it."""

    def __bool__(self) -> bool:
        return bool(self._held or self._unsettled)

    def hold(self, results: Iterable[Result]) -> list[Result]:
        """Take the results of steps as they end; return those that need not be held."""
        reported = []
        for result in results:
            action = ACTIONS[result.action_name]
            if self._held and result.attempts:
                self._mark_conflicts(action, result.target, result.index)
            if len(self._held) < MOST_DOUBTS and _can_be_settled(action, result):
                self._hold(action, result)
            else:
                reported.append(result)
        return reported

    def mark_started(self, results: Iterable[Result]) -> None:
        """Keep in doubt what conflicts with later steps that an earlier part of the run started."""
        for result in results:
            if result.attempts:
                self._mark_conflicts(ACTIONS[result.action_name], result.target, result.index)

    def mark_in_flight(self, steps: Iterable[Step]) -> None:
        """Keep in doubt what conflicts with later steps that were in flight at a kill."""
        for step in steps:
            self._mark_conflicts(step.action, step.target, step.index)

    def release(self) -> list[Result]:
        """Return what is held, in the order of the plan, and hold nothing any more."""
        released = sorted((*self._held.values(), *self._unsettled.values()), key=_index)
        self._held.clear()
        self._unsettled.clear()
        self._holders.clear()
        return released

    async def settle(self, source: StateSource) -> None:
        """Read the state, and make those results ok that it settles; the others stay in doubt.

        Each group and each permission is read once.
        """
        by_subject: dict[tuple[str, ...], list[Result]] = {}
        for result in self._held.values():
            by_subject.setdefault(_subject(result), []).append(result)
        waiting = iter(by_subject.items())
        failures: list[ReadError] = []
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_READERS, len(by_subject))):
                tasks.create_task(self._settle_each(waiting, source, failures))

    async def _settle_each(
        self,
        waiting: Iterator[tuple[tuple[str, ...], list[Result]]],
        source: StateSource,
        failures: list[ReadError],
    ) -> None:
        """Settle one subject after the other, until none waits or too many reads have failed."""
        for subject, results in waiting:
            try:
                there = await _read(subject, source)
            except ReadError as error:
                failures.append(error)
                if len(failures) >= MOST_FAILED_READS:
                    return
                continue
            for result in results:
                kind = ACTIONS[result.action_name].overlap.kind
                if (_name(result) in there) is _SETTLED[kind]:
                    self._held[result.index] = msgspec.structs.replace(
                        result, status=Status.OK, error=READ_BACK, earlier=UNSET
                    )

    def _hold(self, action: Action, result: Result) -> None:
        self._held[result.index] = result
        for lock in locks_of(action, result.target):
            holders = self._holders.setdefault(lock.key, {})
            holders.setdefault(lock, set()).add(result.index)

    def _mark_conflicts(self, action: Action, target: Mapping[str, Value], index: int) -> None:
        """Keep in doubt what a step that started conflicts with."""
        for lock in locks_of(action, target):
            for held, indexes in self._holders.get(lock.key, {}).items():
                if lock != held or not lock.shared:
                    for other in indexes - {index}:
                        if other in self._held:
                            self._unsettled[other] = self._held.pop(other)


def _can_be_settled(action: Action, result: Result) -> bool:
    """Whether reading can show the result of an action. A masked name cannot be asked for."""
    is_doubt = result.status is Status.UNKNOWN and action.overlap.kind in _SETTLED
    return is_doubt and not any(MASK in str(value) for value in result.target.values())


def _index(result: Result) -> int:
    return result.index


def _subject(result: Result) -> tuple[str, ...]:
    """Return what is read to settle a result: a group, or a permission of a connection."""
    is_permission = "permission" in result.target
    keys = ("connectionId", "permission", "targetName") if is_permission else ("group",)
    return tuple(str(result.target[key]) for key in keys)


def _name(result: Result) -> tuple[str, str]:
    """Return who joins, leaves, or has a permission: the property and its value."""
    key = "userId" if "userId" in result.target else "connectionId"
    return key, str(result.target[key])


async def _read(subject: tuple[str, ...], source: StateSource) -> set[tuple[str, str]]:
    """Return who is in a group; or the connection of a permission, if it has it.

    Raises:
        ReadError: It cannot be read.
    """
    if len(subject) > 1:
        connection, permission, target_name = subject
        is_allowed = await source.has_permission(connection, permission, target_name)
        return {("connectionId", connection)} if is_allowed else set()
    members = await source.members(*subject)
    users = {("userId", member.user_id) for member in members if member.user_id is not None}
    return users | {("connectionId", member.connection_id) for member in members}
