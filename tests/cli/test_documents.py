"""What docs/ has from the code is up to date."""

import shutil
import subprocess
import sys
from pathlib import Path


def test_generated_pages_are_up_to_date(project: Path, tmp_path: Path) -> None:
    """`python docs/generate.py` writes them; here it writes a copy."""
    for name in ("generate.py", "playbooks.md", "reports.md"):
        shutil.copy(project / "docs" / name, tmp_path)

    subprocess.run([sys.executable, tmp_path / "generate.py"], check=True)

    for name in ("actions.md", "cli.md", "playbooks.md", "reports.md"):
        assert (tmp_path / name).read_text("utf-8") == (project / "docs" / name).read_text("utf-8")
