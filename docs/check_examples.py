"""Check the types of the Python examples in the documentation.

    python docs/check_examples.py CHECKER [ARGUMENT ...]

Runs the type checker on a module for each block of Python code on the pages of `PAGES`; the lines
of a module have the numbers that they have on the page. Its exit code is that of the checker.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/how-to/from-python.md", "docs/how-to/from-functions.md")
SETTINGS = "# pyright: strict, reportUnknownMemberType=false"
"""The first line of each module. The second setting is for packages without complete types."""


def examples(page: str) -> dict[str, str]:
    """Return the blocks of a page by the name of a module."""
    text = (ROOT / page).read_text("utf-8")
    modules = {}
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, match.start(1))
        name = f"{Path(page).stem}_line_{line + 1}".replace("-", "_")
        modules[name] = SETTINGS + "\n" * line + match[1]
    return modules


def main() -> int:
    """Write the modules, and run the type checker on them."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for page in PAGES:
            for name, text in examples(page).items():
                files.append(Path(folder, f"{name}.py"))
                files[-1].write_text(text, "utf-8")
        return subprocess.run([*sys.argv[1:], *files], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
