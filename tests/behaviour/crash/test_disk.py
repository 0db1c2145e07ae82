"""A journal that cannot be used or written: the run ends with correct results."""

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wps_run.journal.writer import read_journal
from wps_run.problems import JournalError

CONCURRENCY = 16
CONCURRENT = ("--mode", "concurrent", "--concurrency", str(CONCURRENCY))
LIMITED = """\
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
"""


def test_journal_without_its_first_line_cannot_be_resumed(folder: Any, server: Any) -> None:
    """Its run has sent nothing."""
    for start in (b"", b'{"type":"run","vers', b"\0" * 100):
        folder.journal.write_bytes(start)

        process = folder.run(server, "p.yaml", "--resume", "j")

        assert (process.returncode, process.stdout, server.request_count) == (2, "", 0)
        assert "`j` is not a journal" in process.stderr
        assert folder.journal.read_bytes() == start


def with_another_bit(lines: list[bytes]) -> int:
    """Change one bit of a record that an action is about to be sent."""
    position = next(position for position, line in enumerate(lines) if b'"sending"' in line)
    lines[position] = lines[position].replace(b'"sending"', b'"rending"')
    return position + 1


def with_a_lost_line(lines: list[bytes]) -> int:
    """Remove a line."""
    del lines[2]
    return 3


def with_a_repeated_line(lines: list[bytes]) -> int:
    """Repeat a line."""
    lines.insert(3, lines[2])
    return 4


@pytest.mark.parametrize("damage", [with_another_bit, with_a_lost_line, with_a_repeated_line])
def test_damaged_journal_is_neither_resumed_nor_reported(
    folder: Any, server: Any, damage: Callable[[list[bytes]], int]
) -> None:
    """Exit code 2 with the line and what to do; nothing is sent, and nothing is written."""
    folder.run(server, "p.yaml", "--journal", "j", *CONCURRENT)
    sent, lines = server.request_count, folder.journal.read_bytes().splitlines(keepends=True)
    number = damage(lines)
    folder.journal.write_bytes(b"".join(lines))

    process = folder.run(server, "--resume", "j")

    assert (process.returncode, process.stdout, server.request_count) == (2, "", sent)
    assert f"j:{number}: the journal is damaged here: " in process.stderr
    assert "start a new run" in process.stderr
    assert folder.journal.read_bytes() == b"".join(lines)
    with pytest.raises(JournalError, match=f"j:{number}: the journal is damaged here"):
        read_journal(folder.journal)


def test_second_run_with_the_same_journal_is_refused(folder: Any, server: Any) -> None:
    """Exit code 2; nothing is sent."""
    refusals = []
    arrived = threading.Event()
    server.trigger_at, server.trigger, server.holds_responses = 1, arrived.set, True
    with folder.fork(server, "p.yaml", "--journal", "j") as first:
        assert arrived.wait(20)
        for args in (("--resume", "j"), ("p.yaml", "--journal", "j")):
            with folder.fork(server, *args) as process:
                out, err = process.communicate(timeout=40)
            refusals.append((process.returncode, out, err))
        first.kill()
        first.communicate()
    server.wait_until_idle()

    assert server.request_count == 1
    assert refusals[0] == (2, "", "error: another run is using the journal `j`\n")
    assert refusals[1][:2] == (2, "")
    assert "exists already; `--resume j` resumes its run" in refusals[1][2]


@pytest.mark.parametrize("device", ["/dev/full", "/dev/zero"])
@pytest.mark.parametrize("option", ["--journal", "--resume"])
def test_device_is_no_journal(folder: Any, server: Any, option: str, device: str) -> None:
    """Nothing is sent, and an endless device is not read."""
    if not Path(device).exists():
        pytest.skip(f"there is no {device} here")

    process = folder.run(server, "p.yaml", option, device)

    assert (process.returncode, process.stdout, server.request_count) == (2, "", 0)
    assert f"the journal `{device}`" in process.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_nothing_is_sent_if_the_first_line_cannot_be_written(folder: Any, server: Any) -> None:
    """No incomplete journal is left."""
    process = folder.run(server, "p.yaml", "--journal", "j", code=LIMITED.format(100))

    assert (process.returncode, process.stdout, server.request_count) == (2, "", 0)
    assert "cannot write the journal `j`: File too large" in process.stderr
    assert not folder.journal.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("limit", [2000, 4444, 8999])
def test_full_disk_stops_the_run_with_correct_results(folder: Any, server: Any, limit: int) -> None:
    """Requests in flight are awaited, the rest is skipped; no send lacks its record."""
    broken = folder.run(server, "p.yaml", "--journal", "j", *CONCURRENT, code=LIMITED.format(limit))

    results = folder.results_of(broken)
    counts = folder.check_results(results, server)
    assert counts["ok"] > 0
    assert {result["error"]["code"] for result in results if result["status"] == "skipped"} == {
        "journal"
    }
    assert broken.returncode in {1, 3}
    journal_line, resume_line = broken.stderr.splitlines()
    assert journal_line == "error: the journal `j` cannot be written: [Errno 27] File too large"
    assert resume_line == "hint: to do the rest: wps-run --resume j p.yaml"
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    records = [json.loads(line) for line in lines if line.endswith(b"\n")]
    recorded = {record["index"] for record in records if record["type"] == "sending"}
    sent = {index for index, act in enumerate(folder.requests) if server.applied[act]}
    assert sent <= recorded | folder.idempotent

    rest = folder.check_results(
        folder.results_of(folder.run(server, "--resume", "j", *CONCURRENT)), server
    )

    assert rest["ok"] + rest["unknown"] == len(folder.requests)
    assert rest["unknown"] <= CONCURRENCY


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="there is no folder that root cannot write"
)
def test_named_journal_that_cannot_be_created_is_refused(folder: Any, server: Any) -> None:
    """Exit code 2 with the reason; nothing is sent."""
    process = folder.run(server, "p.yaml", "--journal", "/proc/j")

    assert (process.returncode, process.stdout, server.request_count) == (2, "", 0)
    assert "cannot write the journal `/proc/j`: " in process.stderr


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="there is no folder that root cannot write"
)
def test_run_without_a_state_folder_continues_with_a_warning(
    folder: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc")
    process = folder.run(server, "p.yaml", *CONCURRENT)

    assert folder.check_results(folder.results_of(process), server)["ok"] == len(folder.requests)
    assert "warning: this run has no journal: " in process.stderr


def test_only_one_of_two_concurrent_resumes_runs(folder: Any, server: Any) -> None:
    """The other one is refused: nothing is sent twice."""
    server.trigger_at, server.throttled_share = 30, 0.0
    with folder.fork(server, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        server.trigger = process.kill
        process.communicate(timeout=40)
    server.wait_until_idle()
    is_sending = threading.Event()
    server.trigger_at, server.trigger = server.request_count + 1, is_sending.set
    server.holds_responses = True
    with folder.fork(server, "--resume", "j", *CONCURRENT) as first:
        assert is_sending.wait(timeout=20)
        with folder.fork(server, "--resume", "j", *CONCURRENT) as second:
            out, err = second.communicate(timeout=40)
        first.kill()
        first.communicate(timeout=40)
    server.wait_until_idle()
    server.holds_responses = False

    assert (second.returncode, out) == (2, "")
    assert "another run is using the journal `j`" in err
    rest = folder.run(server, "--resume", "j", *CONCURRENT)
    folder.check_results(folder.results_of(rest), server)
