"""The permissions that the roles in a client's token give it."""

import pytest

from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import RULE_LIMIT, TooManyRulesError
from wps_run.emulator.websocket.roles import PATTERN_LIMIT, rules_from_roles

SEND, JOIN = Permission.SEND_TO_GROUP, Permission.JOIN_LEAVE_GROUP


def allowed(roles: list[str], permission: Permission, group: str) -> bool:
    """Whether the roles give a permission for a group."""
    rules = rules_from_roles(roles)
    return permission in rules and rules[permission].check(group)


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
    other = next(other for other in Permission if other is not permission)

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
def test_an_unknown_role_gives_nothing(role: str) -> None:
    """It is ignored."""
    assert rules_from_roles([role]) == {}


def test_no_roles_give_nothing() -> None:
    """No permission for any group."""
    assert rules_from_roles([]) == {}


def test_roles_add_up() -> None:
    """Literal roles and patterns together."""
    roles = ["webpubsub.sendToGroup.a", "webpubsub.sendToGroups.b*", "webpubsub.joinLeaveGroup"]

    assert [group for group in "abc" if allowed(roles, SEND, group)] == ["a", "b"]
    assert allowed(roles, JOIN, "c")


def test_the_number_of_patterns_is_limited() -> None:
    """An eleventh is ignored; patterns without wildcards do not count."""
    roles = [f"webpubsub.sendToGroups.{letter}*" for letter in "abcdefghijk"]
    literal = ["webpubsub.sendToGroups.zz"]

    assert allowed(roles, SEND, "j1")
    assert not allowed(roles, SEND, "k1")
    assert allowed([*roles, *literal], SEND, "zz")
    assert len(rules_from_roles(roles)[SEND].patterns) == PATTERN_LIMIT


def test_the_number_of_groups_is_limited() -> None:
    """One more role is ignored, and one more group cannot be granted."""
    roles = [f"webpubsub.sendToGroup.{number}" for number in range(RULE_LIMIT + 1)]

    rules = rules_from_roles(roles)[SEND]

    assert rules.check(f"{RULE_LIMIT - 1}")
    assert not rules.check(f"{RULE_LIMIT}")
    with pytest.raises(TooManyRulesError):
        rules.grant("more")


def test_each_connection_has_its_own_rules() -> None:
    """A revocation for one does not change another with the same roles."""
    roles = ["webpubsub.sendToGroups.a*"]
    first, second = rules_from_roles(roles)[SEND], rules_from_roles(roles)[SEND]

    first.revoke("a1")

    assert not first.check("a1")
    assert second.check("a1")
