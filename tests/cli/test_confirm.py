"""A person at a terminal confirms actions that close every connection of a hub."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

pty: Any = pytest.importorskip("pty", reason="pseudo-terminals are not for Windows")

CLOSE = "hub: chat\nactions:\n  - actionName: closeAllConnections\n"
REMOTE = "Endpoint=https://prod.webpubsub.example;AccessKey=bG9vcGJhY2s=;"
LOOPBACK = "Endpoint=http://127.0.0.1:9;AccessKey=bG9vcGJhY2s=;"
QUESTION = (
    "wps-run: 1 action closes every connection of hub `chat` at prod.webpubsub.example\n"
    "Continue? [y/N] "
)

RunAtTerminal = Callable[..., tuple[int, str]]


class Proxy(BaseHTTPRequestHandler):
    """A proxy, over which all traffic to other machines goes; it lets nothing through."""

    seen: list[str]

    def do_CONNECT(self) -> None:
        """Note who was to be reached."""
        self.seen.append(self.path)
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[HTTPServer]:
    """Such a proxy."""
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Proxy,), {"seen": []}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def reached(proxy: HTTPServer) -> list[str]:
    """The hosts that were to be reached over the proxy."""
    seen: list[str] = proxy.RequestHandlerClass.seen  # type: ignore[attr-defined] # of Proxy
    return seen


@pytest.fixture
def run_at_terminal(tmp_path: Path, proxy: HTTPServer) -> RunAtTerminal:
    """Runs a playbook at a terminal where somebody types; the exit code and what is seen."""
    (tmp_path / "p.yaml").write_text(CLOSE)

    def call(typed: str, *args: str, connection: str = REMOTE) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        os.write(ours, typed.encode())
        environment = {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy.server_port}",
            "WebPubSubConnectionString": connection,
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "wps_run", "--attempts", "1", *args, "p.yaml"],
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            cwd=tmp_path,
            env=environment,
            timeout=50,
            check=False,
        )
        os.close(theirs)
        return done.returncode, read_all(ours) + done.stdout.decode()

    return call


def read_all(terminal: int) -> str:
    """What is on a terminal that its last user has left."""
    seen = b""
    try:
        while piece := os.read(terminal, 4096):
            seen += piece
    except OSError:  # Linux: an error takes the place of the end
        pass
    finally:
        os.close(terminal)
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("typed", ["n\n", "\n", "chat\n", "\x04"])
def test_without_a_yes_nothing_is_sent(
    run_at_terminal: RunAtTerminal, reached: list[str], tmp_path: Path, typed: str
) -> None:
    """Exit 2, no connection was tried, no journal begun."""
    code, output = run_at_terminal(typed)

    assert code == 2
    assert QUESTION in output
    assert output.endswith("wps-run: nothing was sent; answer `y` to continue, or use --yes\n")
    assert reached == []
    assert not (tmp_path / "state").exists()


def test_with_a_yes_it_runs(run_at_terminal: RunAtTerminal, reached: list[str]) -> None:
    """The question names hub, endpoint and how many such actions there are."""
    code, output = run_at_terminal("y\n")

    assert code == 1
    assert QUESTION in output
    assert reached == ["prod.webpubsub.example:443"]


@pytest.mark.parametrize(
    ("args", "connection"),
    [(["--yes"], REMOTE), (["--local"], REMOTE), ([], LOOPBACK)],
    ids=["--yes", "--local", "loopback"],
)
def test_no_confirmation_is_needed(
    run_at_terminal: RunAtTerminal, args: list[str], connection: str
) -> None:
    """With `--yes`, in a rehearsal, and where the hub is on this machine."""
    code, output = run_at_terminal("", *args, connection=connection)

    assert code == (0 if "--local" in args else 1)
    assert "Continue?" not in output


def test_a_proxy_on_this_machine_makes_no_hub_local(
    run_at_terminal: RunAtTerminal, reached: list[str]
) -> None:
    """It is the hub that counts, not the way to it."""
    code, output = run_at_terminal("n\n", "--endpoint", "http://127.0.0.1:9")

    assert (code, reached) == (2, [])
    assert QUESTION in output


def test_without_a_terminal_no_confirmation_is_needed(
    tmp_path: Path, proxy: HTTPServer, reached: list[str]
) -> None:
    """A script means what it says."""
    (tmp_path / "p.yaml").write_text(CLOSE)
    environment = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy.server_port}",
        "WebPubSubConnectionString": REMOTE,
    }

    done = subprocess.run(
        [sys.executable, "-m", "wps_run", "--attempts", "1", "--no-journal", "p.yaml"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=tmp_path,
        env=environment,
        timeout=50,
        check=False,
    )

    assert done.returncode == 1
    assert b"Continue?" not in done.stderr
    assert reached == ["prod.webpubsub.example:443"]
