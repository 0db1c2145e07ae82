"""Who is there, a page of rows at a time: hubs and a view in, plain data out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from wps_run.emulator.dashboard.view import DashboardView, Listing
from wps_run.emulator.hub import Connection, Hub
from wps_run.emulator.permissions import PermissionRules

ROWS = 50
"""The rows of one page."""

NAMED = 10
"""The most groups that are named in a row; the others are counted."""

HUBS_NAMED = 200
"""The most hubs that are offered to be chosen from; the list of hubs has them all."""

Json = dict[str, Any]
_T = TypeVar("_T")


def totals(hubs: Mapping[str, Hub]) -> Json:
    """How many there are of each kind, as `GET /_local/state` has them, hub by hub together."""
    return {
        "hubs": len(hubs),
        "connections": sum(len(hub.connections) for hub in hubs.values()),
        "users": sum(len(hub.users) for hub in hubs.values()),
        "groups": sum(len(hub.groups) for hub in hubs.values()),
        "named": sorted(islice(hubs, HUBS_NAMED)),
    }


def people(hubs: Mapping[str, Hub], view: DashboardView) -> Json:
    """The rows of one page of the list that a view asks for.

    Args:
        hubs: Those with connections, by lower-case name.
        view: What is to be seen.

    Returns:
        `rows` with the `page` they are on, the number of `pages`, how many `matches` the search
        has, and `all` it was looked for in. A page behind the last one is the last one.
    """
    chosen = {name: hub for name, hub in hubs.items() if view.hub in {"", name}}
    search = view.search.casefold()
    if view.listing is Listing.CONNECTIONS:
        there = _connections(chosen, view)
        found = [one for one in there if _has(one[1], search)] if search else there
        return _page(view, len(there), found, _connection)
    counted = _counted(chosen, view.listing)
    every = len(counted)
    if search:
        counted = [one for one in counted if search in one[1].casefold()]
    counted.sort()
    return _page(view, every, counted, lambda one: _sum(one, chosen, view.listing))


def _page(view: DashboardView, every: int, found: Sequence[_T], make: Callable[[_T], Json]) -> Json:
    pages = max(1, -(-len(found) // ROWS))
    page = min(view.page, pages - 1)
    return {
        "list": str(view.listing),
        "page": page,
        "pages": pages,
        "matches": len(found),
        "all": every,
        "rows": [make(one) for one in found[page * ROWS : (page + 1) * ROWS]],
    }


_Found = tuple[str, Connection]
_Sum = tuple[int, str, str]
"""How many connections, below zero; whose they are; in which hub."""


def _connections(hubs: Mapping[str, Hub], view: DashboardView) -> list[_Found]:
    """The connections of the hub, user and group that a view asks for, in order of coming."""
    return [(name, one) for name, hub in hubs.items() for one in _members(hub, view)]


def _members(hub: Hub, view: DashboardView) -> Iterable[Connection]:
    if view.group:
        members = [hub.connections[one] for one in hub.groups.get(view.group, ())]
        return [one for one in members if view.user in {"", one.user_id}]
    if view.user:
        return [hub.connections[one] for one in hub.users.get(view.user, ())]
    return hub.connections.values()


def _has(one: Connection, search: str) -> bool:
    return (
        search in one.connection_id.casefold()
        or search in (one.user_id or "").casefold()
        or any(search in group.casefold() for group in one.groups)
    )


def _counted(hubs: Mapping[str, Hub], listing: Listing) -> list[_Sum]:
    """Each user, group or hub; sorted, the largest come first, and then they go by name."""
    match listing:
        case Listing.USERS:
            indexes = [(name, hub.users) for name, hub in hubs.items()]
        case Listing.GROUPS:
            indexes = [(name, hub.groups) for name, hub in hubs.items()]
        case _:
            indexes = [(name, {name: hub.connections}) for name, hub in hubs.items()]
    return [(-len(index[one]), one, name) for name, index in indexes for one in index]


def _sum(found: _Sum, hubs: Mapping[str, Hub], listing: Listing) -> Json:
    less, name, hub = found
    sums: Json = {"hub": hub, "name": name, "connections": -less}
    if listing is Listing.HUBS:
        sums |= {"users": len(hubs[hub].users), "groups": len(hubs[hub].groups)}
    return sums


def _connection(found: _Found) -> Json:
    hub, one = found
    return {
        "hub": hub,
        "connectionId": one.connection_id,
        "userId": one.user_id,
        "protocol": one.protocol,
        "groups": list(islice(one.groups, NAMED)),
        "groupCount": len(one.groups),
        "permissions": {str(permission): _rules(rules) for permission, rules in one.rules.items()},
    }


def _rules(rules: PermissionRules) -> Json:
    return {
        "everywhere": rules.everywhere,
        "patterns": [pattern.text for pattern in rules.patterns],
        "allowed": sorted(islice(rules.allowed, NAMED)),
        "allowedCount": len(rules.allowed),
        "denied": sorted(islice(rules.denied, NAMED)),
        "deniedCount": len(rules.denied),
    }
