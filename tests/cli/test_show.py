"""`wps-run show`: who is there, in three formats, with an exit code that says so."""

import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import click
import pytest
from azure.messaging.webpubsubservice import WebPubSubServiceClient
from wcwidth import wcswidth

from wps_run.cli.commands.show import TextPrinter
from wps_run.cli.commands.show import command as show_command
from wps_run.cli.options import HubAccess
from wps_run.connect.endpoint import Endpoint
from wps_run.emulator.testing import LocalPubSub
from wps_run.playbook.live import LiveConnection
from wps_run.playbook.options import RunOptions
from wps_run.redaction import NO_SECRETS

Show = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def service() -> Iterator[LocalPubSub]:
    """A hub with people, one of whom has two connections, and an anonymous display."""
    with LocalPubSub() as service:
        for connection, user, groups in (
            ("c1", "ada", ["launch", "news"]),
            ("c2", "grace", ["launch"]),
            ("c3", "ada", ["launch", "a/b"]),
            ("wall", None, ["launch"]),
            ("evil", "(e\u202evil)", ["odd"]),
        ):
            service.client(hub="chat", user=user, connection_id=connection, groups=groups)
        yield service


@pytest.fixture
def run(command_line: Show, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Runs `wps-run show`; returns its exit code, stdout and stderr."""
    monkeypatch.setenv("WebPubSubHub", "chat")
    return partial(command_line, "show")


@pytest.fixture
def show(service: LocalPubSub, run: Show, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Runs it against the emulator."""
    monkeypatch.setenv("WebPubSubConnectionString", service.connection_string)
    return run


def test_group_as_a_table(service: LocalPubSub, show: Show) -> None:
    host = service.endpoint.partition("://")[2]

    assert show("group", "launch", "nobody", "launch") == (
        1,
        (
            f"hub chat at {host}\n"
            "group launch\n"
            "  CONNECTION  USER\n"
            "  c1          ada\n"
            "  c2          grace\n"
            "  c3          ada\n"
            "  wall        (anonymous)\n"
            "  4 connections, 2 users, 1 anonymous\n"
            "group nobody: no connections\n"
        ),
        "",
    )


def test_hostile_names_are_escaped(show: Show) -> None:
    """A user cannot pass for an anonymous connection, or reverse a line."""
    code, out, _ = show("group", "odd")

    assert code == 0
    assert '  evil        "(e\\u202evil)"\n' in out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_table_fits_the_terminal() -> None:
    """Long names are shortened in the middle, by columns and not by characters."""
    parent, child = os.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    access = HubAccess(Endpoint("https://a.example", "k"), "chat", RunOptions(), None, NO_SECRETS)
    members = [LiveConnection("c" * 31, "ada"), LiveConnection("d" * 90, "漢" * 40)]

    with os.fdopen(child, "w") as terminal, contextlib.redirect_stdout(terminal):
        TextPrinter(access).members("launch", members)
        terminal.flush()
        printed = b""
        while printed.count(b"\n") < 5:
            printed += os.read(parent, 10_000)
    lines = printed.decode().splitlines()
    os.close(parent)

    assert lines[3] == f"  {'c' * 31}           ada"
    assert lines[4].endswith("漢漢漢漢…漢漢漢")
    assert max(map(wcswidth, lines)) <= 60


def test_group_as_records(service: LocalPubSub, show: Show) -> None:
    place = {"endpoint": service.endpoint.partition("://")[2], "hub": "chat"}
    members: list[dict[str, str | None]] = [
        {"connectionId": "c1", "userId": "ada"},
        {"connectionId": "c2", "userId": "grace"},
        {"connectionId": "c3", "userId": "ada"},
        {"connectionId": "wall", "userId": None},
    ]
    record: dict[str, object] = {"type": "group", "group": "launch", "exists": True}
    record |= {"connections": 4, "users": 2, "anonymous": 1}

    code, out, _ = show("group", "launch", "--output", "ndjson")
    assert code == 0
    assert list(map(json.loads, out.splitlines())) == [
        *({**member, "type": "member", "group": "launch"} for member in members),
        {**record, **place},
    ]

    code, out, _ = show("--output", "json", "group", "launch", "news")
    assert code == 0
    assert json.loads(out) == {
        **place,
        "results": [
            {**record, "members": members},
            {
                **record,
                "group": "news",
                "connections": 1,
                "users": 1,
                "anonymous": 0,
                "members": members[:1],
            },
        ],
    }


def test_users_and_connections(show: Show) -> None:
    """One line for each; all have to be there for exit code 0."""
    code, out, _ = show("user", "ada", "grace")
    assert (code, out.splitlines()[1:]) == (0, ["user ada: connected", "user grace: connected"])

    code, out, _ = show("user", "ada", "linus")
    assert (code, out.splitlines()[1:]) == (1, ["user ada: connected", "user linus: not connected"])

    code, out, _ = show("connection", "wall", "ada")
    assert (code, out.splitlines()[1:]) == (
        1,
        ["connection wall: open", "connection ada: not open"],
    )

    code, out, _ = show("user", "linus", "--output", "ndjson")
    assert code == 1
    assert json.loads(out).items() >= {"type": "user", "userId": "linus", "exists": False}.items()


def test_permission(service: LocalPubSub, show: Show) -> None:
    """A group with a slash can be asked for, since it is not in the path."""
    name = service.client(hub="chat").connection_id
    with WebPubSubServiceClient.from_connection_string(service.connection_string, "chat") as sdk:
        sdk.grant_permission("sendToGroup", name, target_name="a/b")

    code, out, _ = show("permission", name, "sendToGroup", "a/b")
    assert (code, out.splitlines()[1:]) == (
        0,
        [f"connection {name}: sendToGroup allowed for group a/b"],
    )

    code, out, _ = show("permission", name, "joinLeaveGroup", "a/b")
    assert (code, out.splitlines()[1:]) == (
        1,
        [f"connection {name}: joinLeaveGroup not allowed for group a/b"],
    )

    code, out, _ = show("permission", "gone", "sendToGroup", "a/b")
    assert (code, out.splitlines()[1:]) == (1, ["connection gone: not open"])


def test_group_that_actions_use_in_place_of_one_with_a_slash(
    service: LocalPubSub, show: Show
) -> None:
    """The command that the error for a name with a slash suggests."""
    with WebPubSubServiceClient.from_connection_string(service.connection_string, "chat") as sdk:
        sdk.add_connection_to_group("x/y", "wall")

    assert "group x%2Fy\n" in show("group", "x%2Fy")[1]
    assert show("group", "x/y")[0] == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("group",), "name the group: `wps-run show group NAME`"),
        (("groups", "x"), "'groups' is not one of"),
        (("permission", "c1", "sendToGroup"), "answers for one group only"),
        (("permission", "c1", "sendToGroups", "x"), "did you mean `sendToGroup`?"),
        (("permission", "c1", "x", "y", "z"), "answers for one group only"),
        (("group", "a/b"), "`wps-run show group a%2Fb` asks for the name"),
        (("user", "x", "a b/c"), "`wps-run show user 'a b%2Fc'`"),
        (("connection", ".."), "HTTP libraries remove"),
        (("group", ""), "is empty"),
        (("group", "x" * 1025), "at most 1024"),
        (("user", "a\x1b[2Jb"), "`a\\u001b[2Jb` has a control character"),
        (("user", "a\udce9"), "half of a surrogate pair"),
        (("user", "ada", "--hub", "2"), "the hub's name must begin"),
        (("user", "ada", "--timeout", "0"), "timeout"),
        (("user", "ada", "--connection", "NONE"), "NONE"),
        (("user", "ada", "--endpoint", "http://example.com"), "`--endpoint`"),
        (("user", "ada", "--ca-bundle", "none.pem"), "none.pem"),
        (("user", "ada", "--settings", "none.json"), "none.json"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_sent(
    service: LocalPubSub, show: Show, args: tuple[str, ...], message: str
) -> None:
    before = len(service.requests)

    code, out, err = show(*args)

    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ")
    assert len(service.requests) == before


def test_requests_are_logged_without_secrets(service: LocalPubSub, show: Show) -> None:
    """As those of a run are."""
    _, _, err = show("user", "ada", "--log-level", "debug")

    assert "INFO wps_run.connect > HEAD /api/hubs/chat/users/ada?api-version=" in err
    assert "Authorization: Bearer ***" in err
    assert service.access_key not in err
    assert "eyJ" not in err


def test_throttled_reads_are_retried(service: LocalPubSub, show: Show) -> None:
    """Up to the attempts that the command line allows."""
    service.fault("429,count=1")

    assert show("user", "ada")[0] == 0

    service.fault("429,count=1")
    code, out, err = show("user", "ada", "--attempts", "1")

    assert (code, out) == (2, "")
    assert err.startswith("error: cannot read the user `ada` of hub chat: ")
    assert "the service gets too many requests" in err


class _Pages(BaseHTTPRequestHandler):
    """Answers with pages of the group, without an end."""

    protocol_version = "HTTP/1.1"
    requests = 0

    def do_GET(self) -> None:
        """Answer with a page."""
        type(self).requests += 1
        number = self.requests
        names = [f"c{number}-{place}" for place in range(200)]
        page = {
            "value": [{"connectionId": name, "userId": "ada"} for name in names],
            "nextLink": f"http://elsewhere.example/?continuationToken={number}",
        }
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def endless(serve: Callable[[HTTPServer], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose group never ends, and the environment that leads to it."""
    origin = serve(ThreadingHTTPServer(("127.0.0.1", 0), _Pages))
    monkeypatch.setenv("WebPubSubHub", "chat")
    monkeypatch.setenv(
        "WebPubSubConnectionString", f"Endpoint={origin};AccessKey={'k' * 44};Version=1.0;"
    )


SCRIPT = Path(sys.executable).parent / "wps-run"


@pytest.mark.usefixtures("endless")
def test_rows_appear_while_the_group_is_read() -> None:
    """And when their reader leaves, the command ends without a word."""
    with subprocess.Popen(
        [SCRIPT, "show", "group", "launch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()

        assert first.startswith(b"hub chat at")
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.usefixtures("endless")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has another signal")
def test_an_interrupt_ends_it() -> None:
    with subprocess.Popen(
        [SCRIPT, "show", "group", "launch", "-v"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

    assert process.returncode == 130
    assert rest.endswith("note: interrupted\n")
    assert "Traceback" not in rest


def test_permissions_are_completed() -> None:
    """Behind a connection, and nowhere else."""
    context = click.Context(show_command)
    names = show_command.params[1]

    def completed(kind: str, *given: str) -> list[str]:
        context.params = {"kind": kind, "names": given}
        return [item.value for item in names.shell_complete(context, "")]

    assert completed("permission", "c1") == ["sendToGroup", "joinLeaveGroup"]
    assert completed("permission") == []
    assert completed("user", "ada") == []
