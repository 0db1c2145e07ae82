"""Compare the results of a long run with a faulty server's own records of each action.

Run it with wps-run installed: `python benchmarks/soak.py [--actions 100000]`. A server on
loopback injects a fault into one request in twenty; `wps-run` runs against it with its journal on
and 64 in flight. Exits with 1 if a result contradicts the server's records, or if the run took too
much memory (the largest resident set, as the kernel reports it; not on Windows).
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
"""The upper bound of the run's memory, for any number of actions."""

FAULTY = 0.05
"""The share of requests with a fault."""

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
"""Bytes of the unit in which the kernel reports the resident set."""


def _response(status: int, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} so\r\nContent-Length: 0\r\n{headers}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Behavior:
    """How the server treats one request.

    Attributes:
        applies: Whether it applies the action.
        response: The bytes of the response; b"" for none. 200 stands for the documented success.
        ambiguous: Whether the client cannot know if the action was applied.
        closes: Whether it closes the connection.
        delay: Seconds before the response.
    """

    applies: bool
    response: bytes = b""
    ambiguous: bool = False
    closes: bool = False
    delay: float = 0.0


NORMAL = Behavior(applies=True, response=_response(200))
FAULTS = (
    Behavior(applies=False, response=_response(429)),
    Behavior(applies=False, response=_response(429, "Retry-After: 0\r\n")),
    Behavior(applies=False, response=_response(503), ambiguous=True),
    Behavior(applies=True, response=_response(503), ambiguous=True),
    Behavior(applies=True, response=_response(500), ambiguous=True),
    Behavior(applies=True, response=_response(200), closes=True),
    Behavior(applies=True, response=_response(200), delay=0.1),
    *(
        Behavior(applies, response, ambiguous=True, closes=closes)
        for applies in (True, False)
        for response, closes in ((b"", True), (b"HTTP/1.1 2", True), (b"", False))
    ),
)


@dataclass(slots=True)
class ServerRecord:
    """What the server knows of one action."""

    arrived: int = 0
    applied: int = 0
    ambiguous: bool = False


class ServerLog:
    """What the server knows of all actions, by request ID."""

    def __init__(self, seed: int) -> None:
        self.records: dict[str, ServerRecord] = {}
        self.unread = 0
        self.faults = 0
        self._chance = random.Random(seed)  # noqa: S311 -- faults, not secrets

    def decide(self, request_id: str) -> tuple[ServerRecord, Behavior]:
        """Decide how to treat a request, and record it."""
        faulty = self._chance.random() < FAULTY
        self.faults += faulty
        behavior = self._chance.choice(FAULTS) if faulty else NORMAL
        known = self.records.setdefault(request_id, ServerRecord())
        known.arrived += 1
        known.applied += behavior.applies
        known.ambiguous = known.ambiguous or behavior.ambiguous
        return known, behavior


