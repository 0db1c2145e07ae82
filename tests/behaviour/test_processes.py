"""`--processes`: several processes, one run: one report, one exit code, journals side by side."""

import contextlib
import json
import os
import select
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from threading import Condition
from typing import Any, TextIO

import pytest
from tests.conftest import CommandServer, ForkedCommand

from wps_run.execution.summary import EXIT_FAILED, EXIT_UNKNOWN
from wps_run.journal.reader import RecordedStatus
from wps_run.journal.writer import read_journal
from wps_run.playbook.shards import shard_number

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

Run = Callable[..., tuple[int, str]]
OUTPUT = ("--output", "ndjson")

GROUPS = [f"g{number}" for number in range(24)]
SECOND = [name for name in GROUPS if shard_number({"group": name}, 2) == 2]
FIRST = [name for name in GROUPS if name not in SECOND]
SENDS = """\
hub: chat
mode: concurrent
concurrency: 3
actions:
  - {forEach: {file: groups.csv}, actionName: sendToGroup, group: '${each.name}', data: hello}
"""
FINALLY = """\
finally:
  - {actionName: sendToGroup, group: end, data: bye}
"""
END = len(GROUPS)
"""The index of the action in `finally`."""


class Service(ThreadingHTTPServer):
    """A service that accepts everything, some of it later.

    Attributes:
        failing: The groups whose messages get a 400.
        received: The group of each message, in order.
        open: The messages that wait for a response.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._held: frozenset[str] = frozenset()
        self.failing: frozenset[str] = frozenset()
        self.received: list[str] = []
        self.open = 0
        self._answered = 0
        self._changed = Condition()

    def receive(self, group: str) -> None:
        """Note a request, and wait until its group is not held."""
        with self._changed:
            self.received.append(group)
            self.open += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: group not in self._held, 20)
            self.open -= 1
            self._answered += 1
            self._changed.notify_all()

    def hold(self, groups: Iterable[str] = ()) -> None:
        """Answer from now on the messages to all groups but these."""
        with self._changed:
            self._held = frozenset(groups)
            self._changed.notify_all()

    def wait_until(self, *, is_open: int, answered: int) -> None:
        """Wait until so many requests are open, and so many were answered."""
        with self._changed:
            expected = (is_open, answered)
            assert self._changed.wait_for(lambda: (self.open, self._answered) == expected, 20)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        del format, args

    def do_POST(self) -> None:
        assert isinstance(self.server, Service)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        group = self.path.partition("/groups/")[2].partition("/")[0]
        self.server.receive(group)
        with contextlib.suppress(OSError):
            accepted = 200 if self.command == "PUT" else 202
            self.send_response(400 if group in self.server.failing else accepted)
            self.send_header("Content-Length", "0")
            self.end_headers()

    do_PUT = do_POST  # noqa: N815 -- the base's name


@pytest.fixture
def service(serve: Callable[[HTTPServer], str]) -> Iterator[Service]:
    """A service on a free port."""
    server = Service()
    serve(server)
    yield server
    server.hold()


class Folder:
    """A folder with a playbook of sends to groups, in which commands run."""

    def __init__(
        self, path: Path, environment: Mapping[str, str], server: CommandServer, script: Path
    ) -> None:
        self.path = path
        self._environment = environment
        self._server = server
        self._script = script
        (path / "groups.csv").write_text("\n".join(["name", *GROUPS, ""]))
        (path / "p.yaml").write_text(SENDS)

    def start(self, *args: str, **environment: str) -> ForkedCommand:
        """Start `wps-run`."""
        environment = {**self._environment, **environment}
        return self._server.start([self._script, *args], self.path, environment)

    def run(self, *args: str, **environment: str) -> tuple[int, list[dict[str, Any]], str]:
        """Run `wps-run` with records as its output; return exit code, records and stderr."""
        started = self.start(*args, *OUTPUT, **environment)
        records, err = end(started)
        return started.returncode or 0, records, err


@pytest.fixture
def folder(service: Service, tmp_path: Path, command_server: CommandServer, script: Path) -> Folder:
    """A folder whose commands use the service."""
    connection = f"Endpoint=http://127.0.0.1:{service.server_port};AccessKey=bG9vcGJhY2s=;"
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().startswith(("webpubsub", "wps_", "github_"))
    }
    state = str(tmp_path / "state")
    environment = {**clean, "WebPubSubConnectionString": connection, "XDG_STATE_HOME": state}
    return Folder(tmp_path, environment, command_server, script)


def processes_of(folder: Folder) -> dict[str, int]:
    """Return the process that writes each journal in a folder, by the journal's name."""
    found: dict[str, list[int]] = {}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            file = descriptor.readlink()
            if file.parent == folder.path and file.suffix == ".journal":
                found.setdefault(file.name, []).append(int(descriptor.parts[2]))
    return {name: numbers[0] for name, numbers in found.items() if len(numbers) == 1}


