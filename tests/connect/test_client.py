"""One request over real sockets: the bytes that leave, and what each way of ending means."""

import asyncio
import contextlib
import socket
import ssl
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import trustme

from wps_run.actions.request import Request
from wps_run.connect.client import MAX_BODY_BYTES, Client, load_ca_bundle, no_reply_from
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.reply import NoReply, Reply
from wps_run.problems import SettingsError

JOIN = Request("PUT", "/api/hubs/chat/users/ada/groups/red")
SEND = Request("POST", "/api/hubs/chat/:send", "excluded=a", b"hi", "text/plain")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def send(endpoint: Endpoint, request: Request = JOIN, **more: Any) -> Reply | NoReply:
    """One request with a client of its own."""
    seconds = more.pop("timeout", 10.0)
    async with Client(endpoint, concurrency=1, **more) as client:
        outcome, _ = await client.send(request, timeout=seconds, request_id="id-1")
        return outcome


@pytest.mark.parametrize(
    "path",
    [
        "/api/hubs/chat/groups/a%2Fb/:send",
        "/api/hubs/chat/groups/../:send",
        "/api/hubs/chat/groups/%2E%2E/:send",
        "/api/hubs/chat//groups/./x",
        "/a!'()*,;=@%7e%2f%20+",
    ],
)
async def test_the_path_reaches_the_wire_as_it_stands(server: Any, path: str) -> None:
    """Nothing is folded, decoded or quoted again on the way."""
    query = "filter=a%2Cb%20c%27&excluded=%2B"

    await send(server.endpoint, Request("PUT", path, query))

    assert server.requests[0].target == f"{path}?{query}&api-version=2024-12-01"


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
async def test_a_request_without_a_body_says_so(server: Any, method: str) -> None:
    """The service refuses a request of unknown length; no body has no type."""
    await send(server.endpoint, Request(method, "/x"))

    assert server.requests[0].header("content-length") == ["0"]
    assert server.requests[0].header("content-type") == []
    assert server.requests[0].header("transfer-encoding") == []


async def test_the_headers_are_these_and_no_others(server: Any) -> None:
    """What goes out is known; the media type is exact, without a charset."""
    await send(server.endpoint, SEND)

    headers = dict(server.requests[0].headers)
    token = headers.pop("Authorization").removeprefix("Bearer ")
    assert headers == {
        "Host": server.endpoint.host,
        "Accept": "application/json",
        "User-Agent": f"wps-run/{version('wps-run')}",
        "x-ms-client-request-id": "id-1",
        "Content-Length": "2",
        "Content-Type": "text/plain",
    }
    assert server.requests[0].body == b"hi"
    jwt.decode(
        token,
        server.endpoint.key,
        algorithms=["HS256"],
        audience=f"{server.endpoint.origin}/api/hubs/chat/:send",
    )


async def test_behind_a_reverse_proxy_the_token_is_for_the_service(server: Any) -> None:
    """The request goes to the proxy, by its host; the audience is the endpoint's own URL."""
    endpoint = Endpoint("https://a.example", "k" * 44).behind(server.endpoint.origin)

    assert await send(endpoint) == Reply(200)
    assert server.requests[0].header("host") == [server.endpoint.host]
    jwt.decode(
        server.requests[0].header("authorization")[0].removeprefix("Bearer "),
        endpoint.key,
        algorithms=["HS256"],
        audience=f"https://a.example{JOIN.path}",
    )


async def test_a_token_is_made_for_each_attempt(server: Any) -> None:
    """A token never outlives a pause between attempts."""
    times = iter([1000.0, 1000.0, 5000.0, 5000.0])
    async with Client(server.endpoint, concurrency=1, now=lambda: next(times)) as client:
        await client.send(JOIN, timeout=10, request_id="a")
        await client.send(JOIN, timeout=10, request_id="a")

    tokens = [
        request.header("authorization")[0].removeprefix("Bearer ") for request in server.requests
    ]
    expiries = [jwt.decode(token, options={"verify_signature": False})["exp"] for token in tokens]
    assert expiries == [1060, 5060]


