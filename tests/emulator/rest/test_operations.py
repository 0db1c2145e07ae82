"""The operations over real HTTP: statuses, errors, effects."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.names import Permission
from wps_run.emulator.server import Emulator

BULK = b'{"groups":["room"]}'
PERMISSION_OF_NONE = "/permissions/sendToGroup/connections/none?targetName=g"
NAMES = {
    "hub": "chat",
    "group": "room",
    "connectionId": "c1",
    "userId": "ada",
    "permission": "sendToGroup",
}


async def test_each_operation_answers_its_success(
    operation: Any,
    entra: str,
    make_rest_client: Callable[[Emulator], Any],
    make_client: Callable[[], Any],
) -> None:
    """To the letter: the official SDKs take no other status of the 2xx range."""
    path = operation.path.format(**NAMES)
    target = path + ("?targetName=room" if "{permission}" in operation.path else "")
    body = (BULK if "ToGroups" in path or "FromGroups" in path else b"1") * operation.sends_body
    headers: dict[str, str] = {"Content_Type": "application/json"} if body else {}
    if path.endswith(":generateToken"):
        headers["Authorization"] = entra

    async with Emulator(allow_unvalidated_entra_tokens=True) as emulator:
        emulator.attach("chat", make_client(), user_id="ada", connection_id="c1", groups=["room"])
        emulator.hubs["chat"].grant(Permission.SEND_TO_GROUP, "c1", "room")
        told = await make_rest_client(emulator)(operation.method, target, body or None, **headers)

    assert told.status == operation.success
    assert bool(told.body) is (operation.method == "GET" or path.endswith(":generateToken"))


async def test_success_says_that_there_is_no_body(call: Any) -> None:
    """`Content-Length: 0` on 202, as the service sends it; 204 has none by nature."""
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
        (f"PUT {PERMISSION_OF_NONE}", 404, "Info.Connection.NotExisted"),
        (f"DELETE {PERMISSION_OF_NONE}", 204, None),
        (f"HEAD {PERMISSION_OF_NONE}", 404, "Info.Connection.NotExisted"),
        ("HEAD /connections/none", 404, "Warning.Connection.NotExisted"),
        ("HEAD /groups/none", 404, "Warning.Group.NotExisted"),
        ("HEAD /users/none", 404, "Warning.User.NotExisted"),
        ("GET /groups/none/connections", 200, None),
    ],
)
async def test_a_target_that_is_not_there(
    call: Any, request_line: str, status: int, code: str | None
) -> None:
    """On a hub that nobody has used: it needs no creation. The code is told on HEAD, too."""
    method, _, path = request_line.partition(" ")

    told = await call(method, f"/api/hubs/fresh{path}", b"x" if path.endswith(":send") else None)

    assert (told.status, told.headers.get("x-ms-error-code")) == (status, code)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/users/none/groups/g", "Warning.User.NotExisted"),
        ("/groups/g/connections/none", "Error.Connection.NotExisted"),
        (PERMISSION_OF_NONE, "Info.Connection.NotExisted"),
    ],
)
async def test_an_error_has_the_services_body(call: Any, path: str, code: str) -> None:
    """Five keys, the last two null; names in back-ticks."""
    told = await call("PUT", f"/api/hubs/fresh{path}")

    kind = code.split(".")[1]
    assert told.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(told.body) == {
        "code": code,
        "message": f"{kind} `none` is not found.",
        "target": kind,
        "details": None,
        "innererror": None,
    }


@pytest.mark.parametrize(
    ("path", "heard"),
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
async def test_who_hears_a_send(
    emulator: Emulator, call: Any, make_client: Callable[[], Any], path: str, heard: str
) -> None:
    """Targets, exclusions and filters; sending to one connection knows no filter."""
    listeners = {name: make_client() for name in "abx"}
    emulator.attach(
        "Chat", listeners["a"], user_id="ada", connection_id="a", groups=["room", "red"]
    )
    emulator.attach(
        "cHAT", listeners["b"], user_id="bob", connection_id="b", groups=["room", "blue"]
    )
    emulator.attach("chat", listeners["x"], connection_id="x")

    told = await call("POST", f"/api/hubs/CHAT{path}", b"hi")

    assert told.status == 202
    assert "".join(name for name, one in listeners.items() if one.payloads == [b"hi"]) == heard
    assert sum(len(one.received) for one in listeners.values()) == len(heard)


async def test_a_message_says_what_it_is_and_where_it_is_from(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """From a group when sent to one, else from the server; the data verbatim."""
    one = make_client()
    emulator.attach("chat", one, connection_id="c", groups=["room"])

    await call("POST", "/api/hubs/chat/groups/room/:send?messageTtlSeconds=300", b"a=1&b=2")
    await call("POST", "/api/hubs/chat/:send", b'{"a": 1}', Content_Type="application/json")
    await call("POST", "/api/hubs/chat/connections/c/:send", b"\x00\xff", Content_Type=None)

    assert one.received == [
        Message(b"a=1&b=2", DataType.TEXT, group="room", ttl=300),
        Message(b'{"a": 1}', DataType.JSON),
        Message(b"\x00\xff", DataType.BINARY),
    ]


@pytest.mark.parametrize(
    "ttl", ["-1", "301", "x", "1.5", "%C2%B2", "9" * 5000, "1_0", "1&messageTtlSeconds=1"]
)
@pytest.mark.parametrize("target", ["", "/groups/g", "/users/u", "/connections/c"])
async def test_a_ttl_is_0_to_300_seconds(call: Any, target: str, ttl: str) -> None:
    """On all four sends."""
    told = await call("POST", f"/api/hubs/chat{target}/:send?messageTtlSeconds={ttl}", b"x")

    assert told.status == 400
    assert json.loads(told.body)["target"] == "Request"


@pytest.mark.parametrize("ttl", ["0", "300", "%2B7", "007", "%207%20", "0" * 5000 + "7", ""])
async def test_a_ttl_is_read_as_dotnet_reads_numbers(call: Any, ttl: str) -> None:
    """With a sign, leading zeros, or blanks around it; an empty one is none."""
    told = await call("POST", f"/api/hubs/chat/:send?messageTtlSeconds={ttl}", b"x")

    assert told.status == 202


async def test_json_that_is_none_reaches_nobody(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """400, target `Request`."""
    one = make_client()
    emulator.attach("chat", one)

    told = await call("POST", "/api/hubs/chat/:send", b"{", Content_Type="application/json")

    assert (told.status, told.headers["x-ms-error-code"]) == (400, "Error.BadRequest")
    assert json.loads(told.body)["message"] == "The request body is not a valid JSON."
    assert one.received == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("text/plain", 202), (None, 202), ("application/json", 400)],
)
async def test_an_empty_message(call: Any, content_type: str | None, status: int) -> None:
    """It is text or binary, but no JSON."""
    told = await call("POST", "/api/hubs/chat/:send", b"", Content_Type=content_type)

    assert told.status == status


async def test_a_wrong_filter_of_a_send_is_a_plain_error(call: Any) -> None:
    """The message is the one that the JavaScript SDK's tests expect."""
    told = await call("POST", "/api/hubs/chat/:send?filter=invalid%20filter", b"x")

    assert told.status == 400
    assert told.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "api-supported-versions" in told.headers
    assert json.loads(told.body)["message"] == (
        "Invalid syntax for 'invalid filter': Syntax error at position 14 in 'invalid filter'. "
        "(Parameter 'filter')"
    )


