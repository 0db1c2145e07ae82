"""The log: each request and its answer, and never a secret."""

import asyncio
import logging
import socket
from typing import Any

import pytest

from wps_run.actions.request import Request
from wps_run.connect.client import Client
from wps_run.connect.endpoint import Endpoint

SEND = Request("POST", "/api/hubs/chat/:send", "excluded=a", b"hi", "text/plain")
TARGET = "/api/hubs/chat/:send?excluded=a&api-version=2024-12-01"


async def send(endpoint: Endpoint) -> None:
    """One request with a client of its own, said to be the second attempt."""
    async with Client(endpoint, concurrency=1) as client:
        await client.send(SEND, timeout=10.0, request_id="id-1", attempt=2)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "wps_run.connect"]


async def test_a_request_and_its_answer_are_a_line_each(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Method, path, status, duration, ID, attempt; no headers."""
    caplog.set_level("INFO", "wps_run")
    server.respond(b"HTTP/1.1 429 X\r\nContent-Length: 0\r\n\r\n")
    await send(server.endpoint)

    request, response = lines(caplog)
    assert request == f"> POST {TARGET} (id id-1, attempt 2)"
    assert response.startswith(f"< 429 POST {TARGET} in ")
    assert response.endswith(" ms (id id-1, attempt 2)")


async def test_what_was_not_answered_says_why(caplog: pytest.LogCaptureFixture) -> None:
    """The words of the outcome."""
    caplog.set_level("INFO", "wps_run")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        await send(Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}", "k" * 44))

    assert lines(caplog)[1].startswith(f"< no response POST {TARGET} in ")
    assert ": connect: the service could not be reached (" in lines(caplog)[1]


async def test_debug_adds_headers_and_sizes_and_masks_the_token(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As they went out and came in."""
    caplog.set_level("DEBUG", "wps_run")
    server.respond(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nX-Far: away\r\nContent-Length: 3\r\n\r\nabc"
    )
    await send(server.endpoint)

    details = [line.strip() for line in lines(caplog) if line.startswith(" ")]
    assert details == [
        "Authorization: Bearer ***", "x-ms-client-request-id: id-1", "Content-Length: 2",
        "Content-Type: text/plain", "2 bytes",
        "Set-Cookie: ***", "X-Far: away", "Content-Length: 3", "3 bytes",
    ]  # fmt: skip


async def test_a_server_that_echoes_the_token_does_not_get_it_into_the_log(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As a value, as the name of a header, as the reason, with the key beside it."""

    async def answer(request: Any, writer: asyncio.StreamWriter) -> None:
        bearer = request.header("authorization")[0]
        token = bearer.removeprefix("Bearer ")
        writer.write(
            f"HTTP/1.1 401 {bearer}\r\nX-Echo: {bearer}\r\n{token}: x\r\nX-Key: {'k' * 44}\r\n"
            f"Authorization: {bearer}\r\nContent-Length: {len(bearer)}\r\n\r\n{bearer}".encode()
        )

    caplog.set_level("DEBUG")
    server.handle_with(answer)
    await send(server.endpoint)

    token = server.requests[0].header("authorization")[0].removeprefix("Bearer ")
    assert token not in caplog.text
    assert token.rpartition(".")[2] not in caplog.text
    assert "k" * 44 not in caplog.text
    assert "X-Echo: Bearer ***" in caplog.text
    assert "***: x" in caplog.text


async def test_nothing_is_logged_unless_asked_for(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked once a client, and costs nothing then."""
    caplog.set_level("WARNING", "wps_run")
    async with Client(server.endpoint, concurrency=1) as client:
        caplog.set_level(logging.DEBUG, "wps_run")
        await client.send(SEND, timeout=10.0, request_id="id-1")

    assert lines(caplog) == []
