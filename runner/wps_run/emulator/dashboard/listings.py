"""The connections, users, groups or hubs that a query selects, one page of rows at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from wps_run.emulator.dashboard.query import DashboardQuery, Listing
from wps_run.emulator.hub import Connection, Hub
from wps_run.emulator.permissions import PermissionRules

PAGE_SIZE = 50
"""The rows of one page."""

NAME_LIMIT = 10
"""The most groups that are named in a row; the others are counted."""

HUB_NAME_LIMIT = 200
"""The most hubs in the selection box; the list of hubs has them all."""

Json = dict[str, Any]
_T = TypeVar("_T")


def totals(hubs: Mapping[str, Hub]) -> Json:
    """Count hubs, connections, users and groups, summed over the hubs as in `/_local/state`.

    `busiest` is the hub with most connections, the first by name of several; "" without any.
    """
    return {
        "hubs": len(hubs),
        "connections": sum(len(hub.connections) for hub in hubs.values()),
        "users": sum(len(hub.users) for hub in hubs.values()),
        "groups": sum(len(hub.groups) for hub in hubs.values()),
        "named": sorted(islice(hubs, HUB_NAME_LIMIT)),
        "busiest": min(hubs, key=lambda name: (-len(hubs[name].connections), name), default=""),
    }


def list_clients(hubs: Mapping[str, Hub], query: DashboardQuery) -> Json:
    """Return one page of the list that a query selects from the hubs with connections.

    Returns:
        `rows` with their `page`, the number of `pages`, how many `matches` the search has, and
        `all` that were searched. A page behind the last one is the last one.
    """
    selected = {name: hub for name, hub in hubs.items() if query.hub in {"", name}}
    search = query.search.casefold()
    if query.listing is Listing.CONNECTIONS:
        every = [
            (name, connection)
            for name, hub in selected.items()
            for connection in _connections(hub, query)
        ]
        matches = [row for row in every if _has(row[1], search)] if search else every
        return _page(query, len(every), matches, _connection_row)
    counts = _count(selected, query.listing)
    total = len(counts)
    if search:
        counts = [count for count in counts if search in count.name.casefold()]
    counts.sort()
    return _page(query, total, counts, lambda count: _count_row(count, selected, query.listing))


def _page(
    query: DashboardQuery, total: int, matches: Sequence[_T], make_row: Callable[[_T], Json]
) -> Json:
    pages = max(1, -(-len(matches) // PAGE_SIZE))
    page = min(query.page, pages - 1)
    return {
        "list": str(query.listing),
        "page": page,
        "pages": pages,
        "matches": len(matches),
        "all": total,
        "rows": [make_row(match) for match in matches[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]],
    }


def _connections(hub: Hub, query: DashboardQuery) -> Iterable[Connection]:
    if query.group:
        members = [hub.connections[member] for member in hub.groups.get(query.group, ())]
        return [member for member in members if query.user in {"", member.user_id}]
    if query.user:
        return [hub.connections[connection] for connection in hub.users.get(query.user, ())]
    return hub.connections.values()


def _has(connection: Connection, search: str) -> bool:
    return (
        search in connection.connection_id.casefold()
        or search in (connection.user_id or "").casefold()
        or any(search in group.casefold() for group in connection.groups)
    )


class _Count(NamedTuple):
    """The connections of a user, a group or a hub; sorts the largest first, then by name."""

    negative_connections: int
    name: str
    hub: str


def _count(hubs: Mapping[str, Hub], listing: Listing) -> list[_Count]:
    match listing:
        case Listing.USERS:
            indexes = [(name, hub.users) for name, hub in hubs.items()]
        case Listing.GROUPS:
            indexes = [(name, hub.groups) for name, hub in hubs.items()]
        case _:
            indexes = [(name, {name: hub.connections}) for name, hub in hubs.items()]
    return [_Count(-len(index[key]), key, name) for name, index in indexes for key in index]


def _count_row(count: _Count, hubs: Mapping[str, Hub], listing: Listing) -> Json:
    row: Json = {"hub": count.hub, "name": count.name, "connections": -count.negative_connections}
    if listing is Listing.HUBS:
        row |= {"users": len(hubs[count.hub].users), "groups": len(hubs[count.hub].groups)}
    return row


def _connection_row(match: tuple[str, Connection]) -> Json:
    hub, connection = match
    return {
        "hub": hub,
        "connectionId": connection.connection_id,
        "userId": connection.user_id,
        "protocol": connection.protocol,
        "groups": list(islice(connection.groups, NAME_LIMIT)),
        "groupCount": len(connection.groups),
        "permissions": {
            str(permission): _rules(rules) for permission, rules in connection.rules.items()
        },
    }


def _rules(rules: PermissionRules) -> Json:
    return {
        "everywhere": rules.all_groups,
        "patterns": [pattern.text for pattern in rules.patterns],
        "allowed": sorted(islice(rules.allowed, NAME_LIMIT)),
        "allowedCount": len(rules.allowed),
        "denied": sorted(islice(rules.denied, NAME_LIMIT)),
        "deniedCount": len(rules.denied),
    }