async def test_connections_are_kept_and_cookies_are_not(server: Any) -> None:
    """The second request uses the first one's connection, and brings nothing back."""
    server.respond(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n"))
    async with Client(server.endpoint, concurrency=1) as client:
        await client.send(JOIN, timeout=10, request_id="a")
        await client.send(JOIN, timeout=10, request_id="b")

    assert server.connections == 1
    assert server.requests[1].header("cookie") == []


async def test_a_redirect_is_not_followed(server: Any) -> None:
    """The token is for this endpoint; whoever redirects gets no second request."""
    server.respond(b"HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    assert await send(server.endpoint) == Reply(307)
    assert len(server.requests) == 1


async def test_no_more_connections_than_concurrency(server: Any) -> None:
    """The connector keeps the ceiling too, should a caller ask for more at once."""
    both, gate = asyncio.Event(), asyncio.Event()

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 2:
            both.set()
        await gate.wait()
        writer.write(OK)

    server.handle_with(answer)
    async with Client(server.endpoint, concurrency=2) as client:
        sends = [client.send(JOIN, timeout=10, request_id=str(n)) for n in range(5)]
        running = asyncio.gather(*sends)
        await both.wait()
        gate.set()
        replies = await running

    assert replies == [(Reply(200), b"")] * 5
    assert server.most_open == 2


async def test_a_dropped_kept_alive_connection_is_told_not_papered_over(server: Any) -> None:
    """Left alone, aiohttp sends a PUT again; each attempt must be ours and counted."""

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 2:
            writer.close()
        else:
            writer.write(OK)

    server.handle_with(answer)
    async with Client(server.endpoint, concurrency=1) as client:
        first, _ = await client.send(JOIN, timeout=10, request_id="a")
        second, _ = await client.send(JOIN, timeout=10, request_id="b")

    assert first == Reply(200)
    assert isinstance(second, NoReply)
    assert (second.sent, second.code) == (True, "disconnected")
    assert len(server.requests) == 2


def test_aiohttp_still_has_the_switch_for_sending_again() -> None:
    """The attribute is not public: when a release drops it, this must fail, not the user."""
    assert "_retry_connection" in aiohttp.ClientSession.ATTRS


async def test_a_refused_connection_sent_nothing() -> None:
    """Nobody listens: it is certain that nothing happened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        outcome = await send(Endpoint(f"http://127.0.0.1:{port}", "k" * 44))

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "connect")
    assert outcome.message.startswith("the service could not be reached (")


async def test_a_process_without_a_free_descriptor_sent_nothing() -> None:
    """It is not the service that cannot be reached."""
    resource: Any = pytest.importorskip("resource", reason="Windows has no such limit")
    _, hard_limit = limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard_limit))
    try:
        outcome = await send(Endpoint("http://127.0.0.1:9", "k" * 44))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "open-files")
    assert outcome.message == "could not connect, since this process has too many open files"


async def test_a_name_that_does_not_resolve_sent_nothing() -> None:
    """`.invalid` never resolves (RFC 6761)."""
    outcome = await send(Endpoint("https://wps.invalid", "k" * 44))

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "dns")


@pytest.mark.skipif(sys.platform != "linux", reason="full queues are refused elsewhere")
async def test_a_connection_that_never_comes_sent_nothing() -> None:
    """A listener whose queue is full lets connects hang; the timeout of an attempt ends that."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(address)
        outcome = await send(Endpoint(f"http://127.0.0.1:{address[1]}", "k" * 44), timeout=0.2)
        for filler in fillers:
            filler.close()

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "timeout")


async def test_a_tls_handshake_that_stalls_sent_nothing(server: Any) -> None:
    """The request goes out only after the handshake, so a plain-text server never sees it."""
    outcome = await send(
        Endpoint(server.endpoint.origin.replace("http", "https"), "k" * 44), timeout=0.2
    )

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "timeout")


async def test_a_handshake_that_stalls_sent_nothing_when_the_event_loop_is_late(
    server: Any,
) -> None:
    """A busy machine delays all timers at once, and changes nothing about what was sent."""
    loop = asyncio.get_running_loop()

    def keep_busy() -> None:
        until = loop.time() + 0.3
        while loop.time() < until:
            pass

    loop.call_later(0.1, keep_busy)
    outcome = await send(
        Endpoint(server.endpoint.origin.replace("http", "https"), "k" * 44), timeout=0.2
    )

    assert outcome == NoReply(sent=False, code="timeout", message="could not connect in time")


