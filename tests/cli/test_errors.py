"""Commands end with one of their exit codes, whatever the input; secrets are never shown."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wps_run.cli import main
from wps_run.cli.main import entry

WORDS = st.sampled_from(
    [b"actions:", b"\n  - ", b"actionName: ", b"sendToAll", b"addUserToGroup", b"\n    ",
     b"userId: ", b"group: ", b"data: ", b"forEach: ", b"[", b"]", b"{", b"}", b": ", b", ",
     b"ada", b"${each}", b"${", b"*a", b"&a ", b"<<: ", b"!!binary ", b"'", b'"', b"\n", b"\t",
     b"vars:", b"hub: chat\n", b"\xff", b"\xef\xbb\xbf", b"\x00", b"\xf0\x9f\x98\x80", b"---\n"]
)  # fmt: skip
RunInProcess = Callable[..., tuple[int, str]]
FILES = st.binary(max_size=60) | st.lists(WORDS, max_size=12).map(b"".join)


@given(content=FILES)
def test_validate_accepts_or_refuses_any_file(run_in_process: RunInProcess, content: bytes) -> None:
    """No traceback, and one of its three exit codes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "p.yaml")
        file.write_bytes(content)

        code, output = run_in_process("validate", str(file))

    assert code in {0, 1, 2}, output
    assert "Traceback" not in output


@settings(max_examples=15)
@given(content=FILES)
def test_rehearsal_runs_or_refuses_any_file(run_in_process: RunInProcess, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "p.yaml")
        file.write_bytes(content)

        code, output = run_in_process("run", "--local", str(file))

    assert code in {0, 1, 2, 3}, output
    assert "Traceback" not in output


KEY = "c2VjcmV0LWtleS1vZi10aGUtdGVzdC1zZXJ2aWNl"
CONNECTION = f"Endpoint=https://x.example;AccessKey={KEY};Version=1.0;"


class BrokenError(Exception):
    """A defect whose message holds secrets."""


def raise_with_secrets() -> None:
    raise BrokenError(CONNECTION, os.environ["CLIENT_SECRET"])


@click.command()
def fails_with_secrets() -> None:
    """Fail with secrets in the error, its cause and its notes."""
    try:
        raise_with_secrets()
    except BrokenError as error:
        second_error = BrokenError(
            f"Authorization: Bearer {KEY}x, token eyJhbGciOiJI.eyJhdWQi.c2ln"
        )
        second_error.add_note(f"the key is {KEY}")
        raise second_error from error


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WebPubSubConnectionString", CONNECTION)
    monkeypatch.setenv("CLIENT_SECRET", "s3cret of the app")
    monkeypatch.setattr(sys, "argv", ["wps-run"])


@pytest.mark.usefixtures("secrets")
def test_debug_shows_the_traceback_of_a_bug_with_secrets_masked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WPS_RUN_DEBUG", "1")

    code = entry(fails_with_secrets)

    output = capsys.readouterr()
    assert (code, output.out) == (70, "")
    assert output.err.count("Traceback (most recent call last)") == 2
    assert f'File "{__file__}"' in output.err
    assert "Authorization: Bearer ***" in output.err
    assert "the key is ***" in output.err
    for secret in (KEY, "s3cret", "eyJ", "c2ln"):
        assert secret not in output.err


@pytest.mark.usefixtures("secrets")
def test_bug_is_reported_without_traceback_or_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WPS_RUN_DEBUG", raising=False)

    assert entry(fails_with_secrets) == 70

    output = capsys.readouterr().err
    assert output.startswith("error: this is a bug in wps-run (BrokenError); WPS_RUN_DEBUG=1")
    assert output.count("\n") == 1


@click.command()
def fails_with_permission_error() -> None:
    """Fail like the import of a file that cannot be read."""
    raise PermissionError(13, "Permission denied", "/usr/lib/python3/yaml.so")


def test_os_error_that_is_not_about_stdout_is_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not reported as output that cannot be written."""
    monkeypatch.setattr(sys, "argv", ["wps-run"])

    assert entry(fails_with_permission_error) == 70

    assert "this is a bug in wps-run (PermissionError)" in capsys.readouterr().err


def run_script(stdout: int, *args: str, **environment: str) -> tuple[int, str]:
    """Run `wps-run` with this stdout; return its exit code and stderr."""
    process = subprocess.run(
        [sys.executable, "-m", "wps_run", *args],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        text=True,
        timeout=50,
        check=False,
    )
    return process.returncode, process.stderr


COMMANDS = [("actions",), ("schema",), ("--help",), ("init",), ("serve", "--port", "0")]
OUTPUTS = [*((command, "utf-8") for command in COMMANDS), (("actions",), "ascii")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize(("args", "encoding"), OUTPUTS)
def test_full_stdout_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], encoding: str
) -> None:
    """With the system's reason and exit code 2, for each way of writing."""
    monkeypatch.chdir(tmp_path)
    with Path("/dev/full").open("wb") as full:
        result = run_script(full.fileno(), *args, PYTHONIOENCODING=encoding)

    assert result == (
        2,
        "error: cannot write to standard output: No space left on device\n",
    )


