"""Tests of the permissions of one connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.permissions import RULE_LIMIT, PermissionRules, TooManyRulesError
from wps_run.emulator.wildcards import compile_pattern


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
    rules = PermissionRules(patterns=(compile_pattern("room.*"),))
    assert rules.check("room.1")

    rules.revoke("room.1")
    assert not rules.check("room.1")
    assert rules.check("room.2")

    rules.grant("room.1")
    assert rules == PermissionRules(patterns=rules.patterns)


def test_grants_and_denials_count_together() -> None:
    """With patterns a connection can have both; there are still at most a thousand."""
    rules = PermissionRules(patterns=(compile_pattern("room.*"),))
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
    rules = PermissionRules(patterns=(compile_pattern("a*"),), allowed={"b"})
    expected = {"a": True, "b": True, "c": False}
    for change, group in changes:
        getattr(rules, change)(group)
        expected[group] = change == "grant"

    assert {group: rules.check(group) for group in expected} == expected
