"""Tests of the permissions of one connection: roles, grants and revocations."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import (
    PATTERN_LIMIT,
    RULE_LIMIT,
    PatternError,
    PermissionRules,
    TooManyRulesError,
    compile_pattern,
    rules_from_roles,
)


def test_a_grant_is_for_one_literal_group() -> None:
    """A star is not a wildcard."""
    rules = PermissionRules()

    rules.grant("*")

    assert rules.check("*")
    assert not rules.check("room")


def test_a_revoke_overrides_a_role_until_it_is_granted_again() -> None:
    """A denial of one group leaves the role for the others."""
    rules = PermissionRules(all_groups=True)

    rules.revoke("room")
    assert not rules.check("room")
    assert rules.check("other")

    rules.grant("room")
    assert rules.check("room")


def test_granted_then_revoked_leaves_no_rule() -> None:
    """Revoked grants do not count."""
    rules = PermissionRules()

    rules.grant("room")
    rules.revoke("room")

    assert rules == PermissionRules()


@pytest.mark.parametrize("all_groups", [False, True])
def test_there_are_at_most_a_thousand_rules(*, all_groups: bool) -> None:
    """One more is refused and changes nothing; a repeated one is not counted."""
    rules = PermissionRules(all_groups=all_groups)
    change = rules.revoke if all_groups else rules.grant
    for number in range(RULE_LIMIT):
        change(f"room{number}")

    change("room0")
    with pytest.raises(TooManyRulesError):
        change("overflow")

    assert rules.check("overflow") is all_groups


def test_a_revoke_overrides_a_pattern_until_it_is_granted_again() -> None:
    """The other groups of the pattern stay allowed."""
    rules = PermissionRules(patterns=[compile_pattern("room.*")])
    assert rules.check("room.1")

    rules.revoke("room.1")
    assert not rules.check("room.1")
    assert rules.check("room.2")

    rules.grant("room.1")
    assert rules == PermissionRules(patterns=rules.patterns)


def test_grants_and_denials_count_together() -> None:
    """With patterns a connection can have both; there are still at most a thousand."""
    rules = PermissionRules(patterns=[compile_pattern("room.*")])
    for number in range(RULE_LIMIT // 2):
        rules.revoke(f"room.{number}")
        rules.grant(f"{number}")

    with pytest.raises(TooManyRulesError):
        rules.grant("overflow")
    with pytest.raises(TooManyRulesError):
        rules.revoke("room.overflow")

    assert rules.check("room.overflow")
    assert not rules.check("overflow")


@given(st.lists(st.tuples(st.sampled_from(["grant", "revoke"]), st.sampled_from("abc"))))
def test_the_last_change_of_a_group_decides(changes: list[tuple[str, str]]) -> None:
    """With any earlier changes and roles."""
    rules = PermissionRules(patterns=[compile_pattern("a*")], allowed={"b"})
    expected = {"a": True, "b": True, "c": False}
    for change, group in changes:
        getattr(rules, change)(group)
        expected[group] = change == "grant"

    assert {group: rules.check(group) for group in expected} == expected


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
    """A tenth is ignored, in sorted order; patterns without wildcards do not count."""
    roles = [f"webpubsub.sendToGroups.{letter}*" for letter in "jihgfedcba"]
    literal = ["webpubsub.sendToGroups.zz"]

    assert allowed(roles, SEND, "a1")
    assert allowed(roles, SEND, "i1")
    assert not allowed(roles, SEND, "j1")
    assert allowed([*roles, *literal], SEND, "zz")
    assert len(rules_from_roles(roles)[SEND].patterns) == PATTERN_LIMIT


def test_repeated_patterns_count() -> None:
    """Nine times the same one leave no room for another one."""
    roles = ["webpubsub.sendToGroups.a*"] * PATTERN_LIMIT

    assert allowed([*roles[1:], "webpubsub.sendToGroups.b*"], SEND, "b1")
    assert not allowed([*roles, "webpubsub.sendToGroups.b*"], SEND, "b1")


@pytest.mark.parametrize("stars", ["**", "*****"])
def test_a_pattern_for_everything_is_not_counted(stars: str) -> None:
    """It is the role for every group, and forgets the patterns before it."""
    roles = [f"webpubsub.sendToGroups.{letter}*" for letter in "!#$%&'()+,"]

    rules = rules_from_roles([*roles, f"webpubsub.sendToGroups.{stars}"])[SEND]

    assert rules.all_groups
    assert rules.check("any.group")
    assert [pattern.text for pattern in rules.patterns] == ["+*", ",*"]


def test_the_number_of_groups_is_limited() -> None:
    """One more role is ignored, in sorted order, and one more group cannot be granted."""
    roles = [f"webpubsub.sendToGroup.{number:04}" for number in range(RULE_LIMIT, -1, -1)]

    rules = rules_from_roles(roles)[SEND]

    assert rules.check("0000")
    assert not rules.check(f"{RULE_LIMIT:04}")
    with pytest.raises(TooManyRulesError):
        rules.grant("more")


def test_a_pattern_without_wildcards_may_exceed_the_limit_of_groups() -> None:
    """Then even a change that adds nothing is refused, until one is taken away."""
    roles = [f"webpubsub.sendToGroup.{number}" for number in range(RULE_LIMIT)]
    rules = rules_from_roles([*roles, "webpubsub.sendToGroups.extra"])[SEND]
    assert rules.check("extra")

    with pytest.raises(TooManyRulesError):
        rules.grant("0")
    with pytest.raises(TooManyRulesError):
        rules.revoke("absent")
    rules.revoke("extra")
    rules.grant("0")

    assert rules.check("0")
    assert not rules.check("extra")


def test_a_pattern_takes_the_place_of_the_groups_that_it_matches() -> None:
    """So a revocation of such a group is a denial, and there is room for others."""
    roles = [f"webpubsub.sendToGroup.room{number}" for number in range(RULE_LIMIT)]
    rules = rules_from_roles([*roles, "webpubsub.sendToGroups.room*"])[SEND]

    rules.grant("other")
    rules.revoke("room0")

    assert rules.allowed == {"other"}
    assert not rules.check("room0")
    assert rules.check("room1")


def test_each_connection_has_its_own_rules() -> None:
    """A revocation for one does not change another with the same roles."""
    roles = ["webpubsub.sendToGroups.a*"]
    first, second = rules_from_roles(roles)[SEND], rules_from_roles(roles)[SEND]

    first.revoke("a1")

    assert not first.check("a1")
    assert second.check("a1")


# Patterns.


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("chat-*", ["chat-1", "chat-room", "chat-"], ["chat.1", "xchat-1", "chat-1.2"]),
        ("clientA.*", ["clientA.alpha", "clientA."], ["clientA.alpha.room1", "clientB.alpha"]),
        ("clientA.**", ["clientA.alpha", "clientA.alpha.room1"], ["clientB.x", "clientA"]),
        ("rooms.?1", ["rooms.a1", "rooms.11"], ["rooms.1", "rooms.a.1", "rooms..1"]),
        (r"literal\*star", ["literal*star"], ["literalXstar", r"literal\*star"]),
        (r"\?\\", ["?\\"], ["a\\", r"\?\\"]),
        ("**", ["", "a", "a.b", "\n"], []),
        ("***", ["a.b"], []),
        ("*", ["", "a"], ["a.b", "."]),
        ("*.*", ["a.b", "."], ["a", "a.b.c"]),
        ("**b*c", ["a.bc", "a.bb.bxc", "bc"], ["b.c", "a.b.c"]),
        ("Room", ["Room"], ["room", "ROOM", "Room1"]),
        ("?", ["a", "\U0001f600"], ["", ".", "ab"]),
    ],
)
def test_a_pattern_matches_names(pattern: str, matches: list[str], others: list[str]) -> None:
    """The documentation's examples, and their neighbors."""
    compiled = compile_pattern(pattern)

    assert [name for name in matches if not compiled.matches(name)] == []
    assert [name for name in others if compiled.matches(name)] == []


