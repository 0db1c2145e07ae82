"""Who is behind the connection IDs, and how a hub's effects reach them."""

from collections.abc import Callable
from typing import Protocol

from wps_run.emulator.effects import Close, Deliver, Effect, Message

FULL = 64 * 1024
"""The bytes that a client may leave unread before further messages wait for it."""


class ConnectedClient(Protocol):
    """The far end of one connection: a simulated client, or a WebSocket.

    Both methods are called while a request is answered: they must not block, nor raise.
    """

    def deliver(self, message: Message) -> None:
        """A message has come."""

    def closed(self, reason: str) -> None:
        """A REST call cut the connection; `reason` is "" when it gave none."""


class Transport(Protocol):
    """Where bytes can be written without waiting: a transport of asyncio, as far as it matters."""

    def is_closing(self) -> bool:
        """Whether nobody reads them any more."""

    def get_write_buffer_size(self) -> int:
        """How many are still unread."""

    def write(self, data: bytes, /) -> None:
        """Take some more."""


Make = Callable[[Message], bytes]
"""Makes the bytes that give a message to any client of one kind."""


class NullClient:
    """A client that is there, and does nothing."""

    def deliver(self, message: Message) -> None:
        """Hear a message."""

    def closed(self, reason: str) -> None:
        """Be cut off."""


class Clients:
    """The clients of one hub, by connection ID.

    A client that gets the same bytes as all of its kind may be plugged in: those bytes are made
    once and written straight to its pipe. A write to a socket drives whatever else there is out of
    the processor's caches, so this touches one small object a client, and all before the writes.
    """

    def __init__(self) -> None:
        self._clients: dict[str, ConnectedClient] = {}
        self._plugged: dict[str, tuple[Transport, Make]] = {}

    def attach(self, connection_id: str, client: ConnectedClient) -> None:
        """Put a client behind a connection ID."""
        self._clients[connection_id] = client

    def get(self, connection_id: str) -> ConnectedClient | None:
        """The client behind a connection ID, or None."""
        return self._clients.get(connection_id)

    def all(self) -> tuple[ConnectedClient, ...]:
        """All of them, now."""
        return tuple(self._clients.values())

    def plug(self, connection_id: str, pipe: Transport, make: Make) -> None:
        """Write messages straight to a client's pipe, for as long as it reads them."""
        self._plugged[connection_id] = pipe, make

    def unplug(self, connection_id: str) -> None:
        """Hand messages to the client itself again."""
        self._plugged.pop(connection_id, None)

    def detach(self, connection_id: str) -> None:
        """Forget the client of a connection that has left."""
        self._clients.pop(connection_id, None)
        self._plugged.pop(connection_id, None)

    def perform(self, effect: Effect) -> None:
        """Let the clients have what a command to the hub brought about."""
        if isinstance(effect, Close):
            self._close(effect)
        else:
            self._deliver(effect)

    def _close(self, effect: Close) -> None:
        for connection_id in effect.connections:
            client = self._clients.pop(connection_id, None)
            if client is not None:
                client.closed(effect.reason)
            self._plugged.pop(connection_id, None)

    def _deliver(self, effect: Deliver) -> None:
        message, made, maker = effect.message, b"", None
        frames: dict[Make, bytes] = {}
        plugs = list(map(self._plugged.get, effect.connections))
        for connection_id, plug in zip(effect.connections, plugs, strict=True):
            if plug is not None:
                pipe, make = plug
                if not pipe.is_closing() and pipe.get_write_buffer_size() <= FULL:
                    if make is not maker:
                        maker, made = make, frames.get(make) or make(message)
                        frames[make] = made
                    pipe.write(made)
                    continue
            client = self._clients.get(connection_id)
            if client is not None:
                client.deliver(message)
