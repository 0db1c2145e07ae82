"""The read operations: one row for each question that the service answers about a hub.

They change nothing. The rows are data, as those of the action table are.
"""

from wps_run.actions.fields import CONNECTION_ID, GROUP, PERMISSION, TARGET_NAME, USER_ID, Field
from wps_run.actions.table import Repeat, RestOperation


def _row(method: str, path: str, summary: str, operation: str, *fields: Field) -> RestOperation:
    return RestOperation(
        name=operation[:1].lower() + operation[1:],
        summary=summary,
        method=method,
        path=f"/api/hubs/{{hub}}/{path}",
        fields=fields,
        success=(200,),
        repeat=Repeat.IDEMPOTENT,
        operation=f"WebPubSub_{operation}",
    )


USER_EXISTS = _row(
    "HEAD", "users/{userId}", "Whether a user has a live connection.", "UserExists", USER_ID
)
CONNECTION_EXISTS = _row(
    "HEAD",
    "connections/{connectionId}",
    "Whether a connection is open.",
    "ConnectionExists",
    CONNECTION_ID,
)
GROUP_EXISTS = _row(
    "HEAD", "groups/{group}", "Whether a group has a connection.", "GroupExists", GROUP
)
CHECK_PERMISSION = _row(
    "HEAD",
    "permissions/{permission}/connections/{connectionId}",
    "Whether a connection has a permission on a group.",
    "CheckPermission",
    CONNECTION_ID,
    PERMISSION,
    TARGET_NAME,
)
LIST_CONNECTIONS = _row(
    "GET",
    "groups/{group}/connections",
    "The connections in a group, in pages.",
    "ListConnectionsInGroup",
    GROUP,
)

READS = (USER_EXISTS, CONNECTION_EXISTS, GROUP_EXISTS, CHECK_PERMISSION, LIST_CONNECTIONS)
"""All of them."""

GENERATE_TOKEN = _row(
    "POST", ":generateToken", "A token with which a client connects.", "GenerateClientToken"
)
"""Changes nothing either, so it is sent again like a read."""

PAGE_QUERY = "maxpagesize=200"
"""The query of the first page: the most connections that the service puts on one."""
