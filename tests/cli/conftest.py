"""Command lines that run in the process of the tests."""

import contextlib
import io
import sys
from collections.abc import Callable

import pytest

from wps_run.cli.main import entry, wps_run

CommandLine = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Runs `wps-run` with these arguments; returns its exit code, stdout and stderr."""

    def run(*args: str) -> tuple[int, str, str]:
        streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
        monkeypatch.setattr(sys, "argv", ["wps-run", *args])
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            code = entry(wps_run)
            sys.stdout.flush()
        out, err = (stream.buffer.getvalue().decode() for stream in streams)
        return code, out, err

    return run
