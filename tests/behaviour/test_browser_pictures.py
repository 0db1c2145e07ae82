"""The pictures of the report and of the live page are of what these look like now."""

import subprocess
import sys
from pathlib import Path


def test_the_pictures_are_of_the_present_files(project: Path) -> None:
    """Whoever changes the report or the page takes them anew: `python docs/browser_pictures.py`."""
    done = subprocess.run(
        [sys.executable, project / "docs" / "browser_pictures.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
