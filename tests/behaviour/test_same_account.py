"""A rehearsal and a run against `serve` over TLS, with real clients, tell who heard what alike."""

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
"""What clients are told before the reason of a REST call."""

Heard = tuple[str, str, int]
"""Where a message came from, what kind it is, and how many bytes it has."""


@dataclass
class Account:
    """What each client heard, in order, and why those were closed who were."""

    heard: dict[str, list[Heard]] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)


def told_by_rehearsal(record: Mapping[str, Any]) -> Account:
    """The account of a rehearsal's record."""
    account = Account({name: [] for name in SUBPROTOCOLS})
    for message in record["messages"]:
        for name in message["receivedBy"]:
            account.heard[name].append((message["from"], message["dataType"], message["bytes"]))
    account.closed = {one["client"]: one["reason"] for one in record["closed"]}
    return account


def told_by_ledger(entries: list[dict[str, Any]], labels: Mapping[str, str]) -> Account:
    """The account of the ledger of `serve`."""
    account = Account({name: [] for name in SUBPROTOCOLS})
    for effect in (entry["effect"] for entry in entries if entry["effect"]):
        for one in effect["connections"]:
            name = labels[one["connectionId"]]
            assert one["userId"] == (None if name == "wall" else name)
            if "message" in effect:
                message = effect["message"]
                origin = message["group"] or "server"
                account.heard[name].append((origin, message["dataType"], message["bytes"]))
            else:
                account.closed[name] = effect["reason"]
    return account


class RealClient:
    """A WebSocket client that notes what it hears until it is closed, or hears of the end."""

    def __init__(self, name: str, socket: aiohttp.ClientWebSocketResponse, first: Any) -> None:
        self.name = name
        self.connection_id: str = first["connectionId"]
        self.heard: list[Heard] = []
        self.reason: str | None = None
        self._socket = socket

    async def listen(self) -> None:
        """Note everything."""
        async for frame in self._socket:
            told = json.loads(frame.data)
            if told["type"] == "system":
                self.reason = told["message"].removeprefix(CLOSED_BY_REST)
            elif told["type"] == "message":
                self._note(told)
                if told["data"] == "The end":
                    return

    def _note(self, told: Any) -> None:
        kind, data = told["dataType"], told["data"]
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        size = len(text.encode()) if kind != "binary" else len(text) // 4 * 3 - text.count("=")
        origin = told["group"] if told["from"] == "group" else told["from"]
        self.heard.append((origin, kind, size))


async def connected(
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


async def test_the_same_playbook_gives_the_same_account(
    script: Path, tmp_path: Path, certificate: tuple[str, str]
) -> None:
    """What a rehearsal says is what real clients hear, and what the ledger of `serve` tells."""
    cert, key = certificate
    playbook = tmp_path / "playbook.yaml"
    playbook.write_text(PLAYBOOK, encoding="utf-8")

    async def run(*words: str | Path, **environment: str) -> dict[str, Any]:
        child = await asyncio.create_subprocess_exec(
            *(script, "--output", "json", "--no-journal", *words, playbook),
            stdout=subprocess.PIPE,
            env={"PATH": "", **environment},
        )
        report: dict[str, Any] = json.loads((await child.communicate())[0])
        assert report["summary"]["ok"] == report["summary"]["total"] == 14
        return report

    rehearsed = told_by_rehearsal((await run("--local"))["rehearsal"][0])

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
        clients = [await connected(session, endpoint, name, trust) for name in SUBPROTOCOLS]
        labels = {client.connection_id: client.name for client in clients}
        wall = next(client.connection_id for client in clients if client.name == "wall")
        await run(
            *("--ca-bundle", cert, "--var", f"wall={wall}"), WebPubSubConnectionString=first_line
        )
        await asyncio.gather(*(client.listen() for client in clients))
        async with session.get(
            f"{endpoint.origin}/_local/ledger?type=request",
            headers={"Authorization": f"Bearer {endpoint.key}"},
            ssl=trust,
        ) as answer:
            ledger = told_by_ledger((await answer.json())["entries"], labels)
    serve.terminate()
    _, complaints = await serve.communicate()

    heard = {client.name: client.heard for client in clients}
    closed = {client.name: client.reason for client in clients if client.reason is not None}
    assert Account(heard, closed) == rehearsed == ledger
    assert rehearsed.closed == {"grace": "Time is up"}
    assert [len(heard[name]) for name in SUBPROTOCOLS] == [6, 3, 3, 5]
    assert serve.returncode == 0
    assert endpoint.key not in complaints.decode()
