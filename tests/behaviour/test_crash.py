"""Whatever breaks a run off, each action is accounted for and no send happens twice.

The server here keeps a log of what it has applied: that is the truth to which results are held.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner import api
from runner.cli.journals import Wish, opened
from runner.connect.endpoint import Endpoint
from runner.execution.journal import read_journal
from runner.execution.record import record_of
from runner.execution.result import Result, Status
from runner.report.heading import Destination

Act = tuple[str, str]
"""Method and path: each action of the playbook has its own."""

ROWS = 24
CONCURRENCY = 16
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
SENDS = """\
hub: chat
retry: {attempts: 99, backoff: 1ms, maxBackoff: 4ms}
actions:
  - {forEach: {file: rows.csv}, actionName: sendToGroup, group: 'g${each.n}', data: hello}
"""
CONCURRENT = ("--mode", "concurrent", "--concurrency", str(CONCURRENCY))
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


@contextmanager
def a_truth(seed: int) -> Iterator[Truth]:
    truth = Truth(seed)
    try:
        yield truth
    finally:
        truth.stop()


@pytest.fixture
def truth() -> Iterator[Truth]:
    with a_truth(0) as one:
        yield one


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
        (self.plan,) = api.plan(
            [api.load_playbook(path / "p.yaml")], api.Given({"mode": "concurrent"})
        )
        steps = list(self.plan.steps())
        self.acts = [(one.request.method, one.request.path.partition("?")[0]) for one in steps]
        self.idempotent = {one.index for one in steps if one.action.idempotent}
        assert len(set(self.acts)) == len(self.acts)

    def start(self, truth: Truth, *words: str, limit: int = 0) -> subprocess.Popen[str]:
        """Start a run; a limit is the most bytes that any of its files may have."""
        command = [str(self._script)]
        if limit:
            command = [sys.executable, "-c", LIMITED, str(limit)]
        setting = f"Endpoint=http://127.0.0.1:{truth.port};AccessKey=bG9vcGJhY2s=;"
        return subprocess.Popen(
            [*command, *words, "--on-error", "continue", "--output", "json"],
            cwd=self.path,
            env={**os.environ, "WebPubSubConnectionString": setting},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, truth: Truth, *words: str, limit: int = 0) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        with self.start(truth, *words, limit=limit) as process:
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


LIMITED = """\
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from runner.cli.main import entry
entry()
"""


@pytest.fixture
def folder(tmp_path: Path, script: Path) -> Folder:
    return Folder(tmp_path, script)


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


@pytest.mark.parametrize(
    ("seed", "words", "most"),
    [
        (1, CONCURRENT, CONCURRENCY),
        (2, CONCURRENT, CONCURRENCY),
        (3, (), 1),
    ],
)
def test_killed_again_and_again_until_done(
    folder: Folder, seed: int, words: tuple[str, ...], most: int
) -> None:
    """At any request, by kill -9: no send twice, and in doubt is at most what was in flight."""
    doubted: set[int] = set()
    kills = 0
    resume: tuple[str, ...] = ("p.yaml", "--journal", "j")
    with a_truth(seed) as truth:
        while True:
            truth.at = truth.seen + truth.random.randint(20, len(folder.acts) * 2 // 3)
            with folder.start(truth, *resume, *words) as process:
                truth.then = process.kill
                out, err = process.communicate(timeout=40)
            truth.settle()
            if process.returncode >= 0:
                break
            kills += 1
            assert (out, err) == ("", "")
            history = read_journal(folder.journal)
            assert len(history.sending - doubted) <= most
            doubted |= history.sending
            resume = ("--resume", "j")
        done = subprocess.CompletedProcess(resume, process.returncode, out, err)
        counts = folder.check(told(done), truth)

    assert kills > 0
    assert counts["failed"] == counts["skipped"] == 0
    assert counts["unknown"] <= kills * most


def test_what_was_refused_and_waits_is_not_in_doubt(
    tmp_path: Path, script: Path, truth: Truth
) -> None:
    """A throttled send pauses between two attempts; a kill meanwhile leaves no doubt of it."""
    folder = Folder(tmp_path, script, playbook=SENDS)
    truth.at, truth.refused = 50, 1.0
    with folder.start(truth, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        truth.then = process.kill
        process.communicate(timeout=40)
    truth.settle()
    written = folder.journal.read_text()
    in_doubt = read_journal(folder.journal).sending

    truth.refused = 0.0
    counts = folder.check(told(folder.run(truth, "--resume", "j", *CONCURRENT)), truth)

    assert written.count('"unsent"') > CONCURRENCY
    assert len(in_doubt) < CONCURRENCY // 2
    assert counts["unknown"] == len(in_doubt)


async def run_here(folder: Folder, truth: Truth, wish: Wish) -> list[Result]:
    """Run the folder's playbook in this process."""
    endpoint = Endpoint(f"http://127.0.0.1:{truth.port}", "bG9vcGJhY2s=")
    heading = api.heading([folder.plan], Destination.SERVICE, [endpoint.host])
    kept = opened(wish, heading, [folder.plan], [endpoint.host])
    results = [one async for one in api.run([folder.plan], lambda _: endpoint, kept=kept)]
    assert kept.journal
    await kept.journal.close()
    return results


