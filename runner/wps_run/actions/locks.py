"""The locks of an action: which actions may run at the same time.

A concurrent run must leave the same state as a sequential one. Each action holds a lock on its
hub and on every target that it names. Two actions may overlap when, for every key that both of
them lock, both share the lock and use it for the same thing.
"""

from collections.abc import Callable
from typing import NamedTuple

from wps_run.actions.request import Values
from wps_run.actions.table import Action, OverlapKind

COMMUTATIVE: frozenset[OverlapKind] = frozenset(
    {
        OverlapKind.JOIN,
        OverlapKind.LEAVE,
        OverlapKind.GRANT,
        OverlapKind.REVOKE,
        OverlapKind.LEAVE_ALL,
    }
)
"""Kinds of action that may be applied to one target in any order.

Sends do not commute: messages to one target arrive in the playbook's order. Closes do not
either, because clients see the reason of the first one only.
"""

_TARGET_KINDS = {
    "group": "group",
    "targetName": "group",
    "userId": "user",
    "connectionId": "connection",
}
"""Property to the kind of target that it names."""


class Lock(NamedTuple):
    """A lock that an action holds while it runs.

    Attributes:
        key: What is locked: the hub, the memberships, a user, a group or a connection.
        use: What the lock is held for: the phase of the hub, or the kind of action.
        shared: Whether actions with the same use may hold the lock together.
    """

    key: tuple[str, str]
    use: str
    shared: bool


HUB = ("hub", "")
"""The key that every action locks, for its phase."""

MEMBERSHIP = ("membership", "")
"""The key of all group memberships. Joins and leaves change them, a `filter` may read them."""

_CHANGE_MEMBERSHIP = Lock(MEMBERSHIP, "change", shared=True)
_READ_MEMBERSHIP = Lock(MEMBERSHIP, "read", shared=True)

EXCLUSIVE = (Lock(HUB, "alone", shared=False),)
"""The locks of an action that overlaps with no other, as in a sequential run."""

LockFunction = Callable[[Values], tuple[Lock, ...]]
"""Makes the locks from an action's values. The lock on the hub is the first."""


def locks_for(action: Action) -> LockFunction:
    """Return the function that makes an action's locks from its values.

    Source: the `overlap` column of the action table.
    """
    kind = action.overlap.kind
    if kind is OverlapKind.ALONE:
        return lambda _: EXCLUSIVE
    hub = Lock(HUB, action.overlap.phase, shared=True)
    shared = kind in COMMUTATIVE
    names = {field.name for field in action.fields}
    targets = [(name, target) for name, target in _TARGET_KINDS.items() if name in names]
    changes_membership = kind in {OverlapKind.JOIN, OverlapKind.LEAVE}

    def make_locks(values: Values) -> tuple[Lock, ...]:
        locks = [hub]
        for name, target_kind in targets:
            if name in values:
                locks.append(Lock((target_kind, str(values[name])), kind, shared))
        if changes_membership:
            locks.append(_CHANGE_MEMBERSHIP)
        elif "filter" in values:
            locks.append(_READ_MEMBERSHIP)
        return tuple(locks)

    return make_locks


def locks_of(action: Action, values: Values) -> tuple[Lock, ...]:
    """Return the locks of an action with these values."""
    return locks_for(action)(values)
