"""`wps-run listen` as a process: its HTTP, its reloads and its end."""

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.listen_process import (
    PLAYBOOK,
    RED,
    SETTING,
    Listen,
    event_bytes,
    event_headers,
    read_response,
)

Script = Callable[..., subprocess.CompletedProcess[str]]


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


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"ce-userId": "eve"}, 204),
        ({"ce-signature": "sha256=0"}, 401),
        ({"ce-hub": "other"}, 404),
        ({"ce-id": ""}, 400),
        ({"ce-type": "azure.webpubsub.sys.connected", "ce-eventName": "connected"}, 204),
    ],
)
def test_an_event_is_answered_alike_however_it_arrives(
    members_of_red: Listen, changes: dict[str, str], status: int
) -> None:
    """Whole, in parts, in chunks, before another one, or with a query; all on one connection."""
    headers = {**event_headers("ada"), **changes}
    event = event_bytes(headers)
    head, end, body = event.partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", members_of_red.port), timeout=10) as connection:
        stream = connection.makefile("rb")
        for parts, count in [
            ([event], 1),
            ([head + end, body], 1),
            ([head + end, body[:1], body[1:]], 1),
            ([head[:50], head[50:] + end[:2], end[2:], body], 1),
            ([event_bytes(headers, target="/eventhandler?code=1")], 1),
            ([event * 3], 3),
            ([event, event], 2),
            ([event + head, end + body], 2),
            ([event_bytes(headers, b"x" * 100_000)], 1),
            ([event_bytes({"Connection": "keep-alive", **headers})], 1),
            ([event_bytes({"Transfer-Encoding": "chunked", **headers}, b"0\r\n\r\n")], 1),
            ([event_bytes({"Connection": "close", **headers})], 1),
        ]:
            for part in parts:
                connection.sendall(part)
                members_of_red.health()  # so it has been read
            answers = [read_response(stream) for _ in range(count)]
            assert answers == [(status, RED if status == 200 else b"")] * count
        assert stream.read() == b""


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
    assert "the responses stay as they were" in running.next_message("warning")
    assert running.connect("eve") == (200, RED)
    assert running.health()["status"] == "stale"

    (tmp_path / "rooms.yaml").write_text(PLAYBOOK.replace("red:", "blue:"))
    running.next_message("reloaded")
    assert b"blue" in running.connect("ada")[1]
    assert running.health()["status"] == "ok"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_no_answer_is_lost_while_files_are_read_again(
    listen: Callable[..., Listen], tmp_path: Path
) -> None:
    """On one connection that stays open, as that of the service does."""
    running = listen()
    (tmp_path / "red.csv").write_text("id\nada\n" + "".join(f"u{n}\n" for n in range(50_000)))
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as connection:
        stream = connection.makefile("rb")
        for number in (1, 2, 3):
            running.child.send_signal(signal.SIGHUP)
            while running.health()["reloads"] < number:
                connection.sendall(event_bytes(event_headers("ada")))
                assert read_response(stream) == (200, RED)
    assert running.health()["answers"]["known"] > 3


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
