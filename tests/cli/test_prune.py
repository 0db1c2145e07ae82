"""`prune` from the command line: whom it removes, and when it asks."""

import json
import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.cli.conftest import CommandLine

from wps_run.emulator.testing import LocalPubSub

PRUNE = """
hub: chat
groups:
  red:
    users: [ada]
    connections: [wall]
    prune: true
"""


@pytest.fixture
def service() -> Iterator[LocalPubSub]:
    """A group with two listed users, of whom one has two connections, and with others."""
    with LocalPubSub() as service:
        for connection, user, groups in (
            ("a1", "ada", ["red", "lobby"]),
            ("a2", "ada", []),
            ("anonymous", None, ["red"]),
            ("e1", "eve", ["red"]),
            ("e2", "eve", ["red", "lobby"]),
            ("wall", None, []),
        ):
            service.client(hub="chat", user=user, connection_id=connection, groups=groups)
        yield service


@pytest.fixture
def run(service_command_line: CommandLine) -> CommandLine:
    """Runs `p.yaml`, which prunes the group."""
    Path("p.yaml").write_text(PRUNE)
    return service_command_line


def operations(service: LocalPubSub) -> list[str]:
    """Return the REST operations that the service was asked for, in order."""
    return [entry.operation for entry in service.requests]


def members(service: LocalPubSub, group: str) -> list[str]:
    """Return the connections in a group."""
    return sorted(
        connection["connectionId"]
        for connection in service.state["chat"]["connectionList"]
        if group in connection["groups"]
    )


def targets(out: str) -> list[tuple[str, str, str]]:
    """Return action, target and status of each result in an ndjson output, by index."""
    records = [json.loads(line) for line in out.splitlines()]
    results = sorted(
        (record for record in records if record["type"] == "result"),
        key=lambda record: int(record["index"]),
    )
    return [
        (
            result["actionName"],
            result["target"].get("userId") or result["target"]["connectionId"],
            result["status"],
        )
        for result in results
    ]


def test_everybody_else_is_removed_by_connection(service: LocalPubSub, run: CommandLine) -> None:
    """Anonymous connections, too; all connections of a listed user, and a listed one, stay."""
    code, out, _ = run("--output", "ndjson", "p.yaml")

    assert code == 0
    assert targets(out) == [
        ("addUserToGroup", "ada", "ok"),
        ("addConnectionToGroup", "wall", "ok"),
        ("removeConnectionFromGroup", "anonymous", "ok"),
        ("removeConnectionFromGroup", "e1", "ok"),
        ("removeConnectionFromGroup", "e2", "ok"),
    ]
    assert members(service, "red") == ["a1", "a2", "wall"]
    assert members(service, "lobby") == ["a1", "e2"]
    assert "RemoveUserFromGroup" not in operations(service)


@pytest.mark.parametrize("args", [("--shard", "1/2"), ("--shard", "1/2", "--yes")])
def test_a_shard_cannot_prune(
    service: LocalPubSub, run: CommandLine, args: tuple[str, ...]
) -> None:
    code, out, errors = run(*args, "p.yaml")

    assert (code, out) == (2, "")
    assert "run the plan without --shard" in errors
    assert operations(service) == []


def test_nothing_is_sent_if_the_group_cannot_be_read(
    service: LocalPubSub, run: CommandLine
) -> None:
    service.fault("503,on=ListConnectionsInGroup")

    code, out, errors = run("--attempts", "1", "--yes", "p.yaml")

    assert (code, out) == (2, "")
    assert "cannot read the group `red`" in errors
    assert operations(service) == ["ListConnectionsInGroup"]
    assert not Path("state").exists()


