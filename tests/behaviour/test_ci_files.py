"""What CI services, containers and pre-commit read is valid, and does what it says."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from wps_run.emulator.testing import LocalPubSub

Script = Callable[..., subprocess.CompletedProcess[str]]

SCHEMAS = {
    "vendor.github-workflows": ".github/workflows/*.yml",
    "vendor.github-actions": "action.yml",
    "vendor.dependabot": ".github/dependabot.yml",
    "vendor.github-issue-forms": ".github/ISSUE_TEMPLATE/[bf]*.yml",
    "vendor.github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "vendor.azure-pipelines": "templates/azure-pipelines.yaml",
}
GOOD = "hub: chat\nactions:\n  - {actionName: sendToAll, data: 'a ```` b'}\n"


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_are_valid_by_their_schema(project: Path, schema: str) -> None:
    pytest.importorskip("check_jsonschema", reason="not there with the lowest click")
    files = [str(file) for file in project.glob(SCHEMAS[schema])]
    assert files

    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
    process = subprocess.run(command, capture_output=True, text=True, check=False)

    assert process.returncode == 0, process.stdout


def test_own_pre_commit_configuration_is_valid(project: Path) -> None:
    for kind, file in (
        ("config", ".pre-commit-config.yaml"),
        ("manifest", ".pre-commit-hooks.yaml"),
    ):
        command = [sys.executable, "-m", "pre_commit", f"validate-{kind}", str(project / file)]
        subprocess.run(command, check=True)


class GitHub:
    """The comments of one pull request, with the REST API of GitHub.

    Attributes:
        comments: The comments, oldest first.
        status: The status of every response, if it is not as usual.
        environment: What GitHub sets for a step.
    """

    def __init__(self, folder: Path) -> None:
        self.comments: list[dict[str, Any]] = []
        self.status = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        Thread(target=self._server.serve_forever, daemon=True).start()
        event = folder / "event.json"
        event.write_text('{"number": 7}')
        self.environment = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": f"http://127.0.0.1:{self._server.server_port}",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_REPOSITORY": "o/r",
            "INPUT_TOKEN": "secret-token",
        }

    def add(self, body: str, kind: str) -> None:
        """Add the comment of a `User` or `Bot`."""
        self.comments.append({"id": len(self.comments), "body": body, "user": {"type": kind}})

    def respond(self, method: str, path: str, content: Any) -> tuple[int, Any]:
        """Return the status and the content of a response."""
        if self.status:
            return self.status, {"message": "Resource not accessible by integration"}
        if page := re.fullmatch(r"/repos/o/r/issues/7/comments\?per_page=100&page=(\d+)", path):
            start = 100 * (int(page[1]) - 1)
            return 200, self.comments[start : start + 100]
        if method == "POST" and path == "/repos/o/r/issues/7/comments":
            self.add(content["body"], "Bot")
            return 201, self.comments[-1]
        number = re.fullmatch(r"/repos/o/r/issues/comments/(\d+)", path)
        assert method == "PATCH"
        assert number
        self.comments[int(number[1])]["body"] = content["body"]
        return 200, self.comments[int(number[1])]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        github = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers["Content-Length"] or 0)
                content = json.loads(self.rfile.read(length)) if length else None
                status, sent = github.respond(self.command, self.path, content)
                if self.headers["Authorization"] != "Bearer secret-token":
                    status, sent = 401, None
                body = json.dumps(sent).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PATCH = do_GET  # noqa: N815 -- the names of the standard library

            def log_message(self, *_: object) -> None:
                """Keep the log of the tests empty."""

        return Handler


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    """GitHub with the pull request 7."""
    service = GitHub(tmp_path)
    yield service
    service.close()


@pytest.fixture
def act(project: Path, tmp_path: Path, github: GitHub) -> Callable[..., str]:
    """Return a function that runs the action's script, and returns its log and exit code."""
    (tmp_path / "p.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("sendToAll", "sendToAl"))

    def run(command: str, playbooks: str, arguments: str = "", **environment: str) -> str:
        process = subprocess.run(
            [sys.executable, str(project / "action" / "main.py")],
            cwd=tmp_path,
            env={
                **os.environ,
                **github.environment,
                "INPUT_COMMAND": command,
                "INPUT_PLAYBOOKS": playbooks,
                "INPUT_ARGUMENTS": arguments,
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert "secret-token" not in process.stdout + process.stderr
        return f"{process.stdout}{process.stderr}exit code {process.returncode}"

    return run


def test_action_annotates_problems(act: Callable[..., str], tmp_path: Path) -> None:
    """A line is a file, whatever is in it; `validate` is the default of `command`."""
    log = act("validate", "p.yaml\n\n  bad.yaml  \n")

    assert "::error file=bad.yaml,line=3," in log
    assert log.endswith("exit code 1")
    assert (tmp_path / "output").read_text() == "exit-code=1\n"
    assert "cannot read `--help`" in act("validate", "--help")


def test_action_runs_a_playbook(act: Callable[..., str]) -> None:
    log = act("run", "p.yaml", "--local\n--no-journal")

    assert "1 ok, 0 failed" in log
    assert log.endswith("exit code 0")


def test_action_comments_the_plan_and_replaces_its_own_comment(
    act: Callable[..., str], github: GitHub
) -> None:
    """It is found among more than 100 others, and one of a person is left."""
    for number in range(100):
        github.add(f"<!-- wps-run plan -->\n{number}", "User")

    first = act("plan", "p.yaml")
    assert len(github.comments) == 101
    comment = github.comments[-1]["body"]
    second = act("plan", "p.yaml", "--hub=news")

    assert first.endswith("exit code 0")
    assert second.endswith("exit code 0")
    assert "PLAN (nothing is sent)" in first
    assert len(github.comments) == 101
    assert "hub chat" in comment
    assert "hub news" in github.comments[-1]["body"]
    fence = re.search(r"^(`+)text$", comment, re.MULTILINE)
    assert fence is not None
    assert comment.count(fence[1]) == 2  # the plan cannot end the block of code


def test_action_without_a_comment_has_the_plan_in_the_log(
    act: Callable[..., str], github: GitHub
) -> None:
    """No permission is a warning; no token, or no pull request, is nothing."""
    assert act("plan", "p.yaml", INPUT_TOKEN="").endswith("exit code 0")
    assert act("plan", "p.yaml", GITHUB_EVENT_PATH="").endswith("exit code 0")
    assert act("plan", "bad.yaml").endswith("exit code 2")
    assert github.comments == []

    github.status = 403
    log = act("plan", "p.yaml")

    assert "::warning title=wps-run::the plan is not in a comment: HTTP Error 403" in log
    assert log.endswith("exit code 0")


def test_action_refuses_other_commands(act: Callable[..., str]) -> None:
    log = act("serve", "p.yaml")

    assert "::error title=wps-run::`command` is validate, plan, run, not 'serve'" in log
    assert log.endswith("exit code 2")


def test_template_of_azure_pipelines_rehearses_and_publishes(
    project: Path, tmp_path: Path, wps_run: Script
) -> None:
    """Its commands run as they are, and write what the other steps publish."""
    template = yaml.safe_load((project / "templates" / "azure-pipelines.yaml").read_text("utf-8"))
    values = {each["name"]: each.get("default", "") for each in template["parameters"]}
    values["playbooks"] = "p.yaml"
    (tmp_path / "p.yaml").write_text(GOOD)

    def filled(text: str) -> str:
        text = re.sub(r"\$\{\{ parameters\.(\w+) \}\}", lambda match: values[match[1]], text)
        return text.replace("$(Build.ArtifactStagingDirectory)", "staging")

    (tmp_path / "staging").mkdir()
    commands = [filled(step["script"]) for step in template["steps"] if "script" in step]
    for command in commands:
        name, *args = shlex.split(command)
        if name == "wps-run":
            process = wps_run(*args, TF_BUILD="True")
            assert process.returncode == 0, process.stderr
    (published,) = [
        step["inputs"]["testResultsFiles"]
        for step in template["steps"]
        if step.get("task") == "PublishTestResults@2"
    ]

    assert "<testcase" in (tmp_path / filled(published)).read_text("utf-8")
    assert (tmp_path / "staging" / "wps-run.md").is_file()
    assert (tmp_path / "staging" / "wps-run.journal").is_file()


def test_container_has_a_user_without_rights_and_a_check_of_the_emulator(project: Path) -> None:
    """The check succeeds while `serve` runs, and fails without it."""
    lines = re.sub(r"\\\n", "", (project / "Dockerfile").read_text("utf-8")).splitlines()
    (check,) = [line for line in lines if line.startswith("HEALTHCHECK")]
    python, *args = json.loads(check.partition("CMD ")[2])
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]

    with LocalPubSub() as service:
        port = service.endpoint.rpartition(":")[2].rstrip("/")
        command = [sys.executable, *(arg.replace("8080", port) for arg in args)]
        healthy = subprocess.run(command, check=False, timeout=20)
    gone = subprocess.run(command, check=False, capture_output=True, timeout=20)

    assert (python, healthy.returncode, gone.returncode) == ("python", 0, 1)
    assert "USER 10001:10001" in lines
    assert all((project / name).exists() for name in copied)
    ignored = (project / ".dockerignore").read_text("utf-8").splitlines()
    assert [name for name in copied if f"!{name}" not in ignored] == []
