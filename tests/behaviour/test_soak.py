"""A long run through every trouble says what happened, in little memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="memory is measured on POSIX systems")
def test_a_long_run_through_every_trouble_says_what_happened(project: Path) -> None:
    """Few actions here; the soak itself takes a hundred thousand."""
    done = subprocess.run(
        [sys.executable, project / "benchmarks" / "soak.py", "--actions", "3000"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    met, statuses, _, wrong = done.stdout.splitlines()
    assert met.startswith("3000 actions, ")
    assert " unknown" in statuses
    assert wrong == "not so: nothing"
