"""Hostile input: each is refused with a clear error, soon, and without much memory."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from wps_run.cli.errors import report_error
from wps_run.cli.main import wps_run as group
from wps_run.input_limits import (
    ACTIONS,
    CERTIFICATES,
    COLUMNS,
    DATA,
    MATRIX,
    PLAYBOOK,
    PLAYBOOK_FILES,
    PROBLEMS,
    ROWS_DOCUMENT,
    ROWS_STREAM,
    SEED,
    SETTINGS,
    VARIABLE_COUNT,
    VARIABLE_VALUE,
    VARIABLES,
)

MIB = 1024 * 1024
ACTION = "- {actionName: sendToAll, data: x}\n"
JOIN = "actionName: addUserToGroup, userId: '${each.u}', group: g"
SECONDS = 10
"""The most that one command may take here. On an idle machine each takes less than one."""

Content = str | bytes | int | Callable[[], str | bytes]


class Case(NamedTuple):
    """Files, and the error with which a command ends that reads them.

    Attributes:
        name: What is hostile.
        files: File name to content; an integer is the size of a file of zeros.
        message: A part of the error.
        args: The command, `FILE` in it is the first file.
        code: Its exit code.
    """

    name: str
    files: Mapping[str, Content]
    message: str
    args: tuple[str, ...] = ("validate", "FILE")
    code: int = 1


def playbook(name: str, content: Content, message: str) -> Iterator[Case]:
    """A playbook that `validate` refuses."""
    yield Case(name, {"p.yaml": content}, message)


def option(name: str, value: str, message: str) -> Iterator[Case]:
    """A value of an option that is refused in a playbook and on the command line."""
    keys = {"attempts": "retry: {attempts: %s}\n", "backoff": "retry: {backoff: %s}\n"}
    label = f"{name}-{value[:9]}" + (f"-{len(value)}-characters" if len(value) > 9 else "")
    text = keys.get(name, f"{name}: %s\n") % value + "actions:\n" + ACTION
    yield Case(f"{label}-playbook", {"p.yaml": text}, message)
    if name != "backoff":
        args = ("plan", f"--{name}={value}", "FILE")
        yield Case(f"{label}-flag", {"p.yaml": ACTION}, message, args, 2)


def rows(name: str, file: str, content: Content, message: str) -> Iterator[Case]:
    """A file of rows that is refused."""
    text = f"actions:\n- {{{JOIN}, forEach: {{file: {file}}}}}\n"
    yield Case(f"rows-{name}", {"p.yaml": text, file: content}, message)


def matrix(*sizes: int) -> str:
    """A playbook with a matrix of these sizes."""
    axes = ", ".join(f"a{n}: [{','.join('x' * size)}]" for n, size in enumerate(sizes))
    action = "actionName: sendToGroup, group: '${each.a0}', data: x"
    return f"actions:\n- {{forEach: {{matrix: {{{axes}}}}}, {action}}}\n"


def filled(text: str, value: str) -> str:
    """A playbook whose message is this text, in which `${v}` is the value."""
    return f"vars: {{v: '{value}'}}\nactions:\n- {{actionName: sendToAll, data: '{text}'}}\n"


CONNECTION = f"Endpoint=http://localhost:1;AccessKey={'k' * 44};Version=1.0;"
NINES = "9" * 400
DURATION = "a duration of"
RATE = "a number from 0.001 to 1,000,000"
WHOLE = "a whole number from 1 to"

Here = Callable[..., tuple[int, str]]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

CASES = [
    # not regular files
    *(Case(f"device-{name}", {"p.yaml": ACTION}, "is a device", args, code)
      for name, args, code in (
        ("validate", ("validate", "/dev/zero"), 1),
        ("plan", ("plan", "/dev/zero"), 2),
        ("null", ("plan", "/dev/null"), 2),
        ("run", ("run", "--local", "/dev/zero"), 2),
        ("vars", ("plan", "--vars-file", "/dev/zero", "FILE"), 2),
        ("settings", ("run", "--settings", "/dev/zero", "FILE"), 2),
        ("client-url", ("client-url", "--settings", "/dev/urandom"), 2),
        ("seed", ("serve", "--port", "0", "--seed", "/dev/zero"), 2),
        ("tls", ("serve", "--port", "0", "--tls-cert", "/dev/zero", "--tls-key", "/dev/zero"), 2),
    )),
    *(Case(f"device-journal-{name}", {"p.yaml": ACTION}, "it is not a file", args, 2)
      for name, args in (
        ("resume", ("run", "--resume", "/dev/zero", "FILE")),
        ("report", ("report", "/dev/zero")),
    )),
    # sizes of files
    *playbook("zeros", PLAYBOOK.value + 1, "has more than 16 MiB"),
    *playbook("sparse-terabyte", 2**40, "has more than 16 MiB"),
    Case("zeros-plan", {"p.yaml": 2**40}, "has more than 16 MiB", ("plan", "FILE"), 2),
    Case("zeros-run", {"p.yaml": 2**40}, "has more than 16 MiB", ("run", "--local", "FILE"), 2),
    Case("vars-file", {"p.yaml": ACTION, "v": VARIABLES.value + 1}, "has more than 1 MiB",
         ("plan", "--vars-file", "v", "FILE"), 2),
    Case("vars-file-validate", {"p.yaml": ACTION, "v": 2**40}, "has more than 1 MiB",
         ("validate", "--vars-file", "v", "FILE"), 2),
    Case("settings", {"p.yaml": ACTION, "s": SETTINGS.value + 1}, "has more than 1 MiB",
         ("run", "--settings", "s", "FILE"), 2),
    Case("settings-client-url", {"s": 2**40}, "has more than 1 MiB",
         ("client-url", "--settings", "s"), 2),
    Case("settings-deep", {"s": "[" * 100_000}, "is not JSON",
         ("client-url", "--settings", "s"), 2),
    Case("settings-digits", {"s": '{"Values": {"a": ' + "9" * 5000 + "}}"}, "no hub is named",
         ("client-url", "--settings", "s"), 2),
    Case("seed", {"s": SEED.value + 1}, "has more than 16 MiB",
         ("serve", "--port", "0", "--seed", "s"), 2),
    Case("seed-count", {"s": "clients: [{count: 1000000000}]"}, "at most 100,000 clients",
         ("serve", "--port", "0", "--seed", "s"), 2),
    Case("seed-digits", {"s": f"clients: [{{count: {'9' * 5000}}}]"}, "whole number",
         ("serve", "--port", "0", "--seed", "s"), 2),
    Case("tls-cert", {"c": CERTIFICATES.value + 1, "k": "x"}, "has more than 4 MiB",
         ("serve", "--port", "0", "--tls-cert", "c", "--tls-key", "k"), 2),
    Case("tls-key", {"c": "x", "k": 2**40}, "has more than 4 MiB",
         ("serve", "--port", "0", "--tls-cert", "c", "--tls-key", "k"), 2),
    Case("var", {"p.yaml": ACTION}, f"more than {VARIABLE_VALUE.value:,} characters",
         ("plan", "--var", "a=" + "x" * VARIABLE_VALUE.value, "FILE"), 2),
    Case("many-playbooks", {"p.yaml": ACTION}, f"more than {PLAYBOOK_FILES.value:,} files",
         ("plan", *["FILE"] * (PLAYBOOK_FILES.value + 1)), 2),
    Case("many-playbooks-validate", {"p.yaml": ACTION}, "more than 10,000 files",
         ("validate", *["FILE"] * (PLAYBOOK_FILES.value + 1)), 2),
    *(Case(f"ca-bundle-{name}", {"p.yaml": ACTION, "c": 2**40}, message,
           ("run", "--hub", "h", "--no-journal", "--ca-bundle", file, "FILE"), 2)
      for name, file, message in (
          ("terabyte", "c", "`c` has more than 4 MiB"),
          ("device", "/dev/zero", "`/dev/zero` is a device"),
          ("missing", "none.pem", "cannot read the CA bundle `none.pem`: No such file"),
          ("no-certificate", "p.yaml", "contains no certificate in PEM form"),
    )),
    Case("data-file", {"p.yaml": "- {actionName: sendToAll, dataFile: d}\n", "d": 1},
         "more properties|playbook only"),
    Case("data-file-size", {"p.yaml": "actions:\n- {actionName: sendToAll, dataFile: d}\n",
                            "d": DATA.value + 1}, "`d` has more than 1 MiB"),
    Case("data-file-terabyte", {"p.yaml": "actions:\n- {actionName: sendToAll, dataFile: d}\n",
                                "d": 2**40}, "`d` has more than 1 MiB"),
    Case("fault-number", {"p.yaml": ACTION}, "--fault|not a kind|duration",
         ("run", "--local", "--fault", f"delay={NINES}s", "FILE"), 2),
    Case("fault-count", {"p.yaml": ACTION}, "a whole number",
         ("run", "--local", "--fault", f"429,count={NINES}", "FILE"), 2),
    Case("fault-long", {"p.yaml": ACTION}, "is not a kind of fault",
         ("run", "--local", "--fault", "x" * 100_000, "FILE"), 2),
    Case("lifetime", {}, "a lifetime", ("client-url", "--lifetime", f"{NINES}m"), 2),
    # nesting, aliases, syntax
    *playbook("deep-yaml", "a: " + "[" * 200_000, "more than 64 levels"),
    *playbook("deep-json", "[" * 200_000, "more than 64 levels"),
    *playbook("deep-json-mappings", '{"a":' * 200_000, "more than 64 levels|not JSON|nested"),
    *playbook("deep-question-marks", "? " * 100_000, "more than 64 levels"),
    *playbook("deep-dashes", "- " * 100_000, "more than 64 levels"),
    *playbook("deep-indentation", lambda: "".join(" " * n + "a:\n" for n in range(2000)),
              "more than 64 levels"),
    *playbook("alias-bomb", "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n"
        for n in range(9)), "aliases expand to too many values"),
    *playbook("alias-of-long-texts", lambda: f"x-a: &a {'x' * MIB}\nactions:\n"
              + "- {actionName: sendToAll, data: *a}\n" * 2000,
              "aliases expand to too many values"),
    *playbook("alias-cycle", "actions: &a [*a]\n", "own anchor"),
    *playbook("merge-bomb", lambda: "a: &a {" + ",".join(f"k{n}: 1" for n in range(10_000)) + "}\n"
              + "b:\n" + "- <<: *a\n" * 1000, "aliases expand to too many values"),
    *playbook("unknown-aliases", lambda: "a:\n" + "".join(f"- &a{n} 1\n" for n in range(5000))
              + "".join(f"- *b{n}\n" for n in range(5000)), "more than 500 problems"),
    *playbook("duplicate-keys", "k: 1\n" * 20_000, "more than 500 problems"),
    *playbook("one-long-line", lambda: "a: " + "b: " * 500_000, "not allowed here"),
    *playbook("tabs", "\t" * MIB, "tab is not allowed"),
    *playbook("comment", lambda: "#" + "x" * (8 * MIB), "the file is empty"),
    *playbook("line-breaks", "\n" * MIB, "the file is empty"),
    *playbook("carriage-returns", "\r" * MIB, "the file is empty"),
    *playbook("open-quote", lambda: "a: '" + "x\n" * MIB, "not closed|wrong indentation|quote"),
    *playbook("long-tag", lambda: "hub: !!" + "x" * MIB, "is not supported"),
    *playbook("long-anchor", lambda: "hub: *" + "x" * MIB, "names no anchor"),
    *playbook("binary", bytes(range(256)) * 100, "UTF-8"),
    *playbook("utf-16", "a: 1".encode("utf-16"), "UTF-16"),
    *playbook("nul", "hub: \0", "U+0000"),
    *playbook("surrogates", '[{"actionName": "\\ud800"}]', "surrogate"),
    # errors without end, and what they quote
    *playbook("many-errors", lambda: "actions:\n" + "- {actionName: nix}\n" * 20_000,
              "more than 500 problems"),
    *playbook("many-keys", lambda: "".join(f"actoins{n}: 1\n" for n in range(20_000)),
              "more than 500 problems"),
    *playbook("many-keys-of-an-action", lambda: "- {actionName: sendToAll, data: x, "
              + ", ".join(f"dat{n}: 1" for n in range(20_000)) + "}\n", "more than 500 problems"),
    *playbook("no-action-name", lambda: "actions:\n- {"
              + ", ".join(f"actionNam{n}: 1" for n in range(20_000)) + "}\n", "actionName"),
    *playbook("many-unknown-variables", lambda: "vars: {"
              + ", ".join(f"v{n}: 1" for n in range(5000)) + "}\nactions:\n"
              + "- {actionName: sendToAll, data: '${w1}'}\n" * 5000, "more than 500 problems"),
    *playbook("many-references", lambda: "actions:\n- {actionName: sendToAll, data: '"
              + "${each.a}" * 100_000 + "'}\n", "stands for a row"),
    *playbook("many-wrong-variables", lambda: "vars: {"
              + ", ".join(f"a{n}: [[1]]" for n in range(9_000)) + "}\nactions: []\n",
              "more than 500 problems"),
    *playbook("many-variables", lambda: "vars: {" + ", ".join(
        f"a{n}: 1" for n in range(VARIABLE_COUNT.value + 1)) + "}\nactions: []\n",
        "more than 10,000 variables"),
    *playbook("mixed-rows", lambda: "actions:\n- {" + JOIN + ", forEach: ["
              + "{u: a}," * 20_000 + "1]}\n", "unlike the first"),
    *playbook("long-key", lambda: '{"' + "k" * MIB + '": 1, "actions": []}', "is not a key"),
    *playbook("long-action-name", lambda: f'[{{"actionName": "{"n" * MIB}"}}]', "is not an action"),
    *playbook("long-value", lambda: f'{{"mode": "{"m" * MIB}", "actions": []}}', "must be"),
    *playbook("long-reference", lambda: "actions:\n- {actionName: sendToAll, data: '${"
              + "v" * MIB + "}'}\n", "names no variable"),
    *playbook("long-excluded", lambda: "- {actionName: sendToAll, data: x, excluded: ["
              + "1," * 50_000 + "]}\n", "more than 500 problems"),
    *playbook("long-buffer", lambda: "- {actionName: sendToAll, dataType: binary, data: "
              "{type: Buffer, data: [" + "999," * 50_000 + "]}}\n", "numbers from 0 to 255"),
    *playbook("long-list-as-data", lambda: "- {actionName: sendToAll, data: ["
              + "1," * 50_000 + "]}\n", "must be a string"),
    # growth
    *playbook("matrix", lambda: matrix(1000, 1000, 1000), "1,000 x 1,000 x 1,000 rows"),
    Case("matrix-plan", {"p.yaml": lambda: matrix(1000, 1000, 1000)}, "1,000 x 1,000 x 1,000",
         ("plan", "FILE"), 2),
    Case("matrix-run", {"p.yaml": lambda: matrix(1000, 1000, 1000)}, "1,000 x 1,000 x 1,000",
         ("run", "--local", "FILE"), 2),
    Case("expansion-plan", {"p.yaml": lambda: filled("${v}" * 50_000, "x" * 50_000)},
         "more than 2,097,152 characters", ("plan", "FILE"), 2),
    Case("expansion-by-var", {"p.yaml": lambda: filled("${v}" * 50_000, "x")},
         "more than 2,097,152 characters", ("validate", "--var", "v=" + "y" * 50_000, "FILE")),
    *playbook("matrix-of-many-axes", matrix(*[2] * 2000), f"at most {MATRIX.value:,}"),
    *playbook("many-matrices", lambda: "x-m: &m {matrix: {"
              + ",".join(f"a{n}: [{','.join('x' * 100)}]" for n in range(3)) + "}}\nactions:\n"
              + "- {forEach: *m, actionName: sendToAll, data: '${each.a0}'}\n" * 11,
              f"more than {ACTIONS.value:,} actions"),
    *playbook("expansion", lambda: filled("${v}" * 100_000, "x" * 100_000),
              "more than 2,097,152 characters"),
    *playbook("expansion-of-a-list", lambda: f"vars: {{v: {'x' * MIB}}}\nactions:\n"
              "- {actionName: sendToAll, data: x, excluded: ['${v}', '${v}', '${v}']}\n",
              "more than 2,097,152 characters"),
    *playbook("expansion-of-rows", lambda: "actions:\n- {forEach: [" + "x" * 100_000
              + "], actionName: sendToAll, data: '" + "${each}" * 10_000 + "'}\n",
              "more than 2,097,152 characters"),
    # numbers
    *(case for name in ("timeout", "rate", "concurrency", "attempts")
      for value in ("0", "-1", ".inf", ".nan", "1e400", "1e-320", NINES, "9" * 5000,
                    "0x" + "f" * 5000)
      for case in option(name, value, {"timeout": DURATION, "rate": RATE}.get(name, WHOLE))),
    *option("timeout", NINES + "ms", DURATION),
    *option("timeout", "1441m", DURATION),
    *option("backoff", NINES + "s", DURATION),
    *playbook("wait", f"onMissing: {{wait: {NINES}s}}\nactions: []\n", DURATION),
    *playbook("wait-not-a-number", "onMissing: {wait: .nan}\nactions: []\n", DURATION),
    *playbook("float-tag", f"- {{actionName: sendToAll, data: !!float {NINES}}}\n", "data"),
    *playbook("ttl", "actions:\n- {actionName: sendToAll, data: x, messageTtlSeconds: "
              + "9" * 5000 + "}\n", "from 0 to 300"),
    # rows
    *rows("columns", "r.csv", lambda: ",".join(f"c{n}" for n in range(40_000)) + "\n",
          f"more than {COLUMNS.value:,} columns"),
    *rows("equal-columns", "r.csv", "a," * 9_999 + "a\n", "is in the header twice"),
    *rows("line", "r.csv", lambda: "u\n" + "x" * (9 * MIB), "8 MiB|131,072 characters"),
    *rows("quote", "r.csv", lambda: 'u\n"' + "x\n" * 70_000, "quote opens"),
    *rows("zeros", "r.csv", 9 * MIB, "8 MiB|UTF-16"),
    *rows("terabyte", "r.csv", 2**43, f"{ROWS_STREAM.value // MIB:,} MiB"),
    *rows("ndjson-line", "r.ndjson", lambda: '{"u": "' + "x" * (9 * MIB), "longer than 8 MiB"),
    *rows("ndjson-deep", "r.ndjson", "[" * 200_000, "nested too deeply"),
    *rows("ndjson-keys", "r.ndjson", lambda: "{" + ",".join(
        f'"k{n}": 1' for n in range(50_000)) + ',"k1": 2}', "is here twice"),
    *rows("ndjson-bad-rows", "r.ndjson", '{"u": ""}\n' * 20_000, "at least 980 more rows"),
    *rows("ndjson-not-json", "r.ndjson", "x\n" * 20_000, "at least 980 more rows"),
    *rows("json-terabyte", "r.json", 2**40, f"{ROWS_DOCUMENT.value // MIB} MiB"),
    *rows("yaml-deep", "r.yaml", "[" * 100_000, "more than 64 levels"),
    *rows("long-cell", "r.csv", "u\n" + "x" * 200_000 + "\n", "a cell is longer"),
]  # fmt: skip


def write(folder: Path, files: Mapping[str, Content]) -> None:
    """Write files; one of zeros takes no space."""
    for name, content in files.items():
        made = content() if callable(content) else content
        if isinstance(made, int):
            with (folder / name).open("wb") as file:
                file.truncate(made)
        else:
            (folder / name).write_bytes(made.encode() if isinstance(made, str) else made)


def run_here(*args: str) -> int:
    """Run a command in this process, as the console script does."""
    try:
        code = group.main(args=list(args), standalone_mode=False, prog_name="wps-run")
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- the border of the command
        return report_error(error)
    return code if isinstance(code, int) else 0


def test_there_are_as_many_as_were_tried() -> None:
    """The attack that led to the limits had 136 inputs."""
    assert len(CASES) >= 136
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_input_is_refused(
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With an error of bounded length, an exit code, and no traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("WebPubSubConnectionString", CONNECTION)
    write(tmp_path, case.files)
    first = next(iter(case.files), "")
    started = time.monotonic()

    code = run_here(*(first if arg == "FILE" else arg for arg in case.args))

    seconds = time.monotonic() - started
    output = "".join(capsys.readouterr())
    assert code == case.code, output[:2000]
    assert any(part in output for part in case.message.split("|")), output[:2000]
    assert "Traceback" not in output
    assert len(output) < (PROBLEMS.value + 1) * 1500
    assert seconds < SECONDS


@pytest.fixture
def limited_run(tmp_path: Path, script: Path) -> Run:
    """Run the installed command in a process with half a gigabyte of memory."""
    if sys.platform != "linux":
        pytest.skip("memory is limited on Linux only")

    def run(
        *args: str, stdin: int | None = None, memory: int = 512 * MIB, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["prlimit", f"--as={memory}", script, *args],  # noqa: S607 -- in each Linux
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
            timeout=SECONDS,
            check=False,
            **options,
        )

    return run


def test_standard_input_without_end_is_refused(limited_run: Run) -> None:
    """Also as a descriptor that the shell opened."""
    for path in ("-", "/dev/fd/0"):
        with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:  # noqa: S607 -- POSIX
            assert endless.stdout
            ran = limited_run("validate", path, stdin=endless.stdout.fileno())
            endless.kill()
        assert ran.returncode == 1
        assert "has more than 16 MiB" in ran.stdout


def test_a_descriptor_that_is_named_is_read(tmp_path: Path, script: Path) -> None:
    """A shell's `<(…)`: playbook, variables and settings come from other programs."""
    (tmp_path / "p.yaml").write_text(
        "actions:\n- {actionName: sendToGroup, group: '${g}', data: x}\n"
    )
    command = f"{script} plan <(cat p.yaml) --vars-file <(echo g: launch)"

    ran = subprocess.run(
        ["bash", "-c", command],  # noqa: S607 -- any bash
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )

    assert ran.returncode == 0, ran.stderr
    assert "launch" in ran.stdout


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    """Run a command in this process in an empty folder; return its exit code and its output."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[int, str]:
        code = run_here(*args)
        return code, "".join(capsys.readouterr())

    return run


def test_a_pipe_or_socket_in_the_file_system_is_refused(here: Here, tmp_path: Path) -> None:
    """Without waiting for a program at its other end."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.yaml").symlink_to("pipe.csv")
    (tmp_path / "p.yaml").write_text(
        "actions:\n- {actionName: sendToAll, dataFile: pipe.csv}\n"
        "- {actionName: sendToAll, data: x, forEach: {file: pipe.csv}}\n"
    )
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        for name, kind in (
            ("pipe.csv", "is a pipe"),
            ("link.yaml", "is a pipe"),
            ("s", "is a socket"),
            ("p.yaml", "is a pipe"),
        ):
            code, output = here("validate", name)
            assert code == 1
            assert kind in output


