"""Help, exit codes, imports and errors of all commands."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from wps_run.actions.table import ACTIONS
from wps_run.cli.main import COMMANDS
from wps_run.cli.main import wps_run as wps_run_group
from wps_run.emulator.testing import LocalPubSub

Script = Callable[..., subprocess.CompletedProcess[str]]

GOOD = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada, group: red}\n"
BATCH = '[{"actionName": "sendToAll", "data": "hello"}]'
BAD = "hub: chat\nactions:\n  - {actionName: addUserToGruop, userId: ada, group: red}\n"


def test_help_lists_commands_and_exit_codes(wps_run: Script) -> None:
    process = wps_run("--help")

    assert process.returncode == 0
    assert all(f"  {name} " in process.stdout for name in COMMANDS)
    assert "Exit codes: 0" in process.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_has_an_example(wps_run: Script, name: str) -> None:
    process = wps_run(name, "--help")

    assert process.returncode == 0
    assert f"wps-run {name}" in process.stdout
    assert process.stderr == ""


USES = {
    "config": "config p.yaml",
    "init": "init new",
    "validate": "validate p.yaml",
    "plan": "plan p.yaml",
    "verify": "verify p.yaml",
    "diff": "diff p.yaml",
    "snapshot": "snapshot --hub chat --group red",
    "schema": "schema",
    "actions": "actions sendToAll",
    "runs": "runs",
    "resolve": "resolve j",
    "report": "report j --output json",
    "completion": "completion bash",
    "help": "help plan",
}
"""A command to its smallest use."""
OTHERS = {"run", "show", "serve", "listen", "client-url"}
"""Other tests run these in processes of their own."""


def test_each_command_has_a_smallest_use() -> None:
    assert USES.keys() | OTHERS == COMMANDS.keys()


@pytest.mark.parametrize("args", USES.values())
def test_each_command_imports_what_it_uses(
    wps_run: Script, script: Path, tmp_path: Path, args: str
) -> None:
    """As a process of its own: a command that is forked has all modules already."""
    (tmp_path / "p.yaml").write_text(f"{GOOD}expect:\n  - {{group: red, has: [ada]}}\n")
    assert wps_run("p.yaml", "--local", "--journal", "j").returncode == 0
    with LocalPubSub() as service:
        service.client(hub="chat", user="ada", groups=["red"])
        process = subprocess.run(
            [script, *args.split()],
            cwd=tmp_path,
            env={
                **os.environ,
                "XDG_STATE_HOME": str(tmp_path / "state"),
                "WebPubSubConnectionString": service.connection_string,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    assert process.returncode == 0, process.stderr
    assert process.stdout


def test_table_of_commands_has_the_summary_of_each() -> None:
    """`wps-run --help` prints it without importing the commands."""
    context = click.Context(wps_run_group)
    for name, summary in COMMANDS.items():
        command = wps_run_group.get_command(context, name)

        assert command is not None
        assert command.help is not None
        assert command.help.splitlines()[0] == summary


def modules_loaded_by(*args: str) -> set[str]:
    """Return the top-level modules that a command line has loaded when it ends."""
    code = (
        "import sys\n"
        "from wps_run.cli.main import wps_run\n"
        "from wps_run.cli.main import entry\n"
        f"sys.argv = ['wps-run', *{args!r}]; entry()\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(process.stderr.split())


def test_help_loads_no_large_library() -> None:
    assert not modules_loaded_by("--help") & {
        "aiohttp", "asyncio", "jwt", "yaml", "jsonschema", "msgspec", "wcwidth"
    }  # fmt: skip


def test_validate_loads_no_http(tmp_path: Path) -> None:
    """A pre-commit hook starts it for each commit."""
    playbook = tmp_path / "good.yaml"
    playbook.write_text(GOOD)

    loaded = modules_loaded_by("validate", str(playbook))

    assert "yaml" in loaded
    assert not loaded & {"aiohttp", "asyncio", "jwt", "ssl", "msgspec", "wcwidth"}
    assert "jsonschema" not in loaded, "it is half of the time, and needed for what is wrong only"


def test_run_is_the_default_command(wps_run: Script, tmp_path: Path) -> None:
    """`wps-run playbook.yaml` is short for `wps-run run playbook.yaml`."""
    (tmp_path / "good.yaml").write_text(GOOD)

    short = wps_run("--local", "good.yaml", "--output", "none")
    long = wps_run("run", "--local", "good.yaml", "--output", "none")

    assert (short.returncode, short.stderr) == (long.returncode, long.stderr) == (0, "")


def test_misspelt_command_is_an_error(wps_run: Script, tmp_path: Path) -> None:
    """Unless there is a file with that name."""
    process = wps_run("validte", "good.yaml")
    assert process.returncode == 2
    assert "did you mean `validate`?" in process.stderr
    (tmp_path / "validte").write_text(GOOD)
    assert wps_run("validte", "--local").returncode == 0


def test_exit_code_of_validate_is_0_1_or_2(wps_run: Script, tmp_path: Path) -> None:
    """No problems, problems, or a file that cannot be read."""
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)

    assert wps_run("validate", "good.yaml").returncode == 0
    bad = wps_run("validate", "bad.yaml")
    assert bad.returncode == 1
    assert bad.stdout.startswith("bad.yaml:3:18: error: ")
    assert "did you mean `addUserToGroup`?" in bad.stdout
    assert wps_run("validate", "none.yaml").returncode == 2
    both = wps_run("validate", "bad.yaml", "none.yaml")
    assert both.returncode == 2
    assert "bad.yaml:3:18: error: " in both.stdout
    assert "cannot read `none.yaml`" in both.stderr
    assert wps_run("validate").returncode == 2
    assert wps_run("validate", "--no-such-option").returncode == 2


def test_validate_counts_only_the_files_that_it_read(wps_run: Script, tmp_path: Path) -> None:
    """Each file that cannot be read is named."""
    (tmp_path / "good.yaml").write_text(GOOD)

    unreadable = wps_run("validate", "none.yaml")
    mixed = wps_run("validate", "none.yaml", "good.yaml", "gone.yaml")
    as_json = wps_run("validate", "none.yaml", "--format", "json")

    assert (unreadable.returncode, unreadable.stdout) == (2, "")
    assert (mixed.returncode, mixed.stdout) == (2, "1 file checked, no problems\n")
    assert all(f"error: cannot read `{name}.yaml`" in mixed.stderr for name in ("none", "gone"))
    assert json.loads(as_json.stdout) == {"files": 0, "problems": []}


def test_validate_searches_folders(wps_run: Script, tmp_path: Path) -> None:
    """Hidden folders are ignored."""
    for name in ("a/one.yaml", "a/b/two.yml", "a/three.json", "a/.hidden/four.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(GOOD if name.endswith("l") else BATCH)

    process = wps_run("validate", "a")

    assert (process.returncode, process.stdout) == (0, "3 files checked, no problems\n")


def test_validate_reads_standard_input_and_writes_json(wps_run: Script) -> None:
    """For editors and scripts."""
    process = wps_run("validate", "-", "--format", "json", stdin=BAD)

    (problem,) = json.loads(process.stdout)["problems"]
    assert process.returncode == 1
    assert (problem["file"], problem["line"], problem["column"]) == ("<stdin>", 3, 18)


def test_validate_binding_only_refuses_what_the_binding_lacks(
    wps_run: Script, tmp_path: Path
) -> None:
    (tmp_path / "rest.yaml").write_text(
        "- {actionName: closeUserConnections, userId: ada}\n"
        "- {actionName: sendToAll, data: x, filter: userId ne 'ada'}\n"
        "- {actionName: sendToAll, data: x}\n"
    )

    assert wps_run("validate", "rest.yaml").returncode == 0
    process = wps_run("validate", "--binding-only", "rest.yaml")
    assert process.returncode == 1
    assert "rest.yaml:1:16: error: `closeUserConnections` is not an action" in process.stdout
    assert "rest.yaml:2:36: error: the Functions output binding has no `filter`" in process.stdout
    assert process.stdout.endswith("2 problems\n")


def test_plan_sends_nothing_and_needs_no_setting(wps_run: Script, tmp_path: Path) -> None:
    """It prints the request of each step."""
    (tmp_path / "good.yaml").write_text("mode: concurrent\n" + GOOD.replace("hub: chat\n", ""))

    process = wps_run("plan", "good.yaml")

    assert process.returncode == 0
    assert process.stdout.startswith("PLAN (nothing is sent) · hub HUB · good.yaml · 1 action")
    assert "PUT /api/hubs/HUB/users/ada/groups/red?api-version=2024-12-01" in process.stdout
    records = wps_run("plan", "good.yaml", "--hub", "chat", "--format", "ndjson").stdout
    assert json.loads(records)["path"] == "/api/hubs/chat/users/ada/groups/red"


def test_schema_writes_and_checks(wps_run: Script, tmp_path: Path) -> None:
    """Exit code 1 for a difference, 2 for a missing folder."""
    assert wps_run("schema", "--write", "out").returncode == 0
    assert wps_run("schema", "--check", "out").returncode == 0
    (tmp_path / "out" / "actions.schema.json").write_text("{}")
    drift = wps_run("schema", "--check", "out")
    assert (drift.returncode, drift.stdout) == (
        1,
        "out/actions.schema.json differs from what this version writes\n",
    )
    assert wps_run("schema", "--check", "none").returncode == 2


def test_schema_prints_a_schema(wps_run: Script) -> None:
    """The playbook schema by default."""
    assert json.loads(wps_run("schema").stdout)["$schema"].endswith("draft-07/schema#")
    assert "playbook" in json.loads(wps_run("schema").stdout)["$id"]
    assert "actions" in json.loads(wps_run("schema", "actions").stdout)["$id"]


def test_actions_lists_and_describes_actions(wps_run: Script) -> None:
    """Each example is a valid batch, or a valid playbook."""
    listing = wps_run("actions").stdout
    assert [line.split()[0] for line in listing.splitlines()] == list(ACTIONS)
    for name in ACTIONS:
        text = wps_run("actions", name).stdout
        batch, _, playbook = text.partition("Example:\n\n")[2].partition("In a playbook also:\n\n")
        for example in filter(None, (batch, playbook)):
            assert wps_run("validate", "-", stdin=example).returncode == 0
    wrong = wps_run("actions", "sendToal")
    assert wrong.returncode == 2
    assert "did you mean `sendToAll`?" in wrong.stderr


def test_closed_pipe_ends_a_command_silently(script: Path, tmp_path: Path) -> None:
    """`wps-run … | head -1` prints no traceback."""
    (tmp_path / "many.yaml").write_text(
        GOOD
        + "".join(
            f"  - {{actionName: addUserToGroup, userId: u{n}, group: red}}\n" for n in range(3000)
        )
    )
    for args in ("plan many.yaml", "--local many.yaml --output ndjson"):
        process = subprocess.run(
            ["/bin/sh", "-c", f"{script} {args} | head -n 1"],
            capture_output=True,
            cwd=tmp_path,
            text=True,
            check=False,
        )
        assert len(process.stdout.splitlines()) == 1
        assert process.stderr == ""
