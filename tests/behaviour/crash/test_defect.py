"""A defect in the middle of a run: exit code 70, and a result for every action."""

import json
from typing import Any

import pytest

from wps_run.journal.writer import read_journal

DEFECT = """
import wps_run.connect.client as edge
original, left = edge.Client.send, [20]
async def send(self, *args, **more):
    left[0] -= 1
    fails = left[0] == 0
    reply = await original(self, *args, **more)
    if fails:
        raise ZeroDivisionError("Bearer and all")
    return reply
edge.Client.send = send
"""


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_defect_ends_the_run_with_all_results(folder: Any, server: Any, mode: str) -> None:
    """The affected action is unknown, the rest is skipped; a resumed run does the rest once."""
    server.throttled_share = 0.0
    process = folder.run(server, "p.yaml", "--journal", "j", "--mode", mode, code=DEFECT)

    assert process.returncode == 70
    assert "this is a bug in wps-run (ZeroDivisionError)" in process.stderr
    assert "Bearer" not in process.stderr
    assert "Traceback" not in process.stderr
    counts = folder.check_results(json.loads(process.stdout)["results"], server)
    assert counts["unknown"] == 1
    assert counts["ok"] >= 4
    assert counts["failed"] == 0
    history = read_journal(folder.journal)
    assert not history.sending
    assert history.summary is not None

    counts_of_rest = folder.check_results(
        folder.results_of(folder.run(server, "--resume", "j")), server
    )

    assert counts_of_rest == {"ok": len(folder.requests) - 1, "unknown": 1}
