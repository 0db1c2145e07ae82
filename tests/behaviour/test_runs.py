"""A run gives a result for every action, whatever happens to it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

SEAT = "  - {actionName: addUserToGroup, userId: ada, group: red}\n"
EXAMPLES = sorted((Path(__file__).parents[2] / "playbooks").glob("*.yaml"))


@pytest.mark.parametrize("playbook", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_playbook_runs_in_a_rehearsal(wps_run: Script, playbook: Path) -> None:
    """What we show works, action by action."""
    done = wps_run("--local", playbook, "--output", "json")

    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    assert report["summary"]["ok"] == report["summary"]["total"] == len(report["results"]) > 3


def test_a_rehearsal_shows_what_would_happen(wps_run: Script, project: Path) -> None:
    """Who is in which group, who heard what, who was closed and why, what is permitted."""
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


def test_an_excluded_connection_hears_nothing(wps_run: Script, project: Path) -> None:
    """Excluded connections are among those who are simulated."""
    done = wps_run("--local", project / "playbooks" / "announcement.yaml", "--output", "json")

    messages = json.loads(done.stdout)["rehearsal"][0]["messages"]
    assert messages[1]["receivedBy"] == ["ada"]
    assert messages[2]["receivedBy"] == ["wall-display"]


@pytest.mark.parametrize(("mode", "code"), [("sequential", 1), ("concurrent", 1)])
def test_after_a_failure_the_rest_is_skipped(
    wps_run: Script, tmp_path: Path, mode: str, code: int
) -> None:
    """With `onError: stop` nothing new starts; every action still has a result."""
    (tmp_path / "p.yaml").write_text(
        f"hub: chat\nmode: {mode}\nactions:\n"
        + SEAT
        + "  - {actionName: closeAllConnections}\n"
        + SEAT * 2
    )

    done = wps_run("--local", "p.yaml", "--output", "ndjson")

    *results, summary = map(json.loads, done.stdout.splitlines())
    statuses = {one["index"]: one["status"] for one in results if one["type"] == "result"}
    assert done.returncode == summary["exitCode"] == code
    assert statuses[0] == statuses[1] == "ok"
    assert statuses[2] == "failed"
    assert statuses[3] in {"skipped", "failed"}
    assert summary["total"] == 4


def test_with_on_error_continue_the_rest_runs(wps_run: Script, tmp_path: Path) -> None:
    """A failure is reported with the service's words and a hint, and the next one starts."""
    (tmp_path / "p.yaml").write_text(
        "hub: chat\nonError: continue\nactions:\n"
        "  - {actionName: closeAllConnections}\n" + SEAT + "  - {actionName: sendToAll, data: x}\n"
    )

    done = wps_run("--local", "p.yaml", "--output", "json")

    _, add, send = json.loads(done.stdout)["results"]
    assert (done.returncode, add["status"], add["httpStatus"]) == (1, "failed", 404)
    assert add["error"]["code"] == "Warning.User.NotExisted"
    assert "webpubsub.group" in add["error"]["hint"]
    assert add["source"] == "p.yaml:5"
    assert send["status"] == "ok"


def test_several_playbooks_are_one_run(wps_run: Script, tmp_path: Path) -> None:
    """They run in the order given and are numbered through."""
    (tmp_path / "one.yaml").write_text("hub: chat\nactions:\n" + SEAT)
    (tmp_path / "two.yaml").write_text("hub: Chat\nmode: concurrent\nactions:\n" + SEAT * 2)

    done = wps_run("--local", "one.yaml", "two.yaml", "--output", "json")

    report = json.loads(done.stdout)
    assert [one["index"] for one in report["results"]] == [0, 1, 2]
    assert [one["source"] for one in report["results"]] == [
        "one.yaml:3",
        "two.yaml:4",
        "two.yaml:5",
    ]
    assert len(report["rehearsal"]) == 1


def test_a_failure_in_one_playbook_stops_those_after_it(wps_run: Script, tmp_path: Path) -> None:
    """One run, one `stop`."""
    (tmp_path / "one.yaml").write_text(
        "hub: chat\nactions:\n  - {actionName: closeAllConnections}\n" + SEAT
    )
    (tmp_path / "two.yaml").write_text(
        "hub: chat\nactions:\n  - {actionName: sendToAll, data: x}\n"
    )

    done = wps_run("--local", "one.yaml", "two.yaml", "--output", "json")

    statuses = [one["status"] for one in json.loads(done.stdout)["results"]]
    assert (done.returncode, statuses) == (1, ["ok", "failed", "skipped"])


