"""The operations of the REST API: each turns a call into a response and an effect. No I/O.

Sources: the OpenAPI document of api-version 2024-12-01 for statuses; recordings of the service
for the responses to unknown connections, users and groups.
"""

from collections.abc import Callable
from dataclasses import dataclass

from wps_run.emulator.auth import ClientTokenParameters, TokenVerifier
from wps_run.emulator.effects import Effect, Message
from wps_run.emulator.filters import compile_filter
from wps_run.emulator.hub import (
    Hub,
    Predicate,
    Target,
    TargetKind,
    UnknownConnectionError,
    UnknownUserError,
)
from wps_run.emulator.names import TTL_LIMIT, Permission, is_group_name, parse_permission
from wps_run.emulator.permissions import TooManyRulesError
from wps_run.emulator.rest.bodies import Body, metadata_from_headers, read_groups, read_message
from wps_run.emulator.rest.listing import INT_MAX, ContinuationTokens, list_members
from wps_run.emulator.rest.responses import (
    ACCEPTED,
    NO_CONTENT,
    OK,
    RefusedError,
    RestResponse,
    bad_request,
    error,
    filter_problem,
    json_response,
    not_found,
)
from wps_run.emulator.targets import Query, decode_path, encode_path, parse_integer
from wps_run.odata.syntax import FilterError

INVALID_GROUP = (
    "Invalid group name. Valid group name should be in between 1 and 1024 characters long."
)


@dataclass(frozen=True, slots=True)
class OperationCall:
    """One authorized request to a hub.

    Attributes:
        hub_name: The hub's lower-case name.
        names: The names in the path after the hub, decoded and checked, in order.
        received: The body, empty if the operation has none, or the refusal of it.
        origin: Scheme and host as the client used them.
        path: The raw path.
        secret: The key that signs continuation tokens.
        now: Seconds since the epoch.
    """

    hub: Hub
    hub_name: str
    names: tuple[str, ...]
    query: Query
    received: Body | RefusedError
    origin: str
    path: str
    verifier: TokenVerifier
    secret: bytes
    now: float
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> Body:
        """Return the body. Raises RefusedError, which other checks may precede."""
        if isinstance(self.received, RefusedError):
            raise self.received
        return self.received


@dataclass(frozen=True, slots=True)
class OperationResult:
    """The response to the caller, and the effect on clients."""

    response: RestResponse
    effect: Effect | None = None


OperationFunction = Callable[[OperationCall], OperationResult]


def health(_: OperationCall) -> OperationResult:
    """Respond to HEAD `/api/health`."""
    return OperationResult(OK)


# Sends.


def send(kind: TargetKind, call: OperationCall) -> OperationResult:
    """Send a message to the target in the path; for a single connection, a filter is ignored."""
    has_ttl = call.query.first("messageTtlSeconds").strip()
    ttl = _number(call.query, "messageTtlSeconds", 0, TTL_LIMIT) if has_ttl else 0
    matches, excluded = None, frozenset[str]()
    if kind is not TargetKind.CONNECTION:
        matches = _send_filter(call.query.first("filter"))
    if kind in {TargetKind.HUB, TargetKind.GROUP}:
        excluded = _excluded(call.query)
    data_type, data = read_message(call.body())
    target = _target(call, kind)
    group = target.name if kind is TargetKind.GROUP else None
    metadata = metadata_from_headers(call.headers)
    message = Message(data, data_type, group=group, ttl=ttl, metadata=metadata)
    return OperationResult(ACCEPTED, call.hub.send(target, message, excluded, matches))


def _send_filter(text: str) -> Predicate | None:
    try:
        return compile_filter(text) if text else None
    except FilterError as error:
        raise RefusedError(bad_request(str(error))) from None


# Closes.


def close(kind: TargetKind, call: OperationCall) -> OperationResult:
    """Close the connections of the target in the path; `excluded` has no effect on a single one."""
    excluded = _excluded(call.query) if kind is not TargetKind.CONNECTION else frozenset[str]()
    effect = call.hub.close(_target(call, kind), call.query.first("reason"), excluded)
    return OperationResult(NO_CONTENT, effect)


# Groups.


def add_connection_to_group(call: OperationCall) -> OperationResult:
    """PUT `/groups/{group}/connections/{connectionId}`."""
    group, connection_id = call.names
    try:
        call.hub.add_connection_to_group(connection_id, group)
    except UnknownConnectionError:
        return OperationResult(not_found("Error", "Connection", connection_id))
    return OperationResult(OK)


def remove_connection_from_group(call: OperationCall) -> OperationResult:
    """DELETE `/groups/{group}/connections/{connectionId}`."""
    group, connection_id = call.names
    call.hub.remove_connection_from_group(connection_id, group)
    return OperationResult(NO_CONTENT)


def remove_connection_from_all_groups(call: OperationCall) -> OperationResult:
    """DELETE `/connections/{connectionId}/groups`."""
    call.hub.remove_connection_from_all_groups(call.names[0])
    return OperationResult(NO_CONTENT)


def add_user_to_group(call: OperationCall) -> OperationResult:
    """PUT `/users/{userId}/groups/{group}`."""
    user_id, group = call.names
    try:
        call.hub.add_user_to_group(user_id, group)
    except UnknownUserError:
        return OperationResult(not_found("Warning", "User", user_id))
    return OperationResult(OK)


def remove_user_from_group(call: OperationCall) -> OperationResult:
    """DELETE `/users/{userId}/groups/{group}`."""
    user_id, group = call.names
    call.hub.remove_user_from_group(user_id, group)
    return OperationResult(NO_CONTENT)


