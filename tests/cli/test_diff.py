"""`wps-run diff` and `run --only-changes`: what would change, and nothing but that."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.testing import LocalPubSub

CommandLine = Callable[..., tuple[int, str, str]]

PLAYBOOK = """
hub: chat
groups:
  red: {users: [ada, eve, nobody], prune: true, onMissing: skip}
actions:
  - {actionName: grantPermission, connectionId: a1, permission: sendToGroup, targetName: red}
  - {actionName: sendToGroup, group: red, data: hi}
  - {actionName: sendToGroup, group: red, data: you}
  - {actionName: removeUserFromGroup, userId: bob, group: blue}
"""


@pytest.fixture
def service() -> Iterator[LocalPubSub]:
    """A hub with people."""
    with LocalPubSub() as service:
        for connection, user, groups in (
            ("a1", "ada", ["red"]),
            ("b1", "bob", ["red"]),
            ("e1", "eve", []),
            ("wall", None, ["red"]),
        ):
            service.client(hub="chat", user=user, connection_id=connection, groups=groups)
        yield service


@pytest.fixture
def run(service_command_line: CommandLine) -> CommandLine:
    """Runs a command line in a folder with the playbook, against the hub."""
    Path("p.yaml").write_text(PLAYBOOK)
    return service_command_line


def test_text(run: CommandLine, service: LocalPubSub) -> None:
    host = service.endpoint.partition("://")[2]

    assert run("diff", "p.yaml") == (
        1,
        f"""\
DIFF (nothing is changed) · SERVICE {host} · hub chat · p.yaml · 9 actions, sequential

group red
  + eve                  p.yaml:4
  - connection b1 (bob)  p.yaml:4
  - connection wall      p.yaml:4

sendToGroup on red
  + connection a1  p.yaml:6

not there, so that nothing changes
  addUserToGroup userId=nobody group=red  p.yaml:4: the user has no connection

not compared
  2 sendToGroup: messages are not compared

