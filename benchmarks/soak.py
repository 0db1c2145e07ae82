"""Holds a long run through every trouble against what the server knows of each action.

Run it with wps-run installed: `python benchmarks/soak.py [--actions 100000]`. A server on
loopback fails one request in twenty, in every way there is; `wps-run` runs against it with its
journal on and 64 in flight. Ends with 1 when a result is not what happened, or when the run
took too much memory (the largest resident set, as the kernel tells it; not on Windows).
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LIMIT_MIB = 100
"""The most that the run may take, however long it is."""

FAULTY = 0.05
"""The share of requests that meet trouble."""

PLAYBOOK = """\
hub: chat
mode: concurrent
concurrency: 64
onError: continue
timeout: 2s
retry: {attempts: 5, backoff: 20ms, maxBackoff: 200ms}
actions:
  - forEach: {file: members.csv}
    actionName: addUserToGroup
    userId: ${each.userId}
    group: launch-${each.team}
  - forEach: {file: members.csv}
    actionName: sendToUser
    userId: ${each.userId}
    data: Welcome
"""
UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes of the unit in which the kernel tells the resident set."""


def _answer(status: int, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} so\r\nContent-Length: 0\r\n{headers}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Deed:
    """What the server does with one request.

    Attributes:
        applies: Whether it carries the action out.
        says: What it answers; b"" for nothing.
        doubt: Whether nobody can tell from outside whether it was carried out.
        closes: Whether it closes the connection.
        late: Seconds until it answers.
    """

    applies: bool
    says: bytes = b""
    doubt: bool = False
    closes: bool = False
    late: float = 0.0


WELL = Deed(applies=True, says=_answer(200))
TROUBLE = (
    Deed(applies=False, says=_answer(429)),
    Deed(applies=False, says=_answer(429, "Retry-After: 0\r\n")),
    Deed(applies=False, says=_answer(503), doubt=True),
    Deed(applies=True, says=_answer(503), doubt=True),
    Deed(applies=True, says=_answer(500), doubt=True),
    Deed(applies=True, says=_answer(200), closes=True),
    Deed(applies=True, says=_answer(200), late=0.1),
    *(
        Deed(applies, says, doubt=True, closes=closes)
        for applies in (True, False)
        for says, closes in ((b"", True), (b"HTTP/1.1 2", True), (b"", False))
    ),
)


@dataclass(slots=True)
class Truth:
    """What the server knows of one action."""

    arrived: int = 0
    applied: int = 0
    doubt: bool = False


class Log:
    """What the server knows of all of them, by request ID."""

    def __init__(self, seed: int) -> None:
        self.truths: dict[str, Truth] = {}
        self.unread = 0
        self.faults = 0
        self._chance = random.Random(seed)  # noqa: S311 -- trouble, not secrets

    def judge(self, request_id: str) -> tuple[Truth, Deed]:
        """Decide what becomes of a request, and note it."""
        faulty = self._chance.random() < FAULTY
        self.faults += faulty
        deed = self._chance.choice(TROUBLE) if faulty else WELL
        truth = self.truths.setdefault(request_id, Truth())
        truth.arrived += 1
        truth.applied += deed.applies
        truth.doubt = truth.doubt or deed.doubt
        return truth, deed


