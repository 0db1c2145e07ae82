"""`wps-run serve` with seeds and faults."""

import errno
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wps_run.connect.auth import Signer
from wps_run.connect.endpoint import Endpoint, parse_connection_string

Script = Callable[..., subprocess.CompletedProcess[str]]
Serve = Callable[..., tuple[Endpoint, subprocess.Popen[str]]]

SEED = """
hub: chat
clients:
  - userId: ada
    connectionId: c1
    groups: [red]
    permissions: {sendToGroup: [red]}
  - {userId: "user-${n}", count: 3, groups: [all]}
"""


@pytest.fixture
def serve(script: Path, tmp_path: Path) -> Iterator[Serve]:
    """Starts emulators, and stops them at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*args: str) -> tuple[Endpoint, subprocess.Popen[str]]:
        child = subprocess.Popen(
            [script, "serve", "--port", "0", *args],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        assert child.stdout is not None
        return parse_connection_string(child.stdout.readline().strip()), child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def call_admin(
    endpoint: Endpoint, path: str, body: str | None = None, method: str | None = None
) -> Any:
    """Call a path below `/_local/` with the key; return the decoded response."""
    request = urllib.request.Request(  # noqa: S310 - http, here
        f"{endpoint.origin}/_local/{path}",
        data=body.encode() if body is not None else None,
        headers={"Authorization": f"Bearer {endpoint.key}"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - http, here
        text = response.read()
    return json.loads(text) if text else None


def test_seeded_emulator_starts_with_its_clients(serve: Serve, tmp_path: Path) -> None:
    """With groups and permissions; clients with a count are numbered."""
    (tmp_path / "seed.yaml").write_text(SEED, encoding="utf-8")
    endpoint, _ = serve("--seed", "seed.yaml")

    chat = call_admin(endpoint, "state")["hubs"]["chat"]

    assert [client["userId"] for client in chat["connectionList"]] == [
        "ada",
        "user-1",
        "user-2",
        "user-3",
    ]
    assert chat["connectionList"][0]["permissions"]["sendToGroup"]["allowed"] == ["red"]
    assert chat["groupList"] == [
        {"group": "red", "connections": 1},
        {"group": "all", "connections": 3},
    ]


def test_all_problems_of_a_seed_are_reported_with_positions(
    wps_run: Script, tmp_path: Path
) -> None:
    """The emulator does not start; exit code 2."""
    (tmp_path / "seed.yaml").write_text("clients:\n  - userId: 7\n    gruops: [red]\n", "utf-8")

    process = wps_run("serve", "--port", "0", "--seed", "seed.yaml")

    assert (process.returncode, process.stdout) == (2, "")
    assert 'seed.yaml:2:13: error: must be a string; write "7"' in process.stderr
    assert "`gruops` is not known here; did you mean `groups`?" in process.stderr
    assert wps_run("serve", "--seed", "missing.yaml").returncode == 2


def test_empty_seed_is_reported_with_an_example(wps_run: Script, tmp_path: Path) -> None:
    """An example of a seed, not of a playbook."""
    (tmp_path / "seed.yaml").write_text("# later\n\n", "utf-8")

    process = wps_run("serve", "--port", "0", "--seed", "seed.yaml")

    assert process.returncode == 2
    assert "`seed.yaml` is empty; write it as clients: [{userId: ada" in process.stderr
    assert "actions" not in process.stderr


def test_warnings_of_the_emulator_are_labeled(serve: Serve) -> None:
    """As all diagnostics are."""
    endpoint, child = serve()
    path = "/api/hubs/chat/:send"
    request = urllib.request.Request(  # noqa: S310 - http, here
        f"{endpoint.origin}{path}?api-version=2099-01-01",
        data=b"x",
        headers={
            "Authorization": f"Bearer {Signer(endpoint).token(path, time.time())}",
            "Content-Type": "text/plain",
        },
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - http, here
        pass

    assert child.stderr is not None
    lines = iter(child.stderr.readline, "")
    assert next(line for line in lines if "2099-01-01" in line).startswith("warning: api-version")


def test_faults_are_reported_and_can_be_changed(serve: Serve) -> None:
    """With the seed that repeats them."""
    endpoint, child = serve("--fault", "429,share=50%", "--fault-seed", "7")
    assert child.stderr is not None
    assert child.stderr.readline() == (
        "note: faults are injected; repeat them with --fault-seed 7\n"
    )

    assert call_admin(endpoint, "faults", "stall", "PUT")["faults"][0]["fault"] == "stall"
    with pytest.raises(urllib.error.HTTPError, match="400"):
        call_admin(endpoint, "faults", "stal", "PUT")
    assert call_admin(endpoint, "reset", "", "POST") is None
    assert call_admin(endpoint, "faults") == {"seed": 7, "faults": []}


def test_invalid_fault_is_reported_with_a_suggestion(wps_run: Script) -> None:
    process = wps_run("serve", "--fault", "429,cuont=3")

    assert (process.returncode, process.stdout) == (2, "")
    assert "did you mean `count`?" in process.stderr


def test_port_in_use_is_reported(wps_run: Script) -> None:
    """With the address and the system's reason; exit code 2."""
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]

        process = wps_run("serve", "--port", str(port))

    assert (process.returncode, process.stdout) == (2, "")
    remedy = "select another port, or 0 for a free one"
    reason = f"{os.strerror(errno.EADDRINUSE)}; {remedy}"
    assert process.stderr == f"error: cannot listen on 127.0.0.1:{port}: {reason}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)])
