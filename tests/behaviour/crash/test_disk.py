"""A journal that cannot be used or no longer be written: a clear end, and no lie."""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

CONCURRENCY = 16
CONCURRENT = ("--mode", "concurrent", "--concurrency", str(CONCURRENCY))


def test_a_journal_without_its_first_line_cannot_be_gone_on_with(folder: Any, truth: Any) -> None:
    """Its run has sent nothing."""
    for start in (b"", b'{"type":"run","vers', b"\0" * 100):
        folder.journal.write_bytes(start)

        done = folder.run(truth, "p.yaml", "--resume", "j")

        assert (done.returncode, done.stdout, truth.seen) == (2, "", 0)
        assert "`j` is not a journal" in done.stderr
        assert folder.journal.read_bytes() == start


def test_two_runs_of_one_journal(folder: Any, truth: Any) -> None:
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
    assert "exists already; `--resume j` resumes its run" in second[1][2]


@pytest.mark.parametrize("device", ["/dev/full", "/dev/zero"])
@pytest.mark.parametrize("option", ["--journal", "--resume"])
def test_a_device_is_no_journal(folder: Any, truth: Any, option: str, device: str) -> None:
    """Exit 2; nothing is sent, and a device without an end is not read."""
    if not Path(device).exists():
        pytest.skip(f"there is no {device} here")

    done = folder.run(truth, "p.yaml", option, device)

    assert (done.returncode, done.stdout, truth.seen) == (2, "", 0)
    assert f"the journal `{device}`" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_where_not_even_the_first_line_fits_nothing_is_sent(folder: Any, truth: Any) -> None:
    """And no half a journal is left to stand in the way."""
    done = folder.run(truth, "p.yaml", "--journal", "j", limit=100)

    assert (done.returncode, done.stdout, truth.seen) == (2, "", 0)
    assert "cannot write the journal `j`: File too large" in done.stderr
    assert not folder.journal.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("limit", [2000, 4444, 8999])
def test_a_full_disk_stops_the_run_and_nothing_lies(folder: Any, truth: Any, limit: int) -> None:
    """What is in flight ends, the rest is skipped, and no send left that was not announced."""
    broken = folder.run(truth, "p.yaml", "--journal", "j", *CONCURRENT, limit=limit)

    results = folder.told(broken)
    counts = folder.check(results, truth)
    assert counts["ok"] > 0
    assert {one["error"]["code"] for one in results if one["status"] == "skipped"} == {"journal"}
    assert broken.returncode in {1, 3}
    journal_line, resume_line = broken.stderr.splitlines()
    assert journal_line == "wps-run: the journal `j` cannot be written: [Errno 27] File too large"
    assert resume_line == "wps-run: to do the rest: wps-run --resume j p.yaml"
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    records = [json.loads(line) for line in lines if line.endswith(b"\n")]
    announced = {one["index"] for one in records if one["type"] == "sending"}
    sent = {index for index, act in enumerate(folder.acts) if truth.applied[act]}
    assert sent <= announced | folder.idempotent

    rest = folder.check(folder.told(folder.run(truth, "--resume", "j", *CONCURRENT)), truth)

    assert rest["ok"] + rest["unknown"] == len(folder.acts)
    assert rest["unknown"] <= CONCURRENCY


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="there is no folder that root cannot write"
)
def test_where_no_file_can_be_made_a_named_journal_is_refused(folder: Any, truth: Any) -> None:
    """Exit 2, and nothing is sent; a read-only folder is told by its reason."""
    done = folder.run(truth, "p.yaml", "--journal", "/proc/j")

    assert (done.returncode, done.stdout, truth.seen) == (2, "", 0)
    assert "cannot write the journal `/proc/j`: " in done.stderr


@pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="there is no folder that root cannot write"
)
def test_without_a_state_folder_a_run_goes_on_and_says_so(
    folder: Any, truth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning, and every action is told."""
    monkeypatch.setenv("XDG_STATE_HOME", "/proc")
    done = folder.run(truth, "p.yaml", *CONCURRENT)

    assert folder.check(folder.told(done), truth)["ok"] == len(folder.acts)
    assert "warning: this run has no journal: " in done.stderr


def test_two_runs_that_go_on_with_one_journal_at_once(folder: Any, truth: Any) -> None:
    """One does the rest, the other is refused: nothing is sent twice."""
    truth.at, truth.refused = 30, 0.0
    with folder.start(truth, "p.yaml", "--journal", "j", *CONCURRENT) as process:
        truth.then = process.kill
        process.communicate(timeout=40)
    truth.settle()
    both = [folder.start(truth, "--resume", "j", *CONCURRENT) for _ in range(2)]
    ended = []
    for one in both:
        with one:
            out, err = one.communicate(timeout=40)
        ended.append((one.returncode, out, err))
    truth.settle()

    told = [out for code, out, _ in ended if code != 2]
    assert told
    for out in told:
        folder.check(json.loads(out)["results"], truth)
    refused = [err for code, _, err in ended if code == 2]
    assert all("another run is using the journal `j`" in err for err in refused)
