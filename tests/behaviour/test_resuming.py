"""A run is resumed with its options, retries what stopped it, and says how it can be resumed."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

PLAYBOOK = """\
vars: {text: hello}
actions:
  - {forEach: [a, b, c, d], actionName: sendToGroup, group: '${each}', data: '${text}'}
"""


class Service(ThreadingHTTPServer):
    """A service that accepts everything except messages to some groups.

    Attributes:
        refused: The groups whose messages get a 400.
        received: The group of each message, in order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refused: set[str] = set()
        self.received: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        del format, args

    def do_POST(self) -> None:
        assert isinstance(self.server, Service)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        group = self.path.partition("/groups/")[2].partition("/")[0]
        self.server.received.append(group)
        self.send_response(400 if group in self.server.refused else 202)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def service(serve: Callable[[HTTPServer], str]) -> Service:
    """A service on a free port."""
    server = Service()
    serve(server)
    return server


@pytest.fixture
def run(wps_run: Script, service: Service, tmp_path: Path) -> Script:
    """Runs in a folder with the playbook and a settings file for the service."""
    connection = f"Endpoint=http://127.0.0.1:{service.server_port};AccessKey=bG9vcGJhY2s=;"
    settings = {"Values": {"WebPubSubConnectionString": connection}}
    (tmp_path / "s.json").write_text(json.dumps(settings))
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    return wps_run


FIRST = ("--hub", "chat", "--settings", "s.json", "--journal", "j")


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_stopped_a_run_is_retried_first_and_may_stop_it_again(
    run: Script, service: Service
) -> None:
    """`--skip-failed` goes past it; the failure stays."""
    service.refused = {"b"}
    assert run("p.yaml", *FIRST).returncode == 1
    assert service.received == ["a", "b"]

    again = run("--resume", "j", "--output", "ndjson")

    assert service.received == ["a", "b", "b"]
    *results, summary = records(again.stdout)
    statuses = {result["index"]: result["status"] for result in results}
    assert statuses == {0: "ok", 1: "failed", 2: "skipped", 3: "skipped"}
    assert [result.get("earlier") for result in results] == [True, None, None, None]
    assert (summary["earlier"], summary["exitCode"], again.returncode) == (1, 1, 1)
    assert "to do the rest: wps-run --resume j p.yaml\n" in again.stderr

    past = run("--resume", "j", "--skip-failed")

    assert service.received == ["a", "b", "b", "c", "d"]
    assert past.returncode == 1
    assert "failed   400   earlier     sendToGroup group=b" in past.stdout
    assert past.stdout.endswith("(2 of 4 from an earlier part)\n")

    service.refused = set()
    complete = run("--resume", "j")

    assert service.received == ["a", "b", "b", "c", "d", "b"]
    assert (complete.returncode, complete.stderr) == (0, "")
    assert run("report", "j", "--output", "json").stdout.count('"earlier":true') == 3


def test_complete_run_lists_nothing(run: Script, service: Service, tmp_path: Path) -> None:
    """Records are complete all the same, and so are the reports."""
    run("p.yaml", *FIRST)
    service.received.clear()

    done = run("--resume", "j", "--report", "r.xml", "--report", "r.md", "--report", "r.html")
    listed = run("--resume", "j", "--output", "json")

    assert (done.returncode, done.stderr, service.received) == (0, "", [])
    header, *_, totals = done.stdout.splitlines()
    assert done.stdout.count("sendToGroup") == 0
    assert header.startswith("SERVICE ")
    assert totals.endswith("(4 of 4 done earlier, nothing sent)")
    results = json.loads(listed.stdout)["results"]
    assert [result["earlier"] for result in results] == [True] * 4
    assert (tmp_path / "r.xml").read_text().count('name="earlier" value="true"') == 4
    assert "4 results are of an earlier part of the run" in (tmp_path / "r.md").read_text()
    assert (tmp_path / "r.html").read_text().count("ok, earlier") == 4


def test_all_retried_actions_end_before_others_start(
    run: Script, service: Service, tmp_path: Path
) -> None:
    """Also in concurrent mode, where they could overlap; and nothing else is sent if they fail."""
    rows = [f"g{number}" for number in range(40)]
    (tmp_path / "p.yaml").write_text(PLAYBOOK.replace("[a, b, c, d]", json.dumps(rows)))
    service.refused = {"g1", "g2", "g3"}
    run("p.yaml", *FIRST, "--mode", "concurrent", "--concurrency", "4")
    failed = set(service.refused & set(service.received))
    sent = set(service.received)
    assert failed
    assert len(sent) < len(rows)
    service.received.clear()

    run("--resume", "j")
    stopped = list(service.received)
    service.refused, service.received = set(), []
    rest = run("--resume", "j")

    assert set(stopped) == failed
    assert rest.returncode == 0, rest.stdout
    assert set(service.received[: len(failed)]) == failed
    assert sorted(service.received[len(failed) :]) == sorted(set(rows) - sent)
    parts = [record for record in records((tmp_path / "j").read_text()) if "pace" in record]
    assert [part["pace"] for part in parts] == ["concurrent, at most 4 in flight"] * 3


