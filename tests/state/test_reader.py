"""Reads of a live hub: what is there, and what becomes of answers that no service gives."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from azure.messaging.webpubsubservice import WebPubSubServiceClient
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.reads import READS
from wps_run.connect.endpoint import parse_connection_string
from wps_run.emulator.server import Emulator
from wps_run.playbook.live import LiveConnection
from wps_run.playbook.options import RetryOptions, RunOptions
from wps_run.state.reader import ReadError, next_query, parse_page

EVIL = "a b%c+d?e#f:g\"'h😀&=i;j,k(l)*m!n~o_p.q@r[s]{t}|u<v>^`\\$w"
PATH = "/api/hubs/chat/groups/red/connections"


def answer(body: object, status: str = "200 OK", headers: str = "") -> bytes:
    """A whole response; a body that is no bytes goes out as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


def page(*connections: str, link: object = None, user: object = None) -> dict[str, Any]:
    """A page of connections of one user."""
    value = [{"connectionId": name, "userId": user} for name in connections]
    return {"value": value, "nextLink": link}


def missing(code: str) -> bytes:
    """A 404 of the service."""
    return answer(b"", "404 Not Found", f"x-ms-error-code: {code}\r\n")


async def test_answers_of_the_emulator(
    emulator: Emulator, reader_of: Callable[..., Any], null_client: Any
) -> None:
    """Who is there and who is not, with a name that needs every escape."""
    for name in (EVIL, "b"):
        emulator.attach("chat", null_client, user_id=name, connection_id=name, groups=[EVIL])
    emulator.attach("chat", null_client, user_id=None, connection_id="c", groups=[EVIL])
    endpoint = parse_connection_string(emulator.connection_string, "X")

    async with reader_of(endpoint) as reader:
        assert await reader.members(EVIL) == (
            LiveConnection(EVIL, EVIL),
            LiveConnection("b", "b"),
            LiveConnection("c", None),
        )
        assert await reader.members("other") == ()
        assert await reader.user_exists(EVIL)
        assert not await reader.user_exists("c")
        assert await reader.connection_exists("c")
        assert not await reader.connection_exists("gone")
        assert await reader.group_exists(EVIL)
        assert not await reader.group_exists("other")
        assert not await reader.has_permission("c", "sendToGroup", EVIL)
        assert not await reader.has_permission("gone", "sendToGroup", EVIL)


async def test_reads_agree_with_the_official_sdk(
    emulator: Emulator, reader_of: Callable[..., Any], null_client: Any
) -> None:
    """The same answers, over several pages, before and after a grant."""
    for number in range(450):
        user = None if number % 3 == 0 else f"u{number % 7}"
        emulator.attach(
            "chat", null_client, user_id=user, connection_id=f"c{number}", groups=["red"]
        )
    sdk = WebPubSubServiceClient.from_connection_string(emulator.connection_string, hub="chat")

    def ask_sdk() -> tuple[object, ...]:
        sdk.grant_permission("sendToGroup", "c1", target_name="a/b")
        return (
            [(each.connection_id, each.user_id) for each in sdk.list_connections(group="red")],
            [sdk.user_exists("u1"), sdk.user_exists("nobody")],
            [sdk.connection_exists("c1"), sdk.connection_exists("u1")],
            [sdk.group_exists("red"), sdk.group_exists("blue")],
            [
                sdk.has_permission("sendToGroup", "c1", target_name="a/b"),
                sdk.has_permission("joinLeaveGroup", "c1", target_name="a/b"),
            ],
        )

    theirs = await asyncio.to_thread(ask_sdk)
    async with reader_of(parse_connection_string(emulator.connection_string, "X")) as reader:
        ours = (
            list(await reader.members("red")),
            [await reader.user_exists("u1"), await reader.user_exists("nobody")],
            [await reader.connection_exists("c1"), await reader.connection_exists("u1")],
            [await reader.group_exists("red"), await reader.group_exists("blue")],
            [
                await reader.has_permission("c1", "sendToGroup", "a/b"),
                await reader.has_permission("c1", "joinLeaveGroup", "a/b"),
            ],
        )

    assert len(ours[0]) == 450
    assert ours == theirs


