"""An approved plan: `plan --out` writes it, `run --plan` runs nothing else."""

import base64
import hashlib
import importlib.resources
import io
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for
from tests.cli.conftest import CommandLine

from wps_run.document.loader import load
from wps_run.emulator.testing import LocalPubSub
from wps_run.playbook.options import OPTIONS

PLAYBOOK = """\
hub: chat
vars: {room: launch}
actions:
  - forEach: {file: members.csv}
    actionName: addUserToGroup
    userId: ${each.userId}
    group: ${room}-${each.team}
    onMissing: skip
  - {actionName: sendToGroup, group: launch-red, data: Welcome aboard}
"""
MEMBERS = "userId,team\nada,red\nbob,red\ncyd,blue\n"

SEND = "hub: chat\nactions: [{actionName: sendToAll, data: x}]\n"

PRUNE = """\
hub: chat
groups:
  red: {users: [ada], prune: true}
actions:
  - forEach: {group: lobby}
    actionName: sendToConnection
    connectionId: ${each.connectionId}
    data: Hello
"""


@pytest.fixture
def service() -> Iterator[LocalPubSub]:
    """A hub with two users in the lobby, of whom one is in another group as well."""
    with LocalPubSub() as service:
        service.client(hub="chat", user="ada", connection_id="a1", groups=["lobby"])
        service.client(hub="chat", user="eve", connection_id="e1", groups=["lobby", "red"])
        yield service


@pytest.fixture
def run(service_command_line: CommandLine) -> CommandLine:
    """Runs command lines in a folder with a playbook, its rows and the settings of the service."""
    Path("rooms.yaml").write_text(PLAYBOOK)
    Path("members.csv").write_text(MEMBERS)
    Path("prune.yaml").write_text(PRUNE)
    return service_command_line


def requests(service: LocalPubSub) -> list[str]:
    """Return the REST operations that were asked for, but for reads."""
    operations = [entry.operation for entry in service.requests]
    return [name for name in operations if not name.startswith(("List", "Get"))]


def plan(run: CommandLine, *args: str) -> None:
    """Write `plan.wps`, and expect that this succeeds."""
    code, _, err = run("plan", "--out", "plan.wps", *args)
    assert code == 0, err


def records(file: str = "plan.wps") -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def test_plan_that_has_not_changed_runs(run: CommandLine, service: LocalPubSub) -> None:
    plan(run, "rooms.yaml")

    code, out, err = run("run", "--plan", "plan.wps", "--output", "ndjson")

    assert (code, err) == (0, "")
    assert [json.loads(line)["index"] for line in out.splitlines()[:-1]] == [0, 1, 2, 3]
    assert requests(service) == [*["AddUserToGroup"] * 3, "SendToGroup"]


def test_plan_names_the_command_that_runs_it(run: CommandLine) -> None:
    _, _, err = run("plan", "--out", "plan.wps", "rooms.yaml", "--var", "room=go")

    assert err == (
        "hint: to run it when it is approved: wps-run run --plan plan.wps --var room=…\n"
    )


def test_refusal_says_which_steps_and_parts_have_changed(
    run: CommandLine, service: LocalPubSub
) -> None:
    plan(run, "rooms.yaml")
    Path("members.csv").write_text("userId,team\nada,red\nzoe,red\ncyd,blue\n")
    Path("rooms.yaml").write_text(PLAYBOOK.replace("aboard", "back"))

    code, out, err = run("run", "--plan", "plan.wps")

    assert (code, out) == (2, "")
    assert err == (
        "error: this is no longer the plan of `plan.wps`, so nothing was sent\n"
        "  changed: the playbook rooms.yaml, the file members.csv of the playbook rooms.yaml\n"
        "  steps: 1 added, 1 removed, 1 changed\n"
        "    added   #1 addUserToGroup userId=zoe group=launch-red (members.csv:3)\n"
        "    removed #1 addUserToGroup userId=bob group=launch-red (members.csv:3)\n"
        "    changed #3 sendToGroup group=launch-red (rooms.yaml:9)\n"
        "  to approve it as it is now, make the plan again: "
        "wps-run plan --out plan.wps rooms.yaml\n"
    )
    assert requests(service) == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (("--var", "room=go", "--var", "more=1"), "the variable room of the playbook rooms.yaml"),
        (("--hub", "other"), "the hub of the playbook rooms.yaml"),
        (("--on-error", "continue"), "the option onError of the playbook rooms.yaml"),
        (("--mode", "concurrent"), "the option mode of the playbook rooms.yaml"),
        (("--connection", "Other"), "the connection of the playbook rooms.yaml"),
        (("--endpoint", "http://127.0.0.1:1"), "the gateway (--endpoint, --header)"),
    ],
)
def test_options_given_again_must_be_those_of_the_plan(
    run: CommandLine,
    service: LocalPubSub,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[str, ...],
    part: str,
) -> None:
    monkeypatch.setenv("Other", service.connection_string)
    plan(run, "rooms.yaml")

    code, _, err = run("run", "--plan", "plan.wps", *change)

    assert code == 2
    assert f"  changed: {part}\n" in err
    assert requests(service) == []
    again = shlex.split(err.rpartition("again: ")[2])
    assert again[4:-1] == [re.sub("=.*", "=…", word) for word in change]


