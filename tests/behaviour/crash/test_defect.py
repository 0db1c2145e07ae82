"""A defect in the middle of a run: exit 70, and yet every action is accounted for."""

import json
from typing import Any

import pytest

from wps_run.journal.writer import read_journal

DEFECT = """
import wps_run.connect.client as edge
sound, left = edge.Client.send, [20]
async def send(self, *words, **more):
    left[0] -= 1
    mine = left[0] == 0
    reply = await sound(self, *words, **more)
    if mine:
        raise ZeroDivisionError("Bearer and all")
    return reply
edge.Client.send = send
"""


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
def test_a_defect_ends_the_run_and_leaves_nothing_untold(
    folder: Any, truth: Any, mode: str
) -> None:
    """What it struck is unknown, the rest is skipped; a resumed run does that rest once."""
    truth.refused = 0.0
    done = folder.run(truth, "p.yaml", "--journal", "j", "--mode", mode, code=DEFECT)

    assert done.returncode == 70
    assert "this is a bug in wps-run (ZeroDivisionError)" in done.stderr
    assert "Bearer" not in done.stderr
    assert "Traceback" not in done.stderr
    counts = folder.check(json.loads(done.stdout)["results"], truth)
    assert counts["unknown"] == 1
    assert counts["ok"] >= 4
    assert counts["failed"] == 0
    history = read_journal(folder.journal)
    assert not history.sending
    assert history.summary is not None

    rest = folder.check(folder.told(folder.run(truth, "--resume", "j")), truth)

    assert rest == {"ok": len(folder.acts) - 1, "unknown": 1}