class Connection(asyncio.Protocol):
    """A server's end of a connection, over which one request is made after the other."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._rest = b""
        self._last: Truth | None = None
        self._silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """Who hangs up while it is asked leaves doubt; one that asked nothing lost a request."""
        del error
        if self._last is None:
            self._log.unread += 1
        elif self._silent:
            self._last.doubt = True

    def data_received(self, data: bytes) -> None:
        """Do what is decided to a request once it is there with its body."""
        self._rest += data
        head, end, body = self._rest.partition(b"\r\n\r\n")
        if not end:
            return
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        named = {name.lower(): value for name, value in headers.items()}
        if len(body) < int(named[b"content-length"]):
            return
        self._rest = b""
        self._last, deed = self._log.judge(named[b"x-ms-client-request-id"].decode())
        self._silent = True
        if deed.late:
            asyncio.get_running_loop().call_later(deed.late, self._answer, deed)
        else:
            self._answer(deed)

    def _answer(self, deed: Deed) -> None:
        if isinstance(self._transport, asyncio.Transport) and not self._transport.is_closing():
            self._transport.write(deed.says)
            self._silent = not deed.says
            if deed.closes:
                self._log.unread += not deed.doubt
                self._transport.close()


@contextmanager
def server(log: Log) -> Iterator[int]:
    """The server, in a thread of its own; gives its port."""
    loop = asyncio.new_event_loop()
    made = loop.create_server(lambda: Connection(log), "127.0.0.1", 0, backlog=512)
    listening = loop.run_until_complete(made)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def run(folder: Path, port: int, actions: int) -> tuple[int, float]:
    """Run the playbook; its results go to a file. Gives exit code and MiB at most."""
    (folder / "playbook.yaml").write_text(PLAYBOOK, encoding="utf-8")
    with (folder / "members.csv").open("w", encoding="utf-8") as file:
        file.write("userId,team\n")
        file.writelines(f"user-{number:06},{number % 50}\n" for number in range(actions // 2))
    settings = {
        "WebPubSubConnectionString": f"Endpoint=http://127.0.0.1:{port};AccessKey=bG9vcGJhY2s=;",
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder),
    }
    with (folder / "results.ndjson").open("wb") as results:
        child = subprocess.Popen(
            [sys.executable, "-m", "wps_run", "run", "--output", "ndjson", "playbook.yaml"],
            cwd=folder,
            env={**os.environ, **settings},
            stdout=results,
        )
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_maxrss * UNIT / 1024 / 1024


def lie_in(record: dict[str, object], truth: Truth) -> str | None:
    """What a result says that is not so, or None."""
    once = record["actionName"] == "sendToUser"
    left = int(str(record["attempts"]))
    wrong = {
        "ok, but not done": record["status"] == "ok" and not truth.applied,
        "failed, but done": record["status"] == "failed" and truth.applied > 0,
        "skipped, but sent": record["status"] == "skipped" and truth.arrived > 0,
        "unknown without doubt": record["status"] == "unknown"
        and not (truth.doubt or left > truth.arrived),
        "a send done twice": once and truth.applied > 1,
        "more arrived than left": truth.arrived > left,
    }
    return next((words for words, so in wrong.items() if so), None)


def compare(results: Path, log: Log, actions: int) -> tuple[Counter[str], Counter[str]]:
    """The statuses of all results, and how often which of them is not so."""
    statuses: Counter[str] = Counter()
    lies: Counter[str] = Counter()
    seen: set[object] = set()
    ids: set[object] = set()
    lost = 0
    with results.open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            if record["type"] != "result":
                continue
            truth = log.truths.get(record["requestId"], Truth())
            statuses[record["status"]] += 1
            lies["a result given twice"] += record["index"] in seen
            seen.add(record["index"])
            ids.add(record["requestId"])
            lost += record["attempts"] - truth.arrived
            if lie := lie_in(record, truth):
                lies[f"{lie} ({(record['error'] or {}).get('code', 'no error')})"] += 1
    lies["no result"] = actions - len(seen)
    lies["sent without a result"] = len(log.truths.keys() - ids)
    lies["attempts that never were"] = max(0, lost - log.unread)
    return statuses, +lies


def main() -> int:
    """Run, compare and print; 1 when something is not so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actions", type=int, default=100_000, help="how many there are")
    parser.add_argument("--seed", type=int, default=1, help="decides who meets which trouble")
    said = parser.parse_args()
    actions = said.actions // 2 * 2
    log = Log(said.seed)
    with tempfile.TemporaryDirectory() as name, server(log) as port:
        folder = Path(name)
        began = time.perf_counter()
        code, memory = run(folder, port, actions)
        seconds = time.perf_counter() - began
        statuses, lies = compare(folder / "results.ndjson", log, actions)
    arrived = sum(one.arrived for one in log.truths.values())
    print(f"{actions} actions, {arrived} requests arrived, {log.faults} of them met trouble")
    print(", ".join(f"{number} {status}" for status, number in sorted(statuses.items())))
    print(f"exit code {code}, {seconds:.1f} s, {memory:.1f} MiB at most")
    wrong = ", ".join(f"{number} {words}" for words, number in sorted(lies.items()))
    print(f"not so: {wrong or 'nothing'}")
    return int(bool(lies) or memory > LIMIT_MIB or code not in {0, 1, 3})


if __name__ == "__main__":
    sys.exit(main())