def test_pace_may_differ_from_the_plan(run: CommandLine) -> None:
    """It changes nothing of what is done."""
    plan(run, "rooms.yaml", "--rate", "100")

    pace = ("--rate", "5000", "--concurrency", "2", "--timeout", "9s", "--attempts", "2")
    code, _, err = run("run", "--plan", "plan.wps", *pace, "-q")

    assert (code, err) == (0, "")


def test_another_endpoint_is_refused(
    run: CommandLine, service: LocalPubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(run, "rooms.yaml")
    key = base64.b64encode(b"k" * 32).decode()
    monkeypatch.setenv(
        "WebPubSubConnectionString", f"Endpoint=http://127.0.0.1:9;AccessKey={key};Version=1.0;"
    )

    code, _, err = run("run", "--plan", "plan.wps")

    assert code == 2
    assert "  changed: the endpoint of the playbook rooms.yaml\n  the steps are the same\n" in err
    assert requests(service) == []


def test_plan_without_the_settings_has_the_hub_only(
    run: CommandLine, service: LocalPubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pull request has no secrets; the run that was approved has them."""
    monkeypatch.delenv("WebPubSubConnectionString")
    code, _, err = run("plan", "--out", "plan.wps", "rooms.yaml")
    assert code == 0
    assert "note: the plan does not fix the endpoint, only the hub: " in err
    monkeypatch.setenv("WebPubSubConnectionString", service.connection_string)

    assert run("run", "--plan", "plan.wps", "-q")[0] == 0
    assert len(requests(service)) == 4


def test_plan_needs_the_hub(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("rooms.yaml").write_text(PLAYBOOK.replace("hub: chat\n", ""))

    code, _, err = run("plan", "--out", "plan.wps", "rooms.yaml")

    assert code == 2
    assert "hub" in err
    assert not Path("plan.wps").exists()
    monkeypatch.setenv("WebPubSubHub", "chat")
    plan(run, "rooms.yaml")
    monkeypatch.setenv("WebPubSubHub", "other")  # as with a journal, that of the plan counts
    assert run("run", "--plan", "plan.wps", "-q")[0] == 0


def test_plan_has_no_payload_no_value_and_no_secret(
    run: CommandLine, service: LocalPubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "tok3n-of-the-api")
    Path("secret.yaml").write_text(
        "hub: chat\nactions: [{actionName: sendToUser, userId: ada, "
        "data: 'pin ${pin} ${env.API_TOKEN}'}]\n"
    )
    code, *_ = run(
        *("plan", "--out", "plan.wps", "secret.yaml", "--var", "pin=773311"),
        *("--allow-env", "API_TOKEN", "--header", "X-Key=API_TOKEN"),
    )

    text = Path("plan.wps").read_text()
    key = service.connection_string.partition("AccessKey=")[2].partition(";")[0]
    assert code == 0
    assert not any(secret in text for secret in ("773311", "tok3n-of-the-api", key))
    assert os.name == "nt" or Path("plan.wps").stat().st_mode & 0o777 == 0o600
    first = records()[1]["digest"]
    plan(run, "secret.yaml", "--var", "pin=773311", "--allow-env", "API_TOKEN")
    assert records()[1]["digest"] != first, "each plan has a salt of its own"


def test_variable_must_be_given_again(run: CommandLine) -> None:
    Path("rooms.yaml").write_text(PLAYBOOK.replace("vars: {room: launch}\n", ""))
    plan(run, "rooms.yaml", "--var", "room=launch")

    code, _, err = run("--plan", "plan.wps", "--yes")

    assert code == 2
    assert err == (
        "error: the plan `plan.wps` has no values of variables; give them again: "
        "wps-run run --plan plan.wps --yes --var room=…\n"
    )
    assert run("--plan", "plan.wps", "-q", "--var", "room=launch")[0] == 0


def test_files_are_found_from_another_folder(run: CommandLine, tmp_path: Path) -> None:
    """Relative to the plan, also when all of it was moved."""
    Path("vars.yaml").write_text("room: team\n")
    Path("out").mkdir()
    code, _, err = run("plan", "--out", "out/plan.wps", "--vars-file", "vars.yaml", "rooms.yaml")
    assert code == 0, err
    assert str(tmp_path) not in Path("out/plan.wps").read_text()
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    moved.mkdir()
    for name in ("rooms.yaml", "members.csv", "vars.yaml", "out"):
        (tmp_path / name).rename(moved / name)

    code, _, err = run("run", "--plan", str(moved / "out" / "plan.wps"), "-q")

    assert (code, err) == (0, "")


def test_plan_beside_other_playbooks_is_refused(run: CommandLine) -> None:
    plan(run, "rooms.yaml")
    Path("elsewhere").mkdir()
    Path("plan.wps").rename("elsewhere/plan.wps")

    code, _, err = run("run", "--plan", "elsewhere/plan.wps")

    assert code == 2
    assert "elsewhere/rooms.yaml" in err
    Path("elsewhere/rooms.yaml").write_text(
        "hub: chat\nactions: [{actionName: sendToAll, data: x}]\n"
    )
    code, _, err = run("run", "--plan", "elsewhere/plan.wps")
    assert code == 2
    assert "  steps: 1 added, 4 removed\n" in err


def test_only_the_playbooks_of_the_plan_are_accepted(run: CommandLine) -> None:
    plan(run, "rooms.yaml")

    code, _, err = run("run", "--plan", "plan.wps", "prune.yaml")

    assert code == 2
    assert err.startswith("error: `plan.wps` is the plan of rooms.yaml; leave the playbooks out")
    assert run("run", "--plan", "plan.wps", "-q", "./rooms.yaml")[0] == 0


def test_other_file_is_not_replaced(run: CommandLine) -> None:
    code, _, err = run("plan", "--out", "members.csv", "rooms.yaml")

    assert code == 2
    assert "--out would replace `members.csv`, which is not a plan; name another file" in err
    assert Path("members.csv").read_text() == MEMBERS
    for name in ("", "-"):
        code, _, err = run("plan", "--out", name, "rooms.yaml")
        assert (code, "--out writes no other than a named file" in err) == (2, True)
    plan(run, "rooms.yaml")
    plan(run, "rooms.yaml")


def edited(text: str) -> str:
    return text.replace("launch-blue", "launch-gold")


def resealed(lines: list[str]) -> str:
    """Return the lines of a plan with a checksum that is right."""
    text = "".join(f"{line}\n" for line in lines[:-1])
    end = {**json.loads(lines[-1]), "check": hashlib.sha256(text.encode()).hexdigest()}
    return text + json.dumps(end) + "\n"


DAMAGE: dict[str, tuple[Callable[[str], str], str]] = {
    "edited": (edited, "is incomplete, damaged or was edited (the checksum is wrong)"),
    "truncated": (lambda text: text[:-40], "is incomplete, damaged or was edited"),
    "without its end": (
        lambda text: "".join(text.splitlines(keepends=True)[:-1]),
        "is incomplete, damaged or was edited (the last line is missing)",
    ),
    "with an end that is not one": (lambda text: text + "\n", "is incomplete, damaged"),
    "of the future": (
        lambda text: text.replace('"version":1}', '"version":2}'),
        "is a plan of another version of wps-run: its format is 2",
    ),
    "empty": (lambda _: "", "is not a plan; `wps-run plan --out FILE` writes one"),
    "a playbook": (lambda _: PLAYBOOK, "is not a plan; `wps-run plan --out FILE` writes one"),
    "a journal": (lambda _: '{"type":"run","version":2}\n', "is not a plan"),
    "without a step": (
        lambda text: resealed([*text.splitlines()[:1], *text.splitlines()[2:]]),
        "is incomplete, damaged or was edited (a line is not that of a step)",
    ),
    "with an impossible path": (
        lambda text: resealed(text.replace("rooms.yaml", "rooms\\u0000.yaml").splitlines()),
        "is incomplete, damaged or was edited (a path has a null character",
    ),
    "with an option that no plan has": (
        lambda text: resealed(
            text.replace('"options":{}', '"options":{"--local":true}').splitlines()
        ),
        "`plan.wps` has the option --local, which wps-run does not know",
    ),
    "a bomb of brackets": (
        lambda _: '{"type":"plan",' + "[" * 100_000,
        "is incomplete, damaged or was edited",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_file_that_is_no_plan_is_refused(
    run: CommandLine, service: LocalPubSub, damage: str
) -> None:
    plan(run, "rooms.yaml")
    change, message = DAMAGE[damage]
    Path("plan.wps").write_text(change(Path("plan.wps").read_text()))

    code, out, err = run("run", "--plan", "plan.wps")

    assert (code, out) == (2, "")
    assert message in err
    assert requests(service) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "cannot read the plan ``: Is a directory"),
        ("missing.wps", "cannot read the plan `missing.wps`: No such file or directory"),
        (".", "cannot read the plan `.`: Is a directory"),
        ("/dev/zero", "`/dev/zero` is a device"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the messages are those of POSIX")
def test_plan_that_cannot_be_read_is_refused(run: CommandLine, name: str, message: str) -> None:
    code, _, err = run("run", "--plan", name)

    assert code == 2
    assert err.startswith(f"error: {message}")


def test_live_groups_are_part_of_a_plan_with_live(run: CommandLine, service: LocalPubSub) -> None:
    plan(run, "--live", "prune.yaml")
    assert [record.get("connections") for record in records() if record.get("type") == "group"] == [
        *(1, 2)
    ]
    service.client(hub="chat", user="zoe", connection_id="z1", groups=["lobby"])

    code, out, err = run("run", "--plan", "plan.wps", "--yes")

    assert (code, out) == (2, "")
    assert (
        "  connections in live groups: 1 added\n"
        "    added   user zoe, connection z1, in lobby\n"
        "  steps: 1 added\n"
        "    added   #4 sendToConnection connectionId=z1 (prune.yaml:5)\n"
    ) in err
    assert requests(service) == []


def test_who_has_left_a_live_group_is_named(run: CommandLine, service: LocalPubSub) -> None:
    """Also if no step differs: a listed member is not pruned."""
    Path("prune.yaml").write_text(
        "hub: chat\ngroups:\n  lobby: {users: [ada, eve, zoe], prune: true}\n"
    )
    service.client(hub="chat", user="zoe", connection_id="z1", groups=["lobby"])
    plan(run, "--live", "prune.yaml")
    Path("close.yaml").write_text(
        "hub: chat\nactions: [{actionName: closeClientConnection, connectionId: z1}]\n"
    )
    assert run("close.yaml", "-q")[0] == 0

    code, _, err = run("run", "--plan", "plan.wps", "--yes")

    assert code == 2
    assert (
        "  connections in live groups: 1 removed\n"
        "    removed user zoe, connection z1, in lobby\n"
        "  the steps are the same\n"
    ) in err


def test_plan_without_live_leaves_the_rows_to_the_run(
    run: CommandLine, service: LocalPubSub
) -> None:
    plan(run, "prune.yaml")
    assert [record.get("actionName") for record in records()[1:-1]] == ["addUserToGroup"]
    service.client(hub="chat", user="zoe", connection_id="z1", groups=["lobby"])

    code, _, err = run("run", "--plan", "plan.wps", "--yes", "-q")

    assert (code, err) == (0, "")
    assert requests(service).count("SendToConnection") == 3


TREE = {
    "all.yaml": "hub: chat\nactions:\n"
    "  - {include: part.yaml, vars: {group: red}, tags: [setup]}\n"
    "  - {actionName: sendToAll, data: hi, tags: [say]}\n"
    "finally: [{actionName: sendToAll, data: bye}]\n",
    "part.yaml": "vars: {group: {required: true}}\nactions:\n"
    "  - {actionName: addUserToGroup, userId: ada, group: '${group}'}\n",
    "wps-run.yaml": "environments: {prod: {hub: prod, rate: 500}, dev: {hub: dev}}\n",
}


@pytest.fixture
def run_tree(run: CommandLine) -> CommandLine:
    """Runs command lines where a playbook includes another one, and there are environments."""
    for name, text in TREE.items():
        Path(name).write_text(text)
    return run


def test_included_file_is_part_of_the_plan(run_tree: CommandLine) -> None:
    plan(run_tree, "all.yaml")
    assert run_tree("--plan", "plan.wps", "-q")[0] == 0
    Path("part.yaml").write_text(TREE["part.yaml"].replace("ada", "eve"))

    code, _, err = run_tree("--plan", "plan.wps")

    assert code == 2
    assert "  changed: the included file part.yaml of the playbook all.yaml\n" in err
    assert "    removed #0 addUserToGroup userId=ada group=red (part.yaml:3)\n" in err


def test_selection_is_that_of_the_plan(
    run_tree: CommandLine, service: LocalPubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(run_tree, "--tags", "setup", "all.yaml")
    code, _, err = run_tree("--plan", "plan.wps", "--tags", "say")
    assert code == 2
    assert "  changed: the selection of the actions\n  steps: 1 added, 1 removed\n" in err
    monkeypatch.setenv("WPS_RUN_TAGS", "say")

    assert run_tree("--plan", "plan.wps", "-q")[0] == 0
    assert requests(service) == ["AddUserToGroup"]


def test_environment_is_that_of_the_plan(
    run_tree: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any folder; what the file says of it must still be the same."""
    plan(run_tree, "--env", "prod", "all.yaml")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("WPS_RUN_ENV", "dev")
    file = str(tmp_path / "plan.wps")

    code, out, err = run_tree("--plan", file, "--local", "-q")

    assert (code, err) == (0, "")
    assert "environment prod" in out
    (tmp_path / "wps-run.yaml").write_text(TREE["wps-run.yaml"].replace("hub: prod", "hub: live"))
    code, _, err = run_tree("--plan", file, "--local")
    assert code == 2
    assert "  changed: the hub of the playbook all.yaml\n  steps: 3 changed\n" in err


def test_playbook_of_standard_input_is_given_again(
    run: CommandLine, service: LocalPubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stdin(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    stdin(SEND)
    _, _, hint = run("plan", "--out", "plan.wps", "-")
    stdin(SEND.replace("data: x", "data: y"))
    code, _, err = run("--plan", "plan.wps")
    assert code == 2
    assert "  changed: the playbook <stdin>\n  steps: 1 changed\n" in err
    assert "    changed #0 sendToAll (<stdin>:2)\n" in err
    stdin(SEND)

    assert run("--plan", "plan.wps", "-q")[0] == 0
    assert hint.endswith("wps-run run --plan plan.wps - < playbook.yaml\n")
    assert requests(service) == ["SendToAll"]


def test_plan_does_not_confirm(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what runs; whether it runs now is still asked."""
    key = base64.b64encode(b"k" * 32).decode()
    monkeypatch.setenv(
        "WebPubSubConnectionString", f"Endpoint=https://192.0.2.1;AccessKey={key};Version=1.0;"
    )
    Path("close.yaml").write_text("hub: chat\nactions: [{actionName: closeAllConnections}]\n")
    plan(run, "close.yaml")

    code, _, err = run("run", "--plan", "plan.wps")

    assert code == 2
    assert "add --yes" in err


def test_plan_is_rehearsed(run: CommandLine, service: LocalPubSub) -> None:
    """Its live rows are those that were read when it was made."""
    plan(run, "--live", "prune.yaml")

    code, out, err = run("run", "--local", "--plan", "plan.wps", "--output", "ndjson")

    assert (code, err) == (0, "")
    assert [json.loads(line).get("actionName") for line in out.splitlines()][:4] == [
        *("addUserToGroup", "removeConnectionFromGroup"),
        *["sendToConnection"] * 2,
    ]
    assert requests(service) == []


def test_run_of_a_plan_resumes_without_it(run: CommandLine) -> None:
    """Its journal has the playbooks and the options that came from the plan."""
    plan(run, "rooms.yaml", "--mode", "concurrent", "--on-error", "continue", "--hub", "rooms")
    assert run("run", "--plan", "plan.wps", "--journal", "j", "-q")[0] == 0
    Path("plan.wps").unlink()

    code, out, err = run("--resume", "j")

    assert (code, err) == (0, "")
    assert "nothing sent" in out
    header = json.loads(Path("j").read_text().splitlines()[0])
    assert header["hubs"] == ["rooms"]
    assert header["options"] == {"--mode": "concurrent", "--on-error": "continue", "--hub": "rooms"}


def test_plan_and_resume_exclude_each_other(run: CommandLine) -> None:
    """A scheduler that restarts the same command resumes, whether the plan is there or not."""
    plan(run, "rooms.yaml")
    again = ("run", "--plan", "plan.wps", "--journal", "j", "--resume-if-exists", "-q")
    assert run(*again)[0] == 0
    Path("members.csv").touch()
    Path("plan.wps").unlink()

    assert run(*again)[0] == 0
    code, _, err = run("run", "--plan", "plan.wps", "--resume", "j")
    assert code == 2
    assert "--resume runs what its journal says; leave out --plan" in err


SHARDS = "hub: chat\nmode: concurrent\nactions:\n" + "".join(
    f"  - {{actionName: addUserToGroup, userId: u{n}, group: red, onMissing: skip}}\n"
    for n in range(6)
)


def test_plan_of_all_shards_runs_in_shards(run: CommandLine) -> None:
    Path("s.yaml").write_text(SHARDS)
    plan(run, "s.yaml", "--rate", "1000")

    lines = [
        line
        for shard in ("1/2", "2/2")
        for line in run("--plan", "plan.wps", "--shard", shard, "--output", "ndjson")[
            1
        ].splitlines()
    ]

    results = [json.loads(line) for line in lines]
    assert sorted(each["index"] for each in results if each["type"] == "result") == [*range(6)]


def test_plan_of_a_shard_runs_that_shard_only(run: CommandLine) -> None:
    Path("s.yaml").write_text(SHARDS)
    plan(run, "s.yaml", "--shard", "1/2")
    steps = {record["index"] for record in records()[1:-1]}

    code, out, _ = run("--plan", "plan.wps", "--output", "ndjson")
    assert code == 0
    assert {json.loads(line)["index"] for line in out.splitlines()[:-1]} == steps
    code, _, err = run("--plan", "plan.wps", "--shard", "2/2")
    assert code == 2
    assert "`plan.wps` is the plan of shard 1/2, not of shard 2/2" in err


EXAMPLES = {
    "github-actions.yaml": "github-workflows.json",
    "azure-pipelines.yaml": "azure-pipelines.json",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_valid(project: Path, name: str) -> None:
    """By the schema of its engine."""
    pytest.importorskip("check_jsonschema", reason="not there with the lowest click")
    folder = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / EXAMPLES[name]).read_text("utf-8"))
    document = load((project / "docs" / "approval" / name).read_text("utf-8"), name)

    validator_for(schema)(schema).validate(document.data)


def commands(value: Any) -> Iterator[str]:
    """Yield the commands of wps-run in a document, in order."""
    if isinstance(value, list):
        for item in value:
            yield from commands(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in {"run", "script"} and str(item).startswith("wps-run"):
                yield item
            yield from commands(item)


@pytest.mark.parametrize("name", EXAMPLES)
def test_commands_of_the_example_run(
    project: Path,
    command_line: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """In a rehearsal: first the plan, then the run of it, which a change refuses."""
    monkeypatch.chdir(tmp_path)
    Path("playbook.yaml").write_text(SEND)
    document = yaml.safe_load((project / "docs" / "approval" / name).read_text("utf-8"))
    plan, run = (shlex.split(line)[1:] for line in commands(document))

    assert command_line(*plan)[0] == 0
    assert command_line(*run, "--local")[0] == 0
    Path("run.journal").unlink()
    Path("playbook.yaml").write_text(SEND.replace("data: x", "data: y"))
    assert command_line(*run, "--local")[0] == 2


def test_document_names_all_options_that_may_differ(project: Path) -> None:
    text = (project / "docs" / "how-to" / "approved-plans.md").read_text("utf-8")
    (row,) = re.findall(r"^\| options \|.*$", text, re.MULTILINE)

    pace = {option.key for option in OPTIONS.values() if option.is_pace}
    assert set(re.findall(r"`(\w+)`", row.partition("but for the pace: ")[2])) == pace
