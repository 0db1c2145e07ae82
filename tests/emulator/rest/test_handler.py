"""Tests of the REST handler: authorization, refusals and malformed requests."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wps_run.emulator.effects import Close, DataType, Deliver, Message
from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.server import Emulator

SEND = "/api/hubs/chat/:send"


async def exchange_bytes(emulator: Emulator, data: bytes) -> bytes:
    """Send bytes and return the whole response, also of a server that does not read all of them."""
    port = int(emulator.endpoint.origin.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    response = b""
    with suppress(ConnectionResetError):
        writer.write(data)
        while block := await reader.read(65536):
            response += block
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()
    return response


async def test_health_needs_no_token(call: Any) -> None:
    """Scripts wait for the emulator with it."""
    assert (await call("HEAD", "/api/health", Authorization=None)).status == 200


async def test_every_response_has_the_services_headers(call: Any) -> None:
    """HSTS, and the supported versions."""
    response = await call("HEAD", "/api/health")

    assert response.headers["Strict-Transport-Security"] == "max-age=15724800; includeSubDomains"
    assert response.headers["api-supported-versions"] == (
        "2021-10-01, 2022-11-01, 2023-07-01, 2024-01-01, 2024-12-01"
    )


async def test_each_operation_but_health_needs_a_token(call: Any, operation: Any) -> None:
    """401, before names, versions or bodies are checked."""
    path = operation.path.replace("{hub}", "1bad").replace("{", "").replace("}", "")

    response = await call(operation.method, path + "?api-version=x", Authorization=None)

    assert response.status == (400 if path == "/api/health" else 401)
    if response.status == 401:
        assert response.body == b""
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")


async def test_a_refused_request_has_no_effect(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """Here with a token for a shorter path."""
    client = make_client()
    emulator.attach("chat", client)
    token = call.token("/api/hubs/chat")

    response = await call("POST", SEND, b"x", Authorization=f"Bearer {token}")

    assert response.status == 401
    assert client.received == []


async def test_one_token_is_valid_for_all_queries_of_its_path(call: Any) -> None:
    """The query is not compared."""
    token = f"Bearer {call.token(SEND)}"

    for query in ("", "?api-version=2024-12-01", "?filter=userId%20eq%20'a'"):
        assert (await call("POST", SEND + query, b"x", Authorization=token)).status == 202


async def test_the_reason_of_a_denial_is_logged_without_the_token(
    call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The service has such a log, too."""
    token = call.token("/api/hubs/other/:send")
    with caplog.at_level(logging.INFO, "wps_run.emulator"):
        await call("POST", SEND, b"x", Authorization=f"Bearer {token}")

    assert "the audience is not the URL" in caplog.text
    assert token.split(".")[2] not in caplog.text


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("alice%20smith", "alice smith"),
        ("alice+bob", "alice+bob"),
        ("50%25", "50%"),
        ("tenant%2Falice", "tenant%2Falice"),
        ("tenant%252Falice", "tenant%2Falice"),
        ("%F0%9F%98%80", "😀"),
        ("a%3Fb%23c", "a?b#c"),
        ("..", ".."),
        ("%2E%2E", ".."),
        (".", "."),
        (":send", ":send"),
        ("%3Asend", ":send"),
    ],
)
async def test_names_in_the_path_are_decoded_as_by_the_service(
    emulator: Emulator, call: Any, make_client: Callable[[], Any], segment: str, name: str
) -> None:
    """Above all, a send to the group `..` is not one to the whole hub."""
    member, other = make_client(), make_client()
    emulator.attach("chat", member, groups=[name])
    emulator.attach("chat", other)

    response = await call("POST", f"/api/hubs/chat/groups/{segment}/:send", b"hi")

    assert response.status == 202
    assert [message.group for message in member.received] == [name]
    assert other.received == []


async def test_hubs_are_compared_without_case_and_names_with_it(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """`Hub` is `hub`; user `Ada` is not `ada`."""
    emulator.attach("HUB", make_client(), user_id="Ada", connection_id="C", groups=["G"])

    statuses = [
        (await call("HEAD", f"/api/hubs/hub/{path}")).status
        for path in ("users/Ada", "users/ada", "connections/C", "connections/c", "groups/G")
    ]

    assert statuses == [200, 404, 200, 404, 200]
    assert list(emulator.hubs) == ["hub"]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/hubs/1bad/:send", "Request"),
        ("/api/hubs/a-b/:send", "Request"),
        (f"/api/hubs/{'h' * 129}/:send", "Request"),
        ("/api/hubs/h/groups/%20/:send", "Request"),
        (f"/api/hubs/h/groups/{'g' * 1025}/:send", "Request"),
        ("/api/hubs/h/users/%09/:send", "Request"),
        ("/api/hubs/h/connections/%20/:send", "Request"),
        ("/api/hubs/h/:send?api-version=2020-10-01", "api-version"),
        ("/api/hubs/h/:send?api-version=x", "api-version"),
        ("/api/hubs/h/:send?api-version=2024-12-01&api-version=2024-12-01", "api-version"),
    ],
)
async def test_bad_names_and_versions_are_400(call: Any, path: str, target: str) -> None:
    """`Error.BadRequest`, with its target."""
    response = await call("POST", path, b"x")

    assert (response.status, response.headers["x-ms-error-code"]) == (400, "Error.BadRequest")
    assert json.loads(response.body)["target"] == target


