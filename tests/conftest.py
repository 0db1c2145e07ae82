"""Shared by all tests: profiles of hypothesis, forked commands, a certificate, journals."""

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self, TextIO

import pytest
from hypothesis import settings

from wps_run.cli.main import entry, wps_run
from wps_run.journal.format import UNCHECKED_VERSION, VERSION, Chain, encode
from wps_run.journal.reader import History, read_history

Command = Sequence[str | Path]

TIMEOUT = 50
"""The maximum time of a command in seconds."""
PIPE_SIZE = 65536
"""What a pipe holds while nobody reads it, in bytes."""

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("gate", max_examples=50, deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the journals of tests out of the state folder of whoever runs them."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's root."""
    return Path(__file__).parent.parent


class ForkedCommand:
    """A command that was forked, with the members of `Popen` that tests need.

    Attributes:
        returncode: How it ended, as in `Popen`.
        stdout: A pipe from its stdout.
        stderr: A pipe from its stderr.

    Args:
        replies: Receives its process, and its exit code when it has ended.
        pipes: The descriptors from which its stdout and stderr are read; without, nothing is.
    """

    def __init__(self, replies: socket.socket, pipes: tuple[int, int] | None = None) -> None:
        self.returncode: int | None = None
        self.stdout: TextIO = io.StringIO()
        self.stderr: TextIO = io.StringIO()
        if pipes is not None:
            self.stdout, self.stderr = (
                open(pipe, encoding="utf-8")  # noqa: PTH123, SIM115 -- a descriptor
                for pipe in pipes
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

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait for its end; return its exit code."""
        if self.returncode is None:
            self.communicate(timeout)
        assert self.returncode is not None
        return self.returncode

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

    @property
    def descriptor(self) -> int:
        """The descriptor of the socket for requests, which other processes may send as well."""
        return self._requests.fileno()

    def start(  # noqa: PLR0913 -- the streams in two ways
        self,
        command: Command,
        folder: Path,
        environment: Mapping[str, str],
        *,
        stdin: bytes = b"",
        streams: tuple[int, int, int] | None = None,
        code: str = "",
    ) -> ForkedCommand:
        """Start a command.

        Args:
            command: The command with its arguments.
            folder: Its current folder.
            environment: Its environment.
            stdin: What it reads, at most `PIPE_SIZE` bytes.
            streams: The descriptors of its stdin, stdout and stderr, in place of pipes.
            code: Python code to run before the command.
        """
        request = json.dumps([list(map(str, command)), str(folder), dict(environment), code])
        replies, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        replies.settimeout(TIMEOUT)
        with theirs:
            if streams is not None:
                files = [*streams, theirs.fileno()]
                socket.send_fds(self._requests, [request.encode()], files)
                return ForkedCommand(replies)
            pipes = [os.pipe() for _ in range(3)]
            os.write(pipes[0][1], stdin)
            os.close(pipes[0][1])
            files = [pipes[0][0], pipes[1][1], pipes[2][1]]
            socket.send_fds(self._requests, [request.encode()], [*files, theirs.fileno()])
        for file in files:
            os.close(file)
        return ForkedCommand(replies, (pipes[1][0], pipes[2][0]))

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


@pytest.fixture(scope="session")
def run_in_process() -> Callable[..., tuple[int, str]]:
    """Runs a command in this process; returns its exit code and output."""

    def run(*args: str) -> tuple[int, str]:
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
        before = sys.argv
        sys.argv = ["wps-run", *args]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = entry(wps_run)
        finally:
            sys.argv = before
        for stream in (out, err):
            stream.seek(0)
        return code, out.read() + err.read()

    return run


@pytest.fixture
def serve() -> Iterator[Callable[[HTTPServer], str]]:
    """Starts a server in a thread of its own until the test ends; returns its URL."""
    with ExitStack() as running:

        def start(server: HTTPServer) -> str:
            running.enter_context(server)
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            running.callback(thread.join)
            running.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a self-signed certificate for 127.0.0.1 and of its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    args = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout key.pem -out cert.pem"
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *args.split(), *name], cwd=folder, check=True, capture_output=True)
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture(scope="session")
def journal_header() -> Mapping[str, Any]:
    """The header of a journal."""
    return {
        "type": "run",
        "version": VERSION,
        "started": "2026-11-24T12:00:00.000+00:00",
        "paths": ["p.yaml"],
        "folder": "/srv",
        "destination": "SERVICE",
        "endpoints": ["127.0.0.1:80"],
        "hubs": ["chat"],
        "playbooks": ["p.yaml"],
        "total": 9,
        "pace": "sequential",
        "salt": "salt",
        "fingerprint": {"the playbook p.yaml": "1", "the hub": "c"},
    }


@pytest.fixture(scope="session")
def journal_of(journal_header: Mapping[str, Any]) -> Callable[..., bytes]:
    """Makes the bytes of a journal of these records; keywords change its header."""

    def make(*records: object, **header: Any) -> bytes:
        chain, first = Chain(), {**journal_header, **header}
        if first["version"] == UNCHECKED_VERSION:
            return b"".join(encode(record) + b"\n" for record in (first, *records))
        return b"".join(map(chain.seal, (first, *records)))

    return make


def result_record(index: int, status: str, code: str = "") -> dict[str, Any]:
    """Return the record of a result with this status, and with an error if it has a code."""
    return {
        "type": "result",
        "index": index,
        "action": index,
        "item": None,
        "actionName": "sendToAll",
        "name": None,
        "target": {},
        "source": "p.yaml:1",
        "status": status,
        "httpStatus": 202 if status == "ok" else None,
        "attempts": 1,
        "durationMs": 2.5,
        "requestId": "id",
        "error": {"code": code, "message": "m", "hint": ""} if code else None,
        "startedMs": 1.5,
        "waitedFor": None,
        "tries": [],
    }


@pytest.fixture(scope="session")
def history_of(journal_of: Callable[..., bytes]) -> Callable[..., History]:
    """Makes the history of a journal named `j`, from the arguments of `journal_of`."""

    def make(*records: object, **header: Any) -> History:
        journal = journal_of(*records, **header)
        return read_history(lambda: io.BytesIO(journal), "j")

    return make
