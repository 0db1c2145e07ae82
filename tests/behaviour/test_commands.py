"""The commands teach, keep their promises on exit codes, and load only what they need."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from wps_run.actions.table import ACTIONS
from wps_run.cli.main import COMMANDS
from wps_run.cli.main import wps_run as wps_run_group

Script = Callable[..., subprocess.CompletedProcess[str]]

GOOD = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada, group: red}\n"
BAD = "hub: chat\nactions:\n  - {actionName: addUserToGruop, userId: ada, group: red}\n"


def test_help_names_every_command_and_the_exit_codes(wps_run: Script) -> None:
    """A newcomer finds the way from `--help` alone."""
    done = wps_run("--help")

    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert "Exit codes: 0" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_with_an_example(wps_run: Script, name: str) -> None:
    """The examples can be pasted."""
    done = wps_run(name, "--help")

    assert done.returncode == 0
    assert f"wps-run {name}" in done.stdout
    assert done.stderr == ""


def test_the_table_of_commands_has_the_help_of_each() -> None:
    """`wps-run --help` prints it without importing the commands."""
    context = click.Context(wps_run_group)
    for name, summary in COMMANDS.items():
        command = wps_run_group.get_command(context, name)

        assert command is not None
        assert command.help is not None
        assert command.help.splitlines()[0] == summary


def loaded_by(*args: str) -> set[str]:
    """The top-level modules that a command line has loaded when it ends."""
    code = (
        "import sys\n"
        "from wps_run.cli.main import wps_run\n"
        "from wps_run.cli.main import entry\n"
        f"sys.argv = ['wps-run', *{args!r}]; entry()\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_loads_click_and_little_else() -> None:
    """It answers at once; YAML, schemas and HTTP come when they are needed."""
    assert not loaded_by("--help") & {
        "aiohttp", "asyncio", "jwt", "yaml", "jsonschema", "msgspec", "wcwidth"
    }  # fmt: skip


def test_validate_loads_no_http(tmp_path: Path) -> None:
    """A pre-commit hook pays for start-up at every commit."""
    playbook = tmp_path / "good.yaml"
    playbook.write_text(GOOD)

    loaded = loaded_by("validate", str(playbook))

    assert "yaml" in loaded
    assert not loaded & {"aiohttp", "asyncio", "jwt", "ssl", "msgspec", "wcwidth"}
    assert "jsonschema" not in loaded, "it is half of the time, and needed for what is wrong only"


def test_run_is_the_default_command(wps_run: Script, tmp_path: Path) -> None:
    """`wps-run playbook.yaml` is short for `wps-run run playbook.yaml`."""
    (tmp_path / "good.yaml").write_text(GOOD)

    short = wps_run("--local", "good.yaml", "--output", "none")
    long = wps_run("run", "--local", "good.yaml", "--output", "none")

    assert (short.returncode, short.stderr) == (long.returncode, long.stderr) == (0, "")


def test_a_misspelt_command_is_not_taken_for_a_playbook(wps_run: Script, tmp_path: Path) -> None:
    """Unless there is such a file."""
    done = wps_run("validte", "good.yaml")
    assert done.returncode == 2
    assert "did you mean `validate`?" in done.stderr
    (tmp_path / "validte").write_text(GOOD)
    assert wps_run("validte", "--local").returncode == 0


def test_validate_exits_0_1_and_2(wps_run: Script, tmp_path: Path) -> None:
    """All is well, something is wrong, it cannot be read."""
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)

    assert wps_run("validate", "good.yaml").returncode == 0
    bad = wps_run("validate", "bad.yaml")
    assert bad.returncode == 1
    assert bad.stdout.startswith("bad.yaml:3:18: ")
    assert "did you mean `addUserToGroup`?" in bad.stdout
    assert wps_run("validate", "none.yaml").returncode == 2
    both = wps_run("validate", "bad.yaml", "none.yaml")
    assert both.returncode == 2
    assert "bad.yaml:3:18: " in both.stdout
    assert "cannot read `none.yaml`" in both.stderr
    assert wps_run("validate").returncode == 2
    assert wps_run("validate", "--no-such-option").returncode == 2


def test_validate_counts_what_it_has_read(wps_run: Script, tmp_path: Path) -> None:
    """A file that cannot be read was not checked, and each such file is named."""
    (tmp_path / "good.yaml").write_text(GOOD)

    nothing = wps_run("validate", "none.yaml")
    one = wps_run("validate", "none.yaml", "good.yaml", "gone.yaml")
    machine = wps_run("validate", "none.yaml", "--format", "json")

    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert (one.returncode, one.stdout) == (2, "1 file checked, no problems\n")
    assert all(f"wps-run: cannot read `{name}.yaml`" in one.stderr for name in ("none", "gone"))
    assert json.loads(machine.stdout) == {"files": 0, "problems": []}


def test_validate_searches_folders(wps_run: Script, tmp_path: Path) -> None:
    """Folders are searched for playbooks, hidden ones are left out."""
    for name in ("a/one.yaml", "a/b/two.yml", "a/three.json", "a/.hidden/four.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(GOOD if name.endswith("l") else "[]")

    done = wps_run("validate", "a")

    assert (done.returncode, done.stdout) == (0, "3 files checked, no problems\n")


def test_validate_reads_standard_input_and_writes_json(wps_run: Script) -> None:
    """For editors and scripts."""
    done = wps_run("validate", "-", "--format", "json", stdin=BAD)

    (problem,) = json.loads(done.stdout)["problems"]
    assert done.returncode == 1
    assert (problem["file"], problem["line"], problem["column"]) == ("<stdin>", 3, 18)


def test_validate_binding_only_refuses_what_the_binding_has_not(
    wps_run: Script, tmp_path: Path
) -> None:
    """A batch that a function is to return must not use more than the binding knows."""
    (tmp_path / "rest.yaml").write_text(
        "- {actionName: closeUserConnections, userId: ada}\n"
        "- {actionName: sendToAll, data: x, filter: userId ne 'ada'}\n"
        "- {actionName: sendToAll, data: x}\n"
    )

    assert wps_run("validate", "rest.yaml").returncode == 0
    done = wps_run("validate", "--binding-only", "rest.yaml")
    assert done.returncode == 1
    assert "rest.yaml:1:16: `closeUserConnections` is not an action" in done.stdout
    assert "rest.yaml:2:36: the Functions output binding has no `filter`" in done.stdout
    assert done.stdout.endswith("2 problems\n")


def test_plan_sends_nothing_and_needs_no_setting(wps_run: Script, tmp_path: Path) -> None:
    """Each step with its request and what it waits for."""
    (tmp_path / "good.yaml").write_text("mode: concurrent\n" + GOOD.replace("hub: chat\n", ""))

    done = wps_run("plan", "good.yaml")

    assert done.returncode == 0
    assert done.stdout.startswith("PLAN (nothing is sent) · hub HUB · good.yaml · 1 action")
    assert "PUT /api/hubs/HUB/users/ada/groups/red?api-version=2024-12-01" in done.stdout
    records = wps_run("plan", "good.yaml", "--hub", "chat", "--format", "ndjson").stdout
    assert json.loads(records)["path"] == "/api/hubs/chat/users/ada/groups/red"


def test_schema_writes_and_checks(wps_run: Script, tmp_path: Path) -> None:
    """Drift is 1, a folder that is not there is 2."""
    assert wps_run("schema", "--write", "out").returncode == 0
    assert wps_run("schema", "--check", "out").returncode == 0
    (tmp_path / "out" / "actions.schema.json").write_text("{}")
    drift = wps_run("schema", "--check", "out")
    assert (drift.returncode, drift.stdout) == (
        1,
        "out/actions.schema.json differs from the action table\n",
    )
    assert wps_run("schema", "--check", "none").returncode == 2


def test_schema_prints_a_schema(wps_run: Script) -> None:
    """The playbook's unless the other one is named."""
    assert json.loads(wps_run("schema").stdout)["$schema"].endswith("draft-07/schema#")
    assert "playbook" in json.loads(wps_run("schema").stdout)["$id"]
    assert "actions" in json.loads(wps_run("schema", "actions").stdout)["$id"]


def test_actions_lists_and_explains(wps_run: Script) -> None:
    """With an example that is itself a valid batch."""
    listing = wps_run("actions").stdout
    assert [line.split()[0] for line in listing.splitlines()] == list(ACTIONS)
    for name in ACTIONS:
        text = wps_run("actions", name).stdout
        example = text.partition("Example:\n\n")[2]
        assert wps_run("validate", "-", stdin=example).returncode == 0
    wrong = wps_run("actions", "sendToal")
    assert wrong.returncode == 2
    assert "did you mean `sendToAll`?" in wrong.stderr


def test_a_reader_that_goes_away_ends_it_quietly(script: Path, tmp_path: Path) -> None:
    """`wps-run … | head -1` shows no traceback."""
    (tmp_path / "many.yaml").write_text(
        GOOD
        + "".join(
            f"  - {{actionName: addUserToGroup, userId: u{n}, group: red}}\n" for n in range(3000)
        )
    )
    for args in ("plan many.yaml", "--local many.yaml --output ndjson"):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{script} {args} | head -n 1"],
            capture_output=True,
            cwd=tmp_path,
            text=True,
            check=False,
        )
        assert len(done.stdout.splitlines()) == 1
        assert done.stderr == ""
