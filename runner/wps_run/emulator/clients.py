"""The clients behind the connections of a hub, and the delivery of a hub's effects to them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from wps_run.emulator.effects import Close, Deliver, Effect, Message
from wps_run.emulator.hub import Hub

WRITE_BUFFER_LIMIT = 64 * 1024
"""The unsent bytes of a client above which further messages are queued."""


class ConnectedClient(Protocol):
    """The client of one connection: a simulated one or a WebSocket.

    Both methods are called while a request is processed: they must not block or raise.
    """

    def deliver(self, message: Message) -> None:
        """Receive a message."""

    def close(self, reason: str) -> None:
        """Receive the end of the connection by a REST call; `reason` may be ""."""


class Transport(Protocol):
    """The part of an asyncio transport that the fast path uses."""

    def is_closing(self) -> bool:
        """Whether written bytes are discarded."""

    def get_write_buffer_size(self) -> int:
        """Return the number of unsent bytes."""

    def write(self, data: bytes, /) -> None:
        """Send bytes without waiting."""


EncodeMessage = Callable[[Message], bytes]
"""Encodes a message for all clients of one kind."""


class NullClient:
    """A client that ignores everything."""

    def deliver(self, message: Message) -> None:
        """Ignore a message."""

    def close(self, reason: str) -> None:
        """Ignore the end of the connection."""


class Clients:
    """The clients of one hub, by connection ID.

    Clients that receive the same bytes as others of their kind may use the fast path: a message is
    encoded once and written to each transport. A socket write evicts other data from the
    processor's caches, so the fast path reads one small object a client, all before the first
    write.
    """

    def __init__(self) -> None:
        self._clients: dict[str, ConnectedClient] = {}
        self._fast_paths: dict[str, tuple[Transport, EncodeMessage]] = {}

    def attach(self, connection_id: str, client: ConnectedClient) -> None:
        self._clients[connection_id] = client

    def get(self, connection_id: str) -> ConnectedClient | None:
        return self._clients.get(connection_id)

    def all(self) -> tuple[ConnectedClient, ...]:
        return tuple(self._clients.values())

    def enable_fast_path(
        self, connection_id: str, transport: Transport, encode: EncodeMessage
    ) -> None:
        """Write messages to a client's transport while its write buffer is not full."""
        self._fast_paths[connection_id] = transport, encode

    def disable_fast_path(self, connection_id: str) -> None:
        """Deliver messages to the client object again."""
        self._fast_paths.pop(connection_id, None)

    def detach(self, connection_id: str) -> None:
        self._clients.pop(connection_id, None)
        self._fast_paths.pop(connection_id, None)

    def perform(self, effect: Effect) -> None:
        if isinstance(effect, Close):
            self._close(effect)
        else:
            self._deliver(effect)

    def _close(self, effect: Close) -> None:
        for connection_id in effect.connections:
            client = self._clients.pop(connection_id, None)
            if client is not None:
                client.close(effect.reason)
            self._fast_paths.pop(connection_id, None)

    def _deliver(self, effect: Deliver) -> None:
        message, frame, encoder = effect.message, b"", None
        frames: dict[EncodeMessage, bytes] = {}
        fast_paths = list(map(self._fast_paths.get, effect.connections))
        for connection_id, fast_path in zip(effect.connections, fast_paths, strict=True):
            if fast_path is not None:
                transport, encode = fast_path
                if (
                    not transport.is_closing()
                    and transport.get_write_buffer_size() <= WRITE_BUFFER_LIMIT
                ):
                    if encode is not encoder:
                        encoder, frame = encode, frames.get(encode) or encode(message)
                        frames[encode] = frame
                    transport.write(frame)
                    continue
            client = self._clients.get(connection_id)
            if client is not None:
                client.deliver(message)


Users = tuple[str | None, ...]
"""The user IDs of some connections, in their order; None for an anonymous one."""


@dataclass(slots=True)
class HubState:
    """One hub and its clients."""

    hub: Hub = field(default_factory=Hub)
    clients: Clients = field(default_factory=Clients)

    def users_of(self, effect: Effect) -> Users:
        """Return the users of an effect's connections, right after the effect."""
        if isinstance(effect, Close):
            return effect.users
        connections = self.hub.connections
        return tuple(
            connections[connection_id].user_id if connection_id in connections else None
            for connection_id in effect.connections
        )
