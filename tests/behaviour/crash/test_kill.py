"""Killed at any moment, each action is accounted for and no send happens twice."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from wps_run import planning, running
from wps_run.cli.journals import JournalOptions, open_recorder
from wps_run.connect.endpoint import Endpoint
from wps_run.execution.result import Result
from wps_run.execution.run_info import Destination
from wps_run.journal.writer import read_journal

CONCURRENCY = 16
CONCURRENT = ("--mode", "concurrent", "--concurrency", str(CONCURRENCY))
SENDS = """\
hub: chat
retry: {attempts: 99, backoff: 1ms, maxBackoff: 4ms}
actions:
  - {forEach: {file: rows.csv}, actionName: sendToGroup, group: 'g${each.n}', data: hello}
"""


@pytest.mark.parametrize(
    ("seed", "words", "most"),
    [
        (1, CONCURRENT, CONCURRENCY),
        (2, CONCURRENT, CONCURRENCY),
        (3, (), 1),
    ],
)
def test_killed_again_and_again_until_done(
    folder: Any, truth_of: Any, seed: int, words: tuple[str, ...], most: int
) -> None:
    """At any moment, by kill -9: no send twice, and in doubt is at most what was in flight."""
    doubted: set[int] = set()
    kills = 0
    resume: tuple[str, ...] = ("p.yaml", "--journal", "j")
    truth = truth_of(seed)
    while True:
        truth.at = truth.seen + truth.random.randint(20, len(folder.acts) * 2 // 3)
        with folder.start(truth, *resume, *words) as process:
            truth.then = partial(truth.later, truth.random.random() / 50, process.kill)
            out, err = process.communicate(timeout=40)
        truth.settle()
        if process.returncode >= 0:
            break
        kills += 1
        assert err == ""  # the report may be out already
        history = read_journal(folder.journal)
        assert len(history.sending - doubted) <= most
        doubted |= history.sending
        resume = ("--resume", "j")
    done = subprocess.CompletedProcess(resume, process.returncode, out, err)
    counts = folder.check(folder.told(done), truth)

    assert kills > 0
    assert counts["failed"] == counts["skipped"] == 0
    assert counts["unknown"] <= kills * most


def test_what_was_refused_and_waits_is_not_in_doubt(folder_of: Any, truth: Any) -> None:
    """A throttled send pauses between two attempts; a kill meanwhile leaves no doubt of it."""
    folder = folder_of(playbook=SENDS)
    truth.at, truth.refused = 50, 1.0
    with folder.start(truth, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        truth.then = process.kill
        process.communicate(timeout=40)
    truth.settle()
    written = folder.journal.read_text()
    in_doubt = read_journal(folder.journal).sending

    truth.refused = 0.0
    counts = folder.check(folder.told(folder.run(truth, "--resume", "j", *CONCURRENT)), truth)

    assert written.count('"unsent"') > CONCURRENCY
    assert len(in_doubt) < CONCURRENCY // 2
    assert counts["unknown"] == len(in_doubt)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("how", ["failed", "interrupted"])
def test_what_a_killed_run_has_done_is_never_told_as_skipped(
    folder: Any, truth: Any, how: str
) -> None:
    """Adds may be done twice, so they wait for the next part; until then they are in doubt."""
    truth.at, truth.holding, truth.refused = CONCURRENCY, True, 0.0
    with folder.start(truth, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        truth.then = process.kill
        process.communicate(timeout=40)
    truth.settle()
    assert truth.applied.total() == CONCURRENCY
    words = ("--failed",) if how == "failed" else ()
    truth.at = truth.seen + 1
    with folder.start(truth, "--resume", "j", *words) as process:
        truth.then, truth.holding = partial(process.send_signal, signal.SIGINT), False
        out, err = process.communicate(timeout=40)
    truth.settle()
    done = subprocess.CompletedProcess((), process.returncode, out, err)
    counts = folder.check(folder.told(done), truth)

    assert counts["unknown"] + counts["ok"] >= CONCURRENCY
    assert counts["failed"] == 0
    assert how == "interrupted" or counts["unknown"] == CONCURRENCY
    rest = folder.check(folder.told(folder.run(truth, "--resume", "j", *CONCURRENT)), truth)
    assert rest == {"ok": len(folder.acts)}


async def run_here(folder: Any, truth: Any, wish: JournalOptions) -> list[Result]:
    """Run the folder's playbook in this process."""
    endpoint = Endpoint(f"http://127.0.0.1:{truth.port}", "bG9vcGJhY2s=")
    heading = planning.run_info([folder.plan], Destination.SERVICE, [endpoint.host])
    kept = open_recorder(wish, heading, [folder.plan], [endpoint.host])
    results = [one async for one in running.run([folder.plan], lambda _: endpoint, recorder=kept)]
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


def preload(truth: Any, folder: Any, *, doubtful: bool) -> None:
    """What the server has applied by a crash point; what is in doubt may be among it or not."""
    history = read_journal(folder.journal)
    ended = {one.index for one in history.results()}
    maybe = history.sending if doubtful else set()
    truth.applied = Counter(folder.acts[index] for index in ended | maybe)


@pytest.mark.parametrize("doubtful", [True, False])
async def test_a_run_goes_on_from_whatever_a_crash_has_left(
    folder_of: Any, truth: Any, *, doubtful: bool
) -> None:
    """Every crash point is gone on from, whether what was in doubt was applied or not."""
    folder = folder_of(rows=1)
    await run_here(folder, truth, JournalOptions(file=str(folder.journal)))
    points = list(crash_points(folder.journal.read_bytes()))

    for point in points:
        folder.journal.write_bytes(point)
        preload(truth, folder, doubtful=doubtful)
        in_doubt = read_journal(folder.journal).sending

        results = await run_here(folder, truth, JournalOptions(resume=str(folder.journal)))

        results.sort(key=lambda one: one.index)
        records = [one.as_json() for one in results]
        assert folder.check(records, truth)["unknown"] == len(in_doubt - folder.idempotent)
        history = read_journal(folder.journal)
        assert [one.as_json() for one in history.results()] == records
        assert not history.sending

    assert len(points) > len(folder.acts) * 3