@pytest.mark.parametrize("operation_name", [":addToGroups", ":removeFromGroups"])
async def test_a_wrong_filter_of_a_bulk_change_is_problem_json(
    call: Any, operation_name: str
) -> None:
    """Recorded from the service: another type, other keys, no list of versions."""
    body = b'{"groups":["g"],"filter":"invalid filter"}'

    told = await call(
        "POST", f"/api/hubs/chat/{operation_name}", body, Content_Type="application/json"
    )
    problem = json.loads(told.body)

    assert (told.status, told.headers["x-ms-error-code"]) == (400, "Error.BadRequest")
    assert told.headers["Content-Type"] == "application/problem+json; charset=utf-8"
    assert "api-supported-versions" not in told.headers
    assert problem["target"] == "Filter"
    assert problem.keys() >= {"code", "message", "errors", "type", "title", "status", "detail"}
    assert problem.keys() >= {"instance", "extensions"}


async def test_bulk_changes(emulator: Emulator, call: Any, make_client: Callable[[], Any]) -> None:
    """The filter's matches are added and removed; without one, everybody; nobody is fine too."""
    for user in ("ada", "bob"):
        emulator.attach("chat", make_client(), user_id=user, connection_id=user)
    groups = emulator.hubs["chat"].groups

    async def bulk(verb: str, **body: Any) -> int:
        told = await call(
            "POST",
            f"/api/hubs/chat/:{verb}",
            json.dumps(body).encode(),
            Content_Type="application/json",
        )
        return int(told.status)

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
    """The closed are gone at once, and are told the reason, which may be empty."""
    (request_line, closed), separator = case, "&" if "?" in case[0] else "?"
    method, _, path = request_line.partition(" ")
    listeners = {"a": make_client(), "b": make_client()}
    emulator.attach("chat", listeners["a"], user_id="ada", connection_id="a", groups=["room"])
    emulator.attach("chat", listeners["b"], user_id="bob", connection_id="b")

    answer = await call(method, f"/api/hubs/chat{path}{separator}reason={quote(reason)}")

    assert answer.status == 204
    assert (
        "".join(name for name, one in listeners.items() if one.close_reasons == [reason]) == closed
    )
    assert set(emulator.hubs["chat"].connections) == set("ab") - set(closed)


async def test_pages_lead_on(emulator: Emulator, call: Any, make_client: Callable[[], Any]) -> None:
    """`nextLink` has the scheme and host the client used, and works as it stands."""
    for number in range(5):
        emulator.attach("chat", make_client(), connection_id=f"c{number}", groups=["a b"])
    path = "/api/hubs/Chat/groups/a%20b/connections"
    found, target = [], f"{path}?maxpagesize=2&api-version=2024-12-01"

    while target:
        page = json.loads((await call("GET", target)).body)
        found.append([one["connectionId"] for one in page["value"]])
        link = page["nextLink"] or ""
        assert not link or link.startswith(emulator.endpoint.origin + path + "?")
        target = link.removeprefix(emulator.endpoint.origin)

    assert found == [["c0", "c1"], ["c2", "c3"], ["c4"]]


async def test_a_link_keeps_the_host_of_the_client(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """Behind another name, the next page is asked for under that name."""
    for name in "ab":
        emulator.attach("chat", make_client(), connection_id=name, groups=["g"])
    path = "/api/hubs/chat/groups/g/connections"
    token = call.token(path, aud=f"https://wps.example:99{path}")

    told = await call(
        "GET",
        f"{path}?maxpagesize=1",
        Host="wps.example:99",
        Authorization=f"Bearer {token}",
    )

    assert json.loads(told.body)["nextLink"].startswith(f"http://wps.example:99{path}?")
