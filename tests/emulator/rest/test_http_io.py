"""Tests of injected faults over real HTTP."""

import asyncio
import email.utils
import json
import ssl
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import jwt
import pytest

from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.server import Emulator

SEND = "/api/hubs/chat/:send"

Make = Callable[[], Any]


def logged_requests(emulator: Emulator) -> list[RequestEntry]:
    """The requests to hubs in the request log."""
    requests = (
        entry.what
        for entry in emulator.request_log.entries()
        if isinstance(entry.what, RequestEntry)
    )
    return [request for request in requests if request.hub]


@pytest.mark.parametrize(
    ("fault", "status", "received"),
    [
        ("429", 429, 0),
        ("408", 408, 0),
        ("503", 503, 0),
        ("503,before", 503, 0),
        ("503,after", 503, 1),
        ("delay=1ms", 202, 1),
        ("delay=1ms,after", 202, 1),
    ],
)
async def test_a_status_comes_before_or_after_the_effect(
    make_rest_client: Any, make_client: Make, fault: str, status: int, received: int
) -> None:
    """The request log has the effect and the injected status."""
    client = make_client()
    async with Emulator(faults=[f"{fault},count=1"]) as emulator:
        emulator.attach("chat", client)
        send = make_rest_client(emulator)
        response = await send("POST", SEND, b"x")
        assert (response.status, len(client.received)) == (status, received)

        assert (await send("POST", SEND, b"x")).status == 202

    first, second = logged_requests(emulator)
    assert (first.status, first.faults) == (status, (f"{fault},count=1",))
    assert (first.effect is not None) == bool(received)
    assert (second.status, second.faults) == (202, ())


async def test_an_injected_error_quotes_its_fault(make_rest_client: Any) -> None:
    """It has the format of the service's errors and a code of its own."""
    async with Emulator(faults=["503"]) as emulator:
        response = await make_rest_client(emulator)("POST", SEND, b"x")

    assert response.headers["x-ms-error-code"] == "Fault.OnDemand"
    assert json.loads(response.body)["message"] == "This fault was injected: `503`."


@pytest.mark.parametrize(
    ("fault", "header", "value"),
    [
        ("429", "Retry-After", None),
        ("429,retry-after=2", "Retry-After", "2"),
        ("503,after,retry-after=0", "Retry-After", "0"),
        ("429,retry-after-ms=250", "retry-after-ms", "250"),
    ],
)
async def test_a_status_requests_a_delay(
    make_rest_client: Any, fault: str, header: str, value: str | None
) -> None:
    """In the header of the fault, and in no other."""
    async with Emulator(faults=[fault]) as emulator:
        response = await make_rest_client(emulator)("POST", SEND, b"x")

    names = {name.lower() for name in response.headers if name.lower().startswith("retry-after")}
    assert response.headers.get(header) == value
    assert names == ({header.lower()} if value else set())


async def test_a_status_requests_a_delay_until_a_date(make_rest_client: Any) -> None:
    """In HTTP's date format."""
    async with Emulator(faults=["429,retry-after-date=60"]) as emulator:
        response = await make_rest_client(emulator)("POST", SEND, b"x")

    until = email.utils.parsedate_to_datetime(response.headers["Retry-After"]).timestamp()
    assert 55 < until - time.time() <= 61


async def test_delays_add_up(make_rest_client: Any) -> None:
    """One before and one after the effect."""
    async with Emulator(faults=["delay=60ms", "delay=40ms,after"]) as emulator:
        began = time.perf_counter()
        response = await make_rest_client(emulator)("POST", SEND, b"x")

    assert response.status == 202
    assert 0.099 < time.perf_counter() - began < 5


@pytest.mark.parametrize(("timing", "received"), [("before", 0), ("after", 1)])
async def test_a_reset_sends_no_response(
    make_rest_client: Any, make_client: Make, timing: str, received: int
) -> None:
    """The connection is reset; a new one is accepted."""
    client = make_client()
    async with Emulator(faults=[f"reset,{timing},count=1"]) as emulator:
        emulator.attach("chat", client)
        send = make_rest_client(emulator)
        with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
            await send("POST", SEND, b"x")

        assert len(client.received) == received
        assert (await send("POST", SEND, b"x")).status == 202

    assert [entry.status for entry in logged_requests(emulator)] == [0, 202]


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("POST", SEND, aiohttp.ServerDisconnectedError),
        ("HEAD", "/api/hubs/chat/users/ada", aiohttp.ServerDisconnectedError),
        ("GET", "/api/hubs/chat/groups/g/connections", aiohttp.ClientPayloadError),
    ],
)
async def test_half_a_response_is_incomplete(
    make_rest_client: Any, make_client: Make, method: str, path: str, error: type[Exception]
) -> None:
    """It ends in its header, or in its body if it has one; the effect is complete."""
    client = make_client()
    async with Emulator(faults=["half"]) as emulator:
        emulator.attach("chat", client)
        with pytest.raises(error):
            await make_rest_client(emulator)(method, path, b"x" if method == "POST" else None)

    assert len(client.received) == (method == "POST")
    assert {entry.status for entry in logged_requests(emulator)} == {0}


@pytest.mark.parametrize(("timing", "received"), [("before", 0), ("after", 1)])
async def test_a_stall_sends_no_response_until_the_caller_disconnects(
    make_rest_client: Any, make_client: Make, timing: str, received: int
) -> None:
    """Other requests are answered, and no task is left."""
    client = make_client()
    async with Emulator(faults=[f"stall,{timing},count=1"]) as emulator:
        emulator.attach("chat", client)
        send = make_rest_client(emulator)
        stalled = asyncio.ensure_future(send("POST", SEND, b"x"))
        while not logged_requests(emulator):
            await send("HEAD", "/api/health")
        tasks = len(asyncio.all_tasks())
        assert (await send("POST", SEND, b"x")).status == 202
        assert not stalled.done()

        stalled.cancel()
        while len(asyncio.all_tasks()) >= tasks:
            await send("HEAD", "/api/health")

    assert len(client.received) == received + 1


