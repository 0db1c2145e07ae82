"""`schemas/result.schema.json` accepts every record of real runs, and nothing that is changed."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from wps_run.emulator.testing import LocalPubSub
from wps_run.playbook.schema import schema_text
from wps_run.report.record_schema import (
    DIFF_RECORDS,
    JOURNAL_RECORDS,
    OUTPUT_RECORDS,
    PLAN_RECORDS,
    result_schema,
)

Invoke = Callable[..., tuple[int, str, str]]
Json = dict[str, Any]

VALIDATOR = Draft7Validator(result_schema())

PLAYBOOK = """
hub: chat
mode: concurrent
onError: continue
retry: {attempts: 2, backoff: 1ms}
actions:
  - name: Seat them
    forEach: [ada, bob, gone]
    actionName: addUserToGroup
    userId: ${each}
    group: red
    onMissing: skip
  - {actionName: addUserToGroup, userId: nobody, group: red}
  - {actionName: sendToGroup, group: red, data: hi}
  - {actionName: sendToUser, userId: ada, data: hi}
  - {actionName: addConnectionsToGroups, groups: [a, b], filter: "userId eq 'ada'"}
  - {actionName: closeClientConnection, connectionId: c1, reason: bye}
  - {actionName: grantPermission, connectionId: c2, permission: sendToGroup, targetName: red}
expect:
  - {group: red, has: [ada, bob]}
  - {group: blue, has: [zoe]}
  - {message: hi, receivedBy: [ada]}
"""
COMMUTES = """
hub: chat
actions:
  - {forEach: [ada, bob, cy], actionName: addUserToGroup, userId: "${each}", group: red}
"""
FAULTS = ("--fault", "503,after,on=SendToGroup", "--fault", "429,count=1,on=SendToUser")
ABSENT = ("--absent", "gone", "--absent", "nobody")


@pytest.fixture
def invoke(command_line: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command line in a folder with playbooks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    (tmp_path / "shards.yaml").write_text(COMMUTES)
    return command_line


class Interrupting(BaseHTTPRequestHandler):
    """Interrupts this process at the first request."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        os.kill(os.getpid(), signal.SIGINT)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write no log."""


def lines_of(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines()]


def check(record: Json) -> None:
    """Fail if the schema refuses a record, and show why."""
    assert [error.message for error in VALIDATOR.iter_errors(record)] == [], record


def test_records_of_rehearsals_and_their_journals(invoke: Invoke, tmp_path: Path) -> None:
    """Results of each status, expectations, what would happen; resumed, resolved, retried."""
    _, ndjson, _ = invoke(
        "--local", *FAULTS, *ABSENT, "--output", "ndjson", "--journal", "j", "p.yaml"
    )
    statuses = {record["status"] for record in lines_of(ndjson) if record["type"] == "result"}
    assert statuses == {"ok", "failed", "unknown", "skipped"}
    seen = {record["type"] for record in lines_of(ndjson)}
    assert seen == set(OUTPUT_RECORDS)
    _, resumed, _ = invoke("--resume", "j", "--failed", "--local", "--output", "ndjson", "p.yaml")
    journal = (tmp_path / "j").read_text()
    sending = next(record for record in lines_of(journal) if record["type"] == "sending")
    killed = journal.partition(json.dumps(sending, separators=(",", ":")))
    (tmp_path / "k").write_text(killed[0] + killed[1] + "\n")
    assert invoke("resolve", "k", f"{sending['index']}=done")[0] == 0
    records = [*lines_of(journal), *lines_of((tmp_path / "k").read_text())]
    assert {record["type"] for record in records} == set(JOURNAL_RECORDS)

    _, one_object, _ = invoke("report", "--output", "json", "j")
    for record in (*lines_of(ndjson), *lines_of(resumed), *records, json.loads(one_object)):
        check(record)


