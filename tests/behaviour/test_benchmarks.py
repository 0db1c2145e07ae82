"""The comparison with the peers runs, and what is written of it is what was measured."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROW = re.compile(
    r"^\| .* \| [0-9.]+ \| at (?:least|most) [0-9.]+ \| (?:met|missed) \|$", re.MULTILINE
)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
@pytest.mark.timeout(170)
def test_the_comparison_runs_and_tells_every_line(project: Path, tmp_path: Path) -> None:
    """A few actions, one round, this environment: whether the figures are good is not judged."""
    words = ["--here", "--actions", "200", "--rounds", "1", "--rows", "2000"]
    table = tmp_path / "table.md"
    done = subprocess.run(
        [sys.executable, project / "benchmarks" / "compare.py", *words, "--write", table],
        capture_output=True,
        text=True,
        timeout=160,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert table.read_text() == done.stdout
    kept = (project / "benchmarks" / "results.md").read_text()
    assert [named(row) for row in ROW.findall(done.stdout)] == [
        named(row).replace("1,000,000", "2,000").replace("10,000", "200")
        for row in ROW.findall(kept)
    ]


def named(row: str) -> str:
    """What a row is about: what was measured, and against what."""
    return "|".join(row.split("|")[1:3])


@pytest.mark.parametrize("page", ["README.md", "docs/speed.md"])
def test_what_is_quoted_stands_in_the_results(project: Path, page: str) -> None:
    """Nobody rounds a figure up on the way."""
    quoted = ROW.findall((project / page).read_text())
    kept = ROW.findall((project / "benchmarks" / "results.md").read_text())

    assert quoted
    assert set(quoted) <= set(kept)
