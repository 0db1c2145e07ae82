"""The hook works in pre-commit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GIT = shutil.which("git")
BAD = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada}\n"


def git(folder: Path, *args: str) -> str:
    """Run git in a folder, with an author."""
    assert GIT is not None
    command = [GIT, "-c", "user.name=t", "-c", "user.email=t@example.invalid", *args]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.skipif(GIT is None, reason="pre-commit needs git")
def test_hook_checks_the_playbooks_of_a_repository(
    project: Path, tmp_path: Path, script: Path
) -> None:
    """It ignores other files, and takes no file for an option.

    pre-commit would install the project with pip, which the gate does too; here it is installed.
    """
    hooks = (project / ".pre-commit-hooks.yaml").read_text()
    assert hooks.count("  language: python\n") == hooks.count("- id: ") == 1
    tool, user = tmp_path / "tool", tmp_path / "user"
    tool.mkdir()
    shutil.copy(project / ".pre-commit-hooks.yaml", tool)
    git(tool, "init", "--quiet")
    git(tool, "add", "--all")
    git(tool, "commit", "--quiet", "--message", "The tool.")
    (user / "playbooks").mkdir(parents=True)
    git(user, "init", "--quiet")
    (user / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: {tool}\n    rev: {git(tool, 'rev-parse', 'HEAD')}\n"
        "    hooks:\n      - id: wps-run-validate\n        language: system\n"
    )
    (user / "playbooks" / "good.yaml").write_text(BAD.replace("ada}", "ada, group: red}"))
    (user / "other.yaml").write_text("not: a playbook\n")
    (user / "bad.wps.yaml").write_text(BAD)
    (user / "--help.wps.yaml").write_text(BAD)
    git(user, "add", "--all")

    variables = {
        "PRE_COMMIT_HOME": str(tmp_path / "cache"),
        "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
    }
    process = subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--all-files", "--color", "never"],
        cwd=user,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 1, process.stdout + process.stderr
    assert "bad.wps.yaml:3:5: error: `addUserToGroup` needs `group`" in process.stdout
    assert "--help.wps.yaml:3:5: error: `addUserToGroup` needs `group`" in process.stdout
    assert "other.yaml" not in process.stdout
    (user / "bad.wps.yaml").unlink()
    (user / "--help.wps.yaml").unlink()
    git(user, "add", "--all")
    assert (
        subprocess.run(
            [sys.executable, "-m", "pre_commit", "run", "--all-files"],
            cwd=user,
            env={**os.environ, **variables},
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )
