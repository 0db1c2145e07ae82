"""The permissions of one connection on groups: from its roles, by grants and by revocations.

Source: a grant names one group literally (`*` is not a wildcard); a revocation overrides the
client's roles until the next grant. There are at most 1000 such literal rules.

The roles are `webpubsub.joinLeaveGroup` and `webpubsub.sendToGroup`, for every group, `….{group}`
for one, and `webpubsub.joinLeaveGroups.{pattern}`, `webpubsub.sendToGroups.{pattern}`. Unknown
roles, and those above a limit, are ignored, as Microsoft's emulator does.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from wps_run.emulator.names import Permission, is_group_name
from wps_run.emulator.wildcards import Pattern, PatternError, compile_pattern

RULE_LIMIT = 1000
"""The maximum number of groups in one connection's rules for one permission."""

PATTERN_LIMIT = 10
"""The maximum number of patterns of one connection for one permission."""


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


def rules_from_roles(roles: Collection[str]) -> dict[Permission, PermissionRules]:
    """Return new rules for one connection, which grants and revocations change later.

    A permission that the roles do not give at all is absent.
    """
    rules = {permission: _rules(f"webpubsub.{permission}", roles) for permission in Permission}
    return {name: rule for name, rule in rules.items() if rule != PermissionRules()}


def _rules(role_name: str, roles: Collection[str]) -> PermissionRules:
    patterns = [pattern for role in roles if (pattern := _pattern(role_name, role))]
    wildcards = tuple(pattern for pattern in patterns if pattern.literal is None)
    literals = [pattern.literal for pattern in patterns if pattern.literal is not None]
    rules = PermissionRules(all_groups=role_name in roles, patterns=wildcards[:PATTERN_LIMIT])
    prefix = f"{role_name}."
    names = [role.removeprefix(prefix) for role in roles if role.startswith(prefix)]
    groups = [
        group for group in (*names, *literals) if is_group_name(group) and not rules.check(group)
    ]
    rules.allowed = set(list(dict.fromkeys(groups))[:RULE_LIMIT])
    return rules


def _pattern(role_name: str, role: str) -> Pattern | None:
    prefix = f"{role_name}s."
    if not role.startswith(prefix):
        return None
    try:
        return compile_pattern(role.removeprefix(prefix))
    except PatternError:
        return None