def pasted(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line in a shell, in which `wps-run` is that of this environment."""
    bash = shutil.which("bash")
    assert bash
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if "webpubsub" not in name.lower()}
    return subprocess.run(
        [bash, "-c", command],
        cwd=folder,
        env={**clean, "PATH": path},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the shell of Windows is another one")
@pytest.mark.parametrize("source", ["end of the run", "runs"])
def test_printed_command_can_be_pasted(
    run: Script, service: Service, tmp_path: Path, source: str
) -> None:
    """Only the values of variables must be filled in; otherwise nothing is sent."""
    (tmp_path / "my books").mkdir()
    playbook = "my books/the 'first'.yaml"
    (tmp_path / playbook).write_text(PLAYBOOK.replace("${text}", "${text} ${greeting}"))
    (tmp_path / "v.yaml").write_text("greeting: Good morning\n")
    service.refused = {"b"}
    options = ("--rate", "200", "--timeout", "7s", "--var", "text=it's me", "--vars-file", "v.yaml")
    first = run(playbook, "--hub", "chat", "--settings", "s.json", *options)
    service.refused = set()
    (journal,) = (tmp_path / "state" / "wps-run" / "runs").iterdir()

    if source == "runs":
        listed = run("runs").stdout
        (line,) = [line for line in listed.splitlines() if "resume: " in line]
        command = line.partition("resume: ")[2]
    else:
        command = first.stderr.partition("to do the rest: ")[2].strip()
    refused = pasted(command, tmp_path)
    done = pasted(command.replace("text=…", shlex.quote("text=it's me")), tmp_path)

    assert "--var text=…" in command
    assert "the variable text" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert service.received == ["a", "b", "b", "c", "d"]
    header, *_, resumed = (
        record for record in records(journal.read_text()) if record["type"] in {"run", "resumed"}
    )
    assert resumed["options"] == header["options"]
    assert header["options"]["--rate"] == "200"
    assert "it's me" not in journal.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="the shell of Windows is another one")
def test_playbook_of_standard_input_must_be_given_again(
    run: Script, service: Service, tmp_path: Path
) -> None:
    """The printed command and a note say so."""
    service.refused = {"b"}
    first = run("-", *FIRST, stdin=PLAYBOOK)
    service.refused = set()
    note, last = first.stderr.splitlines()[-2:]

    done = pasted(
        last.partition("to do the rest: ")[2].replace("playbook.yaml", "p.yaml"), tmp_path
    )

    assert note == (
        "note: the playbook came from standard input: give it again, in place of playbook.yaml"
    )
    assert last == "hint: to do the rest: wps-run --resume j - < playbook.yaml"
    assert done.returncode == 0, done.stderr
    assert service.received == ["a", "b", "b", "c", "d"]


def test_run_resumes_with_its_options_from_another_folder(
    run: Script, service: Service, tmp_path: Path
) -> None:
    """The journal alone is enough; the setting for the hub may be gone or another one."""
    service.refused = {"b"}
    args = ("--settings", "s.json", "--journal", "j", "--mode", "concurrent", "--concurrency", "1")
    run("p.yaml", *args, WebPubSubHub="chat")
    service.refused = set()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    done = pasted("wps-run --resume ../j --output ndjson", elsewhere)

    assert done.returncode == 0, done.stderr
    assert service.received == ["a", "b", "b", "c", "d"]
    assert records(done.stdout)[-1]["hubs"] == ["chat"]


@pytest.mark.parametrize(
    "given", [("--var", "teams=[a, b]"), ("--vars-file", "v.yaml")], ids=["var", "file"]
)
def test_run_over_a_list_resumes_with_the_same_list(
    run: Script, service: Service, tmp_path: Path, given: tuple[str, str]
) -> None:
    """What was done is not done again, and another list is refused."""
    (tmp_path / "v.yaml").write_text("teams: [a, b]\n")
    (tmp_path / "p.yaml").write_text(
        "vars: {teams: {type: list}}\n"
        "actions: [{forEach: '${teams}', actionName: sendToGroup, group: '${each}', data: x}]\n"
    )
    service.refused = {"b"}
    run("p.yaml", *FIRST, *given)
    service.refused = set()

    other = run("--resume", "j", "p.yaml", "--var", "teams=[a, c]")
    done = run("--resume", "j", "p.yaml", *given)

    assert other.returncode == 2, other.stderr
    assert done.returncode == 0, done.stderr
    assert service.received == ["a", "b", "b"]
