"""`-v` and `--log-level` of the installed script, against a server that echoes what it gets."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

KEY = "c2VjcmV0LWtleS1vZi10aGUtdGVzdC1zZXJ2aWNl"
PLAYBOOK = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada, group: red}\n"


class Echo(BaseHTTPRequestHandler):
    """Answers 400 with the Authorization header and the key in header and body."""

    tokens: list[str]

    def do_PUT(self) -> None:
        """Note the token, give it back."""
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
        """Say nothing."""


@pytest.fixture
def echo() -> Iterator[tuple[str, list[str]]]:
    """A connection string of such a server, and the tokens that it was given."""
    tokens: list[str] = []
    handler = type("Handler", (Echo,), {"tokens": tokens})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"Endpoint=http://127.0.0.1:{server.server_port};AccessKey={KEY};", tokens
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("output", ["text", "ndjson", "json", "none"])
def test_no_output_ever_holds_a_key_or_a_token(
    wps_run: Script, tmp_path: Path, echo: tuple[str, list[str]], output: str
) -> None:
    """At debug level too, though the server gives both back wherever it can."""
    connection, tokens = echo
    (tmp_path / "p.yaml").write_text(PLAYBOOK)

    args = ("--log-level", "debug", "--output", output, "p.yaml")
    done = wps_run(*args, WebPubSubConnectionString=connection)

    output_text = done.stdout + done.stderr
    assert done.returncode == 1, output_text
    assert len(tokens) == 1
    assert tokens[0] not in output_text
    assert tokens[0].rpartition(".")[2] not in output_text
    assert KEY not in output_text
    assert "x-ms-error-code: Bearer ***" in done.stderr
    assert output == "none" or "refused: Bearer *** ***" in done.stdout


def test_v_shows_each_request_and_its_answer_on_stderr(wps_run: Script, tmp_path: Path) -> None:
    """And leaves stdout to the results."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)

    quiet = wps_run("--local", "p.yaml", "--output", "ndjson")
    done = wps_run("--local", "-v", "p.yaml", "--output", "ndjson")

    request, response = done.stderr.splitlines()
    path = "PUT /api/hubs/chat/users/ada/groups/red?api-version=2024-12-01"
    assert f"INFO wps_run.connect > {path} (id " in request
    assert f"INFO wps_run.connect < 200 {path} in " in response
    assert quiet.stderr == ""
    assert len(done.stdout.splitlines()) == len(quiet.stdout.splitlines())


@pytest.mark.parametrize(
    ("args", "lines"),
    [(("-v", "--log-level", "error"), 0), (("--log-level", "info"), 2)],
)
def test_the_level_that_is_named_wins(
    wps_run: Script, tmp_path: Path, args: tuple[str, ...], lines: int
) -> None:
    """`info` is `-v`."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)

    done = wps_run("--local", *args, "p.yaml")

    assert len(done.stderr.splitlines()) == lines
