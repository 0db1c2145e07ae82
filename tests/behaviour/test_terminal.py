"""The output at terminals of several widths."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import CommandServer, ForkedCommand

pyte: Any = import_module("pyte")

Script = Callable[..., subprocess.CompletedProcess[str]]

SCREENS = Path(__file__).parent / "screens"


class Terminal:
    """A pseudo-terminal with a command in it, and an emulator that shows what is on its screen.

    Args:
        args: The command.
        columns: How wide it is; 0 for a terminal that does not know.
        rows: How high.
        folder: Where the command runs.
        environment: Its environment.
        server: Forks the command, which must be `wps-run`.
    """

    def __init__(  # noqa: PLR0913 -- of a command and of a terminal
        self,
        args: list[str],
        columns: int,
        rows: int,
        folder: Path,
        environment: dict[str, str],
        *,
        server: CommandServer | None = None,
    ) -> None:
        self._parent_end, child_end = os.openpty()
        self.sent = b""
        self._screen = pyte.HistoryScreen(columns or 80, rows, history=100_000, ratio=1)
        self._stream = pyte.ByteStream(self._screen)
        self._size(child_end, columns, rows)
        streams = child_end, child_end, child_end
        self.process: ForkedCommand | subprocess.Popen[bytes]
        if server is not None:
            self.process = server.start(args, folder, environment, streams=streams)
        else:
            self.process = subprocess.Popen(
                args,
                stdin=child_end,
                stdout=child_end,
                stderr=child_end,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        os.close(child_end)

    @staticmethod
    def _size(terminal: int, columns: int, rows: int) -> None:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int) -> None:
        """Change the number of columns."""
        self._size(self._parent_end, columns, self._screen.lines)
        self._screen.resize(columns=columns)

    def _read(self, deadline: float) -> bool:
        """Process the next output; return False at the end."""
        ready, _, _ = select.select(
            [self._parent_end], [], [], max(0.0, deadline - time.monotonic())
        )
        assert ready, "\n".join(self.shown)
        try:
            chunk = os.read(self._parent_end, 65536)
        except OSError:  # Linux: an error takes the place of the end
            chunk = b""
        self.sent += chunk
        self._stream.feed(chunk)
        return bool(chunk)

    def until(self, pattern: str) -> str:
        """Wait until a line of the screen matches, and return the last such line."""
        deadline = time.monotonic() + 20
        while not (matches := [line for line in self.shown if re.search(pattern, line)]):
            assert self._read(deadline), "\n".join(self.shown)
        return matches[-1]

    def finish(self) -> int:
        """Wait until the command has ended, and return its exit code."""
        deadline = time.monotonic() + 30
        while self._read(deadline):
            pass
        return self.process.wait(10)

    def close(self) -> None:
        """Kill the command, and close the terminal."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        os.close(self._parent_end)

    @property
    def shown(self) -> list[str]:
        """All lines, scrolled ones included, without trailing blanks."""
        above = [
            "".join(line[column].data for column in range(self._screen.columns))
            for line in self._screen.history.top
        ]
        return "\n".join(map(str.rstrip, (*above, *self._screen.display))).rstrip("\n").split("\n")

    def color(self, text: str) -> str:
        """Return the color of the first character of a text on the screen."""
        row = next(row for row, line in enumerate(self._screen.display) if text in line)
        cell = self._screen.buffer[row][self._screen.display[row].index(text)]
        return str(cell.fg)


@pytest.fixture
def at_terminal(
    script: Path, tmp_path: Path, command_server: CommandServer | None
) -> Iterator[Callable[..., Terminal]]:
    """Runs `wps-run` at a terminal."""
    opened: list[Terminal] = []
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(("webpubsub", "wps_", "github_"))
        and name not in {"NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLUMNS"}
    }

    def run(*args: str | Path, columns: int = 80, rows: int = 24, **variables: str) -> Terminal:
        environment = {**clean, "TERM": "xterm-256color", "XDG_STATE_HOME": str(tmp_path / "s")}
        command = [str(script), *map(str, args)]
        environment |= variables
        opened.append(
            Terminal(command, columns, rows, tmp_path, environment, server=command_server)
        )
        return opened[-1]

    yield run
    for terminal in opened:
        terminal.close()