def crash_points(written: bytes) -> Iterator[bytes]:
    """The journal as it may be after a crash: cut at and in each line, with garbage or without."""
    lines = written.splitlines(keepends=True)
    for number, line in enumerate(lines[1:], start=1):
        whole = b"".join(lines[:number])
        yield whole
        yield whole + line[: len(line) // 2] + b"\0" * (number % 2)
        yield whole + line[:-1]
    yield written


def preload(truth: Truth, folder: Folder, *, doubtful: bool) -> None:
    """What the server has applied by a crash point; what is in doubt may be among it or not."""
    history = read_journal(folder.journal)
    ended = {one["index"] for one in history.ended()}
    maybe = history.sending | (folder.idempotent - ended) if doubtful else set()
    truth.applied = Counter(folder.acts[index] for index in ended | maybe)


@pytest.mark.parametrize("doubtful", [True, False])
async def test_a_run_goes_on_from_whatever_a_crash_has_left(
    tmp_path: Path, script: Path, truth: Truth, *, doubtful: bool
) -> None:
    """Every crash point is gone on from, whether what was in doubt was applied or not."""
    folder = Folder(tmp_path, script, rows=2)
    await run_here(folder, truth, Wish(file=str(folder.journal)))
    points = list(crash_points(folder.journal.read_bytes()))

    for point in points:
        folder.journal.write_bytes(point)
        preload(truth, folder, doubtful=doubtful)
        in_doubt = read_journal(folder.journal).sending

        results = await run_here(folder, truth, Wish(resume=str(folder.journal)))

        results.sort(key=lambda one: one.step.index)
        records = [record_of(one).as_json() for one in results]
        assert folder.check(records, truth)["unknown"] == len(in_doubt)
        history = read_journal(folder.journal)
        assert history.ended() == records
        assert not history.sending

    assert len(points) > len(folder.acts) * 3


def test_a_journal_without_its_first_line_cannot_be_gone_on_with(
    folder: Folder, truth: Truth
) -> None:
    """Its run has sent nothing."""
    for start in (b"", b'{"type":"run","vers', b"\0" * 100):
        folder.journal.write_bytes(start)

        done = folder.run(truth, "p.yaml", "--resume", "j")

        assert (done.returncode, done.stdout, truth.seen) == (2, "", 0)
        assert "`j` is not a journal" in done.stderr
        assert folder.journal.read_bytes() == start


def test_two_runs_of_one_journal(folder: Folder, truth: Truth) -> None:
    """The second is refused with exit 2, sends nothing and harms nothing."""
    second = []
    arrived = threading.Event()
    truth.at, truth.then, truth.holding = 1, arrived.set, True
    with folder.start(truth, "p.yaml", "--journal", "j") as first:
        assert arrived.wait(20)
        for words in (("--resume", "j"), ("p.yaml", "--journal", "j")):
            with folder.start(truth, *words) as process:
                out, err = process.communicate(timeout=40)
            second.append((process.returncode, out, err))
        first.kill()
        first.communicate()
    truth.settle()

    assert truth.seen == 1
    assert second[0] == (2, "", "wps-run: another run is using the journal `j`\n")
    assert second[1][:2] == (2, "")
    assert "is there already; --resume j goes on with it" in second[1][2]


@pytest.mark.parametrize("device", ["/dev/full", "/dev/zero"])
@pytest.mark.parametrize("option", ["--journal", "--resume"])
def test_a_device_is_no_journal(folder: Folder, truth: Truth, option: str, device: str) -> None:
    """Exit 2; nothing is sent, and a device without an end is not read."""
    if not Path(device).exists():
        pytest.skip(f"there is no {device} here")

    done = folder.run(truth, "p.yaml", option, device)

    assert (done.returncode, done.stdout, truth.seen) == (2, "", 0)
    assert f"the journal `{device}`" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_where_not_even_the_first_line_fits_nothing_is_sent(folder: Folder, truth: Truth) -> None:
    """And no half a journal is left to stand in the way."""
    done = folder.run(truth, "p.yaml", "--journal", "j", limit=100)

    assert (done.returncode, done.stdout, truth.seen) == (2, "", 0)
    assert "cannot write the journal `j`: File too large" in done.stderr
    assert not folder.journal.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("limit", [2000, 4444, 8999])
def test_a_full_disk_stops_the_run_and_nothing_lies(
    folder: Folder, truth: Truth, limit: int
) -> None:
    """What is in flight ends, the rest is skipped, and no send left that was not announced."""
    broken = folder.run(truth, "p.yaml", "--journal", "j", *CONCURRENT, limit=limit)

    results = told(broken)
    counts = folder.check(results, truth)
    assert counts["ok"] > 0
    assert {one["error"]["code"] for one in results if one["status"] == "skipped"} == {"journal"}
    assert broken.returncode in {1, 3}
    journal_line, resume_line = broken.stderr.splitlines()
    assert journal_line == "wps-run: the journal `j` broke: [Errno 27] File too large"
    assert resume_line == "wps-run: to do the rest: wps-run --resume j p.yaml"
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    records = [json.loads(line) for line in lines if line.endswith(b"\n")]
    announced = {one["index"] for one in records if one["type"] == "sending"}
    sent = {index for index, act in enumerate(folder.acts) if truth.applied[act]}
    assert sent <= announced | folder.idempotent

    rest = folder.check(told(folder.run(truth, "--resume", "j", *CONCURRENT)), truth)

    assert rest["ok"] + rest["unknown"] == len(folder.acts)
    assert rest["unknown"] <= CONCURRENCY


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, CONCURRENT), (signal.SIGTERM, 143, ())],
)
def test_an_interrupted_run_is_told_in_full_and_gone_on_with(
    folder: Folder, truth: Truth, number: signal.Signals, code: int, words: tuple[str, ...]
) -> None:
    """What is in flight ends, nothing is unknown, and the rest is done later, once."""
    truth.at, truth.refused = len(folder.acts) // 2, 0.0
    with folder.start(truth, "p.yaml", "--journal", "j", *words) as process:
        truth.then = lambda: process.send_signal(number)
        out, err = process.communicate(timeout=40)
    truth.settle()
    broken = told(subprocess.CompletedProcess((), process.returncode, out, err))
    counts = folder.check(broken, truth)

    assert process.returncode == code
    assert counts["skipped"] > 0
    assert counts["unknown"] == 0
    assert err.splitlines()[-1] == "wps-run: to do the rest: wps-run --resume j p.yaml"
    rest = folder.check(told(folder.run(truth, "--resume", "j", *words)), truth)
    assert rest == {"ok": len(folder.acts)}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_second_interrupt_leaves_at_once(folder: Folder, truth: Truth) -> None:
    """What was in flight is unknown, however long the server would have taken."""
    truth.at, truth.holding = CONCURRENCY, True
    with folder.start(truth, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        truth.then = lambda: process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "stopping" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)
    truth.settle()
    results = told(subprocess.CompletedProcess((), process.returncode, out, err))

    counts = folder.check(results, truth)
    assert process.returncode == 130
    assert counts == {"unknown": CONCURRENCY, "skipped": len(folder.acts) - CONCURRENCY}
    truth.holding = False
    rest = folder.check(told(folder.run(truth, "--resume", "j", *CONCURRENT)), truth)
    assert rest == {"unknown": CONCURRENCY, "ok": len(folder.acts) - CONCURRENCY}