async def test_a_request_that_waits_for_a_free_connection_sent_nothing(server: Any) -> None:
    """Another one has the only connection until this one has timed out."""
    received, timed_out = asyncio.Event(), asyncio.Event()

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        received.set()
        await timed_out.wait()
        writer.write(OK)

    server.handle_with(answer)
    async with Client(server.endpoint, concurrency=1) as client:
        first = asyncio.create_task(client.send(JOIN, timeout=60, request_id="a"))
        await received.wait()
        outcome, _ = await client.send(JOIN, timeout=0.1, request_id="b")
        timed_out.set()
        first_outcome, _ = await first

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "timeout")
    assert first_outcome == Reply(200)
    assert len(server.requests) == 1


async def test_a_cancellation_before_a_connection_is_an_ordinary_one() -> None:
    """`asyncio.timeout` of Python 3.11 converts only exactly this class."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        endpoint = Endpoint(f"https://127.0.0.1:{server.getsockname()[1]}", "k" * 44)
        async with Client(endpoint, concurrency=1) as client:
            task = asyncio.create_task(client.send(JOIN, timeout=60, request_id="a"))
            connection, _ = await loop.sock_accept(server)
            task.cancel()
            with connection, pytest.raises(asyncio.CancelledError) as canceled:
                await task

    assert canceled.type is asyncio.CancelledError


async def test_an_answer_that_never_comes_may_have_been_sent(server: Any) -> None:
    """The request was read, then silence: nobody knows.

    It has the connection of an earlier one, as making one may take longer than its timeout.
    """
    silence = asyncio.Event()

    async def answer(request: Any, writer: asyncio.StreamWriter) -> None:
        if request.body:
            await silence.wait()
        writer.write(OK)

    server.handle_with(answer)
    async with Client(server.endpoint, concurrency=1) as client:
        await client.send(JOIN, timeout=60, request_id="a")
        outcome, _ = await client.send(SEND, timeout=0.2, request_id="b")
    silence.set()

    assert outcome == NoReply(sent=True, code="timeout", message="no response came in time")
    assert [request.body for request in server.requests] == [b"", SEND.body]


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 20"])
async def test_a_connection_that_breaks_before_an_answer_may_have_been_sent(
    server: Any, answer: bytes
) -> None:
    """Closed at once, or in the midst of the status line."""

    async def cut(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server.handle_with(cut)
    outcome = await send(server.endpoint, SEND)

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (True, "disconnected")


async def test_a_reset_may_have_been_sent(server: Any) -> None:
    """A reset connection says nothing about what was read from it."""

    async def reset(_: object, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server.handle_with(reset)
    outcome = await send(server.endpoint, SEND)

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (True, "disconnected")


@pytest.mark.parametrize(
    "noise",
    [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 abc X\r\n\r\n", b"\x15\x03\x01\x00\x02\x02P"],
)
async def test_what_is_not_http_may_have_been_sent(server: Any, noise: bytes) -> None:
    """Another protocol at this port: no answer, and its bytes are not shown."""

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(noise)
        writer.close()

    server.handle_with(answer)
    outcome = await send(server.endpoint, SEND)

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (True, "disconnected")
    assert "SSH" not in outcome.message


HALF = b'HTTP/1.1 404 X\r\nx-ms-error-code: E\r\nContent-Length: 99\r\n\r\n{"message": "ha'


async def test_a_status_line_is_an_answer_even_when_the_body_breaks_off(server: Any) -> None:
    """The service has decided by then; the body is only words about it."""

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(HALF)
        writer.close()

    server.handle_with(answer)

    assert await send(server.endpoint) == Reply(404, "E", '{"message": "ha')


async def test_a_status_line_is_an_answer_even_when_the_body_never_ends(server: Any) -> None:
    """The timeout of an attempt bounds the reading of the body."""
    silence = asyncio.Event()

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(HALF)
        await writer.drain()
        await silence.wait()

    server.handle_with(answer)
    outcome = await send(server.endpoint, timeout=0.2)
    silence.set()

    assert outcome == Reply(404, "E", '{"message": "ha')


async def test_an_endless_body_is_not_read_to_its_end(server: Any) -> None:
    """A bounded beginning is enough for an error; the connection is dropped then."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    wrote = 0

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        nonlocal wrote
        writer.write(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(chunk)
            wrote += len(chunk)
            await writer.drain()

    server.handle_with(answer)
    outcome = await send(server.endpoint)

    assert isinstance(outcome, Reply)
    assert (outcome.status, outcome.message) == (500, "x" * 299 + "…")
    assert wrote < 1000 * MAX_BODY_BYTES


async def test_a_server_that_echoes_the_token_gives_nothing_away(server: Any) -> None:
    """Neither the token nor the key is in what comes out."""

    async def answer(request: Any, writer: asyncio.StreamWriter) -> None:
        body = f"{request.header('authorization')[0]} and {server.endpoint.key}".encode()
        writer.write(b"HTTP/1.1 401 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    server.handle_with(answer)

    assert await send(server.endpoint) == Reply(401, None, "Bearer *** and ***")


async def test_retry_after_is_read_against_the_given_clock(server: Any) -> None:
    """A date is seconds from now, by the clock that is handed in."""
    server.respond(
        b"HTTP/1.1 503 X\r\nRetry-After: Thu, 01 Jan 1970 00:01:30 GMT\r\nContent-Length: 0\r\n\r\n"
    )

    assert await send(server.endpoint, now=lambda: 60.0) == Reply(503, retry_after=30.0)


async def test_a_certificate_that_nobody_trusts_is_refused(tls_server: Any) -> None:
    """TLS is verified, always; and it is said why it failed."""
    outcome = await send(
        Endpoint(tls_server.endpoint.origin.replace("127.0.0.1", "localhost"), "k" * 44)
    )

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "tls")
    assert "self-signed certificate" in outcome.message
    assert tls_server.requests == []


@pytest.mark.parametrize(
    ("host", "outcome"), [("localhost", Reply(200)), ("127.0.0.1", "not valid for '127.0.0.1'")]
)
async def test_a_given_ca_is_trusted_for_its_host_only(
    tls_server: Any, certificate: Path, host: str, outcome: Reply | str
) -> None:
    """A CA bundle adds trust; the name is still checked."""
    context = ssl.create_default_context(cafile=certificate)
    endpoint = Endpoint(tls_server.endpoint.origin.replace("127.0.0.1", host), "k" * 44)

    got = await send(endpoint, tls=context)

    assert got == outcome if isinstance(outcome, Reply) else outcome in str(got)


def test_a_context_that_does_not_verify_is_refused(server_tls: ssl.SSLContext) -> None:
    """There is no way to switch verification off."""
    with pytest.raises(ValueError, match="must verify"):
        Client(Endpoint("https://localhost", "k" * 44), concurrency=1, tls=server_tls)


async def test_https_asks_the_proxy_for_a_tunnel(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy sees host and port, never the token; when it refuses, nothing was sent."""
    monkeypatch.setenv("HTTPS_PROXY", server.endpoint.origin.replace("//", "//ada:pw@"))
    server.respond(b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n")

    outcome = await send(Endpoint("https://a.example", "k" * 44))

    assert outcome == NoReply(
        sent=False,
        code="proxy-auth",
        message=f"the proxy {server.endpoint.host} refuses the user and the password (status 407)",
    )
    assert (server.requests[0].method, server.requests[0].target) == ("CONNECT", "a.example:443")
    assert server.requests[0].header("proxy-authorization") == ["Basic YWRhOnB3"]
    assert server.requests[0].header("authorization") == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_requests_pass_through_the_tunnel_of_a_proxy(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """One tunnel serves several requests, also with TLS inside the TLS of the proxy."""
    authority = trustme.CA()
    authority.issue_cert("a.example", "127.0.0.1").configure_cert(server_tls)
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    tunnels = []

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tunnels.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.start_tls(server_tls)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(OK)
        writer.close()

    proxy_tls = server_tls if scheme == "https" else None
    proxy = await asyncio.start_server(connect, "127.0.0.1", 0, ssl=proxy_tls)
    port = proxy.sockets[0].getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://127.0.0.1:{port}")
    async with Client(Endpoint("https://a.example", "k" * 44), concurrency=1, tls=tls) as client:
        outcomes = [await client.send(JOIN, timeout=10, request_id=id_) for id_ in "abc"]
    proxy.close()

    assert [outcome for outcome, _ in outcomes] == [Reply(200)] * 3
    assert tunnels == [b"CONNECT a.example:443 HTTP/1.1"]


async def test_a_proxy_that_is_not_there_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that the proxy is the one who is missing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        outcome = await send(Endpoint("https://a.example", "k" * 44))

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "proxy")
    assert outcome.message.startswith("the proxy 127.0.0.1:")
    assert "could not be reached" in outcome.message


AZURE = Endpoint("https://a.example", "k" * 44)


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (b"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", "proxy-auth", "requires"),
        (b"HTTP/1.1 407 X\r\nProxy-Authenticate: NTLM\r\n\r\n", "proxy-auth", "than Basic"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "proxy-denied", "refused to connect"),
        (b"HTTP/1.1 405 No\r\n\r\n", "proxy-denied", "refused to connect"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://x\r\n\r\n", "proxy-denied", "status 302"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "proxy", "(status 502)"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nabc", "proxy", "(status 503)"),
        (b"HTTP/1.1 504 Late\r\n\r\n", "proxy", "could not connect to the service"),
        (b"SSH-2.0-x\r\n\r\n", "proxy", "did not respond as a proxy"),
        (b"", "proxy", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "proxy", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\n\r\nsign in first", "proxy", "closed the connection"),
    ],
)
async def test_a_proxy_that_fails_is_named_and_nothing_was_sent(
    server: Any, monkeypatch: pytest.MonkeyPatch, answer: bytes, code: str, message: str
) -> None:
    """Whatever it answers to CONNECT, or if it ends the connection."""

    async def end(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server.handle_with(end)
    monkeypatch.setenv("https_proxy", server.endpoint.host)

    outcome = await send(AZURE)

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, code)
    assert f"the proxy {server.endpoint.host} " in outcome.message
    assert message in outcome.message


async def test_a_reset_while_the_proxy_connects_sent_nothing(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reset(_: object, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server.handle_with(reset)
    monkeypatch.setenv("HTTPS_PROXY", server.endpoint.origin)

    outcome = await send(AZURE)

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "proxy")


async def test_a_proxy_that_does_not_answer_is_named(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(*_: object) -> None:
        await asyncio.Event().wait()

    server.handle_with(wait)
    monkeypatch.setenv("HTTPS_PROXY", server.endpoint.origin)

    outcome = await send(AZURE, timeout=0.1)

    message = f"no connection through the proxy {server.endpoint.host} in time"
    assert outcome == NoReply(sent=False, code="proxy", message=message)


async def test_a_proxy_with_a_certificate_of_its_own_is_named(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the TLS of the service, as some do that inspect what is sent."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            await writer.start_tls(server_tls)
        writer.close()

    proxy = await asyncio.start_server(connect, "127.0.0.1", 0)
    address = f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", address)

    outcome = await send(AZURE)
    proxy.close()

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "tls")
    assert f"through the proxy {address} (self-signed certificate)" in outcome.message


async def test_a_proxy_without_a_name_in_dns_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is not the service's, and neither user nor password is shown."""
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:s3cret@proxy.invalid:3128")

    outcome = await send(AZURE)

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "proxy")
    assert outcome.message.startswith("the name of the proxy proxy.invalid:3128 could not")
    assert "s3cret" not in outcome.message


async def test_https_before_a_proxy_without_tls_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy takes the TLS handshake for a broken request."""

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(refuse, "127.0.0.1", 0)
    address = f"127.0.0.1:{plain.sockets[0].getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", f"https://{address}")

    outcome = await send(AZURE)
    plain.close()

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "proxy-tls")
    assert outcome.message.startswith(f"no secure connection to the proxy {address}")
    assert "permitted" not in outcome.message  # OpenSSL's numbers are not the system's


async def test_requests_go_to_the_path_of_a_gateway_and_its_headers_with_them(
    server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The token is for the service's own path. No log shows the value of a header."""
    caplog.set_level("DEBUG", "wps_run.connect")
    key = "s3cret-of-the-gateway"
    endpoint = replace(
        Endpoint("https://a.example", "k" * 44).behind(f"{server.endpoint.origin}/my%20api/"),
        headers=(("Ocp-Apim-Subscription-Key", key), ("user-agent", "team/1"), ("X-Env", "dev")),
    )
    server.respond(f"HTTP/1.1 403 X\r\nContent-Length: 26\r\n\r\nbad {key} ".encode())

    outcome = await send(endpoint)

    request = server.requests[0]
    assert request.target.startswith(f"/my%20api{JOIN.path}?")
    assert request.header("ocp-apim-subscription-key") == [key]
    assert request.header("user-agent") == ["team/1"]
    assert request.header("x-env") == ["dev"]
    jwt.decode(
        request.header("authorization")[0].removeprefix("Bearer "),
        endpoint.key,
        algorithms=["HS256"],
        audience=f"https://a.example{JOIN.path}",
    )
    assert outcome == Reply(403, None, "bad ***", is_gateway=True, has_own_header=True)
    assert "/my%20api/api/hubs" in caplog.text
    assert "Ocp-Apim-Subscription-Key: ***" in caplog.text
    assert "X-Env: ***" in caplog.text
    assert key not in caplog.text


async def test_a_proxy_receives_no_header_of_the_gateway(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.endpoint.origin)
    server.respond(b"HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n")

    await send(replace(AZURE, headers=(("X-Key", "s3cret-of-the-gateway"),)))

    assert server.requests[0].header("x-key") == []


async def test_this_machine_is_reached_directly(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment does not come between us and loopback."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")

    assert await send(server.endpoint) == Reply(200)


async def test_a_cancelled_send_leaves_no_connection_behind(server: Any) -> None:
    """What was cancelled in flight must not answer the next request."""
    requested, silence = asyncio.Event(), asyncio.Event()

    async def answer(_: object, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            requested.set()
            await silence.wait()
        writer.write(OK)

    server.handle_with(answer)
    async with Client(server.endpoint, concurrency=1) as client:
        task = asyncio.create_task(client.send(JOIN, timeout=10, request_id="a"))
        await requested.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await client.send(JOIN, timeout=10, request_id="b") == (Reply(200), b"")
        silence.set()

    assert server.connections == 2


def test_an_unheard_of_failure_counts_as_maybe_sent() -> None:
    """When in doubt, it may have happened."""
    assert no_reply_from(aiohttp.ClientError("Bearer x")) == NoReply(
        sent=True, code="disconnected", message="the connection broke before a response"
    )


async def test_a_bundle_adds_to_what_is_trusted(tls_server: Any, certificate: Path) -> None:
    """Refused without it, let through with it; the name is still checked."""
    named = Endpoint(f"https://localhost:{tls_server.port}", "k" * 44)
    outcomes = []
    for endpoint, tls in (
        (named, None),
        (named, _trusting(certificate)),
        (tls_server.endpoint, _trusting(certificate)),
    ):
        async with Client(endpoint, concurrency=1, tls=tls) as client:
            outcomes.append((await client.send(JOIN, timeout=10, request_id="a"))[0])

    assert outcomes[1] == Reply(200)
    for refused in (outcomes[0], outcomes[2]):
        assert isinstance(refused, NoReply)
        assert (refused.sent, refused.code) == (False, "tls")


def test_the_systems_own_certificates_stay_trusted(certificate: Path) -> None:
    """One more than without the file."""
    own = ssl.create_default_context().cert_store_stats()["x509"]

    assert _trusting(certificate).cert_store_stats()["x509"] == own + 1


@pytest.mark.parametrize("content", [b"", b"\x30\x82\x01", b"-----BEGIN CERTIFICATE-----\nx\n"])
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    """The message names the file and the form."""
    file = tmp_path / "ca.pem"
    file.write_bytes(content)

    with pytest.raises(SettingsError, match=r"ca\.pem` contains no certificate in PEM form"):
        _trusting(file)


def _trusting(file: Path) -> ssl.SSLContext:
    return load_ca_bundle(str(file), file.read_bytes())