class Handler(BaseHTTPRequestHandler):
    """Responds as its server says; holds requests with `held` in the path."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        """Respond to one request."""
        server = self.server
        assert isinstance(server, Server)
        server.on_request()
        if "held" in self.path:
            server.released.wait(30)
        status, headers = server.response(self.path)
        self.send_response(status)
        for name, value in (*headers.items(), ("Content-Length", "0")):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Server(ThreadingHTTPServer):
    """A server with responses that depend on the user."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.released = threading.Event()
        self.count = 0
        self.on_request: Callable[[], None] = lambda: None

    def response(self, path: str) -> tuple[int, dict[str, str]]:
        """Return status and headers."""
        if "ghost" in path:
            return 404, {"x-ms-error-code": "Warning.User.NotExisted"}
        if "busy" in path:
            return 429, {"Retry-After": "30"}
        if "endless" in path:
            return 503, {"Retry-After": "1000000000"}
        return 200, {}

    @property
    def setting(self) -> dict[str, str]:
        """The environment variable with its connection string."""
        key = "a-key-of-the-test-that-is-long-enough"
        endpoint = f"http://127.0.0.1:{self.server_port}"
        return {"WebPubSubConnectionString": f"Endpoint={endpoint};AccessKey={key};Version=1.0;"}


@pytest.fixture
def service(serve: Callable[[HTTPServer], str]) -> Iterator[Server]:
    """A running server."""
    server = Server()
    serve(server)
    yield server
    server.released.set()


def write_playbook(
    folder: Path, *users: str, options: str = "mode: concurrent\nonError: continue"
) -> None:
    """Write a playbook that adds these users to a group."""
    (folder / "p.yaml").write_text(
        f"hub: chat\n{options}\nactions:\n- actionName: addUserToGroup\n"
        f"  forEach: [{', '.join(users)}]\n  userId: ${{each}}\n  group: red\n"
    )


def masked(lines: list[str], *folders: Path) -> list[str]:
    """Return the lines without times and names of folders."""
    text = "\n".join(lines)
    for folder in folders:
        text = text.replace(str(folder), "…")
    return re.sub(r" {1,8}[0-9]+\.[0-9]+( ms| s)\b", "   TIME\\1", text).split("\n")


PLAYBOOK = """\
name: Räume für 日本
hub: chat
onError: continue
actions:
  - {actionName: addUserToGroup, userId: ada, group: red}
  - {actionName: addUserToGroup, userId: 日本語の名前, group: 赤, name: Wide names}
  - {actionName: addUserToGroup, userId: 🎉🎉, group: "e\\u0301"}
  - {actionName: addUserToGroup, userId: "\\u202Eada", group: red, name: An ada turned round}
  - {actionName: closeClientConnection, connectionId: "${display}", reason: Off}
  - {actionName: addConnectionToGroup, connectionId: wall, group: red}
  - {actionName: addConnectionToGroup, connectionId: wall, group: blue}
  - {actionName: sendToGroup, group: 赤, data: "an \\e[2J escape\\nand a line", dataType: text}
vars: {display: wall}
"""


@pytest.mark.parametrize("columns", [80, 200])
def test_output_of_a_rehearsal(
    at_terminal: Callable[..., Terminal], tmp_path: Path, columns: int
) -> None:
    """Columns are aligned with wide names; control characters are escaped."""
    (tmp_path / "rooms.yaml").write_text(PLAYBOOK, "utf-8")

    terminal = at_terminal("--local", "rooms.yaml", columns=columns, rows=60)

    assert terminal.finish() == 1
    expected = (SCREENS / f"rehearsal-{columns}.txt").read_text("utf-8").splitlines()
    assert masked(terminal.shown) == expected
    assert terminal.color("LOCAL rehearsal") == "cyan"
    assert terminal.color("ok       200") == "green"
    assert terminal.color("failed   404") == "red"
    assert terminal.color("addUserToGroup") == "default"


