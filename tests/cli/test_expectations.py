"""`expect` in runs and rehearsals, and `wps-run verify`: results, reports and exit codes."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from wps_run import planning, reading
from wps_run.emulator.hub import Hub
from wps_run.emulator.testing import LocalPubSub
from wps_run.execution.result import SkipReason, Status
from wps_run.execution.stop import Stop
from wps_run.planning import RunOverrides
from wps_run.playbook.model import read_playbook
from wps_run.rehearsal import SimulatedClients, SimulatedState

Run = Callable[..., tuple[int, str, str]]

REHEARSED = """\
hub: chat
actions:
  - {forEach: [ada, grace], actionName: addUserToGroup, userId: '${each}', group: red}
  - {actionName: grantPermission, connectionId: wall, permission: sendToGroup, targetName: red}
  - {actionName: sendToGroup, group: red, data: 'Welcome, red team'}
  - {actionName: closeClientConnection, connectionId: troll, reason: Spam}
expect:
  - {group: red, has: [ada, grace]}
  - {group: lobby, users: []}
  - {connection: wall, permission: sendToGroup, targetName: red}
  - {message: 'Welcome, red team', receivedBy: [ada, grace]}
  - {closed: [troll], reason: Spam}
"""

STATE = """\
hub: chat
expect:
  - {group: red, users: [ada]}
  - {user: linus, connected: false}
  - {message: Welcome, receivedBy: [ada]}
