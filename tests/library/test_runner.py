"""`Runner`: what a program does with actions and playbooks."""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wps_run import (
    AddUserToGroup,
    JournalError,
    LocalPubSub,
    PlaybookError,
    Result,
    Runner,
    SendToConnection,
    SendToGroup,
    SendToUser,
    SettingsError,
    Status,
    Stop,
    UsageError,
    WpsRunError,
    load_playbook,
    run_sync,
)

ADD = AddUserToGroup(user_id="ada", group="red")
SEND = SendToGroup(group="red", data="hi")
PLAYBOOK = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada, group: red}\n"


@pytest.fixture
def service() -> Any:
    with LocalPubSub() as emulator:
        yield emulator


def runner_of(service: LocalPubSub) -> Runner:
    return Runner.from_connection_string(service.connection_string, hub="chat")


async def results_of(runner: Runner, *work: Any, **options: Any) -> list[Result]:
    return [result async for result in runner.run(*work, **options)]


async def test_actions_run_in_order_with_a_result_each(service: LocalPubSub) -> None:
    ada = service.client("ada", hub="chat")
    async with runner_of(service) as runner:
        results = await results_of(runner, [ADD, SEND])
        summary = runner.last

    assert [(result.status, result.source) for result in results] == [
        (Status.OK, "<actions>:1"),
        (Status.OK, "<actions>:2"),
    ]
    assert ada.messages == ["hi"]
    assert (summary.total, summary.counts["ok"]) == (2, 2)
    assert summary.exit_code == 0
    assert repr(results[0]) == "<addUserToGroup ada red: ok>"
    assert repr(summary) == "<2 actions: 2 ok, 0 failed, 0 unknown, 0 skipped; exit code 0>"
    assert "<td>2</td>" in summary._repr_html_()
    assert summary.as_json()["ok"] == 2


TARGET = {"userId": "ada", "group": "red"}

