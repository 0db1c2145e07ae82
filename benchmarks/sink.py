"""The server that every client is measured against: it accepts all, at once or after a delay.

`python benchmarks/sink.py [--latency SECONDS] [--cert FILE --key FILE] [--members COUNT]` prints
its port, serves until its standard input ends, and then prints how many requests it received.
Each group has `--members` connections of as many users, `user0` and so on, and everybody exists.
Loopback only.
"""

import argparse
import asyncio
import json
import random
import re
import ssl
import sys
from collections.abc import Sequence

END_OF_HEADERS = b"\r\n\r\n"
LENGTH = b"content-length:"
PAGE = 200
"""Connections on a page: as many as the service puts on one."""

PAGE_NUMBER = re.compile(rb"continuationToken=(\d+)")


class AcceptingProtocol(asyncio.Protocol):
    """The server's end of one connection.

    Args:
        latency: Seconds from a request to its response.
        counter: Counts the requests.
        pages: The responses to GET, one for each page of the connections in a group.
    """

    def __init__(self, latency: float, counter: "RequestCounter", pages: Sequence[bytes]) -> None:
        self._latency = latency
        self._count = counter
        self._pages = pages
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the responses."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request: a page to a GET, 204 to a DELETE, 200 to others."""
        self._data += data
        while END_OF_HEADERS in self._data:
            head, _, rest = self._data.partition(END_OF_HEADERS)
            length = int(head.lower().partition(LENGTH)[2].partition(b"\r\n")[0] or 0)
            if len(rest) < length:
                return
            self._data = rest[length:]
            self._count.requests += 1
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._respond, head)
            else:
                self._respond(head)

    def _respond(self, head: bytes) -> None:
        if isinstance(self._transport, asyncio.Transport) and not self._transport.is_closing():
            self._transport.write(self._response(head))

    def _response(self, head: bytes) -> bytes:
        if head[:1] == b"G":
            number = PAGE_NUMBER.search(head)
            return self._pages[int(number[1]) if number else 0]
        return RESPONSES.get(head[:1], RESPONSES[b"P"])


class RequestCounter:
    """The number of requests."""

    requests = 0


RESPONSES = {
    letter: b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status
    for letter, status in {b"P": b"200 OK", b"D": b"204 No Content"}.items()
}
"""By the first letter of the method; measured actions are PUT and DELETE, measured reads HEAD."""


def pages_of(count: int, origin: str) -> list[bytes]:
    """Return the responses with the pages of a group, in the order of its connection IDs."""
    ids = random.Random(count)  # noqa: S311 -- the same in each run
    members = [
        {"connectionId": f"{ids.getrandbits(176):044x}", "userId": f"user{number}"}
        for number in range(count)
    ]
    members.sort(key=lambda member: member["connectionId"])
    responses = []
    for start in range(0, count, PAGE):
        page: dict[str, object] = {"value": members[start : start + PAGE]}
        if start + PAGE < count:
            query = f"continuationToken={start // PAGE + 1}&api-version=2024-12-01"
            page["nextLink"] = f"{origin}/api/hubs/chat/groups/launch/connections?{query}"
        body = json.dumps(page).encode()
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
        responses.append(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return responses


async def serve(latency: float, context: ssl.SSLContext | None, members: int) -> int:
    """Serve until standard input ends; return the number of requests."""
    counter = RequestCounter()
    pages: list[bytes] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: AcceptingProtocol(latency, counter, pages),
        "127.0.0.1",
        0,
        ssl=context,
        backlog=1024,
    )
    port = server.sockets[0].getsockname()[1]
    pages += pages_of(members, f"{'https' if context else 'http'}://127.0.0.1:{port}")
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    return counter.requests


def main() -> None:
    """Serve, and print the number of requests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each response")
    parser.add_argument("--cert", help="a certificate (PEM): https")
    parser.add_argument("--key", help="its private key (PEM)")
    parser.add_argument("--members", type=int, default=0, help="connections in each group")
    args = parser.parse_args()
    context = None
    if args.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.cert, args.key)
    print(asyncio.run(serve(args.latency, context, args.members)))


if __name__ == "__main__":
    main()