def statuses(records: list[dict[str, Any]]) -> Counter[tuple[str, str | None]]:
    """Count the results by status and code; no action has two."""
    results = [record for record in records if record["type"] == "result"]
    indexes = [result["index"] for result in results]
    assert len(indexes) == len(set(indexes))
    return Counter(
        (result["status"], result["error"] and result["error"]["code"]) for result in results
    )


def read_until(stream: TextIO, text: str) -> str:
    """Return what a command writes, up to the line with a text."""
    lines = []
    for line in iter(stream.readline, ""):
        lines.append(line)
        if text in line:
            break
    return "".join(lines)


def end(started: ForkedCommand) -> tuple[list[dict[str, Any]], str]:
    """Wait for the end of a command; return its records and its stderr."""
    out, err = started.communicate()
    return [json.loads(line) for line in out.splitlines()], err


def wait_for_end(processes: Iterable[int]) -> None:
    """Wait until processes that are no children of this one have ended."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process)
            assert select.select([descriptor], [], [], 20)[0], "it goes on"
            os.close(descriptor)


def test_processes_report_as_one_run(
    folder: Folder, service: Service, run_in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One output, one report, one entry in the list of runs; `finally` comes last."""
    (folder.path / "p.yaml").write_text(SENDS + FINALLY)

    code, records, err = folder.run("p.yaml", "--processes", "3", "--report", "r.json")

    assert (code, err) == (0, "")
    assert statuses(records) == {("ok", None): END + 1}
    assert (records[-1]["total"], records[-1]["exitCode"]) == (END + 1, 0)
    assert sorted(service.received[:-1]) == sorted(GROUPS)
    assert service.received[-1] == "end"
    report = json.loads((folder.path / "r.json").read_text())
    assert [result["index"] for result in report["results"]] == list(range(END + 1))
    assert report["summary"] == records[-1]
    journals = sorted((folder.path / "state").rglob("*.journal"))
    assert len(journals) == 4
    for journal in journals[:2]:
        code, again = run_in_process("report", str(journal), "--output", "json")
        assert (code, json.loads(again)) == (0, report)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder.path / "state"))
    _, text = run_in_process("report", str(journals[0]))
    assert "25 actions, 3 processes, each concurrent, at most 3 in flight" in text
    (listed,) = json.loads(run_in_process("runs", "--output", "json")[1])
    assert (listed["journal"], listed["state"]) == (str(journals[-1]), "finished")
    assert listed["summary"]["ok"] == END + 1


def test_killed_process_leaves_its_share_to_resume(
    folder: Folder, service: Service, run_in_process: Run
) -> None:
    """What it was sending is unknown, the rest skipped; the other process goes on."""
    service.hold(SECOND)
    started = folder.start("p.yaml", "--processes", "2", "--journal", "x.journal", *OUTPUT)
    service.wait_until(is_open=3, answered=len(FIRST))
    os.kill(processes_of(folder)["x.2-of-2.journal"], signal.SIGKILL)
    records, err = end(started)
    service.hold()

    skipped = len(SECOND) - 3
    assert started.returncode == EXIT_UNKNOWN
    assert statuses(records) == {
        ("ok", None): len(FIRST),
        ("unknown", "interrupted"): 3,
        ("skipped", "process"): skipped,
    }
    assert records[-1]["total"] == len(GROUPS)
    assert "warning: process 2 of 2 was killed (SIGKILL)" in err
    assert "--resume x.journal" in err
    code, again = run_in_process("report", str(folder.path / "x.1-of-2.journal"), *OUTPUT)
    assert code == EXIT_UNKNOWN
    assert statuses(list(map(json.loads, again.splitlines()))) == statuses(records)

    resumed = folder.start("--resume", "x.2-of-2.journal", *OUTPUT)
    records, err = end(resumed)

    assert resumed.returncode == EXIT_UNKNOWN, err
    assert statuses(records) == {("ok", None): len(GROUPS) - 3, ("unknown", "interrupted"): 3}
    assert Counter(service.received) == Counter(GROUPS)
    doubts = read_journal(folder.path / "x.journal").results(RecordedStatus.INTERRUPTED)
    named = [f"{result.index}=done" for result in doubts]
    assert run_in_process("resolve", str(folder.path / "x.1-of-2.journal"), *named)[0] == 0
    assert run_in_process("report", str(folder.path / "x.journal"), "--output", "none")[0] == 0


