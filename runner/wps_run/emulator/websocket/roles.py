"""The permissions that the roles in a client's token give it.

Source: `webpubsub.joinLeaveGroup` and `webpubsub.sendToGroup`, for every group, `….{group}` for
one, and `webpubsub.joinLeaveGroups.{pattern}`, `webpubsub.sendToGroups.{pattern}`. Unknown roles,
and those above a limit, are ignored, as the service's own emulator does.
"""

from collections.abc import Collection

from wps_run.emulator.names import Permission, is_group_name
from wps_run.emulator.permissions import RULE_LIMIT, PermissionRules
from wps_run.emulator.wildcards import Pattern, PatternError, compile_pattern

PATTERN_LIMIT = 10
"""The most patterns of one connection for one permission."""


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
