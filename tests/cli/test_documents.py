"""docs/cli.md holds the help of every command as it is."""

import subprocess
import sys
from pathlib import Path


def test_the_page_of_the_command_line_is_up_to_date(project: Path, tmp_path: Path) -> None:
    """`python docs/generate.py` writes it; here it writes a copy."""
    script = tmp_path / "docs" / "generate.py"
    script.parent.mkdir()
    script.write_bytes((project / "docs" / "generate.py").read_bytes())

    subprocess.run([sys.executable, script], check=True)

    for page in ("cli.md", "actions.md"):
        assert (script.parent / page).read_text("utf-8") == (project / "docs" / page).read_text(
            "utf-8"
        )
