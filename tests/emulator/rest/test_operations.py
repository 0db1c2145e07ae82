"""Tests of the REST operations over real HTTP: statuses, errors, effects."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import jwt
import pytest

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import RULE_LIMIT, PermissionRules
from wps_run.emulator.server import Emulator

BULK = b'{"groups":["room"]}'
UNKNOWN_PERMISSION_PATH = "/permissions/sendToGroup/connections/none?targetName=g"
NAMES = {
    "hub": "chat",
    "group": "room",
    "connectionId": "c1",
    "userId": "ada",
    "permission": "sendToGroup",
}


async def test_each_operation_responds_with_its_success_status(
    operation: Any,
    entra: str,
    make_rest_client: Callable[[Emulator], Any],
    make_client: Callable[[], Any],
) -> None:
    """The official SDKs accept no other status of the 2xx range."""
    path = operation.path.format(**NAMES)
    target = path + ("?targetName=room" if "{permission}" in operation.path else "")
    body = (BULK if "ToGroups" in path or "FromGroups" in path else b"1") * operation.sends_body
    headers: dict[str, str] = {"Content_Type": "application/json"} if body else {}
    if path.endswith(":generateToken"):
        headers["Authorization"] = entra

    async with Emulator(allow_unvalidated_entra_tokens=True) as emulator:
        emulator.attach("chat", make_client(), user_id="ada", connection_id="c1", groups=["room"])
        emulator.hubs["chat"].grant(Permission.SEND_TO_GROUP, "c1", "room")
        response = await make_rest_client(emulator)(
            operation.method, target, body or None, **headers
        )

    assert response.status == operation.success
    assert bool(response.body) is (operation.method == "GET" or path.endswith(":generateToken"))


async def test_a_success_has_a_content_length_of_zero(call: Any) -> None:
    """`Content-Length: 0` on 202, as the service sends it; 204 has none."""
    sent = await call("POST", "/api/hubs/chat/:send", b"x")
    closed = await call("POST", "/api/hubs/chat/:closeConnections")

    assert (sent.status, sent.headers["Content-Length"]) == (202, "0")
    assert (closed.status, closed.headers.get("Content-Length")) == (204, None)


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        ("POST /:send", 202, None),
        ("POST /groups/none/:send", 202, None),
        ("POST /users/none/:send", 202, None),
        ("POST /connections/none/:send", 202, None),
        ("PUT /users/none/groups/g", 404, "Warning.User.NotExisted"),
        ("DELETE /users/none/groups/g", 204, None),
        ("DELETE /users/none/groups", 204, None),
        ("PUT /groups/g/connections/none", 404, "Error.Connection.NotExisted"),
        ("DELETE /groups/g/connections/none", 204, None),
        ("DELETE /connections/none/groups", 204, None),
        ("POST /:closeConnections", 204, None),
        ("POST /groups/none/:closeConnections", 204, None),
        ("POST /users/none/:closeConnections", 204, None),
        ("DELETE /connections/none", 204, None),
        (f"PUT {UNKNOWN_PERMISSION_PATH}", 404, "Info.Connection.NotExisted"),
        (f"DELETE {UNKNOWN_PERMISSION_PATH}", 204, None),
        (f"HEAD {UNKNOWN_PERMISSION_PATH}", 404, "Info.Connection.NotExisted"),
        ("HEAD /connections/none", 404, "Warning.Connection.NotExisted"),
        ("HEAD /groups/none", 404, "Warning.Group.NotExisted"),
        ("HEAD /users/none", 404, "Warning.User.NotExisted"),
        ("GET /groups/none/connections", 200, None),
    ],
)
async def test_an_unknown_target(
    call: Any, request_line: str, status: int, code: str | None
) -> None:
    """In a hub that was never used: hubs need no creation. HEAD has the error code, too."""
    method, _, path = request_line.partition(" ")

    response = await call(
        method, f"/api/hubs/fresh{path}", b"x" if path.endswith(":send") else None
    )

    assert (response.status, response.headers.get("x-ms-error-code")) == (status, code)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/users/none/groups/g", "Warning.User.NotExisted"),
        ("/groups/g/connections/none", "Error.Connection.NotExisted"),
        (UNKNOWN_PERMISSION_PATH, "Info.Connection.NotExisted"),
    ],
)
async def test_an_error_has_the_services_body(call: Any, path: str, code: str) -> None:
    """Five keys, the last two null; names in back-ticks."""
    response = await call("PUT", f"/api/hubs/fresh{path}")

    kind = code.split(".")[1]
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(response.body) == {
        "code": code,
        "message": f"{kind} `none` is not found.",
        "target": kind,
        "details": None,
        "innererror": None,
    }


@pytest.mark.parametrize(
    ("path", "recipients"),
    [
        ("/:send", "abx"),
        ("/:send?excluded=a&excluded=x", "b"),
        ("/:send?excluded=a,x", "abx"),
        ("/:send?filter=userId%20eq%20null", "x"),
        ("/:send?filter=userId%20eq%20'bob'&excluded=b", ""),
        ("/:send?filter=", "abx"),
        ("/groups/room/:send", "ab"),
        ("/groups/room/:send?excluded=b", "a"),
        ("/groups/Room/:send", ""),
        ("/groups/room/:send?filter='blue'%20in%20groups", "b"),
        ("/users/ada/:send", "a"),
        ("/users/ada/:send?filter=not('room'%20in%20groups)", ""),
        ("/connections/b/:send", "b"),
        ("/connections/b/:send?filter=nonsense(", "b"),
        ("/connections/B/:send", ""),
    ],
)
async def test_the_recipients_of_a_send(
    emulator: Emulator, call: Any, make_client: Callable[[], Any], path: str, recipients: str
) -> None:
    """Targets, exclusions and filters; a send to one connection ignores the filter."""
    clients = {name: make_client() for name in "abx"}
    emulator.attach("Chat", clients["a"], user_id="ada", connection_id="a", groups=["room", "red"])
    emulator.attach("cHAT", clients["b"], user_id="bob", connection_id="b", groups=["room", "blue"])
    emulator.attach("chat", clients["x"], connection_id="x")

    response = await call("POST", f"/api/hubs/CHAT{path}", b"hi")

    assert response.status == 202
    assert (
        "".join(name for name, client in clients.items() if client.payloads == [b"hi"])
        == recipients
    )
    assert sum(len(client.received) for client in clients.values()) == len(recipients)


async def test_a_message_has_its_type_and_its_origin(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """From a group if sent to one, else from the server; the data is unchanged."""
    client = make_client()
    emulator.attach("chat", client, connection_id="c", groups=["room"])

    await call("POST", "/api/hubs/chat/groups/room/:send?messageTtlSeconds=300", b"a=1&b=2")
    await call("POST", "/api/hubs/chat/:send", b'{"a": 1}', Content_Type="application/json")
    await call("POST", "/api/hubs/chat/connections/c/:send", b"\x00\xff", Content_Type=None)

    assert client.received == [
        Message(b"a=1&b=2", DataType.TEXT, group="room", ttl=300),
        Message(b'{"a": 1}', DataType.JSON),
        Message(b"\x00\xff", DataType.BINARY),
    ]


@pytest.mark.parametrize(
    "ttl", ["-1", "301", "x", "1.5", "%C2%B2", "9" * 5000, "1_0", "0x12D", "1e2", "0x", "+-1"]
)
@pytest.mark.parametrize("target", ["", "/groups/g", "/users/u", "/connections/c"])
async def test_a_ttl_is_0_to_300_seconds(call: Any, target: str, ttl: str) -> None:
    """On all four sends."""
    response = await call("POST", f"/api/hubs/chat{target}/:send?messageTtlSeconds={ttl}", b"x")

    assert response.status == 400
    assert json.loads(response.body)["target"] == "Request"


@pytest.mark.parametrize(
    "ttl",
    [
        *("0", "-0", "300", "%2B7", "007", "%207%20", "0" * 5000 + "7"),
        *("0x12c", "0X1", "%23ff", "%26H1"),
        *("", "%20", "1&messageTtlSeconds=x"),
    ],
)
async def test_a_ttl_is_parsed_as_dotnet_parses_numbers(call: Any, ttl: str) -> None:
    """With a sign, zeros, spaces, or hexadecimal; a blank one is ignored, the first one counts."""
    response = await call("POST", f"/api/hubs/chat/:send?messageTtlSeconds={ttl}", b"x")

    assert response.status == 202


async def test_invalid_json_reaches_no_client(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """400, target `Request`."""
    client = make_client()
    emulator.attach("chat", client)

    response = await call("POST", "/api/hubs/chat/:send", b"{", Content_Type="application/json")

    assert (response.status, response.headers["x-ms-error-code"]) == (400, "Error.BadRequest")
    assert json.loads(response.body)["message"] == "The request body is not a valid JSON."
    assert client.received == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("text/plain", 202), (None, 202), ("application/json", 400)],
)
async def test_an_empty_message(call: Any, content_type: str | None, status: int) -> None:
    """It is valid as text or binary, but not as JSON."""
    response = await call("POST", "/api/hubs/chat/:send", b"", Content_Type=content_type)

    assert response.status == status


async def test_metadata_of_a_send(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """The last value of a header counts."""
    client = make_client()
    emulator.attach("chat", client)

    await call("POST", "/api/hubs/chat/:send", b"x", X_WebPubSub_Metadata_Trace="first, last")

    assert [message.metadata for message in client.received] == [{"trace": "last"}]


async def test_the_names_of_a_bulk_change_have_no_case(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """A filter that is overlooked would select everybody."""
    for name in "ab":
        emulator.attach("chat", make_client(), user_id=name, connection_id=name)
    body = b'{"Groups":["g"],"FILTER":"userId eq \'a\'"}'

    response = await call(
        "POST", "/api/hubs/chat/:addToGroups", body, Content_Type="application/json"
    )

    assert response.status == 200
    assert list(emulator.hubs["chat"].groups["g"]) == ["a"]


async def test_a_wrong_filter_of_a_send_is_a_plain_error(call: Any) -> None:
    """The tests of the JavaScript SDK expect this message."""
    response = await call("POST", "/api/hubs/chat/:send?filter=invalid%20filter", b"x")

    assert response.status == 400
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "api-supported-versions" in response.headers
    assert json.loads(response.body)["message"] == (
        "Invalid syntax for 'invalid filter': Syntax error at position 14 in 'invalid filter'. "
        "(Parameter 'filter')"
    )


@pytest.mark.parametrize("operation_name", [":addToGroups", ":removeFromGroups"])
async def test_a_wrong_filter_of_a_bulk_change_is_problem_json(
    call: Any, operation_name: str
) -> None:
    """Recorded from the service: another type, other keys, no list of versions."""
    body = b'{"groups":["g"],"filter":"invalid filter"}'

    response = await call(
        "POST", f"/api/hubs/chat/{operation_name}", body, Content_Type="application/json"
    )
    problem = json.loads(response.body)

    assert (response.status, response.headers["x-ms-error-code"]) == (400, "Error.BadRequest")
    assert response.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    assert "api-supported-versions" not in response.headers
    assert problem["target"] == "Filter"
    assert problem.keys() >= {"code", "message", "errors", "type", "title", "status", "detail"}
    assert problem.keys() >= {"instance", "extensions"}


async def test_bulk_changes(emulator: Emulator, call: Any, make_client: Callable[[], Any]) -> None:
    """The filter's matches are added and removed; without a filter, all connections are."""
    for user in ("ada", "bob"):
        emulator.attach("chat", make_client(), user_id=user, connection_id=user)
    groups = emulator.hubs["chat"].groups

    async def bulk(verb: str, **body: Any) -> int:
        response = await call(
            "POST",
            f"/api/hubs/chat/:{verb}",
            json.dumps(body).encode(),
            Content_Type="application/json",
        )
        return int(response.status)

    assert await bulk("addToGroups", groups=["a/b"], filter="userId eq 'ada'") == 200
    assert await bulk("addToGroups", groups=["all"]) == 200
    assert await bulk("addToGroups", groups=["none"], filter="'no' in groups") == 200
    assert {name: list(ids) for name, ids in groups.items()} == {
        "a/b": ["ada"],
        "all": ["ada", "bob"],
    }
    assert await bulk("removeFromGroups", groups=["all"], filter="'a/b' in groups") == 200
    assert list(groups["all"]) == ["bob"]


