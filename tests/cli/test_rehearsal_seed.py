"""Rehearsals against the people of a seed: `--local --seed`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import CommandLine

PEOPLE = """
clients:
- {userId: ada, connectionId: a1, groups: [red, lobby]}
- {userId: ada, connectionId: a2}
- {userId: eve, connectionId: e1, groups: [red], permissions: {sendToGroup: [red]}}
- {connectionId: wall, groups: [red]}
- {userId: bob}
"""


@pytest.fixture
def run(command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Runs `wps-run --local`, beside a seed; returns its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Path("people.yaml").write_text(PEOPLE)
    return lambda *args: command_line("--local", *args)


@pytest.fixture
def rehearse(run: CommandLine) -> Callable[..., dict[str, Any]]:
    """Rehearses a playbook against the seed; returns the report."""

    def rehearse(playbook: str, *args: str) -> dict[str, Any]:
        Path("p.yaml").write_text(f"hub: chat\n{playbook}")
        _, out, errors = run("--seed", "people.yaml", "--output", "json", *args, "p.yaml")
        report: dict[str, Any] = json.loads(out)
        report["stderr"] = errors
        return report

    return rehearse


Rehearse = Callable[..., dict[str, Any]]


def outcomes(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the target and status of each action, by index."""
    results = sorted(report["results"], key=lambda result: int(result["index"]))
    return [
        (
            result["target"].get("userId") or result["target"].get("connectionId", ""),
            result["status"],
        )
        for result in results
    ]


def test_the_clients_of_the_seed_are_simulated_and_nobody_else(rehearse: Rehearse) -> None:
    report = rehearse("""
actions:
- {actionName: addUserToGroup, userId: ada, group: blue}
- {actionName: addUserToGroup, userId: grace, group: blue, onMissing: skip}
- {actionName: sendToGroup, group: red, data: hi}
- {actionName: grantPermission, connectionId: a2, permission: sendToGroup, targetName: red}
- {actionName: closeUserConnections, userId: ada, reason: Spam}
""")

    assert [status for _, status in outcomes(report)] == ["ok", "skipped", "ok", "ok", "ok"]
    (hub,) = report["rehearsal"]
    assert (hub["clients"], hub["seeded"], hub["absent"]) == (5, 5, ["grace"])
    assert hub["groups"] == {"red": ["eve", "wall"]}
    (message,) = hub["messages"]
    assert message["receivedBy"] == ["ada", "eve", "wall"]
    assert hub["closed"] == [{"client": "ada", "reason": "Spam"}] * 2
    assert hub["permissions"] == [
        {"connectionId": "e1", "permission": "sendToGroup", "group": "red", "allowed": True}
    ]


def test_rows_and_removals_come_from_the_seed(rehearse: Rehearse) -> None:
    report = rehearse("""
groups:
  red: {users: [ada], prune: true}
actions:
- forEach: {group: lobby}
  actionName: sendToConnection
  connectionId: ${each.connectionId}
  data: Hello ${each.userId}
expect:
- {group: red, users: [ada]}
- {message: Hello ada, receivedBy: [a1]}
""")

    assert outcomes(report) == [("ada", "ok"), ("e1", "ok"), ("wall", "ok"), ("a1", "ok")]
    assert report["rehearsal"][0]["groups"]["red"] == ["ada", "ada"]
    assert [each["status"] for each in report["expectations"]] == ["ok", "ok"]
    assert report["stderr"] == ""


def test_connections_without_an_id_have_the_same_one_in_each_rehearsal(
    rehearse: Rehearse,
) -> None:
    Path("people.yaml").write_text(
        "clients:\n- {groups: [red], count: 2}\n- {connectionId: seed-2, groups: [red]}\n"
    )
    playbook = "groups:\n  red: {users: [], prune: true, allowEmpty: true}\n"

    expected = [("seed-1", "ok"), ("seed-2", "ok"), ("seed-3", "ok")]
    assert outcomes(rehearse(playbook)) == outcomes(rehearse(playbook)) == expected


def test_a_client_of_the_seed_may_be_absent_or_late(rehearse: Rehearse) -> None:
    """Then it is in none of its groups, and no row."""
    playbook = """
onMissing: {wait: 30s}
groups:
  red: {users: [ada], prune: true}
"""
    report = rehearse(playbook, "--absent", "eve", "--absent", "ada=50ms")

    assert outcomes(report) == [("ada", "ok"), ("wall", "ok")]
    (hub,) = report["rehearsal"]
    assert (hub["seeded"], hub["absent"]) == (4, ["eve"])
    assert hub["groups"] == {"red": ["ada", "ada"], "lobby": ["ada"]}


