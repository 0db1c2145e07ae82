"""Measure the memory and the time of `plan` and `run` over a CSV file of many rows.

Run it with wps-run installed: `python benchmarks/stream.py [--rows 1000000]`. It uses loopback
only. Memory is the largest resident set of the process, as the kernel reports it (not on Windows).
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LIMIT_MIB = 100
"""The upper bound for a million rows."""

TEAMS = 50
PLAYBOOK = """\
hub: chat
mode: concurrent
concurrency: 64
actions:
  - forEach: {file: members.csv}
    actionName: addUserToGroup
    userId: ${each.userId}
    group: launch-${each.team}
"""
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of the unit in which the kernel reports the resident set."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one command: seconds and peak MiB."""

    command: str
    seconds: float
    memory: float


class AcceptingProtocol(asyncio.Protocol):
    """A server's end of a connection; it responds with 200 to each request without a body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the responses."""
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Respond to each request whose headers have ended."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        if isinstance(self._transport, asyncio.Transport):
            self._transport.write(RESPONSE * len(requests))


@contextmanager
def server() -> Iterator[int]:
    """Run a server that accepts all in its own thread; yield its port."""
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(loop.create_server(AcceptingProtocol, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def write_inputs(folder: Path, rows: int) -> None:
    """Write the playbook and its rows."""
    (folder / "playbook.yaml").write_text(PLAYBOOK, encoding="utf-8")
    with (folder / "members.csv").open("w", encoding="utf-8") as file:
        file.write("userId,team\n")
        file.writelines(f"user-{number:07},team-{number % TEAMS}\n" for number in range(rows))


def measure(folder: Path, port: int, *args: str) -> Cost:
    """Run `wps-run` with arguments and measure it.

    Raises:
        subprocess.CalledProcessError: The command failed.
    """
    settings = {
        "WebPubSubConnectionString": f"Endpoint=http://127.0.0.1:{port};AccessKey=bG9vcGJhY2s=;",
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder),
    }
    began = time.perf_counter()
    child = subprocess.Popen(  # noqa: S603 -- our own command
        [sys.executable, "-m", "wps_run", *args, "playbook.yaml"],
        cwd=folder,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, child.args)
    seconds = time.perf_counter() - began
    return Cost(" ".join(args), seconds, _mebibytes(usage))


def _mebibytes(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss * UNIT / 1024 / 1024


def main() -> int:
    """Measure both commands and print a table; return 1 if one took too much memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="number of rows")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name, server() as port:
        folder = Path(name)
        write_inputs(folder, rows)
        costs = [
            measure(folder, port, "plan", "--format", "ndjson"),
            measure(folder, port, "run", "--output", "ndjson"),
        ]
    print(f"{'command':<24} {'rows':>9} {'seconds':>8} {'us per row':>9} {'peak MiB':>9}")
    for cost in costs:
        per_row = cost.seconds / rows * 1e6
        print(
            f"{cost.command:<24} {rows:>9} {cost.seconds:>8.1f} {per_row:>9.1f} {cost.memory:>9.1f}"
        )
    return int(any(cost.memory > LIMIT_MIB for cost in costs))


if __name__ == "__main__":
    sys.exit(main())
