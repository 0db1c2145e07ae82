"""Servers that send what nobody asked for: an answer belongs to its request, or to none."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from wps_run.actions.request import Request
from wps_run.connect.client import Client, load_ca_bundle
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.reply import NoReply, Reply

SEND = Request("POST", "/api/hubs/chat/:send", "", b"hi", "text/plain")
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
PAGE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc"
CHUNKS = b"HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

UNASKED = [
    pytest.param(ACCEPTED, id="answer"),
    pytest.param(ACCEPTED * 2, id="two answers"),
    pytest.param(ACCEPTED[:20], id="half an answer"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="informational"),
    pytest.param(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\n", id="half of an error"),
    pytest.param(b"garbage\0\xff", id="garbage"),
    pytest.param(b"\r\n", id="blank line"),
    pytest.param(b"x" * 300_000, id="flood"),
]


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    """The protocol of the endpoint."""
    return str(request.param)


@pytest.fixture
def lying_server(scheme: str, request: pytest.FixtureRequest) -> Any:
    """A raw server. It answers only the first request of a connection itself."""
    return request.getfixturevalue("server" if scheme == "http" else "tls_server")


@pytest.fixture
def client_for(scheme: str, request: pytest.FixtureRequest) -> Callable[[Any], Client]:
    """Return what makes a client that trusts the server and has one connection at a time."""
    tls = None
    if scheme == "https":
        certificate: Path = request.getfixturevalue("certificate")
        tls = load_ca_bundle(str(certificate), certificate.read_bytes())
    return lambda server: Client(
        Endpoint(f"{scheme}://localhost:{server.port}", "k" * 44), concurrency=1, tls=tls
    )


def answer_first_requests(
    server: Any, after: bytes = b"", answer: bytes = ACCEPTED
) -> Callable[[Any, asyncio.StreamWriter], Awaitable[None]]:
    """Let a server answer the first request of each connection, and send more after it.

    It reads further requests of a connection without an answer.
    """
    answered = set()

    async def respond(request: Any, writer: asyncio.StreamWriter) -> None:
        if request.connection not in answered:
            answered.add(request.connection)
            writer.write(answer + after)

    server.handle_with(respond)
    return respond


async def send(client: Client, seconds: float = 5.0) -> Reply | NoReply:
    """Send a message."""
    outcome, _ = await client.send(SEND, timeout=seconds, request_id="a")
    return outcome


@pytest.mark.parametrize("unasked", UNASKED)
async def test_unasked_data_with_an_answer_reaches_no_other_request(
    lying_server: Any, client_for: Any, unasked: bytes
) -> None:
    """The first answer counts; the next request is answered on a connection of its own."""
    answer_first_requests(lying_server, after=unasked)
    async with client_for(lying_server) as client:
        outcomes = [await send(client) for _ in range(3)]

    assert outcomes == [Reply(202)] * 3
    assert [request.connection for request in lying_server.requests] == [1, 2, 3]


@pytest.mark.parametrize("answer", [PAGE, CHUNKS], ids=["length", "chunks"])
@pytest.mark.parametrize("unasked", [ACCEPTED, ACCEPTED[:20], b"x"], ids=["answer", "half", "byte"])
async def test_unasked_data_after_a_body_reaches_no_other_request(
    lying_server: Any, client_for: Any, answer: bytes, unasked: bytes
) -> None:
    answer_first_requests(lying_server, after=unasked, answer=answer)
    async with client_for(lying_server) as client:
        outcomes = [await send(client) for _ in range(2)]

    assert outcomes == [Reply(404, None, "abc")] * 2
    assert [request.connection for request in lying_server.requests] == [1, 2]


@pytest.mark.parametrize("answer", [ACCEPTED, PAGE, CHUNKS], ids=["empty", "length", "chunks"])
@pytest.mark.parametrize("step", [1, 2, 7])
async def test_answer_in_small_parts_keeps_its_connection(
    server: Any, answer: bytes, step: int
) -> None:
    """Only data after an answer ends a connection."""

    async def respond(_: object, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(answer), step):
            writer.write(answer[start : start + step])
            await writer.drain()

    server.handle_with(respond)
    async with Client(server.endpoint, concurrency=1) as client:
        for _ in range(3):
            assert isinstance(await send(client), Reply)

    assert server.connections == 1


@pytest.mark.parametrize("unasked", UNASKED)
@pytest.mark.parametrize("is_read", [False, True], ids=["unread", "read"])
async def test_data_on_an_idle_connection_ends_it(
    lying_server: Any, client_for: Any, unasked: bytes, *, is_read: bool
) -> None:
    """Whether the event loop has read the data before the next request or not."""
    answer_first_requests(lying_server)
    async with client_for(lying_server) as client:
        assert await send(client) == Reply(202)
        (writer,) = lying_server.writers
        writer.write(unasked)
        if is_read:
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(writer.wait_closed(), 5)
        assert await send(client) == Reply(202)

    assert [request.connection for request in lying_server.requests] == [1, 2]


async def test_closed_idle_connection_is_not_used(lying_server: Any, client_for: Any) -> None:
    """Nothing is sent on it, so that no message is in doubt."""
    answer_first_requests(lying_server)
    async with client_for(lying_server) as client:
        assert await send(client) == Reply(202)
        (writer,) = lying_server.writers
        writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        assert await send(client) == Reply(202)

    assert [request.connection for request in lying_server.requests] == [1, 2]


class Greeter(asyncio.Protocol):
    """Sends something as soon as a client has connected; nothing stands for closing."""

    def __init__(self, greeting: bytes) -> None:
        self.greeting = greeting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if self.greeting:
            transport.write(self.greeting)
        else:
            transport.close()


@pytest.mark.parametrize("greeting", [ACCEPTED, b"SSH-2.0-OpenSSH_9.6\r\n", b""])
async def test_answer_before_the_request_means_that_nothing_was_sent(greeting: bytes) -> None:
    """Every action may be retried then."""
    listener = await asyncio.get_running_loop().create_server(
        lambda: Greeter(greeting), "127.0.0.1", 0
    )
    port = listener.sockets[0].getsockname()[1]
    async with Client(Endpoint(f"http://127.0.0.1:{port}", "k" * 44), concurrency=1) as client:
        outcome = await send(client)
    listener.close()

    assert outcome == NoReply(
        sent=False,
        code="connect",
        message="the connection was closed, or a response arrived, before the request was sent",
    )


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ACCEPTED, "a response came before the whole request was sent"),
        (b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n", Reply(413)),
    ],
)
async def test_success_before_the_whole_request_was_sent_is_no_answer(
    answer: bytes, expected: object
) -> None:
    """A server may refuse a message early, but cannot have accepted it."""
    done = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001
        writer.write(answer)
        await done.wait()
        writer.close()

    small = socket.create_server(("127.0.0.1", 0))
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener = await asyncio.start_server(respond, sock=small)
    endpoint = Endpoint(f"http://127.0.0.1:{small.getsockname()[1]}", "k" * 44)
    large = Request("POST", "/api/hubs/chat/:send", "", b"x" * 2**24, "text/plain")
    async with Client(endpoint, concurrency=1) as client:
        outcome, _ = await client.send(large, timeout=5, request_id="a")
        done.set()
    listener.close()

    assert (outcome.message if isinstance(outcome, NoReply) else outcome) == expected
