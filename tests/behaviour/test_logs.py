"""`-v` and `--log-level`, with a server that echoes the token."""

import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

KEY = "c2VjcmV0LWtleS1vZi10aGUtdGVzdC1zZXJ2aWNl"
PLAYBOOK = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada, group: red}\n"


class EchoHandler(BaseHTTPRequestHandler):
    """Responds with 400 and with the token and the key in headers and body."""

    tokens: list[str]

    def do_PUT(self) -> None:
        """Record the token and echo it."""
        bearer = self.headers["Authorization"]
        self.tokens.append(bearer.removeprefix("Bearer "))
        body = f'{{"code": "{bearer}", "message": "refused: {bearer} {KEY}"}}'.encode()
        self.send_response(400)
        self.send_header("x-ms-error-code", bearer)
        self.send_header("x-key", KEY)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def echo_server(serve: Callable[[HTTPServer], str]) -> tuple[str, list[str]]:
    """The connection string of the server, and the tokens that it received."""
    tokens: list[str] = []
    handler = type("Handler", (EchoHandler,), {"tokens": tokens})
    url = serve(HTTPServer(("127.0.0.1", 0), handler))
    return f"Endpoint={url};AccessKey={KEY};", tokens


@pytest.mark.parametrize("output", ["text", "ndjson", "json", "none"])
def test_output_never_contains_a_key_or_a_token(
    wps_run: Script, tmp_path: Path, echo_server: tuple[str, list[str]], output: str
) -> None:
    """Also at debug level, with a server that echoes both."""
    connection, tokens = echo_server
    (tmp_path / "p.yaml").write_text(PLAYBOOK)

    args = ("--log-level", "debug", "--output", output, "p.yaml")
    process = wps_run(*args, WebPubSubConnectionString=connection)

    output_text = process.stdout + process.stderr
    assert process.returncode == 1, output_text
    assert len(tokens) == 1
    assert tokens[0] not in output_text
    assert tokens[0].rpartition(".")[2] not in output_text
    assert KEY not in output_text
    assert "x-ms-error-code: Bearer ***" in process.stderr
    assert output == "none" or "refused: Bearer *** ***" in process.stdout


def test_verbose_shows_requests_and_responses_on_stderr(wps_run: Script, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PLAYBOOK)

    quiet = wps_run("--local", "p.yaml", "--output", "ndjson")
    process = wps_run("--local", "-v", "p.yaml", "--output", "ndjson")

    request, response = process.stderr.splitlines()
    path = "PUT /api/hubs/chat/users/ada/groups/red?api-version=2024-12-01"
    assert f"INFO wps_run.connect > {path} (id " in request
    assert f"INFO wps_run.connect < 200 {path} in " in response
    assert quiet.stderr == ""
    assert len(process.stdout.splitlines()) == len(quiet.stdout.splitlines())


@pytest.mark.parametrize(
    ("args", "lines"),
    [(("-v", "--log-level", "error"), 0), (("--log-level", "info"), 2)],
)
def test_log_level_takes_precedence_over_verbose(
    wps_run: Script, tmp_path: Path, args: tuple[str, ...], lines: int
) -> None:
    (tmp_path / "p.yaml").write_text(PLAYBOOK)

    process = wps_run("--local", *args, "p.yaml")

    assert len(process.stderr.splitlines()) == lines
