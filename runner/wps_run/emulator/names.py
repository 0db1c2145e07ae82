"""Names and message metadata: what the service accepts, and how it compares them.

Sources: the patterns of the OpenAPI document for names, Microsoft's emulator for metadata. Lengths
of group names are counted in UTF-16 units, as .NET counts.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

GROUP_LIMIT = 1024
"""The maximum length of a group name, in UTF-16 units."""

TTL_LIMIT = 300
"""The maximum time to live of a message, in seconds."""

METADATA_NAME_LIMIT = 256
"""The maximum length of a metadata name, in characters."""

METADATA_VALUE_LIMIT = 1024
"""The maximum length of a metadata value, in characters."""

METADATA_LIMIT = 8 * 1024
"""The maximum length of all metadata names and values of one message, in characters."""

_HUB = re.compile(r"[A-Za-z][A-Za-z0-9_`,.\[\]]{0,127}")
_EVENT = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,127}")
_METADATA_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


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


class MetadataError(ValueError):
    """The metadata of a message is invalid; the message says why."""


def is_hub_name(name: str) -> bool:
    """Check the name of a hub."""
    return _HUB.fullmatch(name) is not None


def hub_key(name: str) -> str:
    """Normalize a hub name: hub names are compared without case."""
    return name.lower()


def is_group_name(name: str) -> bool:
    """Check the name of a group: 1 to 1024 UTF-16 units, not blank, no line break."""
    return is_id(name) and "\n" not in name and utf16_units(name) <= GROUP_LIMIT


def is_id(name: str) -> bool:
    """Check a user ID or a connection ID: any text that is not blank."""
    return bool(name) and not name.isspace()


def is_event_name(name: str) -> bool:
    """Check the name of a user event."""
    return _EVENT.fullmatch(name) is not None


def parse_permission(name: str) -> Permission | None:
    """Parse a permission in a path: its name in any case, or 1 or 2. None if it is unknown."""
    return _PERMISSIONS.get(name.lower())


def utf16_units(text: str) -> int:
    """Count the UTF-16 units of a text."""
    return len(text) + sum(character > "\uffff" for character in text)


def read_metadata(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Check the metadata of one message: the same rules for REST and WebSocket clients.

    Raises:
        MetadataError: A name or value is too long or has a forbidden character, or a name is
            repeated.
    """
    metadata: dict[str, str] = {}
    total = 0
    for name, value in pairs:
        _check_metadata(name, value)
        if name in metadata:
            raise MetadataError("A name of the metadata comes twice.")
        total += len(name) + len(value)
        if total > METADATA_LIMIT:
            raise MetadataError(f"The metadata is longer than {METADATA_LIMIT} characters.")
        metadata[name] = value
    return metadata


def _check_metadata(name: str, value: str) -> None:
    if not _METADATA_NAME.fullmatch(name):
        raise MetadataError("A name of the metadata is empty or has a forbidden character.")
    if not value.isascii():
        raise MetadataError("A value of the metadata is not ASCII.")
    if len(name) > METADATA_NAME_LIMIT:
        raise MetadataError(
            f"A name of the metadata is longer than {METADATA_NAME_LIMIT} characters."
        )
    if len(value) > METADATA_VALUE_LIMIT:
        raise MetadataError(
            f"A value of the metadata is longer than {METADATA_VALUE_LIMIT} characters."
        )
