"""The pictures in the documents show what happens."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_the_pictures_are_still_true(project: Path) -> None:
    """`python docs/screenshots.py` draws them anew; times do not count."""
    done = subprocess.run(
        [sys.executable, project / "docs" / "screenshots.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
