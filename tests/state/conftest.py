"""A hub that the tests read: the emulator, and a raw server that answers what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from wps_run.connect.client import Client
from wps_run.connect.endpoint import Endpoint
from wps_run.emulator.server import Emulator
from wps_run.playbook.options import RetryOptions, RunOptions
from wps_run.state.reader import StateReader

FAST = RunOptions(timeout=5.0, concurrency=8, retry=RetryOptions(4, 0.0, 0.0))
"""Retries without a pause."""


class NullClient:
    """A simulated client that ignores what it receives."""

    def deliver(self, message: object) -> None:
        """Ignore a message."""

    def close(self, reason: str) -> None:
        """Ignore the end."""


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator in this event loop."""
    async with Emulator() as running:
        yield running


@dataclass
class RawService:
    """Answers each request with the bytes that `answer` makes of its method and target.

    Without bytes, the connection is closed.
    """

    answer: Callable[[str, str], bytes] = lambda _method, _target: b""
    requests: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def endpoint(self) -> Endpoint:
        """Its address."""
        return Endpoint(f"http://127.0.0.1:{self.port}", "k" * 44)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                method, target, _ = head.split(" ", 2)
                self.requests.append(f"{method} {target}")
                self.heads.append(head)
                answer = self.answer(method, target)
                writer.write(answer)
                await writer.drain()
                if not answer or b"Connection: close" in answer:
                    break
        writer.close()


@pytest.fixture
async def service() -> AsyncIterator[RawService]:
    """A raw server on a free port of loopback."""
    running = RawService()
    listener = await asyncio.start_server(running.serve, "127.0.0.1", 0)
    running.port = listener.sockets[0].getsockname()[1]
    yield running
    listener.close()


@pytest.fixture
def reader_of() -> Callable[..., Any]:
    """Make a context manager that opens a reader of the hub `chat` at an endpoint."""

    @asynccontextmanager
    async def open_reader(
        endpoint: Endpoint, options: RunOptions = FAST, **more: Any
    ) -> AsyncIterator[StateReader]:
        async with Client(endpoint, concurrency=options.concurrency) as client:
            yield StateReader(client, "chat", options, **more)

    return open_reader


@pytest.fixture
def null_client() -> NullClient:
    """A client for the emulator."""
    return NullClient()
