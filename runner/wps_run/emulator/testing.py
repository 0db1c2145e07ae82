"""`LocalPubSub`: an emulator in a thread of its own, with simulated clients, for tests."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Any, Self

from wps_run.emulator.admin.views import hub_json
from wps_run.emulator.effects import Message
from wps_run.emulator.fault_syntax import parse_fault
from wps_run.emulator.local_views import (
    DEFAULT_TIMEOUT,
    HubReader,
    LocalConnection,
    LocalGroup,
    LocalHub,
    LocalUser,
    decode_message,
    describe_connection,
    hub_in_use,
)
from wps_run.emulator.request_log import LogEntry, RequestEntry
from wps_run.emulator.thread import EmulatorThread

_STATE_LIMIT = 1_000_000


class SimulatedClient(LocalConnection):
    """A client without a socket that records what it receives. Thread-safe.

    Attributes:
        connection_id: The ID of its connection.
    """

    def __init__(self, thread: EmulatorThread, hub: str, user: str | None) -> None:
        super().__init__(thread, hub, "")
        self._user = user
        self._changed = threading.Condition()
        self._received: list[Message] = []
        self._next = 0
        self._closed_reason: str | None = None

    @property
    def user(self) -> str | None:
        """Its user, or None for an anonymous client."""
        return self._user

    @property
    def messages(self) -> list[Any]:
        """The data of the received messages: str for text, decoded JSON for json, else bytes."""
        return [decode_message(message) for message in self.received]

    @property
    def received(self) -> list[Message]:
        """The received messages with data type, group, sender and metadata."""
        with self._changed:
            return list(self._received)

    @property
    def closed_reason(self) -> str | None:
        """The reason of the close, "" when none was given; None while the client is connected."""
        with self._changed:
            return self._closed_reason

    def leave(self) -> None:
        """Disconnect; a client that is not connected is left as it is."""
        thread = self._thread
        thread.change(lambda: thread.emulator.detach(self.hub, self.connection_id))

    def next(self, timeout: float = DEFAULT_TIMEOUT) -> Any:  # noqa: ANN401 - data of any type
        """Wait for the next message that this method has not returned, and return its data.

        Args:
            timeout: The maximum time to wait, in seconds.

        Raises:
            TimeoutError: No message was received in time.
        """
        with self._changed:
            if self._changed.wait_for(lambda: len(self._received) > self._next, timeout):
                self._next += 1
                return decode_message(self._received[self._next - 1])
            count = len(self._received)
        raise TimeoutError(
            f"{self!r} received no new message in {timeout:g} s; before that {count} messages"
        )

    async def anext(self, timeout: float = DEFAULT_TIMEOUT) -> Any:  # noqa: ANN401, ASYNC109 - as `next`
        """Do the same as `next` without blocking the event loop."""
        return await asyncio.to_thread(self.next, timeout)

    def deliver(self, message: Message) -> None:
        with self._changed:
            self._received.append(message)
            self._changed.notify_all()

    def close(self, reason: str) -> None:
        with self._changed:
            self._closed_reason = reason
            self._changed.notify_all()

    @property
    def _title(self) -> str:
        return f"client {self._user or self.connection_id}"

    def _content(self, hub: HubReader) -> str:
        own = hub.hub.connections.get(self.connection_id)
        if own is not None:
            return describe_connection(own)
        reason = self.closed_reason
        return "it left" if reason is None else f"closed, reason {reason!r}"


class LocalPubSub:
    """A fresh emulator in a thread of its own, for sync and async tests.

    Use it as a context manager. Its members can be used from any thread.

    Where a hub is not named, it is the only one that is in use, or `local` if there is none. A hub
    is in use if it has connections, or if a request named it.

    Args:
        faults: Faults to inject from the start, such as `429,count=1`.
        fault_seed: The seed of the faults' random decisions, or None for a new one.
        event_handlers: The web hooks of the application under test: `URL`, or `HUB=URL`.
        settings: Further arguments of `Emulator`.

    Raises:
        ValueError: As `Emulator` does; by members that need a hub, if several are in use and none
            was named.
        RuntimeError: By all members that need the running emulator, before and after it runs.
    """

    def __init__(
        self,
        *,
        faults: Iterable[str] = (),
        fault_seed: int | None = None,
        event_handlers: Iterable[str] = (),
        **settings: Any,  # noqa: ANN401 - as in Emulator
    ) -> None:
        self._thread = EmulatorThread(
            {
                "faults": faults,
                "fault_seed": fault_seed,
                "event_handlers": event_handlers,
                **settings,
            }
        )
        self._emulator = self._thread.emulator

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._thread.stop()

    def __repr__(self) -> str:
        if not self._thread.is_running:
            return "<LocalPubSub: not running>"
        hubs = [repr(self.hub(name))[1:-1] for name in self.state]
        return f"<LocalPubSub {self.endpoint}: {' | '.join(hubs) or 'no connections'}>"

    @property
    def connection_string(self) -> str:
        """The connection string for the code under test. It holds the access key."""
        return self._emulator.connection_string

    @property
    def endpoint(self) -> str:
        """The URL: `http://127.0.0.1:PORT`."""
        return self._emulator.endpoint.origin

    @property
    def access_key(self) -> str:
        """The access key, for code that signs its own tokens."""
        return self._emulator.endpoint.key

    def client(
        self,
        user: str | None = None,
        *,
        hub: str | None = None,
        groups: Iterable[str] = (),
        connection_id: str | None = None,
    ) -> SimulatedClient:
        """Connect a simulated client: an anonymous one without `user`, a new ID by default.

        Raises:
            ValueError: A name is invalid, or the ID is in use.
        """

        def connect() -> SimulatedClient:
            client = SimulatedClient(self._thread, hub_in_use(self._emulator, hub), user)
            client.connection_id = self._emulator.attach(
                client.hub, client, user_id=user, connection_id=connection_id, groups=groups
            )
            return client

        return self._thread.change(connect)

    def hub(self, name: str | None = None) -> LocalHub:
        """Return a view of a hub."""
        return LocalHub(self._thread, name)

    def group(self, name: str, *, hub: str | None = None) -> LocalGroup:
        """Return a view of a group; it need not exist."""
        return LocalGroup(self._thread, hub, name)

    def user(self, name: str, *, hub: str | None = None) -> LocalUser:
        """Return a view of a user, who need not be connected."""
        return LocalUser(self._thread, hub, name)

    def connection(self, connection_id: str, *, hub: str | None = None) -> LocalConnection:
        """Return a view of a connection, of a simulated client or a real one; it need not exist."""
        return LocalConnection(self._thread, hub, connection_id)

    @property
    def requests(self) -> list[LogEntry]:
        """The REST requests, oldest first."""
        return [entry for entry in self._log() if isinstance(entry.what, RequestEntry)]

    @property
    def events(self) -> list[LogEntry]:
        """The events of WebSocket clients and the calls of event handlers, oldest first."""
        return [entry for entry in self._log() if not isinstance(entry.what, RequestEntry)]

    @property
    def state(self) -> dict[str, Any]:
        """The state of the hubs, in the format of `GET /_local/state`."""
        return self._thread.call(
            lambda: {
                name: hub_json(hub, _STATE_LIMIT)
                for name, hub in self._emulator.hubs.items()
                if hub.connections
            }
        )

    def fault(self, *faults: str) -> None:
        """Inject further faults, such as `503,after,count=1`.

        Raises:
            ValueError: A fault is invalid; the message says how to write it.
        """
        parsed = [parse_fault(fault) for fault in faults]
        self._thread.call(lambda: self._emulator.faults.add(parsed))

    def reset(self) -> None:
        """Close all connections, and clear hubs, request log and faults."""
        self._thread.change(self._emulator.reset)

    def _log(self) -> list[LogEntry]:
        return self._thread.call(lambda: list(self._emulator.request_log.entries()))
