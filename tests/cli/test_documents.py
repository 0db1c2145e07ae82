"""The generated parts of docs/ are up to date."""

import subprocess
import sys
from pathlib import Path


def test_generated_pages_are_up_to_date(project: Path) -> None:
    """`python docs/generate.py` writes them."""
    subprocess.run([sys.executable, project / "docs" / "generate.py", "--check"], check=True)
