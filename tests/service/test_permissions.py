"""Permissions of one connection."""

import pytest

from runner.service.permissions import RULE_LIMIT, Rules, TooManyRulesError


def test_a_grant_is_for_one_literal_group() -> None:
    """A star is no wildcard."""
    rules = Rules()

    rules.grant("*")

    assert rules.check("*")
    assert not rules.check("room")


def test_a_revoke_beats_a_role_until_it_is_granted_again() -> None:
    """A denial of one group leaves the role for the others."""
    rules = Rules(everywhere=True)

    rules.revoke("room")
    assert not rules.check("room")
    assert rules.check("other")

    rules.grant("room")
    assert rules.check("room")


def test_granted_then_revoked_leaves_no_rule() -> None:
    """Grants that were taken back do not count."""
    rules = Rules()

    rules.grant("room")
    rules.revoke("room")

    assert rules == Rules()


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_thousand_rules_are_enough(*, everywhere: bool) -> None:
    """One more is refused and changes nothing; a repeat is none more."""
    rules = Rules(everywhere=everywhere)
    change = rules.revoke if everywhere else rules.grant
    for number in range(RULE_LIMIT):
        change(f"room{number}")

    change("room0")
    with pytest.raises(TooManyRulesError):
        change("overflow")

    assert rules.check("overflow") is everywhere
