"""The pictures of the HTML report and of the live page are up to date."""

import subprocess
import sys
from pathlib import Path


def test_pictures_are_of_the_current_files(project: Path) -> None:
    """After a change of the report or the page, run `python docs/browser_pictures.py`."""
    process = subprocess.run(
        [sys.executable, project / "docs" / "browser_pictures.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (process.returncode, process.stdout) == (0, ""), process.stderr
