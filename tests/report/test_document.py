"""The commands of the pages on reports and records run; the records are as they are written."""

import os
import re
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
import yaml
from jsonschema import Draft7Validator
from prometheus_client.parser import text_string_to_metric_families

from wps_run import LocalPubSub
from wps_run.execution.result import Result
from wps_run.report.junit import junit
from wps_run.report.record_schema import result_schema
from wps_run.report.run_report import RunReport

ROOMS = """\
hub: chat
actions:
  - {forEach: [ada, bob], actionName: addUserToGroup, userId: '${each}', group: red}
"""


def blocks(project: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language in both pages."""
    pages = ("reports.md", "records.md")
    text = "".join((project / "docs" / "reference" / page).read_text("utf-8") for page in pages)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class PushGateway(HTTPServer):
    """Records the metrics that are pushed, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _PushHandler)
        self.pushed: dict[str, str] = {}


class _PushHandler(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        """Take the metrics of one group."""
        assert isinstance(self.server, PushGateway)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.pushed[self.path] = body.decode()
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name
        """Log nothing."""


def test_every_command_runs(
    project: Path,
    script: Path,
    tmp_path: Path,
    wps_local: LocalPubSub,
    serve: Callable[[HTTPServer], str],
) -> None:
    """Against an emulator, with a server that takes metrics as Pushgateway does."""
    pytest.importorskip("check_jsonschema", reason="not there with the lowest click")
    gateway = PushGateway()
    (tmp_path / "rooms.yaml").write_text(ROOMS)
    wps_local.client("ada", hub="chat")  # bob is not there: the exit code is 1
    environment = {
        **os.environ,
        "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_STATE_HOME": str(tmp_path),
        "WebPubSubConnectionString": wps_local.connection_string,
        "TEXTFILE_DIRECTORY": str(tmp_path),
        "PUSHGATEWAY": serve(gateway),
    }

    processes = [
        subprocess.run(
            ["/bin/sh", "-c", block],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        for block in blocks(project, "sh")
    ]

    assert [process.returncode for process in processes] == [1, 1, 1, 0], processes
    (text,) = gateway.pushed.values()
    assert list(gateway.pushed) == ["/metrics/job/rooms"]
    assert text == (tmp_path / "run.prom").read_text()
    names = {
        sample.name for metric in text_string_to_metric_families(text) for sample in metric.samples
    }
    page = (project / "docs" / "reference" / "reports.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(wps_run_\w+)`", page, re.MULTILINE)) == {
        name for name in names if not name.endswith(("_sum", "_count"))
    }
    (rules,) = map(yaml.safe_load, blocks(project, "yaml"))
    for rule in rules["groups"][0]["rules"]:
        assert set(re.findall(r"wps_run_\w+", rule["expr"])) <= names


def test_the_records_are_as_they_are_written(
    project: Path, make_report: Callable[..., RunReport]
) -> None:
    """The lines follow the schema; the test case is that of the first line."""
    records, expectation = blocks(project, "json")
    (case,) = blocks(project, "xml")
    validator = Draft7Validator(result_schema())
    result, _ = lines = records.splitlines()

    for line in (*lines, expectation):
        validator.validate(msgspec.json.decode(line))
    report = make_report(msgspec.json.decode(result, type=Result))
    assert f"  {case.rstrip()}".replace("\n", "\n  ") in "".join(junit(report))
