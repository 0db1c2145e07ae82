"""The installed script, run as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script() -> Path:
    """Where the console script of this environment is."""
    return Path(sys.executable).parent / "wps-run"


@pytest.fixture
def wps_run(script: Path, tmp_path: Path) -> Script:
    """Runs `wps-run` in an empty folder, in an environment without any setting."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(("webpubsub", "wps_", "github_"))
    }

    def call(
        *words: str | Path, stdin: str | bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [script, *words],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=tmp_path,
            env={**clean, "XDG_STATE_HOME": str(tmp_path / "state"), **environment},
            timeout=50,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return call
