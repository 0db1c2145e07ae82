"""What was read of the live service before the first action. Pure."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias


class LiveConnection(NamedTuple):
    """A connection in a group.

    Attributes:
        connection_id: Its ID.
        user_id: Its user, or None if it is anonymous.
    """

    connection_id: str
    user_id: str | None


LiveGroups: TypeAlias = Mapping[str, tuple[LiveConnection, ...]]
"""The groups of one hub that were read: name to connections, ordered by connection ID."""
