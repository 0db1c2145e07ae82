"""What a rehearsal shows: who is where, who heard what, who was closed, what is permitted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runner.report.text import cut, value_text

LISTED = 12
"""The most names shown in one line for the eye; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message and who heard it.

    Attributes:
        origin: `server`, or the group that it was sent to.
        data_type: `text`, `json` or `binary`.
        data: The message.
        listeners: The clients that received it.
    """

    origin: str
    data_type: str
    data: bytes
    listeners: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """One client that was cut off, and the reason it was told; "" for none."""

    client: str
    reason: str


@dataclass(frozen=True, slots=True)
class Permitted:
    """What one connection may, or may no longer, do with a group."""

    connection: str
    permission: str
    group: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """The state that a run would leave in one hub, and what clients would notice.

    Attributes:
        hub: The hub.
        clients: How many simulated clients there were.
        groups: Each group that has members, with them.
        heard: The messages in the order in which they were sent.
        closed: The clients cut off, in order.
        permissions: What was granted or revoked for connections still open.
    """

    hub: str
    clients: int
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    heard: tuple[Heard, ...]
    closed: tuple[Closed, ...]
    permissions: tuple[Permitted, ...]


def outlook_lines(outlook: Outlook) -> str:
    """The outlook for a terminal; long lists are counted instead of shown whole."""
    clients = f"{outlook.clients} simulated {'client' if outlook.clients == 1 else 'clients'}"
    lines = [f"\nWhat would happen in hub {outlook.hub} ({clients}):"]
    lines += _part("Groups", _groups(outlook))
    lines += _part("Messages", _messages(outlook))
    lines += _part("Closed", _closed(outlook))
    lines += _part("Permissions", _permissions(outlook))
    return "\n".join(lines) + "\n"


def outlook_record(outlook: Outlook) -> dict[str, Any]:
    """The outlook for machines, whole; binary data is given as its size only."""
    return {
        "type": "rehearsal",
        "hub": outlook.hub,
        "clients": outlook.clients,
        "groups": {group: list(members) for group, members in outlook.groups},
        "messages": [
            {
                "from": heard.origin,
                "dataType": heard.data_type,
                "bytes": len(heard.data),
                "data": None if heard.data_type == "binary" else heard.data.decode(),
                "heardBy": list(heard.listeners),
            }
            for heard in outlook.heard
        ],
        "closed": [{"client": one.client, "reason": one.reason} for one in outlook.closed],
        "permissions": [
            {
                "connectionId": one.connection,
                "permission": one.permission,
                "group": one.group,
                "allowed": one.allowed,
            }
            for one in outlook.permissions
        ],
    }


def _part(title: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"\n  {title}"
    found = list(rows)
    if not found:
        yield "    none"
        return
    width = min(32, max(len(left) for left, _ in found))
    for left, right in found[:LISTED]:
        yield f"    {left:{width}}  {right}".rstrip()
    if len(found) > LISTED:
        yield f"    … and {len(found) - LISTED:,} more"


def _groups(outlook: Outlook) -> Iterator[tuple[str, str]]:
    for group, members in outlook.groups:
        yield value_text(group), _names(members)


def _messages(outlook: Outlook) -> Iterator[tuple[str, str]]:
    for heard in outlook.heard:
        if heard.data_type == "binary":
            size = len(heard.data)
            shown = f"{size} {'byte' if size == 1 else 'bytes'}"
        else:
            shown = f'"{cut(heard.data.decode(errors="replace"))}"'.replace("\n", " ")
        listeners = _names(heard.listeners) if heard.listeners else "nobody"
        yield f"{shown} from {value_text(heard.origin)}", f"heard by {listeners}"


def _closed(outlook: Outlook) -> Iterator[tuple[str, str]]:
    by_reason: dict[str, list[str]] = {}
    for one in outlook.closed:
        by_reason.setdefault(one.reason, []).append(one.client)
    for reason, clients in by_reason.items():
        yield (value_text(reason) if reason else "no reason given"), _names(clients)


def _permissions(outlook: Outlook) -> Iterator[tuple[str, str]]:
    by_connection: dict[str, list[str]] = {}
    for one in outlook.permissions:
        verb = "may" if one.allowed else "may not"
        rule = f"{verb} {one.permission} {value_text(one.group)}"
        by_connection.setdefault(one.connection, []).append(rule)
    for connection, rules in by_connection.items():
        yield value_text(connection), ", ".join(rules)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(map(value_text, names[:LISTED]))
    rest = len(names) - LISTED
    return f"{shown} and {rest:,} more ({len(names):,} in all)" if rest > 0 else shown
