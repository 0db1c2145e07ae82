"""A run that is killed at any moment can be resumed, and sends nothing twice."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.plan_runs import run_plans

from wps_run import planning
from wps_run.connect.endpoint import Endpoint
from wps_run.execution.result import Result
from wps_run.execution.run_info import Destination
from wps_run.journal.writer import read_journal
from wps_run.journaling import JournalOptions, open_recorder

CONCURRENCY = 16
CONCURRENT = ("--mode", "concurrent", "--concurrency", str(CONCURRENCY))
SENDS = """\
hub: chat
retry: {attempts: 99, backoff: 1ms, maxBackoff: 4ms}
actions:
  - {forEach: {file: rows.csv}, actionName: sendToGroup, group: 'g${each.n}', data: hello}
"""
WITH_FINALLY = """\
hub: chat
actions:
  - {forEach: {file: rows.csv}, actionName: addUserToGroup, userId: 'u${each.n}', group: red}
finally:
  - {actionName: sendToAll, data: bye}
  - {forEach: {file: rows.csv}, actionName: removeUserFromGroup, userId: 'u${each.n}', group: red}
"""


@pytest.mark.timeout(170)
@pytest.mark.parametrize(
    ("seed", "args", "most"),
    [
        (1, CONCURRENT, CONCURRENCY),
        (2, CONCURRENT, CONCURRENCY),
        (3, (), 1),
    ],
)
def test_run_that_is_killed_repeatedly_finishes(
    folder: Any, start_server: Any, seed: int, args: tuple[str, ...], most: int
) -> None:
    """No send twice; only requests in flight are in doubt. About forty kills in all."""
    in_doubt_before: set[int] = set()
    kills = 0
    resume: tuple[str, ...] = ("p.yaml", "--journal", "j")
    server = start_server(seed)
    while True:
        server.trigger_at = server.request_count + server.random.randint(1, 16)
        process = folder.fork(server, *resume, *args)
        server.trigger = partial(server.hold_and_call, server.random.random() / 200, process.kill)
        out, err = process.communicate()
        server.holds_responses = False
        server.wait_until_idle()
        if process.returncode >= 0:
            break
        kills += 1
        assert err == ""  # the report may be out already
        history = read_journal(folder.journal)
        assert len(history.sending - in_doubt_before) <= most
        in_doubt_before |= history.sending
        resume = ("--resume", "j")
    completed = subprocess.CompletedProcess(resume, process.returncode, out, err)
    counts = folder.check_results(folder.results_of(completed), server)

    assert kills >= 4  # between two, at most 16 requests and those in flight are done, of 121
    assert counts["failed"] == counts["skipped"] == 0
    assert counts["unknown"] <= kills * most


def test_throttled_send_is_not_in_doubt_after_a_kill(folder_of: Any, server: Any) -> None:
    """It was paused between two attempts."""
    folder = folder_of(playbook=SENDS)
    server.trigger_at, server.throttled_share = 50, 1.0
    with folder.fork(server, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        server.trigger = process.kill
        process.communicate(timeout=40)
    server.wait_until_idle()
    journal = folder.journal.read_text()
    in_doubt = read_journal(folder.journal).sending

    server.throttled_share = 0.0
    counts = folder.check_results(
        folder.results_of(folder.run(server, "--resume", "j", *CONCURRENT)), server
    )

    assert journal.count('"unsent"') > CONCURRENCY
    assert len(in_doubt) < CONCURRENCY // 2
    assert counts["unknown"] == len(in_doubt)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("how", ["failed", "interrupted"])
def test_action_in_doubt_is_never_skipped_by_a_later_part(
    folder: Any, server: Any, how: str
) -> None:
    """Adds may be repeated, so they are left for the next part; until then they are unknown."""
    server.trigger_at, server.holds_responses, server.throttled_share = CONCURRENCY, True, 0.0
    with folder.fork(server, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        server.trigger = process.kill
        process.communicate(timeout=40)
    server.wait_until_idle()
    assert server.applied.total() == CONCURRENCY
    args = ("--failed",) if how == "failed" else ()
    server.trigger_at = server.request_count + 1
    with folder.fork(server, "--resume", "j", *args) as process:
        server.trigger, server.holds_responses = partial(process.send_signal, signal.SIGINT), False
        out, err = process.communicate(timeout=40)
    server.wait_until_idle()
    completed = subprocess.CompletedProcess((), process.returncode, out, err)
    counts = folder.check_results(folder.results_of(completed), server)

    assert counts["unknown"] + counts["ok"] >= CONCURRENCY
    assert counts["failed"] == 0
    assert how == "interrupted" or counts["unknown"] == CONCURRENCY
    rest = folder.check_results(
        folder.results_of(folder.run(server, "--resume", "j", *CONCURRENT)), server
    )
    assert rest == {"ok": len(folder.requests)}


async def run_in_process(folder: Any, server: Any, options: JournalOptions) -> list[Result]:
    """Run the folder's playbook in this process."""
    endpoint = Endpoint(f"http://127.0.0.1:{server.port}", "bG9vcGJhY2s=")
    run_info = planning.run_info(folder.plans, Destination.SERVICE, [endpoint.host])
    hosts = [endpoint.host for _ in folder.plans]
    recorder = open_recorder(options, run_info, folder.plans, hosts, warn=pytest.fail)
    results = [
        result async for result in run_plans(folder.plans, lambda _: endpoint, recorder=recorder)
    ]
    assert recorder.journal
    await recorder.journal.close()
    return results


