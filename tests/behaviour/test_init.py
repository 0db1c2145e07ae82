"""`wps-run init`: a beginning that validates, runs, and overwrites nothing."""

import os
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


def test_what_init_writes_validates_and_runs(wps_run: Script, tmp_path: Path) -> None:
    """With the very commands that it prints."""
    done = wps_run("init", "demo")

    assert (done.returncode, done.stderr) == (0, "")
    for name in (PLAYBOOK, SCHEMA, HOOKS):
        assert f"wrote  {Path('demo', name)}\n" in done.stdout
    following = done.stdout.partition("Next:\n")[2].splitlines()
    assert len(following) == 2
    for line in following:
        assert wps_run(*line.split()[1:]).returncode == 0
    assert wps_run("validate", "--strict", "demo").returncode == 0
    schema = (tmp_path / "demo" / SCHEMA).read_text("utf-8")
    assert schema == schema_text(playbook_schema())


def test_the_playbook_names_the_schema_beside_it(wps_run: Script, tmp_path: Path) -> None:
    """By a relative path, so that an editor needs no network."""
    wps_run("init")

    first, *_ = (tmp_path / PLAYBOOK).read_text("utf-8").splitlines()
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (tmp_path / PLAYBOOK).parent.joinpath(named).resolve() == (tmp_path / SCHEMA).resolve()


def test_nothing_is_overwritten(wps_run: Script, tmp_path: Path) -> None:
    """The entry for pre-commit is shown instead, to be added by hand."""
    (tmp_path / "playbooks").mkdir()
    (tmp_path / PLAYBOOK).write_text("mine")
    (tmp_path / HOOKS).write_text("repos: []\n")

    done = wps_run("init")

    assert done.returncode == 0
    assert f"kept   {PLAYBOOK}, which exists already" in done.stdout
    assert ENTRY.removeprefix("repos:\n") in done.stdout
    assert (tmp_path / PLAYBOOK).read_text() == "mine"
    assert (tmp_path / HOOKS).read_text() == "repos: []\n"
    assert (tmp_path / SCHEMA).is_file()


def test_a_folder_that_cannot_be_written_is_reported(wps_run: Script, tmp_path: Path) -> None:
    """A file where a folder is needed."""
    (tmp_path / "demo").write_text("")

    done = wps_run("init", "demo")

    assert done.returncode == 2
    assert "demo" in done.stderr


@pytest.mark.skipif(GIT is None, reason="pre-commit needs git")
def test_the_entry_works_in_the_real_pre_commit(
    wps_run: Script, script: Path, tmp_path: Path
) -> None:
    """With the wps-run that is installed, offline."""
    assert GIT is not None
    wps_run("init")
    (tmp_path / "playbooks" / "bad.yaml").write_text("actions: [{actionName: sendToAl}]\n")
    subprocess.run([GIT, "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run([GIT, "add", "--all"], cwd=tmp_path, check=True)

    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files", "--color", "never"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PRE_COMMIT_HOME": str(tmp_path / ".cache"),
            "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "playbooks/bad.yaml:1:24: `sendToAl` is not an action" in done.stdout
    assert "2 files checked, 1 problem" in done.stdout
