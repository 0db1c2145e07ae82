"""Confirmation before actions that close the connections of a whole hub or group."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import CommandServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are forked on Linux")
pty: Any = pytest.importorskip("pty", reason="pseudo-terminals are not for Windows")

CLOSE = "hub: chat\nactions:\n  - actionName: closeAllConnections\n"
REMOTE = "Endpoint=https://prod.webpubsub.example;AccessKey=bG9vcGJhY2s=;"
LOOPBACK = "Endpoint=http://127.0.0.1:9;AccessKey=bG9vcGJhY2s=;"
QUESTION = (
    "warning: closeAllConnections on hub `chat` at prod.webpubsub.example (1 action)\n"
    "Continue? [y/N] "
)

RunAtTerminal = Callable[..., tuple[int, str]]
RunWithoutTerminal = Callable[..., tuple[int, str]]


class Proxy(BaseHTTPRequestHandler):
    """A proxy that records and refuses all connections."""

    targets: list[str]

    def do_CONNECT(self) -> None:
        """Record the target and refuse."""
        self.targets.append(self.path)
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def proxy(serve: Callable[[HTTPServer], str]) -> HTTPServer:
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Proxy,), {"targets": []}))
    serve(server)
    return server


@pytest.fixture
def reached(proxy: HTTPServer) -> list[str]:
    """The hosts that were to be reached through the proxy."""
    targets: list[str] = proxy.RequestHandlerClass.targets  # type: ignore[attr-defined] # of Proxy
    return targets


@pytest.fixture
def run_at_terminal(
    tmp_path: Path, proxy: HTTPServer, command_server: CommandServer
) -> RunAtTerminal:
    """Runs a playbook with this input at a terminal; returns its exit code and output."""

    def call(
        typed: str, *args: str, connection: str = REMOTE, playbook: str = CLOSE
    ) -> tuple[int, str]:
        (tmp_path / "p.yaml").write_text(playbook)
        controller, terminal = pty.openpty()
        os.write(controller, typed.encode())
        reader, writer = os.pipe()
        process = command_server.start(
            *command_of(tmp_path, proxy, connection, args), streams=(terminal, writer, terminal)
        )
        os.close(writer)
        os.close(terminal)
        with open(reader, encoding="utf-8") as stdout:  # noqa: PTH123 -- a descriptor
            return process.wait(), read_all(controller) + stdout.read()

    return call


def command_of(
    folder: Path, proxy: HTTPServer, connection: str, args: Sequence[str]
) -> tuple[Sequence[str], Path, Mapping[str, str]]:
    """Return how `p.yaml` is run in a folder, with requests through the proxy."""
    environment = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy.server_port}",
        "WebPubSubConnectionString": connection,
        "XDG_STATE_HOME": str(folder / "state"),
        "NO_COLOR": "1",
    }
    return ["wps-run", "--attempts", "1", *args, "p.yaml"], folder, environment


def read_all(terminal: int) -> str:
    """Return what is on a terminal that its last user has closed."""
    output = b""
    try:
        while chunk := os.read(terminal, 4096):
            output += chunk
    except OSError:  # Linux: an error takes the place of the end
        pass
    finally:
        os.close(terminal)
    return output.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("typed", ["n\n", "\n", "chat\n", "\x04"])
def test_nothing_is_sent_without_a_yes(
    run_at_terminal: RunAtTerminal, reached: list[str], tmp_path: Path, typed: str
) -> None:
    """Exit code 2, no connection, no journal."""
    code, output = run_at_terminal(typed)

    assert code == 2
    assert QUESTION in output
    assert output.endswith("error: nothing was sent; answer `y` to continue, or use --yes\n")
    assert reached == []
    assert not (tmp_path / "state").exists()


def test_run_continues_after_a_yes(run_at_terminal: RunAtTerminal, reached: list[str]) -> None:
    """The question names the hub, the endpoint and the number of such actions."""
    code, output = run_at_terminal("y\n")

    assert code == 1
    assert QUESTION in output
    assert reached == ["prod.webpubsub.example:443"]


class Gateway(BaseHTTPRequestHandler):
    """A gateway in front of a service whose group `red` has one connection; records methods."""

    methods: list[str]

    def do_GET(self) -> None:
        """List it."""
        self._answer(200, b'{"value":[{"connectionId":"eve"}]}')

    def do_DELETE(self) -> None:
        """Accept its removal."""
        self._answer(204)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.methods.append(self.command)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.mark.parametrize(("typed", "sent"), [("n\n", ["GET"]), ("y\n", ["GET", "DELETE"])])
def test_prune_asks_once_the_group_is_read(
    run_at_terminal: RunAtTerminal,
    serve: Callable[[HTTPServer], str],
    typed: str,
    sent: list[str],
) -> None:
    """So the question has the number of connections that would be removed."""
    methods: list[str] = []
    url = serve(HTTPServer(("127.0.0.1", 0), type("Handler", (Gateway,), {"methods": methods})))
    playbook = "hub: chat\ngroups:\n  red: {users: [], prune: true, allowEmpty: true}\n"

    code, output = run_at_terminal(typed, "--endpoint", url, playbook=playbook)

    assert code == (0 if typed == "y\n" else 2)
    assert (
        "warning: prune of group `red` on hub `chat` at prod.webpubsub.example (1 connection)\n"
        "Continue? [y/N] "
    ) in output
    assert methods == sent


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


def test_hub_reached_through_a_local_proxy_needs_confirmation(
    run_at_terminal: RunAtTerminal, reached: list[str]
) -> None:
    code, output = run_at_terminal("n\n", "--endpoint", "http://127.0.0.1:9")

    assert (code, reached) == (2, [])
    assert QUESTION in output


@pytest.fixture
def run_without_terminal(
    tmp_path: Path, proxy: HTTPServer, command_server: CommandServer
) -> RunWithoutTerminal:
    """Runs a playbook as a scheduler does, with an empty stdin."""

    def call(playbook: str, *args: str, connection: str = REMOTE) -> tuple[int, str]:
        (tmp_path / "p.yaml").write_text(playbook)
        process = command_server.start(*command_of(tmp_path, proxy, connection, args))
        _, errors = process.communicate()
        return process.wait(), errors

    return call


@pytest.mark.parametrize(
    "action",
    [
        "{actionName: closeAllConnections, excluded: [wall]}",
        "{actionName: closeGroupConnections, group: red}",
        "{forEach: [red, blue], actionName: closeGroupConnections, group: '${each}'}",
    ],
)
def test_without_a_terminal_such_a_run_needs_yes(
    run_without_terminal: RunWithoutTerminal, reached: list[str], tmp_path: Path, action: str
) -> None:
    """Exit code 2 with the way out, no connection, no journal; with `--yes` it runs."""
    playbook = f"hub: chat\nactions:\n  - {action}\n"

    code, errors = run_without_terminal(playbook)

    assert code == 2
    assert "on hub `chat` at prod.webpubsub.example (1 action)" in errors
    assert errors.endswith("there is no terminal to ask at, so add --yes\n")
    assert reached == []
    assert not (tmp_path / "state").exists()
    assert run_without_terminal(playbook, "--yes")[0] == 1
    assert set(reached) == {"prod.webpubsub.example:443"}


def test_without_a_terminal_a_hub_behind_a_local_proxy_needs_yes(
    run_without_terminal: RunWithoutTerminal, reached: list[str]
) -> None:
    code, _ = run_without_terminal(CLOSE, "--endpoint", "http://127.0.0.1:9")

    assert (code, reached) == (2, [])


def test_actions_of_a_kind_are_counted(run_without_terminal: RunWithoutTerminal) -> None:
    group = "  - {actionName: closeGroupConnections, group: red}\n"

    _, errors = run_without_terminal(CLOSE + group + group)

    assert "closeAllConnections on hub `chat` at prod.webpubsub.example (1 action)\n" in errors
    assert "closeGroupConnections on hub `chat` at prod.webpubsub.example (2 actions)\n" in errors


def test_other_closings_need_no_confirmation(
    run_without_terminal: RunWithoutTerminal, reached: list[str]
) -> None:
    """Those of one connection or one user, whom the playbook names."""
    code, _ = run_without_terminal(
        "hub: chat\nonError: continue\nactions:\n"
        "  - {actionName: closeClientConnection, connectionId: wall}\n"
        "  - {actionName: closeUserConnections, userId: ada}\n"
    )

    assert code == 1
    assert reached == ["prod.webpubsub.example:443"] * 2