def test_a_folder_is_not_left(here: Here, tmp_path: Path) -> None:
    """Neither by a link, nor by a file of rows, nor by a message; links below it are followed."""
    (tmp_path / "outside.yaml").write_text("hush: SECRET\n")
    (tmp_path / "outside.csv").write_text("SECRET=1,b\n")
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.yaml").symlink_to("../outside.yaml")
    (folder / "environ.yaml").symlink_to("/proc/self/environ")
    (folder / "rows.csv").symlink_to("../outside.csv")
    join = "actionName: addUserToGroup, userId: '${each.u}', group: g"
    for number, name in enumerate(("rows.csv", "../outside.csv", str(tmp_path / "outside.csv"))):
        text = f"actions:\n- {{{join}, forEach: {{file: '{name}'}}}}\n"
        (folder / f"rows-{number}.yaml").write_text(text)
    (folder / "sub" / "message.yaml").write_text(
        "actions:\n- {actionName: sendToAll, dataFile: ../rows.csv}\n"
    )

    code, output = here("validate", "in")

    assert code == 1
    assert "SECRET" not in output
    assert output.count("is a symbolic link that leads out of the folder `in`") == 3
    assert output.count("is outside the folder `in`") == 2
    assert "`../rows.csv` is outside the playbook's folder" in output


