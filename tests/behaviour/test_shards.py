"""Each shard of a plan runs its own actions, and their journals merge to one report."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wps_run.playbook.shards import shard_number

Script = Callable[..., subprocess.CompletedProcess[str]]

PLAYBOOK = """\
hub: chat
mode: concurrent
vars: {team: red}
actions:
  - {forEach: {file: m.csv}, actionName: addUserToGroup, userId: 'u${each.n}', group: '${team}'}
"""
ROWS = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a playbook that adds users to a group."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    (tmp_path / "m.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(ROWS)))
    return tmp_path


def run(wps_run: Script, number: int, count: int, *args: str) -> subprocess.CompletedProcess[str]:
    """Rehearse a shard, with a journal that is named after it."""
    shard = f"{number}/{count}"
    journal = f"{number}.journal"
    return wps_run("--local", "--shard", shard, "--journal", journal, *args, "p.yaml")


def records(process: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the records of the ndjson output."""
    return [json.loads(line) for line in process.stdout.splitlines()]


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    """Return a result without the fields that differ from run to run."""
    timed = {"durationMs", "requestId", "startedMs", "waitedFor"}
    return {name: value for name, value in record.items() if name not in timed}


def test_merged_shards_report_what_one_run_reports(wps_run: Script, folder: Path) -> None:
    """Each action once, in plan order. The report of one shard says so."""
    del folder
    unsharded = records(wps_run("--local", "p.yaml", "--output", "ndjson"))
    shards = [run(wps_run, number, 2) for number in (1, 2)]

    merged = wps_run("report", "2.journal", "1.journal", "--output", "ndjson")
    alone = wps_run("report", "1.journal", "--output", "json")

    reported = [result for result in records(merged) if result["type"] == "result"]
    expected = [result for result in unsharded if result["type"] == "result"]
    expected.sort(key=lambda result: int(result["index"]))
    assert [process.returncode for process in shards] == [0, 0]
    assert list(map(without_times, reported)) == list(map(without_times, expected))
    summary = records(merged)[-1]
    assert (summary["total"], summary["ok"], summary["exitCode"]) == (ROWS, ROWS, 0)
    assert "shard 1/2" in shards[0].stdout.splitlines()[0]
    assert "only shard 1/2" in alone.stderr
    summary_of_shard = json.loads(alone.stdout)["summary"]
    assert summary_of_shard["shard"] == "1/2"
    assert 0 < summary_of_shard["total"] < ROWS


def test_plan_of_a_shard_has_the_indices_of_the_whole_plan(wps_run: Script, folder: Path) -> None:
    del folder
    process = wps_run("plan", "--format", "ndjson", "p.yaml", WPS_RUN_SHARD="2/3")

    expected = [n for n in range(ROWS) if shard_number({"userId": f"u{n}", "group": "red"}, 3) == 2]
    assert [step["index"] for step in records(process)] == expected


def test_empty_shard_succeeds(wps_run: Script, folder: Path) -> None:
    """It prints a note, and writes a journal for the report."""
    owners = {shard_number({"userId": f"u{n}", "group": "red"}, 40) for n in range(ROWS)}
    empty = min(set(range(1, 41)) - owners)

    process = run(wps_run, empty, 40, "--output", "json")

    assert process.returncode == 0
    assert json.loads(process.stdout)["summary"]["total"] == 0
    assert f"shard {empty}/40 is empty (the plan has {ROWS} actions)" in process.stderr
    assert (folder / f"{empty}.journal").exists()


def test_shards_with_different_variables_are_not_merged(wps_run: Script, folder: Path) -> None:
    """Journals hold only keyed digests of the values."""
    run(wps_run, 1, 2, "--var", "team=hush-hush-7")
    run(wps_run, 2, 2, "--var", "team=other")

    process = wps_run("report", "1.journal", "2.journal")

    header, other = ((folder / f"{n}.journal").read_text().splitlines()[0] for n in (1, 2))
    assert (process.returncode, process.stdout) == (2, "")
    assert "this differs: the variable team of the playbook p.yaml" in process.stderr
    assert "hush" not in header
    assert json.loads(header)["salt"] == json.loads(other)["salt"]


def test_resumed_shard_takes_its_number_from_the_journal(wps_run: Script, folder: Path) -> None:
    """Another one is refused, by option or variable."""
    run(wps_run, 2, 3)
    journal = folder / "2.journal"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    args = ("--local", "--journal", "2.journal", "--resume-if-exists", "p.yaml")

    by_option = wps_run(*args, "--shard", "1/3")
    by_variables = wps_run(*args, WPS_RUN_SHARDS="3", JOB_COMPLETION_INDEX="2")
    same_shard = wps_run(*args, "--output", "json")

    assert (by_option.returncode, by_variables.returncode) == (2, 2)
    assert "of shard 2/3, not of shard 1/3" in by_option.stderr
    summary = json.loads(same_shard.stdout)["summary"]
    assert (summary["shard"], summary["ok"]) == ("2/3", summary["total"])
    assert 0 < summary["total"] < ROWS


def test_plan_with_conflicting_actions_is_refused(wps_run: Script, folder: Path) -> None:
    """Before a setting is read or a journal is created."""
    (folder / "p.yaml").write_text(
        PLAYBOOK + "  - {actionName: sendToGroup, group: red, data: hello}\n"
    )

    process = wps_run("--shard", "1/2", "--journal", "x.journal", "p.yaml")

    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith(
        "p.yaml:6:18: error: `sendToGroup group=red` does not commute with "
    )
    shard = shard_number({"group": "red"}, 2)
    other = next(
        n for n in range(ROWS) if shard_number({"userId": f"u{n}", "group": "red"}, 2) != shard
    )
    assert f"`addUserToGroup userId=u{other} group=red` from m.csv:{other + 2}" in process.stderr
    column = PLAYBOOK.splitlines()[4].index("addUserToGroup") + 1
    assert f"at p.yaml:5:{column}:" in process.stderr
    assert not (folder / "x.journal").exists()
