"""Runs the installed command in an empty folder."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

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
        stdout: A pipe from its stdout.
        stderr: A pipe from its stderr.

    Args:
        replies: Receives its process, and its exit code when it has ended.
        stdout: The descriptor of its stdout.
        stderr: The descriptor of its stderr.
    """

    def __init__(self, replies: socket.socket, stdout: int, stderr: int) -> None:
        self.returncode: int | None = None
        self.stdout, self.stderr = (
            open(descriptor, encoding="utf-8")  # noqa: PTH123, SIM115 -- a descriptor
            for descriptor in (stdout, stderr)
        )
        self._replies = replies
        self._process = self._receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.returncode is None:
            self.kill()
            self.communicate()

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._process, number)

    def communicate(self, timeout: float = TIMEOUT) -> tuple[str, str]:
        """Wait for its end; return what is left in its stdout and stderr."""
        self._replies.settimeout(timeout)
        with self._replies, self.stdout, self.stderr, ThreadPoolExecutor(2) as readers:
            texts = [readers.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                self.returncode = self._receive()
            except BaseException:  # also the timeout of a test
                self.kill()
                self.returncode = -signal.SIGKILL
                raise
        return texts[0].result(), texts[1].result()

    def _receive(self) -> int:
        reply = self._replies.recv(16)
        assert reply, "the server of commands ended"
        return int(reply)


class CommandServer:
    """Runs commands in processes that are forked, so that they need not import the package.

    See `command_server.py`.
    """

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
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
        self,
        command: Command,
        folder: Path,
        environment: Mapping[str, str],
        *,
        stdin: bytes = b"",
        code: str = "",
    ) -> ForkedCommand:
        """Start a command.

        Args:
            command: The command with its arguments.
            folder: Its current folder.
            environment: Its environment.
            stdin: What it reads, at most `PIPE_SIZE` bytes.
            code: Python code to run before the command.
        """
        request = json.dumps([list(map(str, command)), str(folder), dict(environment), code])
        replies, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        replies.settimeout(TIMEOUT)
        pipes = [os.pipe() for _ in range(3)]
        os.write(pipes[0][1], stdin)
        os.close(pipes[0][1])
        with theirs:
            files = [pipes[0][0], pipes[1][1], pipes[2][1]]
            socket.send_fds(self._requests, [request.encode()], [*files, theirs.fileno()])
        for file in files:
            os.close(file)
        return ForkedCommand(replies, pipes[1][0], pipes[2][0])

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
            forked = command_server.start(command, tmp_path, variables, stdin=given)
            out, err = forked.communicate()
            assert forked.returncode is not None
            code = forked.returncode
        return subprocess.CompletedProcess(command, code, out, err)

    return run
