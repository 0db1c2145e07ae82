"""Who is let in over WebSocket, and who is refused, and how."""

import json
import logging
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from wps_run.emulator.server import Emulator

JSON = "json.webpubsub.azure.v1"
RELIABLE = "json.reliable.webpubsub.azure.v1"
JOIN_AND_SEND = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]
CHAT = "/api/hubs/chat"


@pytest.mark.parametrize("hub", ["chat", "Chat", "a[b]`,._1"])
async def test_a_client_is_let_in_with_its_token(service: Emulator, door: Any, hub: str) -> None:
    """It has its user and is in its groups from the start; hubs are compared without case."""
    peer = await door.open(JSON, hub, sub="ada", webpubsub_group=["g", "a/b", "你好 🎉"])
    greeting = await peer.next()

    connection = service.hubs[hub.lower()].connections[greeting["connectionId"]]
    assert greeting == {
        "type": "system",
        "event": "connected",
        "userId": "ada",
        "connectionId": connection.connection_id,
    }
    assert len(connection.connection_id) == 31
    assert connection.user_id == "ada"
    assert list(connection.groups) == ["g", "a/b", "你好 🎉"]
    assert connection.protocol == JSON
    assert peer.socket.protocol == JSON


async def test_claims_may_be_one_value_or_a_list(service: Emulator, door: Any) -> None:
    """A single role and a single group are written without a list by some libraries."""
    peer, greeting = await door.greeted(webpubsub_group="g", role="webpubsub.joinLeaveGroup")

    assert list(service.hubs["chat"].groups) == ["g"]
    assert (await peer.ask(type="joinGroup", group="h", ackId=1))["success"]
    assert greeting["userId"] is None


async def test_the_other_path_and_the_header_do_as_well(door: Any) -> None:
    """The hub in the query, the token in the Authorization header, an audience in any scheme."""
    host = door.service.endpoint.host
    for audience in (f"WSS://{host}/CLIENT/HUBS/chat", f"https://{host}/client/hubs/Chat"):
        bearer = f"bearer {door.token(aud=audience)}"
        peer = await door.knock("/client/?hub=CHAT", JSON, Authorization=bearer)
        assert (await peer.next())["event"] == "connected"
        peer = await door.knock(f"/client/?hub=chat&access_token={door.token(aud=audience)}", JSON)
        assert (await peer.next())["event"] == "connected"


@pytest.mark.parametrize(
    "claims",
    [
        {"key": "k" * 32},
        {"exp": 1},
        {"exp": None},
        {"aud": "http://elsewhere/client/hubs/chat"},
        {"aud": None},
        {"sub": 7},
        {"sub": " "},
        {"role": 7},
        {"webpubsub_group": {"g": 1}},
    ],
)
async def test_a_bad_token_is_refused_before_the_upgrade(door: Any, claims: dict[str, Any]) -> None:
    """With 401, and nobody is there."""
    status, body = await door.refused(door.target(**claims))

    assert status == 401
    assert "eyJ" not in body
    assert door.service.hubs == {}


async def test_a_token_for_another_hub_or_for_rest_is_refused(door: Any) -> None:
    """So is none at all, and one that begins like the hub."""
    origin = door.service.endpoint.origin
    audiences = ("/client/hubs/other", "/client/hubs/chatter", "/api/hubs/chat", "")
    tokens = ["", "nonsense", *(door.token(aud=origin + path) for path in audiences)]

    for token in tokens:
        status, _ = await door.refused(f"/client/hubs/chat?access_token={token}")
        assert status == 401


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/client/hubs/chat", {"Upgrade": ""}, 400),
        ("/client/hubs/chat", {"Connection": ""}, 400),
        ("/client/hubs/1chat", {}, 400),
        ("/client/hubs/", {}, 400),
        ("/client/hubs/chat/more", {}, 400),
        ("/client/", {}, 400),
        ("/client", {}, 400),
        ("/client?hub=", {}, 400),
        ("/client/%00", {}, 400),
        ("/clients/mqtt/hubs/chat", {}, 404),
        ("/clients/socketio/hubs/chat", {}, 404),
    ],
)
async def test_what_is_no_knock_is_refused(
    door: Any, target: str, headers: dict[str, str], status: int
) -> None:
    """No upgrade or no hub is 400; what is not spoken here is 404. Both say where to go."""
    answer = await door.refused(target, **headers)

    assert answer[0] == status
    assert "/client/hubs/{hub}" in answer[1]


@pytest.mark.parametrize("headers", [{"Sec_WebSocket_Key": "x"}, {"Sec_WebSocket_Version": "9"}])
async def test_a_broken_handshake_is_400(door: Any, headers: dict[str, str]) -> None:
    """And leaves nobody behind."""
    status, _ = await door.refused(door.target(), **headers)

    assert status == 400
    assert not any(hub.connections for hub in door.service.hubs.values())


@pytest.mark.parametrize(
    ("claims", "query"),
    [
        ({"webpubsub_group": ["g", " "]}, ""),
        ({"webpubsub_group": "x" * 1025}, ""),
        ({}, "webpubsub_mode=other"),
        ({}, "webpubsub_mode=sendToGroup"),
        ({}, "webpubsub_mode=sendToGroup&group=%20"),
        ({}, "webpubsub_mode=sendToGroup&group=g&noEcho=2"),
    ],
)
async def test_wrong_groups_and_modes_are_400(
    door: Any, claims: dict[str, Any], query: str
) -> None:
    """Before the upgrade."""
    assert (await door.refused(door.target(query=query, **claims)))[0] == 400


async def test_the_first_subprotocol_that_is_spoken_is_taken_as_it_was_spelt(
    door: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """None of them: a simple client. Nobody is warned of it."""
    url = "ws" + door.service.endpoint.origin[4:]
    offered = [Subprotocol(one) for one in ("mqtt", "JSON.webpubsub.Azure.v1", RELIABLE)]
    with caplog.at_level(logging.WARNING):
        async with connect(url + door.target(), subprotocols=offered) as socket:
            assert socket.subprotocol == offered[1]
            assert json.loads(await socket.recv())["event"] == "connected"
        peer = await door.knock(door.target(), "mqtt")

    assert peer.socket.protocol is None
    assert caplog.records == []


async def test_over_tls(certificate: tuple[str, str], make_door: Callable[[Emulator], Any]) -> None:
    """A client and a REST call, as over plain TCP; a message of a megabyte, too."""
    trust = ssl.create_default_context(cafile=certificate[0])
    async with Emulator(tls_cert=certificate[0], tls_key=certificate[1]) as service:
        door = make_door(service)
        url = "ws" + service.endpoint.origin[4:] + door.target(role=JOIN_AND_SEND)
        async with connect(
            url, ssl=trust, subprotocols=[Subprotocol(JSON)], max_size=None
        ) as socket:
            await socket.recv()
            await socket.send('{"type":"joinGroup","group":"g","ackId":1}')
            await socket.recv()
            await socket.send(
                json.dumps({"type": "sendToGroup", "group": "g", "data": "x" * 10**6})
            )
            assert len(await socket.recv()) > 10**6
            await socket.send("{")
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1007
