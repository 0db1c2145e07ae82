"""Measure the cost of the journal: the time of whole runs with one and without.

Run it with wps-run installed: `python benchmarks/journal.py [--actions 10000] [--rounds 5]`. It
uses loopback only. The server, in its own process, responds at once, so the journal is a
larger share of a run here than with any real service. Runs with and without alternate, and the
median of their ratios counts, because the speed of a machine varies.
"""

import argparse
import asyncio
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

TARGET = 0.9
"""The lowest throughput of idempotent actions, as a share of that without a journal."""

ADDS = "forEach: {file: rows.csv}, actionName: addUserToGroup, userId: '${each.u}', group: g"
SENDS = "forEach: {file: rows.csv}, actionName: sendToUser, userId: '${each.u}', data: hello"
END_OF_HEADERS = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison.

    Attributes:
        name: Its name in the table.
        action: The action of the playbook.
        concurrency: Requests in flight.
        share: The part of the actions to run; slow cases run fewer.
    """

    name: str
    action: str
    concurrency: int
    share: float = 1.0


CASES = (
    Case("adds, 64 in flight", ADDS, 64),
    Case("sends, 64 in flight", SENDS, 64),
    Case("sends, one at a time", SENDS, 1, 0.2),
)


class AcceptingProtocol(asyncio.Protocol):
    """A server's end of a connection; responds to each complete request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the responses."""
        self._transport = transport
        self._data = b""

    def data_received(self, data: bytes) -> None:
        """Respond to complete requests: 202 to a POST, which is a send, 200 to the rest."""
        self._data += data
        while END_OF_HEADERS in self._data:
            head, _, rest = self._data.partition(END_OF_HEADERS)
            after = head.lower().partition(b"content-length:")[2]
            length = int(after.partition(b"\r\n")[0] or 0)
            if len(rest) < length:
                return
            self._data = rest[length:]
            status = b"202 Accepted" if head.startswith(b"POST") else b"200 OK"
            if isinstance(self._transport, asyncio.Transport):
                self._transport.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)


def serve(ready: Connection) -> None:
    """Serve until terminated; send the port."""

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(AcceptingProtocol, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@contextmanager
def server() -> Iterator[int]:
    """Run the server in its own process; yield its port."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def write_inputs(folder: Path, case: Case, actions: int) -> None:
    """Write the playbook and its rows."""
    mode = "sequential" if case.concurrency == 1 else "concurrent"
    (folder / "p.yaml").write_text(
        f"hub: chat\nmode: {mode}\nconcurrency: {case.concurrency}\nactions: [{{{case.action}}}]\n",
        encoding="utf-8",
    )
    rows = (f"user-{number:06}" for number in range(actions))
    (folder / "rows.csv").write_text("\n".join(["u", *rows, ""]), encoding="utf-8")


def seconds(folder: Path, port: int, *args: str) -> float:
    """Return the seconds of one run, from the start of its process to the end.

    Raises:
        subprocess.CalledProcessError: The run failed.
    """
    setting = f"Endpoint=http://127.0.0.1:{port};AccessKey=bG9vcGJhY2s=;"
    began = time.perf_counter()
    subprocess.run(  # noqa: S603 -- our own command
        [sys.executable, "-m", "wps_run", "run", "p.yaml", "--output", "ndjson", *args],
        cwd=folder,
        env={**os.environ, "WebPubSubConnectionString": setting},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def measure(case: Case, port: int, actions: int, rounds: int) -> tuple[float, float, float]:
    """Return medians: actions per second without and with a journal, and their ratio."""
    plain, recorded = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, case, actions)
        for number in range(rounds):
            pair = {
                args: actions / seconds(folder, port, *args)
                for args in _in_turn(("--no-journal",), ("--journal", f"{number}.journal"), number)
            }
            plain.append(pair["--no-journal",])
            recorded.append(pair["--journal", f"{number}.journal"])
    ratios = [a / b for a, b in zip(recorded, plain, strict=True)]
    return statistics.median(plain), statistics.median(recorded), statistics.median(ratios)


def _in_turn(
    first: tuple[str, ...], second: tuple[str, ...], number: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return both, in alternating order: the second may profit from warm caches."""
    return (second, first) if number % 2 else (first, second)


def main() -> int:
    """Measure and print a table; return 1 if the target for idempotent actions is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actions", type=int, default=10_000, help="actions in a run")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind")
    args = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, ",
        end="",
    )
    print(f"aiohttp {version('aiohttp')}, journals in {tempfile.gettempdir()}\n")
    print("| actions | without, per second | with, per second | ratio |\n|---|---|---|---|")
    ratios = []
    with server() as port:
        for case in CASES:
            plain, recorded, ratio = measure(
                case, port, int(args.actions * case.share), args.rounds
            )
            print(f"| {case.name} | {plain:.0f} | {recorded:.0f} | {ratio:.2f} |", flush=True)
            ratios.append(ratio)
    return int(ratios[0] < TARGET)


if __name__ == "__main__":
    sys.exit(main())
