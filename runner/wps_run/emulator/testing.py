"""`LocalPubSub`: an emulator in a thread of its own, with simulated clients, for tests."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Self, TypeVar

from wps_run.emulator.admin.views import hub_json
from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.fault_syntax import parse_fault
from wps_run.emulator.request_log import LogEntry
from wps_run.emulator.seed import DEFAULT_HUB
from wps_run.emulator.server import Emulator

DEFAULT_TIMEOUT = 5.0
"""How long a client waits for a message by default, in seconds."""

_STATE_LIMIT = 1_000_000

_T = TypeVar("_T")


class SimulatedClient:
    """A client without a socket that records what it receives. Thread-safe.

    Attributes:
        hub: Its hub.
        user: Its user, or None for an anonymous client.
        connection_id: The ID of its connection.
    """

    def __init__(self, hub: str, user: str | None) -> None:
        self.hub = hub
        self.user = user
        self.connection_id = ""
        self._changed = threading.Condition()
        self._received: list[Message] = []
        self._next = 0
        self._closed_reason: str | None = None

    def __repr__(self) -> str:
        return f"<client {self.user or self.connection_id} in hub {self.hub}>"

    @property
    def messages(self) -> list[Any]:
        """The data of the received messages: str for text, decoded JSON for json, else bytes."""
        return [_decode(message) for message in self.received]

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

    def next(self, timeout: float = DEFAULT_TIMEOUT) -> Any:  # noqa: ANN401 - data of any type
        """Wait for the next message that this method has not returned, and return its data.

        Args:
            timeout: The maximum time to wait, in seconds.

        Raises:
            TimeoutError: No message was received in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._received) > self._next, timeout):
                raise TimeoutError(
                    f"{self!r} received no new message in {timeout:g} s; before that "
                    f"{len(self._received)} messages"
                )
            self._next += 1
            return _decode(self._received[self._next - 1])

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


class LocalPubSub:
    """A fresh emulator in a thread of its own, for sync and async tests.

    Use it as a context manager. Its members can be used from any thread but its own.

    Args:
        faults: Faults to inject from the start, such as `429,count=1`.
        fault_seed: The seed of the faults' random decisions, or None for a new one.
        event_handlers: The web hooks of the application under test: `URL`, or `HUB=URL`.
        settings: Further arguments of `Emulator`.

    Raises:
        ValueError: As `Emulator` does.
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
        self._emulator = Emulator(
            faults=faults, fault_seed=fault_seed, event_handlers=event_handlers, **settings
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="wps-local", daemon=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        try:
            self._await(self._emulator.start())
        except BaseException:
            self._stop_thread()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._await(self._emulator.stop())
        finally:
            self._stop_thread()

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
        return self._emulator.endpoint.key

    def client(
        self,
        user: str | None = None,
        *,
        hub: str = DEFAULT_HUB,
        groups: Iterable[str] = (),
        connection_id: str | None = None,
    ) -> SimulatedClient:
        """Connect a simulated client: an anonymous one without `user`, a new ID by default.

        Raises:
            ValueError: A name is invalid, or the ID is in use.
        """
        client = SimulatedClient(hub.lower(), user)
        client.connection_id = self._call(
            lambda: self._emulator.attach(
                hub, client, user_id=user, connection_id=connection_id, groups=groups
            )
        )
        return client

    def leave(self, client: SimulatedClient) -> None:
        self._call(lambda: self._emulator.detach(client.hub, client.connection_id))

    @property
    def ledger(self) -> list[LogEntry]:
        """The log of REST requests and of events of WebSocket clients, oldest first."""
        return self._call(lambda: list(self._emulator.request_log.entries()))

    @property
    def state(self) -> dict[str, Any]:
        """The state of the hubs, in the format of `GET /_local/state`."""
        return self._call(
            lambda: {
                name: hub_json(hub, _STATE_LIMIT)
                for name, hub in self._emulator.hubs.items()
                if hub.connections
            }
        )

    def groups(self, client: SimulatedClient) -> tuple[str, ...]:
        """Return the groups of a client, in the order of joining."""

        def read_groups() -> tuple[str, ...]:
            hub = self._emulator.hubs[client.hub]
            connection = hub.connections.get(client.connection_id)
            return tuple(connection.groups) if connection else ()

        return self._call(read_groups)

    def fault(self, *faults: str) -> None:
        """Inject further faults, such as `503,after,count=1`.

        Raises:
            ValueError: A fault is invalid; the message says how to write it.
        """
        parsed = [parse_fault(fault) for fault in faults]
        self._call(lambda: self._emulator.faults.add(parsed))

    def reset(self) -> None:
        """Close all connections, and clear hubs, ledger and faults."""
        self._call(self._emulator.reset)

    def _call(self, function: Callable[[], _T]) -> _T:
        """Call a function in the emulator's thread and wait for its result."""
        loop = self._running_loop()

        async def call() -> _T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), loop).result()

    def _await(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._running_loop()).result()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the emulator is not running: use `with LocalPubSub() as emulator:`")
        return self._loop

    def _run(self) -> None:
        self._running_loop().run_forever()

    def _stop_thread(self) -> None:
        loop = self._running_loop()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()
        self._loop = None


def _decode(message: Message) -> Any:  # noqa: ANN401 - data of any type
    match message.data_type:
        case DataType.TEXT:
            return message.data.decode()
        case DataType.JSON:
            return json.loads(message.data)
        case _:
            return message.data