@pytest.mark.parametrize(
    "case",
    [
        ("POST /:closeConnections", "ab"),
        ("POST /:closeConnections?excluded=a", "b"),
        ("POST /groups/room/:closeConnections", "a"),
        ("POST /groups/room/:closeConnections?excluded=a", ""),
        ("POST /users/bob/:closeConnections", "b"),
        ("POST /users/bob/:closeConnections?excluded=b", ""),
        ("DELETE /connections/a", "a"),
    ],
)
@pytest.mark.parametrize("reason", ["a b/c ü", ""])
async def test_who_is_closed_and_why(
    emulator: Emulator,
    call: Any,
    make_client: Callable[[], Any],
    case: tuple[str, str],
    reason: str,
) -> None:
    """The connections are removed at once; the clients receive the reason, which may be empty."""
    (request_line, closed), separator = case, "&" if "?" in case[0] else "?"
    method, _, path = request_line.partition(" ")
    clients = {"a": make_client(), "b": make_client()}
    emulator.attach("chat", clients["a"], user_id="ada", connection_id="a", groups=["room"])
    emulator.attach("chat", clients["b"], user_id="bob", connection_id="b")

    response = await call(method, f"/api/hubs/chat{path}{separator}reason={quote(reason)}")

    assert response.status == 204
    assert (
        "".join(name for name, client in clients.items() if client.close_reasons == [reason])
        == closed
    )
    assert set(emulator.hubs["chat"].connections) == set("ab") - set(closed)


