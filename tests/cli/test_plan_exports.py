"""`wps-run plan --format curl` and `--format binding`: what other tools carry out is the same."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from wps_run.actions.fields import Origin
from wps_run.actions.table import ACTIONS, Action
from wps_run.playbook.schema import actions_schema
from wps_run.report.exports import printf_command

CommandLine = Callable[..., tuple[int, str, str]]
Serve = Callable[[HTTPServer], str]

KEY = "bG9uZy1lbm91Z2gtZm9yLUhTMjU2LW9mLWEtdGVzdA=="
TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"  # noqa: S105 -- no real one
SHELLS = {
    str(Path(path).resolve()): name
    for name in ("sh", "dash", "bash", "zsh")
    if (path := shutil.which(name))
}
"""The shells of this machine: path to name; `sh` is usually one of the others."""


class Recorded(NamedTuple):
    """What a server received."""

    method: str
    target: str
    content_type: str | None
    length: str | None
    accept: str | None
    body: bytes


class Recorder(HTTPServer):
    """Records requests, and answers as if each action were done.

    Attributes:
        received: The requests since the last call of `taken`.
        tokens: The tokens in them.
        refused: A part of the targets that are answered with 404.
    """

    def __init__(self) -> None:
        self.received: list[Recorded] = []
        self.tokens: set[str | None] = set()
        self.refused = ""
        super().__init__(("127.0.0.1", 0), _Handler)

    def taken(self) -> list[Recorded]:
        taken, self.received = self.received, []
        return taken


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        server, headers = self.server, self.headers
        assert isinstance(server, Recorder)
        body = self.rfile.read(int(headers["Content-Length"] or 0))
        server.tokens.add(headers["Authorization"])
        server.received.append(
            Recorded(
                self.command,
                self.path,
                headers["Content-Type"],
                headers["Content-Length"],
                headers["Accept"],
                body,
            )
        )
        refused = server.refused
        self.send_response(404 if refused and refused in self.path else self._status())
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _status(self) -> int:
        path = self.path.partition("?")[0]
        return next(
            action.success[0]
            for action in ACTIONS.values()
            if action.method == self.command
            and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", action.path), path)
        )

    do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 -- the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Write no log."""


