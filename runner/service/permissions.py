"""What one connection may do with which groups.

Source: a grant names one group literally (`*` is no wildcard); a revoke beats what the client's
roles give, until it is granted again. There are at most 1000 such literal rules.
"""

from dataclasses import dataclass, field

RULE_LIMIT = 1000


class TooManyRulesError(Exception):
    """One more literal rule would exceed `RULE_LIMIT`. Nothing was changed."""


@dataclass(slots=True)
class Rules:
    """The rules of one connection for one permission.

    Attributes:
        everywhere: Whether the client's roles give the permission for every group.
        allowed: Groups it was granted beyond that.
        denied: Groups it was denied in spite of that.
    """

    everywhere: bool = False
    allowed: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)

    def check(self, group: str) -> bool:
        """Whether it is allowed now."""
        return group in self.allowed or (self.everywhere and group not in self.denied)

    def grant(self, group: str) -> None:
        """Allow it. Raises TooManyRulesError."""
        self.denied.discard(group)
        if not self.everywhere:
            self._add(self.allowed, group)

    def revoke(self, group: str) -> None:
        """Deny it. Raises TooManyRulesError."""
        self.allowed.discard(group)
        if self.everywhere:
            self._add(self.denied, group)

    def _add(self, rules: set[str], group: str) -> None:
        if group not in rules and len(rules) >= RULE_LIMIT:
            raise TooManyRulesError
        rules.add(group)