async def test_a_newer_version_is_answered_with_one_warning(
    call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The emulator may be older than its caller."""
    for _ in range(2):
        response = await call("POST", SEND + "?api-version=2099-01-01", b"x")
        assert response.status == 202

    assert [record.name for record in caplog.records] == ["wps_run.emulator"]
    assert "2099-01-01" in caplog.text


async def test_a_strict_emulator_refuses_a_newer_version(
    make_rest_client: Callable[[Emulator], Any],
) -> None:
    """As Azure does."""
    async with Emulator(strict_api_version=True) as emulator:
        response = await make_rest_client(emulator)("POST", SEND + "?api-version=2099-01-01", b"x")

    assert response.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api", 404),
        ("GET", "/client/hubs/chat", 400),
        ("PUT", "/api/hubs/chat/users//groups/g", 404),
        ("POST", "/API/hubs/chat/:send", 404),
        ("GET", SEND, 405),
        ("GET", "/api/health", 405),
        ("OPTIONS", SEND, 405),
        ("GET", "/a%00b", 400),
    ],
)
async def test_other_routes_and_methods(call: Any, method: str, path: str, status: int) -> None:
    """Without a token, too."""
    assert (await call(method, path, Authorization=None)).status == status


@pytest.mark.parametrize("content_type", ["text/html", "text/plain; charset=unknown"])
async def test_another_type_is_415_without_a_body(call: Any, content_type: str) -> None:
    """The response has no body."""
    response = await call("POST", SEND, b"x", Content_Type=content_type)

    assert (response.status, response.body) == (415, b"")


async def test_a_body_of_a_mebibyte_is_accepted_and_one_byte_more_is_not(call: Any) -> None:
    """400, not 413, as in Microsoft's emulator."""
    assert (await call("POST", SEND, b"x" * 1024 * 1024)).status == 202

    response = await call("POST", SEND, b"x" * (1024 * 1024 + 1))

    assert response.status == 400
    assert json.loads(response.body)["message"] == "Invalid Content-Length header."


async def test_a_compressed_body_is_not_decompressed(
    emulator: Emulator, call: Any, make_client: Callable[[], Any]
) -> None:
    """The message is the body, with any header."""
    client = make_client()
    emulator.attach("chat", client)

    await call("POST", SEND, b"\x1f\x8b", Content_Type=None, Content_Encoding="gzip")

    assert client.payloads == [b"\x1f\x8b"]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Transfer-Encoding: chunked", b"1\r\nx\r\n0\r\n\r\n"),
        ("X-No-Length: 1", b""),
    ],
)
async def test_a_body_without_a_length_is_400(
    emulator: Emulator, call: Any, head: str, body: bytes
) -> None:
    """The SDKs never send one."""
    reply = await exchange_bytes(emulator, _request(call, SEND, head) + body)

    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"Invalid Content-Length header." in reply


async def test_a_wrong_filter_or_ttl_is_told_before_a_body_without_a_length(
    emulator: Emulator, call: Any
) -> None:
    """A body, its length and its type are looked at last."""
    for query, message in (("filter=x", b"Invalid syntax"), ("messageTtlSeconds=x", b"messageTtl")):
        request = _request(call, f"{SEND}?{query}", "Transfer-Encoding: chunked")

        reply = await exchange_bytes(emulator, request + b"1\r\nx\r\n0\r\n\r\n")

        assert reply.startswith(b"HTTP/1.1 400 ")
        assert message in reply
    response = await call("POST", f"{SEND}?filter=x", b"x", Content_Type="text/html")
    assert response.status == 400


async def test_a_close_needs_no_length(emulator: Emulator, call: Any) -> None:
    """It has no body."""
    reply = await exchange_bytes(
        emulator, _request(call, "/api/hubs/chat/:closeConnections", "X: 1")
    )

    assert reply.startswith(b"HTTP/1.1 204 ")


async def test_an_expect_header_is_answered_with_continue(emulator: Emulator, call: Any) -> None:
    """`Expect: 100-continue`, as curl sends it with larger bodies."""
    head = "Content-Type: text/plain\r\nContent-Length: 1\r\nExpect: 100-continue"

    reply = await exchange_bytes(emulator, _request(call, SEND, head) + b"x")

    assert reply.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")


