"""A run is recorded in a journal: it can be reported again and resumed."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

Script = Callable[..., subprocess.CompletedProcess[str]]

PLAYBOOK = """\
hub: chat
vars: {text: hello}
actions:
  - {actionName: sendToAll, data: '${text}'}
  - {forEach: {file: members.csv}, actionName: addUserToGroup, userId: '${each.userId}', group: red}
  - {actionName: sendToAll, data: bye}
"""


@pytest.fixture
def emulator(script: Path) -> Iterator[str]:
    """The connection string of an emulator in a process of its own."""
    with subprocess.Popen(
        [script, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def run(wps_run: Script, emulator: str, tmp_path: Path) -> Script:
    """Runs the playbook, whose second action fails, against the emulator."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    (tmp_path / "members.csv").write_text("userId\nada\nbob\n")

    def call(*args: str | Path) -> subprocess.CompletedProcess[str]:
        return wps_run(*args, "p.yaml", "--output", "json", WebPubSubConnectionString=emulator)

    return call


def statuses(process: subprocess.CompletedProcess[str]) -> list[str]:
    return [result["status"] for result in json.loads(process.stdout)["results"]]


def test_run_is_listed_and_reported_again(run: Script, wps_run: Script, tmp_path: Path) -> None:
    process = run()

    assert statuses(process) == ["ok", "failed", "skipped", "skipped"]
    (journal,) = (tmp_path / "state" / "wps-run" / "runs").iterdir()
    assert f"wps-run --resume {journal} p.yaml" in process.stderr
    report = wps_run("report", "--output", "json")
    assert (report.stdout, report.returncode) == (process.stdout, process.returncode)
    list_of_runs = wps_run("runs").stdout
    assert "exit 1: 1 ok, 1 failed, 0 unknown, 2 skipped" in list_of_runs
    assert f"resume: wps-run --resume {journal} p.yaml" in list_of_runs


def test_runs_are_listed_for_programs(run: Script, wps_run: Script, tmp_path: Path) -> None:
    """The newest first, with totals and the command that resumes; -n limits their number."""
    run()
    wps_run("--local", "p.yaml", "--journal", "j")
    folder = tmp_path / "state" / "wps-run" / "runs"
    (journal,) = folder.iterdir()
    (folder / "00000000-000000-a.journal").write_text("no journal\n")

    listed, damaged = json.loads(wps_run("runs", "--output", "json").stdout)

    summary = listed.pop("summary")
    assert [summary[key] for key in ("total", "ok", "failed", "skipped", "exitCode")] == [
        4,
        1,
        1,
        2,
        1,
    ]
    assert listed.pop("started") <= datetime.now(UTC).isoformat()
    assert listed.pop("endpoints")[0].startswith("127.0.0.1:")
    assert listed == {
        "journal": str(journal),
        "state": "finished",
        "playbooks": ["p.yaml"],
        "environment": None,
        "destination": "SERVICE",
        "hubs": ["chat"],
        "resume": f"wps-run --resume {journal} p.yaml",
        "notes": [],
    }
    assert damaged["state"] == "unreadable"
    assert wps_run("runs", "-n", "1").stdout.count("\n") == 4
    assert wps_run("runs", "-n", "0").returncode == 2


def test_resumed_run_does_the_rest_and_nothing_twice(
    run: Script, wps_run: Script, tmp_path: Path
) -> None:
    """With `--failed` only failed actions run again; `--on-error` is kept until then."""
    run("--journal", "j")

    rest = run("--resume", "j", "--on-error", "continue")
    failed = run("--resume", "j", "--failed")

    assert statuses(rest) == ["ok", "failed", "failed", "ok"]
    assert statuses(failed) == ["ok", "failed", "failed", "ok"]
    assert rest.stderr == ""
    records = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    sent = [record["index"] for record in records if record["type"] == "sending"]
    assert sent == [0, 1, 1, 2, 3, 1, 2]
    assert wps_run("report", "j").returncode == 1


@pytest.mark.parametrize(
    ("file", "text", "changed"),
    [
        ("p.yaml", PLAYBOOK + "x-note: 1\n", "the playbook p.yaml"),
        ("members.csv", "userId\nada\n", "the file members.csv"),
    ],
)
def test_resume_of_a_changed_run_is_refused(
    run: Script, tmp_path: Path, file: str, text: str, changed: str
) -> None:
    """The message names the change; nothing is sent."""
    run("--journal", "j")
    before = (tmp_path / "j").read_bytes()
    (tmp_path / file).write_text(text)

    process = run("--resume", "j")

    assert (process.returncode, process.stdout) == (2, "")
    assert changed in process.stderr
    assert (tmp_path / "j").read_bytes() == before


