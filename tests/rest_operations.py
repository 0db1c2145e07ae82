"""The operations of the REST API, written by hand from the published OpenAPI document.

For api-version 2024-12-01. It checks both the action table and the emulator's routes: it is made
from neither and imports neither.
"""

from typing import NamedTuple

API_VERSION = "2024-12-01"


class RestOperation(NamedTuple):
    """One operation.

    Attributes:
        operation_id: Its `operationId`.
        method: The HTTP method.
        path: The path template; parameters are in braces.
        success: The status of a success.
        sends_body: Whether the request has a body.
        query: Its parameters besides `api-version`; a `*` follows a repeatable one.
    """

    operation_id: str
    method: str
    path: str
    success: int
    sends_body: bool = False
    query: tuple[str, ...] = ()


HUB = "/api/hubs/{hub}"
MEMBER = HUB + "/groups/{group}/connections/{connectionId}"
USER_GROUP = HUB + "/users/{userId}/groups/{group}"
PERMISSION = HUB + "/permissions/{permission}/connections/{connectionId}"

OPERATIONS = (
    RestOperation("HealthApi_GetServiceStatus", "HEAD", "/api/health", 200),
    RestOperation(
        "WebPubSub_AddConnectionsToGroups", "POST", HUB + "/:addToGroups", 200, sends_body=True
    ),
    RestOperation(
        "WebPubSub_CloseAllConnections",
        "POST",
        HUB + "/:closeConnections",
        204,
        query=("excluded*", "reason"),
    ),
    RestOperation(
        "WebPubSub_GenerateClientToken",
        "POST",
        HUB + "/:generateToken",
        200,
        query=("userId", "role*", "minutesToExpire", "group*", "clientType"),
    ),
    RestOperation(
        "WebPubSub_RemoveConnectionsFromGroups",
        "POST",
        HUB + "/:removeFromGroups",
        200,
        sends_body=True,
    ),
    RestOperation(
        "WebPubSub_SendToAll",
        "POST",
        HUB + "/:send",
        202,
        sends_body=True,
        query=("excluded*", "filter", "messageTtlSeconds"),
    ),
    RestOperation(
        "WebPubSub_CloseConnection",
        "DELETE",
        HUB + "/connections/{connectionId}",
        204,
        query=("reason",),
    ),
    RestOperation("WebPubSub_ConnectionExists", "HEAD", HUB + "/connections/{connectionId}", 200),
    RestOperation(
        "WebPubSub_SendToConnection",
        "POST",
        HUB + "/connections/{connectionId}/:send",
        202,
        sends_body=True,
        query=("messageTtlSeconds",),
    ),
    RestOperation(
        "WebPubSub_RemoveConnectionFromAllGroups",
        "DELETE",
        HUB + "/connections/{connectionId}/groups",
        204,
    ),
    RestOperation("WebPubSub_GroupExists", "HEAD", HUB + "/groups/{group}", 200),
    RestOperation(
        "WebPubSub_CloseGroupConnections",
        "POST",
        HUB + "/groups/{group}/:closeConnections",
        204,
        query=("excluded*", "reason"),
    ),
    RestOperation(
        "WebPubSub_SendToGroup",
        "POST",
        HUB + "/groups/{group}/:send",
        202,
        sends_body=True,
        query=("excluded*", "filter", "messageTtlSeconds"),
    ),
    RestOperation(
        "WebPubSub_ListConnectionsInGroup",
        "GET",
        HUB + "/groups/{group}/connections",
        200,
        query=("maxpagesize", "top", "continuationToken"),
    ),
    RestOperation("WebPubSub_RemoveConnectionFromGroup", "DELETE", MEMBER, 204),
    RestOperation("WebPubSub_AddConnectionToGroup", "PUT", MEMBER, 200),
    RestOperation("WebPubSub_RevokePermission", "DELETE", PERMISSION, 204, query=("targetName",)),
    RestOperation("WebPubSub_CheckPermission", "HEAD", PERMISSION, 200, query=("targetName",)),
    RestOperation("WebPubSub_GrantPermission", "PUT", PERMISSION, 200, query=("targetName",)),
    RestOperation("WebPubSub_UserExists", "HEAD", HUB + "/users/{userId}", 200),
    RestOperation(
        "WebPubSub_CloseUserConnections",
        "POST",
        HUB + "/users/{userId}/:closeConnections",
        204,
        query=("excluded*", "reason"),
    ),
    RestOperation(
        "WebPubSub_SendToUser",
        "POST",
        HUB + "/users/{userId}/:send",
        202,
        sends_body=True,
        query=("filter", "messageTtlSeconds"),
    ),
    RestOperation(
        "WebPubSub_RemoveUserFromAllGroups", "DELETE", HUB + "/users/{userId}/groups", 204
    ),
    RestOperation("WebPubSub_RemoveUserFromGroup", "DELETE", USER_GROUP, 204),
    RestOperation("WebPubSub_AddUserToGroup", "PUT", USER_GROUP, 200),
)
