"""Runs the installed command in an empty folder."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script() -> Path:
    """The console script of this environment."""
    return Path(sys.executable).parent / "wps-run"


@pytest.fixture
def wps_run(script: Path, tmp_path: Path) -> Script:
    """Runs `wps-run` in an empty folder, without its settings in the environment."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(("webpubsub", "wps_", "github_"))
    }

    def run(
        *args: str | Path, stdin: str | bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        completed = subprocess.run(
            [script, *args],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=tmp_path,
            env={**clean, "XDG_STATE_HOME": str(tmp_path / "state"), **environment},
            timeout=50,
            check=False,
        )
        return subprocess.CompletedProcess(
            completed.args,
            completed.returncode,
            completed.stdout.decode(),
            completed.stderr.decode(),
        )

    return run