async def test_a_stop_does_not_wait_for_stalled_or_delayed_requests(make_rest_client: Any) -> None:
    """Their connections are closed at once."""
    faults = ["stall,count=5", "delay=60m,nth=6"]
    async with Emulator(faults=faults) as emulator:
        send = make_rest_client(emulator)
        waiting = [asyncio.ensure_future(send("POST", SEND, b"x")) for _ in range(6)]
        while sum(counter.matched for counter in emulator.faults.counters) < 12:
            await send("HEAD", "/api/health")
        began = time.perf_counter()

    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert time.perf_counter() - began < 0.5
    assert sum(isinstance(end, aiohttp.ClientConnectionError) for end in ends) >= 5


async def test_faults_apply_over_tls(
    certificate: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A caller that disconnects, one that waits, a reset and half a response."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=cert)
    faults = ["reset,nth=1", "half,nth=2", "stall"]
    emulator = Emulator(tls_cert=cert, tls_key=key, faults=faults)
    async with emulator, aiohttp.ClientSession() as session:
        origin = emulator.endpoint.origin

        async def send() -> None:
            async with session.post(f"{origin}{SEND}", ssl=trust, data=b"x"):
                pass

        for _ in range(2):
            with pytest.raises(aiohttp.ClientConnectionError):
                await send()
        disconnecting, waiting = (asyncio.ensure_future(send()) for _ in range(2))
        while len(logged_requests(emulator)) < 4:
            async with session.head(f"{origin}/api/health", ssl=trust):
                pass
        tasks = len(asyncio.all_tasks())
        disconnecting.cancel()
        while len(asyncio.all_tasks()) >= tasks:
            async with session.head(f"{origin}/api/health", ssl=trust):
                pass
        assert not waiting.done()

    with pytest.raises(aiohttp.ClientConnectionError):
        await waiting
    assert caplog.records == []


async def test_a_fault_applies_to_refused_requests(make_rest_client: Any) -> None:
    """Only hub requests are affected: not health, not unknown paths."""
    async with Emulator(faults=["503"]) as emulator:
        send = make_rest_client(emulator)

        assert (await send("POST", SEND, b"x", Authorization=None)).status == 503
        assert (await send("HEAD", "/api/health")).status == 200
        assert (await send("GET", "/nowhere")).status == 404


async def test_a_large_body_is_read_before_an_injected_error(make_rest_client: Any) -> None:
    """The connection can be used again."""
    async with Emulator(faults=["429,count=1"]) as emulator:
        send = make_rest_client(emulator)

        assert (await send("POST", SEND, b"x" * 1024 * 1024)).status == 429
        assert (await send("POST", SEND, b"x")).status == 202


def test_an_invalid_fault_is_an_error() -> None:
    """In the constructor."""
    with pytest.raises(ValueError, match="did you mean `stall`"):
        Emulator(faults=["stal"])


async def test_request_is_executed_after_a_delay_even_if_its_caller_gives_up(
    make_client: Make,
) -> None:
    """Its body was read before the delay: the message is delivered, and the status is 202."""
    client, logged = make_client(), asyncio.Event()
    async with Emulator(faults=["delay=50ms"], on_request=lambda _: logged.set()) as emulator:
        emulator.attach("chat", client)
        connection = await post(emulator, b"x" * 100_000)
        await connection.drain()
        connection.close()
        async with asyncio.timeout(10):
            await logged.wait()

    assert [len(payload) for payload in client.payloads] == [100_000]
    assert [request.status for request in logged_requests(emulator)] == [202]


async def post(emulator: Emulator, body: bytes) -> asyncio.StreamWriter:
    """Send a request, and do not wait for the response."""
    audience = emulator.endpoint.origin + SEND
    claims = {"aud": audience, "exp": int(time.time()) + 60}
    token = jwt.encode(claims, emulator.endpoint.key, algorithm="HS256")
    host, _, port = emulator.endpoint.host.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {SEND} HTTP/1.1\r\nHost: {emulator.endpoint.host}\r\nAuthorization: Bearer {token}"
        f"\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    writer.write(body)
    return writer


@pytest.mark.parametrize("fault", ["503", "503,after", "delay=1ms", "delay=1ms,after"])
async def test_connection_can_be_used_again_after_a_fault(
    make_rest_client: Any, fault: str
) -> None:
    """The body of the request was read, whatever its size."""
    async with Emulator(faults=[f"{fault},count=2"]) as emulator:
        send = make_rest_client(emulator)
        statuses = [
            (await send("POST", SEND, b"GET / HTTP/1.1\r\n\r\n" * size)).status
            for size in (1, 30_000, 1)
        ]

    status = int(fault[:3]) if fault[:3].isdigit() else 202
    assert statuses == [status, status, 202]


async def test_stalled_request_ends_with_its_caller_whatever_it_sends() -> None:
    """Also if the operation has no body, so that the one of the request is not read."""
    async with Emulator(faults=["stall"]) as emulator:
        host, _, port = emulator.endpoint.host.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /api/hubs/chat/:closeConnections HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 10000000\r\n\r\n" + b"x" * 9_000_000
        )
        async with asyncio.timeout(10):
            await writer.drain()  # it is read and ignored
        writer.close()
