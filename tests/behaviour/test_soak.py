"""A long run against a faulty server reports what happened, in little memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="memory is measured on POSIX systems")
def test_long_run_with_faults_has_correct_results(project: Path) -> None:
    """3,000 actions here; the benchmark itself runs 100,000."""
    process = subprocess.run(
        [sys.executable, project / "benchmarks" / "soak.py", "--actions", "3000"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert process.returncode == 0, process.stdout + process.stderr
    faults, statuses, _, contradictions = process.stdout.splitlines()
    assert faults.startswith("3000 actions, ")
    assert " unknown" in statuses
    assert contradictions == "contradictions: nothing"