async def test_requests_are_those_of_the_rest_api(
    service: Any, reader_of: Callable[..., Any]
) -> None:
    """Method, path and query as they are on the wire; no body, so no length."""
    service.answer = lambda method, _: answer(page() if method == "GET" else b"")

    async with reader_of(service.endpoint) as reader:
        await reader.user_exists("a/b")
        await reader.connection_exists("c d")
        await reader.group_exists("..x")
        await reader.has_permission("c", "sendToGroup", "a/b")
        await reader.members("é")

    version = "api-version=2024-12-01"
    assert service.requests == [
        f"HEAD /api/hubs/chat/users/a%2Fb?{version}",
        f"HEAD /api/hubs/chat/connections/c%20d?{version}",
        f"HEAD /api/hubs/chat/groups/..x?{version}",
        f"HEAD /api/hubs/chat/permissions/sendToGroup/connections/c?targetName=a%2Fb&{version}",
        f"GET /api/hubs/chat/groups/%C3%A9/connections?maxpagesize=200&{version}",
    ]
    assert len(service.requests) == len(READS)
    assert not any("content-length" in head.lower() for head in service.heads)
    assert all("\r\nAuthorization: Bearer ey" in head for head in service.heads)


@pytest.mark.parametrize(
    ("group", "name_in_service"),
    [("a%20b", "a%20b"), ("a+b c", "a+b c"), ("a b/c", "a b%2Fc"), (EVIL, EVIL)],
)
async def test_pages_of_a_group_whose_links_have_another_path(
    emulator: Emulator,
    reader_of: Callable[..., Any],
    null_client: Any,
    group: str,
    name_in_service: str,
) -> None:
    """The service encodes it in its own way, which is another group or no audience of a token."""
    names = [f"c{number:03}" for number in range(201)]
    for name in names:
        emulator.attach("chat", null_client, connection_id=name, groups=[name_in_service])
    endpoint = parse_connection_string(emulator.connection_string, "X")

    async with reader_of(endpoint) as reader:
        members = await reader.members(group)

    assert [member.connection_id for member in members] == names


async def test_pages_use_only_the_query_of_a_link(
    service: Any, reader_of: Callable[..., Any]
) -> None:
    """A link to another host, or with another path, is followed at this endpoint and path."""
    links = {
        "maxpagesize=200": "https://evil.example/other%2Fpath?api-version=1&continuationToken=a%2Bb",
        "continuationToken=a%2Bb": "?continuationToken=c#x",
    }
    pages = iter("zyx")

    def respond(_: str, target: str) -> bytes:
        query = target.partition("?")[2].removesuffix("&api-version=2024-12-01")
        return answer(page(next(pages), link=links.get(query)))

    service.answer = respond
    async with reader_of(service.endpoint) as reader:
        members = await reader.members("red")

    assert [member.connection_id for member in members] == ["x", "y", "z"]
    assert service.requests == [
        f"GET {PATH}?{query}&api-version=2024-12-01" for query in (*links, "continuationToken=c")
    ]