def remove_user_from_all_groups(call: OperationCall) -> OperationResult:
    """DELETE `/users/{userId}/groups`."""
    call.hub.remove_user_from_all_groups(call.names[0])
    return OperationResult(NO_CONTENT)


def add_connections_to_groups(call: OperationCall) -> OperationResult:
    """POST `/:addToGroups`."""
    groups, matches = _bulk(call)
    call.hub.add_to_groups(groups, matches)
    return OperationResult(OK)


def remove_connections_from_groups(call: OperationCall) -> OperationResult:
    """POST `/:removeFromGroups`."""
    groups, matches = _bulk(call)
    call.hub.remove_from_groups(groups, matches)
    return OperationResult(OK)


def _bulk(call: OperationCall) -> tuple[tuple[str, ...], Predicate | None]:
    groups, text = read_groups(call.body())
    try:
        return groups, compile_filter(text) if text else None
    except FilterError as error:
        raise RefusedError(filter_problem(str(error))) from None


def list_connections_in_group(call: OperationCall) -> OperationResult:
    """GET `/groups/{group}/connections`."""
    group = call.names[0]
    tokens = ContinuationTokens(call.secret, f"{call.hub_name}/{group}")
    url = call.origin + encode_path(decode_path(call.path))
    return OperationResult(json_response(list_members(call.hub, group, call.query, tokens, url)))


# Existence.


def exists(kind: TargetKind, call: OperationCall) -> OperationResult:
    """Respond with 200 if the target in the path exists, else with 404."""
    indexes = {
        TargetKind.CONNECTION: call.hub.connections,
        TargetKind.GROUP: call.hub.groups,
        TargetKind.USER: call.hub.users,
    }
    name = call.names[0]
    is_found = name in indexes[kind]
    return OperationResult(OK if is_found else not_found("Warning", kind.capitalize(), name))


# Permissions.


def grant_permission(call: OperationCall) -> OperationResult:
    """PUT `/permissions/{permission}/connections/{connectionId}`."""
    permission, connection_id, group = _permission(call)
    try:
        call.hub.grant(permission, connection_id, group)
    except UnknownConnectionError:
        return OperationResult(not_found("Info", "Connection", connection_id))
    except TooManyRulesError:
        return OperationResult(_too_many_rules(connection_id))
    return OperationResult(OK)


def revoke_permission(call: OperationCall) -> OperationResult:
    """DELETE `/permissions/{permission}/connections/{connectionId}`."""
    permission, connection_id, group = _permission(call)
    try:
        call.hub.revoke(permission, connection_id, group)
    except UnknownConnectionError:
        return OperationResult(NO_CONTENT)
    except TooManyRulesError:
        return OperationResult(_too_many_rules(connection_id))
    return OperationResult(NO_CONTENT)


def check_permission(call: OperationCall) -> OperationResult:
    """HEAD `/permissions/{permission}/connections/{connectionId}`."""
    permission, connection_id, group = _permission(call)
    try:
        is_allowed = call.hub.check(permission, connection_id, group)
    except UnknownConnectionError:
        is_allowed = False
    return OperationResult(OK if is_allowed else not_found("Info", "Connection", connection_id))


def _permission(call: OperationCall) -> tuple[Permission, str, str]:
    name, connection_id = call.names
    permission, group = parse_permission(name), call.query.first("targetName")
    if permission is None:
        raise RefusedError(bad_request("Invalid permission."))
    if not is_group_name(group):
        raise RefusedError(bad_request(INVALID_GROUP))
    return permission, connection_id, group


def _too_many_rules(connection_id: str) -> RestResponse:
    message = f"Connection `{connection_id}` has too many permission rules."
    return error(409, "Error.Connection.Conflict", message, "Connection")


# Tokens.

_CLIENT_PATHS = {"default": "/client/hubs/", "mqtt": "/clients/mqtt/hubs/"}
"""The URL path for each type of client."""


def generate_client_token(call: OperationCall) -> OperationResult:
    """POST `/:generateToken`. A token for MQTT is issued, too, though MQTT is not supported."""
    query = call.query
    has_lifetime, has_type = query.all("minutesToExpire"), query.all("clientType")
    minutes = _number(query, "minutesToExpire", 1, INT_MAX) if has_lifetime else 60
    client_path = _CLIENT_PATHS.get(query.first("clientType").lower() if has_type else "default")
    if client_path is None:
        raise RefusedError(bad_request("Invalid clientType.", "clientType"))
    groups = query.all("group")
    if not all(map(is_group_name, groups)):
        raise RefusedError(bad_request(INVALID_GROUP, "group"))
    parameters = ClientTokenParameters(
        audience=f"{call.origin}{client_path}{call.hub_name}",
        user_id=query.first("userId"),
        roles=tuple(query.all("role")),
        groups=tuple(groups),
        lifetime=minutes * 60,
    )
    token = call.verifier.issue_client_token(parameters, call.now)
    return OperationResult(json_response({"token": token}))


# Parameters.


def _target(call: OperationCall, kind: TargetKind) -> Target:
    return Target(kind, "" if kind is TargetKind.HUB else call.names[0])


def _excluded(query: Query) -> frozenset[str]:
    return frozenset(query.all("excluded"))


def _number(query: Query, name: str, minimum: int, maximum: int) -> int:
    """Return the first value of a parameter. Raises RefusedError, 400, if it is out of range."""
    number = parse_integer(query.first(name))
    if number is None or not minimum <= number <= maximum:
        raise RefusedError(bad_request(f"Invalid {name}."))
    return number
