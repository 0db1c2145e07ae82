"""Measures the memory and the time of `plan` and `run` over a CSV file of many rows.

Run it with wps-run installed: `python benchmarks/stream.py [--rows 1000000]`. It uses loopback
only. Memory is the largest resident set of the process, as the kernel tells it (not on Windows).
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
"""The most that a million rows may take."""

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
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of the unit in which the kernel tells the resident set."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One command: seconds, and the MiB that it took at most."""

    command: str
    seconds: float
    memory: float


class Yes(asyncio.Protocol):
    """A server's end of a connection; every request without a body is answered with 200."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request whose headers have ended."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        if isinstance(self._transport, asyncio.Transport):
            self._transport.write(ANSWER * len(requests))


@contextmanager
def server() -> Iterator[int]:
    """A server that says yes, in a thread of its own; gives its port."""
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(loop.create_server(Yes, "127.0.0.1", 0))
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
    """The playbook and its rows."""
    (folder / "playbook.yaml").write_text(PLAYBOOK, encoding="utf-8")
    with (folder / "members.csv").open("w", encoding="utf-8") as file:
        file.write("userId,team\n")
        file.writelines(f"user-{number:07},team-{number % TEAMS}\n" for number in range(rows))


def measure(folder: Path, port: int, *words: str) -> Measured:
    """Run `wps-run` with some words and see what it took.

    Raises:
        subprocess.CalledProcessError: It did not succeed.
    """
    settings = {
        "WebPubSubConnectionString": f"Endpoint=http://127.0.0.1:{port};AccessKey=bG9vcGJhY2s=;",
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder),
    }
    began = time.perf_counter()
    child = subprocess.Popen(  # noqa: S603 -- our own command
        [sys.executable, "-m", "wps_run", *words, "playbook.yaml"],
        cwd=folder,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, child.args)
    seconds = time.perf_counter() - began
    return Measured(" ".join(words), seconds, _mebibytes(usage))


def _mebibytes(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss * UNIT / 1024 / 1024


def main() -> int:
    """Measure both commands and print a table; 1 when one of them took too much memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many rows there are")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name, server() as port:
        folder = Path(name)
        write_inputs(folder, rows)
        found = [
            measure(folder, port, "plan", "--format", "ndjson"),
            measure(folder, port, "run", "--output", "ndjson"),
        ]
    print(f"{'command':<24} {'rows':>9} {'seconds':>8} {'us a row':>9} {'peak MiB':>9}")
    for one in found:
        each = one.seconds / rows * 1e6
        print(f"{one.command:<24} {rows:>9} {one.seconds:>8.1f} {each:>9.1f} {one.memory:>9.1f}")
    return int(any(one.memory > LIMIT_MIB for one in found))


if __name__ == "__main__":
    sys.exit(main())
