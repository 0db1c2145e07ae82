"""Rows from a live group: read once before the first action, and kept beside the journal."""

import json
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.plan_runs import run_plans

from wps_run.cli.errors import report_error
from wps_run.cli.main import wps_run
from wps_run.emulator.testing import LocalPubSub
from wps_run.journal.rows_file import rows_path
from wps_run.journal.store import MOST_JOURNALS, prune
from wps_run.planning import RunOverrides, plan
from wps_run.playbook.model import read_playbook
from wps_run.problems import UsageError
from wps_run.reading import new_clients, read_live

GREET = """
hub: local
vars: {room: launch}
actions:
  - forEach: {group: "${room}"}
    actionName: sendToConnection
    connectionId: ${each.connectionId}
    data: Hello ${each.userId}
"""

LATER = """
hub: local
actions:
  - forEach: {file: members.csv}
    actionName: addUserToGroup
    userId: ${each.userId}
    group: launch-${each.team}
    onMissing: skip
  - forEach: {group: launch-red}
    actionName: sendToConnection
    connectionId: ${each.connectionId}
    data: Hello
"""


@pytest.fixture
def service() -> Iterator[LocalPubSub]:
    with LocalPubSub() as running:
        yield running


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    service: LocalPubSub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command in an empty folder; returns its exit code, its output and its errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("WebPubSubConnectionString", service.connection_string)

    def call(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = wps_run.main(list(args), standalone_mode=False)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- as the console script
            code = report_error(error)
        return code or 0, *capfd.readouterr()

    return call


def write(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def operations(service: LocalPubSub) -> list[str]:
    """Return the REST operations that the service was asked for, in order."""
    return [entry.operation for entry in service.requests]


def test_each_connection_in_the_group_is_a_row(service: LocalPubSub, run: Run) -> None:
    ada = service.client("ada", groups=["launch"])
    anonymous = service.client(groups=["launch"])
    outsider = service.client("linus", groups=["lobby"])
    code, out, _ = run(write("p.yaml", GREET))
    assert code == 0, out
    assert (ada.messages, anonymous.messages) == (["Hello ada"], ["Hello "])
    assert outsider.messages == []


def test_a_group_is_read_once_for_all_playbooks(service: LocalPubSub, run: Run) -> None:
    service.client("ada", groups=["launch"])
    first, second = write("first.yaml", GREET), write("second.yaml", GREET)
    assert run(first, second)[0] == 0
    assert operations(service) == ["ListConnectionsInGroup", *["SendToConnection"] * 2]


def test_a_column_of_a_matrix_takes_the_connections(service: LocalPubSub, run: Run) -> None:
    wall = service.client("wall", groups=["launch"], connection_id="w")
    playbook = """
hub: local
actions:
  - forEach: {matrix: {id: {group: launch, column: connectionId}, room: [red, blue]}}
    actionName: addConnectionToGroup
    connectionId: ${each.id}
    group: ${each.room}
"""
    assert run(write("p.yaml", playbook))[0] == 0
    assert wall.groups == {"launch", "red", "blue"}


@pytest.mark.parametrize(
    "rows", ["{group: launch}", "{matrix: {u: {group: launch, column: userId}}}"]
)
def test_an_anonymous_connection_has_no_user_to_add(
    service: LocalPubSub, run: Run, rows: str
) -> None:
    service.client(groups=["launch"], connection_id="wall-1")
    column = "userId" if rows.startswith("{group") else "u"
    playbook = f"""
hub: local
actions:
  - forEach: {rows}
    actionName: addUserToGroup
    userId: ${{each.{column}}}
    group: red
"""
    code, _, errors = run(write("p.yaml", playbook))
    assert code == 2
    assert "is anonymous, so it has no userId; use an action on the connection" in errors
    assert operations(service) == ["ListConnectionsInGroup"]


def test_a_resumed_run_has_the_same_rows(service: LocalPubSub, run: Run) -> None:
    gone = service.client("ada", groups=["launch"], connection_id="a")
    service.client("grace", groups=["launch"], connection_id="b")
    service.fault("500,after,on=SendToConnection,count=1")
    assert run("--journal", "j", write("p.yaml", GREET))[0] == 3
    service.client("linus", groups=["launch"], connection_id="c")
    gone.leave()
    reads = operations(service).count("ListConnectionsInGroup")
    _, out, _ = run("--resume", "j", "--output", "ndjson")
    *results, summary = map(json.loads, out.splitlines())
    assert [result["target"]["connectionId"] for result in results] == ["a", "b"]
    assert summary["total"] == 2
    assert operations(service).count("ListConnectionsInGroup") == reads


def test_a_scheduler_that_restarts_the_command_has_the_same_rows(
    service: LocalPubSub, run: Run
) -> None:
    service.client("ada", groups=["launch"])
    command = ("--journal", "j", "--resume-if-exists", write("p.yaml", GREET))
    assert run(*command)[0] == 0
    service.client("linus", groups=["launch"])
    code, out, _ = run(*command)
    assert code == 0
    assert "1 of 1 done earlier, nothing sent" in out


def test_the_rows_file_is_private(service: LocalPubSub, run: Run) -> None:
    service.client("ada", groups=["launch"], connection_id="a")
    assert run("--journal", "j", write("p.yaml", GREET))[0] == 0
    file = Path("j.rows")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"type": "rows", "version": 1},
        {"type": "group", "hub": "local", "group": "launch", "connections": 1},
        {"connectionId": "a", "userId": "ada"},
    ]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "the rows file `j.rows` is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "`j.rows` is damaged"),
        (lambda path: path.write_text("{}\n"), "`j.rows` is damaged"),
        (lambda path: path.write_text(path.read_text().replace("ada", "eve")), "changed since"),
        (lambda path: path.write_text(path.read_text().replace("launch", "x")), "changed since"),
        (
            lambda path: path.write_text(path.read_text().replace('s":1', 's":0').split('{"c')[0]),
            "changed since",
        ),
    ],
    ids=["missing", "torn", "other", "changed", "other group", "without its connection"],
)
def test_a_run_is_not_resumed_with_other_rows(
    service: LocalPubSub, run: Run, damage: Callable[[Path], object], message: str
) -> None:
    service.client("ada", groups=["launch"])
    assert run("--journal", "j", write("p.yaml", GREET))[0] == 0
    requests = len(operations(service))
    damage(Path("j.rows"))
    code, out, errors = run("--resume", "j")
    assert (code, out) == (2, "")
    assert message in errors
    assert "new run" in errors
    assert len(operations(service)) == requests