async def test_the_next_link_leads_to_the_next_page(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """`nextLink` has the scheme and host that the client used."""
    for number in range(5):
        emulator.attach("chat", make_client(), connection_id=f"c{number}", groups=["a b"])
    path = "/api/hubs/Chat/groups/a%20b/connections"
    pages, target = [], f"{path}?maxpagesize=2&api-version=2024-12-01"

    while target:
        page = json.loads((await call("GET", target)).body)
        pages.append([member["connectionId"] for member in page["value"]])
        link = page["nextLink"] or ""
        assert not link or link.startswith(emulator.endpoint.origin + path + "?")
        target = link.removeprefix(emulator.endpoint.origin)

    assert pages == [["c0", "c1"], ["c2", "c3"], ["c4"]]


@pytest.mark.parametrize(
    ("segment", "linked"),
    [
        ("room%2Fpart", "room%2Fpart"),
        ("room%2fpart", "room%2fpart"),
        ("room%252Fpart", "room%2Fpart"),
        ("a%2Bb", "a+b"),
        ("a%20%E4%BD%A0%3F%23%25", "a%20%E4%BD%A0%3F%23%25"),
        ("a%28b%29%5B%40%7E", "a(b)%5B@~"),
    ],
)
async def test_a_link_has_the_path_as_the_service_encodes_it(
    emulator: Emulator, call: Any, make_client: Callable[[], Any], segment: str, linked: str
) -> None:
    """Not as the client sent it, yet it leads to the same group, with an audience that fits."""
    group = unquote(segment.replace("%2F", "%252F").replace("%2f", "%252f"))
    for number in range(3):
        emulator.attach("chat", make_client(), connection_id=f"c{number}", groups=[group])
    path = "/api/hubs/chat/groups/{}/connections"
    audience = emulator.endpoint.origin + path.format(group)
    target, listed = f"{path.format(segment)}?maxpagesize=1&api-version=2021-10-01", list[str]()

    while target:
        token = call.token("", aud=audience)
        response = await call("GET", target, Authorization=f"Bearer {token}")
        page = json.loads(response.body)
        listed += [member["connectionId"] for member in page["value"]]
        link = page["nextLink"] or ""
        assert not link or link.startswith(
            f"{emulator.endpoint.origin}{path.format(linked)}?api-version=2024-12-01&"
        )
        target = link.removeprefix(emulator.endpoint.origin)

    assert listed == ["c0", "c1", "c2"]


async def test_a_link_for_a_name_that_looks_escaped_leads_to_another_group(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """Whose continuation token it does not have."""
    for name in "ab":
        emulator.attach("chat", make_client(), connection_id=name, groups=["a%20b"])

    page = json.loads(
        (await call("GET", "/api/hubs/chat/groups/a%2520b/connections?maxpagesize=1")).body
    )
    target = page["nextLink"].removeprefix(emulator.endpoint.origin)

    assert target.startswith("/api/hubs/chat/groups/a%20b/connections?")
    assert (await call("GET", target)).status == 400


@pytest.mark.parametrize("query", ["maxpagesize=%2B2", "maxpagesize=%202", "top=0x2", "top=%232"])
async def test_numbers_of_a_list_are_parsed_as_dotnet_parses_them(
    emulator: Emulator, call: Any, make_client: Callable[[], Any], query: str
) -> None:
    """With a sign, spaces, or hexadecimal."""
    for name in "abc":
        emulator.attach("chat", make_client(), connection_id=name, groups=["g"])

    response = await call("GET", f"/api/hubs/chat/groups/g/connections?{query}")

    assert [member["connectionId"] for member in json.loads(response.body)["value"]] == ["a", "b"]


async def test_a_link_keeps_the_host_of_the_client(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """The host of the next page is the Host header of the request."""
    for name in "ab":
        emulator.attach("chat", make_client(), connection_id=name, groups=["g"])
    path = "/api/hubs/chat/groups/g/connections"
    token = call.token(path, aud=f"https://wps.example:99{path}")

    response = await call(
        "GET",
        f"{path}?maxpagesize=1",
        Host="wps.example:99",
        Authorization=f"Bearer {token}",
    )

    assert json.loads(response.body)["nextLink"].startswith(f"http://wps.example:99{path}?")


# Permissions.


@pytest.mark.parametrize("target_name", ["room", "*", "a/b+你好", " room ", "x" * 1024])
@pytest.mark.parametrize("permission", ["sendToGroup", "JOINLEAVEGROUP", "1"])
async def test_permissions_are_granted_checked_and_revoked(
    emulator: Emulator,
    call: Any,
    make_client: Callable[[], Any],
    permission: str,
    target_name: str,
) -> None:
    """For one literal group; each step can be repeated."""
    emulator.attach("chat", make_client(), connection_id="c")
    path = f"/api/hubs/chat/permissions/{permission}/connections/c?targetName="
    target = path + "".join(f"%{byte:02X}" for byte in target_name.encode())

    statuses = [
        (await call(method, target)).status
        for method in ("HEAD", "PUT", "PUT", "HEAD", "DELETE", "DELETE", "HEAD")
    ]

    assert statuses == [404, 200, 200, 200, 204, 204, 404]


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
async def test_a_permission_needs_a_group(call: Any, method: str) -> None:
    """The message was recorded from the service."""
    for query in ("", "?targetName=", "?targetName=%20%09", "?targetName=" + "x" * 1025):
        response = await call(
            method, "/api/hubs/chat/permissions/sendToGroup/connections/none" + query
        )

        assert (response.status, response.headers["x-ms-error-code"]) == (400, "Error.BadRequest")
        if method != "HEAD":
            assert json.loads(response.body) == {
                "code": "Error.BadRequest",
                "message": "Invalid group name. Valid group name should be in between 1 and 1024 "
                "characters long.",
                "target": "Request",
                "details": None,
                "innererror": None,
            }


@pytest.mark.parametrize("permission", ["unknown", "0", "3", "-1", "sendToGroup,joinLeaveGroup"])
async def test_another_permission_is_400(call: Any, permission: str) -> None:
    """There are two."""
    response = await call(
        "PUT", f"/api/hubs/chat/permissions/{permission}/connections/c?targetName=g"
    )

    assert response.status == 400


@pytest.mark.parametrize(
    ("method", "role_permissions"), [("PUT", []), ("DELETE", list(Permission))]
)
async def test_too_many_permission_rules_are_a_conflict(
    emulator: Emulator,
    call: Any,
    make_client: Callable[[], Any],
    method: str,
    role_permissions: list[Permission],
) -> None:
    """One connection has at most a thousand rules: grants, or revocations of what a role gives."""
    emulator.attach("chat", make_client())
    hub = emulator.hubs["chat"]
    hub.connect(
        "c", rules={permission: PermissionRules(all_groups=True) for permission in role_permissions}
    )
    change = hub.revoke if role_permissions else hub.grant
    for number in range(RULE_LIMIT):
        change(Permission.SEND_TO_GROUP, "c", f"room{number}")

    response = await call(method, "/api/hubs/chat/permissions/1/connections/c?targetName=overflow")

    assert (response.status, response.headers["x-ms-error-code"]) == (
        409,
        "Error.Connection.Conflict",
    )
    assert hub.check(Permission.SEND_TO_GROUP, "c", "overflow") is bool(role_permissions)


# Client tokens.


async def test_the_access_key_gets_no_client_tokens(call: Any) -> None:
    """A caller with the key can sign them."""
    assert (await call("POST", "/api/hubs/chat/:generateToken")).status == 401


async def test_client_tokens_for_entra_callers(
    make_rest_client: Callable[[Emulator], Any], entra: str
) -> None:
    """Signed with the access key, for the hub's client URL."""
    async with Emulator(allow_unvalidated_entra_tokens=True) as emulator:
        send = make_rest_client(emulator)
        query = "userId=a%20b&role=r1&role=r2&group=g&minutesToExpire=5&api-version=2024-12-01"
        response = await send("POST", f"/api/hubs/Chat/:generateToken?{query}", Authorization=entra)
        origin, key = emulator.endpoint.origin, emulator.endpoint.key

    claims = jwt.decode(
        json.loads(response.body)["token"], key, ["HS256"], audience=f"{origin}/client/hubs/chat"
    )
    assert response.status == 200
    assert claims["exp"] - claims["iat"] == 300
    assert (claims["sub"], claims["role"], claims["webpubsub.group"]) == (
        "a b",
        ["r1", "r2"],
        ["g"],
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("minutesToExpire=0", 400),
        ("minutesToExpire=2147483648", 400),
        ("minutesToExpire=2147483647", 200),
        ("minutesToExpire=0x10", 200),
        ("minutesToExpire=", 400),
        ("clientType=", 400),
        ("clientType=default", 200),
        ("clientType=socket", 400),
        ("clientType=MQTT", 200),
        ("group=%20", 400),
    ],
)
async def test_parameters_of_client_tokens(
    make_rest_client: Callable[[Emulator], Any], entra: str, query: str, status: int
) -> None:
    """Invalid times, types and groups are refused."""
    async with Emulator(allow_unvalidated_entra_tokens=True) as emulator:
        send = make_rest_client(emulator)
        response = await send("POST", f"/api/hubs/chat/:generateToken?{query}", Authorization=entra)

    assert response.status == status


async def test_a_token_for_mqtt_has_another_audience(
    make_rest_client: Callable[[Emulator], Any], entra: str
) -> None:
    """The official SDKs use the same one; the emulator does not support MQTT."""
    async with Emulator(allow_unvalidated_entra_tokens=True) as emulator:
        target = "/api/hubs/chat/:generateToken?clientType=mqtt"
        response = await make_rest_client(emulator)("POST", target, Authorization=entra)
        audience = f"{emulator.endpoint.origin}/clients/mqtt/hubs/chat"
        claims = jwt.decode(
            json.loads(response.body)["token"], emulator.endpoint.key, ["HS256"], audience=audience
        )

    assert claims["exp"] - claims["iat"] == 3600