class Connection(asyncio.Protocol):
    """A server's end of a connection, with one request after the other."""

    def __init__(self, log: ServerLog) -> None:
        self._log = log
        self._rest = b""
        self._last: ServerRecord | None = None
        self._is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the responses."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """A client that disconnects before the response leaves its action ambiguous."""
        del error
        if self._last is None:
            self._log.unread += 1
        elif self._is_waiting:
            self._last.ambiguous = True

    def data_received(self, data: bytes) -> None:
        """Treat a request as decided once it is complete."""
        self._rest += data
        head, end, body = self._rest.partition(b"\r\n\r\n")
        if not end:
            return
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        fields = {name.lower(): value for name, value in headers.items()}
        if len(body) < int(fields[b"content-length"]):
            return
        self._rest = b""
        self._last, behavior = self._log.decide(fields[b"x-ms-client-request-id"].decode())
        self._is_waiting = True
        response = behavior.response
        if head.startswith(b"POST"):
            response = response.replace(b"HTTP/1.1 200", b"HTTP/1.1 202")
        if behavior.delay:
            loop = asyncio.get_running_loop()
            loop.call_later(behavior.delay, self._respond, behavior, response)
        else:
            self._respond(behavior, response)

    def _respond(self, behavior: Behavior, response: bytes) -> None:
        if isinstance(self._transport, asyncio.Transport) and not self._transport.is_closing():
            self._transport.write(response)
            self._is_waiting = not behavior.response
            if behavior.closes:
                self._log.unread += not behavior.ambiguous
                self._transport.close()


@contextmanager
def server(log: ServerLog) -> Iterator[int]:
    """Run the server in its own thread; yield its port."""
    loop = asyncio.new_event_loop()
    starting = loop.create_server(lambda: Connection(log), "127.0.0.1", 0, backlog=512)
    listening = loop.run_until_complete(starting)
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
    """Run the playbook with results in a file; return the exit code and the peak MiB."""
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


def find_contradiction(record: dict[str, object], known: ServerRecord) -> str | None:
    """Return how a result contradicts the server's record, or None."""
    sends = record["actionName"] == "sendToUser"
    left = int(str(record["attempts"]))
    checks = {
        "ok, but not done": record["status"] == "ok" and not known.applied,
        "failed, but done": record["status"] == "failed" and known.applied > 0,
        "skipped, but sent": record["status"] == "skipped" and known.arrived > 0,
        "unknown without ambiguity": record["status"] == "unknown"
        and not (known.ambiguous or left > known.arrived),
        "a send done twice": sends and known.applied > 1,
        "more arrived than were sent": known.arrived > left,
    }
    return next((text for text, is_true in checks.items() if is_true), None)


def compare(results: Path, log: ServerLog, actions: int) -> tuple[Counter[str], Counter[str]]:
    """Count the statuses of all results and the contradictions."""
    statuses: Counter[str] = Counter()
    contradictions: Counter[str] = Counter()
    seen: set[object] = set()
    ids: set[object] = set()
    lost = 0
    with results.open(encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            if record["type"] != "result":
                continue
            known = log.records.get(record["requestId"], ServerRecord())
            statuses[record["status"]] += 1
            contradictions["two results of one action"] += record["index"] in seen
            seen.add(record["index"])
            ids.add(record["requestId"])
            lost += record["attempts"] - known.arrived
            if text := find_contradiction(record, known):
                contradictions[f"{text} ({(record['error'] or {}).get('code', 'no error')})"] += 1
    contradictions["no result"] = actions - len(seen)
    contradictions["sent without a result"] = len(log.records.keys() - ids)
    contradictions["attempts that were never made"] = max(0, lost - log.unread)
    return statuses, +contradictions


def main() -> int:
    """Run, compare and print; return 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--actions", type=int, default=100_000, help="number of actions")
    parser.add_argument("--seed", type=int, default=1, help="seed of the faults")
    args = parser.parse_args()
    actions = args.actions // 2 * 2
    log = ServerLog(args.seed)
    with tempfile.TemporaryDirectory() as name, server(log) as port:
        folder = Path(name)
        began = time.perf_counter()
        code, memory = run(folder, port, actions)
        seconds = time.perf_counter() - began
        statuses, contradictions = compare(folder / "results.ndjson", log, actions)
    arrived = sum(record.arrived for record in log.records.values())
    print(f"{actions} actions, {arrived} requests arrived, {log.faults} of them had a fault")
    print(", ".join(f"{number} {status}" for status, number in sorted(statuses.items())))
    print(f"exit code {code}, {seconds:.1f} s, {memory:.1f} MiB peak")
    found = ", ".join(f"{number} {text}" for text, number in sorted(contradictions.items()))
    print(f"contradictions: {found or 'nothing'}")
    return int(bool(contradictions) or memory > LIMIT_MIB or code not in {0, 1, 3})


if __name__ == "__main__":
    sys.exit(main())