def test_a_run_without_a_journal_keeps_no_rows(service: LocalPubSub, run: Run) -> None:
    service.client("ada", groups=["launch"])
    assert run("--no-journal", "--report", "r.json", write("p.yaml", GREET))[0] == 0
    assert sorted(path.name for path in Path().iterdir()) == ["p.yaml", "r.json"]


def test_the_rows_are_deleted_with_their_journal(service: LocalPubSub, run: Run) -> None:
    service.client("ada", groups=["launch"])
    assert run(write("p.yaml", GREET))[0] == 0
    (journal,) = Path("state").rglob("*.journal")
    assert rows_path(journal).exists()
    for number in range(MOST_JOURNALS):
        (journal.parent / f"99999999-{number}.journal").touch()
    prune(journal.parent)
    assert not journal.exists()
    assert not rows_path(journal).exists()


def test_a_rows_file_without_its_journal_is_replaced_but_no_other_file(
    service: LocalPubSub, run: Run
) -> None:
    service.client("ada", groups=["launch"])
    Path("j.rows").write_text('{"type":"rows","version":1}\n')
    assert run("--journal", "j", write("p.yaml", GREET))[0] == 0
    Path("other.rows").write_text("mine\n")
    code, _, errors = run("--journal", "other", "p.yaml")
    assert code == 2
    assert "`other.rows` exists and is no rows file" in errors
    assert Path("other.rows").read_text() == "mine\n"
    assert not Path("other").exists()


