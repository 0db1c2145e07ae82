"""A rehearsal reports the same deliveries as a run against `serve` over TLS with real clients."""

import asyncio
import json
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from wps_run.connect.endpoint import Endpoint, parse_connection_string

PLAYBOOK = """
hub: chat
vars: {wall: wall}
actions:
  - forEach: [ada, grace, linus]
    actionName: addUserToGroup
    userId: ${each}
    group: red team
  - {actionName: addConnectionToGroup, connectionId: "${wall}", group: red team}
  - {actionName: sendToGroup, group: red team, data: Welcome}
  - {actionName: sendToUser, userId: ada, data: '{"a": [1, "é"]}', dataType: json}
  - {actionName: removeUserFromGroup, userId: linus, group: red team}
  - {actionName: sendToGroup, group: red team, data: Only members}
  - {actionName: sendToAll, data: All but the wall, excluded: ["${wall}"]}
  - {actionName: closeUserConnections, userId: grace, reason: Time is up}
  - {actionName: sendToGroup, group: red team, data: !!binary AP8=, dataType: binary}
  - {actionName: sendToConnection, connectionId: "${wall}", data: Only the wall}
  - {actionName: sendToUser, userId: grace, data: Too late}
  - {actionName: sendToAll, data: The end}
"""

SUBPROTOCOLS = {
    "ada": "json.webpubsub.azure.v1",
    "grace": "json.reliable.webpubsub.azure.v1",
    "linus": "json.webpubsub.azure.v1",
    "wall": "json.webpubsub.azure.v1",
}

CLOSED_BY_REST = "Application server closed the connection. Reason: "
"""The prefix of the reason of a REST call, as clients receive it."""

Message = tuple[str, str, int]
"""The origin of a message, its data type and its size in bytes."""


@dataclass
class Deliveries:
    """The messages of each client, in order, and the reasons of closed connections."""

    messages: dict[str, list[Message]] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)


def deliveries_of_rehearsal(record: Mapping[str, Any]) -> Deliveries:
    """Read the deliveries from the record of a rehearsal."""
    deliveries = Deliveries({name: [] for name in SUBPROTOCOLS})
    for message in record["messages"]:
        for name in message["receivedBy"]:
            deliveries.messages[name].append(
                (message["from"], message["dataType"], message["bytes"])
            )
    deliveries.closed = {closed["client"]: closed["reason"] for closed in record["closed"]}
    return deliveries


def deliveries_of_log(entries: list[dict[str, Any]], labels: Mapping[str, str]) -> Deliveries:
    """Read the deliveries from the request log of `serve`."""
    deliveries = Deliveries({name: [] for name in SUBPROTOCOLS})
    for effect in (entry["effect"] for entry in entries if entry["effect"]):
        for connection in effect["connections"]:
            name = labels[connection["connectionId"]]
            assert connection["userId"] == (None if name == "wall" else name)
            if "message" in effect:
                message = effect["message"]
                origin = message["group"] or "server"
                deliveries.messages[name].append((origin, message["dataType"], message["bytes"]))
            else:
                deliveries.closed[name] = effect["reason"]
    return deliveries


class RealClient:
    """A WebSocket client that records its messages until it is closed or receives `The end`."""

    def __init__(self, name: str, socket: aiohttp.ClientWebSocketResponse, first: Any) -> None:
        self.name = name
        self.connection_id: str = first["connectionId"]
        self.messages: list[Message] = []
        self.reason: str | None = None
        self._socket = socket

    async def receive_all(self) -> None:
        """Record all messages."""
        async for frame in self._socket:
            received = json.loads(frame.data)
            if received["type"] == "system":
                self.reason = received["message"].removeprefix(CLOSED_BY_REST)
            elif received["type"] == "message":
                self._record(received)
                if received["data"] == "The end":
                    return

    def _record(self, received: Any) -> None:
        data_type, data = received["dataType"], received["data"]
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        size = len(text.encode()) if data_type != "binary" else len(text) // 4 * 3 - text.count("=")
        origin = received["group"] if received["from"] == "group" else received["from"]
        self.messages.append((origin, data_type, size))


async def connect(
    session: aiohttp.ClientSession, endpoint: Endpoint, name: str, trust: ssl.SSLContext
) -> RealClient:
    """Connect one client; the wall display has no user."""
    claims = {"aud": f"{endpoint.origin}/client/hubs/chat", "exp": int(time.time()) + 60}
    if name != "wall":
        claims["sub"] = name
    token = jwt.encode(claims, endpoint.key, algorithm="HS256")
    url = f"{endpoint.origin}/client/hubs/chat?access_token={token}"
    socket = await session.ws_connect(url, protocols=[SUBPROTOCOLS[name]], ssl=trust)
    return RealClient(name, socket, await socket.receive_json())


async def test_deliveries_are_the_same_everywhere(
    script: Path, tmp_path: Path, certificate: tuple[str, str]
) -> None:
    """In the record of a rehearsal, at real clients, and in the request log of `serve`."""
    cert, key = certificate
    playbook = tmp_path / "playbook.yaml"
    playbook.write_text(PLAYBOOK, encoding="utf-8")

    async def run(*args: str | Path, **environment: str) -> dict[str, Any]:
        child = await asyncio.create_subprocess_exec(
            *(script, "--output", "json", "--no-journal", *args, playbook),
            stdout=subprocess.PIPE,
            env={"PATH": "", **environment},
        )
        report: dict[str, Any] = json.loads((await child.communicate())[0])
        assert report["summary"]["ok"] == report["summary"]["total"] == 14
        return report

    rehearsed = deliveries_of_rehearsal((await run("--local"))["rehearsal"][0])

    serve = await asyncio.create_subprocess_exec(
        *(script, "serve", "--port", "0", "--tls-cert", cert, "--tls-key", key),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert serve.stdout is not None
    first_line = (await serve.stdout.readline()).decode().strip()
    endpoint = parse_connection_string(first_line)
    trust = ssl.create_default_context(cafile=cert)
    async with aiohttp.ClientSession() as session:
        clients = [await connect(session, endpoint, name, trust) for name in SUBPROTOCOLS]
        labels = {client.connection_id: client.name for client in clients}
        wall = next(client.connection_id for client in clients if client.name == "wall")
        await run(
            *("--ca-bundle", cert, "--var", f"wall={wall}"), WebPubSubConnectionString=first_line
        )
        await asyncio.gather(*(client.receive_all() for client in clients))
        async with session.get(
            f"{endpoint.origin}/_local/ledger?type=request",
            headers={"Authorization": f"Bearer {endpoint.key}"},
            ssl=trust,
        ) as response:
            logged = deliveries_of_log((await response.json())["entries"], labels)
    serve.terminate()
    _, stderr = await serve.communicate()

    messages = {client.name: client.messages for client in clients}
    closed = {client.name: client.reason for client in clients if client.reason is not None}
    assert Deliveries(messages, closed) == rehearsed == logged
    assert rehearsed.closed == {"grace": "Time is up"}
    assert [len(messages[name]) for name in SUBPROTOCOLS] == [6, 3, 3, 5]
    assert serve.returncode == 0
    assert endpoint.key not in stderr.decode()