def test_links_below_a_folder_are_followed_once(here: Here, tmp_path: Path) -> None:
    """Also those in a mounted configuration; loops and hidden folders are left alone."""
    folder = tmp_path / "in"
    (folder / "..data").mkdir(parents=True)
    (folder / "..data" / "p.yaml").write_text(ACTION)
    (folder / "p.yaml").symlink_to("..data/p.yaml")
    (folder / "again.yaml").symlink_to("p.yaml")
    (folder / "loop").symlink_to(".")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "q.yaml").write_text(ACTION)

    code, output = here("validate", "in")

    assert "2 files checked" in output
    assert "cannot read `in/loop.yaml`" in output
    assert code == 2


def test_rows_are_not_quoted(here: Here, tmp_path: Path) -> None:
    """What is in a file that is named as a file of rows may be confidential."""
    join = "actionName: addUserToGroup, userId: '${each.u}', group: g"
    for name, content in (
        ("a.csv", "root:x:0:0:SECRET:/root:/bin/sh\n" * 2),
        ("b.csv", "KEY=SECRET\0OTHER=1\0\n" * 2),
        ("c.yaml", "SECRET: [\n"),
        ("d.json", '{"SECRET=1": x}'),
        ("e.ndjson", '{"A=SECRET": [1]}'),
    ):
        (tmp_path / name).write_text(content)
        (tmp_path / "p.yaml").write_text(f"actions:\n- {{{join}, forEach: {{file: {name}}}}}\n")

        code, output = here("validate", "p.yaml")

        assert code == 1
        assert "SECRET" not in output


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lambda: filled("${v}" * 80_000, "x" * 80_000), id="expansion"),
        pytest.param(lambda: matrix(1000, 1000, 1000), id="matrix"),
        pytest.param(
            lambda: "actions:\n- {" + JOIN + ", forEach: [" + "{u: a}," * 20_000 + "1]}\n",
            id="mixed-rows",
        ),
    ],
)
def test_what_grows_is_refused_with_little_memory(
    limited_run: Run, tmp_path: Path, text: Callable[[], str]
) -> None:
    """Before it grows."""
    (tmp_path / "p.yaml").write_text(text())

    ran = limited_run("validate", "p.yaml")

    assert ran.returncode == 1
    assert "p.yaml:2:" in ran.stdout or "p.yaml:3:" in ran.stdout
    assert "MemoryError" not in ran.stdout + ran.stderr
