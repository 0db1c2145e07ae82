"""Command lines that run in the process of the tests."""

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wps_run.cli.main import entry, wps_run
from wps_run.emulator.testing import LocalPubSub

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


@pytest.fixture
def service_command_line(
    service: LocalPubSub,
    command_line: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    """Runs command lines in a new folder, against the fixture `service` of the module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("WebPubSubConnectionString", service.connection_string)
    return command_line
