"""`wps-run resolve`: the user says what became of actions in doubt."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from wps_run.journal.format import UNCHECKED_VERSION, Sending, encode
from wps_run.journal.reader import RecordedStatus
from wps_run.journal.writer import Journal, read_journal

PLAYBOOK = """
hub: chat
onError: continue
retry: {attempts: 1}
actions:
  - {actionName: sendToGroup, group: red, data: hi}
  - {actionName: sendToGroup, group: blue, data: hi}
  - {actionName: addUserToGroup, userId: ada, group: red}
"""

Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def invoke(command_line: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command line in a folder with a playbook."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    return command_line


@pytest.fixture
def journal(invoke: Invoke, tmp_path: Path) -> Path:
    """The journal of a rehearsal whose two messages are in doubt."""
    fault = ("--fault", "503,after,on=SendToGroup")
    assert invoke("--local", *fault, "--journal", "j", "p.yaml")[0] == 3
    return tmp_path / "j"


def statuses(journal: Path) -> list[str]:
    return [str(result.status) for result in read_journal(journal).results()]


def test_what_is_in_doubt_is_listed(invoke: Invoke, journal: Path) -> None:
    code, listed, _ = invoke("resolve", "j")

    assert code == 0
    lines = listed.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["0", "sendToGroup", "group=red"],
        ["1", "sendToGroup", "group=blue"],
    ]
    assert statuses(journal) == ["unknown", "unknown", "ok"]


def test_done_makes_an_action_ok_and_redo_runs_it_again(invoke: Invoke, journal: Path) -> None:
    code, _, messages = invoke("resolve", "j", "0=done", "1=redo")

    assert code == 0
    assert "action 0 counts as done" in messages
    assert "hint: to run it: wps-run --local --resume j" in messages
    assert statuses(journal) == ["ok", "skipped", "ok"]
    assert invoke("report", "j", "--output", "none")[0] == 1
    _, resumed, _ = invoke("--local", "--resume", "j", "--output", "json")
    results = json.loads(resumed)["results"]
    assert [result.get("earlier", False) for result in results] == [True, False, True]
    assert results[0]["error"]["code"] == "resolved"


def test_the_journal_keeps_what_the_run_knew(invoke: Invoke, journal: Path) -> None:
    before = journal.read_bytes()

    invoke("resolve", "j", "0=done")

    assert journal.read_bytes().startswith(before)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["0=maybe"], "`0=maybe` must be N=done or N=redo"),
        (["done"], "`done` must be N=done or N=redo"),
        (["0=done", "0=redo"], "action 0 is both done and to redo"),
        (["2=done"], "action 2 is ok, so there is no doubt"),
        (["7=redo"], "action 7 has no result, so there is no doubt"),
        (["999999999=redo"], "action 999999999 has no result"),
        (["0=done", "2=done"], "action 2 is ok"),
    ],
)
def test_other_outcomes_and_actions_are_refused(
    invoke: Invoke, journal: Path, args: Sequence[str], message: str
) -> None:
    """Nothing is recorded then, also not of the actions that are right."""
    before = journal.read_bytes()

    code, _, messages = invoke("resolve", "j", *args)

    assert code == 2
    assert message in messages
    assert journal.read_bytes() == before


@pytest.mark.parametrize("has_result", [True, False])
@pytest.mark.parametrize(("outcome", "status"), [("done", "ok"), ("redo", "unknown")])
def test_an_action_that_was_being_sent_is_resolved_too(
    invoke: Invoke, journal: Path, outcome: str, status: str, *, has_result: bool
) -> None:
    """After kill -9. `redo` sends it again, where the fault strikes again."""
    if has_result:  # of an earlier attempt
        opened, history = Journal.reopen(journal)
    else:
        header = json.loads(journal.read_text().splitlines()[0])
        journal.unlink()
        Journal.create(journal, {key: header[key] for key in header if key != "check"}).close_now()
        opened, history = Journal.reopen(journal)
    opened.amend(history.length, [Sending(0)])
    opened.close_now()
    assert "0  was being sent when the run ended" in invoke("resolve", "j")[1]

    assert invoke("resolve", "j", f"0={outcome}")[0] == 0
    _, resumed, _ = invoke("--local", "--resume", "j", "--output", "json")

    results = json.loads(resumed)["results"]
    assert [result["status"] for result in results] == [status, "unknown", "ok"]


@pytest.mark.parametrize("outcome", ["done", "redo"])
def test_a_journal_without_checksums_stays_readable(
    invoke: Invoke, journal: Path, outcome: str
) -> None:
    """An older version wrote it. Checksums start where its run is resumed."""
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    kept = [record for record in records if record["type"] in {"run", "sending", "result"}]
    for record in kept:
        del record["check"]
    kept[0]["version"] = UNCHECKED_VERSION
    del kept[0]["options"]
    journal.write_bytes(b"".join(encode(record) + b"\n" for record in kept))

    assert invoke("resolve", "j", f"0={outcome}")[0] == 0
    assert invoke("resolve", "j", f"1={outcome}")[0] == 0

    expected = "ok" if outcome == "done" else "skipped"
    assert statuses(journal) == [expected, expected, "ok"]
    assert invoke("--local", "--resume", "j", "p.yaml")[0] == 0
    assert statuses(journal) == ["ok", "ok", "ok"]


def test_a_run_that_has_the_journal_open_keeps_it(invoke: Invoke, journal: Path) -> None:
    opened, _ = Journal.reopen(journal)

    code, _, messages = invoke("resolve", "j", "0=done")

    opened.close_now()
    assert code == 2
    assert "another run is using the journal" in messages
    assert read_journal(journal).status(0) is RecordedStatus.UNKNOWN


@pytest.mark.usefixtures("journal")
def test_without_doubt_there_is_nothing_to_list(invoke: Invoke) -> None:
    invoke("resolve", "j", "0=done", "1=done")

    assert invoke("resolve", "j")[1] == "no action of `j` is in doubt\n"
    assert invoke("report", "j", "--output", "none")[0] == 0
