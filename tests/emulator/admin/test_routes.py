"""The admin API below `/_local/`, over real HTTP."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from wps_run.emulator.clients import NullClient
from wps_run.emulator.permissions import rules_from_roles
from wps_run.emulator.server import Emulator

SEND = "/api/hubs/chat/:send"
PATHS = ("ledger", "state", "faults", "reset", "seed")


@pytest.fixture
def admin(emulator: Emulator, call: Any) -> Callable[..., Any]:
    """Requests a path below `/_local/` with the access key, and parses the JSON."""

    async def request(method: str, path: str, body: bytes | None = None) -> Any:
        key = f"Bearer {emulator.endpoint.key}"
        answer = await call(method, f"/_local/{path}", body, Authorization=key)
        return json.loads(answer.body) if answer.body else answer.status

    return request


@pytest.mark.parametrize("path", PATHS)
async def test_the_key_opens_them_and_so_does_a_token(
    emulator: Emulator, call: Any, path: str
) -> None:
    """Anything else is 401, whatever the method."""
    target = f"/_local/{path}"
    key = emulator.endpoint.key
    for authorization in (
        None,
        "",
        "Bearer ",
        f"Bearer {key[:-1]}",
        f"Bearer {key}x",
        f"Basic {key}",
        key,
    ):
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert (await call(method, target, Authorization=authorization)).status == 401
    for authorization in (f"Bearer {key}", f"bearer {key}", f"Bearer {call.token(target)}"):
        assert (await call("PATCH", target, Authorization=authorization)).status == 405
    other = f"Bearer {call.token('/api/hubs/chat/:send')}"
    assert (await call("PATCH", target, Authorization=other)).status == 401


async def test_entra_tokens_do_not_open_them(make_rest_client: Any, entra: str) -> None:
    """Not even where unvalidated ones are accepted."""
    async with Emulator(allow_unvalidated_entra_tokens=True) as emulator:
        call = make_rest_client(emulator)

        assert (await call("POST", SEND, b"x", Authorization=entra)).status == 202
        for path in PATHS:
            assert (await call("GET", f"/_local/{path}", Authorization=entra)).status == 401


async def test_other_paths_and_methods(call: Any) -> None:
    """404 with the key, 401 without: callers without it learn nothing."""
    key = f"Bearer {call.emulator.endpoint.key}"
    for path in ("", "x", "ledger/x", "../api/health", "LEDGER"):
        assert (await call("GET", f"/_local/{path}", Authorization=key)).status == 404
    assert (await call("GET", "/_local/x", Authorization=None)).status == 401
    answer = await call("DELETE", "/_local/ledger", Authorization=key)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_the_log_has_requests_and_their_effects(
    emulator: Emulator, call: Any, admin: Any, make_client: Callable[[], Any]
) -> None:
    """Every field of an entry."""
    emulator.attach("chat", make_client(), user_id="ada", connection_id="c1", groups=["a b"])
    emulator.attach("chat", make_client(), connection_id="c2", groups=["a b"])
    await call("POST", "/api/hubs/Chat/groups/a%20b/:send?x=1", b"hi", x_ms_client_request_id="r1")
    await call("DELETE", "/api/hubs/chat/connections/c1?reason=late")
    await call("GET", "/nowhere")

    result = await admin("GET", "ledger")

    times = [entry.pop("time") for entry in result["entries"]]
    assert times == sorted(times)
    assert all(time.endswith("Z") for time in times)
    message = {
        "dataType": "text",
        "bytes": 2,
        "data": "hi",
        "group": "a b",
        "fromUser": None,
        "messageTtlSeconds": 0,
        "metadata": {},
    }
    ada = {"connectionId": "c1", "userId": "ada"}
    assert result == {
        "last": 3,
        "dropped": 0,
        "more": False,
        "entries": [
            {
                "sequence": 1,
                "type": "request",
                "method": "POST",
                "path": "/api/hubs/Chat/groups/a%20b/:send",
                "query": "x=1",
                "operation": "SendToGroup",
                "hub": "chat",
                "names": ["a b"],
                "status": 202,
                "requestId": "r1",
                "faults": [],
                "effect": {
                    "reached": 2,
                    "message": message,
                    "connections": [ada, {"connectionId": "c2", "userId": None}],
                },
            },
            {
                "sequence": 2,
                "type": "request",
                "method": "DELETE",
                "path": "/api/hubs/chat/connections/c1",
                "query": "reason=late",
                "operation": "CloseConnection",
                "hub": "chat",
                "names": ["c1"],
                "status": 204,
                "requestId": None,
                "faults": [],
                "effect": {"closed": 1, "reason": "late", "connections": [ada]},
            },
            {
                "sequence": 3,
                "type": "request",
                "method": "GET",
                "path": "/nowhere",
                "query": "",
                "operation": None,
                "hub": None,
                "names": [],
                "status": 404,
                "requestId": None,
                "faults": [],
                "effect": None,
            },
        ],
    }


async def test_the_log_can_be_filtered_and_polled(call: Any, admin: Any) -> None:
    """By operation, hub and kind; from a number on; up to a limit."""
    for hub in ("a", "b", "a"):
        await call("POST", f"/api/hubs/{hub}/:send", b"x")
        await call("POST", f"/api/hubs/{hub}/:closeConnections")

    async def numbers(query: str) -> list[int]:
        result = await admin("GET", f"ledger?{query}")
        return [entry["sequence"] for entry in result["entries"]]

    assert await numbers("operation=sendtoall") == [1, 3, 5]
    assert await numbers("operation=WebPubSub_SendToAll&hub=A") == [1, 5]
    assert await numbers("hub=b") == [3, 4]
    assert await numbers("after=4") == [5, 6]
    assert await numbers("after=99") == []
    assert await numbers("type=client") == []
    assert await numbers("type=request&limit=2") == [1, 2]
    assert (await admin("GET", "ledger?limit=6"))["more"] is False
    assert (await admin("GET", "ledger?limit=5"))["more"] is True


async def test_long_lists_of_receivers_are_counted(
    emulator: Emulator, call: Any, admin: Any, make_client: Callable[[], Any]
) -> None:
    """A hundred are listed; `reached` changes that."""
    for _ in range(150):
        emulator.attach("chat", make_client())
    await call("POST", SEND, b"\xff\x00", Content_Type="application/octet-stream")

    async def listed(query: str) -> tuple[int, int]:
        (entry,) = (await admin("GET", f"ledger?{query}"))["entries"]
        return entry["effect"]["reached"], len(entry["effect"]["connections"])

    assert await listed("") == (150, 100)
    assert await listed("reached=200") == (150, 150)
    assert await listed("reached=0") == (150, 0)
    (entry,) = (await admin("GET", "ledger"))["entries"]
    assert entry["effect"]["message"]["data"] == "ff00"


@pytest.mark.parametrize("query", ["after=x", "limit=-1", "reached=1e3", "limit=" + "9" * 5000])
async def test_invalid_numbers_are_refused(admin: Any, query: str) -> None:
    """With 400 and a message."""
    result = await admin("GET", f"ledger?{query}")

    assert result["code"] == "Error.BadRequest"
    assert "must be a whole number from 0" in result["message"]


async def test_the_state_has_connections_users_and_groups(
    emulator: Emulator, admin: Any, make_client: Callable[[], Any]
) -> None:
    """Connections with permissions, users and groups with counts, hub by hub."""
    seed = {
        "hub": "chat",
        "clients": [
            {"userId": "ada", "connectionId": "c1", "groups": ["g"]},
            {"userId": "ada", "connectionId": "c2", "permissions": {"sendToGroup": ["g"]}},
        ],
    }
    assert await admin("POST", "seed", json.dumps(seed).encode()) == {"clients": 2}
    emulator.attach("other", make_client())

    result = await admin("GET", "state?hub=CHAT")

    grant = {"everywhere": False, "allowed": ["g"], "denied": []}
    ada = {"userId": "ada", "protocol": None}
    for connection in result["hubs"]["chat"]["connectionList"]:
        for rules in connection["permissions"].values():
            assert {name: rules[name] for name in grant} == grant
            rules.clear()
    assert result == {
        "hubs": {
            "chat": {
                "connections": 2,
                "users": 1,
                "groups": 1,
                "connectionList": [
                    {"connectionId": "c1", **ada, "groups": ["g"], "permissions": {}},
                    {"connectionId": "c2", **ada, "groups": [], "permissions": {"sendToGroup": {}}},
                ],
                "userList": [{"userId": "ada", "connections": 2}],
                "groupList": [{"group": "g", "connections": 1}],
            }
        }
    }
    assert list((await admin("GET", "state"))["hubs"]) == ["chat", "other"]
    assert len((await admin("GET", "state?limit=1"))["hubs"]["chat"]["connectionList"]) == 1


async def test_the_state_has_the_permissions_of_roles(emulator: Emulator, admin: Any) -> None:
    """Patterns, too, as the dashboard shows them."""
    emulator.attach("chat", NullClient(), connection_id="c1")
    emulator.hubs["chat"].connections["c1"].rules |= rules_from_roles(
        ["webpubsub.sendToGroups.team.*"]
    )

    (connection,) = (await admin("GET", "state"))["hubs"]["chat"]["connectionList"]

    assert connection["permissions"] == {
        "sendToGroup": {"everywhere": False, "patterns": ["team.*"], "allowed": [], "denied": []}
    }


@pytest.mark.parametrize("path", ["//client/hubs/chat", "/Client/hubs/chat", SEND])
async def test_a_token_in_a_wrong_path_is_masked(admin: Any, call: Any, path: str) -> None:
    """A client with a typo in its path must not leave its token in the log."""
    await call("POST", f"{path}?access_token=secret&x=1")

    assert [entry["query"] for entry in (await admin("GET", "ledger"))["entries"]] == [
        "access_token=***&x=1"
    ]


async def test_an_invalid_seed_is_refused(admin: Any) -> None:
    """With the message of the seed parser; no client is connected."""
    result = await admin("POST", "seed", b'{"clients": [{"userId": "ada"}, {"usrId": "x"}]}')

    assert result["message"].startswith("clients[1].usrId: `usrId` is not known here; did you mean")
    assert await admin("GET", "state") == {"hubs": {}}
    for body in (b"{", b"[" * 50_000, b""):
        assert (await admin("POST", "seed", body))["message"] == "the body is not JSON"


async def test_a_reset_clears_everything(
    emulator: Emulator, call: Any, admin: Any, make_client: Callable[[], Any]
) -> None:
    """Clients are closed; log and faults are empty; the access key stays."""
    listener = make_client()
    emulator.attach("chat", listener, groups=["g"])
    await call("POST", SEND, b"x")
    await admin("PUT", "faults", b"503")

    assert await admin("POST", "reset") == 204

    assert listener.close_reasons == ["reset"]
    assert await admin("GET", "state") == {"hubs": {}}
    assert (await admin("GET", "ledger"))["last"] == 0
    assert (await admin("GET", "faults"))["faults"] == []
    assert (await call("POST", SEND, b"x")).status == 202


@pytest.mark.parametrize(
    "body",
    [
        b"429,count=1\nstall,on=SendToUser\n",
        b'["429,count=1", "stall,on=SendToUser"]',
        b' {"faults": ["429,count=1", "stall,on=SendToUser"]}',
    ],
)
async def test_faults_are_changed_while_it_runs(call: Any, admin: Any, body: bytes) -> None:
    """PUT replaces, POST adds, DELETE ends; GET counts. Lines or JSON."""
    put = await admin("PUT", "faults", body)
    assert put["faults"] == [
        {"fault": "429,count=1", "meant": 0, "struck": 0},
        {"fault": "stall,on=SendToUser", "meant": 0, "struck": 0},
    ]
    assert [(await call("POST", SEND, b"x")).status for _ in range(2)] == [429, 202]

    added = await admin("POST", "faults", b"503")
    assert [entry["struck"] for entry in added["faults"]] == [1, 0, 0]
    assert added == await admin("GET", "faults")
    assert (await call("POST", SEND, b"x")).status == 503

    assert await admin("DELETE", "faults") == 204
    assert (await call("POST", SEND, b"x")).status == 202


async def test_a_new_seed_comes_with_new_faults(admin: Any) -> None:
    """So that counts and random numbers start together."""
    body = b'{"faults": ["429,share=50%"], "seed": 7}'

    assert (await admin("PUT", "faults", body))["seed"] == 7
    assert (await admin("PUT", "faults", b"[]"))["seed"] == 7
    assert "use PUT" in (await admin("POST", "faults", body))["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"stal", "did you mean `stall`"),
        (b'["503", "stal"]', "did you mean `stall`"),
        (b'{"faults": "503"}', "write one fault a line"),
        (b"[1]", "write one fault a line"),
        (b"{}", "write one fault a line"),
        (b"[", "the body is not JSON"),
        (b'{"faults": [], "seed": "x"}', "`seed` must be a whole number"),
        (b"\xff\xfe", "is not a kind of fault"),
        (b"503\n" * 1001, "at most 1000 faults"),
    ],
)
async def test_faults_that_cannot_be_read_change_nothing(
    admin: Any, body: bytes, message: str
) -> None:
    """They are refused, and those in force stay."""
    before = await admin("PUT", "faults", b"429,count=1")

    for method in ("PUT", "POST"):
        result = await admin(method, "faults", body)
        assert result["code"] == "Error.BadRequest"
        assert message in result["message"]

    assert await admin("GET", "faults") == before


async def test_an_empty_body_adds_nothing(admin: Any) -> None:
    """PUT of nothing is a DELETE."""
    await admin("PUT", "faults", b"429")

    assert len((await admin("POST", "faults", b""))["faults"]) == 1
    assert (await admin("PUT", "faults", b""))["faults"] == []


async def test_no_answer_holds_a_key_or_token(emulator: Emulator, call: Any, admin: Any) -> None:
    """Neither log, nor state, nor faults."""
    token = call.token(SEND)
    await call("POST", SEND, b"x", Authorization=f"Bearer {token}")
    result = [await admin("GET", path) for path in ("ledger", "state", "faults")]

    assert token.split(".")[2] not in json.dumps(result)
    assert emulator.endpoint.key not in json.dumps(result)


async def test_the_log_has_events_of_websocket_clients(
    emulator: Emulator, call: Any, admin: Any
) -> None:
    """They connect, join, send and disconnect; receivers are listed as for a request."""
    path = "/client/hubs/chat"
    roles = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
    token = call.token(path, sub="ada", role=roles)
    url = f"{emulator.endpoint.origin}{path}?access_token={token}"
    socket = await call.session.ws_connect(url, protocols=["json.webpubsub.azure.v1"])
    connection = (await socket.receive_json())["connectionId"]
    await socket.send_json({"type": "joinGroup", "group": "red", "ackId": 1})
    await socket.send_json({"type": "sendToGroup", "group": "red", "data": "hi", "ackId": 2})
    while (await socket.receive_json()).get("ackId") != 2:
        pass
    await socket.close()
    while (result := await admin("GET", "ledger?type=client"))["last"] < 4:
        pass

    entries = result["entries"]
    assert [entry["event"] for entry in entries] == ["connected", "joined", "sent", "disconnected"]
    assert {(entry["hub"], entry["connectionId"], entry["userId"]) for entry in entries} == {
        ("chat", connection, "ada")
    }
    assert entries[2]["effect"]["connections"] == [{"connectionId": connection, "userId": "ada"}]
    assert token.split(".")[2] not in json.dumps(result)


async def test_a_reset_closes_websocket_clients(emulator: Emulator, call: Any, admin: Any) -> None:
    """Their disconnection is not logged any more; the next client is."""
    path = "/client/hubs/chat"
    url = f"{emulator.endpoint.origin}{path}?access_token={call.token(path)}"
    socket = await call.session.ws_connect(url)
    while (await admin("GET", "ledger"))["last"] < 1:
        pass

    await admin("POST", "reset")
    await socket.receive()

    assert socket.closed
    assert (await admin("GET", "ledger"))["entries"] == []
    async with call.session.ws_connect(url):
        while (await admin("GET", "ledger"))["last"] < 1:
            pass