@pytest.mark.parametrize(("args", "encoding"), OUTPUTS)
def test_closed_pipe_ends_a_command_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], encoding: str
) -> None:
    """With the exit code that a shell reports for SIGPIPE."""
    monkeypatch.chdir(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = run_script(writer, *args, PYTHONIOENCODING=encoding)
    finally:
        os.close(writer)

    assert result == (141, "")


def test_shell_completion_succeeds() -> None:
    """It ends with SystemExit."""
    assert run_script(subprocess.DEVNULL, _WPS_RUN_COMPLETE="bash_source") == (0, "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("validate", "x" * 300), f"cannot read `{'x' * 300}`: File name too long"),
        (("schema", "--check", "x" * 300), f"`{'x' * 300}`: File name too long"),
        (("schema", "--write", "/dev/null/x"), "cannot write into `/dev/null/x`: Not a directory"),
        (("init", "/dev/null"), "cannot write `/dev/null/playbooks/first.yaml`: Not a directory"),
        (("run", "--local", "x" * 300), f"cannot read `{'x' * 300}`: File name too long"),
    ],
)
def test_unusable_path_is_reported(
    run_in_process: RunInProcess, args: tuple[str, ...], message: str
) -> None:
    """With its name and the system's reason; exit code 2."""
    code, error = run_in_process(*args)

    assert (code, message in error) == (2, True), error


def test_options_of_the_default_command_may_come_first(
    run_in_process: RunInProcess, tmp_path: Path
) -> None:
    """Also in front of the name of a command; a value is no command."""
    (tmp_path / "plan").write_text("hub: chat\nactions:\n- {actionName: sendToAll, data: x}\n")
    playbook, report = str(tmp_path / "plan"), str(tmp_path / "out.html")

    assert run_in_process("--report", report, "--local", playbook)[0] == 0
    assert Path(report).exists()
    assert run_in_process("--hub", "plan", "plan", playbook)[1].startswith("PLAN ")
    assert run_in_process("--hub=chat", "--mode", "concurrent", "plan", playbook)[0] == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["valdate", "p.yaml"],
            "`valdate` is neither a command nor a playbook; did you mean `vali",
        ),
        (["--local", "valdate"], "did you mean `validate`?"),
        (["apply"], "`apply` is neither a command nor a playbook; `wps-run help` lists the"),
        (["--reprot", "valdate"], "--reprot"),
        (["--local", "none.yaml"], "cannot read `none.yaml`"),
        (["help", "plna"], "`plna` is not a command; did you mean `plan`?"),
        (["plan", "--fromat", "text"], "hint: `wps-run plan --help` shows the options"),
    ],
)
def test_misspelled_words_are_named(
    run_in_process: RunInProcess, args: list[str], message: str
) -> None:
    code, output = run_in_process(*args)

    assert code == 2
    assert output.startswith("error: ")
    assert message in output


@pytest.mark.parametrize(
    ("args", "command"),
    [
        (["--dry-run", "p.yaml"], "wps-run plan p.yaml"),
        (["--check", "--report", "x.html", "--hub=chat", "a b"], "wps-run plan --hub=chat 'a b'"),
        (["-q", "run.yaml", "--var", "x=1", "--dry-run"], "wps-run plan run.yaml --var x=1"),
        (["--local", "--rate", "5", "--dry-run", "-"], "wps-run plan --rate 5 -"),
    ],
)
def test_a_dry_run_is_a_plan(run_in_process: RunInProcess, args: list[str], command: str) -> None:
    """The message has the command with the arguments that it takes."""
    code, output = run_in_process(*args)

    assert (code, output.splitlines()[0][:6]) == (2, "error:")
    assert output.endswith(f": {command}\n")


@pytest.mark.parametrize(
    ("args", "same"),
    [
        (["plan", "--dry-run", "FILE"], ["plan", "FILE"]),
        (["--check", "validate", "FILE"], ["validate", "FILE"]),
        (["--strict", "validate", "FILE"], ["validate", "--strict", "FILE"]),
        (["--format", "json", "validate", "FILE"], ["validate", "--format", "json", "FILE"]),
    ],
)
def test_options_of_a_command_may_be_in_front_of_it(
    run_in_process: RunInProcess, tmp_path: Path, args: list[str], same: list[str]
) -> None:
    """What sends nothing anyhow takes `--dry-run`."""
    file = tmp_path / "p.yaml"
    file.write_text("actions: [{actionName: sendToAll, data: ''}]")

    def run(words: list[str]) -> tuple[int, str]:
        return run_in_process(*(str(file) if word == "FILE" else word for word in words))

    result = run(args)

    assert "No such option" not in result[1]
    assert result == run(same)


def test_without_arguments_the_usage_is_shown(run_in_process: RunInProcess) -> None:
    """It is no error message, and so has no label; the exit code is 2."""
    code, output = run_in_process()

    assert (code, output[:14]) == (2, "Usage: wps-run")


def test_help_describes_each_command(run_in_process: RunInProcess) -> None:
    """As `--help` does."""
    for name in main.COMMANDS:
        assert run_in_process("help", name) == run_in_process(name, "--help")
    assert run_in_process("help") == run_in_process("--help")
