"""A server that records what it applies, and runs against it that are interrupted."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from wps_run import checking, planning
from wps_run.execution.result import Status

RequestLine = tuple[str, str]
"""Method and path: each action of the playbook has its own."""

ROWS = 24
PLAYBOOK = """\
hub: chat
retry: {attempts: 9, backoff: 1ms, maxBackoff: 4ms}
actions:
  - {forEach: {file: rows.csv}, actionName: addUserToGroup, userId: 'u${each.n}', group: red}
  - {forEach: {file: rows.csv}, actionName: sendToUser, userId: 'u${each.n}', data: hello}
  - {forEach: {file: rows.csv}, actionName: grantPermission, connectionId: 'c${each.n}',
     permission: sendToGroup, targetName: red}
  - {forEach: {file: rows.csv}, actionName: sendToGroup, group: 'g${each.n}', data: hello}
  - {actionName: sendToAll, data: hello}
  - {forEach: {file: rows.csv}, actionName: closeGroupConnections, group: 'g${each.n}'}
"""
RESPONSE = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nretry-after-ms: 1\r\n\r\n"


class RecordingServer:
    """A server in its own thread that records what it applies.

    Attributes:
        applied: How often each action was applied.
        log: The requests in the order in which they came.
        request_count: The number of requests so far.
        holds_responses: Whether it sends no responses.
        pause: Seconds by which all responses are late.
        most_open: The most connections that were open at a time.
        throttled_share: The share of requests that get a 429 and are not applied.
        trigger_at: The number of the request at which `trigger` is called.
        trigger: Called once, after that request.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 -- the same choices in each run
        self.applied: Counter[RequestLine] = Counter()
        self.log: list[RequestLine] = []
        self.request_count = 0
        self.holds_responses = False
        self.pause = 0.0
        self.most_open = 0
        self.throttled_share = 0.03
        self.trigger_at = 0
        self.trigger: Callable[[], object] = lambda: None
        self.port = 0
        self._open = 0
        self._is_idle = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1000)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def stop(self) -> None:
        """Stop the server and its thread."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def count_connection(self, change: int) -> None:
        """Count the open connections."""
        with self._is_idle:
            self._open += change
            self.most_open = max(self.most_open, self._open)
            self._is_idle.notify_all()

    def wait_until_idle(self) -> None:
        """Wait until all that killed clients sent is applied."""
        with self._is_idle:
            assert self._is_idle.wait_for(lambda: self._open == 0, timeout=20)

    def hold_and_call(self, seconds: float, call: Callable[[], object]) -> None:
        """Begin no response any more, and call a function after some seconds."""
        self.holds_responses = True
        self._loop.call_later(seconds, call)

    def request(self, line: RequestLine, respond: Callable[[bytes], None]) -> None:
        """Apply or throttle a request, and respond after a short delay."""
        self.request_count += 1
        self.log.append(line)
        status = 429 if self.random.random() < self.throttled_share else success(line)
        self.applied[line] += status != 429
        if not self.holds_responses:
            delay = self.pause + self.random.random() / 500
            self._loop.call_later(delay, respond, RESPONSE % status)
        if self.request_count == self.trigger_at:
            self.trigger()


def success(line: RequestLine) -> int:
    """Return the documented success of a request."""
    if line[1].partition("?")[0].endswith(":closeConnections"):
        return 204
    return {"PUT": 200, "DELETE": 204, "POST": 202}[line[0]]


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self, server: RecordingServer) -> None:
        self._recording_server = server
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._recording_server.count_connection(1)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._recording_server.count_connection(-1)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if end and len(body) >= length:
            self._data = body[length:]
            method, path, _ = head.decode().split("\r\n")[0].split(" ")
            self._recording_server.request((method, path.partition("?")[0]), self._respond)

    def _respond(self, text: bytes) -> None:
        self._transport.write(text)


class Folder:
    """A folder with a playbook, which runs against a server.

    Attributes:
        path: Its path.
        journal: The journal of its run.
        plans: The plans of its run.
        requests: Method and path of each action, by index.
        idempotent: The indices of idempotent actions.
    """

    def __init__(
        self,
        path: Path,
        script: Path,
        command_server: Any,
        rows: int = ROWS,
        playbook: str = PLAYBOOK,
    ) -> None:
        self.path = path
        self.journal = path / "j"
        self._script = script
        self._command_server = command_server
        (path / "p.yaml").write_text(playbook)
        (path / "rows.csv").write_text("\n".join(["n", *map(str, range(rows)), ""]))
        self.plans = planning.plan(
            [checking.load_playbook(path / "p.yaml")], planning.RunOverrides({"mode": "concurrent"})
        )
        steps = [step for plan in self.plans for step in plan.steps()]
        self.requests = [
            (step.request.method, step.request.path.partition("?")[0]) for step in steps
        ]
        self.idempotent = {step.index for step in steps if step.action.is_idempotent}
        assert len(set(self.requests)) == len(self.requests)

    def start(self, server: RecordingServer, *args: str) -> subprocess.Popen[str]:
        """Start a run as a user does."""
        return subprocess.Popen(
            [self._script, *args, *OPTIONS],
            cwd=self.path,
            env=environment_of(server),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def fork(self, server: RecordingServer, *args: str, code: str = "") -> Any:
        """Start a run that need not import the package; return a `ForkedCommand` or `Popen`.

        Args:
            server: The server.
            args: The arguments of wps-run.
            code: Python code to run before the command.
        """
        if self._command_server is not None:
            command = [self._script, *args, *OPTIONS]
            return self._command_server.start(command, self.path, environment_of(server), code=code)
        if not code:
            return self.start(server, *args)
        return subprocess.Popen(
            [sys.executable, "-c", code + ENTRY, *args, *OPTIONS],
            cwd=self.path,
            env=environment_of(server),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, server: RecordingServer, *args: str, code: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run and wait for the end."""
        with self.fork(server, *args, code=code) as process:
            out, err = process.communicate(timeout=40)
        server.wait_until_idle()
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def check_results(self, results: list[dict[str, Any]], server: RecordingServer) -> Counter[str]:
        """Compare results with the server's records; return the count of each status."""
        assert [result["index"] for result in results] == list(range(len(self.requests)))
        for result in results:
            count = server.applied[self.requests[result["index"]]]
            assert count <= 1 or result["index"] in self.idempotent, ("done twice", result)
            assert count == 0 or result["status"] in {"ok", "unknown"}, ("it was applied", result)
            assert count > 0 or result["status"] != "ok", ("it was not applied", result)
        return Counter(result["status"] for result in results)

    @staticmethod
    def results_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
        """Return the results of a run that ended by itself; check its totals."""
        report = json.loads(done.stdout)
        results: list[dict[str, Any]] = report["results"]
        counts = Counter(result["status"] for result in results)
        summary = report["summary"]
        assert {status: summary[status] for status in Status} == {s: counts[s] for s in Status}
        assert summary["total"] == len(results)
        assert done.returncode == summary["exitCode"]
        return results


