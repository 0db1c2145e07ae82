"""Who is behind the connection IDs, and how a hub's effects reach them."""

from typing import Protocol

from runner.service.effects import Close, Effect, Message


class Client(Protocol):
    """The far end of one connection: a simulated client, or a WebSocket.

    Both methods are called while a request is answered: they must not block, nor raise.
    """

    def deliver(self, message: Message) -> None:
        """A message has come."""

    def closed(self, reason: str) -> None:
        """A REST call cut the connection; `reason` is "" when it gave none."""


class Clients:
    """The clients of one hub, by connection ID."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}

    def attach(self, connection_id: str, client: Client) -> None:
        """Put a client behind a connection ID."""
        self._clients[connection_id] = client

    def detach(self, connection_id: str) -> None:
        """Forget the client of a connection that has left."""
        self._clients.pop(connection_id, None)

    def perform(self, effect: Effect) -> None:
        """Let the clients have what a command to the hub brought about."""
        if isinstance(effect, Close):
            for connection_id in effect.connections:
                client = self._clients.pop(connection_id, None)
                if client is not None:
                    client.closed(effect.reason)
            return
        for connection_id in effect.connections:
            client = self._clients.get(connection_id)
            if client is not None:
                client.deliver(effect.message)
