"""A run has a result for every action."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

JOIN = "  - {actionName: addUserToGroup, userId: ada, group: red}\n"
EXAMPLES = sorted((Path(__file__).parents[2] / "playbooks").glob("*.yaml"))


@pytest.mark.parametrize("playbook", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_playbook_succeeds_in_a_rehearsal(wps_run: Script, playbook: Path) -> None:
    process = wps_run("--local", playbook, "--output", "json")

    report = json.loads(process.stdout)
    assert process.returncode == 0, process.stdout
    assert process.stderr == ""
    assert report["summary"]["ok"] == report["summary"]["total"] == len(report["results"]) > 3


def test_rehearsal_shows_its_effects(wps_run: Script, project: Path) -> None:
    """Members of groups, messages, closed connections with reasons, permissions."""
    setup = wps_run("--local", project / "playbooks" / "group-setup.yaml").stdout
    moderation = wps_run("--local", project / "playbooks" / "moderation.yaml").stdout

    assert setup.startswith("LOCAL rehearsal")
    assert "launch-red   ada, grace, wall-display" in setup
    assert '"Welcome, red team" from launch-red  ' in setup
    assert "wall-display  may sendToGroup launch-red" in setup
    assert '"Spamming town-hall"  bad-conn, mallory' in moderation or (
        '"Spamming town-hall"  mallory, bad-conn' in moderation
    )
    assert "may not sendToGroup town-hall" in moderation


def test_excluded_connection_receives_no_message(wps_run: Script, project: Path) -> None:
    """Excluded connections are simulated, too."""
    process = wps_run("--local", project / "playbooks" / "announcement.yaml", "--output", "json")

    messages = json.loads(process.stdout)["rehearsal"][0]["messages"]
    assert messages[1]["receivedBy"] == ["ada"]
    assert messages[2]["receivedBy"] == ["wall-display"]


@pytest.mark.parametrize(("mode", "code"), [("sequential", 1), ("concurrent", 1)])
def test_steps_after_a_failure_are_skipped(
    wps_run: Script, tmp_path: Path, mode: str, code: int
) -> None:
    """With `onError: stop`; every action has a result."""
    (tmp_path / "p.yaml").write_text(
        f"hub: chat\nmode: {mode}\nactions:\n"
        + JOIN
        + "  - {actionName: closeAllConnections}\n"
        + JOIN * 2
    )

    process = wps_run("--local", "p.yaml", "--output", "ndjson")

    *results, summary = map(json.loads, process.stdout.splitlines())
    statuses = {
        result["index"]: result["status"] for result in results if result["type"] == "result"
    }
    assert process.returncode == summary["exitCode"] == code
    assert statuses[0] == statuses[1] == "ok"
    assert statuses[2] == "failed"
    assert statuses[3] in {"skipped", "failed"}
    assert summary["total"] == 4


def test_with_on_error_continue_the_other_steps_run(wps_run: Script, tmp_path: Path) -> None:
    """The failure has the message of the service and a hint."""
    (tmp_path / "p.yaml").write_text(
        "hub: chat\nonError: continue\nactions:\n"
        "  - {actionName: closeAllConnections}\n" + JOIN + "  - {actionName: sendToAll, data: x}\n"
    )

    process = wps_run("--local", "p.yaml", "--output", "json")

    _, add, send = json.loads(process.stdout)["results"]
    assert (process.returncode, add["status"], add["httpStatus"]) == (1, "failed", 404)
    assert add["error"]["code"] == "Warning.User.NotExisted"
    assert "webpubsub.group" in add["error"]["hint"]
    assert add["source"] == "p.yaml:5"
    assert send["status"] == "ok"


def test_several_playbooks_are_one_run(wps_run: Script, tmp_path: Path) -> None:
    """They run in the given order and are numbered consecutively."""
    (tmp_path / "one.yaml").write_text("hub: chat\nactions:\n" + JOIN)
    (tmp_path / "two.yaml").write_text("hub: Chat\nmode: concurrent\nactions:\n" + JOIN * 2)

    process = wps_run("--local", "one.yaml", "two.yaml", "--output", "json")

    report = json.loads(process.stdout)
    assert [result["index"] for result in report["results"]] == [0, 1, 2]
    assert [result["source"] for result in report["results"]] == [
        "one.yaml:3",
        "two.yaml:4",
        "two.yaml:5",
    ]
    assert len(report["rehearsal"]) == 1


def test_failure_in_a_playbook_stops_the_later_ones(wps_run: Script, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "hub: chat\nactions:\n  - {actionName: closeAllConnections}\n" + JOIN
    )
    (tmp_path / "two.yaml").write_text(
        "hub: chat\nactions:\n  - {actionName: sendToAll, data: x}\n"
    )

    process = wps_run("--local", "one.yaml", "two.yaml", "--output", "json")

    statuses = [result["status"] for result in json.loads(process.stdout)["results"]]
    assert (process.returncode, statuses) == (1, ["ok", "failed", "skipped"])


def test_batch_of_a_function_is_a_playbook(wps_run: Script) -> None:
    """A JSON list from stdin; `${` in it is no variable."""
    batch = [
        {"actionName": "addUserToGroup", "userId": "ada", "group": "${red}"},
        {"actionName": "SendToGroup", "group": "${red}", "data": "\U0001f600 ${x}"},
        {
            "actionName": "sendToAll",
            "dataType": "binary",
            "data": {"type": "Buffer", "data": [0, 255]},
        },
    ]

    process = wps_run("--local", "-", "--output", "json", stdin=json.dumps(batch))

    report = json.loads(process.stdout)
    assert process.returncode == 0, process.stdout
    assert report["rehearsal"][0]["groups"] == {"${red}": ["ada"]}
    assert report["rehearsal"][0]["messages"][0]["data"] == "\U0001f600 ${x}"
    assert report["rehearsal"][0]["messages"][1]["bytes"] == 2


def test_variables_come_from_four_sources(wps_run: Script, tmp_path: Path) -> None:
    """--var over --vars-file over `vars` of the playbook; `env` separately."""
    (tmp_path / "p.yaml").write_text(
        "hub: chat\nvars: {a: own, b: own, c: 007}\nactions:\n"
        "  - {actionName: sendToAll, data: '${a} ${b} ${c} ${env.TEAM} $${a}'}\n"
    )
    (tmp_path / "vars.json").write_text('{"a": "file", "b": "file"}')

    process = wps_run(
        *("--local", "p.yaml", "--output", "json", "--var", "a=option"),
        *("--vars-file", "vars.json"),
        TEAM="red",
    )

    report = json.loads(process.stdout)
    assert report["rehearsal"][0]["messages"][0]["data"] == "option file 007 red ${a}"


@pytest.mark.parametrize(
    ("args", "stdin", "message"),
    [
        (["none.yaml"], "", "cannot read `none.yaml`"),
        ([], "", "Usage"),
        (["run"], "", "name a playbook"),
        (["-", "-"], "", "read only once"),
        (["--mode", "fast", "-"], "", "'fast' is not one of"),
        (["--concurrency", "0", "-"], "", "must be a whole number from 1 to 1000"),
        (["--timeout", "soon", "-"], "", "must be a duration of 1 ms to 24 hours"),
        (["-"], "- {actionName: sendToAll, data: x}", "no hub"),
        (["--hub", "my-hub", "-"], "- {actionName: sendToAll, data: x}", "must begin with"),
        (["--hub", "chat", "-"], "- {actionName: sendToAll, data: x}", "WebPubSubConnectionString"),
        (["--hub", "chat", "-"], "- {actionName: sendToAll, data: {a: 1}}", "<stdin>:1:33: "),
        (["--hub", "chat", "-"], "\ud83d".encode("utf-8", "surrogatepass"), "UTF-8"),
        (["--local", "-"], "actions: [{actionName: sendToAll, data: '${x}'}]", "<stdin>:1:"),
        (["--local", "--var", "x", "-"], "", "name=value"),
    ],
)
def test_invalid_input_is_reported_and_nothing_is_sent(
    wps_run: Script, args: list[str], stdin: str | bytes, message: str
) -> None:
    """Exit code 2, never a traceback."""
    process = wps_run(*args, stdin=stdin)

    assert process.returncode == 2 or (args == [] and process.returncode in {0, 2})
    assert message in process.stderr + (process.stdout if not args else "")
    assert "Traceback" not in process.stderr


def test_action_fails_if_the_connection_is_refused(wps_run: Script) -> None:
    """`failed`, not `unknown`: it certainly did not happen."""
    process = wps_run(
        *("--hub", "chat", "--attempts", "1", "--output", "json", "-"),
        stdin="- {actionName: sendToAll, data: x}",
        WebPubSubConnectionString="Endpoint=http://127.0.0.1:1;AccessKey=topsecretkey;Version=1.0;",
    )

    (result,) = json.loads(process.stdout)["results"]
    assert (process.returncode, result["status"], result["attempts"]) == (1, "failed", 0)
    assert "topsecretkey" not in process.stdout + process.stderr


BAD = sorted((Path(__file__).parents[1] / "playbooks" / "bad").glob("*.yaml"))


def test_problems_of_all_invalid_playbooks_are_reported(wps_run: Script) -> None:
    """Nothing is sent."""
    process = wps_run("--local", *BAD)

    assert process.returncode == 2
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    assert all(f"{file}:" in process.stderr for file in BAD)
    checked = wps_run("validate", *BAD)
    assert checked.returncode == 1
    assert "Traceback" not in checked.stdout + checked.stderr
    assert all(f"{file}:" in checked.stdout for file in BAD)
