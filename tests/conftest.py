"""Shared by all tests: the profiles of hypothesis, the project's root, a certificate, journals."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.server import HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import settings

from wps_run.cli.main import entry, wps_run
from wps_run.journal.format import UNCHECKED_VERSION, VERSION, Chain, encode
from wps_run.journal.reader import History, read_history

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "gate", max_examples=100, deadline=None, derandomize=True, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's root."""
    return Path(__file__).parent.parent


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