def crash_points(journal: bytes) -> Iterator[bytes]:
    """Yield the journal as it may be after a crash: cut at and in each line, some with garbage."""
    lines = journal.splitlines(keepends=True)
    for number, line in enumerate(lines[1:], start=1):
        complete = b"".join(lines[:number])
        yield complete
        yield complete + line[: len(line) // 2] + b"\0" * (number % 2)
        yield complete + line[:-1]
    yield journal


def apply_earlier_actions(server: Any, folder: Any, *, is_applied: bool) -> None:
    """Let the server have applied what ended before a crash, and perhaps what is in doubt."""
    history = read_journal(folder.journal)
    ended = {result.index for result in history.results()}
    in_doubt = history.sending if is_applied else set()
    server.applied = Counter(folder.requests[index] for index in ended | in_doubt)


@pytest.mark.parametrize("is_applied", [True, False])
async def test_run_resumes_from_every_crash_point(
    folder_of: Any, server: Any, *, is_applied: bool
) -> None:
    """Whether the actions in doubt were applied or not."""
    folder = folder_of(rows=1)
    await run_in_process(folder, server, JournalOptions(file=str(folder.journal)))
    points = list(crash_points(folder.journal.read_bytes()))

    for point in points:
        folder.journal.write_bytes(point)
        apply_earlier_actions(server, folder, is_applied=is_applied)
        in_doubt = read_journal(folder.journal).sending

        results = await run_in_process(folder, server, JournalOptions(resume=str(folder.journal)))

        results.sort(key=lambda result: result.index)
        records = [result.as_json() for result in results]
        assert folder.check_results(records, server)["unknown"] == len(in_doubt - folder.idempotent)
        history = read_journal(folder.journal)
        assert [result.as_json() for result in history.results()] == records
        assert not history.sending

    assert len(points) > len(folder.requests) * 3


async def test_it_runs_after_all_others_from_every_crash_point(folder_of: Any, server: Any) -> None:
    server.throttled_share = 0.0
    folder = folder_of(rows=2, playbook=WITH_FINALLY)
    await run_in_process(folder, server, JournalOptions(file=str(folder.journal)))

    for point in crash_points(folder.journal.read_bytes()):
        folder.journal.write_bytes(point)
        apply_earlier_actions(server, folder, is_applied=True)
        history = read_journal(folder.journal)
        in_doubt = history.sending - folder.idempotent
        server.log.clear()

        results = await run_in_process(folder, server, JournalOptions(resume=str(folder.journal)))

        results.sort(key=lambda result: result.index)
        counts = folder.check_results([result.as_json() for result in results], server)
        assert counts["unknown"] == len(in_doubt)
        ran = [method != "PUT" for method, _ in server.log]
        assert ran == sorted(ran)
        if False in ran:
            assert server.log[-2:] == folder.requests[-2:]
