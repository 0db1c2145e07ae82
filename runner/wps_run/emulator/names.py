"""Which names the service accepts, and how it compares them.

Source: the OpenAPI document's patterns; lengths are counted in UTF-16 units, as .NET counts.
"""

import re
from enum import StrEnum

GROUP_LIMIT = 1024
"""The most UTF-16 units a group's name may have."""

_HUB = re.compile(r"[A-Za-z][A-Za-z0-9_`,.\[\]]{0,127}")


class Permission(StrEnum):
    """What a connection may be allowed to do with a group."""

    SEND_TO_GROUP = "sendToGroup"
    JOIN_LEAVE_GROUP = "joinLeaveGroup"


_PERMISSIONS = {
    "sendtogroup": Permission.SEND_TO_GROUP,
    "1": Permission.SEND_TO_GROUP,
    "joinleavegroup": Permission.JOIN_LEAVE_GROUP,
    "2": Permission.JOIN_LEAVE_GROUP,
}


def is_hub(name: str) -> bool:
    """Whether a hub may be called so."""
    return _HUB.fullmatch(name) is not None


def hub_key(name: str) -> str:
    """The form under which a hub is kept: hubs are compared without case."""
    return name.lower()


def is_group(name: str) -> bool:
    """Whether a group may be called so: 1 to 1024 UTF-16 units, not blank, in one line."""
    return is_id(name) and "\n" not in name and utf16_units(name) <= GROUP_LIMIT


def is_id(name: str) -> bool:
    """Whether a user or a connection may be called so: anything that is not blank."""
    return bool(name) and not name.isspace()


def permission(name: str) -> Permission | None:
    """The permission that a path segment names: in any case, or as 1 or 2. None if it does not."""
    return _PERMISSIONS.get(name.lower())


def utf16_units(text: str) -> int:
    """How long .NET takes a text to be."""
    return len(text) + sum(character > "\uffff" for character in text)
