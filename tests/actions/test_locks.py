"""The locks of actions decide which of them may overlap, by the rule of the contract."""

import pytest

from wps_run.actions.locks import EXCLUSIVE, Lock, locks_of
from wps_run.actions.request import Value, Values
from wps_run.actions.table import ACTIONS


def may_overlap(one: tuple[str, Values], other: tuple[str, Values]) -> bool:
    """The rule itself: every key that both lock is shared, for one use."""
    mine = {lock.key: lock for lock in locks_of(ACTIONS[one[0]], one[1])}
    theirs = {lock.key: lock for lock in locks_of(ACTIONS[other[0]], other[1])}
    return all(
        mine[key].use == theirs[key].use and mine[key].shared and theirs[key].shared
        for key in mine.keys() & theirs.keys()
    )


SEND: dict[str, Value] = {"data": b"x", "dataType": "text"}
ADA_RED = {"userId": "ada", "group": "red"}
BOB_RED = {"userId": "bob", "group": "red"}
BOB_BLUE = {"userId": "bob", "group": "blue"}
GRANT = {"connectionId": "c", "permission": "sendToGroup", "targetName": "red"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("addUserToGroup", ADA_RED), ("addUserToGroup", BOB_RED)),
        (("addUserToGroup", BOB_BLUE), ("addUserToGroup", BOB_RED)),
        (("addUserToGroup", ADA_RED), ("removeUserFromGroup", BOB_BLUE)),
        (("addUserToGroup", ADA_RED), ("sendToGroup", {"group": "blue", **SEND})),
        (("sendToUser", {"userId": "a", **SEND}), ("sendToUser", {"userId": "b", **SEND})),
        (("grantPermission", GRANT), ("grantPermission", GRANT)),
        (("closeGroupConnections", {"group": "a"}), ("closeUserConnections", {"userId": "a"})),
        (
            ("removeUserFromAllGroups", {"userId": "a"}),
            ("removeUserFromAllGroups", {"userId": "b"}),
        ),
    ],
)
def test_what_commutes_overlaps(one: tuple[str, Values], other: tuple[str, Values]) -> None:
    """Different targets, or the same kind of change."""
    assert may_overlap(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("addUserToGroup", ADA_RED), ("removeUserFromGroup", ADA_RED)),
        (("addUserToGroup", ADA_RED), ("sendToGroup", {"group": "red", **SEND})),
        (("sendToGroup", {"group": "r", **SEND}), ("sendToGroup", {"group": "r", **SEND})),
        (("grantPermission", GRANT), ("revokePermission", GRANT)),
        (("addUserToGroup", ADA_RED), ("removeUserFromAllGroups", {"userId": "bob"})),
        (("addUserToGroup", ADA_RED), ("closeClientConnection", {"connectionId": "c"})),
        (("addUserToGroup", ADA_RED), ("sendToAll", SEND)),
        (("sendToAll", SEND), ("sendToAll", SEND)),
        (("closeAllConnections", {}), ("closeClientConnection", {"connectionId": "c"})),
        (("closeClientConnection", {"connectionId": "c"}),) * 2,
        (
            ("addConnectionsToGroups", {"groups": ("a",), "filter": "f"}),
            ("removeUserFromAllGroups", {"userId": "bob"}),
        ),
        (
            ("sendToGroup", {"group": "red", "filter": "'blue' in groups", **SEND}),
            ("addUserToGroup", BOB_BLUE),
        ),
    ],
)
def test_what_would_change_the_outcome_does_not_overlap(
    one: tuple[str, Values], other: tuple[str, Values]
) -> None:
    """Other phases, other kinds on one target, messages to one target, filters on members."""
    assert not may_overlap(one, other)


def test_an_action_that_runs_alone_shares_nothing() -> None:
    """Its one lock is on the hub, which every action locks."""
    assert locks_of(ACTIONS["sendToAll"], SEND) == EXCLUSIVE
    assert list(EXCLUSIVE) == [Lock(("hub", ""), "alone", shared=False)]
    for row in ACTIONS.values():
        values: Values = {one.name: "x" for one in row.fields}
        assert locks_of(row, values)[0].key == ("hub", "")