def test_records_of_a_service_of_shards_and_of_verify(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalPubSub() as service:
        service.client(hub="chat", user="ada")
        monkeypatch.setenv("WebPubSubConnectionString", service.connection_string)
        outputs = [
            invoke(
                *("--shard", f"{number}/2", "--journal", f"j{number}", "--output", form),
                "shards.yaml",
            )[1]
            for number, form in ((1, "ndjson"), (2, "ndjson"))
        ]
        outputs.append(invoke("verify", "--output", "ndjson", "p.yaml")[1])
        outputs.append(invoke("report", "--output", "ndjson", "j1", "j2")[1])
        outputs += [(tmp_path / name).read_text() for name in ("j1", "j2")]

    assert all(map(lines_of, outputs))
    for record in (record for text in outputs for record in lines_of(text)):
        check(record)


def test_records_of_plans(invoke: Invoke, tmp_path: Path) -> None:
    """A plan has no results, so its expectations are other records; changed ones are refused."""
    live = "actions: [{forEach: {group: red}, actionName: closeClientConnection, connectionId: x}]"
    (tmp_path / "live.yaml").write_text(f"hub: chat\n{live}\nfinally: {live.split(': ', 1)[1]}\n")

    texts = [invoke("plan", "--format", "ndjson", name)[1] for name in ("p.yaml", "live.yaml")]

    records = {record["type"]: record for text in texts for record in lines_of(text)}
    assert set(records) == set(PLAN_RECORDS)
    for record in (record for text in texts for record in lines_of(text)):
        check(record)
    for record in records.values():
        accepted = [changed for changed in mutations(record) if VALIDATOR.is_valid(changed)]
        assert accepted == []


def test_records_of_a_comparison(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "seed.yaml").write_text("clients: [{userId: ada, groups: [red]}]")
    final = "finally: [{actionName: removeUserFromGroup, userId: ada, group: red}]"
    (tmp_path / "final.yaml").write_text(f"{COMMUTES}{final}\n")
    arguments = ("diff", "--local", "--seed", "seed.yaml", "p.yaml", "final.yaml", "--output")

    records = lines_of(invoke(*arguments, "ndjson")[1])
    report = json.loads(invoke(*arguments, "json")[1])

    assert {record["type"] for record in records} == set(DIFF_RECORDS)
    assert report == {"changes": records[:-1], "summary": records[-1]}
    check(report)
    for record in records:
        check(record)
    for record in (report, records[0], *records[-2:]):
        assert not any(map(VALIDATOR.is_valid, mutations(record)))


def test_records_of_an_interrupted_run(
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    serve: Callable[[HTTPServer], str],
) -> None:
    url = serve(HTTPServer(("127.0.0.1", 0), Interrupting))
    key = "bG9uZy1lbm91Z2gtZm9yLUhTMjU2LW9mLWEtdGVzdA=="
    monkeypatch.setenv("WebPubSubConnectionString", f"Endpoint={url};AccessKey={key};Version=1.0;")

    code, out, _ = invoke("--journal", "j", "--output", "json", "shards.yaml")

    assert code == 130
    report = json.loads(out)
    assert report["results"][-1]["error"]["code"] == "interrupted"
    for record in (report, *lines_of((tmp_path / "j").read_text())):
        check(record)


OPEN = {"target", "fingerprint", "options", "groups", "operations"}
"""Mappings whose keys are names."""

MAY_BE_MISSING = {
    *("final", "earlier", "expectations", "rehearsal", "shard", "options", "unreceived"),
    *("absent", "faultSeed", "faults", "repeats", "seeded"),
}
"""Keys that not all records have. Without its checksum, a line of a journal is one of ndjson."""


def mutations(value: Any, key: str = "") -> Iterator[Any]:
    """Yield copies of a value: each without a key, with another one, or of another type."""
    if isinstance(value, dict) and key not in OPEN:
        yield {**value, "unknownKey": 1}
        for name, item in value.items():
            if name not in MAY_BE_MISSING:
                yield {other: each for other, each in value.items() if other != name}
            yield from ({**value, name: changed} for changed in mutations(item, name))
    elif isinstance(value, list) and value:
        yield from ([changed, *value[1:]] for changed in mutations(value[0]))
    yield 1.5 if isinstance(value, dict | list) else [{"x": 1}]


def test_changed_records_are_refused(invoke: Invoke, tmp_path: Path) -> None:
    """A key more or less, or a value of another type, at any depth."""
    _, text, _ = invoke("--local", *FAULTS, *ABSENT, "--output", "json", "--journal", "j", "p.yaml")
    by_type = {record["type"]: record for record in lines_of((tmp_path / "j").read_text())}
    report = json.loads(text)
    records = [{**report, "results": report["results"][:1]}, *by_type.values()]

    for record in records:
        check(record)
        accepted = [
            changed
            for changed in mutations(record)
            if VALIDATOR.is_valid(changed) and not is_line_of_ndjson(record, changed)
        ]
        assert accepted == []


def is_line_of_ndjson(line: Json, changed: Json) -> bool:
    """Whether a line of a journal has only lost its checksum."""
    return changed == {key: line[key] for key in line if key != "check"}


@pytest.mark.parametrize(
    "change",
    [
        {"status": "done"},
        {"status": "failed", "error": None},
        {"actionName": "addUserToGruop"},
        {"target": {"user": "ada"}},
        {"index": -1},
        {"httpStatus": 20},
        {"earlier": "yes"},
        {"tries": [{"atMs": 1.0}]},
        {"type": "results"},
        {"check": "0123"},
    ],
)
def test_wrong_values_are_refused(invoke: Invoke, change: Json) -> None:
    _, text, _ = invoke("--local", "--output", "ndjson", "shards.yaml")
    record = lines_of(text)[0]
    check(record)

    assert not VALIDATOR.is_valid({**record, **change})


def test_committed_schema_is_the_generated_one(project: Path) -> None:
    """`wps-run schema --write schemas` makes it so; each key has a description."""
    schema = result_schema()

    assert (project / "schemas/result.schema.json").read_text("utf-8") == schema_text(schema)
    Draft7Validator.check_schema(schema)
    for definition in schema["definitions"].values():
        for key, value in definition.get("properties", {}).items():
            assert key == "type" or value["description"], key
