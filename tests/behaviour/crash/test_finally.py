"""What is in `finally` runs after all else, whatever became of it, and again if more of it runs."""

import signal
import subprocess
import sys
from functools import partial
from typing import Any

import pytest

from wps_run.journal.writer import read_journal

PLAYBOOK = """\
hub: chat
actions:
  - {forEach: {file: rows.csv}, actionName: addUserToGroup, userId: 'u${each.n}', group: red}
finally:
  - {actionName: sendToAll, data: bye}
  - {forEach: {file: rows.csv}, actionName: removeUserFromGroup, userId: 'u${each.n}', group: red}
"""
ROWS = 4
SEND = ("POST", "/api/hubs/chat/:send")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@pytest.fixture
def folder(folder_of: Any) -> Any:
    return folder_of(rows=ROWS, playbook=PLAYBOOK)


@pytest.fixture
def server(start_server: Any) -> Any:
    """A server that throttles no request."""
    server = start_server(0)
    server.throttled_share = 0.0
    return server


def is_final(request: tuple[str, str]) -> bool:
    return request[0] != "PUT"


def interrupted(
    folder: Any, server: Any, at: int, *signals: signal.Signals
) -> tuple[list[dict[str, Any]], str]:
    """Run, and send signals at once when a request arrives.

    Returns:
        The results and stderr.
    """
    server.trigger_at = server.request_count + at
    process = folder.fork(server, "p.yaml", "--journal", "j")
    server.trigger = lambda: [process.send_signal(number) for number in signals]
    out, err = process.communicate()
    server.wait_until_idle()
    assert process.returncode - 128 in signals
    return folder.results_of(subprocess.CompletedProcess((), process.returncode, out, err)), err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_after_an_interrupt_and_again_after_the_rest(
    folder: Any, server: Any, number: signal.Signals
) -> None:
    results, err = interrupted(folder, server, 1, number)

    assert "what is in `finally` runs" in err
    ends = [(result["status"], result.get("final", False)) for result in results]
    assert ends[ROWS - 1] == ("skipped", False)
    assert ends[ROWS:] == [("ok", True)] * (ROWS + 1)

    rest = folder.results_of(folder.run(server, "--resume", "j"))

    assert {result["status"] for result in rest} == {"ok"}
    assert server.applied[SEND] == 1
    removals = [request for request in server.log if request[0] == "DELETE"]
    assert len(removals) == 2 * ROWS
    assert server.log[-ROWS:] == removals[:ROWS]
    assert folder.results_of(folder.run(server, "--resume", "j"))
    assert len(server.log) == 3 * ROWS + 1


def test_second_interrupt_keeps_it_from_running(folder: Any, server: Any) -> None:
    server.pause = 0.5
    results, _ = interrupted(folder, server, 1, signal.SIGINT, signal.SIGTERM)

    assert [result["status"] for result in results] == ["unknown", *["skipped"] * (2 * ROWS)]
    assert {result["error"]["code"] for result in results[1:]} == {"interrupted"}
    server.pause = 0.0
    rest = folder.results_of(folder.run(server, "--resume", "j"))
    assert {result["status"] for result in rest} == {"ok"}
    assert list(map(is_final, server.log)) == [False] * (ROWS + 1) + [True] * (ROWS + 1)


def test_first_interrupt_while_it_runs_lets_it_end(folder: Any, server: Any) -> None:
    results, _ = interrupted(folder, server, ROWS + 2, signal.SIGTERM)
    assert {result["status"] for result in results} == {"ok"}


def test_second_interrupt_while_it_runs_cuts_it_short(folder: Any, server: Any) -> None:
    server.pause = 0.3
    results, _ = interrupted(folder, server, ROWS + 2, signal.SIGINT, signal.SIGTERM)

    statuses = [result["status"] for result in results]
    assert statuses == ["ok"] * (ROWS + 1) + ["unknown"] + ["skipped"] * (ROWS - 1)
    server.pause = 0.0
    rest = folder.results_of(folder.run(server, "--resume", "j"))
    assert {result["status"] for result in rest} == {"ok"}
    assert server.applied[SEND] == 1
    assert len(server.log) == 2 * ROWS + 2


def test_what_ran_before_other_actions_runs_again_after_a_kill(folder: Any, server: Any) -> None:
    """It was done in the first part, and the second is killed before it comes to it."""
    results, _ = interrupted(folder, server, 1, signal.SIGINT)
    left = [result for result in results if result["status"] == "skipped"]
    server.trigger_at = server.request_count + len(left) + 1  # its first removal
    process = folder.fork(server, "--resume", "j")
    server.trigger = partial(server.hold_and_call, 0, process.kill)
    process.communicate()
    server.wait_until_idle()
    assert len(read_journal(folder.journal).sending) == 1
    server.holds_responses = False
    server.log.clear()

    rest = folder.results_of(folder.run(server, "--resume", "j"))

    assert {result["status"] for result in rest} == {"ok"}
    assert server.log == folder.requests[ROWS + 1 :]
    assert server.applied[SEND] == 1
