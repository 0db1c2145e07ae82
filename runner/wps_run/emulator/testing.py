"""A service in a thread of its own, with simulated clients, for tests of any kind."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from wps_run.emulator.admin.views import hub_json
from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.faults.syntax import parse_fault
from wps_run.emulator.request_log import LogEntry
from wps_run.emulator.server import Emulator

DEFAULT_HUB = "local"
"""The hub of clients that name none."""

PATIENCE = 5.0
"""Seconds for which a client waits for a message unless told otherwise."""

_LISTED = 1_000_000

_T = TypeVar("_T")


class SimulatedClient:
    """A client without a socket, which notes what reaches it. Safe in any thread.

    Attributes:
        hub: Its hub.
        user: Whose it is, or None for an anonymous one.
        connection_id: The ID of its connection.
    """

    def __init__(self, hub: str, user: str | None) -> None:
        self.hub = hub
        self.user = user
        self.connection_id = ""
        self._news = threading.Condition()
        self._received: list[Message] = []
        self._taken = 0
        self._closed: str | None = None

    def __repr__(self) -> str:
        return f"<client {self.user or self.connection_id} in hub {self.hub}>"

    @property
    def messages(self) -> list[Any]:
        """What it heard: str for text, what JSON holds for json, else bytes."""
        return [_value(message) for message in self.received]

    @property
    def received(self) -> list[Message]:
        """What it heard, with data type, group, sender and metadata."""
        with self._news:
            return list(self._received)

    @property
    def closed_reason(self) -> str | None:
        """Why it was closed, "" when no reason was given; None while it is open."""
        with self._news:
            return self._closed

    def next(self, timeout: float = PATIENCE) -> Any:  # noqa: ANN401 -- a message of any kind
        """The next message that was not taken yet; waits for it.

        Args:
            timeout: The most seconds to wait.

        Raises:
            TimeoutError: None came.
        """
        with self._news:
            if not self._news.wait_for(lambda: len(self._received) > self._taken, timeout):
                raise TimeoutError(
                    f"{self!r} heard nothing new in {timeout:g} s; before that "
                    f"{len(self._received)} messages"
                )
            self._taken += 1
            return _value(self._received[self._taken - 1])

    async def anext(self, timeout: float = PATIENCE) -> Any:  # noqa: ANN401, ASYNC109 -- as `next`
        """As `next`, for async tests: others go on while it waits."""
        return await asyncio.to_thread(self.next, timeout)

    def deliver(self, message: Message) -> None:
        """Hear a message. Called by the service."""
        with self._news:
            self._received.append(message)
            self._news.notify_all()

    def close(self, reason: str) -> None:
        """Be cut off. Called by the service."""
        with self._news:
            self._closed = reason
            self._news.notify_all()


class LocalPubSub:
    """A fresh service that runs in a thread of its own, for tests both sync and async.

    Use it as a context manager. What it offers can be used from any thread but its own.

    Args:
        faults: Faults that requests meet from the start, such as `429,count=1`.
        fault_seed: What the faults' luck depends on, or None for a new one.
        settings: Whatever else `Emulator` takes.

    Raises:
        ValueError: As `Emulator` does.
        RuntimeError: From whatever asks the service before it was started or after its end.
    """

    def __init__(
        self,
        *,
        faults: Iterable[str] = (),
        fault_seed: int | None = None,
        **settings: Any,  # noqa: ANN401 -- as Emulator has them
    ) -> None:
        self._service = Emulator(faults=faults, fault_seed=fault_seed, **settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="wps-local", daemon=True)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        try:
            self._wait(self._service.start())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._wait(self._service.stop())
        finally:
            self._end()

    @property
    def connection_string(self) -> str:
        """What clients are configured with. It holds the key."""
        return self._service.connection_string

    @property
    def endpoint(self) -> str:
        """Where it listens: `http://127.0.0.1:PORT`."""
        return self._service.endpoint.origin

    @property
    def access_key(self) -> str:
        """Its key."""
        return self._service.endpoint.key

    def client(
        self,
        user: str | None = None,
        *,
        hub: str = DEFAULT_HUB,
        groups: Iterable[str] = (),
        connection_id: str | None = None,
    ) -> SimulatedClient:
        """Let a simulated client in.

        Args:
            user: Whose it is, or None for an anonymous one.
            hub: The hub.
            groups: The groups it is in from the start.
            connection_id: The ID of its connection, or None for a new one.

        Raises:
            ValueError: A name is none the service takes, or the ID is in use.
        """
        client = SimulatedClient(hub.lower(), user)
        client.connection_id = self._do(
            lambda: self._service.attach(
                hub, client, user_id=user, connection_id=connection_id, groups=groups
            )
        )
        return client

    def leave(self, client: SimulatedClient) -> None:
        """Let a client leave of its own will."""
        self._do(lambda: self._service.detach(client.hub, client.connection_id))

    @property
    def ledger(self) -> list[LogEntry]:
        """What it was asked, and what its WebSocket clients did, the oldest first."""
        return self._do(lambda: list(self._service.request_log.entries()))

    @property
    def state(self) -> dict[str, Any]:
        """Who is there, by hub: as `GET /_local/state` has it."""
        return self._do(
            lambda: {
                name: hub_json(hub, _LISTED)
                for name, hub in self._service.hubs.items()
                if hub.connections
            }
        )

    def groups(self, client: SimulatedClient) -> tuple[str, ...]:
        """The groups that a client is in, in the order in which it joined."""

        def found() -> tuple[str, ...]:
            hub = self._service.hubs[client.hub]
            one = hub.connections.get(client.connection_id)
            return tuple(one.groups) if one else ()

        return self._do(found)

    def fault(self, *faults: str) -> None:
        """Let requests meet further faults, such as `503,after,count=1`.

        Raises:
            ValueError: A fault is not written as faults are; says how they are.
        """
        parsed = [parse_fault(one) for one in faults]
        self._do(lambda: self._service.faults.add(parsed))

    def reset(self) -> None:
        """Close every client, and forget hubs, ledger and faults."""
        self._do(self._service.reset)

    def _do(self, act: Callable[[], _T]) -> _T:
        """Do something in the service's thread, and wait until it is done."""
        done: Future[_T] = Future()

        def run() -> None:
            try:
                done.set_result(act())
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                done.set_exception(error)

        self._running().call_soon_threadsafe(run)
        return done.result()

    def _wait(self, coming: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coming, self._running()).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the service is not running: use `with LocalPubSub() as service:`")
        return self._loop

    def _run(self) -> None:
        self._running().run_forever()

    def _end(self) -> None:
        loop = self._running()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()
        self._loop = None


def _value(message: Message) -> Any:  # noqa: ANN401 -- a message of any kind
    match message.data_type:
        case DataType.TEXT:
            return message.data.decode()
        case DataType.JSON:
            return json.loads(message.data)
        case _:
            return message.data
