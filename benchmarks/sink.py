"""The server that every client is measured against: it accepts all, at once or after a delay.

`python benchmarks/sink.py [--latency SECONDS] [--cert FILE --key FILE]` prints its port, serves
until its standard input ends, and then prints how many requests it received. Loopback only.
"""

import argparse
import asyncio
import ssl
import sys

END_OF_HEADERS = b"\r\n\r\n"
LENGTH = b"content-length:"


class AcceptingProtocol(asyncio.Protocol):
    """The server's end of one connection.

    Args:
        latency: Seconds from a request to its response.
        counter: Counts the requests.
    """

    def __init__(self, latency: float, counter: "RequestCounter") -> None:
        self._latency = latency
        self._count = counter
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the responses."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request: 204 to a DELETE, 200 to others."""
        self._data += data
        while END_OF_HEADERS in self._data:
            head, _, rest = self._data.partition(END_OF_HEADERS)
            length = int(head.lower().partition(LENGTH)[2].partition(b"\r\n")[0] or 0)
            if len(rest) < length:
                return
            self._data = rest[length:]
            self._count.requests += 1
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._respond, head[:1])
            else:
                self._respond(head[:1])

    def _respond(self, method: bytes) -> None:
        if isinstance(self._transport, asyncio.Transport) and not self._transport.is_closing():
            self._transport.write(RESPONSES.get(method, RESPONSES[b"P"]))


class RequestCounter:
    """The number of requests."""

    requests = 0


RESPONSES = {
    letter: b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status
    for letter, status in {b"P": b"200 OK", b"D": b"204 No Content"}.items()
}
"""By the first letter of the method; measured actions are PUT and DELETE."""


async def serve(latency: float, context: ssl.SSLContext | None) -> int:
    """Serve until standard input ends; return the number of requests."""
    counter = RequestCounter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: AcceptingProtocol(latency, counter), "127.0.0.1", 0, ssl=context, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()
    return counter.requests


def main() -> None:
    """Serve, and print the number of requests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each response")
    parser.add_argument("--cert", help="a certificate (PEM): https")
    parser.add_argument("--key", help="its private key (PEM)")
    args = parser.parse_args()
    context = None
    if args.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.cert, args.key)
    print(asyncio.run(serve(args.latency, context)))


if __name__ == "__main__":
    main()
