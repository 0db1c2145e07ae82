"""A server that logs what it applies, and a playbook that is run against it and broken off."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wps_run import checking, planning
from wps_run.execution.result import Status

Act = tuple[str, str]
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
ANSWER = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nretry-after-ms: 1\r\n\r\n"


class Truth:
    """A server in a thread of its own that logs what it applies.

    Attributes:
        applied: How often each action was applied.
        seen: How many requests have come.
        holding: Whether answers are held back, for ever.
        refused: The share of requests that are answered with 429 and not applied.
        at: How many requests are to have come before `then` is called, once.
        then: What happens then.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 -- a test that can be repeated
        self.applied: Counter[Act] = Counter()
        self.seen = 0
        self.holding = False
        self.refused = 0.03
        self.at = 0
        self.then: Callable[[], object] = lambda: None
        self.port = 0
        self._open = 0
        self._calm = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def opened(self, change: int) -> None:
        """Count the open connections."""
        with self._calm:
            self._open += change
            self._calm.notify_all()

    def settle(self) -> None:
        """Wait until all that dead clients have sent is applied."""
        with self._calm:
            assert self._calm.wait_for(lambda: self._open == 0, timeout=20)

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Do something a little later; called in the thread."""
        self._loop.call_later(seconds, call)

    def request(self, act: Act, answer: Callable[[bytes], None]) -> None:
        """Apply a request or refuse it, and answer a little later."""
        self.seen += 1
        status = 429 if self.random.random() < self.refused else 200
        self.applied[act] += status != 429
        if not self.holding:
            delay = self.random.random() / 500
            self._loop.call_later(delay, answer, ANSWER % status)
        if self.seen == self.at:
            self.then()


class _Connection(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._truth.opened(1)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._truth.opened(-1)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if found and len(body) >= length:
            self._data = body[length:]
            method, path, _ = head.decode().split("\r\n")[0].split(" ")
            self._truth.request((method, path.partition("?")[0]), self._answer)

    def _answer(self, text: bytes) -> None:
        self._transport.write(text)


class Folder:
    """A folder with the playbook, in which it is run against a server.

    Attributes:
        path: Where it is.
        journal: The journal of its run.
        acts: Each action's request, by index.
        idempotent: Which of them may be done twice.
    """

    def __init__(
        self, path: Path, script: Path, rows: int = ROWS, playbook: str = PLAYBOOK
    ) -> None:
        self.path = path
        self.journal = path / "j"
        self._script = script
        (path / "p.yaml").write_text(playbook)
        (path / "rows.csv").write_text("\n".join(["n", *map(str, range(rows)), ""]))
        (self.plan,) = planning.plan(
            [checking.load_playbook(path / "p.yaml")], planning.RunOverrides({"mode": "concurrent"})
        )
        steps = list(self.plan.steps())
        self.acts = [(one.request.method, one.request.path.partition("?")[0]) for one in steps]
        self.idempotent = {one.index for one in steps if one.action.is_idempotent}
        assert len(set(self.acts)) == len(self.acts)

    def start(
        self, truth: Truth, *words: str, limit: int = 0, code: str = ""
    ) -> subprocess.Popen[str]:
        """Start a run.

        Args:
            truth: The server.
            words: What the command line says.
            limit: The most bytes that any of its files may have.
            code: What this Python is to do before it is the command.
        """
        command = [str(self._script)]
        if limit:
            code = LIMITED.format(limit)
        if code:
            command = [sys.executable, "-c", code + ENTRY]
        setting = f"Endpoint=http://127.0.0.1:{truth.port};AccessKey=bG9vcGJhY2s=;"
        return subprocess.Popen(
            [*command, *words, "--on-error", "continue", "--output", "json"],
            cwd=self.path,
            env={**os.environ, "WebPubSubConnectionString": setting},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, truth: Truth, *words: str, limit: int = 0, code: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        with self.start(truth, *words, limit=limit, code=code) as process:
            out, err = process.communicate(timeout=40)
        truth.settle()
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def check(self, results: list[dict[str, Any]], truth: Truth) -> Counter[str]:
        """Hold results to the truth; gives the count of each status."""
        assert [one["index"] for one in results] == list(range(len(self.acts)))
        for one in results:
            times = truth.applied[self.acts[one["index"]]]
            assert times <= 1 or one["index"] in self.idempotent, ("done twice", one)
            assert times == 0 or one["status"] in {"ok", "unknown"}, ("it was applied", one)
            assert times > 0 or one["status"] != "ok", ("it was not applied", one)
        return Counter(one["status"] for one in results)

    @staticmethod
    def told(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
        """The results of a run that came to its end; its totals add up."""
        report = json.loads(done.stdout)
        results: list[dict[str, Any]] = report["results"]
        counts = Counter(one["status"] for one in results)
        summary = report["summary"]
        assert {status: summary[status] for status in Status} == {s: counts[s] for s in Status}
        assert summary["total"] == len(results)
        assert done.returncode == summary["exitCode"]
        return results


LIMITED = """\
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
"""
ENTRY = """
from wps_run.cli.main import entry
entry()
"""


@pytest.fixture
def truth_of() -> Iterator[Callable[[int], Truth]]:
    """Starts a server whose choices a seed decides; all are stopped at the end."""
    started: list[Truth] = []

    def start(seed: int) -> Truth:
        started.append(Truth(seed))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def truth(truth_of: Callable[[int], Truth]) -> Truth:
    """One such server."""
    return truth_of(0)


@pytest.fixture
def folder_of(tmp_path: Path, script: Path) -> Callable[..., Folder]:
    """Makes the folder of another playbook, or of so many rows."""
    return lambda **more: Folder(tmp_path, script, **more)


@pytest.fixture
def folder(folder_of: Callable[..., Folder]) -> Folder:
    """The folder of the playbook."""
    return folder_of()