def test_nothing_is_sent_when_a_group_cannot_be_read(service: LocalPubSub, run: Run) -> None:
    service.client("ada", groups=["launch"])
    service.fault("500,on=ListConnectionsInGroup")
    playbook = GREET + "  - {actionName: sendToAll, data: x}\n"
    code, out, errors = run("--journal", "j", "--attempts", "1", write("p.yaml", playbook))
    assert (code, out) == (2, "")
    assert "cannot read the group `launch`" in errors
    assert set(operations(service)) == {"ListConnectionsInGroup"}
    assert not Path("j").exists()
    assert not Path("j.rows").exists()


def test_errors_in_the_playbook_show_before_anything_is_read(
    service: LocalPubSub, run: Run
) -> None:
    playbook = GREET + "  - {actionName: sendToUser, userId: '${who}', data: x}\n"
    code, _, errors = run(write("p.yaml", playbook))
    assert code == 2
    assert "`${who}` names no variable" in errors
    assert operations(service) == []


def test_an_interrupt_while_a_group_is_read_sends_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def interrupt() -> None:
            connection, _ = listener.accept()
            received.append(connection.recv(65536))
            os.kill(os.getpid(), signal.SIGINT)
            received.append(connection.recv(65536))
            connection.close()

        thread = threading.Thread(target=interrupt)
        thread.start()
        port = listener.getsockname()[1]
        text = f"Endpoint=http://127.0.0.1:{port};AccessKey={'k' * 44};Version=1.0;"
        monkeypatch.setenv("WebPubSubConnectionString", text)
        code, out, errors = run("--journal", "j", write("p.yaml", GREET))
        thread.join()
    assert (code, out, errors) == (130, "", "\nnote: interrupted\n")
    assert received[0].startswith(b"GET ")
    assert received[1] == b""
    assert not Path("j").exists()


def test_a_plan_says_where_the_rows_would_come_from(service: LocalPubSub, run: Run) -> None:
    service.client("ada", groups=["launch"], connection_id="a")
    playbook = write("p.yaml", GREET + "  - {actionName: sendToAll, data: x}\n")
    code, out, _ = run("plan", playbook)
    assert code == 0
    assert "1 action and those of live rows" in out
    assert "?  sendToConnection connectionId=${each.connectionId}\n" in out
    assert "rows: the connections in group launch, not read" in out
    assert "plus the rows of 1 action from live groups, whose number is not known" in out
    _, records, _ = run("plan", "--format", "ndjson", playbook)
    unread, step = map(json.loads, records.splitlines())
    assert unread == {
        "type": "unread",
        "action": 0,
        "actionName": "sendToConnection",
        "groups": ["launch"],
        "source": "p.yaml:5",
    }
    assert (step["type"], step["action"]) == ("step", 1)
    assert operations(service) == []


def test_a_plan_with_live_reads_the_group(service: LocalPubSub, run: Run) -> None:
    service.client("ada", groups=["launch"], connection_id="a")
    _, out, _ = run("plan", "--live", write("p.yaml", GREET))
    assert "0  sendToConnection connectionId=a\n" in out
    assert "1 action, sequential" in out
    assert operations(service) == ["ListConnectionsInGroup"]


def test_shards_do_not_take_rows_from_a_live_group(service: LocalPubSub, run: Run) -> None:
    code, _, errors = run("--shard", "1/2", write("p.yaml", GREET))
    assert code == 2
    assert "p.yaml:5:22: error: each shard would read the group at another time" in errors
    assert operations(service) == []


def warnings_of(run: Run, *playbooks: str) -> list[str]:
    """Return the warnings of a plan about groups that are read too early."""
    _, _, errors = run("plan", *playbooks)
    return [line for line in errors.splitlines() if "is read before the first action" in line]


def test_rows_that_an_earlier_action_changes_are_a_warning(run: Run) -> None:
    Path("members.csv").write_text("userId,team\nada,red\n")
    (warning,) = warnings_of(run, write("later.yaml", LATER))
    assert warning == (
        "later.yaml:9:22: warning: the group `launch-red` is read before the first action of the "
        "run, so its rows lack what `addUserToGroup` on line 5 may change; run this action in a "
        "run of its own, afterwards"
    )
    assert warning in run("validate", "later.yaml")[1]


