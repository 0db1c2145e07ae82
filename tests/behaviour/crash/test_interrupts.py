"""An interrupted run reports all results, and can be resumed."""

import signal
import subprocess
import sys
from typing import Any

import pytest

CONCURRENCY = 16
HANGUP = getattr(signal, "SIGHUP", 1)
CONCURRENT = ("--mode", "concurrent", "--concurrency", str(CONCURRENCY))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code", "args"),
    [(signal.SIGINT, 130, CONCURRENT), (signal.SIGTERM, 143, ()), (HANGUP, 129, CONCURRENT)],
)
def test_interrupted_run_reports_all_results_and_resumes(
    folder: Any, server: Any, number: signal.Signals, code: int, args: tuple[str, ...]
) -> None:
    """Nothing is unknown, also of paused actions; a resumed run does the rest once."""
    server.trigger_at, server.throttled_share = len(folder.requests) // 2, 0.3
    with folder.fork(server, "p.yaml", "--journal", "j", *args) as process:
        server.trigger = lambda: process.send_signal(number)
        out, err = process.communicate(timeout=40)
    server.wait_until_idle()
    broken = folder.results_of(subprocess.CompletedProcess((), process.returncode, out, err))
    counts = folder.check_results(broken, server)

    assert process.returncode == code
    assert counts["skipped"] > 0
    assert counts["unknown"] == counts["failed"] == 0
    assert err.splitlines()[-1] == "hint: to do the rest: wps-run --resume j p.yaml"
    rest = folder.check_results(
        folder.results_of(folder.run(server, "--resume", "j", *args)), server
    )
    assert rest == {"ok": len(folder.requests)}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_second_interrupt_ends_the_run_at_once(folder: Any, server: Any) -> None:
    """Requests in flight are unknown. They are adds, so a resumed run repeats them."""
    assert folder.idempotent.issuperset(range(CONCURRENCY))
    server.trigger_at, server.holds_responses = CONCURRENCY, True
    with folder.start(server, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        server.trigger = lambda: process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "stopping" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)
    server.wait_until_idle()
    results = folder.results_of(subprocess.CompletedProcess((), process.returncode, out, err))

    counts = folder.check_results(results, server)
    assert process.returncode == 130
    assert counts == {"unknown": CONCURRENCY, "skipped": len(folder.requests) - CONCURRENCY}
    server.holds_responses = False
    rest = folder.check_results(
        folder.results_of(folder.run(server, "--resume", "j", *CONCURRENT)), server
    )
    assert rest == {"ok": len(folder.requests)}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_hangup_of_a_closing_terminal_ends_a_run_once(folder: Any, server: Any) -> None:
    """The terminal and the shell both send SIGHUP. Requests in flight still end."""
    server.trigger_at = CONCURRENCY
    with folder.fork(server, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        server.trigger = lambda: [process.send_signal(HANGUP) for _ in range(3)]
        out, err = process.communicate(timeout=40)
    server.wait_until_idle()
    results = folder.results_of(subprocess.CompletedProcess((), process.returncode, out, err))

    assert process.returncode == 129
    assert folder.check_results(results, server)["unknown"] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_ignored_hangup_does_not_end_a_run(folder: Any, server: Any) -> None:
    """As under `nohup`."""
    server.trigger_at = CONCURRENCY
    ignore = f"import signal; signal.signal({int(HANGUP)}, signal.SIG_IGN)"
    with folder.fork(server, "p.yaml", "--journal", "j", *CONCURRENT, code=ignore) as process:
        server.trigger = lambda: process.send_signal(HANGUP)
        out, err = process.communicate(timeout=40)
    results = folder.results_of(subprocess.CompletedProcess((), process.returncode, out, err))

    assert process.returncode == 0
    assert folder.check_results(results, server) == {"ok": len(folder.requests)}
