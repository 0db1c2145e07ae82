"""A run is kept in a journal: it can be told again, and gone on with."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
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
def service(script: Path) -> Iterator[str]:
    """The connection string of an embedded service in a process of its own."""
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
def run(wps_run: Script, service: str, tmp_path: Path) -> Script:
    """Runs the playbook, whose second row fails, against the service."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    (tmp_path / "members.csv").write_text("userId\nada\nbob\n")

    def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return wps_run(*words, "p.yaml", "--output", "json", WebPubSubConnectionString=service)

    return call


def statuses(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [one["status"] for one in json.loads(done.stdout)["results"]]


def test_a_run_is_listed_and_told_again(run: Script, wps_run: Script, tmp_path: Path) -> None:
    """`runs` shows how it ended, `report` tells it as it was told."""
    done = run()

    assert statuses(done) == ["ok", "failed", "skipped", "skipped"]
    (journal,) = (tmp_path / "state" / "wps-run" / "runs").iterdir()
    assert f"wps-run --resume {journal} p.yaml" in done.stderr
    again = wps_run("report", "--output", "json")
    assert (again.stdout, again.returncode) == (done.stdout, done.returncode)
    listed = wps_run("runs").stdout
    assert "exit 1: 1 ok, 1 failed, 0 unknown, 2 skipped" in listed
    assert f"resume: wps-run --resume {journal} p.yaml" in listed


def test_a_resumed_run_does_the_rest_and_nothing_twice(
    run: Script, wps_run: Script, tmp_path: Path
) -> None:
    """What has a result keeps it; with `--failed` only what failed is done again."""
    run("--journal", "j")

    rest = run("--resume", "j", "--on-error", "continue")
    failed = run("--resume", "j", "--failed")

    assert statuses(rest) == ["ok", "failed", "failed", "ok"]
    assert statuses(failed) == ["ok", "failed", "failed", "ok"]
    assert rest.stderr == ""
    records = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    sent = [one["index"] for one in records if one["type"] == "sending"]
    assert sent == [0, 1, 2, 3, 1]
    assert wps_run("report", "j").returncode == 1


@pytest.mark.parametrize(
    ("file", "text", "changed"),
    [
        ("p.yaml", PLAYBOOK + "x-note: 1\n", "the playbook p.yaml"),
        ("members.csv", "userId\nada\n", "the file members.csv"),
    ],
)
def test_a_run_of_something_else_is_refused(
    run: Script, tmp_path: Path, file: str, text: str, changed: str
) -> None:
    """It says what changed, and sends nothing."""
    run("--journal", "j")
    before = (tmp_path / "j").read_bytes()
    (tmp_path / file).write_text(text)

    done = run("--resume", "j")

    assert (done.returncode, done.stdout) == (2, "")
    assert changed in done.stderr
    assert (tmp_path / "j").read_bytes() == before


@pytest.mark.parametrize("playbook", ["./p.yaml", "{}/p.yaml", "../{}/p.yaml"])
def test_a_playbook_may_be_named_in_another_way(
    run: Script, wps_run: Script, service: str, tmp_path: Path, playbook: str
) -> None:
    """It is the same run, however its file is reached."""
    run("--journal", "j")
    name = playbook.format(tmp_path if playbook.startswith("{") else tmp_path.name)

    done = wps_run("--resume", "j", name, "--output", "json", WebPubSubConnectionString=service)

    assert statuses(done) == ["ok", "failed", "failed", "skipped"]


def test_a_run_is_gone_on_with_from_another_folder(
    run: Script, script: Path, service: str, tmp_path: Path
) -> None:
    """The journal knows where its playbooks are."""
    run("--journal", "j")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    done = subprocess.run(
        [script, "--resume", "../j", "--on-error", "continue", "--output", "json"],
        cwd=elsewhere,
        env={**os.environ, "WebPubSubConnectionString": service},
        capture_output=True,
        text=True,
        check=False,
    )

    assert statuses(done) == ["ok", "failed", "failed", "ok"], done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--var", "text=other"], "the variable text"),
        (["--hub", "other"], "the hub"),
        (["--journal", "k"], "leave out --journal"),
        (["--no-journal"], "leave out --journal"),
    ],
)
def test_what_does_not_go_with_a_journal_is_refused(
    run: Script, words: list[str], complaint: str
) -> None:
    """Another variable, another hub, another journal."""
    run("--journal", "j")

    done = run("--resume", "j", *words)

    assert done.returncode == 2
    assert complaint in done.stderr


def test_a_named_journal_must_be_writable_and_a_default_one_need_not(
    run: Script, wps_run: Script, service: str, tmp_path: Path
) -> None:
    """Exit 2 and nothing sent, or a warning."""
    assert run("--journal", "no/such/folder/j").returncode == 2
    assert run("--resume", "none").returncode == 2
    assert run("--failed").returncode == 2
    (tmp_path / "p.yaml").write_text("hub: chat\nactions: [{actionName: sendToAll, data: x}]\n")
    (tmp_path / "file").write_text("")

    done = wps_run(
        "p.yaml", WebPubSubConnectionString=service, XDG_STATE_HOME=str(tmp_path / "file")
    )

    assert done.returncode == 0
    assert "this run has no journal" in done.stderr


def test_no_payload_and_no_secret_is_in_a_journal(
    run: Script, service: str, tmp_path: Path
) -> None:
    """Nor the value of a variable."""
    run("--journal", "j", "--var", "text=geheim")

    text = (tmp_path / "j").read_text()

    assert "geheim" not in text
    assert service.partition("AccessKey=")[2].partition(";")[0] not in text


def test_without_runs_there_is_nothing_to_list_or_tell(wps_run: Script) -> None:
    """It says where they will be."""
    assert wps_run("runs").stdout.startswith("no runs yet")
    assert wps_run("report").returncode == 2


def test_rows_that_change_during_a_run_end_it_with_a_whole_report(
    wps_run: Script, tmp_path: Path
) -> None:
    """Something was sent, so it is not exit 2; what could not be made counts as skipped."""
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

    done = asyncio.run(run())

    summary = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, summary["exitCode"], summary["total"]) == (1, 1, 3002)
    assert summary["ok"] > 0
    assert "members.csv" in done.stderr


def test_a_rehearsal_that_is_gone_on_with_says_what_it_does_not_know(
    wps_run: Script, tmp_path: Path
) -> None:
    """Its service is a new one; what would happen lacks what the earlier part did."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    (tmp_path / "members.csv").write_text("userId\nada\n")
    words = ("--local", "--journal", "j", "--resume-if-exists", "p.yaml")

    first = wps_run(*words)
    second = wps_run(*words)

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stderr == ""
    assert "resumes in a new emulator, which has none of the effects of its earlier parts" in (
        second.stderr
    )
