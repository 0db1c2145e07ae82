"""Runs the installed command in an empty folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]
Command = Sequence[str | Path]

TIMEOUT = 50
"""The maximum time of a command in seconds."""
PIPE_SIZE = 65536
"""What a pipe holds while nobody reads it, in bytes."""


class ForkedCommand:
    """A command that was forked, with the members of `Popen` that tests need.

    Attributes:
        returncode: How it ended, as in `Popen`.

    Args:
        receive: Waits for its exit code.
        process: The ID of its process.
        out: Where its stdout goes.
        err: Where its stderr goes.
    """

    def __init__(
        self, receive: Callable[[], int], process: int, out: IO[bytes], err: IO[bytes]
    ) -> None:
        self._receive = receive
        self._process = process
        self._streams = (out, err)
        self.returncode = 0

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._process, number)

    def communicate(self) -> tuple[str, str]:
        """Wait for its end; return its stdout and stderr."""
        try:
            self.returncode = self._receive()
        except BaseException:  # also the timeout of a test
            self.kill()
            self._receive()
            raise
        texts = []
        for stream in self._streams:
            with stream:
                stream.seek(0)
                texts.append(stream.read().decode())
        return texts[0], texts[1]


class CommandServer:
    """Runs commands in processes that are forked, so that they need not import the package.

    See `command_server.py`.
    """

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.settimeout(TIMEOUT)
        with theirs:
            file = Path(__file__).with_name("command_server.py")
            self._process = subprocess.Popen(
                [sys.executable, "-P", file, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def start(
        self, command: Command, stdin: bytes, folder: Path, environment: Mapping[str, str]
    ) -> ForkedCommand:
        """Start a command; the next one can start when it has ended."""
        request = json.dumps([list(map(str, command)), str(folder), dict(environment)]).encode()
        reader, writer = os.pipe()
        with open(reader, "rb") as input_pipe:  # noqa: PTH123 -- a descriptor
            with open(writer, "wb") as writing:  # noqa: PTH123 -- a descriptor
                writing.write(stdin)
            out, err = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115 -- read when it ends
            files = [input_pipe.fileno(), out.fileno(), err.fileno()]
            socket.send_fds(self._requests, [request], files)
        return ForkedCommand(self.receive, self.receive(), out, err)

    def receive(self) -> int:
        """Wait for the next number that the server replies with."""
        reply = self._requests.recv(16)
        assert reply, "the server of commands ended"
        return int(reply)

    def stop(self) -> None:
        """Stop the server."""
        self._requests.close()
        self._process.communicate()


@pytest.fixture(scope="session")
def command_server() -> Iterator[CommandServer | None]:
    """Runs commands in forked processes, where there are any."""
    if not sys.platform.startswith("linux"):
        yield None
        return
    server = CommandServer()
    yield server
    server.stop()


@pytest.fixture
def script() -> Path:
    """The console script of this environment."""
    return Path(sys.executable).parent / "wps-run"


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
            forked = command_server.start(command, given, tmp_path, variables)
            out, err = forked.communicate()
            code = forked.returncode
        return subprocess.CompletedProcess(command, code, out, err)

    return run