def test_emulator_stops_at_once_while_requests_are_stalled(
    serve: Serve, script: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """It leaves no files."""
    endpoint, child = serve("--fault", "stall")
    (tmp_path / "p.yaml").write_text(
        "hub: h\nactions:\n  - {actionName: sendToAll, data: x}\n", "utf-8"
    )
    setting = f"Endpoint={endpoint.origin};AccessKey={endpoint.key};Version=1.0;"
    caller = subprocess.Popen(
        [script, "--no-journal", "p.yaml"],
        cwd=tmp_path,
        env={"WebPubSubConnectionString": setting, "PATH": ""},
        stdout=subprocess.PIPE,
        text=True,
    )
    while not call_admin(endpoint, "ledger?operation=SendToAll")["entries"]:
        pass

    child.send_signal(number)
    _, errors = child.communicate(timeout=5)
    output, _ = caller.communicate(timeout=20)

    assert child.returncode == 0
    assert endpoint.key not in errors
    assert "Traceback" not in errors
    assert "unknown" in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.yaml"]


@pytest.mark.parametrize("args", [("--fault", "503"), ("--fault-seed", "1"), ("--absent", "ada")])
def test_faults_require_a_rehearsal(wps_run: Script, project: Path, args: tuple[str, str]) -> None:
    process = wps_run(*args, project / "playbooks" / "group-setup.yaml")

    assert process.returncode == 2
    assert f"{args[0]} is for rehearsals; add --local" in process.stderr


def test_rehearsal_reports_absent_users_and_faults(wps_run: Script, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "hub: h\nonMissing: skip\nactions:\n"
        "  - forEach: [ada, bob, a=b]\n    actionName: addUserToGroup\n"
        "    userId: ${each}\n    group: red\n",
        "utf-8",
    )
    args = ("--absent", "bob", "--absent", "a=b", "--fault", "429,retry-after-ms=1,nth=1")

    process = wps_run("--local", *args, "--fault-seed", "3", "p.yaml")

    assert process.returncode == 0, process.stderr
    assert "1 ok, 0 failed, 0 unknown, 2 skipped" in process.stdout
    assert 'Absent\n    bob, "a=b"' in process.stdout
    assert "Faults (repeat them with --fault-seed 3)" in process.stdout
    assert "affected 1 request: AddUserToGroup 1" in process.stdout
    assert "1 request was sent again" in process.stdout