OPTIONS = ("--on-error", "continue", "--output", "json")
"""Options of each run."""


def environment_of(server: RecordingServer) -> Mapping[str, str]:
    """Return the environment of a run against a server."""
    setting = f"Endpoint=http://127.0.0.1:{server.port};AccessKey=bG9vcGJhY2s=;"
    return {**os.environ, "WebPubSubConnectionString": setting}


ENTRY = """
from wps_run.cli.main import entry
raise SystemExit(entry())
"""


@pytest.fixture
def start_server() -> Iterator[Callable[[int], RecordingServer]]:
    """Starts a server with a seed for its choices; all are stopped at the end."""
    started: list[RecordingServer] = []

    def start(seed: int) -> RecordingServer:
        started.append(RecordingServer(seed))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(start_server: Callable[[int], RecordingServer]) -> RecordingServer:
    """A server with the seed 0."""
    return start_server(0)


@pytest.fixture
def folder_of(tmp_path: Path, script: Path, command_server: object) -> Callable[..., Folder]:
    """Makes a folder with another playbook or number of rows."""
    return lambda **more: Folder(tmp_path, script, command_server, **more)


@pytest.fixture
def folder(folder_of: Callable[..., Folder]) -> Folder:
    """A folder with the playbook."""
    return folder_of()
