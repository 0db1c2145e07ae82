"""What the roles in a client's token allow it."""

import pytest

from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import RULE_LIMIT, TooManyRulesError
from wps_run.emulator.websocket.roles import PATTERN_LIMIT, rules

SEND, JOIN = Permission.SEND_TO_GROUP, Permission.JOIN_LEAVE_GROUP


def allowed(roles: list[str], permission: Permission, group: str) -> bool:
    """Whether the roles give a permission for a group."""
    given = rules(roles)
    return permission in given and given[permission].check(group)


@pytest.mark.parametrize(
    ("role", "permission", "groups", "others"),
    [
        ("webpubsub.sendToGroup", SEND, ["a", "b.c"], []),
        ("webpubsub.joinLeaveGroup", JOIN, ["a", "b.c"], []),
        ("webpubsub.sendToGroup.a", SEND, ["a"], ["b", "A", "a.b"]),
        ("webpubsub.joinLeaveGroup.a.b", JOIN, ["a.b"], ["a", "b"]),
        ("webpubsub.sendToGroup.*", SEND, ["*"], ["a"]),
        ("webpubsub.sendToGroups.a.*", SEND, ["a.b", "a."], ["a", "a.b.c"]),
        ("webpubsub.joinLeaveGroups.**", JOIN, ["a", "a.b"], []),
        (r"webpubsub.joinLeaveGroups.a\*", JOIN, ["a*"], ["ab"]),
        ("webpubsub.sendToGroups.a", SEND, ["a"], ["b"]),
    ],
)
def test_a_role_gives_its_permission(
    role: str, permission: Permission, groups: list[str], others: list[str]
) -> None:
    """For every group, for one, or for those of a pattern; and never the other permission."""
    other = next(one for one in Permission if one is not permission)

    assert all(allowed([role], permission, group) for group in groups)
    assert not any(allowed([role], permission, group) for group in others)
    assert not any(allowed([role], other, group) for group in groups)


@pytest.mark.parametrize(
    "role",
    [
        "",
        "webpubsub",
        "webpubsub.sendToGroup.",
        "webpubsub.sendToGroup. ",
        "webpubsub.sendToGroups",
        "webpubsub.sendToGroups.",
        "webpubsub.sendToGroups.******",
        r"webpubsub.sendToGroups.a\b",
        "WebPubSub.SendToGroup",
        "webpubsub.SENDTOGROUP.a",
        " webpubsub.sendToGroup",
        "webpubsub.sendToGroupX",
    ],
)
def test_a_role_that_means_nothing_gives_nothing(role: str) -> None:
    """It is left out, and the connection may be opened."""
    assert rules([role]) == {}


def test_no_roles_give_nothing() -> None:
    """A client may join nothing and send to nothing of itself."""
    assert rules([]) == {}


def test_roles_add_up() -> None:
    """Literal roles and patterns are all in force."""
    roles = ["webpubsub.sendToGroup.a", "webpubsub.sendToGroups.b*", "webpubsub.joinLeaveGroup"]

    assert [group for group in "abc" if allowed(roles, SEND, group)] == ["a", "b"]
    assert allowed(roles, JOIN, "c")


def test_ten_patterns_count() -> None:
    """An eleventh is left out; patterns that are literal are not counted among them."""
    roles = [f"webpubsub.sendToGroups.{letter}*" for letter in "abcdefghijk"]
    literal = ["webpubsub.sendToGroups.zz"]

    assert allowed(roles, SEND, "j1")
    assert not allowed(roles, SEND, "k1")
    assert allowed([*roles, *literal], SEND, "zz")
    assert len(rules(roles)[SEND].patterns) == PATTERN_LIMIT


def test_a_thousand_groups_count() -> None:
    """One more is left out, and one more cannot be granted."""
    roles = [f"webpubsub.sendToGroup.{number}" for number in range(RULE_LIMIT + 1)]

    given = rules(roles)[SEND]

    assert given.check(f"{RULE_LIMIT - 1}")
    assert not given.check(f"{RULE_LIMIT}")
    with pytest.raises(TooManyRulesError):
        given.grant("more")


def test_each_connection_has_its_own_rules() -> None:
    """What one connection is denied, another with the same roles is not."""
    roles = ["webpubsub.sendToGroups.a*"]
    one, other = rules(roles)[SEND], rules(roles)[SEND]

    one.revoke("a1")

    assert not one.check("a1")
    assert other.check("a1")
