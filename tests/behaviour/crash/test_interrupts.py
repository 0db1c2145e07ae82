"""A run that is told to stop tells everything, and can be gone on with."""

import signal
import subprocess
import sys
from typing import Any

import pytest

CONCURRENCY = 16
CONCURRENT = ("--mode", "concurrent", "--concurrency", str(CONCURRENCY))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, CONCURRENT), (signal.SIGTERM, 143, ())],
)
def test_an_interrupted_run_is_told_in_full_and_gone_on_with(
    folder: Any, truth: Any, number: signal.Signals, code: int, words: tuple[str, ...]
) -> None:
    """What is in flight ends, nothing is unknown, and the rest is done later, once.

    A third is throttled, and waits for another attempt when the end comes.
    """
    truth.at, truth.refused = len(folder.acts) // 2, 0.3
    with folder.start(truth, "p.yaml", "--journal", "j", *words) as process:
        truth.then = lambda: process.send_signal(number)
        out, err = process.communicate(timeout=40)
    truth.settle()
    broken = folder.told(subprocess.CompletedProcess((), process.returncode, out, err))
    counts = folder.check(broken, truth)

    assert process.returncode == code
    assert counts["skipped"] > 0
    assert counts["unknown"] == counts["failed"] == 0
    assert err.splitlines()[-1] == "wps-run: to do the rest: wps-run --resume j p.yaml"
    rest = folder.check(folder.told(folder.run(truth, "--resume", "j", *words)), truth)
    assert rest == {"ok": len(folder.acts)}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_second_interrupt_leaves_at_once(folder: Any, truth: Any) -> None:
    """What was in flight is unknown, however long the server would have taken.

    They are adds, which may be done twice, so the next part does them again.
    """
    assert folder.idempotent.issuperset(range(CONCURRENCY))
    truth.at, truth.holding = CONCURRENCY, True
    with folder.start(truth, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        truth.then = lambda: process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "stopping" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)
    truth.settle()
    results = folder.told(subprocess.CompletedProcess((), process.returncode, out, err))

    counts = folder.check(results, truth)
    assert process.returncode == 130
    assert counts == {"unknown": CONCURRENCY, "skipped": len(folder.acts) - CONCURRENCY}
    truth.holding = False
    rest = folder.check(folder.told(folder.run(truth, "--resume", "j", *CONCURRENT)), truth)
    assert rest == {"ok": len(folder.acts)}
