"""Compare answers of `wps-run listen` with those of a bare aiohttp handler that returns a constant.

`python benchmarks/events.py` loads a file of users, sends events `connect` of random users, signed
with both keys of a service, to the two servers in turn, and prints:

- the median, over all rounds, of the bare handler's processor time divided by that of `listen`: its
  share of the rate, since one process answers at most as fast as one core lets it;
- the peak memory in bytes per row of the file, beyond that of a list of one user.

It reads /proc, so it needs Linux. Loopback only.
"""

import argparse
import asyncio
import hmac
import json
import os
import random
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from measuring import on_first_core, on_last_core

KEYS = ("a-key-for-benchmarks-on-loopback-only", "the-other-key")
ORIGIN = "benchmark.webpubsub.azure.com"
PLAYBOOK = "{hub: chat, groups: {red: {users: {file: users.csv}, roles: [sendToGroup]}}}"
ANSWER = b'{"groups":["red"],"roles":["webpubsub.sendToGroup.red"]}'
CONNECTIONS = 16
BODY = json.dumps(
    {
        "claims": {"iat": ["1790000000"], "exp": ["1790003600"], "sub": ["user"]},
        "query": {"access_token": ["x" * 300]},
        "headers": {"Sec-WebSocket-Version": ["13"], "User-Agent": ["x" * 60]},
        "subprotocols": ["json.webpubsub.azure.v1"],
        "clientCertificates": [],
    }
).encode()


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process and its port."""

    process: int
    port: int

    def seconds(self) -> float:
        """Return its processor time."""
        statistics_text = Path(f"/proc/{self.process}/schedstat").read_text(encoding="ascii")
        return int(statistics_text.split()[0]) / 1e9

    def peak(self) -> int:
        """Return the bytes of its largest resident set."""
        status = Path(f"/proc/{self.process}/status").read_text(encoding="utf-8")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        if found is None:
            raise RuntimeError("the kernel reports no peak memory")
        return int(found[1]) * 1024


async def serve_constant() -> None:
    """Serve a constant with aiohttp until standard input ends."""

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(body=ANSWER, content_type="application/json")

    server = web.Server(answer, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/eventhandler", flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def bare() -> Iterator[Server]:
    """Run the bare handler."""
    with running([sys.executable, __file__, "--serve"], Path()) as server:
        yield server


@contextmanager
def listen(folder: Path, users: int) -> Iterator[Server]:
    """Run `wps-run listen` with a number of users."""
    folder.mkdir()
    (folder / "rooms.yaml").write_text(PLAYBOOK, encoding="utf-8")
    with (folder / "users.csv").open("w", encoding="utf-8") as file:
        file.write("id\n")
        file.writelines(f"{user(number)}\n" for number in range(users))
    args = [sys.executable, "-m", "wps_run", "listen", "--port", "0", "rooms.yaml"]
    with running(args, folder) as server:
        yield server


@contextmanager
def running(args: Sequence[str], folder: Path) -> Iterator[Server]:
    """Run a server in its own process, on the last core; it prints its URL when it is ready."""
    setting = f"Endpoint=https://{ORIGIN};AccessKey={KEYS[0]};Version=1.0;"
    with subprocess.Popen(  # noqa: S603 -- our own commands
        args,
        cwd=folder,
        env={**os.environ, "WebPubSubConnectionString": setting},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=on_last_core,  # noqa: PLW1509 -- there are no threads here
    ) as child:
        try:
            if child.stdout is None:
                raise RuntimeError("the server has no pipe")
            yield Server(child.pid, int(child.stdout.readline().split(":")[2].split("/")[0]))
        finally:
            child.kill()


def user(number: int) -> str:
    """Return the name of a user."""
    return f"user-{number:012d}"


def events(count: int, users: int) -> list[bytes]:
    """Return requests with the event `connect`, each of a random user and a new connection."""
    choice = random.Random(count)  # noqa: S311 -- the same in each run
    return [event(user(choice.randrange(users)), choice.getrandbits(128)) for _ in range(count)]


def event(name: str, number: int) -> bytes:
    """Return the request with the event `connect` of a user."""
    connection = f"{number:032x}"
    digests = [hmac.digest(key.encode(), connection.encode(), "sha256").hex() for key in KEYS]
    headers = {
        "Host": "handler.example",
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": len(BODY),
        "WebHook-Request-Origin": ORIGIN,
        "ce-specversion": "1.0",
        "ce-type": "azure.webpubsub.sys.connect",
        "ce-source": f"/hubs/chat/client/{connection}",
        "ce-id": "1",
        "ce-time": "2026-11-29T10:00:00Z",
        "ce-signature": ",".join(f"sha256={digest}" for digest in digests),
        "ce-connectionId": connection,
        "ce-hub": "chat",
        "ce-eventName": "connect",
        "ce-userId": name,
    }
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return f"POST /eventhandler HTTP/1.1\r\n{lines}\r\n".encode() + BODY


def seconds_of(server: Server, requests: Sequence[bytes]) -> float:
    """Return the processor time in which a server answers requests, several at a time.

    Raises:
        RuntimeError: An answer is wrong.
    """
    began = server.seconds()
    waiting = iter(requests)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _, request in zip(range(CONNECTIONS), waiting, strict=False):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            selector.register(client, selectors.EVENT_READ, client)
            client.sendall(request)
        while selector.get_map():
            for key, _ in selector.select():
                answer = key.data.recv(65536)
                if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(ANSWER):
                    raise RuntimeError(f"a wrong answer: {answer!r}")
                if request := next(waiting, b""):
                    key.data.sendall(request)
                else:
                    selector.unregister(key.data)
    return server.seconds() - began


def measure(users: int, count: int, rounds: int) -> tuple[float, float]:
    """Return the share of the bare handler's rate, and the bytes of memory per user."""
    requests = events(count, users)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base = stack.enter_context(listen(folder / "one", 1)).peak()
        ours = stack.enter_context(listen(folder / "many", users))
        memory = max(0, ours.peak() - base) / users  # of few users, less than what varies
        constant = stack.enter_context(bare())
        shares = []
        for number in range(rounds + 1):
            order = (constant, ours) if number % 2 else (ours, constant)
            seconds = {server: seconds_of(server, requests) for server in order}
            if number:  # the first round is to warm up
                shares.append(seconds[constant] / seconds[ours])
    return statistics.median(shares), memory


def main() -> None:
    """Measure and print, or run as the bare handler with `--serve`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=5_000, help="requests in a round")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve_constant())
        return
    on_first_core()
    print(*measure(args.users, args.requests, args.rounds))


if __name__ == "__main__":
    main()
