"""The routes of the REST API: map a method and a path to an operation and the names in the path."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from wps_run.emulator.hub import TargetKind as Kind
from wps_run.emulator.names import is_group_name, is_hub_name, is_id
from wps_run.emulator.rest import operations as ops
from wps_run.emulator.rest.operations import (
    INVALID_GROUP,
    OperationCall,
    OperationFunction,
    OperationResult,
)
from wps_run.emulator.rest.responses import (
    UNKNOWN_ROUTE,
    RefusedError,
    bad_request,
    method_not_allowed,
)


class AccessRule(Enum):
    """Which token an operation needs. Client tokens are issued for an Entra ID token only."""

    ANYONE = auto()
    TOKEN = auto()
    ENTRA_ID = auto()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the REST API.

    Attributes:
        name: Its operation ID, without the prefix `WebPubSub_`.
        has_body: Whether the request has a body, which then needs a Content-Length.
    """

    name: str
    run: OperationFunction
    has_body: bool = False
    access: AccessRule = AccessRule.TOKEN


@dataclass(frozen=True, slots=True)
class Route:
    """The operation of a request and the names in its path.

    Attributes:
        hub: The hub's name in the path; "" for health.
        name_types: For each name in the path the segment before it: `groups`, `users` and so on.
        names: The names, decoded.
    """

    operation: Operation
    hub: str = ""
    name_types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def check_names(self) -> None:
        """Raise RefusedError, 400, if the hub or another name is invalid."""
        if self.hub and not is_hub_name(self.hub):
            raise RefusedError(bad_request("Invalid hub name."))
        for name_type, name in zip(self.name_types, self.names, strict=True):
            if name_type == "groups" and not is_group_name(name):
                raise RefusedError(bad_request(INVALID_GROUP))
            if name_type in _INVALID_IDS and not is_id(name):
                raise RefusedError(bad_request(_INVALID_IDS[name_type]))


_INVALID_IDS = {"users": "Invalid user ID.", "connections": "Invalid connection ID."}

HEALTH = Operation("GetServiceStatus", ops.health, access=AccessRule.ANYONE)

_Methods = dict[str, Operation]
_Row = tuple[str, str, Operation]


def _row(
    method: str,
    path: str,
    run: OperationFunction,
    *,
    has_body: bool = False,
    access: AccessRule = AccessRule.TOKEN,
) -> _Row:
    """Make one row of the table; the operation ID is the function's name in camel case."""
    name = "".join(map(str.capitalize, run.__name__.split("_")))
    return method, path, Operation(name, run, has_body, access)


def _target_row(
    method: str,
    path: str,
    name: str,
    run: Callable[[Kind, OperationCall], OperationResult],
    kind: Kind,
) -> _Row:
    return method, path, Operation(name, partial(run, kind), has_body=run is ops.send)


def _by_path(*rows: _Row) -> Mapping[tuple[str, ...], _Methods]:
    routes: dict[tuple[str, ...], _Methods] = {}
    for method, path, operation in rows:
        routes.setdefault(tuple(path.split("/")), {})[method] = operation
    return routes


_ROUTES = _by_path(
    _target_row("POST", ":send", "SendToAll", ops.send, Kind.HUB),
    _target_row("POST", ":closeConnections", "CloseAllConnections", ops.close, Kind.HUB),
    _row("POST", ":generateToken", ops.generate_client_token, access=AccessRule.ENTRA_ID),
    _row("POST", ":addToGroups", ops.add_connections_to_groups, has_body=True),
    _row("POST", ":removeFromGroups", ops.remove_connections_from_groups, has_body=True),
    _target_row("HEAD", "connections/*", "ConnectionExists", ops.exists, Kind.CONNECTION),
    _target_row("DELETE", "connections/*", "CloseConnection", ops.close, Kind.CONNECTION),
    _target_row("POST", "connections/*/:send", "SendToConnection", ops.send, Kind.CONNECTION),
    _row("DELETE", "connections/*/groups", ops.remove_connection_from_all_groups),
    _target_row("HEAD", "groups/*", "GroupExists", ops.exists, Kind.GROUP),
    _target_row("POST", "groups/*/:send", "SendToGroup", ops.send, Kind.GROUP),
    _target_row(
        "POST", "groups/*/:closeConnections", "CloseGroupConnections", ops.close, Kind.GROUP
    ),
    _row("GET", "groups/*/connections", ops.list_connections_in_group),
    _row("PUT", "groups/*/connections/*", ops.add_connection_to_group),
    _row("DELETE", "groups/*/connections/*", ops.remove_connection_from_group),
    _target_row("HEAD", "users/*", "UserExists", ops.exists, Kind.USER),
    _target_row("POST", "users/*/:send", "SendToUser", ops.send, Kind.USER),
    _target_row("POST", "users/*/:closeConnections", "CloseUserConnections", ops.close, Kind.USER),
    _row("DELETE", "users/*/groups", ops.remove_user_from_all_groups),
    _row("PUT", "users/*/groups/*", ops.add_user_to_group),
    _row("DELETE", "users/*/groups/*", ops.remove_user_from_group),
    _row("PUT", "permissions/*/connections/*", ops.grant_permission),
    _row("DELETE", "permissions/*/connections/*", ops.revoke_permission),
    _row("HEAD", "permissions/*/connections/*", ops.check_permission),
)
"""The operations by method for each path after `/api/hubs/{hub}/`, with `*` for a name."""

OPERATIONS = tuple(operation.name for methods in _ROUTES.values() for operation in methods.values())
"""The names of all operations except health."""


def find_route(method: str, segments: list[str]) -> Route:
    """Find the route of a request by the segments of its decoded path, compared with case.

    Raises:
        RefusedError: 404 for an unknown path, 405 for another method.
    """
    if segments == ["api", "health"]:
        return Route(_select({"HEAD": HEALTH}, method))
    if segments[:2] != ["api", "hubs"] or "" in segments:
        raise RefusedError(UNKNOWN_ROUTE)
    rest = segments[3:]
    pattern = tuple("*" if index % 2 else segment for index, segment in enumerate(rest))
    methods = _ROUTES.get(pattern)
    if methods is None:
        raise RefusedError(UNKNOWN_ROUTE)
    name_types = rest[:-1:2] if len(rest) % 2 else rest[::2]
    operation = _select(methods, method)
    return Route(operation, segments[2], tuple(name_types), tuple(rest[1::2]))


def _select(methods: _Methods, method: str) -> Operation:
    try:
        return methods[method]
    except KeyError:
        raise RefusedError(method_not_allowed(", ".join(methods))) from None
