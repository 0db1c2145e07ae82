"""The action table: one row for each action. Everything else about actions is derived from it.

The JSON Schemas, the docs, `wps-run actions`, the requests, the locks and the test matrix are made
from these rows. To add an action, add one row.

Rows hold only data, so that a reader can check them against the REST operation they name
(data-plane API, version 2024-12-01) or the documentation of the output binding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from wps_run.actions.fields import (
    CONNECTION_ID,
    DATA,
    DATA_JSON,
    DATA_TYPE,
    EXCLUDED,
    FILTER,
    GROUP,
    GROUPS,
    MESSAGE_TTL_SECONDS,
    PERMISSION,
    REASON,
    SELECTION,
    TARGET_NAME,
    USER_ID,
    Field,
    FieldLocation,
    Origin,
)


class Phase(StrEnum):
    """Phases of a hub. Actions of different phases never overlap."""

    USE = "use"
    BROADCAST = "broadcast"
    CLOSE = "close"
    LEAVE_ALL = "leaveAll"


class OverlapKind(StrEnum):
    """What an action does to its targets.

    Two actions on one target may overlap only when they have the same kind and that kind commutes
    (see `actions.locks`). An action of kind `ALONE` overlaps with no other.
    """

    SEND = "send"
    JOIN = "join"
    LEAVE = "leave"
    GRANT = "grant"
    REVOKE = "revoke"
    CLOSE = "close"
    LEAVE_ALL = "leaveAll"
    ALONE = "alone"


class Repeat(StrEnum):
    """The effect of a second request after the first one has taken effect.

    IDEMPOTENT leaves the same state. SEND delivers the message twice. SCOPE_CLOSE also closes
    connections that were opened since.
    """

    IDEMPOTENT = "idempotent"
    SEND = "send"
    SCOPE_CLOSE = "scopeClose"


class Overlap(NamedTuple):
    """What may run at the same time as an action."""

    phase: Phase
    kind: OverlapKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOperation:
    """One operation of the REST API, as a row of a table.

    Attributes:
        name: Its name; that of an action is its `actionName`, with its exact case.
        summary: One sentence on what it does.
        method: The HTTP method.
        path: The path template; each `{name}` is the field of that name, `{hub}` the hub.
        fields: Its properties, in the order in which docs and examples show them.
        success: The statuses that mean that the service accepted it.
        repeat: The effect of a second request, which decides whether it may be retried.
        operation: The ID of the REST operation.
        targets: Names of the properties that say what it is applied to.
    """

    name: str
    summary: str
    method: str
    path: str
    fields: tuple[Field, ...]
    success: tuple[int, ...]
    repeat: Repeat
    operation: str
    targets: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = tuple(field.name for field in self.fields if field.is_target)
        object.__setattr__(self, "targets", names)

    @property
    def is_idempotent(self) -> bool:
        """Whether a second request leaves the same state and has no other effect."""
        return self.repeat is Repeat.IDEMPOTENT

    @property
    def service_fields(self) -> tuple[Field, ...]:
        """The properties that the service has, without other ways to write them in a playbook."""
        return tuple(field for field in self.fields if field.origin is not Origin.PLAYBOOK)

    def fields_of(self, origin: Origin) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.origin is origin)

    def fields_in(self, location: FieldLocation) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.location is location)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(RestOperation):
    """One row of the table: an action of the service.

    Attributes:
        overlap: What may run at the same time.
        origin: Whether the output binding has it, or only the REST API.
        is_destructive: Whether it ends connections of people whom the playbook does not name,
            so that a run asks for confirmation.
    """

    overlap: Overlap
    origin: Origin = Origin.BINDING
    is_destructive: bool = False


_ROWS = (
    Action(
        name="sendToAll",
        summary="Send a message to every connection of the hub.",
        method="POST",
        path="/api/hubs/{hub}/:send",
        fields=(DATA, DATA_JSON, DATA_TYPE, EXCLUDED, FILTER, MESSAGE_TTL_SECONDS),
        success=(202,),
        overlap=Overlap(Phase.BROADCAST, OverlapKind.ALONE),
        repeat=Repeat.SEND,
        operation="WebPubSub_SendToAll",
    ),
    Action(
        name="sendToGroup",
        summary="Send a message to the connections in a group.",
        method="POST",
        path="/api/hubs/{hub}/groups/{group}/:send",
        fields=(GROUP, DATA, DATA_JSON, DATA_TYPE, EXCLUDED, FILTER, MESSAGE_TTL_SECONDS),
        success=(202,),
        overlap=Overlap(Phase.USE, OverlapKind.SEND),
        repeat=Repeat.SEND,
        operation="WebPubSub_SendToGroup",
    ),
    Action(
        name="sendToUser",
        summary="Send a message to all connections of a user.",
        method="POST",
        path="/api/hubs/{hub}/users/{userId}/:send",
        fields=(USER_ID, DATA, DATA_JSON, DATA_TYPE, FILTER, MESSAGE_TTL_SECONDS),
        success=(202,),
        overlap=Overlap(Phase.USE, OverlapKind.SEND),
        repeat=Repeat.SEND,
        operation="WebPubSub_SendToUser",
    ),
    Action(
        name="sendToConnection",
        summary="Send a message to one connection.",
        method="POST",
        path="/api/hubs/{hub}/connections/{connectionId}/:send",
        fields=(CONNECTION_ID, DATA, DATA_JSON, DATA_TYPE, MESSAGE_TTL_SECONDS),
        success=(202,),
        overlap=Overlap(Phase.USE, OverlapKind.SEND),
        repeat=Repeat.SEND,
        operation="WebPubSub_SendToConnection",
    ),
    Action(
        name="addUserToGroup",
        summary="Add a user's current connections to a group.",
        method="PUT",
        path="/api/hubs/{hub}/users/{userId}/groups/{group}",
        fields=(USER_ID, GROUP),
        success=(200,),
        overlap=Overlap(Phase.USE, OverlapKind.JOIN),
        repeat=Repeat.IDEMPOTENT,
        operation="WebPubSub_AddUserToGroup",
    ),
    Action(
        name="removeUserFromGroup",
        summary="Remove a user's connections from a group.",
        method="DELETE",
        path="/api/hubs/{hub}/users/{userId}/groups/{group}",
        fields=(USER_ID, GROUP),
        success=(204,),
        overlap=Overlap(Phase.USE, OverlapKind.LEAVE),
        repeat=Repeat.IDEMPOTENT,
        operation="WebPubSub_RemoveUserFromGroup",
    ),
    Action(
        name="removeUserFromAllGroups",
        summary="Remove a user's connections from every group.",
        method="DELETE",
        path="/api/hubs/{hub}/users/{userId}/groups",
        fields=(USER_ID,),
        success=(204,),
        overlap=Overlap(Phase.LEAVE_ALL, OverlapKind.LEAVE_ALL),
        repeat=Repeat.IDEMPOTENT,
        operation="WebPubSub_RemoveUserFromAllGroups",
    ),
    Action(
        name="addConnectionToGroup",
        summary="Add one connection to a group.",
        method="PUT",
        path="/api/hubs/{hub}/groups/{group}/connections/{connectionId}",
        fields=(CONNECTION_ID, GROUP),
        success=(200,),
        overlap=Overlap(Phase.USE, OverlapKind.JOIN),
        repeat=Repeat.IDEMPOTENT,
        operation="WebPubSub_AddConnectionToGroup",
    ),
    Action(
        name="removeConnectionFromGroup",
        summary="Remove one connection from a group.",
        method="DELETE",
        path="/api/hubs/{hub}/groups/{group}/connections/{connectionId}",
        fields=(CONNECTION_ID, GROUP),
        success=(204,),
        overlap=Overlap(Phase.USE, OverlapKind.LEAVE),
        repeat=Repeat.IDEMPOTENT,
        operation="WebPubSub_RemoveConnectionFromGroup",
    ),
    Action(
        name="closeAllConnections",
        summary="Close every connection of the hub.",
        method="POST",
        path="/api/hubs/{hub}/:closeConnections",
        fields=(EXCLUDED, REASON),
        success=(204,),
        overlap=Overlap(Phase.CLOSE, OverlapKind.ALONE),
        repeat=Repeat.SCOPE_CLOSE,
        operation="WebPubSub_CloseAllConnections",
        is_destructive=True,
    ),
    Action(
        name="closeClientConnection",
        summary="Close one connection.",
        method="DELETE",
        path="/api/hubs/{hub}/connections/{connectionId}",
        fields=(CONNECTION_ID, REASON),
        success=(204,),
        overlap=Overlap(Phase.CLOSE, OverlapKind.CLOSE),
        repeat=Repeat.IDEMPOTENT,
        operation="WebPubSub_CloseConnection",
    ),
    Action(
        name="closeGroupConnections",
        summary="Close the connections in a group.",
        method="POST",
        path="/api/hubs/{hub}/groups/{group}/:closeConnections",
        fields=(GROUP, EXCLUDED, REASON),
        success=(204,),
        overlap=Overlap(Phase.CLOSE, OverlapKind.CLOSE),
        repeat=Repeat.SCOPE_CLOSE,
        operation="WebPubSub_CloseGroupConnections",
        is_destructive=True,
    ),
    Action(
        name="grantPermission",
        summary="Grant one connection a permission on a group.",
        method="PUT",
        path="/api/hubs/{hub}/permissions/{permission}/connections/{connectionId}",
        fields=(CONNECTION_ID, PERMISSION, TARGET_NAME),
        success=(200,),
        overlap=Overlap(Phase.USE, OverlapKind.GRANT),
        repeat=Repeat.IDEMPOTENT,
        operation="WebPubSub_GrantPermission",
    ),
    Action(
        name="revokePermission",
        summary="Revoke one connection's permission on a group.",
        method="DELETE",
        path="/api/hubs/{hub}/permissions/{permission}/connections/{connectionId}",
        fields=(CONNECTION_ID, PERMISSION, TARGET_NAME),
        success=(204,),
        overlap=Overlap(Phase.USE, OverlapKind.REVOKE),
        repeat=Repeat.IDEMPOTENT,
        operation="WebPubSub_RevokePermission",
    ),
    Action(
        name="closeUserConnections",
        summary="Close all connections of a user.",
        method="POST",
        path="/api/hubs/{hub}/users/{userId}/:closeConnections",
        fields=(USER_ID, EXCLUDED, REASON),
        success=(204,),
        overlap=Overlap(Phase.CLOSE, OverlapKind.CLOSE),
        repeat=Repeat.SCOPE_CLOSE,
        origin=Origin.REST,
        operation="WebPubSub_CloseUserConnections",
    ),
    Action(
        name="removeConnectionFromAllGroups",
        summary="Remove one connection from every group.",
        method="DELETE",
        path="/api/hubs/{hub}/connections/{connectionId}/groups",
        fields=(CONNECTION_ID,),
        success=(204,),
        overlap=Overlap(Phase.LEAVE_ALL, OverlapKind.LEAVE_ALL),
        repeat=Repeat.IDEMPOTENT,
        origin=Origin.REST,
        operation="WebPubSub_RemoveConnectionFromAllGroups",
    ),
    Action(
        name="addConnectionsToGroups",
        summary="Add every connection that matches a filter to groups.",
        method="POST",
        path="/api/hubs/{hub}/:addToGroups",
        fields=(GROUPS, SELECTION),
        success=(200,),
        overlap=Overlap(Phase.LEAVE_ALL, OverlapKind.ALONE),
        repeat=Repeat.IDEMPOTENT,
        origin=Origin.REST,
        operation="WebPubSub_AddConnectionsToGroups",
    ),
    Action(
        name="removeConnectionsFromGroups",
        summary="Remove every connection that matches a filter from groups.",
        method="POST",
        path="/api/hubs/{hub}/:removeFromGroups",
        fields=(GROUPS, SELECTION),
        success=(200,),
        overlap=Overlap(Phase.LEAVE_ALL, OverlapKind.ALONE),
        repeat=Repeat.IDEMPOTENT,
        origin=Origin.REST,
        operation="WebPubSub_RemoveConnectionsFromGroups",
    ),
)

ACTIONS: Mapping[str, Action] = MappingProxyType({row.name: row for row in _ROWS})
"""Rows by `actionName`, in the order of the table."""
