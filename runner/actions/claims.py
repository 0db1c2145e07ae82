"""What an action touches, and so what may run at the same time.

The goal is the state that a sequential run would leave, sooner. An action claims the phase
of its hub and each target that it names. Two actions may overlap when every key that both
claim is claimed for the same kind of thing, and that kind commutes.
"""

from dataclasses import dataclass

from runner.actions.table import Action, Kind
from runner.actions.wire import Values

COMMUTES: frozenset[Kind] = frozenset(
    {Kind.JOIN, Kind.LEAVE, Kind.GRANT, Kind.REVOKE, Kind.LEAVE_ALL}
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


@dataclass(frozen=True, slots=True)
class Claim:
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

ALONE = (Claim(HUB, "alone", shared=False),)
"""The claims of an action that overlaps with nothing, as in a sequential run."""


def claims_of(action: Action, values: Values) -> tuple[Claim, ...]:
    """What the action claims, in a fixed order: the hub's phase first.

    Source: the two `overlap` columns of the action table.
    """
    phase, kind = action.overlap.phase, action.overlap.kind
    if kind is Kind.ALONE:
        return ALONE
    claims = [Claim(HUB, phase, shared=True)]
    shared = kind in COMMUTES
    for name, what in _TARGETS.items():
        if name in values:
            claims.append(Claim((what, str(values[name])), kind, shared=shared))
    if kind in {Kind.JOIN, Kind.LEAVE}:
        claims.append(Claim(MEMBERSHIP, "change", shared=True))
    elif "filter" in values:
        claims.append(Claim(MEMBERSHIP, "read", shared=True))
    return tuple(claims)
