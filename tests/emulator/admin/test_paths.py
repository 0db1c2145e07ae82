"""The paths below `/_local/`, over real HTTP."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from wps_run.emulator.clients import NullClient
from wps_run.emulator.server import Emulator
from wps_run.emulator.websocket import roles

SEND = "/api/hubs/chat/:send"
PATHS = ("ledger", "state", "faults", "reset", "seed")


@pytest.fixture
def tell(service: Emulator, call: Any) -> Callable[..., Any]:
    """Asks for a path below `/_local/` with the key, and reads the JSON."""

    async def ask(method: str, path: str, body: bytes | None = None) -> Any:
        key = f"Bearer {service.endpoint.key}"
        told = await call(method, f"/_local/{path}", body, Authorization=key)
        return json.loads(told.body) if told.body else told.status

    return ask


@pytest.mark.parametrize("path", PATHS)
async def test_the_key_opens_them_and_so_does_a_token(
    service: Emulator, call: Any, path: str
) -> None:
    """Nothing else: 401, whatever the method."""
    target = f"/_local/{path}"
    key = service.endpoint.key
    for shown in (None, "", "Bearer ", f"Bearer {key[:-1]}", f"Bearer {key}x", f"Basic {key}", key):
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert (await call(method, target, Authorization=shown)).status == 401
    for shown in (f"Bearer {key}", f"bearer {key}", f"Bearer {call.token(target)}"):
        assert (await call("PATCH", target, Authorization=shown)).status == 405
    other = f"Bearer {call.token('/api/hubs/chat/:send')}"
    assert (await call("PATCH", target, Authorization=other)).status == 401


async def test_entra_tokens_do_not_open_them(make_caller: Any, entra: str) -> None:
    """Even where they are believed: nobody has looked at who signed them."""
    async with Emulator(allow_unvalidated_entra_tokens=True) as service:
        ask = make_caller(service)

        assert (await ask("POST", SEND, b"x", Authorization=entra)).status == 202
        for path in PATHS:
            assert (await ask("GET", f"/_local/{path}", Authorization=entra)).status == 401


async def test_other_paths_and_methods(call: Any) -> None:
    """404 with the key, 401 without: who has none learns nothing."""
    key = f"Bearer {call.service.endpoint.key}"
    for path in ("", "x", "ledger/x", "../api/health", "LEDGER"):
        assert (await call("GET", f"/_local/{path}", Authorization=key)).status == 404
    assert (await call("GET", "/_local/x", Authorization=None)).status == 401
    told = await call("DELETE", "/_local/ledger", Authorization=key)
    assert (told.status, told.headers["Allow"]) == (405, "GET")


async def test_the_ledger_tells_what_was_asked_and_what_came_of_it(
    service: Emulator, call: Any, tell: Any, make_listener: Callable[[], Any]
) -> None:
    """Every field an assertion may ask for."""
    service.attach("chat", make_listener(), user_id="ada", connection_id="c1", groups=["a b"])
    service.attach("chat", make_listener(), connection_id="c2", groups=["a b"])
    await call("POST", "/api/hubs/Chat/groups/a%20b/:send?x=1", b"hi", x_ms_client_request_id="r1")
    await call("DELETE", "/api/hubs/chat/connections/c1?reason=late")
    await call("GET", "/nowhere")

    told = await tell("GET", "ledger")

    times = [entry.pop("time") for entry in told["entries"]]
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
    assert told == {
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


async def test_the_ledger_can_be_narrowed_down_and_polled(call: Any, tell: Any) -> None:
    """By operation, hub and kind; from a number on; so many at once."""
    for hub in ("a", "b", "a"):
        await call("POST", f"/api/hubs/{hub}/:send", b"x")
        await call("POST", f"/api/hubs/{hub}/:closeConnections")

    async def numbers(query: str) -> list[int]:
        told = await tell("GET", f"ledger?{query}")
        return [entry["sequence"] for entry in told["entries"]]

    assert await numbers("operation=sendtoall") == [1, 3, 5]
    assert await numbers("operation=WebPubSub_SendToAll&hub=A") == [1, 5]
    assert await numbers("hub=b") == [3, 4]
    assert await numbers("after=4") == [5, 6]
    assert await numbers("after=99") == []
    assert await numbers("type=client") == []
    assert await numbers("type=request&limit=2") == [1, 2]
    assert (await tell("GET", "ledger?limit=6"))["more"] is False
    assert (await tell("GET", "ledger?limit=5"))["more"] is True


async def test_long_lists_of_who_was_reached_are_counted(
    service: Emulator, call: Any, tell: Any, make_listener: Callable[[], Any]
) -> None:
    """A hundred are listed; `reached` asks for more, or fewer."""
    for _ in range(150):
        service.attach("chat", make_listener())
    await call("POST", SEND, b"\xff\x00", Content_Type="application/octet-stream")

    async def listed(query: str) -> tuple[int, int]:
        (entry,) = (await tell("GET", f"ledger?{query}"))["entries"]
        return entry["effect"]["reached"], len(entry["effect"]["connections"])

    assert await listed("") == (150, 100)
    assert await listed("reached=200") == (150, 150)
    assert await listed("reached=0") == (150, 0)
    (entry,) = (await tell("GET", "ledger"))["entries"]
    assert entry["effect"]["message"]["data"] == "ff00"


@pytest.mark.parametrize("query", ["after=x", "limit=-1", "reached=1e3", "limit=" + "9" * 5000])
async def test_numbers_that_are_none_are_refused(tell: Any, query: str) -> None:
    """They are told."""
    told = await tell("GET", f"ledger?{query}")

    assert told["code"] == "Error.BadRequest"
    assert "must be a whole number from 0" in told["message"]


async def test_the_state_tells_who_is_there(
    service: Emulator, tell: Any, make_listener: Callable[[], Any]
) -> None:
    """Connections with what they may, users and groups with counts, hub by hub."""
    seed = {
        "hub": "chat",
        "clients": [
            {"userId": "ada", "connectionId": "c1", "groups": ["g"]},
            {"userId": "ada", "connectionId": "c2", "permissions": {"sendToGroup": ["g"]}},
        ],
    }
    assert await tell("POST", "seed", json.dumps(seed).encode()) == {"clients": 2}
    service.attach("other", make_listener())

    told = await tell("GET", "state?hub=CHAT")

    grant = {"everywhere": False, "allowed": ["g"], "denied": []}
    ada = {"userId": "ada", "protocol": None}
    for one in told["hubs"]["chat"]["connectionList"]:
        for rules in one["permissions"].values():
            assert {name: rules[name] for name in grant} == grant
            rules.clear()
    assert told == {
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
    assert list((await tell("GET", "state"))["hubs"]) == ["chat", "other"]
    assert len((await tell("GET", "state?limit=1"))["hubs"]["chat"]["connectionList"]) == 1


async def test_the_state_tells_what_roles_allow(service: Emulator, tell: Any) -> None:
    """By pattern, too, as the page shows it."""
    service.attach("chat", NullClient(), connection_id="c1")
    service.hubs["chat"].connections["c1"].rules |= roles.rules(["webpubsub.sendToGroups.team.*"])

    (one,) = (await tell("GET", "state"))["hubs"]["chat"]["connectionList"]

    assert one["permissions"] == {
        "sendToGroup": {"everywhere": False, "patterns": ["team.*"], "allowed": [], "denied": []}
    }


@pytest.mark.parametrize("path", ["//client/hubs/chat", "/Client/hubs/chat", SEND])
async def test_a_token_that_strayed_is_not_told(tell: Any, call: Any, path: str) -> None:
    """A client with a slip in its path must not leave its token in the ledger."""
    await call("POST", f"{path}?access_token=secret&x=1")

    assert [one["query"] for one in (await tell("GET", "ledger"))["entries"]] == [
        "access_token=***&x=1"
    ]


async def test_a_wrong_seed_is_told(tell: Any) -> None:
    """In the words of the seed, and nobody is let in."""
    told = await tell("POST", "seed", b'{"clients": [{"userId": "ada"}, {"usrId": "x"}]}')

    assert told["message"].startswith("clients[1].usrId: `usrId` is not known here; did you mean")
    assert await tell("GET", "state") == {"hubs": {}}
    for body in (b"{", b"[" * 50_000, b""):
        assert (await tell("POST", "seed", body))["message"] == "the body is not JSON"


async def test_a_reset_forgets_everything(
    service: Emulator, call: Any, tell: Any, make_listener: Callable[[], Any]
) -> None:
    """Clients are closed; ledger and faults are empty; the key stays."""
    one = make_listener()
    service.attach("chat", one, groups=["g"])
    await call("POST", SEND, b"x")
    await tell("PUT", "faults", b"503")

    assert await tell("POST", "reset") == 204

    assert one.ends == ["reset"]
    assert await tell("GET", "state") == {"hubs": {}}
    assert (await tell("GET", "ledger"))["last"] == 0
    assert (await tell("GET", "faults"))["faults"] == []
    assert (await call("POST", SEND, b"x")).status == 202


@pytest.mark.parametrize(
    "body",
    [
        b"429,count=1\nstall,on=SendToUser\n",
        b'["429,count=1", "stall,on=SendToUser"]',
        b' {"faults": ["429,count=1", "stall,on=SendToUser"]}',
    ],
)
async def test_faults_are_changed_while_it_runs(call: Any, tell: Any, body: bytes) -> None:
    """PUT replaces, POST adds, DELETE ends; GET counts. Lines or JSON."""
    put = await tell("PUT", "faults", body)
    assert put["faults"] == [
        {"fault": "429,count=1", "meant": 0, "struck": 0},
        {"fault": "stall,on=SendToUser", "meant": 0, "struck": 0},
    ]
    assert [(await call("POST", SEND, b"x")).status for _ in range(2)] == [429, 202]

    added = await tell("POST", "faults", b"503")
    assert [one["struck"] for one in added["faults"]] == [1, 0, 0]
    assert added == await tell("GET", "faults")
    assert (await call("POST", SEND, b"x")).status == 503

    assert await tell("DELETE", "faults") == 204
    assert (await call("POST", SEND, b"x")).status == 202


async def test_a_new_seed_comes_with_new_faults(tell: Any) -> None:
    """So that counts and luck begin together."""
    body = b'{"faults": ["429,share=50%"], "seed": 7}'

    assert (await tell("PUT", "faults", body))["seed"] == 7
    assert (await tell("PUT", "faults", b"[]"))["seed"] == 7
    assert "use PUT" in (await tell("POST", "faults", body))["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"stal", "did you mean `stall`"),
        (b'["503", "stal"]', "did you mean `stall`"),
        (b'{"faults": "503"}', "write one fault a line"),
        (b"[1]", "write one fault a line"),
        (b"{}", "write one fault a line"),
        (b"[", "the body is not JSON"),
        (b'{"faults": [], "seed": "x"}', "`seed` must be a whole number"),
        (b"\xff\xfe", "is no kind of fault"),
        (b"503\n" * 1001, "at most 1000 faults"),
    ],
)
async def test_faults_that_cannot_be_read_change_nothing(
    tell: Any, body: bytes, words: str
) -> None:
    """They are told, and those in force stay."""
    before = await tell("PUT", "faults", b"429,count=1")

    for method in ("PUT", "POST"):
        told = await tell(method, "faults", body)
        assert told["code"] == "Error.BadRequest"
        assert words in told["message"]

    assert await tell("GET", "faults") == before


async def test_an_empty_body_adds_nothing(tell: Any) -> None:
    """PUT of nothing is a DELETE."""
    await tell("PUT", "faults", b"429")

    assert len((await tell("POST", "faults", b""))["faults"]) == 1
    assert (await tell("PUT", "faults", b""))["faults"] == []


async def test_the_ledger_never_holds_a_key_or_token(
    service: Emulator, call: Any, tell: Any
) -> None:
    """Nor does anything else that these paths tell."""
    token = call.token(SEND)
    await call("POST", SEND, b"x", Authorization=f"Bearer {token}")
    told = [await tell("GET", path) for path in ("ledger", "state", "faults")]

    assert token.split(".")[2] not in json.dumps(told)
    assert service.endpoint.key not in json.dumps(told)


async def test_the_ledger_tells_what_websocket_clients_do(
    service: Emulator, call: Any, tell: Any
) -> None:
    """They come, join, send and leave; whom a message reached is told as for a request."""
    path = "/client/hubs/chat"
    roles = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
    token = call.token(path, sub="ada", role=roles)
    url = f"{service.endpoint.origin}{path}?access_token={token}"
    socket = await call.session.ws_connect(url, protocols=["json.webpubsub.azure.v1"])
    connection = (await socket.receive_json())["connectionId"]
    await socket.send_json({"type": "joinGroup", "group": "red", "ackId": 1})
    await socket.send_json({"type": "sendToGroup", "group": "red", "data": "hi", "ackId": 2})
    while (await socket.receive_json()).get("ackId") != 2:
        pass
    await socket.close()
    while (told := await tell("GET", "ledger?type=client"))["last"] < 4:
        pass

    entries = told["entries"]
    assert [one["event"] for one in entries] == ["connected", "joined", "sent", "disconnected"]
    assert {(one["hub"], one["connectionId"], one["userId"]) for one in entries} == {
        ("chat", connection, "ada")
    }
    assert entries[2]["effect"]["connections"] == [{"connectionId": connection, "userId": "ada"}]
    assert token.split(".")[2] not in json.dumps(told)


async def test_a_reset_closes_websocket_clients(service: Emulator, call: Any, tell: Any) -> None:
    """That they leave is not noted any more; the next one is."""
    path = "/client/hubs/chat"
    url = f"{service.endpoint.origin}{path}?access_token={call.token(path)}"
    socket = await call.session.ws_connect(url)
    while (await tell("GET", "ledger"))["last"] < 1:
        pass

    await tell("POST", "reset")
    await socket.receive()

    assert socket.closed
    assert (await tell("GET", "ledger"))["entries"] == []
    async with call.session.ws_connect(url):
        while (await tell("GET", "ledger"))["last"] < 1:
            pass
