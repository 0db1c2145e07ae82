"""`wps-run listen` as a process: its HTTP, its reloads and its end."""

import hmac
import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

KEY = "k" * 44
SETTING = f"Endpoint=https://rooms.webpubsub.azure.com;AccessKey={KEY};Version=1.0;"
PLAYBOOK = "{hub: chat, groups: {red: {users: {file: red.csv}, roles: [sendToGroup]}}}"


class Listen:
    """A running `wps-run listen`."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        self.port = int(url.removesuffix("/eventhandler").rpartition(":")[2])
        self.next_message("loaded")

    def next_message(self, part: str) -> str:
        """Wait for the line on stderr that contains a text."""
        assert self.child.stderr is not None
        return next(line for line in self.child.stderr if part in line)

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Any = b""
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def connect(self, user: str) -> tuple[int, bytes]:
        """Send the event `connect` of a user."""
        digest = hmac.digest(KEY.encode(), b"c1", "sha256").hex()
        headers = {
            "WebHook-Request-Origin": "rooms.webpubsub.azure.com",
            "ce-specversion": "1.0",
            "ce-type": "azure.webpubsub.sys.connect",
            "ce-source": "/hubs/chat/client/c1",
            "ce-id": "1",
            "ce-signature": f"sha256={digest}",
            "ce-connectionId": "c1",
            "ce-hub": "chat",
            "ce-eventName": "connect",
            "ce-userId": user,
        }
        return self.request("POST", "/eventhandler", headers, b"{}")

    def health(self) -> Any:
        return json.loads(self.request("GET", "/healthz")[1])


@pytest.fixture
def listen(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Listen]]:
    """Starts `wps-run listen` in a folder with a playbook and its users."""
    monkeypatch.setenv("WebPubSubConnectionString", SETTING)
    (tmp_path / "rooms.yaml").write_text(PLAYBOOK)
    (tmp_path / "red.csv").write_text("id\nada\n")
    started: list[subprocess.Popen[str]] = []

    def start(*args: str) -> Listen:
        child = subprocess.Popen(
            [script, "listen", "--port", "0", "rooms.yaml", *args],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return Listen(child)

    yield start
    for child in started:
        child.kill()
        child.communicate()


RED = b'{"groups":["red"],"roles":["webpubsub.sendToGroup.red"]}'


def test_requests_are_answered_and_counted_and_logged(listen: Callable[..., Listen]) -> None:
    running = listen("-v", "--unknown", "refuse")

    assert running.connect("ada") == (200, RED)
    assert "connect of user ada: known (200), 1 group" in running.next_message("connect")
    assert running.connect("eve") == (401, b"")
    assert "connect of user eve: refused (401)" in running.next_message("connect")
    assert running.request("POST", "/eventhandler", {"ce-userId": "ada"}) == (401, b"")
    assert "ada" not in running.next_message("wrongSignature")
    assert running.request("PUT", "/eventhandler")[0] == 405
    assert running.request("POST", "/eventhandler/")[0] == 404
    assert running.request("POST", "/healthz")[0] == 404

    answers = running.health()["answers"]
    assert {name: count for name, count in answers.items() if count} == {
        "known": 1,
        "refused": 1,
        "wrongSignature": 1,
    }
    assert "ada" not in json.dumps(running.health())
    assert "red" not in json.dumps({**running.health(), "answers": {}})


def test_a_long_body_is_refused_also_without_its_length(listen: Callable[..., Listen]) -> None:
    running = listen()
    chunks = [b"x" * 65536] * 17

    assert running.request("POST", "/eventhandler", body=b"".join(chunks))[0] == 413
    connection = socket.create_connection(("127.0.0.1", running.port), timeout=10)
    with connection:
        connection.sendall(
            b"POST /eventhandler HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for chunk in chunks:
            connection.sendall(b"10000\r\n" + chunk + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413")
    assert running.connect("ada") == (200, RED)


def test_a_changed_file_is_read_again_and_a_wrong_one_changes_nothing(
    listen: Callable[..., Listen], tmp_path: Path
) -> None:
    running = listen()

    (tmp_path / "red.csv").write_text("id\nada\neve\n")
    assert "2 users in 1 group" in running.next_message("reloaded")
    assert running.connect("eve") == (200, RED)

    (tmp_path / "rooms.yaml").write_text(PLAYBOOK.replace("users", "user"))
    assert "rooms.yaml:1:28: error: `user` is not a key" in running.next_message("error")
    assert "the answers stay as they were" in running.next_message("warning")
    assert running.connect("eve") == (200, RED)
    assert running.health()["status"] == "stale"

    (tmp_path / "rooms.yaml").write_text(PLAYBOOK.replace("red:", "blue:"))
    running.next_message("reloaded")
    assert b"blue" in running.connect("ada")[1]
    assert running.health()["status"] == "ok"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_sighup_reads_all_again_and_sigterm_ends_it(listen: Callable[..., Listen]) -> None:
    """An open connection does not delay the end."""
    running = listen()
    running.child.send_signal(signal.SIGHUP)
    running.next_message("reloaded")
    assert running.health()["reloads"] == 1

    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(b"POST /eventhandler HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        running.child.send_signal(signal.SIGTERM)
        assert running.child.wait(timeout=5) == 0


PATHS = ("x", "/a b", "/a%20b", "/a?b", "/healthz")
"""Those that no request could have, or that are something else."""


def test_what_cannot_be_served_ends_it_with_an_error(wps_run: Script, tmp_path: Path) -> None:
    (tmp_path / "rooms.yaml").write_text("{hub: chat, groups: {red: {users: {file: no.csv}}}}")
    (tmp_path / "good.yaml").write_text("{hub: chat, groups: {red: {users: [ada]}}}")
    for args, message in (
        (["-"], "name files in place of `-`"),
        ([], "name a playbook"),
        *((["rooms.yaml", "--path", path], "--path must begin with `/`") for path in PATHS),
        (["good.yaml", "--allow-origin", "https://a.example"], "is not a host"),
        (["rooms.yaml"], "no.csv"),
        (["rooms.yaml", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    ):
        ended = wps_run("listen", "--port", "0", *args, WebPubSubConnectionString=SETTING)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert message in ended.stderr