"""


@pytest.fixture
def run(command_line: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `wps-run` in this process and an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return command_line


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPubSub]:
    """The real service of a test: a hub in which Ada is in `red`."""
    with LocalPubSub() as service:
        service.client(hub="chat", user="ada", connection_id="a1", groups=["red"])
        monkeypatch.setenv("WebPubSubConnectionString", service.connection_string)
        yield service


def write(text: str, name: str = "p.yaml") -> str:
    Path(name).write_text(text)
    return name


def statuses(ndjson: str) -> list[str]:
    records = map(json.loads, ndjson.splitlines())
    return [record["status"] for record in records if record["type"] == "expectation"]


def test_a_rehearsal_checks_all_forms_on_the_simulated_state(run: Run) -> None:
    code, out, err = run("run", "--local", write(REHEARSED))
    assert (code, err) == (0, "")
    assert "LOCAL rehearsal (nothing leaves this machine)" in out
    assert "5 actions and 5 expectations" in out
    assert (
        "\nExpectations\n"
        "ok      group red has ada, grace\n"
        "ok      group lobby is empty\n"
        "ok      connection wall may sendToGroup red\n"
        'ok      message "Welcome, red team" is received by ada, grace\n'
        "ok      closed with the reason Spam: troll\n" in out
    )
    assert out.endswith("LOCAL: 5 expectations: 5 ok, 0 failed, 0 unknown, 0 skipped\n")


def test_one_that_does_not_hold_makes_exit_code_1(run: Run) -> None:
    playbook = write(REHEARSED + "  - {user: linus, connected: true}\n")
    code, out, _ = run("run", "--local", "-q", playbook)
    assert code == 1
    assert "failed  user linus is connected\n        p.yaml:13: not-met: there is no" in out

    code, out, _ = run("run", "--local", "--output", "json", playbook)
    report = json.loads(out)
    assert code == 1
    assert report["summary"]["total"] == report["summary"]["ok"] == 5
    assert report["summary"]["expectations"] == {"ok": 5, "failed": 1, "unknown": 0, "skipped": 0}
    assert report["expectations"][5] == {
        "type": "expectation",
        "index": 5,
        "statement": "user linus is connected",
        "source": "p.yaml:13",
        "status": "failed",
        "error": {"code": "not-met", "message": "there is no connection", "hint": ""},
        "durationMs": report["expectations"][5]["durationMs"],
    }


def test_names_only_in_expect_get_no_simulated_client(run: Run) -> None:
    playbook = write("hub: chat\nexpect:\n  - {user: ada, connected: false}\n")
    code, out, _ = run("run", "--local", playbook)
    assert code == 0
    assert "ok      user ada is not connected" in out


def test_within_asks_again_until_it_holds(run: Run) -> None:
    playbook = write(
        "hub: chat\n"
        "actions: [{actionName: sendToUser, userId: ada, data: hi}]\n"
        "expect: [{user: ada, connected: true, within: 20s}]\n"
    )
    code, out, _ = run("run", "--local", "--absent", "ada=150ms", "--output", "ndjson", playbook)
    assert (code, statuses(out)) == (0, ["ok"])


def test_within_asks_again_while_it_cannot_be_read(run: Run, service: LocalPubSub) -> None:
    """A state that is expected within a time may become readable in that time, too."""
    service.fault("500,on=UserExists,count=2")
    text = "hub: chat\nexpect:\n  - {user: ada, connected: true, within: 60s}\n"

    assert run("verify", "--attempts", "1", write(text))[0] == 0


def test_each_report_has_the_results_also_from_the_journal(run: Run) -> None:
    playbook = write(REHEARSED + "  - {user: linus, connected: true}\n")
    suffixes = ("xml", "md", "html", "json", "ndjson")
    then = [arg for suffix in suffixes for arg in ("--report", f"then.{suffix}")]
    now = [arg for suffix in suffixes for arg in ("--report", f"now.{suffix}")]
    assert run("run", "--local", "-q", "--journal", "j", *then, playbook)[0] == 1
    assert run("report", "j", *now)[0] == 1
    for suffix in suffixes:
        text = Path(f"then.{suffix}").read_text()
        assert text == Path(f"now.{suffix}").read_text()
        assert "user linus is connected" in text
        assert "message of 17 bytes is received by ada, grace" in text
    assert "Welcome" not in Path("j").read_text()

    suite = ET.parse("then.xml").getroot()[1]  # noqa: S314 -- our own
    assert suite.attrib["name"] == "p.yaml: expectations"
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("6", "1")
    failure = suite.findall("testcase")[5].find("failure")
    assert failure is not None
    assert failure.attrib == {"message": "there is no connection", "type": "not-met"}
    assert "### Expectations: 5 ok, 1 failed" in Path("then.md").read_text()


def test_a_failure_is_an_annotation_of_github(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    playbook = write("hub: chat\nexpect:\n  - {user: ada, connected: true}\n")
    _, out, _ = run("run", "--local", playbook)
    assert (
        "::error file=p.yaml,line=3,title=failed%3A expectation::user ada is connected%0A"
        "not-met: there is no connection\n" in out
    )


@pytest.mark.usefixtures("service")
def test_a_run_checks_by_reading_also_after_a_failed_action(run: Run) -> None:
    playbook = write(
        STATE.replace(
            "expect:",
            "actions: [{actionName: addUserToGroup, userId: bo, group: red}]\nexpect:",
        )
    )
    code, out, _ = run("run", "--output", "ndjson", playbook)
    assert code == 1
    assert statuses(out) == ["ok", "ok", "skipped"]


@pytest.mark.usefixtures("service")
def test_what_only_a_rehearsal_shows_does_not_count_on_the_service(run: Run) -> None:
    code, out, _ = run("run", write(STATE))
    assert code == 0
    assert "skipped message" in out
    assert out.endswith("SERVICE: 3 expectations: 2 ok, 0 failed, 0 unknown, 1 skipped\n")


def test_what_cannot_be_read_is_unknown_and_makes_exit_code_3(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalPubSub() as service:
        unreachable = service.connection_string
    monkeypatch.setenv("WebPubSubConnectionString", unreachable)
    for command in ("run", "verify"):
        code, out, _ = run(command, "--attempts", "1", "--output", "ndjson", write(STATE))
        assert (code, statuses(out)) == (3, ["unknown", "unknown", "skipped"])


def test_a_resumed_run_checks_again_at_its_end(run: Run, service: LocalPubSub) -> None:
    playbook = write(
        "hub: chat\n"
        "actions: [{actionName: sendToAll, data: hi}]\n"
        "expect: [{user: grace, connected: true}]\n"
    )
    assert run("run", "--journal", "j", playbook)[0] == 1
    service.client(hub="chat", user="grace")
    code, out, _ = run("run", "--resume", "j", "--output", "ndjson")
    assert (code, statuses(out)) == (0, ["ok"])
    assert run("report", "j", "--output", "none")[0] == 0


async def test_after_an_interrupt_the_rest_is_skipped() -> None:
    text = (
        "hub: chat\n"
        "expect:\n"
        "  - {user: cy, connected: false}\n"
        "  - {user: ada, connected: true, within: 60m}\n"
        "  - {user: bo, connected: false}\n"
    )
    plans = planning.plan([read_playbook(text, "p.yaml")], RunOverrides())
    stop = Stop()
    checks = reading.check_expectations(
        plans,
        reading.service_source(reading.new_clients()),
        stop,
        rehearsed=lambda _: SimulatedState(Hub(), SimulatedClients()),
    )
    async with contextlib.aclosing(checks):
        assert (await anext(checks))[1].status is Status.OK
        asyncio.get_running_loop().call_soon(stop.request, SkipReason.INTERRUPTED)
        results = [result async for _, result in checks]
    assert [result.status for result in results] == [Status.SKIPPED, Status.OK]
    assert results[0].error is not None
    assert results[0].error.code == "interrupted"


async def test_an_interrupted_run_reads_nothing_more() -> None:
    """The interrupt came during the actions, or while their doubts were read back."""
    text = "hub: chat\nexpect:\n" + "".join(
        f"  - {{user: user-{number}, connected: false}}\n" for number in range(3)
    )
    plans = planning.plan([read_playbook(text, "p.yaml")], RunOverrides())
    stop = Stop()
    stop.request(SkipReason.INTERRUPTED)
    checks = reading.check_expectations(
        plans,
        reading.service_source(reading.new_clients()),
        stop,
        rehearsed=lambda _: SimulatedState(Hub(), SimulatedClients()),
    )
    statuses = []
    async for _, result in checks:
        statuses.append(result.status)
        await asyncio.sleep(0)  # noqa: TID251 -- what was started goes on

    assert statuses == [Status.SKIPPED] * 3


def test_a_run_that_ended_before_its_expectations_says_so(run: Run) -> None:
    run("run", "--local", "-q", "--journal", "j", write(REHEARSED))
    whole = Path("j").read_bytes()
    Path("cut").write_bytes(whole[: whole.index(b'{"type":"expectation"')])
    code, out, _ = run("report", "cut")
    assert code == 1
    assert out.endswith("LOCAL: 5 expectations: 0 ok, 0 failed, 0 unknown, 5 skipped\n")


def test_playbooks_of_one_run_must_not_contradict_each_other(run: Run) -> None:
    first = write("hub: chat\nexpect: [{user: ada, connected: true}]\n", "a.yaml")
    second = write("hub: Chat\nexpect: [{user: ada, connected: false}]\n", "b.yaml")
    other = write("hub: other\nexpect: [{user: ada, connected: false}]\n", "c.yaml")
    code, out, err = run("run", "--local", first, second)
    assert (code, out) == (2, "")
    assert (
        "b.yaml:2:33: error: this contradicts the entry at a.yaml:2:10: user ada is connected"
        in err
    )
    assert run("run", "--local", first, other)[0] == 1


def test_playbooks_of_one_run_may_expect_the_same(run: Run) -> None:
    """Each is complete by itself, so neither entry can be left out."""
    text = "hub: chat\nexpect:\n  - {user: linus, connected: false}\n"

    assert run("run", "--local", write(text, "a.yaml"), write(text, "b.yaml"))[0] == 0


@pytest.mark.usefixtures("service")
def test_playbooks_of_one_run_with_other_connections_do_not_contradict_each_other(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their hubs have the same name, but are of two services."""
    other = "hub: chat\nconnection: Staging\nexpect:\n  - {user: ada, connected: false}\n"
    text = "hub: chat\nexpect:\n  - {user: ada, connected: true}\n"
    with LocalPubSub() as staging:
        monkeypatch.setenv("Staging", staging.connection_string)

        assert run("verify", write(text, "a.yaml"), write(other, "b.yaml"))[0] == 0


