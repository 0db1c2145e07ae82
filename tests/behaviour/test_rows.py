"""Rows from files, as a user meets them: named when bad, streamed when many."""

import json
import os
import subprocess
import sys
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


def test_a_bad_row_is_named_and_nothing_is_sent(wps_run: Script, tmp_path: Path) -> None:
    """The whole source is checked before the first request goes out."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    rows = [f"user-{number},red\n" for number in range(1300)]
    rows[1205] = ",red\n"
    (tmp_path / "members.csv").write_text("userId,team\n" + "".join(rows))

    done = wps_run("--local", "p.yaml")

    assert done.returncode == 2
    assert done.stdout == ""
    assert "members.csv:1207: userId is empty\n" in done.stderr
    assert wps_run("validate", "p.yaml").returncode == 1


def test_a_result_names_its_row(wps_run: Script, tmp_path: Path) -> None:
    """`source` is the row's line and `item` its number."""
    (tmp_path / "p.yaml").write_text(
        PLAYBOOK.replace("  - {actionName: closeAllConnections}\n", "")
    )
    (tmp_path / "members.csv").write_bytes(
        b"\xef\xbb\xbfuserId,team\r\nada,red\r\n\r\nbob,blue\r\n"
    )

    done = wps_run("--local", "p.yaml", "--output", "json")

    results = json.loads(done.stdout)["results"]
    assert [(one["source"], one["item"], one["action"]) for one in results] == [
        ("members.csv:2", 0, 0),
        ("members.csv:4", 1, 0),
    ]


def test_a_playbook_from_standard_input_has_its_files_in_the_working_folder(
    wps_run: Script, tmp_path: Path
) -> None:
    """There is no other folder that could be meant."""
    (tmp_path / "members.csv").write_text("userId,team\nada,red\n")

    assert wps_run("validate", "-", stdin=PLAYBOOK).returncode == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(wps_run: Script, tmp_path: Path) -> None:
    """Nobody writes into it, so a command that opened it would never end."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    os.mkfifo(tmp_path / "members.csv")

    done = wps_run("plan", "p.yaml")

    assert done.returncode == 2
    assert "p.yaml:4:21: `members.csv` can be read only once" in done.stderr


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="memory is measured on POSIX systems")
def test_the_benchmark_of_streams_prints_its_table(project: Path) -> None:
    """Few rows here; the measure itself takes a million."""
    done = subprocess.run(
        [sys.executable, project / "benchmarks" / "stream.py", "--rows", "2000"],
        capture_output=True, text=True, check=True, timeout=50,
    )  # fmt: skip

    head, *measured = done.stdout.splitlines()
    assert head.split() == ["command", "rows", "seconds", "us", "per", "row", "peak", "MiB"]
    assert [line.split()[0] for line in measured] == ["plan", "run"]
    assert all(" 2000 " in line for line in measured)
