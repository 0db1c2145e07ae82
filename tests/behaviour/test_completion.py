"""Shells complete commands, options, files, actions and report files."""

import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from wps_run.cli.completion import BashCompletion
from wps_run.cli.main import wps_run
from wps_run.report.formats import FILE_FORMATS

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are not for Windows", allow_module_level=True)

pyte: Any = import_module("pyte")
pty: Any = import_module("pty")
fcntl: Any = import_module("fcntl")
termios: Any = import_module("termios")

Script = Callable[..., subprocess.CompletedProcess[str]]
TAGGED = Path(__file__).parent.parent / "playbooks/ok/tags-of-each.yaml"
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUP = {
    "bash": "PS1='$ '; eval \"$(wps-run completion bash)\"",
    "zsh": "PS1='$ '; autoload -Uz compinit && compinit -u -D; eval \"$(wps-run completion zsh)\"",
    "fish": "function fish_prompt; echo '$ '; end; set -g fish_autosuggestion_enabled 0; "
    "wps-run completion fish | source",
}


class Shell:
    """A shell at a pseudo-terminal, in which `wps-run` completes.

    Args:
        name: The name of the shell.
        folder: The working folder, with `wps-run` on the path.
        script: The console script.
    """

    def __init__(self, name: str, folder: Path, script: Path) -> None:
        environment = {
            "PATH": f"{script.parent}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        self._process, self._terminal = pty.fork()  # fish needs a controlling terminal
        if not self._process:
            os.chdir(folder)
            os.execvpe(SHELLS[name][0], SHELLS[name], environment)  # noqa: S606 -- it is a shell
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)

    def prepare(self, setup: str) -> None:
        """Load the completion, and wait for an empty prompt."""
        self.type(f"{setup}; clear; echo rea''dy\r")
        self.until("^ready")
        self.until(r"^\$ *$")

    def type(self, text: str) -> None:
        """Type keys; the tabulator completes."""
        os.write(self._terminal, text.encode())

    def until(self, pattern: str) -> str:
        """Wait until a line on the screen matches, and return the screen."""
        deadline = time.monotonic() + 30
        while not re.search(pattern, self.shown, re.MULTILINE):
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._terminal], [], [], left)
            assert ready, f"no {pattern!r} in:\n{self.shown}"
            self._stream.feed(os.read(self._terminal, 65536))
        return self.shown

    @property
    def shown(self) -> str:
        """The lines on the screen, without trailing blanks."""
        return "\n".join(map(str.rstrip, self._screen.display))

    def close(self) -> None:
        """Kill the shell, and close the terminal."""
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._terminal)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path, script: Path) -> Iterator[Shell]:
    """Each shell, in a folder with a playbook."""
    if shutil.which(request.param) is None:
        pytest.skip(f"needs {request.param}")
    (tmp_path / "home").mkdir()
    (tmp_path / "my folder").mkdir()
    playbook = "hub: chat\nactions:\n- {actionName: sendToAll, data: hello}\n"
    (tmp_path / "my folder" / "rooms.yaml").write_text(playbook)
    opened = Shell(request.param, tmp_path, script)
    try:
        opened.prepare(SETUP[request.param])
        yield opened
    finally:
        opened.close()


def test_a_shell_completes(shell: Shell) -> None:
    """An option, and a file in a folder with a blank; `test_what_completes` has all kinds."""
    shell.type("wps-run --loc\t")
    shell.until(r"^\$ wps-run --local")
    shell.type("my\\ folder/ro\t")
    shell.until(r"folder/rooms\.yaml")


@pytest.mark.parametrize(
    ("name", "variable", "file"),
    [
        ("bash", "XDG_DATA_HOME", "bash-completion/completions/wps-run"),
        ("zsh", "ZDOTDIR", ".zfunc/_wps-run"),
        ("fish", "XDG_CONFIG_HOME", "fish/completions/wps-run.fish"),
    ],
)
def test_completion_is_installed_where_the_shell_looks(
    wps_run: Script, tmp_path: Path, name: str, variable: str, file: str
) -> None:
    """It is the script that is printed, and replaces one that is there."""
    printed = wps_run("completion", name).stdout
    (tmp_path / "file").write_text("")

    wps_run("completion", name, "--install", **{variable: str(tmp_path)})
    installed = wps_run("completion", name, "--install", **{variable: str(tmp_path)})
    failed = wps_run("completion", name, "--install", **{variable: str(tmp_path / "file")})

    assert (installed.returncode, failed.returncode) == (0, 2)
    assert f"wrote  {tmp_path / file}" in installed.stdout
    assert (tmp_path / file).read_text("utf-8") == printed
    assert "_WPS_RUN_COMPLETE" in printed


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_finds_the_installed_completion(wps_run: Script, tmp_path: Path, script: Path) -> None:
    wps_run("completion", "fish", "--install", XDG_CONFIG_HOME=str(tmp_path))

    process = subprocess.run(
        ["fish", "-c", "complete --do-complete 'wps-run --loc'"],  # noqa: S607 -- any fish
        env={
            "PATH": f"{script.parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert process.stdout.startswith("--local")


@pytest.mark.parametrize(
    ("args", "incomplete", "expected"),
    [
        ([], "", {"run", "validate", "help", "(files)"}),
        ([], "pl", {"plan", "(files)"}),
        ([], "--lo", {"--local", "--log-level"}),
        ([], "--ver", {"--version", "--verbose"}),
        (["p.yaml"], "", {"(files)"}),
        (["p.yaml"], "--skip", {"--skip-failed", "--skip-tags"}),
        (["plan", str(TAGGED), "nosuch.yaml", "-", "--tags"], "red,s", {"red,setup"}),
        ([str(TAGGED), "--skip-tags"], "", {"red", "setup", "team:blue", "v1.2"}),
        (["--local", "plan"], "--form", {"--format"}),
        (["--report"], "", {f"report{suffix}" for suffix in FILE_FORMATS} | {"(files)"}),
        (["--local", "--report"], "a/out.", {f"a/out{end}" for end in FILE_FORMATS} | {"(files)"}),
        (["--report"], "out.m", {"out.md", "(files)"}),
        (["--resume"], "", {"(files)"}),
        (["--output"], "n", {"ndjson", "none"}),
        (["--local", "--mode"], "s", {"sequential"}),
        (["actions"], "CLOSEG", {"closeGroupConnections"}),
        (["validate"], "", {"(files)"}),
        (["serve", "--seed"], "", {"(files)"}),
        (["help"], "val", {"validate"}),
    ],
)
def test_what_completes(args: list[str], incomplete: str, expected: set[str]) -> None:
    """The same in each shell. A misspelled word before it is no error yet."""
    completion = BashCompletion(wps_run, {}, "wps-run", "_WPS_RUN_COMPLETE")

    items = completion.get_completions(args, incomplete)

    found = {"(files)" if item.type == "file" else item.value for item in items}
    assert expected <= found
    if incomplete or args:
        assert expected == found