def test_progress_line_adapts_to_the_width(
    at_terminal: Callable[..., Terminal], tmp_path: Path, service: Server
) -> None:
    """Results are above it, and it is removed at the end."""
    write_playbook(tmp_path, *(f"u{n}" for n in range(20)), *(f"held{n}" for n in range(5)))
    terminal = at_terminal("p.yaml", "--no-journal", **service.setting)

    line = terminal.until("20/25 .* 5 in flight")
    assert re.fullmatch(r" 80 %  (\[=+ +\]  )?SERVICE  20/25  20 ok  0 failed  5 in flight.*", line)
    assert terminal.shown[-1] == line
    assert all(line.startswith("ok       200 ") for line in terminal.shown[3:-1])
    terminal.resize(40)
    assert " in flight" not in terminal.until(r"^ 80 %  SERVICE  20/25  20 ok")
    terminal.resize(20)
    assert terminal.until("^ 80 %  20/25  20 ok$")
    terminal.resize(120)
    terminal.until(r"\[=+ +\].*5 in flight")
    service.released.set()

    assert terminal.finish() == 0
    assert not [line for line in terminal.shown if " %  " in line]
    assert terminal.shown[-1].startswith("SERVICE: 25 actions: 25 ok, 0 failed")


def test_interrupt_with_a_progress_line(
    at_terminal: Callable[..., Terminal], tmp_path: Path, service: Server
) -> None:
    """Messages have their own lines; the last one is the command that resumes."""
    write_playbook(tmp_path, "u1", "held1", *(f"u{n}" for n in range(30)), options="")
    terminal = at_terminal("p.yaml", "--journal", "j", **service.setting)
    terminal.until("1/32 .*1 in flight")

    terminal.process.send_signal(signal.SIGINT)

    terminal.until("^note: stopping; requests in flight may end")
    terminal.until("1/32 .*1 in flight")
    service.released.set()
    assert terminal.finish() == 130
    shown = terminal.shown
    assert not [line for line in shown if " %  " in line]
    assert sum("not started, since the run was interrupted" in line for line in shown) == 1
    assert "SERVICE: 32 actions: 2 ok, 0 failed, 0 unknown, 30 skipped" in "\n".join(shown)
    assert shown[-2:] == [
        "note: journal: j",
        "hint: to do the rest: wps-run --resume j p.yaml",
    ]


def test_many_failures_of_one_kind_are_counted(
    at_terminal: Callable[..., Terminal], tmp_path: Path, service: Server
) -> None:
    """The first ones are listed, with the hint; at the end are the numbers."""
    write_playbook(tmp_path, *(f"ghost{n}" for n in range(400)))

    terminal = at_terminal("p.yaml", "--journal", "j", columns=200, **service.setting)

    assert terminal.finish() == 1
    shown = terminal.shown
    assert sum(line.startswith("failed   404 ") for line in shown) == 5
    assert [line for line in shown if line.startswith("… and 395 more failed for the same reason")]
    assert sum("the user has no" in line for line in shown) == 2
    assert [line for line in shown if line.startswith("hint for 400 actions: the user has no")]
    assert shown[-2:] == [
        "note: journal: j",
        "hint: to retry the failed actions: wps-run --resume j p.yaml --failed",
    ]
    assert not [line for line in shown if " %  " in line]


def test_pause_by_retry_after_is_shown(
    at_terminal: Callable[..., Terminal], tmp_path: Path, service: Server
) -> None:
    write_playbook(tmp_path, "u1", "busy")
    terminal = at_terminal("p.yaml", "--no-journal", columns=120, **service.setting)

    assert terminal.until("waiting (30|29|28) s  as the service requested")
    assert terminal.until("waiting 30 s before the next request: the response was 429 Too Many")
    terminal.process.send_signal(signal.SIGINT)

    assert terminal.finish() == 130


@pytest.mark.parametrize("args", [(), ("-q",), ("--output", "none")])
def test_pause_by_retry_after_is_reported_at_once_without_a_terminal(
    script: Path, tmp_path: Path, service: Server, args: tuple[str, ...]
) -> None:
    """It is limited to an hour, and can be interrupted."""
    write_playbook(tmp_path, "endless", "u2", options="")
    command = [str(script), "p.yaml", "--no-journal", "--no-progress", *args]
    environment = {**os.environ, **service.setting}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=20)

    assert re.fullmatch(
        "note: waiting 1 h before the next request: the response was 503 Service Unavailable "
        "with a Retry-After of 1 h or more, which is limited to 1 h\n",
        line,
    )
    assert "waiting" not in rest
    assert process.returncode == 130


