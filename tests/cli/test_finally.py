"""What is in `finally` runs after all else, is checked like all else, and is in every report."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.plan_runs import run_plans

from wps_run import planning, running
from wps_run.checking import load_playbook
from wps_run.execution.result import Result
from wps_run.planning import RunOverrides
from wps_run.problems import PlaybookError

CommandLine = Callable[..., tuple[int, str, str]]

PLAYBOOK = """\
hub: chat
actions:
  - {actionName: addUserToGroup, userId: ada, group: red}
  - {actionName: sendToGroup, group: red, data: hello}
expect:
  - {group: red, users: [ada]}
finally:
  - {actionName: sendToAll, data: bye, name: Say goodbye}
  - {actionName: removeUserFromGroup, userId: "${each}", group: red, forEach: [ada, bo]}
"""
THROTTLED = ("--attempts", "1", "--fault", "429,count=1")


@pytest.fixture
def playbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "p.yaml"
    path.write_text(PLAYBOOK)
    return path


def records(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def ends(out: str) -> list[tuple[int, str, bool]]:
    """Return index, status, and whether it is of `finally`, of each result in its order."""
    return [
        (record["index"], record["status"], record.get("final", False))
        for record in records(out)
        if record["type"] == "result"
    ]


@pytest.mark.usefixtures("playbook")
def test_plan_names_it_only_if_a_step_of_it_is_selected(command_line: CommandLine) -> None:
    def plan(*args: str) -> tuple[bool, bool]:
        _, text, _ = command_line("plan", *args, "p.yaml")
        _, _, note = command_line("plan", "--format", "binding", *args, "p.yaml")
        return "After these" in text, "`finally`" in note

    assert plan() == (True, True)
    assert plan("--only", "1") == (False, False)
    assert plan("--only", "3") == (True, True)


@pytest.mark.usefixtures("playbook")
def test_it_runs_after_actions_and_expectations(command_line: CommandLine) -> None:
    code, out, _ = command_line("--local", "--output", "ndjson", "p.yaml")

    assert code == 0
    assert ends(out) == [
        (0, "ok", False),
        (1, "ok", False),
        (2, "ok", True),
        (3, "ok", True),
        (4, "ok", True),
    ]
    assert [record["type"] for record in records(out)[:4]] == [
        "result",
        "result",
        "expectation",
        "result",
    ]
    _, text, _ = command_line("--local", "p.yaml")
    assert text.index("Expectations\n") < text.index("\nFinally\n") < text.index("Say goodbye")


@pytest.mark.parametrize("args", [(), ("--on-error", "continue")])
@pytest.mark.usefixtures("playbook")
def test_it_runs_after_a_failure(command_line: CommandLine, args: tuple[str, ...]) -> None:
    code, out, _ = command_line("--local", *THROTTLED, *args, "--output", "ndjson", "p.yaml")

    assert code == 1
    assert ends(out)[0] == (0, "failed", False)
    assert ends(out)[2:] == [(2, "ok", True), (3, "ok", True), (4, "ok", True)]
    assert '"expectation","index":0' in out


@pytest.mark.parametrize(("on_error", "second"), [("stop", "skipped"), ("continue", "ok")])
def test_each_finally_of_a_run_stands_alone(
    command_line: CommandLine, playbook: Path, on_error: str, second: str
) -> None:
    """A failure stops the rest of its list only, if `onError` says so."""
    sends = "[{actionName: sendToAll, data: a}, {actionName: sendToAll, data: b}]"
    playbook.write_text(f"hub: chat\nonError: {on_error}\nactions: []\nfinally: {sends}\n")

    code, out, _ = command_line("--local", *THROTTLED, "--output", "ndjson", "p.yaml", "p.yaml")

    assert code == 1
    assert [status for _, status, _ in ends(out)] == ["failed", second, "ok", "ok"]


async def test_an_error_of_the_run_comes_after_it(playbook: Path) -> None:
    """A file of rows is lost after it was checked."""
    rows = write_rows(playbook, "id\nada\n")
    plans = planning.plan([load_playbook(playbook)], RunOverrides())
    async with running.rehearsal(plans) as local:
        rows.unlink()
        run = run_plans(plans, lambda _: local.endpoint)
        results: list[Result] = []
        error = await collect(run, results)

    assert isinstance(error, PlaybookError)
    assert [(result.action_name, result.final is True) for result in results] == [
        ("sendToAll", False),
        ("sendToAll", True),
    ]


def write_rows(playbook: Path, text: str) -> Path:
    """Let a playbook send, then read rows, and send at the end; return the file of the rows."""
    playbook.write_text(
        "hub: chat\nactions:\n  - {actionName: sendToAll, data: hello}\n"
        "  - {actionName: addUserToGroup, userId: '${each.id}', group: red,"
        " forEach: {file: rows.csv}}\nfinally:\n  - {actionName: sendToAll, data: bye}\n"
    )
    rows = playbook.parent / "rows.csv"
    rows.write_text(text)
    return rows


async def collect(run: AsyncIterator[Result], results: list[Result]) -> Exception | None:
    """Collect the results of a run; return the error that ends it."""
    try:
        async for result in run:
            results.append(result)  # noqa: PERF401 -- up to the error
    except PlaybookError as error:
        return error
    return None


@pytest.mark.usefixtures("playbook")
def test_a_shard_refuses_it(command_line: CommandLine) -> None:
    code, _, err = command_line("--local", "--shard", "1/2", "p.yaml")

    assert code == 2
    assert "error: a shard does not know when the others end" in err


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("- {actionName: sendToAl, data: bye}", "p.yaml:8:18: error: "),
        ("- {actionName: sendToAll, data: '${none}'}", "p.yaml:8:36: error: "),
        ("later: 1", "p.yaml:8:3: error: `finally` must be a list"),
        ("- {actionName: sendToUser, userId: a/b, data: x}", "p.yaml:8:38: error: `userId`"),
    ],
)
def test_errors_in_it_are_found(
    command_line: CommandLine, playbook: Path, entry: str, message: str
) -> None:
    head = PLAYBOOK.partition("  - {actionName: sendToAll")[0]
    playbook.write_text(f"{head}  {entry}\n")

    code, out, _ = command_line("validate", "p.yaml")

    assert code == 1
    assert message in out
    assert command_line("--local", "p.yaml")[0] == 2


@pytest.mark.usefixtures("playbook")
def test_reports_and_plans_show_it(command_line: CommandLine, tmp_path: Path) -> None:
    names = ("r.xml", "r.html", "r.md", "r.json")
    args = [word for name in names for word in ("--report", name)]

    command_line("--local", *THROTTLED, *args, "p.yaml")

    texts = {name: (tmp_path / name).read_text() for name in names}
    assert 'name="#2  (Say goodbye, finally)"' in texts["r.xml"]
    assert "Say goodbye, finally" in texts["r.html"]
    assert json.loads(texts["r.json"])["results"][2]["final"] is True
    _, text, _ = command_line("plan", "p.yaml")
    assert text.index("\nAfter these and the expectations") < text.index("Say goodbye")
    _, lines, _ = command_line("plan", "--format", "ndjson", "p.yaml")
    assert [record.get("final") for record in records(lines)[:5]] == [None, None, True, True, True]


def test_it_is_not_left_out_since_nothing_would_change(
    command_line: CommandLine, playbook: Path
) -> None:
    """Whether it would change something depends on how the actions end."""
    playbook.write_text(
        "hub: chat\nactions:\n  - {actionName: removeUserFromGroup, userId: ada, group: red}\n"
        "finally:\n  - {actionName: removeUserFromGroup, userId: ada, group: red}\n"
    )
    (playbook.parent / "seed.yaml").write_text("clients:\n- {userId: ada, groups: [blue]}\n")

    _, out, _ = command_line(
        "--local", "--only-changes", "--seed", "seed.yaml", "--output", "ndjson", "p.yaml"
    )

    assert ends(out) == [(0, "skipped", False), (1, "ok", True)]


def test_a_change_of_its_rows_is_noticed(command_line: CommandLine, playbook: Path) -> None:
    rows = playbook.parent / "rows.csv"
    rows.write_text("id\nada\n")
    playbook.write_text(
        PLAYBOOK.replace("[ada, bo]", "{file: rows.csv}").replace("${each}", "${each.id}")
    )
    command_line("--local", *THROTTLED, "--journal", "j", "p.yaml")
    rows.write_text("id\nbo\n")

    code, _, err = command_line("--local", "--resume", "j", "p.yaml")

    assert code == 2
    assert "rows.csv" in err


def test_rows_of_a_live_group_are_read_for_it(command_line: CommandLine, playbook: Path) -> None:
    playbook.write_text(
        "hub: chat\nactions:\n  - {actionName: sendToAll, data: hello}\nfinally:\n"
        "  - {actionName: closeClientConnection, connectionId: '${each.connectionId}',"
        " forEach: {group: red}}\n"
    )
    (playbook.parent / "seed.yaml").write_text("clients:\n- {userId: ada, groups: [red]}\n")

    _, out, _ = command_line("--local", "--seed", "seed.yaml", "--output", "ndjson", "p.yaml")

    assert ends(out) == [(0, "ok", False), (1, "ok", True)]


def test_a_destructive_action_in_it_is_confirmed(
    command_line: CommandLine, playbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playbook.write_text(f"{PLAYBOOK}  - {{actionName: closeAllConnections}}\n")
    setting = "Endpoint=https://hub.invalid;AccessKey=bG9vcGJhY2s=;"
    monkeypatch.setenv("WebPubSubConnectionString", setting)

    code, _, err = command_line("p.yaml")

    assert code == 2
    assert "closeAllConnections on hub `chat` at hub.invalid (1 action)" in err
    assert "nothing was sent" in err


@pytest.mark.usefixtures("playbook")
def test_it_runs_again_after_failed_actions(command_line: CommandLine) -> None:
    """As far as it may be repeated; a send is not."""
    command_line("--local", *THROTTLED, "--on-error", "continue", "--journal", "j", "p.yaml")

    code, out, _ = command_line(
        *("--local", "--resume", "j", "--failed", "--fault", "429,nth=99", "--output", "json")
    )

    assert code == 0
    results = json.loads(out)["results"]
    assert [result.get("earlier", False) for result in results] == [False, True, True, False, False]
    _, out, _ = command_line("--local", "--resume", "j", "--failed", "--output", "json")
    assert all(result["earlier"] for result in json.loads(out)["results"])