def test_an_empty_seed_has_nobody(rehearse: Rehearse) -> None:
    """As a hub to which nobody is connected."""
    Path("people.yaml").write_text("clients: []\n")

    report = rehearse("actions: [{actionName: addUserToGroup, userId: ada, group: red}]\n")

    assert outcomes(report) == [("ada", "failed")]
    assert report["rehearsal"][0]["absent"] == ["ada"]
    assert report["stderr"] == "warning: the seed has no client in hub `chat`\n"


@pytest.mark.parametrize(
    ("head", "hub", "clients"),
    [("", "Chat", 1), ("hub: CHAT\n", "chat", 1), ("hub: prod\n", "chat", 0)],
)
def test_a_seed_without_a_hub_is_for_the_hub_of_the_playbook(
    rehearse: Rehearse, head: str, hub: str, clients: int
) -> None:
    Path("people.yaml").write_text(f"{head}clients: [{{userId: ada}}]\n")

    report = rehearse("actions: [{actionName: sendToAll, data: hi}]\n", "--hub", hub)

    assert report["rehearsal"][0]["seeded"] == clients
    warning = "warning: the seed has no client in hub `chat`; its clients are in `prod`\n"
    assert report["stderr"] == ("" if clients else warning)


def test_reports_say_how_many_clients_are_from_the_seed(run: CommandLine) -> None:
    Path("p.yaml").write_text("[{actionName: sendToUser, userId: nobody, data: x}]")

    code, out, _ = run("--seed", "people.yaml", "--report", "r.md", "--report", "r.html", "p.yaml")

    assert code == 0
    markdown, page = Path("r.md").read_text(), Path("r.html").read_text()
    for text in (out, markdown, page):
        assert "5 simulated clients, 5 from the seed" in text
        assert "Only the clients of the seed are simulated. The real hub may have others." in text
        assert "Absent (not connected by the seed)" in text
        assert "Only clients named by" not in text


def test_a_resumed_rehearsal_has_the_same_seed(run: CommandLine, rehearse: Rehearse) -> None:
    rehearse("groups:\n  red: {users: [ada], prune: true}\n", "--journal", "j")

    code, out, _ = run("--resume", "j", "--output", "json")

    assert code == 0
    report = json.loads(out)
    assert report["rehearsal"][0]["seeded"] == 5
    assert outcomes(report) == [("ada", "ok"), ("e1", "ok"), ("wall", "ok")]


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ("clients:\n  - userId: 7\n", 'people.yaml:2:13: error: must be a string; write "7"'),
        ("# nobody\n", "`people.yaml` is empty; write it as clients: [{userId: ada"),
        (
            "clients: [{connectionId: a}, {connectionId: a, hub: chat}]",
            "the seed has the connection `a` twice in hub chat",
        ),
        (None, "people.yaml"),
    ],
)
def test_a_wrong_seed_is_reported_before_anything_runs(
    run: CommandLine, seed: str | None, message: str
) -> None:
    Path("people.yaml").unlink()
    if seed is not None:
        Path("people.yaml").write_text(seed)
    Path("p.yaml").write_text("hub: chat\nactions: [{actionName: sendToAll, data: x}]\n")

    code, out, errors = run("--seed", "people.yaml", "p.yaml")

    assert (code, out) == (2, "")
    assert message in errors


@pytest.mark.parametrize(
    ("args", "prune", "message"),
    [
        ([], "true", "nobody is simulated in the live group red, so no rows come from there and "),
        (["--only-changes"], "false", "nobody is in a group at first, so `--only-changes` "),
    ],
)
def test_without_a_seed_a_warning_says_what_is_missing(
    run: CommandLine, args: list[str], prune: str, message: str
) -> None:
    Path("p.yaml").write_text(f"hub: chat\ngroups:\n  red: {{users: [ada], prune: {prune}}}\n")

    code, _, errors = run(*args, "p.yaml")

    assert code == 0
    assert errors.startswith(f"warning: {message}")
    assert errors.endswith("; add the people with --seed FILE, which `wps-run snapshot` writes\n")


@pytest.mark.usefixtures("run")
def test_a_seed_is_for_rehearsals(command_line: CommandLine) -> None:
    Path("p.yaml").write_text("hub: chat\nactions: [{actionName: sendToAll, data: x}]\n")

    assert command_line("--seed", "people.yaml", "p.yaml") == (
        2,
        "",
        "error: --seed is for rehearsals; add --local\n",
    )
