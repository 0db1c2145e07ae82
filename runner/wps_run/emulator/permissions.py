"""What one connection may do with which groups.

Source: a grant names one group literally (`*` is no wildcard); a revoke beats what the client's
roles give, until it is granted again. There are at most 1000 such literal rules.
"""

from dataclasses import dataclass, field

from wps_run.emulator.wildcards import Pattern

RULE_LIMIT = 1000
"""The most groups that one connection's rules for one permission may name."""


class TooManyRulesError(Exception):
    """One more literal rule would exceed `RULE_LIMIT`. Nothing was changed."""


@dataclass(slots=True)
class PermissionRules:
    """The rules of one connection for one permission.

    Attributes:
        all_groups: Whether the client's roles give the permission for every group.
        patterns: The groups for which its roles give it, by pattern.
        allowed: Groups it was granted beyond that.
        denied: Groups it was denied in spite of that.
    """

    all_groups: bool = False
    patterns: tuple[Pattern, ...] = ()
    allowed: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)

    def check(self, group: str) -> bool:
        """Whether it is allowed now."""
        return group in self.allowed or (group not in self.denied and self._given(group))

    def grant(self, group: str) -> None:
        """Allow it. Raises TooManyRulesError."""
        self.denied.discard(group)
        if not self._given(group):
            self._add(self.allowed, group)

    def revoke(self, group: str) -> None:
        """Deny it. Raises TooManyRulesError."""
        self.allowed.discard(group)
        if self._given(group):
            self._add(self.denied, group)

    def _given(self, group: str) -> bool:
        """Whether its roles give it."""
        return self.all_groups or any(pattern.matches(group) for pattern in self.patterns)

    def _add(self, rules: set[str], group: str) -> None:
        if group not in rules and len(self.allowed) + len(self.denied) >= RULE_LIMIT:
            raise TooManyRulesError
        rules.add(group)