def test_processes_end_with_the_one_that_started_them(folder: Folder, service: Service) -> None:
    """Any of the journals resumes all of them; no message is sent twice."""
    service.hold(GROUPS)
    started = folder.start("p.yaml", "--processes", "2", "--journal", "x.journal", *OUTPUT)
    service.wait_until(is_open=6, answered=0)
    processes = processes_of(folder)
    assert len(processes) == 3
    started.send_signal(signal.SIGKILL)
    end(started)
    wait_for_end(processes.values())
    service.hold()

    code, records, err = folder.run("--resume", "x.1-of-2.journal")

    assert code == EXIT_UNKNOWN, err
    assert statuses(records) == {("ok", None): len(GROUPS) - 6, ("unknown", "interrupted"): 6}
    assert Counter(service.received) == Counter(GROUPS)


def test_first_signal_lets_requests_end(folder: Folder, service: Service) -> None:
    """In all processes; the group of processes may have it, too. `finally` runs."""
    (folder.path / "p.yaml").write_text(SENDS + FINALLY)
    service.hold(GROUPS)
    started = folder.start("p.yaml", "--processes", "2", "--journal", "x.journal", *OUTPUT)
    service.wait_until(is_open=6, answered=0)
    for process in processes_of(folder).values():
        os.kill(process, signal.SIGTERM)
    read_until(started.stderr, "interrupt again")
    service.hold()
    records, _ = end(started)

    assert started.returncode == 128 + signal.SIGTERM
    assert statuses(records) == {("ok", None): 7, ("skipped", "interrupted"): len(GROUPS) - 6}
    assert service.received[-1] == "end"


def test_second_signal_stops_at_once(folder: Folder, service: Service) -> None:
    """Requests in flight are unknown."""
    service.hold(GROUPS)
    started = folder.start("p.yaml", "--processes", "2", "--journal", "x.journal", *OUTPUT)
    service.wait_until(is_open=6, answered=0)
    started.send_signal(signal.SIGINT)
    read_until(started.stderr, "interrupt again")
    started.send_signal(signal.SIGINT)
    records, _ = end(started)

    assert started.returncode == 128 + signal.SIGINT
    assert statuses(records) == {
        ("unknown", "interrupted"): 6,
        ("skipped", "interrupted"): len(GROUPS) - 6,
    }


def test_failure_stops_all_processes(folder: Folder, service: Service) -> None:
    """With `onError: stop`, as in one process."""
    (folder.path / "p.yaml").write_text(SENDS.replace("concurrency: 3", "concurrency: 1"))
    service.hold(GROUPS)
    service.failing = frozenset(FIRST[:1])
    started = folder.start("p.yaml", "--processes", "2", "--journal", "x.journal", *OUTPUT)
    service.wait_until(is_open=2, answered=0)
    service.hold(SECOND)
    earlier = read_until(started.stdout, '"failed"')
    service.hold()
    records, _ = end(started)
    records += map(json.loads, earlier.splitlines())

    assert started.returncode == EXIT_FAILED
    counts = statuses(records)
    assert counts.pop(("failed", "BadRequest"), 0) + counts.pop(("failed", "http-400"), 0) == 1
    assert counts[("skipped", "stopped")] >= len(GROUPS) - 4


def test_budget_is_that_of_all_processes(folder: Folder, service: Service) -> None:
    """Neither process has more failures than it allows, but both together."""
    service.failing = frozenset([*FIRST[:2], *SECOND[:2]])
    service.hold([FIRST[5], SECOND[5]])
    (folder.path / "p.yaml").write_text(SENDS.replace("concurrency: 3", "concurrency: 1"))
    started = folder.start("p.yaml", "--processes", "2", "--max-failures", "3", *OUTPUT)
    earlier = "".join(read_until(started.stdout, '"failed"') for _ in range(4))
    service.hold()
    records, _ = end(started)
    records += map(json.loads, earlier.splitlines())

    assert started.returncode == EXIT_FAILED
    assert statuses(records)[("skipped", "budget")] >= len(GROUPS) - 14


@pytest.mark.parametrize("options", [("--no-journal", "--report", "r.json"), ("--no-journal",)])
def test_run_without_journal_leaves_no_files(folder: Folder, options: tuple[str, ...]) -> None:
    """Only its report."""
    code, records, err = folder.run("p.yaml", "--processes", "2", *options)

    assert (code, err) == (0, "")
    assert statuses(records) == {("ok", None): len(GROUPS)}
    files = {path.name for path in folder.path.iterdir()} - {"r.json"}
    assert files == {"p.yaml", "groups.csv"}


