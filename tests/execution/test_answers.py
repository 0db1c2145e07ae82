"""What the answers of a raw server mean: over 120 answers, each to four kinds of action."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from wps_run.connect.endpoint import Endpoint
from wps_run.playbook.options import OnError, RetryOptions
from wps_run.playbook.steps import Step


@dataclass(frozen=True)
class Answer:
    """What a server sends after it has read a request.

    Attributes:
        text: Its bytes, as Latin-1; `{success}` stands for the documented status of the action.
        expected: The statuses of the results: of an add (success 200), a send (202), a remove
            (204), and a close of a group (204); or the same status for all of them.
        is_last: Whether the server then closes the connection.
    """

    text: str
    expected: str
    is_last: bool = False

    def results(self) -> list[str]:
        """Return the expected status for each of the actions."""
        statuses = self.expected.split()
        return statuses * 4 if len(statuses) == 1 else statuses


def head(status: object, *headers: str) -> str:
    """Return the head of an answer without a body."""
    return "\r\n".join((f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "", ""))


def page(status: object, body: str, *headers: str) -> str:
    """Return an answer with a body."""
    fields = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(fields) + body


SUCCESS = head("{success} X")
HTML = "Content-Type: text/html"
LOGIN = "<!doctype html><html><title>Log in</title></html>"

DOCUMENTED = [
    Answer(head("200 OK"), "ok unknown unknown unknown"),
    Answer(head("202 Accepted"), "unknown ok unknown unknown"),
    Answer("HTTP/1.1 204 No Content\r\n\r\n", "unknown unknown ok ok"),
    Answer("HTTP/1.1 {success}\r\nContent-Length: 0\r\n\r\n", "ok"),
    Answer("HTTP/1.0 {success} X\r\nContent-Length: 0\r\n\r\n", "ok", is_last=True),
    Answer("HTTP/1.1 200 OK\r\n\r\n", "ok unknown unknown unknown", is_last=True),
    Answer(page("200 OK", "OK"), "ok unknown unknown unknown"),
    Answer(page("200 OK", "{}", "Content-Type: application/json"), "ok unknown unknown unknown"),
    Answer(head("{success} X", HTML), "ok"),
    Answer(page("200 OK", "")[:-4] + "\r\nX: y\r\n\r\n", "ok unknown unknown unknown"),
    # The status line counts, even when the body breaks off.
    Answer(page("200 OK", "12345")[:-3], "ok unknown unknown unknown", is_last=True),
]
OTHER_SUCCESSES = [
    *(Answer(head(status), "unknown") for status in (201, 203, 206, 207, 208, 218, 226, 250, 299)),
    Answer("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "unknown"),
]
PAGES = [
    Answer(page("200 OK", LOGIN, HTML), "unknown"),
    Answer(page("202 Accepted", LOGIN, HTML), "unknown"),
    Answer(page("200 OK", LOGIN), "unknown"),
    Answer(page("200 OK", "maintenance", HTML + "; charset=utf-8"), "unknown"),
    Answer(page("200 OK", "x", "Content-Type: Application/XHTML+xml"), "unknown"),
    Answer(page("200 OK", "\xef\xbb\xbf" + LOGIN), "unknown"),
    Answer(page("200 OK", "\r\n\r\n\t  " + LOGIN, "Content-Type: text/plain"), "unknown"),
    Answer(page("200 OK", "\xff\xfe<\0h\0t\0m\0l\0>\0"), "unknown"),
    Answer(page("200 OK", "<!-- x --><HTML>"), "unknown"),
    Answer(page("200 OK", "<?xml version='1.0'?><Error/>"), "unknown"),
    Answer("HTTP/1.1 200 OK\r\n\r\n" + LOGIN, "unknown", is_last=True),
    Answer(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<html>\r\n0\r\n\r\n", "unknown"
    ),
    Answer(page("200 OK", LOGIN, HTML)[: -len(LOGIN)], "unknown", is_last=True),
    Answer(page("200 OK", LOGIN + " " * 200_000, HTML), "unknown"),
    Answer(page("404 Not Found", LOGIN, HTML), "failed"),
    Answer(page("403 Forbidden", LOGIN, HTML), "failed"),
    Answer(page("503 X", LOGIN, HTML), "unknown"),
]
REFUSALS = [
    *(Answer(head(status), "failed") for status in (300, 301, 302, 303, 307, 308, 399)),
    Answer(head("302 Found", "Location: http://login.example/"), "failed"),
    Answer("HTTP/1.1 304 Not Modified\r\n\r\n", "failed"),
    *(Answer(head(status), "failed") for status in range(400, 408)),
    *(Answer(head(status), "failed") for status in (409, 410, 411, 412, 413, 414, 415, 418, 421)),
    *(Answer(head(status), "failed") for status in (422, 426, 428, 429, 431, 451, 499)),
    Answer(head("429 X", "Retry-After: 0"), "failed"),
]
TROUBLE = [
    Answer(head(408), "unknown"),
    *(Answer(head(status), "unknown") for status in range(500, 512)),
    *(Answer(head(status), "unknown") for status in (520, 522, 530, 598, 599)),
]
NO_CLASS = [
    *(Answer(head(status), "unknown") for status in ("000", "001", "042", "099")),
    *(Answer(head(status), "unknown") for status in (600, 601, 700, 799, 800, 999)),
    Answer("HTTP/1.1 101 Switching Protocols\r\n\r\n", "unknown"),
    Answer(
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x02hi", "unknown"
    ),
    *(Answer(f"HTTP/1.1 {status} X\r\n\r\n", "unknown", is_last=True) for status in (100, 199)),
]
INFORMATIONAL = [
    Answer("HTTP/1.1 100 Continue\r\n\r\n" + SUCCESS, "ok"),
    Answer("HTTP/1.1 102 Processing\r\n\r\n" + SUCCESS, "ok"),
    Answer("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + SUCCESS, "ok"),
    Answer("HTTP/1.1 100 Continue\r\n\r\n" * 50 + SUCCESS, "ok"),
    Answer("HTTP/1.1 100 Continue\r\n\r\n" + head(400), "failed"),
    Answer("HTTP/1.1 150 X\r\n\r\n" + head(500), "unknown"),
]
NOT_HTTP = [
    *(
        Answer(f"{line}\r\nContent-Length: 0\r\n\r\n", "unknown")
        for line in (
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 2x2 OK",
            "HTTP/1.1 -202 OK",
            "HTTP/1.1 +202 OK",
            "HTTP/1.1 OK",
            "HTTP/1.1",
            "HTTP/1.1 202OK",
            "HTTP/x.y 202 OK",
            "HTTP/11 202 OK",
            "HTTP/1.1.1 202 OK",
            "HTTP/9.9 202 OK",
            "HTTP/2.0 202 OK",
            "HTTP/0.9 202 OK",
            "http/1.1 202 OK",
            "HTTPS/1.1 202 OK",
            "ICY 202 OK",
            "202 OK",
            "POST / HTTP/1.1",
        )
    ),
    Answer("", "unknown", is_last=True),
    Answer("\r\n", "unknown", is_last=True),
    Answer("H", "unknown", is_last=True),
    Answer("HTTP/1.1 202", "unknown", is_last=True),
    Answer("HTTP/1.1 {success} X\r\nContent-Length: 0\r\n", "unknown", is_last=True),
    Answer("SSH-2.0-OpenSSH_9.6\r\n", "unknown", is_last=True),
    Answer("220 mail.example ESMTP\r\n", "unknown", is_last=True),
    Answer(LOGIN, "unknown", is_last=True),
    Answer("\0\x01\x02\xff" * 100, "unknown", is_last=True),
    Answer("\x15\x03\x01\0\x02\x02\x50", "unknown", is_last=True),
    Answer(head("{success} X", "No colon"), "unknown"),
    Answer(head("{success} X", "A: \0"), "unknown"),
    Answer(head("{success} X", "Content-Length: 5"), "unknown"),
    Answer("HTTP/1.1 200 X\r\nContent-Length: -1\r\n\r\n", "unknown"),
    Answer("HTTP/1.1 200 X\r\nContent-Length: 1e3\r\n\r\n", "unknown"),
    Answer(head("{success} X", "A: " + "a" * 70_000), "unknown"),
    Answer(head("{success} X", *(f"A{n}: a" for n in range(5000))), "unknown"),
]
MORE_THAN_ASKED = [
    Answer(SUCCESS + SUCCESS, "ok"),
    Answer(SUCCESS + SUCCESS[:20], "ok"),
    Answer(SUCCESS + "garbage", "ok"),
    Answer(SUCCESS + "\r\n", "ok"),
    Answer(SUCCESS + head(500), "ok"),
    Answer(head(500) + SUCCESS * 3, "unknown"),
    Answer(head(404) + SUCCESS, "failed"),
    Answer(page(404, "abc") + SUCCESS, "failed"),
    Answer(page(404, "abc") + "HTTP/1.1 20", "failed"),
    Answer(page(404, "abc") + "x", "failed"),
    Answer(SUCCESS + "HTTP/1.1 100 Continue\r\n\r\n", "ok"),
]
ANSWERS = [
    *DOCUMENTED,
    *OTHER_SUCCESSES,
    *PAGES,
    *REFUSALS,
    *TROUBLE,
    *NO_CLASS,
    *INFORMATIONAL,
    *NOT_HTTP,
    *MORE_THAN_ASKED,
]
SUCCESSES = {"PUT": 200, "DELETE": 204, "POST": 202}


@dataclass
class AnsweringServer:
    """Gives each request the answer whose number is in its path.

    Attributes:
        port: Where it listens.
        seen: The numbers of the requests that it has read, with their methods.
        pause: Whether the parts of an answer go out one by one.
    """

    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while not writer.is_closing():
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                length = next(int(line[16:]) for line in lines if line.startswith("Content-Length"))
                await reader.readexactly(length)
                match = re.search(r"groups/(\d+)", lines[0])
                assert match is not None
                answer = ANSWERS[int(match[1])]
                method = "DELETE" if ":close" in lines[0] else lines[0].split()[0]
                text = answer.text.replace("{success}", str(SUCCESSES[method]))
                writer.write(text.encode("latin-1"))
                await writer.drain()
                if answer.is_last:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """The address of a server that gives the answers."""
    listener = await asyncio.start_server(AnsweringServer().serve, "127.0.0.1", 0)
    yield Endpoint(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", "k" * 44)
    listener.close()


async def test_answer_means_what_is_certain(
    run: Any, make_step: Callable[..., Step], endpoint: Endpoint
) -> None:
    """`ok` only for the documented answer, `failed` only if it was not done, else `unknown`.

    All share their connections, so that no answer may reach another request either.
    """
    steps = [
        make_step(name, on_error=OnError.CONTINUE, timeout=5.0, group=str(number), **values)
        for number in range(len(ANSWERS))
        for name, values in (
            ("addUserToGroup", {"userId": "ada"}),
            ("sendToGroup", {}),
            ("removeUserFromGroup", {"userId": "ada"}),
            ("closeGroupConnections", {}),
        )
    ]
    run.endpoint = endpoint
    run.options = replace(run.options, retry=RetryOptions(2, 0.0, 0.0))

    results = sorted(await run.results(steps), key=lambda result: result.index)

    assert len(ANSWERS) >= 120
    wrong = [
        (answer.text[:80], result.action_name, result.status.value, expected, result.error)
        for number, answer in enumerate(ANSWERS)
        for result, expected in zip(
            results[4 * number : 4 * number + 4], answer.results(), strict=True
        )
        if result.status.value != expected
    ]
    assert wrong == []
    attempts_without_repeat = {
        r.attempts
        for r in results
        if r.status.value == "unknown" and r.action_name in ("sendToGroup", "closeGroupConnections")
    }
    assert attempts_without_repeat == {1}