@pytest.mark.parametrize("playbook", ["./p.yaml", "{}/p.yaml", "../{}/p.yaml"])
def test_playbook_may_be_given_by_another_path(
    run: Script, wps_run: Script, emulator: str, tmp_path: Path, playbook: str
) -> None:
    run("--journal", "j")
    name = playbook.format(tmp_path if playbook.startswith("{") else tmp_path.name)

    process = wps_run("--resume", "j", name, "--output", "json", WebPubSubConnectionString=emulator)

    assert statuses(process) == ["ok", "failed", "skipped", "skipped"]


def test_run_is_resumed_from_another_folder(
    run: Script, script: Path, emulator: str, tmp_path: Path
) -> None:
    run("--journal", "j")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    process = subprocess.run(
        [script, "--resume", "../j", "--on-error", "continue", "--output", "json"],
        cwd=elsewhere,
        env={**os.environ, "WebPubSubConnectionString": emulator},
        capture_output=True,
        text=True,
        check=False,
    )

    assert statuses(process) == ["ok", "failed", "failed", "ok"], process.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--var", "text=other"], "the variable text"),
        (["--hub", "other"], "the hub"),
        (["--journal", "k"], "leave out --journal"),
        (["--no-journal"], "leave out --journal"),
    ],
)
def test_option_that_conflicts_with_the_journal_is_refused(
    run: Script, args: list[str], message: str
) -> None:
    run("--journal", "j")

    process = run("--resume", "j", *args)

    assert process.returncode == 2
    assert message in process.stderr


def test_named_journal_must_be_writable_and_a_default_one_need_not(
    run: Script, wps_run: Script, emulator: str, tmp_path: Path
) -> None:
    assert run("--journal", "no/such/folder/j").returncode == 2
    assert run("--resume", "none").returncode == 2
    assert run("--failed").returncode == 2
    (tmp_path / "p.yaml").write_text("hub: chat\nactions: [{actionName: sendToAll, data: x}]\n")
    (tmp_path / "file").write_text("")

    process = wps_run(
        "p.yaml", WebPubSubConnectionString=emulator, XDG_STATE_HOME=str(tmp_path / "file")
    )

    assert process.returncode == 0
    assert "this run has no journal" in process.stderr


def test_journal_has_no_payload_and_no_secret(run: Script, emulator: str, tmp_path: Path) -> None:
    """Nor the value of a variable."""
    run("--journal", "j", "--var", "text=geheim")

    text = (tmp_path / "j").read_text()

    assert "geheim" not in text
    assert emulator.partition("AccessKey=")[2].partition(";")[0] not in text


def test_without_runs_there_is_nothing_to_list_or_report(wps_run: Script) -> None:
    assert wps_run("runs").stdout.startswith("no runs yet")
    assert wps_run("runs", "--output", "json").stdout == "[]\n"
    assert wps_run("report").returncode == 2


def test_rows_that_change_during_a_run_end_it_with_a_complete_report(
    wps_run: Script, tmp_path: Path
) -> None:
    """Exit code 1, as something was sent; steps that cannot be made are skipped."""
    members = tmp_path / "members.csv"
    members.write_text("userId\n" + "".join(f"user{number}\n" for number in range(3000)))
    (tmp_path / "p.yaml").write_text(PLAYBOOK)

    async def answer(request: web.Request) -> web.Response:
        with members.open("a") as file:
            file.write('""\n')
        return web.Response(status=200 if request.method == "PUT" else 202)

    async def run() -> subprocess.CompletedProcess[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        async with TestServer(app) as server:
            return await asyncio.to_thread(
                wps_run,
                "p.yaml",
                "--output",
                "ndjson",
                WebPubSubConnectionString=f"Endpoint=http://127.0.0.1:{server.port};AccessKey=k;",
            )

    process = asyncio.run(run())

    summary = json.loads(process.stdout.splitlines()[-1])
    assert (process.returncode, summary["exitCode"], summary["total"]) == (1, 1, 3002)
    assert summary["ok"] > 0
    assert "members.csv" in process.stderr


def test_resumed_rehearsal_warns_of_missing_effects(wps_run: Script, tmp_path: Path) -> None:
    """Its emulator is new and lacks the effects of the earlier parts."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    (tmp_path / "members.csv").write_text("userId\nada\n")
    args = ("--local", "--journal", "j", "--resume-if-exists", "p.yaml")

    first = wps_run(*args)
    second = wps_run(*args)

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stderr == ""
    assert "resumes in a new emulator, which has none of the effects of its earlier parts" in (
        second.stderr
    )
