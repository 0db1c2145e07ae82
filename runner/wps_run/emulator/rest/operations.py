"""The operations of the REST API: each turns a call into a response and an effect. No I/O.

Sources: the OpenAPI document of api-version 2024-12-01 for statuses; recordings of the service
for the responses to unknown connections, users and groups.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from wps_run.emulator.auth import ClientTokenParameters, TokenVerifier
from wps_run.emulator.effects import Effect, Message
from wps_run.emulator.filters.evaluation import compile_filter
from wps_run.emulator.filters.syntax import FilterError
from wps_run.emulator.hub import (
    ALL_CONNECTIONS,
    Hub,
    Predicate,
    Target,
    TargetKind,
    UnknownConnectionError,
    UnknownUserError,
)
from wps_run.emulator.names import Permission, is_group_name, parse_permission
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
from wps_run.emulator.targets import Query

INVALID_GROUP = (
    "Invalid group name. Valid group name should be in between 1 and 1024 characters long."
)
TTL_LIMIT = 300
"""The maximum time to live of a message, in seconds."""


@dataclass(frozen=True, slots=True)
class OperationCall:
    """One authorized request to a hub.

    Attributes:
        hub: The hub.
        hub_name: Its lower-case name.
        names: The names in the path after the hub, decoded and checked, in order.
        query: The query parameters.
        body: The body; empty if the operation has none.
        url: Scheme, host and raw path as the client used them.
        verifier: Issues client tokens.
        secret: The key that signs continuation tokens.
        now: Seconds since the epoch.
        headers: All headers of the request.
    """

    hub: Hub
    hub_name: str
    names: tuple[str, ...]
    query: Query
    body: Body
    url: str
    verifier: TokenVerifier
    secret: bytes
    now: float
    headers: tuple[tuple[str, str], ...] = ()


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


def send_to_all(call: OperationCall) -> OperationResult:
    """POST `/:send`."""
    return _send(call, ALL_CONNECTIONS)


def send_to_group(call: OperationCall) -> OperationResult:
    """POST `/groups/{group}/:send`."""
    return _send(call, Target(TargetKind.GROUP, call.names[0]))


def send_to_user(call: OperationCall) -> OperationResult:
    """POST `/users/{userId}/:send`."""
    return _send(call, Target(TargetKind.USER, call.names[0]))


def send_to_connection(call: OperationCall) -> OperationResult:
    """POST `/connections/{connectionId}/:send`; a filter is ignored here."""
    return _send(call, Target(TargetKind.CONNECTION, call.names[0]))


def _send(call: OperationCall, target: Target) -> OperationResult:
    ttl = _number(call.query, "messageTtlSeconds", 0, TTL_LIMIT) or 0
    matches, excluded = None, frozenset[str]()
    if target.kind is not TargetKind.CONNECTION:
        matches = _send_filter(call.query.first("filter"))
    if target.kind in {TargetKind.HUB, TargetKind.GROUP}:
        excluded = _excluded(call.query)
    data_type, data = read_message(call.body)
    group = target.name if target.kind is TargetKind.GROUP else None
    metadata = metadata_from_headers(call.headers)
    message = Message(data, data_type, group=group, ttl=ttl, metadata=metadata)
    return OperationResult(ACCEPTED, call.hub.send(target, message, excluded, matches))


def _send_filter(text: str) -> Predicate | None:
    try:
        return compile_filter(text) if text else None
    except FilterError as error:
        raise RefusedError(bad_request(str(error))) from None


# Closes.


def close_all_connections(call: OperationCall) -> OperationResult:
    """POST `/:closeConnections`."""
    return _close(call, ALL_CONNECTIONS)


def close_group_connections(call: OperationCall) -> OperationResult:
    """POST `/groups/{group}/:closeConnections`."""
    return _close(call, Target(TargetKind.GROUP, call.names[0]))


def close_user_connections(call: OperationCall) -> OperationResult:
    """POST `/users/{userId}/:closeConnections`."""
    return _close(call, Target(TargetKind.USER, call.names[0]))


def close_connection(call: OperationCall) -> OperationResult:
    """DELETE `/connections/{connectionId}`."""
    target = Target(TargetKind.CONNECTION, call.names[0])
    return OperationResult(NO_CONTENT, call.hub.close(target, call.query.first("reason")))


def _close(call: OperationCall, target: Target) -> OperationResult:
    effect = call.hub.close(target, call.query.first("reason"), _excluded(call.query))
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
    request = read_groups(call.body)
    try:
        return request.groups, compile_filter(request.filter) if request.filter else None
    except FilterError as error:
        raise RefusedError(filter_problem(str(error))) from None


def list_connections_in_group(call: OperationCall) -> OperationResult:
    """GET `/groups/{group}/connections`."""
    group = call.names[0]
    tokens = ContinuationTokens(call.secret, f"{call.hub_name}/{group}")
    return OperationResult(
        json_response(list_members(call.hub, group, call.query, tokens, call.url))
    )


# Existence.


def connection_exists(call: OperationCall) -> OperationResult:
    """HEAD `/connections/{connectionId}`."""
    name = call.names[0]
    exists = name in call.hub.connections
    return OperationResult(OK if exists else not_found("Warning", "Connection", name))


def group_exists(call: OperationCall) -> OperationResult:
    """HEAD `/groups/{group}`."""
    name = call.names[0]
    return OperationResult(OK if name in call.hub.groups else not_found("Warning", "Group", name))


def user_exists(call: OperationCall) -> OperationResult:
    """HEAD `/users/{userId}`."""
    name = call.names[0]
    return OperationResult(OK if name in call.hub.users else not_found("Warning", "User", name))


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
    minutes = _number(query, "minutesToExpire", 1, INT_MAX) or 60
    client_path = _CLIENT_PATHS.get(query.first("clientType").lower() or "default")
    if client_path is None:
        raise RefusedError(bad_request("Invalid clientType.", "clientType"))
    groups = query.all("group")
    if not all(map(is_group_name, groups)):
        raise RefusedError(bad_request(INVALID_GROUP, "group"))
    parameters = ClientTokenParameters(
        audience=f"{call.url.partition('/api/')[0]}{client_path}{call.hub_name}",
        user_id=query.first("userId"),
        roles=tuple(query.all("role")),
        groups=tuple(groups),
        lifetime=minutes * 60,
    )
    token = call.verifier.issue_client_token(parameters, call.now)
    return OperationResult(json_response({"token": token}))


# Parameters.


def _excluded(query: Query) -> frozenset[str]:
    return frozenset(query.all("excluded"))


_INTEGER = re.compile(r"\s*([+-]?)0*([0-9]{1,10})\s*", re.ASCII)


def _number(query: Query, name: str, minimum: int, maximum: int) -> int | None:
    """Parse a number as .NET does; the values of a repeated parameter are not a number."""
    text = ",".join(query.all(name))
    if not text:
        return None
    match = _INTEGER.fullmatch(text)
    number = int("".join(match.groups())) if match else None
    if number is None or not minimum <= number <= maximum:
        raise RefusedError(bad_request(f"Invalid {name}."))
    return number
