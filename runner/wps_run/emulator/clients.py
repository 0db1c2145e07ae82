"""The clients behind the connections of a hub, and the delivery of a hub's effects to them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from wps_run.emulator.effects import Close, Deliver, Effect, Message, QueuedMessage
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


class MessageEncoder(Protocol):
    """Encodes messages for all clients of one kind."""

    def encode(self, message: Message, number: int | None) -> bytes:
        """Encode a message with its sequence number; None for a client that is not reliable."""


RecordSent = Callable[[Message, float, QueuedMessage | None], QueuedMessage | None]
"""Records that a message is sent to a reliable client now, and returns what was recorded.

It may reuse what was recorded for another client, which it is given. It returns None if nothing
may be sent.
"""

_FastPath = tuple[Transport, MessageEncoder, RecordSent | None]

_Recipients = tuple[MessageEncoder, int | None, list[Transport]]
"""The transports that a message is written to in the same bytes: an encoder's, with a number."""


class NullClient:
    """A client that ignores everything."""

    def deliver(self, message: Message) -> None:
        """Ignore a message."""

    def close(self, reason: str) -> None:
        """Ignore the end of the connection."""


class Clients:
    """The clients of one hub, by connection ID.

    Clients that read fast enough use the fast path: a message is encoded once for all that receive
    the same bytes, and written to each transport. A socket write evicts other data from the
    processor's caches, so the fast path reads the objects of all clients before the first write.
    """

    def __init__(self) -> None:
        self._clients: dict[str, ConnectedClient] = {}
        self._fast_paths: dict[str, _FastPath] = {}

    def attach(self, connection_id: str, client: ConnectedClient) -> None:
        self._clients[connection_id] = client

    def get(self, connection_id: str) -> ConnectedClient | None:
        return self._clients.get(connection_id)

    def all(self) -> tuple[ConnectedClient, ...]:
        return tuple(self._clients.values())

    def enable_fast_path(
        self,
        connection_id: str,
        transport: Transport,
        encoder: MessageEncoder,
        record_sent: RecordSent | None = None,
    ) -> None:
        """Write messages to a client's transport while its write buffer is not full.

        Before each write, `record_sent` is called; it is None for a client that is not reliable.
        """
        self._fast_paths[connection_id] = transport, encoder, record_sent

    def disable_fast_path(self, connection_id: str) -> None:
        """Deliver messages to the client object again."""
        self._fast_paths.pop(connection_id, None)

    def detach(self, connection_id: str) -> None:
        self._clients.pop(connection_id, None)
        self._fast_paths.pop(connection_id, None)

    def perform(self, effect: Effect, now: float) -> None:
        """Deliver a message or close clients; `now` is on the event loop's clock, in seconds."""
        if isinstance(effect, Close):
            self.close(effect)
        else:
            self._deliver(effect, now)

    def close(self, effect: Close) -> None:
        """Close the clients of connections that their hub has removed."""
        for connection_id in effect.connections:
            client = self._clients.pop(connection_id, None)
            if client is not None:
                client.close(effect.reason)
            self._fast_paths.pop(connection_id, None)

    def _deliver(self, effect: Deliver, now: float) -> None:
        message, others = effect.message, list[str]()
        for encoder, number, transports in self._record(effect, now, others):
            frame = encoder.encode(message, number)
            for transport in transports:
                transport.write(frame)
        for connection_id in others:
            client = self._clients.get(connection_id)
            if client is not None:
                client.deliver(message)

    def _record(self, effect: Deliver, now: float, others: list[str]) -> list[_Recipients]:
        """Record a message for the clients on the fast path, and add the other ones to `others`."""
        message, connections = effect.message, effect.connections
        recipients: list[_Recipients] = []
        transports: list[Transport] = []
        previous_encoder, previous_number = None, None
        sent: QueuedMessage | None = None
        fast_paths = map(self._fast_paths.get, connections)
        for connection_id, fast_path in zip(connections, fast_paths, strict=True):
            if fast_path is None or not _is_writable(fast_path[0]):
                others.append(connection_id)
                continue
            transport, encoder, record_sent = fast_path
            number = None
            if record_sent is not None:
                sent = record_sent(message, now, sent)
                if sent is None:
                    others.append(connection_id)
                    continue
                number = sent.number
            if encoder is not previous_encoder or number != previous_number:
                previous_encoder, previous_number, transports = encoder, number, []
                recipients.append((encoder, number, transports))
            transports.append(transport)
        return recipients


def _is_writable(transport: Transport) -> bool:
    return not transport.is_closing() and transport.get_write_buffer_size() <= WRITE_BUFFER_LIMIT


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
