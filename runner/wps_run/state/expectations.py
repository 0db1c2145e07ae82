"""Check expectations against what can be read of a hub. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol

from msgspec import structs

from wps_run.execution.errors import skip_error
from wps_run.execution.result import (
    ActionError,
    ExpectationResult,
    SkipReason,
    Status,
)
from wps_run.playbook.expectations import (
    ClosedCondition,
    ConnectionCondition,
    Expectation,
    GroupCondition,
    MessageCondition,
    PermissionCondition,
    UserCondition,
    shown_names,
)
from wps_run.state.reader import ReadError, StateSource

NOT_MET = "not-met"
"""The code of the error of an expectation that does not hold."""


class RehearsalEffects(Protocol):
    """What happened to the clients of one hub in a rehearsal."""

    def recipients(self, message: str) -> Collection[str] | None:
        """Return the clients that received a message; None if there was no such message."""

    def closings(self) -> Mapping[str, Collection[str]]:
        """Return the clients that were closed, each with the reasons that it received."""


async def check_expectation(
    expectation: Expectation,
    state: StateSource,
    effects: RehearsalEffects | None,
    mask: Callable[[str], str],
) -> ExpectationResult:
    """Check once whether an expectation holds.

    Args:
        expectation: The expectation.
        state: What can be read of its hub.
        effects: What happened in a rehearsal; None on the real service.
        mask: Masks secrets in messages.
    """
    if effects is None and _is_for_rehearsals(expectation):
        return result_of(expectation, Status.SKIPPED, REHEARSAL_ONLY)
    try:
        failure = await _failure(expectation, state, effects)
    except ReadError as error:
        unreadable = ActionError(error.code, mask(error.message), error.hint)
        return result_of(expectation, Status.UNKNOWN, unreadable)
    if failure is None:
        return result_of(expectation, Status.OK)
    return result_of(expectation, Status.FAILED, ActionError(NOT_MET, mask(failure)))


REHEARSAL_ONLY = structs.replace(
    skip_error(SkipReason.REHEARSAL_ONLY), hint="check it with --local"
)
"""Why an expectation is skipped on the real service."""

INTERRUPTED = ActionError(SkipReason.INTERRUPTED.value, "the run was interrupted")
"""Why an expectation is skipped after an interrupt."""


def result_of(
    expectation: Expectation, status: Status, error: ActionError | None = None
) -> ExpectationResult:
    """Make the result of an expectation that took no time."""
    return ExpectationResult(
        expectation.index, expectation.statement, expectation.source, status, error, 0.0
    )


def _is_for_rehearsals(expectation: Expectation) -> bool:
    return isinstance(expectation.condition, MessageCondition | ClosedCondition)


async def _failure(
    expectation: Expectation, state: StateSource, effects: RehearsalEffects | None
) -> str | None:
    """Return why an expectation does not hold; None if it does.

    Raises:
        ReadError: It cannot be read.
    """
    match expectation.condition:
        case GroupCondition() as condition:
            return await _group_failure(condition, state)
        case PermissionCondition() as condition:
            return await _permission_failure(condition, state)
        case UserCondition(user, connected):
            return _presence_failure(connected, exists=await state.user_exists(user))
        case ConnectionCondition(connection, connected):
            return _presence_failure(connected, exists=await state.connection_exists(connection))
        case MessageCondition() | ClosedCondition() as condition:
            return _rehearsal_failure(condition, effects) if effects else None


def _rehearsal_failure(
    condition: MessageCondition | ClosedCondition, effects: RehearsalEffects
) -> str | None:
    if isinstance(condition, MessageCondition):
        return _message_failure(effects.recipients(condition.message), condition.received_by)
    return _closed_failure(effects.closings(), condition.clients, condition.reason)


def _presence_failure(connected: bool, *, exists: bool) -> str | None:  # noqa: FBT001 -- a state
    if exists is connected:
        return None
    return "there is a connection" if exists else "there is no connection"


async def _permission_failure(condition: PermissionCondition, state: StateSource) -> str | None:
    connection, permission, target_name, allowed = condition
    if await state.has_permission(connection, permission, target_name) is allowed:
        return None
    if allowed and not await state.connection_exists(connection):
        return "there is no such connection"
    return "it may not" if allowed else "it may"


async def _group_failure(condition: GroupCondition, state: StateSource) -> str | None:
    members = await state.members(condition.group)
    users = {member.user_id for member in members if member.user_id is not None}
    connections = {member.connection_id for member in members}
    names = users | connections
    missing = [name for name in condition.has if name not in names]
    missing += [name for name in condition.users or () if name not in users]
    missing += [name for name in condition.connections or () if name not in connections]
    others: list[str] = []
    anonymous: list[str] = []
    if condition.is_exact:
        stated_users = set(condition.users or ())
        stated = set(condition.connections or ())
        for connection_id, user_id in members:
            if connection_id not in stated and user_id not in stated_users:
                if user_id is None:
                    anonymous.append(connection_id)
                else:
                    others.append(user_id)
    others += [name for name in condition.has_not if name in names]
    parts = [*_part("not in the group", missing), *_part("in the group, too", others)]
    parts += _part("in the group, too, without a user (list them in `connections`)", anonymous)
    return "; ".join(parts) or None


def _part(title: str, names: Iterable[str]) -> Iterator[str]:
    distinct = list(dict.fromkeys(names))
    if distinct:
        yield f"{title}: {shown_names(distinct)}"


def _message_failure(recipients: Collection[str] | None, expected: Iterable[str]) -> str | None:
    if recipients is None:
        return "no message with this text was sent"
    missing = [name for name in expected if name not in recipients]
    if not missing:
        return None
    received = shown_names(recipients) if recipients else "nobody"
    return f"not received by: {shown_names(missing)} (received by: {received})"


def _closed_failure(
    closings: Mapping[str, Collection[str]], clients: Iterable[str], reason: str | None
) -> str | None:
    open_clients = [name for name in clients if name not in closings]
    others = [
        f"{shown_names([name])} ({_reasons(closings[name])})"
        for name in clients
        if reason is not None and name in closings and reason not in closings[name]
    ]
    parts = [*_part("not closed", open_clients)]
    if others:
        more = f" and {len(others) - _SHOWN:,} more" if len(others) > _SHOWN else ""
        parts.append(f"closed with another reason: {', '.join(others[:_SHOWN])}{more}")
    return "; ".join(parts) or None


_SHOWN = 8
"""The most clients that a message names with their reasons."""


def _reasons(reasons: Collection[str]) -> str:
    return shown_names(reason for reason in reasons if reason) if any(reasons) else "no reason"