FORMS: dict[str, Callable[[Path], Any]] = {
    "path": lambda path: path,
    "file name": str,
    "text": lambda _: PLAYBOOK,
    "object": load_playbook,
    "mapping": lambda _: {"hub": "chat", "actions": [{"actionName": "addUserToGroup", **TARGET}]},
    "action as JSON": lambda _: {"actionName": "AddUserToGroup", "USERID": "ada", "group": "red"},
    "generator": lambda _: iter([ADD]),
    "one action": lambda _: ADD,
    "list of files": lambda path: [path],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_a_playbook_has_many_forms(
    service: LocalPubSub, tmp_path: Path, form: Callable[[Path], Any]
) -> None:
    service.client("ada", hub="chat")
    path = tmp_path / "p.yaml"
    path.write_text(PLAYBOOK)
    async with runner_of(service) as runner:
        (result,) = await results_of(runner, form(path))
    assert (result.status, result.target) == (Status.OK, TARGET)


async def test_several_playbooks_and_batches_are_one_run(service: LocalPubSub) -> None:
    service.client("ada", hub="chat")
    async with runner_of(service) as runner:
        results = await results_of(runner, PLAYBOOK, [SEND, SEND], PLAYBOOK)
        assert [result.index for result in results] == [0, 1, 2, 3]
        assert [result.action for result in results] == [0, 0, 1, 0]
        assert await results_of(runner, []) == []


async def test_bytes_and_json_arrive_as_they_are(service: LocalPubSub) -> None:
    ada = service.client("ada", hub="chat")
    data: list[Any] = [b"\0\xff", {"text": "${x} \n\u2028"}, "plain ${y}", '"]}\\', 5]
    async with runner_of(service) as runner:
        await results_of(runner, [SendToUser(user_id="ada", data=each) for each in data])
    assert ada.messages == data


async def test_runs_share_their_connections(service: LocalPubSub) -> None:
    service.client("ada", hub="chat")
    origin = service.endpoint.removeprefix("http://").rstrip("/").rpartition(":")
    relays: list[asyncio.Task[Any] | None] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.append(asyncio.current_task())
        answers, requests = await asyncio.open_connection(origin[0], int(origin[2]))
        await asyncio.gather(pass_on(reader, requests), pass_on(answers, writer))

    gateway = await asyncio.start_server(relay, "127.0.0.1", 0)
    port = gateway.sockets[0].getsockname()[1]
    connection_string = service.connection_string.replace(origin[2], str(port))
    runner = Runner.from_connection_string(connection_string, hub="chat")
    async with gateway, runner:
        for _ in range(3):
            assert [result.status for result in await results_of(runner, [ADD])] == ["ok"]
        assert await runner.show(user="ada")
    assert len(relays) == 1
    await asyncio.gather(*filter(None, relays))


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(65536):
        writer.write(content)
    writer.close()
    await writer.wait_closed()


async def test_two_runs_at_the_same_time(service: LocalPubSub) -> None:
    service.client("ada", hub="chat")
    async with runner_of(service) as runner:
        both = await asyncio.gather(
            results_of(runner, [ADD] * 50), results_of(runner, [ADD] * 50, mode="concurrent")
        )
    assert [len(results) for results in both] == [50, 50]


async def test_options_override_those_of_a_playbook(service: LocalPubSub) -> None:
    async with runner_of(service) as runner:
        results = await results_of(
            runner,
            {"onError": "stop", "vars": {"user": "bo"}, "actions": [{**NOBODY}, {**NOBODY}]},
            on_error="continue",
            timeout=timedelta(seconds=5),
            attempts=1,
            not_after=datetime.now(UTC) + timedelta(hours=1),
            variables={"user": "cy"},
            only="1",
        )
    assert [(result.status, result.index) for result in results] == [(Status.FAILED, 1)]
    assert results[0].target["userId"] == "cy"


NOBODY = {"actionName": "addUserToGroup", "userId": "${user}", "group": "red"}


async def test_a_wrong_action_or_setting_is_raised_before_anything_is_sent(
    service: LocalPubSub, tmp_path: Path
) -> None:
    wrong = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada}\n"
    async with runner_of(service) as runner:
        for work, error, message in (
            (wrong, PlaybookError, "group"),
            ({"actions": 5}, PlaybookError, "actions"),
            ([{"actionName": "jump"}], PlaybookError, "jump"),
            (tmp_path / "none.yaml", UsageError, "none.yaml"),
        ):
            with pytest.raises(error, match=message):
                await results_of(runner, work)
            assert runner.last.total == 0
        with pytest.raises(TypeError, match="cannot run int"):
            await results_of(runner, [5])
        with pytest.raises(UsageError, match="nothing to run"):
            await results_of(runner)
    assert not service.requests
    with pytest.raises(UsageError, match="not open"):
        await results_of(runner, [ADD])
    with pytest.raises(SettingsError, match="WebPubSubConnectionString"):
        run_sync([ADD], env={}, hub="chat")
    with pytest.raises(SettingsError):
        Runner.from_connection_string("AccountKey=x")


