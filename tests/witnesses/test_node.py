"""Run the official JavaScript libraries, for services and for clients, against the emulator.

They run on Node, over https. The tests are skipped if WPS_RUN_NODE_MODULES is not the folder that
has them.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from wps_run import LocalPubSub

MODULES = Path(os.environ.get("WPS_RUN_NODE_MODULES", "none")).absolute()
SCRIPTS = Path(__file__).parent / "scripts"

pytestmark = pytest.mark.skipif(
    not (MODULES / "@azure" / "web-pubsub-client").is_dir(),
    reason="WPS_RUN_NODE_MODULES names no node_modules folder with @azure/web-pubsub-client",
)


def run_script(script: str, served: Any) -> Any:
    """Run a script and return the JSON that it prints."""
    process = subprocess.run(
        ["node", SCRIPTS / script],  # noqa: S607 - the user's Node
        env={
            **served.environment,
            "WPS_RUN_NODE_MODULES": str(MODULES),
            "WEBPUBSUB_CONNECTION_STRING": served.connection_string,
        },
        capture_output=True,
        encoding="utf-8",
        timeout=55,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


BAD_FILTER = (
    "Invalid syntax for 'invalid filter': Syntax error at position 14 in 'invalid filter'. "
    "(Parameter 'filter')"
)
BAD_GROUP = "Invalid group name. Valid group name should be in between 1 and 1024 characters long."
CLOSED = "Application server closed the connection."
RED = "red%2Fteam"
"""The group `red/team`, as a path that holds a `/` names it."""

UNKNOWN = {
    "sendToAll, nobody": 202,
    "sendToUser, unknown": 202,
    "sendToConnection, unknown": 202,
    "group.sendToAll, nobody": 202,
    "group.addUser, unknown": [404, "Warning.User.NotExisted", "User `nobody` is not found."],
    "group.removeUser, unknown": 204,
    "group.addConnection, unknown": [
        404,
        "Error.Connection.NotExisted",
        "Connection `x` is not found.",
    ],
    "group.removeConnection, unknown": 204,
    "group.closeAllConnections, nobody": 204,
    "removeUserFromAllGroups, unknown": 204,
    "removeConnectionFromAllGroups, unknown": 204,
    "closeConnection, unknown": 204,
    "closeUserConnections, unknown": 204,
    "closeAllConnections, nobody": 204,
    "connectionExists, unknown": [404, False],
    "userExists, unknown": [404, False],
    "groupExists, unknown": [404, False],
    "grantPermission, unknown": [
        404,
        "Info.Connection.NotExisted",
        "Connection `x` is not found.",
    ],
    "grantPermission, no group": [400, "Error.BadRequest", BAD_GROUP],
    "revokePermission, unknown": 204,
    "hasPermission, unknown": [404, False],
    "addConnectionsToGroups, nobody": 200,
    "removeConnectionsFromGroups, nobody": 200,
    "addConnectionsToGroups, no groups": [
        400,
        "Error.BadRequest",
        "A nonempty list of valid group names is required.",
    ],
    "sendToAll, wrong filter": [400, "Error.BadRequest", BAD_FILTER],
    "sendToAll, TTL": 202,
    "sendToAll, TTL too long": [400, "Error.BadRequest", "Invalid messageTtlSeconds."],
    "sendToAll, wrong key": 401,
}

KNOWN = {
    "userExists": [200, True],
    "connectionExists": [200, True],
    "group.addUser": 200,
    "group.addConnection": 200,
    "groupExists": [200, True],
    "addConnectionsToGroups": 200,
    "pages": [["ada b%c+d#é"], ["bob"]],
    "sendToAll": 202,
    "sendToAll, filter": 202,
    "sendToAll, group filter": 202,
    "sendToAll, excluded": 202,
    "sendToUser": 202,
    "sendToConnection": 202,
    "group.sendToAll": 202,
    "ada received": [
        ["server", None, "json", {"hello": "wörld"}],
        ["server", None, "text", "not bob"],
        ["server", None, "binary", [0, 255]],
        [RED, None, "text", "to red"],
    ],
    "bob received": [
        ["server", None, "json", {"hello": "wörld"}],
        ["server", None, "text", "blue only"],
        ["server", None, "text", "not ada"],
        ["server", None, "text", "to bob"],
        [RED, None, "text", "to red"],
    ],
    "grantPermission": 200,
    "hasPermission": [200, True],
    "revokePermission": 204,
    "hasPermission, revoked": [404, False],
    "removeConnectionsFromGroups": 200,
    "groupExists, left": [404, False],
    "group.removeUser": 204,
    "group.removeConnection": 204,
    "removeUserFromAllGroups": 204,
    "groupExists, left by all": [404, False],
    "closeConnection": 204,
    "ada's close reason": f"{CLOSED} Reason: no reason",
    "closeUserConnections": 204,
    "bob's close reason": CLOSED,
    "connectionExists, closed": [404, False],
    "issued": ["cy", ["r1", "r2"], ["g1"], 300],
    "issued for": True,
    "sendToAll, identity": 202,
}


def test_the_service_library_receives_the_responses_of_azure(served: Any) -> None:
    """Each operation, on known and unknown targets, with an access key and with Entra ID."""
    results = run_script("service.mjs", served)
    status, _, problem = results.pop("addConnectionsToGroups, wrong filter")

    assert (status, json.loads(problem)["message"]) == (400, BAD_FILTER)
    assert results == UNKNOWN | KNOWN


BOTH = {
    "users": ["ada", "bob", "mute"],
    "ack": [4711, False],
    "again": True,
    "ada received": [
        ["red", "ada", "text", "to both"],
        ["red", "bob", "binary", [0, 127, 255]],
        ["red", "ada", "text", "sent without waiting"],
    ],
    "bob received": [
        ["red", "ada", "text", "to both"],
        ["red", "ada", "json", {"only": ["bob", 1.5, None]}],
        ["red", "bob", "binary", [0, 127, 255]],
        ["red", "ada", "text", "sent without waiting"],
    ],
    "ada received later": [
        ["red", "ada", "text", "bob has left"],
        ["red", None, "text", "from a service"],
        ["server", None, "json", {"to": "all"}],
        ["server", None, "binary", [1, 2]],
    ],
    "bob received later": [
        ["server", None, "json", {"to": "all"}],
        ["server", None, "text", "to bob"],
    ],
    "mute cannot join": [
        "Forbidden",
        "The client does not have permission to join group 'red'.",
    ],
    "mute cannot send": [
        "Forbidden",
        "The client does not have permission to send to group 'red'.",
    ],
    "mute can send after a grant": False,
    "events have no handler": "InternalServerError",
    "ada's close reason": f"{CLOSED} Reason: tidying up",
    "ada is connected again": [True, [True]],
    "ada received again": [
        ["red", "mute", "text", "at last"],
        ["red", None, "text", "welcome back"],
    ],
}
RELIABLE = {
    "after a drop": ["the same", [["server", None, "text", "sent while away"]]],
    "ada is kept for recovery": True,
}
PLAIN = {"after a drop": ["another", []], "ada is kept for recovery": False}


def test_the_client_library_joins_sends_recovers_and_reconnects(served: Any) -> None:
    """A reliable client keeps its connection when its socket drops; a plain one gets another."""
    results = run_script("client.mjs", served)

    assert results == {"reliable": BOTH | RELIABLE, "plain": BOTH | PLAIN}


OFFICIAL = {
    "message": "to the group",
    "received": [
        ["text", "echo text"],
        ["json", {"echo": {"a": [1, None]}}],
        ["binary", [0, 255]],
    ],
    "failed": "InternalServerError",
}
BY_OFFICIAL = [
    ["connect", ["lobby"], True],
    ["connected", 1],
    ["event", "hello", "text", "text", 1],
    ["event", "hello", "json", {"a": [1, None]}, 2],
    ["event", "hello", "binary", [0, 255], 3],
    ["event", "silent", "text", "no answer", 4],
    ["event", "failing", "text", "x", 5],
    ["disconnected", "Internal server error"],
]
ADMITTED = [["connect", None, True], ["connected", 1]]
EVENTS = {
    "json": BY_OFFICIAL,
    "reliable": BY_OFFICIAL,
    "protobuf": [*ADMITTED, ["event", "hello", "text", "text", 1], ["disconnected", "done"]],
    "simple": [
        *ADMITTED,
        ["event", "message", "text", "text", 1],
        ["event", "message", "binary", [7], 2],
        ["disconnected", "done"],
    ],
    "mallory": [["connect", None, True]],
}


@pytest.mark.skipif(
    not all((MODULES / name).is_dir() for name in ("@azure/web-pubsub-express", "express", "ws")),
    reason="WPS_RUN_NODE_MODULES has no @azure/web-pubsub-express and express",
)
def test_the_library_for_event_handlers_admits_and_answers_clients_of_all_kinds() -> None:
    """Its answers to `connect` and to events reach clients with and without subprotocols."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("PYTEST_", "COV_"))
    }
    command = ["node", str(SCRIPTS / "event_handler.mjs")]
    with subprocess.Popen(
        command,
        env={**environment, "WPS_RUN_NODE_MODULES": str(MODULES)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        with LocalPubSub(event_handlers=[f"chat=http://127.0.0.1:{port}/events"]) as emulator:
            output, errors = process.communicate(emulator.connection_string + "\n", timeout=55)
    assert process.returncode == 0, errors
    results = json.loads(output)
    events: dict[str, list[Any]] = {}
    for kind, user, *rest in results.pop("events"):
        events.setdefault(user.removesuffix("!"), []).append([kind, *rest])

    message = b"\x0a\x06server" + b"\x1a\x0b\x0a\x09echo text"  # a DataMessage from the server
    assert results == {
        "json": {"user": "json!", **OFFICIAL},
        "reliable": {"user": "reliable!", **OFFICIAL},
        "protobuf": [[True, (b"\x12\x15" + message).hex()], [True, "0a0408091001"]],  # and an ack
        "simple": [[False, "echo text"], [True, "07"]],
        "refused": [401, "not you"],
    }
    assert events == EVENTS
