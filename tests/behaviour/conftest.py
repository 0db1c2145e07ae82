"""Runs the installed command in an empty folder."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.conftest import PIPE_SIZE, TIMEOUT, Command, CommandServer
from tests.listen_process import SETTING, Listen, listening

Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def wps_run(script: Path, tmp_path: Path, command_server: CommandServer | None) -> Script:
    """Runs `wps-run` in an empty folder, without its settings in the environment.

    The console script itself runs where there is a variable that Python reads when it starts.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(("webpubsub", "wps_", "github_"))
    }

    def run(
        *args: str | Path, stdin: str | bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        command: Command = [script, *args]
        given = stdin.encode() if isinstance(stdin, str) else stdin
        variables = {**clean, "XDG_STATE_HOME": str(tmp_path / "state"), **environment}
        if (
            command_server is None
            or len(given) > PIPE_SIZE
            or any(name.startswith("PYTHON") for name in environment)
        ):
            completed = subprocess.run(
                command,
                input=given,
                capture_output=True,
                cwd=tmp_path,
                env=variables,
                timeout=TIMEOUT,
                check=False,
            )
            code = completed.returncode
            out, err = completed.stdout.decode(), completed.stderr.decode()
        else:
            forked = command_server.start(command, tmp_path, variables, stdin=given)
            out, err = forked.communicate()
            assert forked.returncode is not None
            code = forked.returncode
        return subprocess.CompletedProcess(command, code, out, err)

    return run


@pytest.fixture
def listen(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Listen]]:
    """Starts `wps-run listen` in a folder with a playbook and its users."""
    monkeypatch.setenv("WebPubSubConnectionString", SETTING)
    with ExitStack() as stack:
        yield lambda *args: stack.enter_context(listening(script, tmp_path, *args))


@pytest.fixture(scope="module")
def members_of_red(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listen]:
    """A running `wps-run listen` that no test changes."""
    script = Path(sys.executable).parent / "wps-run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WebPubSubConnectionString", SETTING)
        with listening(script, tmp_path_factory.mktemp("listen")) as running:
            yield running
