"""An action, a run option and a report format are one row each; all else is derived from it.

A copy of the package gets one more row in each table, and is run as users run it.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RunInTree = Callable[..., subprocess.CompletedProcess[str]]

ROWS = {
    "actions/table.py": (
        "_ROWS = (\n",
        """    Action(
        name="freezeGroup",
        summary="Let nobody join a group.",
        method="POST",
        path="/api/hubs/{hub}/groups/{group}/:freeze",
        fields=(GROUP, REASON),
        success=(204,),
        overlap=Overlap(Phase.USE, OverlapKind.GRANT),
        repeat=Repeat.IDEMPOTENT,
        origin=Origin.REST,
        operation="WebPubSub_FreezeGroup",
    ),
""",
    ),
    "playbook/options.py": (
        '    """How a playbook is run. Durations are in seconds."""\n\n',
        """    warmth: int = _option(
        "warmth",
        "Set the number of connections that are opened early.",
        _integer(0, 99),
        default=7,
        parse=int,
        flag="--warmth",
    )
""",
    ),
    "report/formats.py": (
        "FORMATS = (\n",
        """    ReportFormat(
        "lines",
        "the records for a friend",
        suffix=".lines",
        reporter="records:NdjsonReporter",
    ),
""",
    ),
}
"""Module to the text after which its new row stands, and the row."""

PLAYBOOK = """\
hub: chat
warmth: 3
actions:
  - {actionName: freezeGroup, group: red, reason: late}
"""


@pytest.fixture
def run_in_tree(project: Path, tmp_path: Path) -> RunInTree:
    """Runs Python with a copy of the package that has the new rows."""
    source = tmp_path / "runner"
    shutil.copytree(project / "runner", source, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(project / "docs", tmp_path / "docs")
    shutil.copy(project / "zensical.toml", tmp_path)
    for module, (anchor, row) in ROWS.items():
        path = source / "wps_run" / module
        text = path.read_text("utf-8")
        assert text.count(anchor) == 1, module
        path.write_text(text.replace(anchor, anchor + row), "utf-8")
    (tmp_path / "playbook.yaml").write_text(PLAYBOOK)

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(source), "XDG_STATE_HOME": str(tmp_path / "s")},
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    return run


def test_schemas_have_the_action_and_the_option(run_in_tree: RunInTree) -> None:
    """And `validate` applies their rules."""
    schema = run_in_tree("-m", "wps_run", "schema").stdout
    validation = run_in_tree("-m", "wps_run", "validate", "playbook.yaml")

    assert "freezeGroup" in schema
    assert json.loads(schema)["properties"]["warmth"]["maximum"] == 99
    assert (validation.returncode, validation.stderr) == (0, ""), (
        validation.stdout + validation.stderr
    )


def test_invalid_value_of_the_new_option_is_refused(run_in_tree: RunInTree, tmp_path: Path) -> None:
    """In a playbook and on the command line."""
    (tmp_path / "bad.yaml").write_text(PLAYBOOK.replace("warmth: 3", "warmth: 300"))

    in_playbook = run_in_tree("-m", "wps_run", "validate", "bad.yaml")
    on_command_line = run_in_tree("-m", "wps_run", "--local", "--warmth", "300", "playbook.yaml")

    assert (in_playbook.returncode, on_command_line.returncode) == (1, 2)
    assert "warmth" in in_playbook.stdout
    assert "--warmth" in on_command_line.stderr


def test_plan_has_the_request_of_the_action(run_in_tree: RunInTree) -> None:
    plan = run_in_tree("-m", "wps_run", "plan", "playbook.yaml")

    assert "/api/hubs/chat/groups/red/:freeze" in plan.stdout, plan.stderr


def test_help_and_pages_have_all_three(run_in_tree: RunInTree, tmp_path: Path) -> None:
    """Flag, format and suffix with their help texts."""
    process = run_in_tree("docs/generate.py")
    help_text = run_in_tree("-m", "wps_run", "run", "--help").stdout
    action = run_in_tree("-m", "wps_run", "actions", "freezeGroup").stdout

    assert process.returncode == 0, process.stderr
    reference = tmp_path / "docs" / "reference"
    command_line = (reference / "cli.md").read_text("utf-8")
    for text in (" ".join(help_text.split()), " ".join(command_line.split())):
        assert "--warmth" in text
        assert "Set the number of connections that are opened early." in text
        assert "[lines|" in text
        assert "lines: the records for a friend" in text
        assert ".lines" in text
    assert "- actionName: freezeGroup" in action
    assert "freezeGroup" in (reference / "actions.md").read_text("utf-8")
    assert "| `warmth` | Set the number" in (reference / "playbooks.md").read_text("utf-8")
    assert "the records for a friend" in (reference / "reports.md").read_text("utf-8")


def test_run_accepts_the_option_and_writes_the_format(
    run_in_tree: RunInTree, tmp_path: Path
) -> None:
    """With `--output` and `--report`. The emulator does not know the action: 404."""
    process = run_in_tree(
        *("-m", "wps_run", "--local", "--warmth", "4", "--output", "lines"),
        *("--report", "run.lines", "playbook.yaml"),
    )

    result, *_ = [json.loads(line) for line in process.stdout.splitlines()]
    assert (result["actionName"], result["httpStatus"]) == ("freezeGroup", 404), process.stderr
    assert (tmp_path / "run.lines").read_text("utf-8") == process.stdout
