"""Shards of a plan: each carries out its own, and their journals make one run again."""

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
    """A folder with a playbook of joins."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    (tmp_path / "m.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(ROWS)))
    return tmp_path


def run(wps_run: Script, number: int, count: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Rehearse a shard, with a journal named after it."""
    shard = f"{number}/{count}"
    journal = f"{number}.journal"
    return wps_run("--local", "--shard", shard, "--journal", journal, *words, "p.yaml")


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What it printed as ndjson."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    """A result without what differs from run to run."""
    timed = {"durationMs", "requestId", "startedMs", "waitedFor"}
    return {name: value for name, value in record.items() if name not in timed}


def test_merged_shards_tell_what_one_run_tells(wps_run: Script, folder: Path) -> None:
    """The same results, in the order of the playbook; each action once. One alone says so."""
    del folder
    whole = records(wps_run("--local", "p.yaml", "--output", "ndjson"))
    shares = [run(wps_run, number, 2) for number in (1, 2)]

    merged = wps_run("report", "2.journal", "1.journal", "--output", "ndjson")
    alone = wps_run("report", "1.journal", "--output", "json")

    told = [one for one in records(merged) if one["type"] == "result"]
    expected = [one for one in whole if one["type"] == "result"]
    expected.sort(key=lambda one: int(one["index"]))
    assert [one.returncode for one in shares] == [0, 0]
    assert list(map(without_times, told)) == list(map(without_times, expected))
    summary = records(merged)[-1]
    assert (summary["total"], summary["ok"], summary["exitCode"]) == (ROWS, ROWS, 0)
    assert "shard 1/2" in shares[0].stdout.splitlines()[0]
    assert "only shard 1/2" in alone.stderr
    share = json.loads(alone.stdout)["summary"]
    assert share["shard"] == "1/2"
    assert 0 < share["total"] < ROWS


def test_the_plan_of_a_shard_shows_its_steps_with_the_numbers_of_the_whole(
    wps_run: Script, folder: Path
) -> None:
    """By the hash of the target."""
    del folder
    done = wps_run("plan", "--format", "ndjson", "p.yaml", WPS_RUN_SHARD="2/3")

    expected = [n for n in range(ROWS) if shard_number({"userId": f"u{n}", "group": "red"}, 3) == 2]
    assert [one["index"] for one in records(done)] == expected


def test_an_empty_shard_is_a_success(wps_run: Script, folder: Path) -> None:
    """It says so, and leaves a journal that the report wants."""
    owners = {shard_number({"userId": f"u{n}", "group": "red"}, 40) for n in range(ROWS)}
    empty = min(set(range(1, 41)) - owners)

    done = run(wps_run, empty, 40, "--output", "json")

    assert done.returncode == 0
    assert json.loads(done.stdout)["summary"]["total"] == 0
    assert f"shard {empty}/40 is empty (the plan has {ROWS} actions)" in done.stderr
    assert (folder / f"{empty}.journal").exists()


def test_shards_with_other_variables_are_not_merged_and_tell_no_value(
    wps_run: Script, folder: Path
) -> None:
    """Exit code 2, and nothing is reported; the journals hold keyed digests alone."""
    run(wps_run, 1, 2, "--var", "team=hush-hush-7")
    run(wps_run, 2, 2, "--var", "team=other")

    done = wps_run("report", "1.journal", "2.journal")

    header, other = ((folder / f"{n}.journal").read_text().splitlines()[0] for n in (1, 2))
    assert (done.returncode, done.stdout) == (2, "")
    assert "this differs: the variable team of the playbook p.yaml" in done.stderr
    assert "hush" not in header
    assert json.loads(header)["salt"] == json.loads(other)["salt"]


def test_a_resumed_shard_knows_itself(wps_run: Script, folder: Path) -> None:
    """From its journal; another one is refused, by option or variable."""
    run(wps_run, 2, 3)
    journal = folder / "2.journal"
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    words = ("--local", "--journal", "2.journal", "--resume-if-exists", "p.yaml")

    wrong = wps_run(*words, "--shard", "1/3")
    wrong_too = wps_run(*words, WPS_RUN_SHARDS="3", JOB_COMPLETION_INDEX="2")
    right = wps_run(*words, "--output", "json")

    assert (wrong.returncode, wrong_too.returncode) == (2, 2)
    assert "of shard 2/3, not of shard 1/3" in wrong.stderr
    summary = json.loads(right.stdout)["summary"]
    assert (summary["shard"], summary["ok"]) == ("2/3", summary["total"])
    assert 0 < summary["total"] < ROWS


def test_a_plan_with_an_order_is_refused_before_anything_is_sent(
    wps_run: Script, folder: Path
) -> None:
    """No setting is looked for, no journal begun."""
    (folder / "p.yaml").write_text(
        PLAYBOOK + "  - {actionName: sendToGroup, group: red, data: hello}\n"
    )

    done = wps_run("--shard", "1/2", "--journal", "x.journal", "p.yaml")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("p.yaml:6:18: `sendToGroup group=red` does not commute with ")
    assert "`addUserToGroup userId=u0 group=red` from m.csv:2" in done.stderr
    column = PLAYBOOK.splitlines()[4].index("addUserToGroup") + 1
    assert f"at p.yaml:5:{column}:" in done.stderr
    assert not (folder / "x.journal").exists()