def test_plan_with_an_order_runs_in_one_process(folder: Folder, service: Service) -> None:
    """The warning says which actions have one."""
    other = "  - {actionName: addUserToGroup, userId: ada, group: g0}\n"
    (folder.path / "p.yaml").write_text(SENDS + other)

    code, records, err = folder.run("p.yaml", "--processes", "2", "--journal", "x.journal")

    assert code == 0
    assert statuses(records) == {("ok", None): len(GROUPS) + 1}
    assert err.startswith(
        "p.yaml:6:18: warning: `addUserToGroup userId=ada group=g0` does not commute with "
    )
    assert "so all actions run in this one" in err
    assert not list(folder.path.glob("x.*-of-*"))
    assert len(service.received) == len(GROUPS) + 1


def test_error_in_the_settings_is_shown_once(folder: Folder, service: Service) -> None:
    """Nothing is sent; all processes would end with it."""
    settings = {"WebPubSubConnectionString": "Endpoint=https://127.0.0.1:1;AccessKey=a;"}

    code, records, err = folder.run(
        "p.yaml", "--processes", "3", "--ca-bundle", "groups.csv", **settings
    )

    assert (code, records, service.received) == (2, [], [])
    assert err.count("error:") == 1


def test_file_that_changes_during_the_run_is_shown_once(folder: Folder, service: Service) -> None:
    """Each process reads it; what they had not read is skipped."""
    names = [f"g{number}" for number in range(400)]
    rows = [f"{name},{'x' * 300}" for name in names]
    (folder.path / "groups.csv").write_text("\n".join(["name,more", *rows, ""]))
    service.hold(names)
    started = folder.start("p.yaml", "--processes", "2", "--journal", "x.journal", *OUTPUT)
    service.wait_until(is_open=6, answered=0)
    (folder.path / "groups.csv").write_text("name,more\nred,1\n")
    service.hold()
    records, err = end(started)

    assert started.returncode == EXIT_FAILED
    assert err.count("`groups.csv` was changed after its rows were checked") == 1
    assert "killed" not in err
    assert records[-1]["total"] == len(names)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--shard", "1/2", "--processes", "2", "p.yaml"], "leave out --shard and --shards"),
        (["--processes", "0", "p.yaml"], "--processes"),
        (["--processes", "many", "p.yaml"], "--processes"),
    ],
)
def test_options_that_contradict_each_other(
    folder: Folder, args: list[str], message: str, service: Service
) -> None:
    code, _, err = folder.run(*args)

    assert (code, service.received) == (2, [])
    assert message in err


def test_rehearsal_says_that_it_runs_in_one_process(folder: Folder) -> None:
    code, records, err = folder.run("--local", "--processes", "2", "p.yaml")

    assert code == 0
    assert statuses(records) == {("ok", None): len(GROUPS)}
    assert "note: a rehearsal" in err


def test_scheduler_may_restart_the_command(folder: Folder, service: Service) -> None:
    """`--resume-if-exists` takes any of the journals."""
    service.failing = frozenset(GROUPS[:3])
    args = ("p.yaml", "--processes", "2", "--on-error", "continue", "--resume-if-exists")

    codes = [folder.run(*args, "--journal", name)[0] for name in ("x.journal", "x.2-of-2.journal")]

    assert codes == [EXIT_FAILED, EXIT_FAILED]
    assert Counter(service.received) == Counter(GROUPS)


def test_journals_of_a_run_belong_together(
    folder: Folder, service: Service, run_in_process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is missing, of another process or of another run is an error, as is another N."""
    for name in ("x", "y"):
        assert folder.run("p.yaml", "--processes", "2", "--journal", f"{name}.journal")[0] == 0
    monkeypatch.chdir(folder.path)
    first, second = (folder.path / f"x.{number}-of-2.journal" for number in (1, 2))
    content = second.read_bytes()
    errors = []

    errors.append(run_in_process("--resume", "x.journal", "--processes", "3"))
    second.write_bytes(first.read_bytes())
    errors.append(run_in_process("--resume", "x.journal"))
    second.write_bytes((folder.path / "y.2-of-2.journal").read_bytes())
    errors.append(run_in_process("report", "x.1-of-2.journal"))
    second.unlink()
    errors.append(run_in_process("--resume", "x.journal"))
    (folder.path / "other.journal").write_bytes(content)
    errors.append(run_in_process("report", "other.journal"))

    assert [code for code, _ in errors] == [2] * 5
    messages = [
        "run in 2 processes, and a resumed run has as many",
        "`x.2-of-2.journal` is not the journal of process 2 of the run of `x.journal`",
        "`x.2-of-2.journal` is not the journal of process 2 of the run of `x.journal`",
        "the journal `x.2-of-2.journal` of the same run is missing",
        "give it back its name, such as `run.2-of-2.journal`",
    ]
    for message, (_, text) in zip(messages, errors, strict=True):
        assert message in text
    assert len(service.received) == 2 * len(GROUPS)