async def test_a_journal_is_written_only_where_it_is_asked_for(
    service: LocalPubSub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    journal = tmp_path / "run.journal"
    batch = [SendToUser(user_id="ada", data="1"), AddUserToGroup(user_id="bo", group="red"), SEND]
    service.client("ada", hub="chat")
    async with runner_of(service) as runner:
        await results_of(runner, [ADD])
        assert not (tmp_path / "state").exists()

        first = await results_of(runner, batch, journal=journal, attempts=2)
        assert [result.status for result in first] == ["ok", "failed", "skipped"]
        with pytest.raises(JournalError, match="exists"):
            await results_of(runner, batch, journal=journal)

        service.client("bo", hub="chat")
        second = await results_of(runner, batch, resume=journal)
        assert [(result.status, result.earlier is True) for result in second] == [
            ("ok", True),
            ("ok", False),
            ("ok", False),
        ]
        assert runner.last.earlier == 1
        with pytest.raises(JournalError, match="changed"):
            await results_of(runner, [SEND], resume=journal)
    header, resumed = (
        json.loads(line) for line in journal.read_text().splitlines() if '"options"' in line
    )
    assert header["options"] == resumed["options"] == {"--attempts": "2"}


async def test_reports_are_written_at_the_end(service: LocalPubSub, tmp_path: Path) -> None:
    files = [tmp_path / f"run{suffix}" for suffix in (".json", ".xml", ".html", ".md")]
    service.client("ada", hub="chat")
    async with runner_of(service) as runner:
        await results_of(runner, [ADD, SEND], reports=files)
        assert json.loads(files[0].read_text())["summary"]["ok"] == 2
        assert all(file.stat().st_size for file in files)
        with pytest.raises(UsageError, match="unsupported suffix"):
            await results_of(runner, [ADD], reports=tmp_path / "run.doc")


async def test_a_rehearsal_needs_no_service() -> None:
    async with Runner.local(hub="chat") as runner:
        results = await results_of(runner, [ADD, SEND])
        (simulation,) = runner.simulations()
        assert simulation.groups == {"red": ("ada",)}
        assert simulation.deliveries[0].recipients == ("ada",)

        await results_of(runner, [AddUserToGroup(user_id="bo", group="red")])
        members = await runner.show(group="red")
        assert sorted(str(member.user_id) for member in members) == ["ada", "bo"]
    assert [result.status for result in results] == [Status.OK, Status.OK]


async def test_faults_can_be_rehearsed() -> None:
    async with Runner.local(hub="chat", faults="429,count=1", fault_seed=1) as runner:
        (result,) = await results_of(runner, [ADD], backoff=0)
    assert (result.status, result.attempts) == (Status.OK, 2)


async def test_the_people_of_a_seed_can_be_rehearsed_with(tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text("clients:\n  - {userId: bo, groups: [red]}\n")
    async with Runner.local(hub="chat", seed=tmp_path / "people.yaml") as runner:
        (result,) = await results_of(runner, [ADD])
        assert (result.status, result.http_status) == (Status.FAILED, 404)
        (member,) = await runner.show(group="red")
        assert member.user_id == "bo"
    with pytest.raises(UsageError, match=r"none\.yaml"):
        Runner.local(seed=tmp_path / "none.yaml")


@pytest.mark.parametrize("is_local", [True, False])
async def test_show_diff_and_verify(service: LocalPubSub, *, is_local: bool) -> None:
    expected = {
        "actions": [],
        "expect": [{"group": "red", "users": ["ada"]}, {"user": "bo", "connected": False}],
    }
    service.client("ada", hub="chat")
    runner = Runner.local(hub="chat") if is_local else runner_of(service)
    async with runner:
        changes = [change async for change in runner.diff([ADD, SEND])]
        assert [(change.verdict, change.action_name) for change in changes] == [
            ("change", "addUserToGroup"),
            ("not-known", "sendToGroup"),
        ]
        assert changes[0].as_json()["verdict"] == "change"
        assert [result.status for result in await runner.verify(expected)] == ["failed", "ok"]

        await results_of(runner, [ADD])
        assert [change async for change in runner.diff([ADD])] == []
        assert [result.status for result in await runner.verify(expected)] == ["ok", "ok"]
        (member,) = await runner.show(group="red")
        assert member.user_id == "ada"
        assert await runner.show(user="ada")
        assert not await runner.show(user="bo")
        connection = member.connection_id
        assert await runner.show(connection=connection)
        assert not await runner.show(connection=connection, permission="sendToGroup", group="red")
        with pytest.raises(TypeError, match="show"):
            await runner.show(user="ada", group="red")  # type: ignore[call-overload]
        with pytest.raises(UsageError, match="no `expect`"):
            await runner.verify(PLAYBOOK)


async def test_names_are_checked_as_on_the_command_line(service: LocalPubSub) -> None:
    async with runner_of(service) as runner:
        with pytest.raises(UsageError, match=r"`show\(group='a%2Fb'\)` asks for the name"):
            await runner.show(group="a/b")
        with pytest.raises(UsageError, match="must be `sendToGroup` or `joinLeaveGroup`"):
            await runner.show(connection="c", permission="send", group="red")
        with pytest.raises(UsageError, match="the user `` is empty"):
            await runner.show(user="")
    assert not service.requests


async def test_expectations_of_a_run(service: LocalPubSub) -> None:
    service.client("ada", hub="chat")
    text = (
        PLAYBOOK
        + "expect:\n  - {group: red, users: [bo]}\nfinally:\n  - {actionName: sendToAll, data: x}\n"
    )
    async with runner_of(service) as runner:
        results = await results_of(runner, text)
        assert [result.action_name for result in results] == ["addUserToGroup", "sendToAll"]
        (expectation,) = runner.expectations
        assert expectation.status == Status.FAILED
        assert runner.last.exit_code == 1


SAY_BYE = "actionName: sendToAll, data: bye"


async def test_only_changes_leaves_out_what_is_in_place(service: LocalPubSub) -> None:
    service.client("ada", hub="chat", groups=["red"])
    async with runner_of(service) as runner:
        (result,) = await results_of(runner, [ADD], only_changes=True)
    assert (result.status, result.error and result.error.code) == ("skipped", "in-place")


async def test_warnings_go_to_the_log(
    service: LocalPubSub, caplog: pytest.LogCaptureFixture
) -> None:
    service.client("ada", hub="chat")
    with caplog.at_level(logging.WARNING, "wps_run"):
        async with runner_of(service) as runner:
            await results_of(runner, {"vars": {"unused": "1"}, "actions": [ADD_MAPPING]})
    assert "unused" in caplog.text


ADD_MAPPING = {"actionName": "addUserToGroup", **TARGET}


def test_run_sync_returns_the_totals(service: LocalPubSub) -> None:
    service.client("ada", hub="chat")
    settings = {"WebPubSubConnectionString": service.connection_string}
    seen: list[Result] = []
    assert run_sync([ADD, SEND], env=settings, hub="chat", on_result=seen.append).counts["ok"] == 2
    assert [result.index for result in seen] == [0, 1]
    assert run_sync(PLAYBOOK, connection_string=service.connection_string).exit_code == 0
    assert run_sync(ADD, local=True).exit_code == 0
    for places in ({}, {"local": True, "env": settings}):
        with pytest.raises(UsageError, match="say where to run"):
            run_sync([ADD], **places)  # type: ignore[arg-type]


async def test_run_sync_works_in_a_running_loop(service: LocalPubSub) -> None:
    """As in a notebook."""
    service.client("ada", hub="chat")
    assert run_sync(PLAYBOOK, connection_string=service.connection_string).exit_code == 0
    with pytest.raises(WpsRunError):
        run_sync({"actions": 5}, connection_string=service.connection_string)


def test_a_runner_reads_no_environment_unless_asked(
    service: LocalPubSub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("WebPubSubHub", "other")
    monkeypatch.setenv("WPS_RUN_MODE", "nonsense")
    monkeypatch.setenv("NAME", "ada")
    text = "actions:\n  - {actionName: sendToUser, userId: '${env.NAME}', data: hi}\n"
    with pytest.raises(PlaybookError, match="NAME"):
        run_sync(text, connection_string=service.connection_string, hub="chat")
    with pytest.raises(SettingsError, match="hub"):
        run_sync([ADD], connection_string=service.connection_string)


def test_secrets_do_not_show(service: LocalPubSub) -> None:
    key = service.connection_string.partition("AccessKey=")[2].partition(";")[0]
    runner = runner_of(service)
    assert key not in repr(runner) + repr(runner.target) + str(vars(runner.target.__class__))


async def test_a_missing_connection_is_a_failed_result(service: LocalPubSub) -> None:
    async with runner_of(service) as runner:
        (result,) = await results_of(runner, [SendToConnection(connection_id="x", data="hi")])
    assert result.status in {Status.OK, Status.FAILED}


def test_stop_is_one_for_a_run() -> None:
    async def run() -> list[Result]:
        stop = Stop()
        stop.request()
        async with Runner.local(hub="chat") as runner:
            return await results_of(runner, [ADD], stop=stop)

    assert [result.status for result in asyncio.run(run())] == [Status.SKIPPED]
