"""The pictures in the documentation are up to date."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_pictures_are_up_to_date(project: Path) -> None:
    """`python docs/screenshots.py` redraws them; times are ignored."""
    process = subprocess.run(
        [sys.executable, project / "docs" / "screenshots.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (process.returncode, process.stdout) == (0, ""), process.stderr