@pytest.fixture
def recorder(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A service that records what it receives, and the setting that leads to it."""
    server = Recorder()
    url = serve(server)
    monkeypatch.setenv("WebPubSubConnectionString", f"Endpoint={url};AccessKey={KEY};Version=1.0;")
    monkeypatch.setenv("WPS_ENDPOINT", url)
    monkeypatch.setenv("WPS_TOKEN", TOKEN)
    return server


PLAYBOOK = r"""
name: "Open the `rooms` $(touch pwned)"
hub: "chat[1]"
connection: WebPubSubConnectionString
actions:
  - name: Seat 'them' $(touch pwned)
    forEach: [ada, "b o?&%", "日本'$(x)`y`\"\\", "!x*", "~-._"]
    actionName: addUserToGroup
    userId: ${each}
    group: launch red
    onMissing: skip
  - actionName: sendToGroup
    group: launch red
    data: |
      It's $HOME `x` \n 100% "q" — 日本
      -- line 2

    excluded: [a b, "c&d"]
  - {actionName: sendToAll, data: "-n \t \e[31m % \\ ' \u202e end\r\n"}
  - {actionName: sendToAll, dataType: json, data: '{"a": "x''y", "b": [1, null]}'}
  - {actionName: sendToAll, dataType: binary, data: !!binary AAECA/8ncwolXGEA}
  - {actionName: sendToUser, userId: ada, data: ""}
"""


def all_actions(*origins: Origin) -> str:
    """Return the items of a playbook with each action and each property of these origins."""
    actions = (action for action in ACTIONS.values() if action.origin in origins)
    return "".join(
        f"  - {json.dumps({'actionName': action.name, **properties(action, origins)})}\n"
        for action in actions
    )


def properties(action: Action, origins: tuple[Origin, ...]) -> dict[str, Any]:
    """Return an example of each property of these origins."""
    return {field.name: field.example for field in action.fields if field.origin in origins}


def test_script_sends_what_a_run_sends(
    recorder: Recorder, command_line: CommandLine, tmp_path: Path
) -> None:
    """Each request has the same method, URL, headers and body, in the same order."""
    playbook, script = tmp_path / "p.yaml", tmp_path / "p.sh"
    playbook.write_text(PLAYBOOK + all_actions(Origin.BINDING, Origin.REST))
    code, _, err = command_line("--no-journal", "--yes", "--output", "none", str(playbook))
    assert code == 0, err
    of_run = recorder.taken()
    recorder.tokens.clear()
    code, out, _ = command_line("plan", "--format", "curl", str(playbook))
    script.write_text(out)

    for shell in SHELLS:
        done = subprocess.run([shell, script], cwd=tmp_path, capture_output=True, check=False)

        assert (code, done.returncode, done.stdout, done.stderr) == (0, 0, b"", b"")
        assert recorder.taken() == of_run
    assert recorder.tokens == {f"Bearer {TOKEN}"}
    assert not (tmp_path / "pwned").exists()


def test_script_stops_where_a_run_would(
    recorder: Recorder, command_line: CommandLine, tmp_path: Path
) -> None:
    """By `onError`, but for `finally`; with `onMissing: skip` a missing user is no error."""
    playbook, script = tmp_path / "p.yaml", tmp_path / "p.sh"
    playbook.write_text(
        "hub: chat\n"
        "actions:\n"
        "  - {actionName: sendToUser, userId: gone-1, data: a, onMissing: skip}\n"
        "  - {actionName: sendToUser, userId: gone-2, data: a, onError: continue}\n"
        "  - {actionName: sendToUser, userId: gone-3, data: a}\n"
        "  - {actionName: sendToUser, userId: never, data: a}\n"
        "finally:\n"
        "  - {actionName: sendToUser, userId: final, data: a}\n"
    )
    script.write_text(command_line("plan", "--format", "curl", str(playbook))[1])
    recorder.refused = "gone"

    done = subprocess.run([next(iter(SHELLS)), script], capture_output=True, text=True, check=False)

    targets = [request.target.partition("?")[0] for request in recorder.taken()]
    users = ["gone-1", "gone-2", "gone-3", "final"]
    assert targets == [f"/api/hubs/chat/users/{user}/:send" for user in users]
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line] == [
        f"error: status 404: {os.environ['WPS_ENDPOINT']}/api/hubs/chat/users/gone-{number}/:send"
        "?api-version=2024-12-01"
        for number in (2, 3)
    ]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WPS_TOKEN": ""}, "set WPS_ENDPOINT and WPS_TOKEN"),
        ({"WPS_ENDPOINT": "http://shop.example"}, "must begin with https://"),
        ({"WPS_ENDPOINT": "http://127.0.0.1.example"}, "must begin with https://"),
    ],
)
def test_script_sends_no_token_in_the_clear(
    recorder: Recorder,
    command_line: CommandLine,
    tmp_path: Path,
    variables: dict[str, str],
    message: str,
) -> None:
    playbook, script = tmp_path / "p.yaml", tmp_path / "p.sh"
    playbook.write_text("hub: chat\nactions:\n  - {actionName: sendToAll, data: a}\n")
    script.write_text(command_line("plan", "--format", "curl", str(playbook))[1])

    done = subprocess.run(
        [next(iter(SHELLS)), script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert message in done.stderr
    assert recorder.taken() == []


@pytest.mark.parametrize("shell", SHELLS, ids=SHELLS.get)
@settings(max_examples=15)
@given(bodies=st.lists(st.binary(min_size=1) | st.text(min_size=1).map(str.encode), max_size=20))
def test_each_shell_prints_exactly_the_body(shell: str, bodies: list[bytes]) -> None:
    """Text and binary, whatever is in it."""
    script = "\n".join(map(printf_command, bodies)).encode()

    done = subprocess.run([shell], input=script, capture_output=True, check=True)

    assert done.stdout == b"".join(bodies)


def test_binding_format_gives_the_same_plan(command_line: CommandLine, tmp_path: Path) -> None:
    """The array is a bare batch by its schema and by `--binding-only`, and plans the same steps."""
    playbook, batch = tmp_path / "p.yaml", tmp_path / "batch.json"
    playbook.write_text(PLAYBOOK + all_actions(Origin.BINDING))

    code, out, err = command_line("plan", "--format", "binding", str(playbook))
    assert err.endswith(
        "note: left out, since a function cannot return it: `onMissing` of actions\n"
    )
    batch.write_text(out)

    assert code == 0
    Draft7Validator(actions_schema()).validate(json.loads(out))
    assert command_line("validate", "--binding-only", str(batch))[0] == 0
    assert requests_of(command_line, str(batch)) == requests_of(command_line, str(playbook))


def requests_of(command_line: CommandLine, playbook: str) -> list[dict[str, Any]]:
    """Return the steps of a plan, without what a batch cannot say."""
    _, out, _ = command_line("plan", "--hub", "chat[1]", "--format", "ndjson", playbook)
    steps = [json.loads(line) for line in out.splitlines()]
    mine = {"action", "item", "name", "source"}
    return [{key: step[key] for key in step if key not in mine} for step in steps]


def test_empty_plan_is_an_empty_array(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("actions: []\n")

    _, out, _ = command_line("plan", "--format", "binding", str(tmp_path / "p.yaml"))

    assert json.loads(out) == []


UNREAD = """\
hub: chat
actions:
  - {forEach: {group: red}, actionName: sendToConnection, connectionId: "${each.connectionId}",
     data: a}
"""
WITH_KEY = "hub: chat\nactions:\n  - {actionName: sendToAll, data: 'the key is ${env.API_KEY}'}\n"
REST = """\
hub: chat
actions:
  - {forEach: [a, b], actionName: closeUserConnections, userId: "${each}"}
"""
FILTER = "hub: chat\nactions:\n  - {actionName: sendToAll, data: a, filter: \"userId eq 'a'\"}\n"


@pytest.mark.parametrize(
    ("form", "text", "message"),
    [
        ("curl", UNREAD, "p.yaml:3: error: its rows are the connections in group `red`"),
        ("binding", UNREAD, "add --live"),
        ("curl", "hub: chat\ngroups: {red: {users: [a], prune: true}}\n", "add --live"),
        ("curl", WITH_KEY, "contains a secret of the environment"),
        ("binding", WITH_KEY, "contains a secret of the environment"),
        (
            "binding",
            REST,
            "`closeUserConnections` is not an action of the Functions output binding",
        ),
        ("binding", FILTER, "the Functions output binding has no `filter` on `sendToAll`"),
        ("curl", "actions: [{actionName: sendToAll, data: a}]\n", "no hub is named"),
    ],
)
def test_what_cannot_be_exported_is_an_error_before_any_output(  # noqa: PLR0913, PLR0917
    command_line: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    text: str,
    message: str,
) -> None:
    """Each with its place; a secret is named nowhere."""
    monkeypatch.setenv("API_KEY", "hunter2hunter2")
    (tmp_path / "p.yaml").write_text(text)

    code, out, err = command_line(
        "plan", "--format", form, "--allow-env", "API_KEY", str(tmp_path / "p.yaml")
    )

    assert (code, out) == (2, "")
    assert message in err
    assert "hunter2" not in err


def test_playbooks_for_several_hubs_are_no_single_array(
    command_line: CommandLine, tmp_path: Path
) -> None:
    for hub in ("chat", "news"):
        text = f"hub: {hub}\nactions: [{{actionName: sendToAll, data: a}}]\n"
        (tmp_path / f"{hub}.yaml").write_text(text)
    files = [str(tmp_path / f"{hub}.yaml") for hub in ("chat", "news")]

    code, out, err = command_line("plan", "--format", "binding", *files)

    assert (code, out) == (2, "")
    assert "several hubs (`chat` and `news`)" in err
    assert command_line("plan", "--format", "curl", *files)[0] == 0
