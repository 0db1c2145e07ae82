"""The official SDK as a witness: for every action it sends the request that we send.

Both are pointed at one server that notes the bytes they send. Method, path, query values, body
and content type are compared as they were on the wire. The order of query parameters is free
(the SDK puts api-version in their midst), so the pairs are sorted.

The SDK encodes what it is given as JSON itself. So that bodies can be compared byte for byte,
our playbook's string is written as its encoder writes it, and the SDK gets the parsed value.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from azure.messaging.webpubsubservice import WebPubSubServiceClient

from wps_run.actions.payload import encode_message
from wps_run.actions.request import Value, build_request
from wps_run.actions.table import ACTIONS
from wps_run.connect.client import Client
from wps_run.connect.reply import Reply

HUB = "Chat_1"
EVIL = "a b%c+d?e#f:g\"'h😀&=i;j,k(l)*m!n~o_p.q@r[s]{t}|u<v>^`\\$w"
NAMES = {
    "plain": "launch-red",
    "hurting": EVIL,
    "long": "x y" * 100,
    "encoded slash": "tenant%2Fada",
    "a slash": "tenant/ada",
    "encoded percent": "50%25",
    "combining": "e\u0301 \u00e9",
    "right to left": "\u05e9\u05dc\u05d5\u05dd-\u0645\u0631\u062d\u0628\u0627",
    "dots": "...",
    "query-like": "?a=b&c=d",
}
DATA: Mapping[str, tuple[Any, Any]] = {
    "text": ("Willkommen 😀\r\n", "Willkommen 😀\r\n"),
    "json": ('{"a": 1, "b": ["\\u00e9", null]}', {"a": 1, "b": ["é", None]}),
    "binary": ("AP+AQg==", b"\x00\xff\x80B"),
}
"""`dataType` to `data` as a playbook writes it, and as the SDK takes it."""

CONTENT_TYPES = {
    "text": "text/plain",
    "json": "application/json",
    "binary": "application/octet-stream",
}

NOT_IN_SDK = {"addConnectionsToGroups", "removeConnectionsFromGroups"}
"""What the REST API has and this SDK has not; its properties `messageTtlSeconds` likewise."""

Sdk = WebPubSubServiceClient


def sends(sdk: Callable[..., None], *to: str, **more: Any) -> tuple[Callable[..., None], ...]:
    """One call for each type of data."""

    def call(data_type: str) -> None:
        sdk(*to, DATA[data_type][1], content_type=CONTENT_TYPES[data_type], **more)

    return tuple(lambda one=one: call(one) for one in DATA)


def calls(sdk: Sdk, action: str, name: str) -> tuple[Callable[..., None], ...]:
    """How the SDK is asked for an action: one call, or three for what carries data."""
    two = {"excluded": [name, "other"], "filter": f"userId ne '{name}'"}
    close = {"excluded": [name, "other"], "reason": name}
    table: dict[str, Callable[[], tuple[Callable[..., None], ...]]] = {
        "sendToAll": lambda: sends(sdk.send_to_all, **two),
        "sendToGroup": lambda: sends(sdk.send_to_group, name, **two),
        "sendToUser": lambda: sends(sdk.send_to_user, name, filter=two["filter"]),
        "sendToConnection": lambda: sends(sdk.send_to_connection, name),
        "addUserToGroup": lambda: (lambda: sdk.add_user_to_group(name, f"u{name}"),),
        "removeUserFromGroup": lambda: (lambda: sdk.remove_user_from_group(name, f"u{name}"),),
        "removeUserFromAllGroups": lambda: (lambda: sdk.remove_user_from_all_groups(name),),
        "addConnectionToGroup": lambda: (lambda: sdk.add_connection_to_group(name, f"c{name}"),),
        "removeConnectionFromGroup": lambda: (
            lambda: sdk.remove_connection_from_group(name, f"c{name}"),
        ),
        "closeAllConnections": lambda: (lambda: sdk.close_all_connections(**close),),  # type: ignore[arg-type] # mixed values
        "closeClientConnection": lambda: (lambda: sdk.close_connection(name, reason=name),),
        "closeGroupConnections": lambda: (lambda: sdk.close_group_connections(name, **close),),  # type: ignore[arg-type] # mixed values
        "grantPermission": lambda: (
            lambda: sdk.grant_permission("sendToGroup", name, target_name=name),
        ),
        "revokePermission": lambda: (
            lambda: sdk.revoke_permission("joinLeaveGroup", name, target_name=name),
        ),
        "closeUserConnections": lambda: (lambda: sdk.close_user_connections(name, **close),),  # type: ignore[arg-type] # mixed values
        "removeConnectionFromAllGroups": lambda: (
            lambda: sdk.remove_connection_from_all_groups(name),
        ),
    }
    return table[action]()


def values(action: str, name: str) -> list[dict[str, Value]]:
    """The same calls as values of the action table."""
    both: dict[str, Value] = {"group": name, "userId": f"u{name}", "connectionId": f"c{name}"}
    alone: dict[str, Value] = {"group": name, "userId": name, "connectionId": name}
    names = both if {"group"} < {one.name for one in ACTIONS[action].fields} & set(both) else alone
    known: dict[str, Value] = {
        **names,
        "targetName": name,
        "permission": "sendToGroup" if action == "grantPermission" else "joinLeaveGroup",
        "excluded": (name, "other"),
        "filter": f"userId ne '{name}'",
        "reason": name,
    }
    own = {one.name: known[one.name] for one in ACTIONS[action].fields if one.name in known}
    if not any(one.name == "data" for one in ACTIONS[action].fields):
        return [own]
    return [
        {**own, "dataType": data_type, "data": encode_message(written, data_type)}
        for data_type, (written, _) in DATA.items()
    ]


def on_the_wire(request: Any) -> tuple[object, ...]:
    """What is compared of a request."""
    path, _, query = request.target.partition("?")
    bodiless = [] if not request.body else request.header("content-type")
    return request.method, path, sorted(query.split("&")), request.body, bodiless


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("action", [name for name in ACTIONS if name not in NOT_IN_SDK])
async def test_an_action_goes_out_as_the_sdk_sends_it(server: Any, action: str, name: str) -> None:
    """Byte for byte: method, raw path, raw query values, body, content type."""
    row = ACTIONS[action]
    server.respond(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % row.success[0])
    connection = f"Endpoint={server.endpoint.origin};AccessKey={server.endpoint.key};Version=1.0;"
    with WebPubSubServiceClient.from_connection_string(connection, HUB) as sdk:
        asked = calls(sdk, action, name)
        for call in asked:
            await asyncio.to_thread(call)
    theirs = [on_the_wire(one) for one in server.requests]
    server.requests.clear()

    async with Client(server.endpoint, concurrency=1) as client:
        for own in values(action, name):
            request = build_request(row, own, HUB)
            reply, _ = await client.send(request, timeout=10, request_id="id")
            assert reply == Reply(row.success[0])

    assert [on_the_wire(one) for one in server.requests] == theirs
    assert len(theirs) == len(asked)


def test_only_what_the_sdk_lacks_is_left_out() -> None:
    """The exceptions above are real: the SDK has no method for them."""
    assert set(ACTIONS) > NOT_IN_SDK
    assert not hasattr(WebPubSubServiceClient, "add_connections_to_groups")
    assert not hasattr(WebPubSubServiceClient, "remove_connections_from_groups")


def test_the_json_of_both_sides_is_the_same_text() -> None:
    """What makes the comparison of JSON bodies fair."""
    written, parsed = DATA["json"]

    assert json.dumps(parsed) == written
