"""What was read of the live service before the first action. Pure."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from wps_run.document.document import Path


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

GROUP = "group"
"""The key of `forEach`, and of a column of a matrix, that takes rows from a live group."""

COLUMN_OF_CONNECTION, COLUMN_OF_USER = "connectionId", "userId"

LIVE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        COLUMN_OF_CONNECTION: "The ID of the connection.",
        COLUMN_OF_USER: "The ID of its user; empty if the connection is anonymous.",
    }
)
"""The columns of these rows, and what is in them."""


def live_sources(for_each: object) -> Iterator[tuple[Path, str]]:
    """Yield the path below a valid `forEach`, and the name as written, of each live group in it."""
    if isinstance(for_each, dict):
        sources: Mapping[Path, Any] = {(): for_each}
        if "matrix" in for_each:
            sources = {("matrix", column): axis for column, axis in for_each["matrix"].items()}
        for path, source in sources.items():
            if isinstance(source, dict) and GROUP in source:
                yield (*path, GROUP), source[GROUP]


def is_user_column(for_each: object, column: str) -> bool:
    """Whether a column of rows has the users of a live group."""
    source = for_each
    if isinstance(for_each, dict) and "matrix" in for_each:
        source = for_each["matrix"].get(column)
        column = source.get("column", "") if isinstance(source, dict) else ""
    return isinstance(source, dict) and GROUP in source and column == COLUMN_OF_USER
