"""`wps-run serve`, with seeds and faults, as a user starts it."""

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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
    """Starts services, and ends them."""
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
    """What a path below `/_local/` returns to a caller with the key."""
    request = urllib.request.Request(  # noqa: S310 - http, here
        f"{endpoint.origin}/_local/{path}",
        data=body.encode() if body is not None else None,
        headers={"Authorization": f"Bearer {endpoint.key}"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - http, here
        text = answer.read()
    return json.loads(text) if text else None


def test_a_seeded_service_has_its_clients_from_the_start(serve: Serve, tmp_path: Path) -> None:
    """With groups and permissions; several of a kind are numbered."""
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


def test_problems_of_a_seed_have_positions(wps_run: Script, tmp_path: Path) -> None:
    """All of it; nothing is started. Exit 2."""
    (tmp_path / "seed.yaml").write_text("clients:\n  - userId: 7\n    gruops: [red]\n", "utf-8")

    done = wps_run("serve", "--port", "0", "--seed", "seed.yaml")

    assert (done.returncode, done.stdout) == (2, "")
    assert 'seed.yaml:2:13: must be a string; write "7"' in done.stderr
    assert "`gruops` is not known here; did you mean `groups`?" in done.stderr
    assert wps_run("serve", "--seed", "missing.yaml").returncode == 2


def test_an_empty_seed_is_reported_with_an_example(wps_run: Script, tmp_path: Path) -> None:
    """Not how playbooks are."""
    (tmp_path / "seed.yaml").write_text("# later\n\n", "utf-8")

    done = wps_run("serve", "--port", "0", "--seed", "seed.yaml")

    assert done.returncode == 2
    assert "`seed.yaml` is empty; write it as clients: [{userId: ada" in done.stderr
    assert "actions" not in done.stderr


def test_faults_are_announced_and_can_be_changed(serve: Serve) -> None:
    """With the seed that brings the same again."""
    endpoint, child = serve("--fault", "429,share=50%", "--fault-seed", "7")
    assert child.stderr is not None
    assert child.stderr.readline() == (
        "wps-run: note: faults are injected; repeat them with --fault-seed 7\n"
    )

    assert call_admin(endpoint, "faults", "stall", "PUT")["faults"][0]["fault"] == "stall"
    with pytest.raises(urllib.error.HTTPError, match="400"):
        call_admin(endpoint, "faults", "stal", "PUT")
    assert call_admin(endpoint, "reset", "", "POST") is None
    assert call_admin(endpoint, "faults") == {"seed": 7, "faults": []}


def test_an_invalid_fault_is_reported(wps_run: Script) -> None:
    """What is wrong and what to write; exit 2."""
    done = wps_run("serve", "--fault", "429,cuont=3")

    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean `count`?" in done.stderr


def test_a_port_that_is_in_use_is_reported(wps_run: Script) -> None:
    """With the address and the system's reason; exit 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = wps_run("serve", "--port", str(port))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"wps-run: cannot listen on 127.0.0.1:{port}: ")


def test_a_stop_is_prompt_while_requests_are_stalled(
    serve: Serve, script: Path, tmp_path: Path
) -> None:
    """SIGTERM ends it; it prints only its address, and leaves nothing behind."""
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

    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=5)
    output, _ = caller.communicate(timeout=20)

    assert child.returncode == 0
    assert endpoint.key not in errors
    assert "Traceback" not in errors
    assert "unknown" in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.yaml"]


@pytest.mark.parametrize("args", [("--fault", "503"), ("--fault-seed", "1"), ("--absent", "ada")])
def test_faults_are_for_rehearsals(wps_run: Script, project: Path, args: tuple[str, str]) -> None:
    """A real service is not made worse. Exit 2."""
    done = wps_run(*args, project / "playbooks" / "group-setup.yaml")

    assert done.returncode == 2
    assert f"{args[0]} is for rehearsals; add --local" in done.stderr


def test_a_rehearsal_can_have_faults(wps_run: Script, tmp_path: Path) -> None:
    """Absent and late users, faults; all are reported at the end."""
    (tmp_path / "p.yaml").write_text(
        "hub: h\nonMissing: skip\nactions:\n"
        "  - forEach: [ada, bob, a=b]\n    actionName: addUserToGroup\n"
        "    userId: ${each}\n    group: red\n",
        "utf-8",
    )
    args = ("--absent", "bob", "--absent", "a=b", "--fault", "429,retry-after-ms=1,nth=1")

    done = wps_run("--local", *args, "--fault-seed", "3", "p.yaml")

    assert done.returncode == 0, done.stderr
    assert "1 ok, 0 failed, 0 unknown, 2 skipped" in done.stdout
    assert 'Absent\n    bob, "a=b"' in done.stdout
    assert "Faults (repeat them with --fault-seed 3)" in done.stdout
    assert "affected 1 request: AddUserToGroup 1" in done.stdout
    assert "1 request was sent again" in done.stdout