async def test_the_absolute_form_of_a_request_target_is_accepted(
    emulator: Emulator, call: Any
) -> None:
    """`POST http://host/path`."""
    request = _request(call, SEND, "Content-Type: text/plain\r\nContent-Length: 1") + b"x"
    absolute = request.replace(b" /api", f" {emulator.endpoint.origin}/api".encode(), 1)

    assert (await exchange_bytes(emulator, absolute)).startswith(b"HTTP/1.1 202 ")


def _request(call: Any, path: str, head: str) -> bytes:
    """A request with a valid token, on a connection of its own."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {call.emulator.endpoint.host}\r\nConnection: close\r\n"
        f"Authorization: Bearer {call.token(path)}\r\n{head}\r\n\r\n"
    ).encode()


async def test_an_incomplete_body_affects_no_other_request(
    emulator: Emulator, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its client has disconnected; the next one is served."""
    port = int(emulator.endpoint.origin.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request(call, SEND, "Content-Type: text/plain\r\nContent-Length: 9") + b"x")
    await writer.drain()
    writer.transport.abort()

    assert (await call("POST", SEND, b"x")).status == 202
    assert caplog.records == []


MARK = "not.for.logs"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x00\xa5",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[::1/x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nAuthorization: Bearer " + MARK.encode() + b"\0\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_invalid_http_is_400_and_not_logged(
    emulator: Emulator, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Aiohttp would log it with its tokens."""
    reply = await exchange_bytes(emulator, data)

    assert b" 400 " in reply.partition(b"\r\n")[0]
    assert caplog.records == []
    assert MARK not in caplog.text


async def test_a_long_list_of_exclusions_is_accepted(call: Any) -> None:
    """12 KB of URL, and a token that repeats it as the SDKs' do."""
    query = "?" + "&".join(f"excluded=connection-{number:020}" for number in range(280))
    token = call.token(SEND + query)

    response = await call("POST", SEND + query, b"x", Authorization=f"Bearer {token}")

    assert len(query) > 11_000
    assert response.status == 202


SEGMENTS = st.sampled_from(
    [
        *("api", "hubs", "chat", "groups", "users", "connections", "permissions", ":send"),
        *(
            "",
            ".",
            "..",
            "%2F",
            "%2e%2e",
            "%00",
            "%FF",
            "%",
            ":closeConnections",
            "a%3Fb",
            "health",
        ),
    ]
)
PATHS = st.lists(SEGMENTS, max_size=8).map(lambda parts: "/" + "/".join(parts))
QUERIES = st.text("aexcludfitrTpvson-=&%2?+'() ", max_size=30).map(
    lambda text: text.replace(" ", "%20")
)


async def test_any_request_is_answered(call: Any) -> None:
    """With any path, query, method and body, and never with 500."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
    @given(
        method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"]),
        path=PATHS.map("/api/hubs/chat".__add__) | PATHS,
        query=QUERIES,
        body=st.none() | st.binary(max_size=20),
    )
    def request(method: str, path: str, query: str, body: bytes | None) -> None:
        coroutine = call(method, f"{path}?{query}", body)
        response = asyncio.run_coroutine_threadsafe(coroutine, loop).result()
        assert response.status != 500

    await asyncio.to_thread(request)


async def test_each_request_is_reported(
    make_rest_client: Callable[[Emulator], Any], make_client: Callable[[], Any]
) -> None:
    """With operation, hub, status and effect; refused and unknown ones, too."""
    close = "/api/hubs/Chat/:closeConnections"
    entries: list[RequestEntry] = []
    async with Emulator(on_request=entries.append) as emulator:
        send = make_rest_client(emulator)
        for name in ("c1", "c2"):
            emulator.attach("chat", make_client(), connection_id=name)
        await send("POST", SEND + "?api-version=2024-12-01", b"x", **{"Content-Type": "text/plain"})
        await send("POST", close + "?reason=late")
        await send("POST", SEND, b"x", Authorization=None)
        await send("GET", "/nowhere")

    message = Message(b"x", DataType.TEXT)
    sent, closed = Deliver(("c1", "c2"), message), Close(("c1", "c2"), "late")
    assert entries == [
        RequestEntry("POST", SEND, "SendToAll", "chat", 202, sent, "api-version=2024-12-01"),
        RequestEntry("POST", close, "CloseAllConnections", "chat", 204, closed, "reason=late"),
        RequestEntry("POST", SEND, "SendToAll", "chat", 401),
        RequestEntry("GET", "/nowhere", "", "", 404),
    ]


async def test_a_slash_in_a_path_is_warned_of_once_a_name(
    call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that joined `a/b` receives nothing, which is hard to explain without a warning."""
    for segment in ("a%2Fb", "a%2fb", "a%252Fb", "plain", "50%25"):
        await call("POST", f"/api/hubs/chat/groups/{segment}/:send", b"x")

    assert [record.getMessage() for record in caplog.records] == [
        f"the path names 'a%2{letter}b', which is not 'a/b': the service keeps %2F in a path, so "
        "a client that joined with a / is not reached"
        for letter in "Ff"
    ]
