"""`--tags`, `--skip-tags`, `--only` and `--start-at`: a part of the plan, in every command."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wps_run import planning
from wps_run.checking import load_playbook
from wps_run.cli.confirmation import confirm
from wps_run.connect.endpoint import Endpoint, parse_connection_string
from wps_run.emulator.testing import LocalPubSub
from wps_run.planning import RunOverrides
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import Confirmation
from wps_run.playbook.selection import parse_selection
from wps_run.playbook.steps import StepBlock
from wps_run.problems import UsageError

CommandLine = Callable[..., tuple[int, str, str]]

TEAMS = """
name: Teams
hub: chat
groups:
  red: {users: [ada], tags: [setup]}
actions:
  - {actionName: addUserToGroup, userId: grace, group: blue, tags: [setup]}
  - {actionName: sendToGroup, name: Greet the red team, group: red, data: x, tags: [greet]}
  - {actionName: sendToGroup, group: blue, data: x, tags: [greet]}
  - {actionName: closeGroupConnections, group: red, tags: [end]}
  - {actionName: sendToGroup, name: Too late, group: red, data: x, tags: [end]}
expect:
  - {group: red, has: [ada], tags: [setup]}
  - {user: ada, connected: true}
"""


ONCE = ("--attempts", "1")


@pytest.fixture
def service() -> Iterator[LocalPubSub]:
    with LocalPubSub() as running:
        yield running


@pytest.fixture
def run(service_command_line: CommandLine, service: LocalPubSub) -> CommandLine:
    """Runs a command in a folder with the playbook `teams.yaml`, whose users are connected."""
    Path("teams.yaml").write_text(TEAMS)
    for user in ("ada", "grace"):
        service.client(user, hub="chat")
    return service_command_line


def requested(service: LocalPubSub) -> list[str]:
    """Return the REST operations that change something, in order."""
    operations = (entry.operation for entry in service.requests)
    return [
        name
        for name in operations
        if not name.startswith(("List", "Check", "Get", "Has", "UserExists"))
    ]


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_carries_out_what_is_selected(run: CommandLine, service: LocalPubSub) -> None:
    code, out, err = run("teams.yaml", "--output", "ndjson", "--tags", "setup", "--tags", "greet")
    assert code == 0, err
    *results, summary = records(out)
    assert [(each["type"], each["index"]) for each in results] == [
        *(("result", index) for index in range(4)),
        ("expectation", 0),
    ]
    assert (summary["total"], summary["ok"]) == (4, 4)
    assert summary["selection"] == "--tags greet,setup"
    assert requested(service) == [*["AddUserToGroup"] * 2, *["SendToGroup"] * 2]


def test_header_and_totals_say_that_it_is_a_part(run: CommandLine) -> None:
    code, out, _ = run("teams.yaml", "--only", "0..1")
    assert code == 0
    first, *_, last_but_one, _ = out.splitlines()
    assert ", selection --only 0..1 · hub chat · Teams · 2 of 6 actions and 2 expectations" in first
    assert last_but_one.startswith("SERVICE, selection --only 0..1: 2 actions: 2 ok")


@pytest.mark.parametrize("command", ["run", "plan", "diff"])
def test_what_is_not_there_is_refused_by_each_command(run: CommandLine, command: str) -> None:
    for flags in (["--tags", "setpu"], ["--only", "6"], ["--start-at", "Greet the read team"]):
        code, out, err = run(command, "teams.yaml", *flags)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {flags[0]}")


def test_a_resumed_run_keeps_its_selection(run: CommandLine, service: LocalPubSub) -> None:
    service.fault("429,on=SendToGroup,count=1")
    code, out, err = run("teams.yaml", "--tags", "greet", "--journal", "run.journal", *ONCE, "-q")
    assert code == 1
    assert "2 actions: 0 ok, 1 failed, 0 unknown, 1 skipped" in out
    assert "--tags" not in err.split("--resume")[-1]  # the command that resumes needs no flags
    code, out, _ = run("--resume", "run.journal")
    assert code == 0, out
    assert ", selection --tags greet · " in out
    assert requested(service) == ["SendToGroup"] * 3


def test_only_what_failed_of_the_selection_runs_again(
    run: CommandLine, service: LocalPubSub
) -> None:
    service.fault("429,on=SendToGroup,count=1")
    flags = ["--start-at", "Greet the red team", "--skip-tags", "end,setup"]
    run("teams.yaml", *flags, "--journal", "run.journal", *ONCE, "--on-error", "continue")
    code, out, _ = run("--resume", "run.journal", "--failed", "--output", "ndjson")
    assert code == 0
    assert [each["index"] for each in records(out) if each["type"] == "result"] == [3, 2]
    assert requested(service) == ["SendToGroup"] * 3


def test_a_resumed_run_takes_no_other_selection(
    run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("teams.yaml", "--tags", "greet", "--journal", "part.journal")
    run("teams.yaml", "--skip-tags", "end", "--journal", "whole.journal")
    for flags in (["--tags", "greet"], ["--only", "0"], ["--start-at", "x"], ["--skip-tags", "x"]):
        code, _, err = run("--resume", "part.journal", *flags)
        assert code == 2
        assert err == (
            "error: `part.journal` is the journal of a run with the selection --tags greet, which "
            f"it keeps when it is resumed; leave out {flags[0]}, or start a new run with another "
            "journal\n"
        )
    monkeypatch.setenv("WPS_RUN_ONLY", "0")  # for other runs than this one
    code, out, _ = run("--resume", "part.journal", "--output", "ndjson")
    assert (code, records(out)[-1]["selection"]) == (0, "--tags greet")


def test_a_command_that_is_started_again_repeats_its_selection(run: CommandLine) -> None:
    command = ["teams.yaml", "--journal", "run.journal", "--resume-if-exists", "-q"]
    assert run(*command, "--tags", "greet")[0] == 0
    code, out, _ = run(*command, "--tags", "greet")
    assert code == 0
    assert "2 of 2 done earlier" in out
    assert run(*command)[0] == 0
    code, _, err = run(*command, "--tags", "setup")
    assert code == 2
    assert "the selection --tags greet" in err


def test_a_run_that_starts_at_a_name_with_a_secret_is_resumed(
    run: CommandLine, service: LocalPubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_PASSWORD", "red-or-blue")
    Path("secret.yaml").write_text(
        "hub: chat\nactions:\n"
        "  - {actionName: sendToAll, data: x}\n"
        "  - {actionName: sendToAll, data: x, name: 'Seat ${env.TEAM_PASSWORD}'}\n"
    )
    service.fault("429,on=SendToAll,count=1")
    flags = ["--start-at", "Seat red-or-blue", "--allow-env", "TEAM_PASSWORD", *ONCE]
    code, _, err = run("secret.yaml", *flags, "--journal", "run.journal")
    assert code == 1, err
    assert "red-or-blue" not in Path("run.journal").read_text()
    code, out, err = run("--resume", "run.journal", "--output", "ndjson")
    assert code == 0, err
    assert records(out)[-1]["selection"] == "--start-at 'Seat ***'"
    assert requested(service) == ["SendToAll"] * 2
    assert run("plan", "secret.yaml", *flags[:4], "--out", "plan.wps")[0] == 0
    assert "red-or-blue" not in Path("plan.wps").read_text()
    assert run("run", "--plan", "plan.wps")[0] == 0


def test_a_run_without_a_selection_is_resumed_without_one(run: CommandLine) -> None:
    run("teams.yaml", "--journal", "run.journal")
    code, _, err = run("--resume", "run.journal", "--tags", "greet")
    assert code == 2
    assert "is the journal of a run of all actions" in err


def test_each_report_says_which_part_it_is_of(run: CommandLine) -> None:
    run("teams.yaml", "--tags", "greet", "--journal", "run.journal")
    names = ["r.html", "r.md", "r.xml", "r.json"]
    code, out, _ = run("report", "run.journal", *(f"--report={name}" for name in names))
    assert code == 0
    for name in names:
        assert "--tags greet" in Path(name).read_text(), name
    run("teams.yaml", "--tags", "greet")
    code, out, _ = run("runs", "-n", "1")
    assert ", selection --tags greet · hub chat · Teams · 2 of 6 actions" in out
    code, out, _ = run("runs", "-n", "1", "--output", "json")
    assert json.loads(out)[0]["summary"]["selection"] == "--tags greet"


def test_shards_of_a_selection_are_merged(run: CommandLine) -> None:
    for number, tags in ((1, "greet"), (2, "greet"), (3, "setup")):
        shard = f"{min(number, 2)}/2"
        args = ["--mode", "concurrent", "--journal", f"{number}.journal", "-q"]
        code, _, err = run("teams.yaml", "--tags", tags, "--shard", shard, *args)
        assert code == (2 if tags == "setup" else 0), err  # `expect` of this tag
    code, out, err = run("report", "1.journal", "2.journal")
    assert code == 0, err
    assert ", selection --tags greet · hub chat · Teams · 2 of 6 actions" in out
    args = ["--only", "2", "--skip-tags", "setup", "--mode", "concurrent", "-q"]
    Path("send.yaml").write_text(TEAMS.partition("expect:")[0])
    for number, more in ((4, []), (5, ["--tags", "greet"])):
        run(
            "send.yaml",
            *args,
            *more,
            "--shard",
            f"{number - 3}/2",
            "--journal",
            f"{number}.journal",
        )
    code, _, err = run("report", "4.journal", "5.journal")
    assert code == 2
    assert "this differs: the selection of the actions" in err


def test_indexes_after_live_rows_need_these_rows(run: CommandLine, service: LocalPubSub) -> None:
    rows = "forEach: {group: red}, connectionId: '${each.connectionId}'"
    Path("live.yaml").write_text(
        f"hub: chat\nactions:\n  - {{actionName: sendToConnection, {rows}, data: x}}\n"
        "  - {actionName: sendToAll, data: x}\n"
    )
    service.client("linus", hub="chat", groups=["red"])
    code, _, err = run("plan", "live.yaml", "--only", "1")
    assert (code, "add --live" in err) == (2, True)
    code, out, _ = run("plan", "live.yaml", "--only", "1", "--live", "--format", "ndjson")
    assert [(each["index"], each["actionName"]) for each in records(out)] == [(1, "sendToAll")]


def test_warnings_are_about_what_is_carried_out(run: CommandLine) -> None:
    assert "comes after `closeGroupConnections`" in run("plan", "teams.yaml")[2]
    assert run("plan", "teams.yaml", "--skip-tags", "end")[2] == ""
    assert run("plan", "teams.yaml", "--only", "5")[2] == ""
    assert run("run", "--local", "teams.yaml", "--start-at", "Too late")[2] == ""


def test_only_what_is_carried_out_is_confirmed() -> None:
    remote = parse_connection_string("Endpoint=https://prod.example;AccessKey=bG9vcGJhY2s=;")

    def endpoint(_: object) -> Endpoint:
        return remote

    playbook = read_playbook(TEAMS, "teams.yaml")
    for selection, is_asked in (
        (parse_selection(tags=["end"]), True),
        (parse_selection(only=["4"]), True),
        (parse_selection(only=["0..3,5"]), False),
        (parse_selection(skip_tags=["end"]), False),
    ):
        plans = planning.plan([playbook], RunOverrides(selection=selection))
        if is_asked:
            with pytest.raises(UsageError, match="needs confirmation"):
                confirm(plans, endpoint, None, Confirmation.DESTRUCTIVE)
        else:
            confirm(plans, endpoint, None, Confirmation.DESTRUCTIVE)


def test_verify_checks_the_expectations_of_tags(run: CommandLine, service: LocalPubSub) -> None:
    assert run("verify", "teams.yaml")[0] == 1  # ada is not in the group
    code, out, _ = run("verify", "teams.yaml", "--skip-tags", "setup")
    assert code == 0
    assert "selection --skip-tags setup" in out
    assert run("verify", "teams.yaml", "--tags", "setup")[0] == 1
    code, _, err = run("verify", "teams.yaml", "--tags", "greet")
    assert (code, err) == (
        2,
        "error: nothing was checked; the playbook has no `expect` that fits --tags greet\n",
    )
    assert requested(service) == []


def test_a_difference_is_that_of_the_selection(run: CommandLine) -> None:
    code, out, _ = run("diff", "teams.yaml", "--only", "0", "--output", "ndjson")
    assert code == 1
    assert [each.get("index") for each in records(out)[:-1]] == [0]
    assert run("diff", "teams.yaml", "--tags", "greet")[0] == 0


def test_lists_of_members_are_compared_in_blocks_with_tags_too(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("userId\n" + "".join(f"u{i}\n" for i in range(3000)))
    (tmp_path / "p.yaml").write_text(
        "hub: chat\ngroups:\n"
        "  red: {users: {file: users.csv, column: userId}, tags: [red]}\n"
        "  blue: {users: {file: users.csv, column: userId}, tags: [blue]}\n"
    )
    selection = parse_selection(tags=["blue"])
    playbook = load_playbook(tmp_path / "p.yaml")
    [plan] = planning.plan([playbook], RunOverrides(selection=selection))
    parts = list(plan.step_blocks())
    assert len(parts) < plan.total == 3000
    steps = [
        part.step(index) if isinstance(part, StepBlock) else part
        for part in parts
        for index in (part.indexes if isinstance(part, StepBlock) else [0])
    ]
    assert steps == list(plan.steps())


def test_a_rehearsal_has_the_people_of_the_selection(run: CommandLine) -> None:
    code, out, _ = run("--local", "teams.yaml", "--only", "1", "--tags", "setup")
    assert code == 1  # ada, whom an expectation names, is nobody of this rehearsal
    assert "(1 simulated client)" in out


def test_what_is_in_place_is_left_out_of_the_selection(
    run: CommandLine, service: LocalPubSub
) -> None:
    service.client("linus", hub="chat", groups=["red"])
    code, out, _ = run("teams.yaml", "--only-changes", "--only", "0..2", "--output", "ndjson")
    assert code == 0
    assert [each["index"] for each in records(out) if each["type"] == "result"] == [0, 1, 2]