@pytest.mark.parametrize("args", [("plan", "--live"), ("run",)])
def test_warnings_are_shown_once_though_a_run_is_planned_twice(
    service: LocalPubSub, run: Run, args: tuple[str, ...]
) -> None:
    """Those that only its connections lead to come after the group was read."""
    service.client("ada", groups=["launch-red"])
    write("members.csv", "userId,team\nbob ,blue\n")
    long = "userId eq '${each.userId}'" + " or userId eq 'x'" * 300
    send = f'forEach: {{group: launch-red}}, actionName: sendToAll, filter: "{long}", data: x'
    code, _, errors = run(*args, write("p.yaml", f"{LATER}  - {{{send}}}\n"))
    assert code == 0
    shown = [line for line in errors.splitlines() if "warning:" in line]
    assert len(shown) == 4
    assert "this cell has blanks around it" in shown[2]
    assert "`filter` takes 8,723 bytes of the URL" in shown[3]


@pytest.mark.parametrize(
    ("change", "warns"),
    [
        ("actionName: addUserToGroup, userId: ada, group: launch", True),
        ("actionName: removeConnectionFromGroup, connectionId: a, group: launch", True),
        ("actionName: addUserToGroup, userId: ada, group: '${x}'", True),
        ("actionName: removeUserFromAllGroups, userId: ada", True),
        ("actionName: closeClientConnection, connectionId: a", True),
        ("actionName: closeGroupConnections, group: other", True),
        (
            "actionName: addConnectionsToGroups, groups: [a, launch], filter: \"userId eq 'b'\"",
            True,
        ),
        ("actionName: addConnectionsToGroups, groups: [a], filter: \"userId eq 'b'\"", False),
        ("actionName: addUserToGroup, userId: ada, group: Launch", False),
        ("actionName: sendToGroup, group: launch, data: x", False),
    ],
)
def test_what_changes_a_group(run: Run, change: str, *, warns: bool) -> None:
    earlier = f"hub: Local\nvars: {{x: launch}}\nactions:\n  - {{{change}}}\n"
    found = warnings_of(run, write("earlier.yaml", earlier), write("p.yaml", GREET))
    assert len([line for line in found if "earlier.yaml:4:18" in line]) == int(warns)
    other_hub = write("earlier.yaml", earlier.replace("hub: Local", "hub: other"))
    assert not warnings_of(run, other_hub, "p.yaml")
    assert not warnings_of(run, "p.yaml", write("earlier.yaml", earlier))


def test_a_rehearsal_without_people_has_no_rows(run: Run) -> None:
    code, out, errors = run("--local", write("p.yaml", GREET))
    assert code == 0
    assert "LOCAL: 0 actions" in out
    assert "nobody is simulated in the live group launch" in errors


def test_a_group_that_is_pruned_is_resumed_with_the_same_people(
    service: LocalPubSub, run: Run
) -> None:
    ada = service.client("ada")
    eve = service.client("eve", groups=["red"])
    playbook = write("p.yaml", "hub: local\ngroups:\n  red: {users: [ada], prune: true}\n")
    assert warnings_of(run, playbook) == []
    assert run("--journal", "j", playbook)[0] == 0
    assert (ada.groups, eve.groups) == ({"red"}, set())
    late = service.client("linus", groups=["red"])
    code, out, _ = run("--resume", "j")
    assert code == 0
    assert "2 of 2 done earlier, nothing sent" in out
    assert late.groups == {"red"}


async def test_a_program_reads_the_groups_before_it_runs(service: LocalPubSub) -> None:
    ada = service.client("ada", groups=["launch"])
    settings = {"WebPubSubConnectionString": service.connection_string}
    playbooks, overrides = [read_playbook(GREET, "p.yaml")], RunOverrides(environment=settings)
    unread = plan(playbooks, overrides)
    with pytest.raises(UsageError, match="were not read; pass what `read_live"):
        _ = [result async for result in run_plans(unread)]
    plans = plan(playbooks, overrides, live=await read_live(unread, new_clients()))
    assert [result.status async for result in run_plans(plans)] == ["ok"]
    assert ada.messages == ["Hello ada"]
