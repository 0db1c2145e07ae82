"""Real WebSocket clients over loopback, and raw sockets that violate the protocol."""

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
    """A client with a JSON subprotocol, or none, on aiohttp's WebSocket."""

    socket: aiohttp.ClientWebSocketResponse

    async def send(self, **frame: Any) -> None:
        """Send an object."""
        await self.socket.send_json(frame)

    async def receive(self) -> Any:
        """Return the next frame: an object, text, bytes, or the close code and reason."""
        message = await self.socket.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.TEXT:
            data = message.data
            return json.loads(data) if data.startswith("{") else data
        if message.type is aiohttp.WSMsgType.BINARY:
            return message.data
        return self.socket.close_code, message.extra or ""

    async def request(self, **frame: Any) -> Any:
        """Send an object, and return the next frame."""
        await self.send(**frame)
        return await self.receive()

    @property
    def transport(self) -> asyncio.Transport:
        """The transport of aiohttp's WebSocket, which has no API for it."""
        connection = self.socket._response.connection  # noqa: SLF001 - see above
        assert connection is not None
        assert isinstance(connection.transport, asyncio.Transport)
        return connection.transport

    def abort(self) -> None:
        """Close the connection without a close frame."""
        self.transport.abort()


@dataclass
class Connector:
    """Opens WebSockets to an emulator."""

    emulator: Emulator
    session: aiohttp.ClientSession
    trust: ssl.SSLContext | bool = True

    def token(self, hub: str = "chat", **claims: Any) -> str:
        """Issue a token. Claims that are None are omitted; dots in names are underscores."""
        key = claims.pop("key", self.emulator.endpoint.key)
        all_claims = {
            "aud": f"{self.emulator.endpoint.origin}/client/hubs/{hub}",
            "exp": int(time.time()) + 60,
            **{name.replace("webpubsub_", "webpubsub."): value for name, value in claims.items()},
        }
        present = {name: value for name, value in all_claims.items() if value is not None}
        return jwt.encode(present, key, algorithm="HS256")

    def target(self, hub: str = "chat", query: str = "", **claims: Any) -> str:
        """Return path and query with a token."""
        more = f"&{query}" if query else ""
        return f"/client/hubs/{quote(hub)}?access_token={self.token(hub, **claims)}{more}"

    async def connect(self, target: str, protocol: str = "", **headers: str) -> Peer:
        """Open a WebSocket to exactly this target, over TLS if the emulator uses it."""
        url = URL(self.emulator.endpoint.origin + target, encoded=True)
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
        return await self.connect(self.target(hub, query, **claims), protocol)

    async def open_connected(self, protocol: str = JSON, **claims: Any) -> tuple[Peer, Any]:
        """Open a WebSocket, and receive its `connected` frame."""
        peer = await self.open(protocol, **claims)
        return peer, await peer.receive()

    async def recover(self, connected: Any, protocol: str = RELIABLE, **changes: str) -> Peer:
        """Recover the connection of a `connected` frame."""
        query = {
            "awps_connection_id": connected["connectionId"],
            "awps_reconnection_token": connected["reconnectionToken"],
            **changes,
        }
        hub = query.pop("hub", "chat")
        return await self.connect(f"/client/hubs/{hub}?{urlencode(query)}", protocol)

    async def wait_until_empty(self, hub: str = "chat") -> None:
        """Wait until a hub has no connections."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            while self.emulator.hubs[hub].connections:
                wakeup = loop.create_future()
                loop.call_later(0.005, wakeup.set_result, None)
                await wakeup

    async def refused_upgrade(
        self, target: str, method: str = "GET", **headers: str
    ) -> tuple[int, str]:
        """Return status and body of an upgrade that is refused."""
        upgrade = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(b"k" * 16).decode(),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        url = URL(self.emulator.endpoint.origin + target, encoded=True)
        present = {name: value for name, value in upgrade.items() if value}
        async with self.session.request(method, url, headers=present) as response:
            return response.status, await response.text()


@dataclass
class RawSocket:
    """A bare socket after the upgrade; it sends valid and invalid frames."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sent: bytes = b""

    def send(self, first: int, payload: bytes = b"", *, size: int | None = None) -> None:
        """Send one masked frame; its header may announce another size."""
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

    async def receive_frame(self) -> tuple[int, bytes]:
        """Return the first byte and the payload of the next frame."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return first, await self.reader.readexactly(size)

    async def receive_close_code(self) -> int:
        """Skip frames until the close frame, answer it and return its code."""
        while True:
            first, payload = await self.receive_frame()
            if first == 0x88:
                self.send(first, payload)
                return int.from_bytes(payload[:2], "big")

    async def read_to_end(self) -> bytes:
        """Return all data until the emulator closes the connection."""
        return await self.reader.read()


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that closes all its WebSockets: aborted ones would warn when collected."""
    sockets: list[aiohttp.ClientWebSocketResponse] = []

    class TrackedWebSocket(aiohttp.ClientWebSocketResponse):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            sockets.append(self)

    async with aiohttp.ClientSession(ws_response_class=TrackedWebSocket) as session:
        yield session
        for socket in sockets:
            socket._response.close()  # noqa: SLF001 - it has no API for that


@pytest.fixture
async def connector(emulator: Emulator) -> AsyncIterator[Connector]:
    """Opens WebSockets to the fresh emulator."""
    async with _session() as session:
        yield Connector(emulator, session)


@pytest.fixture
async def make_connector() -> AsyncIterator[Callable[..., Connector]]:
    """Makes connectors to other emulators than the fresh one."""
    async with _session() as session:
        yield lambda emulator, trust=True: Connector(emulator, session, trust)


@pytest.fixture
async def make_raw_socket() -> AsyncIterator[Callable[..., Any]]:
    """Upgrades bare sockets."""
    writers = []

    async def upgrade(
        connector: Connector, protocol: str = "", limit: int = 65536, **claims: Any
    ) -> RawSocket:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(connector.emulator.endpoint.origin.rpartition(":")[2]), limit=limit
        )
        writers.append(writer)
        offer = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
        writer.write(
            f"GET {connector.target(**claims)} HTTP/1.1\r\n"
            f"Host: {connector.emulator.endpoint.origin.partition('//')[2]}\r\n"
            "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'a' * 22}==\r\n{offer}\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"permessage-deflate" not in head
        return RawSocket(reader, writer)

    yield upgrade
    for writer in writers:
        writer.transport.abort()
