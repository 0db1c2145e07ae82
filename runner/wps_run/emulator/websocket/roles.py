"""What the roles in a client's token allow it.

Source: `webpubsub.joinLeaveGroup` and `webpubsub.sendToGroup`, for every group, `….{group}` for
one, and `webpubsub.joinLeaveGroups.{pattern}`, `webpubsub.sendToGroups.{pattern}`. A role that
means nothing, or that comes after a limit is reached, is left out, as the emulator does.
"""

from collections.abc import Collection

from wps_run.emulator.names import Permission, is_group_name
from wps_run.emulator.permissions import RULE_LIMIT, PermissionRules
from wps_run.emulator.wildcards import Pattern, PatternError, compile_pattern

PATTERN_LIMIT = 10
"""The most patterns that one connection may have for one permission."""


def rules(roles: Collection[str]) -> dict[Permission, PermissionRules]:
    """The rules of a new connection, made for it alone: they change with grants and denials.

    A permission that its roles do not give at all has none.
    """
    read = {permission: _rules(f"webpubsub.{permission}", roles) for permission in Permission}
    return {permission: given for permission, given in read.items() if given != PermissionRules()}


def _rules(name: str, roles: Collection[str]) -> PermissionRules:
    patterns = [pattern for role in roles if (pattern := _pattern(name, role))]
    wild = [pattern for pattern in patterns if pattern.literal is None]
    literal = [pattern.literal for pattern in patterns if pattern.literal is not None]
    given = PermissionRules(all_groups=name in roles, patterns=tuple(wild[:PATTERN_LIMIT]))
    named = [role.removeprefix(f"{name}.") for role in roles if role.startswith(f"{name}.")]
    groups = [
        group for group in (*named, *literal) if is_group_name(group) and not given.check(group)
    ]
    given.allowed = set(list(dict.fromkeys(groups))[:RULE_LIMIT])
    return given


def _pattern(name: str, role: str) -> Pattern | None:
    if not role.startswith(f"{name}s."):
        return None
    try:
        return compile_pattern(role.removeprefix(f"{name}s."))
    except PatternError:
        return None
