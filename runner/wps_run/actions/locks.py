"""What an action touches, and so what may run at the same time.

The goal is the state that a sequential run would leave, sooner. An action claims the phase
of its hub and each target that it names. Two actions may overlap when every key that both
claim is claimed for the same kind of thing, and that kind commutes.
"""

from collections.abc import Callable
from typing import NamedTuple

from wps_run.actions.request import Values
from wps_run.actions.table import Action, OverlapKind

COMMUTES: frozenset[OverlapKind] = frozenset(
    {
        OverlapKind.JOIN,
        OverlapKind.LEAVE,
        OverlapKind.GRANT,
        OverlapKind.REVOKE,
        OverlapKind.LEAVE_ALL,
    }
)
"""Kinds that may be done to one target in any order.

Sends do not commute: messages to one target arrive as written. Closes do not either, since
only the first one's reason is heard.
"""

_TARGETS = {
    "group": "group",
    "targetName": "group",
    "userId": "user",
    "connectionId": "connection",
}
"""Property to the kind of target that it names."""


class Lock(NamedTuple):
    """A key and what is done to it.

    Attributes:
        key: What is claimed: the hub's phase, a user, a group or a connection.
        use: What it is claimed for. Equal uses may share the key if `shared`.
        shared: Whether claims of the same use overlap.
    """

    key: tuple[str, str]
    use: str
    shared: bool


HUB = ("hub", "")
"""The key that every action claims, for its phase."""

MEMBERSHIP = ("membership", "")
"""Who is in which group. Joins and leaves change it, a filter on a send may read it."""

ALONE = (Lock(HUB, "alone", shared=False),)
"""The claims of an action that overlaps with nothing, as in a sequential run."""


LockFunction = Callable[[Values], tuple[Lock, ...]]
"""From an action's values to what it claims, in a fixed order: the hub's phase first."""


def locks_for(action: Action) -> LockFunction:
    """How the claims of an action follow from its values; what no value changes, once.

    Source: the two `overlap` columns of the action table.
    """
    phase, kind = action.overlap.phase, action.overlap.kind
    if kind is OverlapKind.ALONE:
        return lambda _: ALONE
    hub = Lock(HUB, phase, shared=True)
    shared = kind in COMMUTES
    names = {one.name for one in action.fields}
    targets = [(name, what) for name, what in _TARGETS.items() if name in names]
    changes = kind in {OverlapKind.JOIN, OverlapKind.LEAVE}

    def claims(values: Values) -> tuple[Lock, ...]:
        made = [hub]
        for name, what in targets:
            if name in values:
                made.append(Lock((what, str(values[name])), kind, shared))
        if changes:
            made.append(_CHANGE)
        elif "filter" in values:
            made.append(_READ)
        return tuple(made)

    return claims


_CHANGE = Lock(MEMBERSHIP, "change", shared=True)
_READ = Lock(MEMBERSHIP, "read", shared=True)


def locks_of(action: Action, values: Values) -> tuple[Lock, ...]:
    """What an action with these values claims; see `claiming`."""
    return locks_for(action)(values)
