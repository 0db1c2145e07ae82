"""Journals of an earlier version report and resume.

The commit before the package became `wps_run` wrote `tests/journals`: `killed.journal` of a run
against a server that stopped answering, and `rehearsal.journal` of one shard of a rehearsal that
was resumed once; both ended by SIGKILL. The same version made the reports beside them.
"""

import http.server
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONNECTION = "Endpoint=https://contoso.webpubsub.azure.com;AccessKey=bG9vcGJhY2s=;Version=1.0;"
HUB = "/api/hubs/chat"


class AcceptingServer(http.server.ThreadingHTTPServer):
    """A server that accepts everything.

    Attributes:
        requests: Method and path of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base's name
        del format, args

    def do_PUT(self) -> None:
        assert isinstance(self.server, AcceptingServer)
        self.server.requests.append(f"{self.command} {self.path.partition('?')[0]}")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_close = self.path.partition("?")[0].endswith("/:closeConnections")
        self.send_response(200 if self.command == "PUT" else 204 if is_close else 202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT  # noqa: N815 -- the base's names


@pytest.fixture
def service(serve: Callable[[http.server.HTTPServer], str]) -> AcceptingServer:
    """A server on a free port that accepts everything."""
    server = AcceptingServer()
    serve(server)
    return server


@pytest.fixture
def journals(project: Path, tmp_path: Path) -> Path:
    """A copy of the journals, their playbooks and their reports."""
    return Path(shutil.copytree(project / "tests" / "journals", tmp_path / "journals"))


def statuses(results: list[dict[str, Any]]) -> dict[int, str]:
    """Return the status of each action by index; the error code if it is not ok."""
    return {
        result["index"]: result["status"] if result["error"] is None else result["error"]["code"]
        for result in results
    }


@pytest.mark.parametrize("name", ["killed", "rehearsal"])
def test_report_of_an_old_journal_is_unchanged(
    wps_run: Callable[..., Any], journals: Path, name: str
) -> None:
    """Byte for byte, but for the marks of results of earlier parts."""
    process = wps_run("report", journals / f"{name}.journal", "--output", "json")

    unmarked = re.sub(r',"earlier":(true|[0-9]+)', "", process.stdout)
    assert unmarked == (journals / f"{name}.report.json").read_text("utf-8")
    assert ('"earlier":true' in process.stdout) == (name == "rehearsal")
    assert process.returncode == 3
    assert process.stderr.count("without checksums") == 1


def test_killed_run_of_an_old_journal_resumes(
    wps_run: Callable[..., Any], journals: Path, service: AcceptingServer
) -> None:
    """Actions not sent and adds in doubt run, a send in doubt does not."""
    process = wps_run(
        *("--yes", "--resume", journals / "killed.journal", journals / "killed.yaml"),
        *("--var", "greeting=Good morning"),
        *("--endpoint", f"http://127.0.0.1:{service.server_port}", "--output", "json"),
        WebPubSubConnectionString=CONNECTION,
    )

    assert process.returncode == 3, process.stderr
    assert sorted(service.requests) == [
        f"POST {HUB}/groups/launch-blue/:send",
        f"POST {HUB}/groups/lobby/:closeConnections",
        f"POST {HUB}/users/edsger/:send",
        f"POST {HUB}/users/margaret/:send",
        f"PUT {HUB}/permissions/sendToGroup/connections/wall-display",
        f"PUT {HUB}/users/edsger/groups/launch-blue",
    ]
    report = json.loads(process.stdout)
    assert statuses(report["results"]) == {
        **dict.fromkeys(range(15), "ok"),
        1: "http-400",
        8: "interrupted",
    }
    assert process.stderr.count("without checksums") == 1
    repeated_report = wps_run("report", journals / "killed.journal", "--output", "json")
    assert "without checksums" not in repeated_report.stderr
    assert json.loads(repeated_report.stdout)["results"] == report["results"]


def test_resumed_shard_of_an_old_journal_resumes_again(
    wps_run: Callable[..., Any], journals: Path
) -> None:
    process = wps_run(
        *("--local", "--resume", journals / "rehearsal.journal", journals / "rehearsal.yaml"),
        *("--output", "json"),
    )

    assert process.returncode == 3, process.stderr
    report = json.loads(process.stdout)
    assert statuses(report["results"]) == {
        **dict.fromkeys((0, 2, 6, 9, 10, 11), "ok"),
        8: "interrupted",
    }
    assert report["summary"]["shard"] == "1/2"
    assert len(report["rehearsal"][0]["messages"]) == 3


CHANGES = {
    "the file members.csv": ("members.csv", "linus", "lynne", "Good morning"),
    "the playbook killed.yaml": ("killed.yaml", "hub: chat", "hub: room", "Good morning"),
    "the variable greeting": ("killed.yaml", "", "", "Good night"),
}


@pytest.mark.parametrize("part", CHANGES)
def test_resume_of_a_changed_run_is_refused(
    wps_run: Callable[..., Any], journals: Path, service: AcceptingServer, part: str
) -> None:
    """The old fingerprint covers playbook, rows and variables; nothing is sent."""
    name, old, new, greeting = CHANGES[part]
    text = (journals / name).read_text("utf-8")
    (journals / name).write_text(text.replace(old, new), "utf-8")

    process = wps_run(
        *("--yes", "--resume", journals / "killed.journal", journals / "killed.yaml"),
        *("--var", f"greeting={greeting}"),
        *("--endpoint", f"http://127.0.0.1:{service.server_port}"),
        WebPubSubConnectionString=CONNECTION,
    )

    assert (process.returncode, service.requests) == (2, [])
    assert part in process.stderr
