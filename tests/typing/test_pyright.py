"""pyright accepts the documented examples, and the right uses of the package, and no wrong ones."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PYRIGHT = Path(os.environ.get("WPS_RUN_NODE_MODULES", "none")) / "pyright" / "index.js"


@pytest.mark.skipif(
    not PYRIGHT.exists(), reason="WPS_RUN_NODE_MODULES names no node_modules folder with pyright"
)
def test_pyright_accepts_right_uses_and_refuses_wrong_ones(project: Path) -> None:
    """The examples, and the modules of this folder: an unneeded `type: ignore` is an error."""
    check = project / "docs" / "check_examples.py"
    uses = (Path(__file__).with_name(f"{name}.py") for name in ("typed_actions", "library"))
    node = shutil.which("node") or "node"

    process = subprocess.run(
        [sys.executable, check, node, PYRIGHT, "--pythonpath", sys.executable, *uses],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )

    assert process.returncode == 0, process.stdout + process.stderr
    assert "0 errors, 0 warnings" in process.stdout