async def test_a_connection_on_two_pages_counts_once(
    service: Any, reader_of: Callable[..., Any]
) -> None:
    """Pages shift while clients come and go."""
    pages = iter([page("a", "b", "b", link="?continuationToken=1"), page("b", "c")])
    service.answer = lambda *_: answer(next(pages))

    async with reader_of(service.endpoint) as reader:
        members = await reader.members("red")

    assert members == tuple(LiveConnection(name, None) for name in "abc")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"hello", "it is not JSON"),
        (b'{"x":' + b"[" * 100_000, "it is not JSON"),
        ([], "Expected `object`, got `array`"),
        ({}, "missing required field `value`"),
        ({"value": None}, "Expected `array`, got `null` - at `$.value`"),
        ({"value": ["a"]}, "Expected `object`, got `str`"),
        ({"value": [{"userId": "ada"}]}, "missing required field `connectionId`"),
        ({"value": [{"connectionId": 1}]}, "Expected `str`, got `int`"),
        ({"value": [{"connectionId": ""}]}, "length >= 1"),
        ({"value": [{"connectionId": "c", "userId": ["x"]}]}, "got `array` - at `$.value"),
        (page("c", link=7), "got `int` - at `$.nextLink`"),
        (b" " * 4 * 1024 * 1024 + b"{}", "has more than 4 MiB"),
        (page("c", link="?a=b\r\nHost: x"), "leads nowhere"),
        (page("c", link="?a=" + "b" * 10_000), "leads nowhere"),
        (page("c", link="https://evil.example/"), "leads nowhere"),
        (page("c", link=f"{PATH}?api-version=2024-12-01"), "leads nowhere"),
        (page("c", link=f"{PATH}?maxpagesize=200"), "leads nowhere"),
        (page("c", link="?continuationToken=again"), "leads nowhere"),
        (b"<html><title>Sign in</title></html>", "with a page (Sign in)"),
    ],
)
async def test_a_wrong_list_is_an_error(
    service: Any, reader_of: Callable[..., Any], body: object, reason: str
) -> None:
    """Not an empty group; the message says what is wrong, on one line."""
    service.answer = lambda *_: answer(body)

    async with reader_of(service.endpoint) as reader:
        with pytest.raises(ReadError) as caught:
            await reader.members("red\u202e")

    assert str(caught.value).startswith("cannot read the group `red\\u202e` of hub chat: ")
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.hint


@pytest.mark.parametrize("is_one_page", [True, False])
async def test_a_connection_with_two_users_is_an_error(
    service: Any, reader_of: Callable[..., Any], is_one_page: object
) -> None:
    """A connection never changes its user."""
    lists = [page("b", "c", user="ada"), page("c", "d", user="grace")]
    if is_one_page:
        lists = [{"value": [*lists[0]["value"], *lists[1]["value"]]}]
    else:
        lists[0]["nextLink"] = "?continuationToken=1"
    pages = iter(lists)
    service.answer = lambda *_: answer(next(pages))

    async with reader_of(service.endpoint) as reader:
        with pytest.raises(ReadError, match="with two users"):
            await reader.members("red")


async def test_a_list_without_an_end_is_an_error(
    service: Any, reader_of: Callable[..., Any]
) -> None:
    """Each page has a new link, and hardly a new connection."""
    numbers = iter(range(10_000))
    service.answer = lambda *_: answer(
        page("c", f"c{(n := next(numbers)) // 2}", link=f"?continuationToken={n}")
    )

    async with reader_of(service.endpoint) as reader:
        with pytest.raises(ReadError, match=r"does not end: 501 pages have 25\d connections"):
            await reader.members("red")


async def test_halves_of_surrogate_pairs_are_kept(
    service: Any, reader_of: Callable[..., Any]
) -> None:
    """A JSON text can have them, and whoever shows them escapes them."""
    service.answer = lambda *_: answer(b'{"value":[{"connectionId":"c","userId":"\\ud800"}]}')

    async with reader_of(service.endpoint) as reader:
        assert await reader.members("red") == (LiveConnection("c", "\ud800"),)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answer(b"", "404 Not Found"), "is it the service's own"),
        (answer(b"", "404 Not Found", "Server: awselb\r\n"), "in front of the service"),
        (answer(b"", "204 No Content"), "the service answers a read with 200"),
        (answer(b"", "302 Found", "Location: /x\r\n"), "redirects are not followed"),
        (answer(b"", "401 Unauthorized"), "the token was refused"),
        (answer(b"", "400 Bad Request"), "may not know this read"),
        (answer(b"", "200 OK", "Content-Type: text/html\r\n").replace(b": 0", b": 9"), "a page"),
        (answer(b"", "503 Service Unavailable"), "503"),
        (answer(b"", "429 Too Many Requests"), "too many requests"),
        (b"HTTP/1.1 999 X\r\n\r\n", "999"),
        (b"garbage\r\n\r\n", "the response is not HTTP"),
        (b"", "the connection broke before a response"),
    ],
)
async def test_only_the_service_says_that_something_is_missing(
    service: Any, reader_of: Callable[..., Any], reply: bytes, reason: str
) -> None:
    """Whatever else answers is an error, not an absent user."""
    service.answer = lambda *_: reply

    async with reader_of(service.endpoint) as reader:
        with pytest.raises(ReadError) as caught:
            await reader.user_exists("ada")

    assert str(caught.value).startswith("cannot read the user `ada` of hub chat: ")
    assert reason in str(caught.value)