def test_a_rehearsal_reads_a_slash_in_names_as_the_service_does(run: Run) -> None:
    """The path of a read keeps it encoded, like that of an action."""
    actions = "actions:\n  - {actionName: addUserToGroup, userId: ada, group: a/b}\n"
    text = f"hub: chat\nslashInNames: allow\n{actions}expect:\n  - {{group: a/b, users: [ada]}}\n"

    assert run("run", "--local", write(text))[0] == 0


def test_a_message_that_is_cut_shows_no_part_of_a_secret(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is masked before it is cut."""
    monkeypatch.setenv("TOKEN", "hunter2-hunter2-hunter2")
    message = f"{'-' * 50} ${{env.TOKEN}}"
    text = f"hub: chat\nexpect:\n  - {{message: '{message}', receivedBy: [ada]}}\n"

    _, out, _ = run("run", "--local", "--allow-env", "TOKEN", write(text))

    assert "***" in out
    assert "hunter" not in out


def test_a_shard_cannot_check_expectations(run: Run) -> None:
    code, out, err = run("run", "--local", "--shard", "1/2", write(REHEARSED))
    assert (code, out) == (2, "")
    assert "p.yaml:7:1: error: a shard does not know when the others end" in err


@pytest.mark.usefixtures("service")
def test_verify_checks_without_running_the_actions(run: Run) -> None:
    playbook = write(
        STATE.replace("expect:", "actions: [{actionName: closeAllConnections}]\nexpect:")
    )
    code, out, err = run("verify", playbook, "--report", "r.xml")
    assert (code, err) == (0, "")
    assert "hub chat · p.yaml · 3 expectations" in out
    assert "ok      group red has exactly ada\n" in out
    assert out.endswith("SERVICE: 3 expectations: 2 ok, 0 failed, 0 unknown, 1 skipped\n")
    assert "group red has exactly ada" in Path("r.xml").read_text()

    write("hub: chat\nexpect:\n  - {group: red, users: [ada, bo]}\n")
    code, out, _ = run("verify", "p.yaml")
    assert code == 1
    assert "p.yaml:3: not-met: not in the group: bo\n" in out
    assert not Path("state").exists()


@pytest.mark.usefixtures("service")
def test_verify_needs_something_to_check(run: Run) -> None:
    code, out, err = run("verify", write("hub: chat\ngroups: {red: {users: [ada]}}\n"))
    assert (code, out) == (2, "")
    assert err == "error: nothing was checked; the playbook has no `expect`\n"


def test_a_plan_lists_what_is_checked_after_the_actions(run: Run) -> None:
    playbook = write(REHEARSED)
    _, out, _ = run("plan", playbook)
    assert (
        "\nChecked after the actions:\n  group red has ada, grace  (p.yaml:8)\n"
        "  group lobby is empty  (p.yaml:9)\n" in out
    )
    _, out, _ = run("plan", "--format", "ndjson", playbook)
    assert json.loads(out.splitlines()[-2]) == {
        "type": "expectation",
        "index": 3,
        "statement": "message of 17 bytes is received by ada, grace",
        "source": "p.yaml:11",
    }
