"""Situations of several clients and requests, from the tests and pages of Microsoft's emulator.

Each is a script for a fresh emulator, one step a line. `NAME` is a client, `{NAME}` its ID:

    NAME opens SUBPROTOCOL CLAIMS       and receives its `connected` frame; `simple` has none
    NAME sends FRAME                    JSON, text in quotes, or the bytes of a binary frame: 0x…
    NAME receives FRAME                 the same; of an object, the members that are named
    NAME receives CODE REASON           a close frame
    NAME is lost | recovers QUERY       its socket; QUERY replaces parameters of the recovery
    METHOD PATH BODY -> STATUS VALUES   VALUES are the members of a group
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

HUB = "/api/hubs/chat"
_REST = re.compile(r"(GET|HEAD|PUT|POST|DELETE) (\S+)(?: (.+))? -> (\d+)(?: (.+))?")
_CLIENT = re.compile(r"(\w+) (opens|sends|receives|is lost|recovers) ?(.*)")
_SUBPROTOCOLS = {
    "simple": "",
    "json": "json.webpubsub.azure.v1",
    "reliable": "json.reliable.webpubsub.azure.v1",
    "protobuf": "protobuf.webpubsub.azure.v1",
}


@dataclass
class Script:
    """Carries out the steps of a situation."""

    connector: Any
    call: Any
    peers: dict[str, Any] = field(default_factory=dict)
    connected: dict[str, Any] = field(default_factory=dict)

    async def run(self, steps: str) -> None:
        """Carry out the steps, one a line."""
        for line in filter(None, map(str.strip, steps.splitlines())):
            step = line
            for name, connected in self.connected.items():
                step = step.replace(f"{{{name}}}", connected["connectionId"])
            if match := _REST.fullmatch(step):
                await self._request(line, match)
            elif match := _CLIENT.fullmatch(step):
                await self._act(line, *match.groups())
            else:
                pytest.fail(f"unknown step: {line}")

    async def _request(self, line: str, request: re.Match[str]) -> None:
        method, path, body, status, values = request.groups()
        is_json = bool(body) and path.endswith("Groups")
        response = await self.call(
            method,
            HUB + path,
            body.encode() if body else None,
            Content_Type="application/json" if is_json else "text/plain",
        )
        assert response.status == int(status), line
        if values is not None:
            members = [member["connectionId"] for member in json.loads(response.body)["value"]]
            assert members == sorted(values.split()), line

    async def _act(self, line: str, name: str, action: str, rest: str) -> None:
        match action:
            case "opens":
                subprotocol, _, claims = rest.partition(" ")
                await self._open(name, subprotocol, json.loads(claims or "{}"))
            case "sends" if rest.startswith("0x"):
                await self.peers[name].socket.send_bytes(bytes.fromhex(rest[2:]))
            case "sends":
                await self.peers[name].socket.send_str(rest.strip('"'))
            case "receives":
                _compare(line, await self.peers[name].receive(), rest)
            case "is lost":
                self.peers[name].abort()
            case _:
                changes = dict(pair.split("=") for pair in rest.split("&") if pair)
                self.peers[name] = await self.connector.recover(self.connected[name], **changes)

    async def _open(self, name: str, subprotocol: str, claims: dict[str, Any]) -> None:
        query = claims.pop("query", "")
        protocol = _SUBPROTOCOLS[subprotocol]
        peer = self.peers[name] = await self.connector.open(protocol, query=query, **claims)
        if subprotocol in {"json", "reliable"}:
            self.connected[name] = await peer.receive()
        elif protocol:
            await peer.receive()


def _compare(line: str, received: Any, expected: str) -> None:
    if expected.startswith("{"):
        members = json.loads(expected)
        assert {name: received.get(name) for name in members} == members, line
    elif expected.startswith("0x"):
        assert received == bytes.fromhex(expected[2:]), line
    elif isinstance(received, tuple):
        assert " ".join(map(str, received)).strip() == expected, line
    else:
        assert received == expected.strip('"'), line


SEND_AND_JOIN = '["webpubsub.sendToGroup", "webpubsub.joinLeaveGroup"]'
RAW = "webpubsub_mode=sendToGroup&group="
REASON = "你" * 200
EXCLUDED = "excluded={ada}&excluded={ada}&excluded={ada},{bob}&excluded=%20{bob}%20&excluded=x"
CLOSED = "Application server closed the connection."

LOST_CLIENTS = {
    "its groups change, with the case of their names": """
        ada opens reliable
        ada is lost
        PUT /groups/Room/connections/{ada} -> 200
        POST /groups/room/:send other -> 202
        POST /groups/Room/:send right -> 202
        ada recovers
        ada receives {"group": "Room", "data": "right", "sequenceId": 1}
        DELETE /groups/Room/connections/{ada} -> 204
        HEAD /groups/Room -> 404
    """,
    "every send waits for it, and every filter finds it": f"""
        ada opens reliable {{"sub": "ada", "webpubsub_group": ["room"]}}
        ada is lost
        POST /:send?filter={quote("protocol eq 'json.reliable.webpubsub.azure.v1'")} 1 -> 202
        POST /:send?filter={quote("protocol eq 'json.webpubsub.azure.v1'")} 2 -> 202
        POST /groups/room/:send?filter={quote("'room' in groups")} 3 -> 202
        POST /users/ada/:send?messageTtlSeconds=300 4 -> 202
        POST /connections/{{ada}}/:send 5 -> 202
        ada recovers
        ada receives {{"from": "server", "data": "1", "sequenceId": 1}}
        ada receives {{"from": "group", "data": "3", "sequenceId": 2}}
        ada receives {{"from": "server", "data": "4", "sequenceId": 3}}
        ada receives {{"from": "server", "data": "5", "sequenceId": 4}}
    """,
    "bulk changes find it, and change no permission": """
        ada opens reliable {"webpubsub_group": ["room", "keep"]}
        PUT /permissions/sendToGroup/connections/{ada}?targetName=room -> 200
        ada is lost
        POST /:addToGroups {"groups":["second"],"filter":"'room' in groups"} -> 200
        POST /:removeFromGroups {"groups":["room"],"filter":"'second' in groups"} -> 200
        ada recovers
        GET /groups/second/connections -> 200 {ada}
        GET /groups/keep/connections -> 200 {ada}
        HEAD /groups/room -> 404
        HEAD /permissions/sendToGroup/connections/{ada}?targetName=room -> 200
        HEAD /permissions/joinLeaveGroup/connections/{ada}?targetName=room -> 404
    """,
    "it leaves all groups and stays connected": """
        ada opens reliable {"webpubsub_group": ["room", "keep"]}
        ada is lost
        DELETE /connections/{ada}/groups -> 204
        HEAD /groups/keep -> 404
        HEAD /connections/{ada} -> 200
        ada recovers
        ada sends {"type": "ping"}
        ada receives {"type": "pong"}
    """,
    **{
        f"a close of its {scope} ends it": f"""
            ada opens reliable {{"sub": "ada", "webpubsub_group": ["room"]}}
            ada is lost
            {request} -> 204
            HEAD /connections/{{ada}} -> 404
            HEAD /groups/room -> 404
            HEAD /users/ada -> 404
            {request} -> 204
            ada recovers
            ada receives 1008 The connection could not be recovered.
        """
        for scope, request in {
            "hub": "POST /:closeConnections",
            "group": "POST /groups/room/:closeConnections",
            "user": "POST /users/ada/:closeConnections?reason=away",
            "connection": "DELETE /connections/{ada}",
        }.items()
    },
    "a refused recovery leaves it": """
        ada opens reliable
        ada is lost
        ada recovers awps_reconnection_token=x
        ada receives 1008 The connection could not be recovered.
        ada recovers awps_connection_id=x
        ada receives 1008 The connection could not be recovered.
        ada recovers hub=other
        ada receives 1008 The connection could not be recovered.
        ada recovers hub=CHAT
        ada sends {"type": "ping"}
        ada receives {"type": "pong"}
    """,
    "an acknowledgment of a number acknowledges all before": """
        ada opens reliable
        POST /:send 1 -> 202
        POST /:send 2 -> 202
        POST /:send 3 -> 202
        ada receives {"sequenceId": 1}
        ada sends {"type": "sequenceAck", "sequenceId": 2}
        ada receives {"sequenceId": 2}
        ada receives {"sequenceId": 3}
        ada sends {"type": "ping"}
        ada receives {"type": "pong"}
        ada is lost
        ada recovers
        ada receives {"sequenceId": 3, "data": "3"}
    """,
    "an acknowledgment of the future acknowledges all": """
        ada opens reliable
        POST /:send 1 -> 202
        ada receives {"sequenceId": 1}
        ada sends {"type": "sequenceAck", "sequenceId": 18446744073709551615}
        ada sends {"type": "ping"}
        ada receives {"type": "pong"}
        ada is lost
        POST /:send 2 -> 202
        ada recovers
        ada receives {"sequenceId": 2, "data": "2"}
    """,
    "the ack IDs of its requests are still known": f"""
        ada opens reliable {{"role": {SEND_AND_JOIN}}}
        ada sends {{"type": "joinGroup", "group": "room", "ackId": 0}}
        ada receives {{"ackId": 0, "success": true}}
        ada is lost
        ada recovers
        ada sends {{"type": "leaveGroup", "group": "room", "ackId": 0}}
        ada receives {{"ackId": 0, "success": false}}
        GET /groups/room/connections -> 200 {{ada}}
    """,
    "its permissions change": """
        ada opens reliable {"role": ["webpubsub.joinLeaveGroups.room*", "webpubsub.sendToGroup"]}
        ada sends {"type": "joinGroup", "group": "room", "ackId": 1}
        ada receives {"ackId": 1, "success": true}
        DELETE /permissions/joinLeaveGroup/connections/{ada}?targetName=room -> 204
        HEAD /permissions/joinLeaveGroup/connections/{ada}?targetName=room-other -> 200
        GET /groups/room/connections -> 200 {ada}
        ada sends {"type": "leaveGroup", "group": "room", "ackId": 2}
        ada receives {"ackId": 2, "success": false}
        ada is lost
        PUT /permissions/joinLeaveGroup/connections/{ada}?targetName=offline -> 200
        ada recovers
        ada sends {"type": "leaveGroup", "group": "room", "ackId": 3}
        ada receives {"ackId": 3, "success": false}
        ada sends {"type": "joinGroup", "group": "offline", "ackId": 4}
        ada receives {"ackId": 4, "success": true}
        PUT /permissions/joinLeaveGroup/connections/{ada}?targetName=room -> 200
        ada sends {"type": "leaveGroup", "group": "room", "ackId": 5}
        ada receives {"ackId": 5, "success": true}
    """,
}

CLIENTS = {
    "an ack ID that failed can be used again, by any request": """
        ada opens json {"role": "webpubsub.joinLeaveGroup.room"}
        ada sends {"type": "joinGroup", "group": "no", "ackId": 18446744073709551615}
        ada receives {"success": false}
        ada sends {"type": "sendToGroup", "group": "room", "data": 1, "ackId": 18446744073709551615}
        ada receives {"success": false}
        ada sends {"type": "joinGroup", "group": "room", "ackId": 18446744073709551615}
        ada receives {"ackId": 18446744073709551615, "success": true}
    """,
    "a protobuf client joins with the ack ID 0": """
        ada opens protobuf {"role": "webpubsub.joinLeaveGroup.room"}
        ada sends 0x32080a04726f6f6d1000
        ada receives 0x0a021001
        HEAD /groups/room -> 200
    """,
    "noEcho is for one connection, not for its user": f"""
        ada opens json {{"sub": "ada", "webpubsub_group": ["room"], "role": {SEND_AND_JOIN}}}
        two opens json {{"sub": "ada", "webpubsub_group": ["room"]}}
        ada sends {{"type": "sendToGroup", "group": "room", "data": 1, "noEcho": true, "ackId": 1}}
        ada receives {{"type": "ack"}}
        two receives {{"fromUserId": "ada", "dataType": "json", "data": 1}}
    """,
    "a sender need not be a member, and receives nothing then": f"""
        ada opens json {{"role": {SEND_AND_JOIN}}}
        ada sends {{"type": "sendToGroup", "group": "room", "data": 1, "ackId": 1}}
        ada receives {{"type": "ack", "success": true}}
        ada sends {{"type": "ping"}}
        ada receives {{"type": "pong"}}
    """,
    "names of metadata have a case, except in headers": f"""
        ada opens json {{"webpubsub_group": ["room"], "role": {SEND_AND_JOIN}}}
        ada sends {{"type": "sendToGroup", "group": "room", "metadata": {{"K": "1", "k": ""}}}}
        ada receives {{"data": "", "metadata": {{"K": "1", "k": ""}}}}
    """,
    "a message of any type reaches a simple client as it is": f"""
        ada opens simple {{"webpubsub_group": ["room"]}}
        bob opens json {{"webpubsub_group": ["room"]}}
        cat opens json {{"role": {SEND_AND_JOIN}}}
        cat sends {{"type": "sendToGroup", "group": "room", "data": [1, "x"]}}
        cat sends {{"type": "sendToGroup", "group": "room", "dataType": "binary", "data": "AP8="}}
        cat sends {{"type": "sendToGroup", "group": "room", "dataType": "protobuf", "data": "CgF0"}}
        ada receives "[1, "x"]"
        ada receives 0x00ff
        ada receives 0x0a0174
        bob receives {{"dataType": "json", "data": [1, "x"]}}
        bob receives {{"dataType": "binary", "data": "AP8="}}
        bob receives {{"dataType": "protobuf", "data": "CgF0"}}
    """,
    "simple clients send to the groups of their URLs": f"""
        one opens simple {{"webpubsub_group": ["one"]}}
        two opens simple {{"webpubsub_group": ["two"]}}
        ada opens simple {{"role": "webpubsub.sendToGroup.one", "query": "{RAW}one"}}
        bob opens simple {{"role": "webpubsub.sendToGroup.two", "query": "{RAW}two"}}
        ada sends "first"
        bob sends 0x0102
        one receives "first"
        two receives 0x0102
    """,
    "an empty mode sends events, which nobody receives here": """
        ada opens simple {"query": "webpubsub_mode="}
        ada sends "x"
        ada receives 1011 There is no event handler.
    """,
}

REQUESTS = {
    "a bulk change selects before it changes": """
        ada opens json
        bob opens json
        POST /:addToGroups {"groups":["a","b"],"filter":"not ('a' in groups)"} -> 200
        GET /groups/a/connections -> 200 {ada} {bob}
        GET /groups/b/connections -> 200 {ada} {bob}
        POST /:removeFromGroups {"groups":["a","b"],"filter":"'a' in groups"} -> 200
        HEAD /groups/a -> 404
        HEAD /groups/b -> 404
    """,
    "a bulk change may have more than a thousand groups": f"""
        ada opens json
        POST /:addToGroups {json.dumps({"groups": [f"g{number}" for number in range(1025)]})} -> 200
        GET /groups/g1024/connections -> 200 {{ada}}
        DELETE /connections/{{ada}}/groups -> 204
        HEAD /groups/g0 -> 404
    """,
    "another hub has no part in it": """
        ada opens json {"webpubsub_group": ["room"]}
        DELETE /connections/{ada}/groups -> 204
        PUT /permissions/sendToGroup/connections/{ada}?targetName=room.* -> 200
        HEAD /permissions/sendToGroup/connections/{ada}?targetName=room.* -> 200
        HEAD /permissions/sendToGroup/connections/{ada}?targetName=room.child -> 404
        HEAD /permissions/sendToGroup/connections/{ada}?targetName=ROOM.* -> 404
    """,
    "a close excludes exact IDs and has a reason of any length": f"""
        ada opens json {{"sub": "ada", "webpubsub_group": ["room"]}}
        bob opens json {{"sub": "bob", "webpubsub_group": ["room"]}}
        cat opens json {{"sub": "ADA", "webpubsub_group": ["ROOM"]}}
        POST /groups/room/:closeConnections?{EXCLUDED}&reason={quote(REASON)} -> 204
        bob receives {{"event": "disconnected", "message": "{CLOSED} Reason: {REASON}"}}
        bob receives 1000
        HEAD /connections/{{ada}} -> 200
        POST /users/ada/:closeConnections?reason= -> 204
        ada receives {{"event": "disconnected", "message": "{CLOSED}"}}
        HEAD /connections/{{cat}} -> 200
    """,
    "a trailing slash makes no difference": """
        ada opens json {"webpubsub_group": ["room"]}
        GET /groups/room/connections/?maxpagesize=1 -> 200 {ada}
        HEAD /connections/{ada}/ -> 200
    """,
}


@pytest.mark.parametrize("steps", LOST_CLIENTS.values(), ids=LOST_CLIENTS)
async def test_a_reliable_client_that_is_lost(connector: Any, call: Any, steps: str) -> None:
    """It is still connected to all requests."""
    await Script(connector, call).run(steps)


@pytest.mark.parametrize("steps", CLIENTS.values(), ids=CLIENTS)
async def test_clients(connector: Any, call: Any, steps: str) -> None:
    """What they send, and who receives it."""
    await Script(connector, call).run(steps)


@pytest.mark.parametrize("steps", REQUESTS.values(), ids=REQUESTS)
async def test_requests(connector: Any, call: Any, steps: str) -> None:
    """Their effect on clients that are connected."""
    await Script(connector, call).run(steps)
