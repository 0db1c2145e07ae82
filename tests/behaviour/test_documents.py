"""Every block of code in the documentation runs, or is checked without running; links are valid.

What a console session shows after its commands is printed by them; `…` stands for the rest.

A comment before a block says how it differs: `<!-- test: exit 1 -->`, `<!-- test: run by FILE -->`
or `<!-- test: not run, REASON -->`, the latter with `; schema NAME` for YAML of another tool.
"""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from tests.conftest import CommandServer

from wps_run import LocalPubSub
from wps_run.cli.main import COMMANDS
from wps_run.cli.main import wps_run as command_line
from wps_run.document.loader import load

PROJECT = Path(__file__).parents[2]
PAGES = sorted(
    page.relative_to(PROJECT).as_posix()
    for page in (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"))
)

COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$\n?", re.MULTILINE)
"""A command in a console session, which shows afterwards what it prints."""

BASH = shutil.which("bash") or "bash"

MARK = re.compile(
    r"(?:exit (?P<exit>\d+)|run by (?P<file>[\w./-]+)"
    r"|not run, [^;]+(?:; schema (?P<schema>[\w.-]+))?)"
)
BLOCK = re.compile(
    r"(?:^ *<!-- test: (?P<mark>.*) -->\n+)?^(?P<indent> *)```(?P<language>[a-z]*)\n"
    r"(?P<text>(?:.*\n)*?)(?P=indent)```$",
    re.MULTILINE,
)

PEOPLE = {
    "ada": ("launch", "launch-red", "lobby"),
    "grace": ("lobby",),
    "linus": ("launch", "lobby"),
    "eve": (),
}
"""Users of the service on which pages run their commands, to their groups."""

FILES = {
    "members.csv": "userId,team\nada,red\ngrace,red\nlinus,blue\n",
    "red.csv": "userId\nada\ngrace\n",
    "users.csv": "userId,team\nada,red\ngrace,red\nlinus,blue\n",
    "rooms.yaml": "hub: chat\ngroups:\n  launch-red: {users: [ada, grace]}\nactions:\n"
    "- {actionName: sendToGroup, group: launch-red, data: Hi}\n",
    "playbook.yaml": "hub: chat\ngroups:\n  launch: {users: [ada]}\nactions:\n"
    "- {actionName: sendToGroup, group: launch, data: Hi}\n",
}
"""Files that pages name without showing them."""


class Block(NamedTuple):
    """A fenced block of a page.

    Attributes:
        mark: What its comment says, or None without a comment.
    """

    language: str
    text: str
    mark: re.Match[str] | None

    @property
    def is_run(self) -> bool:
        """Whether this module runs it."""
        return self.mark is None or self.mark["exit"] is not None


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the blocks of a page."""
    for match in BLOCK.finditer((PROJECT / page).read_text("utf-8")):
        mark = None
        if match["mark"] is not None:
            mark = MARK.fullmatch(match["mark"])
            assert mark, f"{page}: {match['mark']}"
        text = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        yield Block(match["language"], text, mark)


def commands_of(block: Block) -> str:
    """Return the shell script of a block: of a console session without what it prints."""
    if block.language == "sh":
        return block.text
    return "\n".join(match[1] for match in COMMAND.finditer(block.text))


def check_command_lines(script: str) -> None:
    """Check the syntax of a script, and the options of each `wps-run` in it."""
    subprocess.run([BASH, "-n"], input=script, text=True, check=True)
    script = re.sub(r"<\([^)]*\)", "FILE", script.replace("\\\n", " "))
    for line in script.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        words = list(itertools.takewhile(lambda word: word[0] not in "();<>|&", lexer))
        if not words or words[0] != "wps-run":
            continue
        args = words[1:]
        name = args.pop(0) if args and args[0] in COMMANDS else "run"
        if args == ["--version"]:
            continue
        root = click.Context(command_line, info_name="wps-run")
        command = command_line.get_command(root, name)
        assert command
        command.make_parser(click.Context(command, parent=root)).parse_args(args)


@pytest.fixture(scope="session")
def commands(
    tmp_path_factory: pytest.TempPathFactory, command_server: CommandServer | None
) -> dict[str, str]:
    """The environment in which commands run: `wps-run` is forked, which saves its imports.

    So is Python: `wps-run` runs what is in `TEST_CODE`.
    """
    folder = tmp_path_factory.mktemp("bin")
    script = Path(sys.executable).with_name("wps-run")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(("webpubsub", "wps_", "github_"))
    }
    environment["PATH"] = os.pathsep.join((str(folder), str(script.parent), os.environ["PATH"]))
    if command_server is not None:
        shim = folder / "wps-run"
        shim.write_text(f"""#!{sys.executable} -IS
import json, os, socket, sys
requests = socket.socket(fileno=int(os.environ["TEST_COMMANDS"]))
replies, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
code = os.environ.pop("TEST_CODE", "")
request = [[{str(script)!r}, *sys.argv[1:]], os.getcwd(), dict(os.environ), code]
socket.send_fds(requests, [json.dumps(request).encode()], [0, 1, 2, theirs.fileno()])
theirs.close()
replies.recv(16)
code = int(replies.recv(16))
sys.exit(code if code >= 0 else 128 - code)
""")
        shim.chmod(0o755)
        environment["TEST_COMMANDS"] = str(command_server.descriptor)
    return environment


@pytest.fixture(scope="module")
def service() -> Iterator[LocalPubSub]:
    """The service of all pages."""
    with LocalPubSub() as emulator:
        yield emulator


class PageRunner:
    """Runs the blocks of a page as a reader does, in a folder with the files that they name.

    A `cd` of a block holds for the blocks after it.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        for name, text in FILES.items():
            (folder / name).write_text(text, "utf-8")
        for file in (PROJECT / "playbooks").iterdir():
            (folder / "playbooks").mkdir(exist_ok=True)
            (folder / "playbooks" / file.name).write_bytes(file.read_bytes())
        self._playbooks: list[str] = []

    def run(self, block: Block) -> None:
        """Run a script, or keep a file, of a block."""
        if block.language == "yaml":
            self._write(block.text)
        elif block.language == "json":
            assert [json.loads(line) for line in block.text.splitlines()]
        elif block.language == "python":
            self._run_python(block.text)
        else:
            assert block.language in {"sh", "console"}, block
            script = re.sub(r"^export WebPubSubConn.*", "", commands_of(block), flags=re.MULTILINE)
            script = f"trap 'pwd > \"$TEST_FOLDER\"' EXIT\n{script}"
            expected = int(block.mark["exit"]) if block.mark else 0
            command = [BASH, "-e", "-o", "pipefail", "-c", script]
            with tempfile.NamedTemporaryFile("r", encoding="utf-8") as folder:
                printed = self._run(command, expected, TEST_FOLDER=folder.name)
                self._folder = Path(folder.read().rstrip("\n"))
            if block.language == "console":
                shown = COMMAND.sub("", block.text).replace("…\n", "").splitlines()
                assert set(shown) <= {*printed.splitlines(), ""}, printed

    def _write(self, text: str) -> None:
        name = re.search(r"\A(?:#.*\n)?# ([\w./-]+\.yaml)\n", text)
        file = name[1] if name else f"block-{len(self._playbooks)}.yaml"
        data = load(text, file).data
        if isinstance(data, dict) and not {"actions", "groups", "expect", "clients"} & set(data):
            text += "" if name else "actions: []\n"
        (self._folder / file).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / file).write_text(text, "utf-8")
        if "clients" in data:
            self._run(["wps-run", "--local", "--seed", file, "playbook.yaml"])
        else:
            self._playbooks.append(str(self._folder / file))

    def _run_python(self, text: str) -> None:
        if "TEST_COMMANDS" in self._environment:
            self._run(["wps-run"], TEST_CODE=f"{text}\nraise SystemExit")
        else:
            self._run([sys.executable, "-c", text])

    def _run(self, command: list[str], expected: int = 0, **settings: str) -> str:
        process = subprocess.run(
            command,
            cwd=self._folder,
            env={**self._environment, **settings},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
            stdin=subprocess.DEVNULL,
            pass_fds=[int(self._environment.get("TEST_COMMANDS", 1))],
        )
        printed = f"{process.stdout}{process.stderr}"
        assert process.returncode == expected, f"{command}\n{printed}"
        return re.sub(r"\b127\.0\.0\.1:\d+", "my.webpubsub.azure.com", printed)

    def validate_playbooks(self) -> None:
        """Check all playbooks of the page, with the files that the page shows or writes."""
        if self._playbooks:
            self._run(["wps-run", "validate", *self._playbooks])


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks_of(page))])
def test_every_block_of_a_page_runs(
    page: str, tmp_path: Path, commands: dict[str, str], service: LocalPubSub
) -> None:
    """Without a comment, a block runs, or is a playbook that is valid. Texts are output."""
    service.reset()
    for user, groups in PEOPLE.items():
        service.client(user, hub="chat", groups=groups, connection_id=f"{user}-1")
    service.client(hub="chat", connection_id="wall-display", groups=("launch", "launch-red"))
    environment = {
        **commands,
        "WebPubSubConnectionString": service.connection_string,
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    runner = PageRunner(tmp_path, environment)
    for block in blocks_of(page):
        if block.is_run and block.language not in {"text", "mermaid"}:
            runner.run(block)
    runner.validate_playbooks()


def test_every_block_that_is_not_run_is_checked(tmp_path: Path) -> None:
    """Shell by its syntax and the options of `wps-run`, YAML by the schema of its tool."""
    schemas: dict[str, list[Path]] = {}
    for page in PAGES:
        for number, block in enumerate(blocks_of(page)):
            if block.is_run:
                continue
            assert block.mark
            if file := block.mark["file"]:
                assert (PROJECT / file).exists(), (page, file)
            elif block.language in {"sh", "console"}:
                check_command_lines(commands_of(block))
            elif schema := block.mark["schema"]:
                name = tmp_path / f"{page.replace('/', '-')}-{number}.yaml"
                name.write_text(block.text, "utf-8")
                schemas.setdefault(schema, []).append(name)
            else:
                assert block.language == "dockerfile", (page, block)
    tools = {
        "kubernetes": ["kubernetes_validate", "--strict", "--quiet"],
        "pre-commit": ["pre_commit", "validate-config"],
    }
    for schema, files in schemas.items():
        builtin = ["check_jsonschema", "--regex-variant", "python", "--builtin-schema", schema]
        tool = tools.get(schema, builtin)
        command = [sys.executable, "-m", *tool, *map(str, files)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stdout + process.stderr


def without_times(text: str) -> list[str]:
    """Return the lines without times and sorted: concurrent actions end in any order."""
    return sorted(re.sub(r" +[0-9.]+ (ms|s)\b", " TIME", line) for line in text.splitlines())


def test_the_first_two_commands_of_the_readme_are_one_line_each() -> None:
    """The main job, then the tests; .ci/run runs both lines as they are."""
    scripts = [block.text for block in blocks_of("README.md") if block.language == "sh"]
    main_job, tests = scripts[:2]

    assert [len(script.splitlines()) for script in (main_job, tests)] == [1, 1]
    assert "wps-run --local playbooks/group-setup.yaml" in main_job
    assert "pytest" in tests


def test_the_output_in_the_readme_is_what_the_command_prints(
    wps_run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """All of it except the times."""
    (shown,) = [block.text for block in blocks_of("README.md") if block.language == "text"]

    printed = wps_run("--local", PROJECT / "playbooks" / "group-setup.yaml").stdout

    assert without_times(shown) == without_times(printed)


def links_of(page: str) -> list[str]:
    """Return the relative links of a page, without anchors."""
    prose = BLOCK.sub("", (PROJECT / page).read_text("utf-8"))
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", prose)
    return [link for link in links if "://" not in link]


def test_every_link_between_pages_is_valid() -> None:
    """Relative links point to existing files."""
    broken = [
        (page, link)
        for page in PAGES
        for link in links_of(page)
        if not (PROJECT / page).parent.joinpath(link).exists()
    ]

    assert broken == []


def test_pages_of_the_site_link_to_files_of_the_site_only() -> None:
    """The generator checks links to pages; a link to another file would lead nowhere."""
    docs = PROJECT / "docs"
    outside = [
        (page, link)
        for page in PAGES
        for link in links_of(page)
        if page.startswith("docs/")
        and not (PROJECT / page).parent.joinpath(link).resolve().is_relative_to(docs)
    ]

    assert outside == []


def test_every_file_that_pages_for_contributors_name_exists() -> None:
    """Relative to the project or to the package: `actions/table.py`, `tests/journals`."""
    roots = (PROJECT, PROJECT / "runner" / "wps_run")
    missing = [
        (page, name)
        for page in PAGES
        if re.match(r"CONTRIBUTING|docs/(architecture|decisions/)", page)
        for name in re.findall(r"`([\w./]+(?:\.py|/[\w.]*))`", (PROJECT / page).read_text("utf-8"))
        if not any((root / name).exists() for root in roots)
    ]

    assert missing == []
