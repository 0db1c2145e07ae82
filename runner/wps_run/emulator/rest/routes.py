"""The routes of the REST API: a method and a path to an operation and the names in the path."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from wps_run.emulator.names import is_group_name, is_hub_name, is_id
from wps_run.emulator.rest import operations as do
from wps_run.emulator.rest.operations import INVALID_GROUP, OperationFunction
from wps_run.emulator.rest.responses import (
    UNKNOWN_ROUTE,
    RefusedError,
    bad_request,
    method_not_allowed,
)


class AccessRule(Enum):
    """Who may ask for an operation."""

    ANYONE = auto()
    TOKEN = auto()
    ENTRA_ID = auto()


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the REST API.

    Attributes:
        name: Its operation ID, without the prefix `WebPubSub_`.
        run: Carries it out.
        has_body: Whether the request has a body, which then needs a Content-Length.
        access: Who may ask for it. A token is issued to holders of an Entra ID token only.
    """

    name: str
    run: OperationFunction
    has_body: bool = False
    access: AccessRule = AccessRule.TOKEN


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    Attributes:
        operation: What it asks for.
        hub: The hub as it stands in the path; "" for health.
        nouns: For each name in the path, what it names: `groups`, `users` and so on.
        names: The names, decoded.
    """

    operation: Operation
    hub: str = ""
    nouns: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def check_names(self) -> None:
        """Raise RefusedError, 400, if hub or names are not what such things may be called."""
        if self.hub and not is_hub_name(self.hub):
            raise RefusedError(bad_request("Invalid hub name."))
        for noun, name in zip(self.nouns, self.names, strict=True):
            if noun == "groups" and not is_group_name(name):
                raise RefusedError(bad_request(INVALID_GROUP))
            if noun in _IDS and not is_id(name):
                raise RefusedError(bad_request(_IDS[noun]))


_IDS = {"users": "Invalid user ID.", "connections": "Invalid connection ID."}

HEALTH = Operation("GetServiceStatus", do.health, access=AccessRule.ANYONE)

_Methods = Mapping[str, Operation]

_ROUTES: Mapping[tuple[str, ...], _Methods] = {
    (":send",): {"POST": Operation("SendToAll", do.send_to_all, has_body=True)},
    (":closeConnections",): {"POST": Operation("CloseAllConnections", do.close_all_connections)},
    (":generateToken",): {
        "POST": Operation(
            "GenerateClientToken", do.generate_client_token, access=AccessRule.ENTRA_ID
        )
    },
    (":addToGroups",): {
        "POST": Operation("AddConnectionsToGroups", do.add_connections_to_groups, has_body=True)
    },
    (":removeFromGroups",): {
        "POST": Operation(
            "RemoveConnectionsFromGroups", do.remove_connections_from_groups, has_body=True
        )
    },
    ("connections", "*"): {
        "HEAD": Operation("ConnectionExists", do.connection_exists),
        "DELETE": Operation("CloseConnection", do.close_connection),
    },
    ("connections", "*", ":send"): {
        "POST": Operation("SendToConnection", do.send_to_connection, has_body=True)
    },
    ("connections", "*", "groups"): {
        "DELETE": Operation("RemoveConnectionFromAllGroups", do.remove_connection_from_all_groups)
    },
    ("groups", "*"): {"HEAD": Operation("GroupExists", do.group_exists)},
    ("groups", "*", ":send"): {"POST": Operation("SendToGroup", do.send_to_group, has_body=True)},
    ("groups", "*", ":closeConnections"): {
        "POST": Operation("CloseGroupConnections", do.close_group_connections)
    },
    ("groups", "*", "connections"): {
        "GET": Operation("ListConnectionsInGroup", do.list_connections_in_group)
    },
    ("groups", "*", "connections", "*"): {
        "PUT": Operation("AddConnectionToGroup", do.add_connection_to_group),
        "DELETE": Operation("RemoveConnectionFromGroup", do.remove_connection_from_group),
    },
    ("users", "*"): {"HEAD": Operation("UserExists", do.user_exists)},
    ("users", "*", ":send"): {"POST": Operation("SendToUser", do.send_to_user, has_body=True)},
    ("users", "*", ":closeConnections"): {
        "POST": Operation("CloseUserConnections", do.close_user_connections)
    },
    ("users", "*", "groups"): {
        "DELETE": Operation("RemoveUserFromAllGroups", do.remove_user_from_all_groups)
    },
    ("users", "*", "groups", "*"): {
        "PUT": Operation("AddUserToGroup", do.add_user_to_group),
        "DELETE": Operation("RemoveUserFromGroup", do.remove_user_from_group),
    },
    ("permissions", "*", "connections", "*"): {
        "PUT": Operation("GrantPermission", do.grant_permission),
        "DELETE": Operation("RevokePermission", do.revoke_permission),
        "HEAD": Operation("CheckPermission", do.check_permission),
    },
}
"""What follows `/api/hubs/{hub}`, with `*` for a name, to the operations by method."""

OPERATIONS = tuple(one.name for methods in _ROUTES.values() for one in methods.values())
"""The operations of hubs: all but health."""


def find_route(method: str, segments: list[str]) -> Route:
    """Find the operation of a request.

    Args:
        method: The HTTP method.
        segments: The decoded path, split. Literal segments are matched with case.

    Raises:
        RefusedError: 404 for a path that no operation has, 405 for another method.
    """
    if segments == ["api", "health"]:
        return Route(_choose({"HEAD": HEALTH}, method))
    if segments[:2] != ["api", "hubs"] or "" in segments:
        raise RefusedError(UNKNOWN_ROUTE)
    rest = segments[3:]
    shape = tuple("*" if at % 2 else segment for at, segment in enumerate(rest))
    methods = _ROUTES.get(shape)
    if methods is None:
        raise RefusedError(UNKNOWN_ROUTE)
    nouns = rest[:-1:2] if len(rest) % 2 else rest[::2]
    return Route(_choose(methods, method), segments[2], tuple(nouns), tuple(rest[1::2]))


def _choose(methods: _Methods, method: str) -> Operation:
    try:
        return methods[method]
    except KeyError:
        raise RefusedError(method_not_allowed(", ".join(methods))) from None
