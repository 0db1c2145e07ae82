"""`wps-run init` creates files that validate and run, and overwrites nothing."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wps_run.cli.commands.init import ENTRY, HOOKS, PLAYBOOK, SCHEMA
from wps_run.playbook.schema import playbook_schema, schema_text

Script = Callable[..., subprocess.CompletedProcess[str]]

GIT = shutil.which("git")


@pytest.mark.parametrize("folder", ["demo", "my playbooks; echo x"])
def test_commands_that_init_prints_succeed(wps_run: Script, tmp_path: Path, folder: str) -> None:
    """They can be pasted into a shell, which reads no name of a folder as a command."""
    process = wps_run("init", folder)

    assert (process.returncode, process.stderr) == (0, "")
    for name in (PLAYBOOK, SCHEMA, HOOKS):
        assert f"wrote  {Path(folder, name)}\n" in process.stdout
    commands = process.stdout.partition("Next:\n")[2].splitlines()
    assert len(commands) == 2
    for command in commands:
        assert wps_run(*shlex.split(command)[1:]).returncode == 0
    assert wps_run("validate", "--strict", folder).returncode == 0
    schema = (tmp_path / folder / SCHEMA).read_text("utf-8")
    assert schema == schema_text(playbook_schema())


def test_playbook_refers_to_the_schema_by_a_relative_path(wps_run: Script, tmp_path: Path) -> None:
    """An editor needs no network."""
    wps_run("init")

    first, *_ = (tmp_path / PLAYBOOK).read_text("utf-8").splitlines()
    reference = first.removeprefix("# yaml-language-server: $schema=")
    assert (tmp_path / PLAYBOOK).parent.joinpath(reference).resolve() == (
        tmp_path / SCHEMA
    ).resolve()


def test_existing_files_are_kept(wps_run: Script, tmp_path: Path) -> None:
    """The entry for pre-commit is printed instead."""
    (tmp_path / "playbooks").mkdir()
    (tmp_path / PLAYBOOK).write_text("mine")
    (tmp_path / HOOKS).write_text("repos: []\n")

    process = wps_run("init")

    assert process.returncode == 0
    assert f"exists {PLAYBOOK}, so it is not changed" in process.stdout
    assert ENTRY.removeprefix("repos:\n") in process.stdout
    assert (tmp_path / PLAYBOOK).read_text() == "mine"
    assert (tmp_path / HOOKS).read_text() == "repos: []\n"
    assert (tmp_path / SCHEMA).is_file()


def test_unusable_folder_is_reported(wps_run: Script, tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")

    process = wps_run("init", "demo")

    assert process.returncode == 2
    assert "demo" in process.stderr


@pytest.mark.skipif(GIT is None, reason="pre-commit needs git")
def test_repository_passes_its_own_pre_commit_and_a_rehearsal(
    wps_run: Script, script: Path, tmp_path: Path
) -> None:
    """Offline, with the installed wps-run; a wrong playbook cannot be committed."""
    assert GIT is not None
    environment = {
        **os.environ,
        "PRE_COMMIT_HOME": str(tmp_path / ".cache"),
        "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    folder = tmp_path / "demo"

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    git = (GIT, "-c", "user.name=t", "-c", "user.email=t@example.invalid")
    assert wps_run("init", "demo").returncode == 0
    assert run(*git, "init", "--quiet").returncode == 0
    assert run(sys.executable, "-m", "pre_commit", "install").returncode == 0
    assert run(*git, "add", "--all").returncode == 0

    committed = run(*git, "commit", "--message", "The first playbook.")
    rehearsed = run(script, "--local", "playbooks/first.yaml")
    (folder / "playbooks" / "bad.yaml").write_text("actions: [{actionName: sendToAl}]\n")
    run(*git, "add", "--all")
    refused = run(*git, "commit", "--message", "A wrong playbook.")

    assert committed.returncode == 0, committed.stdout + committed.stderr
    assert "validate Web PubSub playbooks" in committed.stderr
    assert "Passed" in committed.stderr
    assert rehearsed.returncode == 0, rehearsed.stdout
    assert refused.returncode == 1
    assert "playbooks/bad.yaml:1:24: error: `sendToAl` is not an action" in refused.stderr
    assert run(*git, "log", "--oneline").stdout.count("\n") == 1
