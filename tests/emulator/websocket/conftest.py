"""Real WebSocket clients over loopback, and sockets that break the rules."""

import asyncio
import base64
import json
import os
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import jwt
import pytest
from yarl import URL

from wps_run.emulator.server import Emulator

JSON = "json.webpubsub.azure.v1"
RELIABLE = "json.reliable.webpubsub.azure.v1"


@dataclass
class Peer:
    """A client that speaks JSON, or nothing, over aiohttp's WebSocket."""

    socket: aiohttp.ClientWebSocketResponse

    async def say(self, **frame: Any) -> None:
        """Send an object."""
        await self.socket.send_json(frame)

    async def next(self) -> Any:
        """The next frame: an object, bytes, or the close code and reason."""
        message = await self.socket.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.TEXT:
            data = message.data
            return json.loads(data) if data.startswith("{") else data
        if message.type is aiohttp.WSMsgType.BINARY:
            return message.data
        return self.socket.close_code, message.extra or ""

    async def ask(self, **frame: Any) -> Any:
        """Send an object, and wait for what comes next."""
        await self.say(**frame)
        return await self.next()

    @property
    def transport(self) -> asyncio.Transport:
        """What is below aiohttp's WebSocket, which has no door to it."""
        connection = self.socket._response.connection  # noqa: SLF001 - see above
        assert connection is not None
        assert isinstance(connection.transport, asyncio.Transport)
        return connection.transport

    def vanish(self) -> None:
        """Cut the connection, without a close frame."""
        self.transport.abort()


@dataclass
class Door:
    """Opens WebSockets to a service."""

    service: Emulator
    session: aiohttp.ClientSession
    trust: ssl.SSLContext | bool = True

    def token(self, hub: str = "chat", **claims: Any) -> str:
        """A client's token. Claims that are None are left out; dots in names are underscores."""
        key = claims.pop("key", self.service.endpoint.key)
        said = {
            "aud": f"{self.service.endpoint.origin}/client/hubs/{hub}",
            "exp": int(time.time()) + 60,
            **{name.replace("webpubsub_", "webpubsub."): value for name, value in claims.items()},
        }
        kept = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(kept, key, algorithm="HS256")

    def target(self, hub: str = "chat", query: str = "", **claims: Any) -> str:
        """Path and query, with a token."""
        more = f"&{query}" if query else ""
        return f"/client/hubs/{quote(hub)}?access_token={self.token(hub, **claims)}{more}"

    async def knock(self, target: str, protocol: str = "", **headers: str) -> Peer:
        """Open a WebSocket to a target, to the byte, over TLS where the service speaks it."""
        url = URL(self.service.endpoint.origin + target, encoded=True)
        offered = (protocol,) if protocol else ()
        return Peer(
            await self.session.ws_connect(
                url, protocols=offered, headers=headers, ssl=self.trust, max_msg_size=0
            )
        )

    async def open(
        self, protocol: str = "", hub: str = "chat", query: str = "", **claims: Any
    ) -> Peer:
        """Open a WebSocket with a token for it."""
        return await self.knock(self.target(hub, query, **claims), protocol)

    async def greeted(self, protocol: str = JSON, **claims: Any) -> tuple[Peer, Any]:
        """Open a WebSocket, and read the greeting."""
        peer = await self.open(protocol, **claims)
        return peer, await peer.next()

    async def recover(self, greeting: Any, protocol: str = RELIABLE, **changes: str) -> Peer:
        """Come back to the connection of a greeting."""
        query = {
            "awps_connection_id": greeting["connectionId"],
            "awps_reconnection_token": greeting["reconnectionToken"],
            **changes,
        }
        hub = query.pop("hub", "chat")
        return await self.knock(f"/client/hubs/{hub}?{urlencode(query)}", protocol)

    async def gone(self, hub: str = "chat") -> None:
        """Wait until a hub is empty."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            while self.service.hubs[hub].connections:
                turn = loop.create_future()
                loop.call_later(0.005, turn.set_result, None)
                await turn

    async def refused(self, target: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Status and body of an upgrade that is refused."""
        asked = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(b"k" * 16).decode(),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        url = URL(self.service.endpoint.origin + target, encoded=True)
        kept = {name: value for name, value in asked.items() if value}
        async with self.session.request(method, url, headers=kept) as response:
            return response.status, await response.text()


@dataclass
class Wire:
    """A bare socket that has been upgraded; it sends what it is told to, legal or not."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: bytes = b""

    def send(self, first: int, payload: bytes = b"", *, size: int | None = None) -> None:
        """Write one masked frame, whose header may announce another size."""
        announced = len(payload) if size is None else size
        mask = os.urandom(4)
        if announced < 126:
            head = bytes((first, 0x80 | announced))
        elif announced < 65536:
            head = struct.pack("!BBH", first, 0xFE, announced)
        else:
            head = struct.pack("!BBQ", first, 0xFF, announced)
        key = (mask * (len(payload) // 4 + 1))[: len(payload)]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        frame = head + mask + masked.to_bytes(len(payload), "big")
        self.sent += frame
        self.writer.write(frame)

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte and its payload."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return first, await self.reader.readexactly(size)

    async def code(self) -> int:
        """The code of the close frame that comes after whatever else comes; answers it."""
        while True:
            first, payload = await self.frame()
            if first == 0x88:
                self.send(first, payload)
                return int.from_bytes(payload[:2], "big")

    async def end(self) -> bytes:
        """What comes until the service hangs up."""
        return await self.reader.read()


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that lets go of all its WebSockets, or those cut off would warn when collected."""
    made: list[aiohttp.ClientWebSocketResponse] = []

    class Kept(aiohttp.ClientWebSocketResponse):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            made.append(self)

    async with aiohttp.ClientSession(ws_response_class=Kept) as session:
        yield session
        for one in made:
            one._response.close()  # noqa: SLF001 - it has no door for that


@pytest.fixture
async def door(service: Emulator) -> AsyncIterator[Door]:
    """Opens WebSockets to the fresh service."""
    async with _session() as session:
        yield Door(service, session)


@pytest.fixture
async def make_door() -> AsyncIterator[Callable[..., Door]]:
    """Makes doors to other services than the fresh one."""
    async with _session() as session:
        yield lambda service, trust=True: Door(service, session, trust)


@pytest.fixture
async def make_wire() -> AsyncIterator[Callable[..., Any]]:
    """Upgrades bare sockets."""
    writers = []

    async def make(door: Door, protocol: str = "", limit: int = 65536, **claims: Any) -> Wire:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(door.service.endpoint.origin.rpartition(":")[2]), limit=limit
        )
        writers.append(writer)
        offer = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        writer.write(
            f"GET {door.target(**claims)} HTTP/1.1\r\n"
            f"Host: {door.service.endpoint.origin.partition('//')[2]}\r\n"
            "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'a' * 22}==\r\n{offer}\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"permessage-deflate" not in head
        return Wire(reader, writer)

    yield make
    for writer in writers:
        writer.transport.abort()
