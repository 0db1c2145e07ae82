"""Rows from files: named in errors and results, and streamed."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

PLAYBOOK = """\
hub: chat
actions:
  - {actionName: closeAllConnections}
  - forEach: {file: members.csv}
    actionName: addUserToGroup
    userId: ${each.userId}
    group: launch-${each.team}
"""


def test_invalid_row_is_named_and_nothing_is_sent(wps_run: Script, tmp_path: Path) -> None:
    """The whole file is checked before the first request."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    rows = [f"user-{number},red\n" for number in range(1300)]
    rows[1205] = ",red\n"
    (tmp_path / "members.csv").write_text("userId,team\n" + "".join(rows))

    process = wps_run("--local", "p.yaml")

    assert process.returncode == 2
    assert process.stdout == ""
    expected = "members.csv:1207: error: userId is empty (column userId); used in p.yaml:6:13\n"
    assert expected in process.stderr
    assert wps_run("validate", "p.yaml").returncode == 1


def test_result_names_its_row(wps_run: Script, tmp_path: Path) -> None:
    """`source` is the row's line, `item` its number."""
    (tmp_path / "p.yaml").write_text(
        PLAYBOOK.replace("  - {actionName: closeAllConnections}\n", "")
    )
    (tmp_path / "members.csv").write_bytes(
        b"\xef\xbb\xbfuserId,team\r\nada,red\r\n\r\n,\r\nbob,blue\r\n,\r\n"
    )

    process = wps_run("--local", "p.yaml", "--output", "json")

    results = json.loads(process.stdout)["results"]
    assert [(result["source"], result["item"], result["action"]) for result in results] == [
        ("members.csv:2", 0, 0),
        ("members.csv:5", 1, 0),
    ]


def test_files_of_a_playbook_from_stdin_are_in_the_working_folder(
    wps_run: Script, tmp_path: Path
) -> None:
    (tmp_path / "members.csv").write_text("userId,team\nada,red\n")

    assert wps_run("validate", "-", stdin=PLAYBOOK).returncode == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_refused_at_once(wps_run: Script, tmp_path: Path) -> None:
    """A command that opened it would never end, as nothing writes to it."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    os.mkfifo(tmp_path / "members.csv")

    process = wps_run("plan", "p.yaml")

    assert process.returncode == 2
    assert "p.yaml:4:21: error: `members.csv` is a pipe: it can be read only once" in process.stderr