@pytest.mark.parametrize("args", [("--no-progress",), ("-q",)])
def test_no_progress_line_if_it_is_disabled(
    at_terminal: Callable[..., Terminal], tmp_path: Path, service: Server, args: tuple[str, ...]
) -> None:
    write_playbook(tmp_path, "held1", "u1")
    held = threading.Event()
    service.on_request = held.set
    terminal = at_terminal("p.yaml", "--no-journal", *args, **service.setting)
    assert held.wait(20)
    threading.Timer(0.3, service.released.set).start()

    assert terminal.finish() == 0
    assert b"\x1b[J" not in terminal.sent
    assert b" %" not in terminal.sent


@pytest.mark.parametrize(
    ("environment", "colors"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colors_can_be_disabled(
    at_terminal: Callable[..., Terminal],
    tmp_path: Path,
    environment: dict[str, str],
    *,
    colors: bool,
) -> None:
    """A dumb terminal gets no escape sequence at all."""
    write_playbook(tmp_path, "ada")
    terminal = at_terminal("--local", "p.yaml", **environment)

    assert terminal.finish() == 0
    assert (b"\x1b[3" in terminal.sent) is colors
    if environment.get("TERM") == "dumb":
        assert b"\x1b" not in terminal.sent


def test_terminal_of_unknown_width_has_80_columns(
    at_terminal: Callable[..., Terminal], tmp_path: Path, service: Server
) -> None:
    write_playbook(tmp_path, "held1")
    terminal = at_terminal("p.yaml", "--no-journal", columns=0, **service.setting)

    assert terminal.until("SERVICE  0/1  0 ok  0 failed  1 in flight")
    service.released.set()
    assert terminal.finish() == 0


def test_logs_and_the_progress_line_have_separate_lines(
    at_terminal: Callable[..., Terminal], tmp_path: Path, service: Server
) -> None:
    write_playbook(tmp_path, *(f"u{n}" for n in range(50)), "held1")
    terminal = at_terminal("p.yaml", "-v", "--no-journal", columns=200, rows=80, **service.setting)

    terminal.until("50/51 ")
    service.released.set()
    assert terminal.finish() == 0
    kinds = re.compile(
        r"(SERVICE |ok       200 |[0-9:.]{12} INFO wps_run\.\w+ |SERVICE: 51 actions: 51 ok|$)"
    )
    assert [line for line in terminal.shown if not kinds.match(line)] == []


def test_no_escape_sequence_without_a_terminal(wps_run: Script, tmp_path: Path) -> None:
    """With FORCE_COLOR, colors and nothing else."""
    write_playbook(tmp_path, "ada", "bob")

    plain = wps_run("--local", "p.yaml")
    forced = wps_run("--local", "p.yaml", FORCE_COLOR="1")

    assert "\x1b" not in plain.stdout + plain.stderr
    assert "\x1b[32mok\x1b[0m" in forced.stdout
    assert set(re.findall(r"\x1b\[[0-9;]*(.)", forced.stdout)) == {"m"}


ROBUST = {
    "head": ("| head -n 1", 1),
    "nothing to stderr": ("2>/dev/null", None),
    "both in one pipe": ("2>&1 | cat", None),
    "stderr closed": ("2>&-", None),
    "stdin closed": ("<&-", None),
    "stdin and stderr closed": ("<&- 2>&-", None),
    "everything closed": ("<&- >&- 2>&-", 0),
}


@pytest.mark.parametrize(
    ("name", "is_terminal"),
    [
        *((name, True) for name in ROBUST),
        *((name, False) for name in ("head", "both in one pipe", "everything closed")),
    ],
)
def test_any_combination_of_streams(
    script: Path,
    tmp_path: Path,
    name: str,
    *,
    is_terminal: bool,
) -> None:
    """No traceback and no incomplete line; the exit code is that of the run."""
    redirection, line_count = ROBUST[name]
    write_playbook(tmp_path, *(f"u{n}" for n in range(300)))
    command = f"{script} --local p.yaml {redirection}"
    if is_terminal:
        environment = {**os.environ, "TERM": "xterm"}
        terminal = Terminal(["/bin/sh", "-c", command], 200, 50, tmp_path, environment)
        code, shown = terminal.finish(), terminal.shown
        terminal.close()
    else:
        process = subprocess.run(
            ["/bin/sh", "-c", command], capture_output=True, cwd=tmp_path, check=False, timeout=30
        )
        code, shown = process.returncode, (process.stdout + process.stderr).decode().splitlines()

    assert code == 0
    text = "\n".join(shown)
    assert "Traceback" not in text
    assert "bug" not in text
    if line_count is not None:
        assert len([line for line in shown if line]) == line_count
    else:
        assert sum(line.startswith("ok       200 ") for line in shown) == 300
        assert "LOCAL: 300 actions: 300 ok" in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_full_stdout_at_a_terminal_is_reported(script: Path, tmp_path: Path) -> None:
    """On stderr, with the totals; the progress line is removed."""
    write_playbook(tmp_path, *(f"u{n}" for n in range(300)))
    terminal = Terminal(
        ["/bin/sh", "-c", f"{script} --local p.yaml >/dev/full"],
        80,
        24,
        tmp_path,
        {**os.environ, "TERM": "xterm"},
    )
    code, shown = terminal.finish(), terminal.shown
    terminal.close()

    assert code == 1
    assert shown[0].startswith("error: cannot write to standard output: No space left")
    assert shown[1].startswith("LOCAL: 300 actions: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize(("args", "code"), [("none.yaml", 2), ("p.yaml", 1), ("--nonsense", 2)])
def test_full_stderr_changes_no_exit_code(
    script: Path, tmp_path: Path, service: Server, args: str, code: int
) -> None:
    write_playbook(tmp_path, "ghost1")

    process = subprocess.run(
        ["/bin/sh", "-c", f"{script} {args} --journal j 2>/dev/full"],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, **service.setting},
        check=False,
        timeout=30,
    )

    assert (process.returncode, process.stderr) == (code, b"")


def test_failures_are_annotations_in_github_actions(
    wps_run: Script, tmp_path: Path, service: Server
) -> None:
    """On stdout with text output, else on stderr."""
    write_playbook(tmp_path, *(f"ghost{n}" for n in range(12)))
    settings = {**service.setting, "GITHUB_ACTIONS": "true"}

    text = wps_run("p.yaml", "--no-journal", **settings)
    as_ndjson = wps_run("p.yaml", "--no-journal", "--output", "ndjson", **settings)

    for output in (text.stdout, as_ndjson.stderr):
        assert output.count("::error file=p.yaml,line=6,title=failed%3A addUserToGroup::") == 10
        assert output.count("::error ") == 10
        assert "::notice title=wps-run::2 more did not succeed" in output
    assert "::" not in as_ndjson.stdout


def test_failures_are_issues_in_azure_pipelines(
    wps_run: Script, tmp_path: Path, service: Server
) -> None:
    write_playbook(tmp_path, "ghost")

    shown = wps_run("p.yaml", "--no-journal", **service.setting, TF_BUILD="True").stdout

    assert "##vso[task.logissue type=error;sourcepath=p.yaml;linenumber=6;]failed: " in shown


def test_quiet_prints_only_failures_and_totals(
    wps_run: Script, tmp_path: Path, service: Server
) -> None:
    write_playbook(tmp_path, "u1", "ghost1", "u2", options="")

    process = wps_run("p.yaml", "--no-journal", "-q", **service.setting)

    lines = process.stdout.splitlines()
    assert lines[0].startswith("failed   404 ")
    assert [line[:7] for line in lines[3:]] == ["SERVICE"]
    assert "1 ok, 1 failed, 0 unknown, 1 skipped" in lines[-1]


if sys.platform == "win32":
    pytest.skip("pseudo-terminals are not for Windows", allow_module_level=True)