async def test_a_body_after_the_head_of_head_is_dropped(
    service: Any, reader_of: Callable[..., Any]
) -> None:
    """It is no answer to the next request, which goes to another connection."""
    replies = iter([answer(b"") + missing("Warning.User.NotExisted"), answer(b"")])
    service.answer = lambda *_: next(replies)

    async with reader_of(service.endpoint) as reader:
        assert await reader.user_exists("ada")
        assert await reader.user_exists("grace")


@pytest.mark.parametrize(
    "failure",
    [
        b"",
        answer(b"", "500 Internal Server Error"),
        answer(b"", "429 Too Many Requests", "Retry-After: 0\r\n"),
        b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{"value":[',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\n{}",
    ],
    ids=["dropped", "500", "429", "half a page", "half a chunk"],
)
async def test_reads_are_retried(
    service: Any, reader_of: Callable[..., Any], failure: bytes
) -> None:
    """With the same request ID, also when half of a page arrived."""
    replies = iter([failure, failure, answer(page("c"))])
    service.answer = lambda *_: next(replies)

    async with reader_of(service.endpoint) as reader:
        assert await reader.members("red") == (LiveConnection("c", None),)

    ids = {head.partition("x-ms-client-request-id: ")[2].split("\r\n")[0] for head in service.heads}
    assert (len(service.requests), len(ids)) == (3, 1)


async def test_half_a_page_is_never_taken_for_one(
    service: Any, reader_of: Callable[..., Any]
) -> None:
    """When it is all that ever arrives, the list cannot be read."""
    half = b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\nConnection: close\r\n\r\n{"value":[]}'
    service.answer = lambda *_: half

    async with reader_of(service.endpoint) as reader:
        with pytest.raises(ReadError, match="the connection broke"):
            await reader.members("red")

    assert len(service.requests) == 4


async def test_all_reads_wait_when_the_service_asks_for_it(
    service: Any, reader_of: Callable[..., Any]
) -> None:
    """One that is throttled delays the others, and the caller hears of the wait once."""
    service.answer = lambda *_: answer(b"", "429 Too Many Requests", "Retry-After: 60\r\n")
    waits: asyncio.Queue[float] = asyncio.Queue()

    async with reader_of(
        service.endpoint, on_wait=lambda wait: waits.put_nowait(wait.seconds)
    ) as reader:
        reads = [asyncio.create_task(reader.user_exists("ada"))]
        assert await waits.get() == pytest.approx(60)
        reads.append(asyncio.create_task(reader.user_exists("grace")))
        done, _ = await asyncio.wait(reads, timeout=0.05)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)

    assert not done
    assert waits.empty()
    assert len(service.requests) == 1


async def test_reads_keep_to_concurrency_and_rate(
    emulator: Emulator, reader_of: Callable[..., Any]
) -> None:
    """As a run does: with a rate of 100, eleven reads take a tenth of a second."""
    options = RunOptions(concurrency=2, rate=100.0, retry=RetryOptions(1))
    endpoint = parse_connection_string(emulator.connection_string, "X")

    async with reader_of(endpoint, options) as reader:
        started = time.monotonic()
        found = await asyncio.gather(*(reader.user_exists(str(number)) for number in range(11)))

    assert not any(found)
    assert time.monotonic() - started > 0.09


@given(st.text() | st.text("?&=#/abc"))
def test_the_query_of_a_link_is_safe_in_a_request(link: str) -> None:
    """It has no white space, no control characters and no second api-version."""
    query = next_query(link)

    assert query.isascii()
    assert not set(query) & set(" \r\n\t#?") - {"?"}
    assert "api-version=" not in [pair[:12] for pair in query.lower().split("&")]


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda child: (
            st.lists(child) | st.dictionaries(st.sampled_from(["value", "nextLink"]), child)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_a_page_is_parsed_or_refused(body: bytes) -> None:
    """Nothing but a ValueError is raised, whatever the body is."""
    with suppress(ValueError):
        assert all(member.connection_id for member in parse_page(body).value)