def test_a_resumed_run_removes_the_same_people(service: LocalPubSub, run: CommandLine) -> None:
    """Not who joined since, nor does it ask for the group again."""
    service.fault("429,on=RemoveConnectionFromGroup,nth=2")
    run("--attempts", "1", "--journal", "j", "p.yaml")
    assert members(service, "red") == ["a1", "a2", "e1", "e2", "wall"]
    service.client(hub="chat", user="linus", connection_id="late", groups=["red"])

    code, out, _ = run("--resume", "j", "--output", "ndjson")

    assert code == 0
    assert [target for _, target, _ in targets(out)] == ["ada", "wall", "anonymous", "e1", "e2"]
    assert members(service, "red") == ["a1", "a2", "late", "wall"]
    assert operations(service).count("ListConnectionsInGroup") == 1


class Service(BaseHTTPRequestHandler):
    """A service with a group of two connections, of which one is gone when it is to be removed."""

    requests: list[str]

    def do_GET(self) -> None:
        """List the connections."""
        self.requests.append("GET")
        page = {"value": [{"connectionId": "a1", "userId": "ada"}, {"connectionId": "gone"}]}
        self._answer(200, json.dumps(page).encode())

    def do_PUT(self) -> None:
        """Accept an addition."""
        self.requests.append(self.path.partition("?")[0].rpartition("/")[2])
        self._answer(200)

    def do_DELETE(self) -> None:
        """Say that the connection does not exist."""
        self.requests.append(self.path.partition("?")[0].rpartition("/")[2])
        self._answer(404)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if status == 404:
            self.send_header("x-ms-error-code", "Error.Connection.NotExisted")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def requests(
    serve: Callable[[HTTPServer], str], run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The requests to such a service, which is not on this machine but for a reverse proxy."""
    del run
    received: list[str] = []
    url = serve(HTTPServer(("127.0.0.1", 0), type("Handler", (Service,), {"requests": received})))
    remote = "Endpoint=https://prod.webpubsub.example;AccessKey=bG9vcGJhY2s=;"
    monkeypatch.setenv("WebPubSubConnectionString", remote)
    Path("p.yaml").write_text(
        "hub: chat\ngroups:\n  red: {users: [ada], prune: true, onMissing: skip}\n"
    )
    monkeypatch.setenv("PROXY", url)
    return received


@pytest.mark.parametrize("rule", ["fail", "skip", "{wait: 30s}"])
def test_a_connection_that_is_gone_is_removed(
    requests: list[str], run: CommandLine, rule: str
) -> None:
    """Whatever `onMissing` says of those who are to be added."""
    Path("p.yaml").write_text(Path("p.yaml").read_text().replace("skip", rule))

    code, out, errors = run(
        "--endpoint", os.environ["PROXY"], "--yes", "--output", "ndjson", "p.yaml"
    )

    assert code == 0, errors
    assert targets(out) == [
        ("addUserToGroup", "ada", "ok"),
        ("removeConnectionFromGroup", "gone", "ok"),
    ]
    assert requests == ["GET", "red", "gone"]


def test_without_a_terminal_a_prune_needs_yes(requests: list[str], run: CommandLine) -> None:
    """The group was read, so the number of connections is known; nothing else was sent."""
    code, out, errors = run("--endpoint", os.environ["PROXY"], "p.yaml")

    assert (code, out) == (2, "")
    assert errors == (
        "warning: prune of group `red` on hub `chat` at prod.webpubsub.example (1 connection)\n"
        "error: nothing was sent; this needs confirmation and there is no terminal to ask at, so "
        "add --yes\n"
    )
    assert requests == ["GET"]
    assert not Path("state").exists()


def test_a_prune_that_removes_nobody_does_not_ask(requests: list[str], run: CommandLine) -> None:
    Path("p.yaml").write_text(
        "hub: chat\ngroups:\n  red: {users: [ada], connections: [gone], prune: true}\n"
    )

    code, _, errors = run("--endpoint", os.environ["PROXY"], "p.yaml")

    assert (code, errors.count("prune of group")) == (0, 0)
    assert requests == ["GET", "red", "gone"]