def test_the_batch_that_a_function_returns_is_a_playbook(wps_run: Script) -> None:
    """A bare list, in JSON, from standard input; its `${` is the user's."""
    batch = [
        {"actionName": "addUserToGroup", "userId": "ada", "group": "${red}"},
        {"actionName": "SendToGroup", "group": "${red}", "data": "\U0001f600 ${x}"},
        {
            "actionName": "sendToAll",
            "dataType": "binary",
            "data": {"type": "Buffer", "data": [0, 255]},
        },
    ]

    done = wps_run("--local", "-", "--output", "json", stdin=json.dumps(batch))

    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert report["rehearsal"][0]["groups"] == {"${red}": ["ada"]}
    assert report["rehearsal"][0]["messages"][0]["data"] == "\U0001f600 ${x}"
    assert report["rehearsal"][0]["messages"][1]["bytes"] == 2


def test_variables_come_from_four_sources(wps_run: Script, tmp_path: Path) -> None:
    """--var over --vars-file over the playbook's `vars`; `env` by its own name."""
    (tmp_path / "p.yaml").write_text(
        "hub: chat\nvars: {a: own, b: own, c: 007}\nactions:\n"
        "  - {actionName: sendToAll, data: '${a} ${b} ${c} ${env.TEAM} $${a}'}\n"
    )
    (tmp_path / "vars.json").write_text('{"a": "file", "b": "file"}')

    done = wps_run(
        *("--local", "p.yaml", "--output", "json", "--var", "a=option"),
        *("--vars-file", "vars.json"),
        TEAM="red",
    )

    # Nobody is simulated here, so the plan shows the size and the ledger of the hub the text.
    report = json.loads(done.stdout)
    assert report["rehearsal"][0]["messages"][0]["data"] == "option file 007 red ${a}"


@pytest.mark.parametrize(
    ("words", "stdin", "complaint"),
    [
        (["none.yaml"], "", "cannot read `none.yaml`"),
        ([], "", "Usage"),
        (["run"], "", "name a playbook"),
        (["-", "-"], "", "read only once"),
        (["--mode", "fast", "-"], "", "'fast' is not one of"),
        (["--concurrency", "0", "-"], "", "0 is not in the range"),
        (["--timeout", "soon", "-"], "", "a duration is written"),
        (["-"], "- {actionName: sendToAll, data: x}", "no hub"),
        (["--hub", "my-hub", "-"], "- {actionName: sendToAll, data: x}", "must begin with"),
        (["--hub", "chat", "-"], "- {actionName: sendToAll, data: x}", "WebPubSubConnectionString"),
        (["--hub", "chat", "-"], "- {actionName: sendToAll, data: {a: 1}}", "<stdin>:1:33: "),
        (["--hub", "chat", "-"], "\ud83d".encode("utf-8", "surrogatepass"), "UTF-8"),
        (["--local", "-"], "actions: [{actionName: sendToAll, data: '${x}'}]", "<stdin>:1:"),
        (["--local", "--var", "x", "-"], "", "name=value"),
    ],
)
def test_bad_input_sends_nothing_and_says_where(
    wps_run: Script, words: list[str], stdin: str | bytes, complaint: str
) -> None:
    """Exit 2 and a clear sentence, never a traceback."""
    done = wps_run(*words, stdin=stdin)

    assert done.returncode == 2 or (words == [] and done.returncode in {0, 2})
    assert complaint in done.stderr + (done.stdout if not words else "")
    assert "Traceback" not in done.stderr


def test_a_refused_connection_fails_every_action_with_a_hint(wps_run: Script) -> None:
    """Nothing was done, which is certain, so it is `failed` and not `unknown`."""
    done = wps_run(
        *("--hub", "chat", "--attempts", "1", "--output", "json", "-"),
        stdin="- {actionName: sendToAll, data: x}",
        WebPubSubConnectionString="Endpoint=http://127.0.0.1:1;AccessKey=topsecretkey;Version=1.0;",
    )

    (result,) = json.loads(done.stdout)["results"]
    assert (done.returncode, result["status"], result["attempts"]) == (1, "failed", 0)
    assert "topsecretkey" not in done.stdout + done.stderr


BAD = sorted((Path(__file__).parents[1] / "playbooks" / "bad").glob("*.yaml"))


def test_no_bad_playbook_is_run_and_none_shows_a_traceback(wps_run: Script) -> None:
    """A run of all of them sends nothing and tells the problems of each."""
    done = wps_run("--local", *BAD)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert all(f"{file}:" in done.stderr for file in BAD)
    checked = wps_run("validate", *BAD)
    assert checked.returncode == 1
    assert "Traceback" not in checked.stdout + checked.stderr
    assert all(f"{file}:" in checked.stdout for file in BAD)
