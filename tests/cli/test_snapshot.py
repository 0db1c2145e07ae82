"""`wps-run snapshot`: the people in groups of the service, as a seed for rehearsals."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import CommandLine

from wps_run.checking import load_seed
from wps_run.emulator.testing import LocalPubSub

NASTY = 'ye"s: {#}\\ \u2028\u202e\u00a0é😀${n}'
CONTROLS = "\0\n\x85\x7f"


@pytest.fixture(scope="module")
def service() -> Iterator[LocalPubSub]:
    """A hub with people, one of whom has two connections, and an anonymous display."""
    with LocalPubSub() as service:
        for connection, user, groups in (
            ("c3", "grace", ["red"]),
            ("c2", "ada", ["red", "lobby", "other"]),
            ("c1", "ada", ["lobby"]),
            ("wall", None, ["red"]),
            ("c4", "linus", ["other"]),
            (f"{CONTROLS}{NASTY}", NASTY, [NASTY]),
        ):
            service.client(hub="chat", user=user, connection_id=connection, groups=groups)
        yield service


@pytest.fixture
def snapshot(
    service: LocalPubSub,
    command_line: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WebPubSubHub", "chat")
    monkeypatch.setenv("WebPubSubConnectionString", service.connection_string)
    return lambda *args: command_line("snapshot", *args)


def test_each_connection_in_the_groups_is_a_client(
    service: LocalPubSub, snapshot: CommandLine
) -> None:
    """Once, with those of the groups that it is in; the order is the same each time."""
    host = service.endpoint.partition("://")[2]
    text = (
        f"# Written by `wps-run snapshot` from {host}, without permissions.\n"
        "# Rehearse with it: wps-run --local --seed FILE playbook.yaml\n"
        'hub: "chat"\n'
        "clients:\n"
        '- {userId: "ada", connectionId: "c1", groups: ["lobby"]}\n'
        '- {userId: "ada", connectionId: "c2", groups: ["lobby", "red"]}\n'
        '- {userId: "grace", connectionId: "c3", groups: ["red"]}\n'
        '- {connectionId: "wall", groups: ["red"]}\n'
    )

    assert snapshot("--group", "red", "--group", "lobby") == (0, text, "")
    assert snapshot("--group", "lobby", "red", "red") == (0, text, "")


def test_names_are_read_as_they_are(snapshot: CommandLine) -> None:
    """They cannot end the quotes, reverse a line, or stand for a number of `count`."""
    assert snapshot("--group", NASTY, "--output", "people.yaml") == (0, "", "")

    (client,) = load_seed("people.yaml")
    assert (client.user_id, client.connection_id, client.groups) == (
        NASTY,
        f"{CONTROLS}{NASTY}",
        (NASTY,),
    )
    lines = Path("people.yaml").read_text("utf-8").removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)


def test_a_rehearsal_with_the_snapshot_has_the_same_groups(
    snapshot: CommandLine, command_line: CommandLine
) -> None:
    snapshot("--group", "red", "lobby", "--output", "people.yaml")
    Path("p.yaml").write_text("actions: [{actionName: sendToAll, data: x}]")

    _, out, _ = command_line(
        "--local", "--seed", "people.yaml", "--no-journal", "--output", "json", "p.yaml"
    )

    assert json.loads(out)["rehearsal"][0]["groups"] == {
        "lobby": ["ada", "ada"],
        "red": ["ada", "grace", "wall"],
    }


def test_only_its_owner_can_read_the_file(snapshot: CommandLine) -> None:
    """It replaces an earlier one, and stays the earlier one if the groups cannot be read."""
    file = Path("people.yaml")
    file.write_text("earlier")
    file.chmod(0o644)

    code, _, errors = snapshot("--group", "..", "--output", "people.yaml")
    assert (code, file.read_text()) == (2, "earlier")
    assert "the group `..`" in errors

    assert snapshot("--group", "red", "--output", "people.yaml") == (0, "", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(load_seed("people.yaml")) == 3
    assert [path.name for path in Path().iterdir()] == ["people.yaml"]


def test_an_empty_group_is_a_note(snapshot: CommandLine) -> None:
    code, out, errors = snapshot("--group", "nobody", "--output", "people.yaml")

    assert (code, out, errors) == (0, "", "note: group nobody has no connections\n")
    assert load_seed("people.yaml") == []


def test_a_group_must_be_named(snapshot: CommandLine) -> None:
    code, out, errors = snapshot()

    assert (code, out) == (2, "")
    assert "name the groups: `wps-run snapshot --group NAME`" in errors


def test_a_group_that_cannot_be_read_leaves_no_file(
    snapshot: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_key = f"Endpoint=http://127.0.0.1:9;AccessKey={'k' * 44};Version=1.0;"
    monkeypatch.setenv("WebPubSubConnectionString", other_key)

    code, out, errors = snapshot("--group", "red", "--attempts", "1", "--output", "people.yaml")

    assert (code, out) == (2, "")
    assert "cannot read the group `red` of hub chat" in errors
    assert not Path("people.yaml").exists()


def test_more_people_than_a_seed_may_have(
    snapshot: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wps_run.cli.commands.snapshot.CLIENT_LIMIT", 2)

    code, out, errors = snapshot("--group", "red")

    assert (code, out) == (2, "")
    assert "a seed may have 2 clients" in errors