DIFF: 9 actions: 4 to change, 2 in place, 1 not there, 2 not compared
""",
        "",
    )


def requests_of(service: LocalPubSub) -> set[str]:
    entries = (entry.what for entry in service.requests)
    return {entry.method for entry in entries if isinstance(entry, RequestEntry)}


def test_nothing_is_changed(run: CommandLine, service: LocalPubSub) -> None:
    run("diff", "p.yaml")

    assert requests_of(service) == {"GET", "HEAD"}


def test_records(run: CommandLine) -> None:
    code, text, _ = run("diff", "--output", "ndjson", "p.yaml")
    *lines, summary = map(json.loads, text.splitlines())
    whole = json.loads(run("diff", "--output", "json", "p.yaml")[1])

    assert code == 1
    assert [line["verdict"] for line in lines] == [
        *["in-place", "change", "absent", "change", "change", "change"],
        *["not-known", "not-known", "in-place"],
    ]
    assert whole == {"changes": lines, "summary": summary}
    assert summary["change"] == 4
    assert summary["exitCode"] == 1


def test_after_the_run_there_is_nothing_to_change(run: CommandLine) -> None:
    assert run("p.yaml")[0] == 0

    code, text, _ = run("diff", "p.yaml")

    assert code == 0
    assert "DIFF: 7 actions: 0 to change, 4 in place, 1 not there, 2 not compared" in text


@pytest.mark.parametrize("options", [[], ["--mode", "concurrent"]])
def test_only_changes_are_carried_out(run: CommandLine, options: Sequence[str]) -> None:
    """What is in place is skipped with a code of its own, and is no failure."""
    code, text, _ = run("--only-changes", *options, "--output", "json", "p.yaml")

    results = json.loads(text)["results"]
    assert code == 0
    in_place = {"status": "skipped", "code": "in-place"}
    assert [_outcome(result) for result in results] == [
        in_place,
        {"status": "ok"},
        {"status": "skipped", "code": "missing"},
        *[{"status": "ok"}] * 5,
        in_place,
    ]
    assert "0 to change" in run("diff", "p.yaml")[1]


def _outcome(result: dict[str, Any]) -> dict[str, str]:
    error = {"code": result["error"]["code"]} if result["error"] else {}
    return {"status": result["status"], **error}


def test_a_step_that_an_earlier_one_makes_necessary_is_no_step_in_place(
    run: CommandLine, tmp_path: Path
) -> None:
    """Removed and added again: both are carried out."""
    (tmp_path / "p.yaml").write_text(
        "hub: chat\nactions:\n"
        "  - {actionName: removeUserFromGroup, userId: ada, group: red}\n"
        "  - {actionName: addUserToGroup, userId: ada, group: red}\n"
    )

    _, text, _ = run("--only-changes", "--output", "json", "p.yaml")

    assert [result["status"] for result in json.loads(text)["results"]] == ["ok", "ok"]


def test_a_resumed_run_compares_again(run: CommandLine, tmp_path: Path) -> None:
    """The option is kept; what is in place has its result, and is not looked at again."""
    first, _, _ = run("--only-changes", "--journal", "j", "p.yaml")
    code, text, _ = run("--resume", "j", "--output", "json")

    assert (first, code) == (0, 0)
    assert all(result["earlier"] for result in json.loads(text)["results"])
    assert (tmp_path / "j").exists()


def test_a_run_that_was_killed_compares_what_is_left(run: CommandLine, tmp_path: Path) -> None:
    """With the state as it is now, not as it was when the run began.

    What was being sent runs again, since nothing else says how it ended.
    """
    (tmp_path / "a.yaml").write_text(
        "hub: chat\nactions: [{actionName: addUserToGroup, userId: eve, group: blue}]"
    )
    (tmp_path / "b.yaml").write_text("hub: chat\ngroups: {red: {users: [ada], prune: true}}")
    (tmp_path / "c.yaml").write_text(
        "hub: chat\nactions: [{actionName: removeUserFromGroup, userId: ada, group: red}]"
    )
    run("--only-changes", "--journal", "j", "a.yaml", "b.yaml")
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    (tmp_path / "j").write_bytes(b"".join(lines[:2]))  # the first line, and the first `sending`
    run("--no-journal", "c.yaml")

    code, text, _ = run("--resume", "j", "--output", "json")

    results = json.loads(text)["results"]
    assert code == 0
    assert [result["status"] for result in results] == ["ok"] * 4
    assert "0 to change" in run("diff", "a.yaml", "b.yaml")[1]


def test_what_cannot_be_read_is_an_error_and_nothing_is_sent(
    run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "WebPubSubConnectionString", f"Endpoint=http://127.0.0.1:9;AccessKey={'k' * 44}"
    )
    for args in (["diff"], ["--only-changes", "--journal", "j"]):
        code, text, errors = run(*args, "--attempts", "1", "p.yaml")

        assert (code, text) == (2, "")
        assert "error: cannot read the group `red` of hub chat: " in errors
    assert not (tmp_path / "j").exists()


def test_two_playbooks_of_one_hub_are_compared_as_one_run(run: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "hub: chat\nactions: [{actionName: removeUserFromGroup, userId: ada, group: red}]"
    )
    (tmp_path / "b.yaml").write_text(
        "hub: CHAT\nactions: [{actionName: addUserToGroup, userId: ada, group: red}]"
    )

    _, text, _ = run("diff", "--output", "ndjson", "a.yaml", "b.yaml")

    assert [json.loads(line).get("verdict") for line in text.splitlines()[:-1]] == ["change"] * 2


def test_hubs_of_one_name_at_two_services_are_compared_apart(
    run: CommandLine, tmp_path: Path, service: LocalPubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob is in both, and is removed from both."""
    action = "actions: [{actionName: removeUserFromGroup, userId: bob, group: red}]"
    (tmp_path / "a.yaml").write_text(f"hub: chat\n{action}")
    (tmp_path / "b.yaml").write_text(f"hub: chat\nconnection: Other\n{action}")
    with LocalPubSub() as other:
        other.client(hub="chat", user="bob", connection_id="b1", groups=["red"])
        monkeypatch.setenv("Other", other.connection_string)
        host, other_host = (each.endpoint.partition("://")[2] for each in (service, other))

        code, text, _ = run("diff", "a.yaml", "b.yaml")
        records = json.loads(run("diff", "--output", "json", "a.yaml", "b.yaml")[1])["changes"]
        results = json.loads(run("--only-changes", "--output", "json", "a.yaml", "b.yaml")[1])

    assert code == 1
    assert [(record["endpoint"], record["hub"]) for record in records] == [
        (host, "chat"),
        (other_host, "chat"),
    ]
    assert f"group red of hub chat at {host}\n  - bob  a.yaml:2\n" in text
    assert f"group red of hub chat at {other_host}\n  - bob  b.yaml:3\n" in text
    assert [result["status"] for result in results["results"]] == ["ok", "ok"]


def test_a_user_that_cannot_be_asked_for_is_an_error(
    run: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.yaml").write_text("hub: chat\ngroups: {red: {users: [ada, eve]}}")
    with LocalPubSub(faults=["500,on=UserExists"]) as service:
        monkeypatch.setenv("WebPubSubConnectionString", service.connection_string)
        for args in (["diff", "--output", "json"], ["--only-changes"]):
            code, text, errors = run(*args, "--attempts", "1", "p.yaml")

            assert (code, text) == (2, "")
            assert errors.startswith("error: cannot read the user `")


SEED = """
clients:
  - {userId: ada, connectionId: a1, groups: [red]}
  - {userId: bob, connectionId: b1, groups: [red]}
  - {userId: eve}
  - {connectionId: wall, groups: [red]}
"""


def test_a_seed_takes_the_place_of_the_service(run: CommandLine, tmp_path: Path) -> None:
    """With the same people it says the same, and needs no setting."""
    (tmp_path / "people.yaml").write_text(SEED)

    code, text, _ = run("diff", "--local", "--seed", "people.yaml", "p.yaml")
    live = run("diff", "p.yaml")[1]

    assert code == 1
    assert text.startswith("DIFF (nothing is changed) · LOCAL rehearsal")
    assert text.splitlines()[1:] == live.splitlines()[1:]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--local"], "a rehearsal has nobody to compare with; add --seed FILE with its people"),
        (["--seed", "people.yaml"], "--seed is for rehearsals; add --local"),
    ],
)
def test_a_seed_and_local_belong_together(
    run: CommandLine, args: Sequence[str], message: str
) -> None:
    assert run("diff", *args, "p.yaml") == (2, "", f"error: {message}\n")