@pytest.mark.parametrize(
    "text", ["", "a" * 1025, "******", "a*b*c*d*e*f*g", "a\\", r"a\b", "\U0001f600" * 513]
)
def test_an_invalid_pattern_is_an_error(text: str) -> None:
    """Empty, too long, too many stars, or a backslash before a plain character."""
    with pytest.raises(PatternError):
        compile_pattern(text)


@pytest.mark.parametrize("text", ["a" * 1024, "*a*a*a*a*", "**a**a*", r"\*\*\*\*\*\*", "?" * 1000])
def test_a_pattern_at_the_limits_is_valid(text: str) -> None:
    """Escaped stars and question marks do not count."""
    assert compile_pattern(text).text == text


def test_a_pattern_without_wildcards_is_literal() -> None:
    """Its literal has no backslashes."""
    assert compile_pattern(r"a\*b").literal == "a*b"
    assert compile_pattern("a?b").literal is None


def backtrack(pattern: str, name: str) -> bool:
    """Match by backtracking (a pattern of single letters and stars)."""
    if not pattern:
        return not name
    if pattern.startswith("**"):
        rest = pattern.lstrip("*")
        return any(backtrack(rest, name[position:]) for position in range(len(name) + 1))
    if pattern[0] == "*":
        segment = name.partition(".")[0]
        return any(backtrack(pattern[1:], name[position:]) for position in range(len(segment) + 1))
    first = name[:1]
    matches = first not in ("", ".") if pattern[0] == "?" else first == pattern[0]
    return matches and backtrack(pattern[1:], name[1:])


@given(
    pattern=st.text("ab.?*", min_size=1, max_size=10).filter(lambda text: text.count("*") <= 5),
    name=st.text("ab.", max_size=10),
)
def test_a_pattern_agrees_with_backtracking(pattern: str, name: str) -> None:
    """Both give the same result."""
    assert compile_pattern(pattern).matches(name) == backtrack(pattern, name)


@pytest.mark.parametrize("pattern", ["*a" * 5 + "b", "**a*a**a?" + "a" * 900, "?" * 1023 + "*"])
def test_a_pathological_pattern_is_quick(pattern: str) -> None:
    """A thousand characters take less than a second."""
    compiled = compile_pattern(pattern)
    began = time.process_time()

    compiled.matches("a" * 1024)

    assert time.process_time() - began < 1
