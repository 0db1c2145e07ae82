"""The permissions of one connection on groups.

Source: a grant names one group literally (`*` is not a wildcard); a revocation overrides the
client's roles until the next grant. There are at most 1000 such literal rules.
"""

from dataclasses import dataclass, field

from wps_run.emulator.wildcards import Pattern

RULE_LIMIT = 1000
"""The maximum number of groups in one connection's rules for one permission."""


class TooManyRulesError(Exception):
    """One more literal rule would exceed `RULE_LIMIT`. Nothing was changed."""


@dataclass(slots=True)
class PermissionRules:
    """The rules of one connection for one permission.

    Attributes:
        all_groups: Whether the client's roles give the permission for every group.
        patterns: The patterns of groups for which its roles give it.
        allowed: The groups it was granted in addition.
        denied: The groups it was denied in spite of its roles.
    """

    all_groups: bool = False
    patterns: tuple[Pattern, ...] = ()
    allowed: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)

    def check(self, group: str) -> bool:
        """Whether the permission is given for a group."""
        return group in self.allowed or (group not in self.denied and self._is_in_roles(group))

    def grant(self, group: str) -> None:
        """Give the permission. Raises TooManyRulesError."""
        self.denied.discard(group)
        if not self._is_in_roles(group):
            self._add(self.allowed, group)

    def revoke(self, group: str) -> None:
        """Deny the permission. Raises TooManyRulesError."""
        self.allowed.discard(group)
        if self._is_in_roles(group):
            self._add(self.denied, group)

    def _is_in_roles(self, group: str) -> bool:
        return self.all_groups or any(pattern.matches(group) for pattern in self.patterns)

    def _add(self, rules: set[str], group: str) -> None:
        if group not in rules and len(self.allowed) + len(self.denied) >= RULE_LIMIT:
            raise TooManyRulesError
        rules.add(group)
