"""The benchmarks run, and the pages quote the results of the comparison with other clients.

Running them needs as much processor time as hundreds of other tests; `.ci/release` sets
WPS_RUN_BENCHMARKS to do so.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

release_only = pytest.mark.skipif(
    "WPS_RUN_BENCHMARKS" not in os.environ, reason=".ci/release runs it"
)
ROW = re.compile(
    r"^\| .* \| [0-9.]+ \| at (?:least|most) [0-9.]+ \| (?:met|missed) \|$", re.MULTILINE
)


@release_only
@pytest.mark.timeout(170)
@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_comparison_prints_every_row(project: Path, tmp_path: Path) -> None:
    """A few actions and one round; the figures are not checked."""
    args = ["--here", "--actions", "200", "--rounds", "1", "--rows", "2000"]
    args += ["--members", "1000"]
    table = tmp_path / "table.md"
    process = subprocess.run(
        [sys.executable, project / "benchmarks" / "compare.py", *args, "--write", table],
        capture_output=True,
        text=True,
        timeout=160,
        check=False,
    )

    assert process.returncode == 0, process.stdout + process.stderr
    assert table.read_text() == process.stdout
    results = (project / "benchmarks" / "results.md").read_text()
    assert [row_name(row) for row in ROW.findall(process.stdout)] == [
        row_name(row)
        .replace("1,000,000", "2,000")
        .replace("100,000", "1,000")
        .replace("50,000", "500")
        .replace("10,000", "200")
        .replace("1,000 reliable", "200 reliable")
        for row in ROW.findall(results)
    ]


def row_name(row: str) -> str:
    """Return what a row compares with what."""
    return "|".join(row.split("|")[1:3])


@release_only
@pytest.mark.timeout(170)
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="memory is measured on POSIX systems")
def test_long_run_with_faults_has_correct_results(project: Path) -> None:
    """3,000 actions here; the benchmark itself runs 100,000."""
    process = subprocess.run(
        [sys.executable, project / "benchmarks" / "soak.py", "--actions", "3000"],
        capture_output=True,
        text=True,
        timeout=160,
        check=False,
    )

    assert process.returncode == 0, process.stdout + process.stderr
    faults, statuses, _, contradictions = process.stdout.splitlines()
    assert faults.startswith("3000 actions, ")
    assert " unknown" in statuses
    assert contradictions == "contradictions: nothing"


@release_only
@pytest.mark.timeout(170)
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="memory is measured on POSIX systems")
def test_stream_benchmark_prints_its_table(project: Path) -> None:
    """Few rows here; the benchmark itself uses a million."""
    process = subprocess.run(
        [sys.executable, project / "benchmarks" / "stream.py", "--rows", "2000"],
        capture_output=True, text=True, check=True, timeout=160,
    )  # fmt: skip

    head, *measured = process.stdout.splitlines()
    assert head.split() == ["command", "rows", "seconds", "us", "per", "row", "peak", "MiB"]
    assert [line.split()[0] for line in measured] == ["plan", "run"]
    assert all(" 2000 " in line for line in measured)


@release_only
def test_benchmark_of_typed_actions_prints_every_row(project: Path) -> None:
    """A few actions and one round; the figures are not checked."""
    args = ["--actions", "100", "--rounds", "1"]
    process = subprocess.run(
        [sys.executable, project / "benchmarks" / "typed_actions.py", *args],
        capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip

    assert re.findall(r"^(.*?) +[0-9.]+ ms .* ratio [0-9.]+ ", process.stdout, re.MULTILINE) == [
        "100 AddUserToGroup",
        "100 SendToGroup",
        "from wps_run import SendToGroup",
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/explanation/speed.md"])
def test_quoted_rows_are_in_the_results(project: Path, page: str) -> None:
    """Figures are quoted without rounding."""
    quoted = ROW.findall((project / page).read_text())
    results = ROW.findall((project / "benchmarks" / "results.md").read_text())

    assert quoted
    assert set(quoted) <= set(results)
