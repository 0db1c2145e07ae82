"""Doubt that is read back: what becomes ok, and what stays in doubt."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from wps_run import planning, running
from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.server import Emulator
from wps_run.execution.result import Result, SkipReason, Status, result_for
from wps_run.execution.run_info import Destination
from wps_run.execution.stop import Stop
from wps_run.execution.summary import Summary
from wps_run.journal.format import VERSION, Header, Resumed
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.resume import ResumeMode, Resumption
from wps_run.journal.writer import Journal, read_journal
from wps_run.planning import Plan
from wps_run.playbook.model import read_playbook
from wps_run.reading import new_clients
from wps_run.state.read_back import MOST_FAILED_READS, Doubts
from wps_run.state.reader import StateReader

JOIN = {"actionName": "addUserToGroup", "userId": "ada", "group": "red"}
LEAVE = {"actionName": "removeUserFromGroup", "userId": "ada", "group": "red"}
SEAT = {"actionName": "addConnectionToGroup", "connectionId": "wall", "group": "red"}
UNSEAT = {"actionName": "removeConnectionFromGroup", "connectionId": "wall", "group": "red"}
PERMISSION = {"connectionId": "wall", "permission": "sendToGroup", "targetName": "red"}
GRANT = {"actionName": "grantPermission", **PERMISSION}
REVOKE = {"actionName": "revokePermission", **PERMISSION}
SEND = {"actionName": "sendToGroup", "group": "red", "data": "hi"}
OTHER = {"actionName": "addUserToGroup", "userId": "bob", "group": "blue"}


class Quiet:
    """A client that ignores everything."""

    def deliver(self, message: object) -> None:
        """Ignore a message."""

    def close(self, reason: str) -> None:
        """Ignore the end."""


def plans_of(*batch: dict[str, Any], **options: Any) -> tuple[Plan, ...]:
    given = {"onError": "continue", "retry": {"attempts": 1}, **options}
    playbook = read_playbook(json.dumps(batch), "batch.json")
    return planning.plan([playbook], planning.RunOverrides(options=given, hub="chat"))


def populate(emulator: Emulator) -> None:
    emulator.attach("chat", Quiet(), user_id="ada", connection_id="a1")
    emulator.attach("chat", Quiet(), user_id="bob", connection_id="b1")
    emulator.attach("chat", Quiet(), connection_id="wall")


async def run(
    plans: Sequence[Plan],
    *faults: str,
    recorder: RunRecorder | None = None,
    stop: Stop | None = None,
) -> list[Result]:
    """Run plans against an emulator with these faults; return the results in order."""
    async with Emulator(faults=faults, fault_seed=1) as emulator:
        populate(emulator)
        return await run_against(emulator, plans, recorder, stop)


async def run_against(
    emulator: Emulator,
    plans: Sequence[Plan],
    recorder: RunRecorder | None = None,
    stop: Stop | None = None,
) -> list[Result]:
    clients = new_clients(lambda _: emulator.endpoint)
    batches = running.run_batches(plans, clients, stop or Stop(), recorder=recorder)
    results = [result async for batch in batches for result in batch]
    return sorted(results, key=lambda result: result.index)


def statuses(results: Sequence[Result]) -> list[Status]:
    return [result.status for result in results]


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
@pytest.mark.parametrize(
    ("before", "action", "operation"),
    [
        ([], JOIN, "AddUserToGroup"),
        ([JOIN], LEAVE, "RemoveUserFromGroup"),
        ([], SEAT, "AddConnectionToGroup"),
        ([SEAT], UNSEAT, "RemoveConnectionFromGroup"),
        ([], GRANT, "GrantPermission"),
        ([GRANT], REVOKE, "RevokePermission"),
    ],
)
async def test_what_took_effect_is_ok(
    before: list[dict[str, Any]], action: dict[str, Any], operation: str, mode: str
) -> None:
    """The response is lost, and the state says that the action was done."""
    results = await run(plans_of(*before, action, OTHER, mode=mode), f"503,after,on={operation}")

    assert statuses(results) == [Status.OK] * (len(before) + 2)
    last = results[len(before)]
    assert last.error is not None
    assert (last.error.code, last.http_status) == ("read-back", 503)
    summary = Summary()
    for result in results:
        summary.count(result)
    assert summary.exit_code == 0


@pytest.mark.parametrize(
    ("before", "action", "operation"),
    [
        ([], JOIN, "AddUserToGroup"),
        ([JOIN], LEAVE, "RemoveUserFromGroup"),
        ([], GRANT, "GrantPermission"),
        ([GRANT], REVOKE, "RevokePermission"),
    ],
)
async def test_what_took_no_effect_stays_in_doubt(
    before: list[dict[str, Any]], action: dict[str, Any], operation: str
) -> None:
    """It is not known to have failed: a request that timed out may take effect later."""
    results = await run(plans_of(*before, action), f"503,before,on={operation}")

    assert statuses(results) == [*[Status.OK] * len(before), Status.UNKNOWN]


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (LEAVE, Status.UNKNOWN),
        ({**LEAVE, "userId": "bob"}, Status.UNKNOWN),
        (SEND, Status.UNKNOWN),
        ({"actionName": "removeUserFromAllGroups", "userId": "bob"}, Status.UNKNOWN),
        ({"actionName": "closeUserConnections", "userId": "bob"}, Status.UNKNOWN),
        ({**JOIN, "userId": "bob"}, Status.OK),
        ({**LEAVE, "group": "blue", "userId": "bob"}, Status.OK),
        (GRANT, Status.UNKNOWN),
        ({**GRANT, "targetName": "blue"}, Status.OK),
    ],
)
async def test_a_later_step_that_conflicts_keeps_the_doubt(
    later: dict[str, Any], expected: Status
) -> None:
    """It was carried out although it was not known whether the first one was."""
    results = await run(plans_of(JOIN, later), "503,after,on=AddUserToGroup,nth=1")

    assert statuses(results) == [expected, Status.OK]


async def test_a_message_stays_in_doubt() -> None:
    """There is nothing that can be read."""
    results = await run(plans_of(SEND), "503,after,on=SendToGroup")

    assert statuses(results) == [Status.UNKNOWN]


async def test_what_cannot_be_read_stays_in_doubt() -> None:
    faults = ["503,after,on=AddUserToGroup", "500,on=ListConnectionsInGroup"]

    results = await run(plans_of(JOIN, OTHER), *faults)

    assert statuses(results) == [Status.UNKNOWN, Status.UNKNOWN]


@pytest.mark.parametrize(
    ("doubts", "expected"),
    [
        ([JOIN, {**JOIN, "userId": "bob"}, SEAT], ["ListConnectionsInGroup"]),
        ([JOIN, {**JOIN, "group": "blue"}], ["ListConnectionsInGroup"] * 2),
        ([GRANT, {**GRANT, "targetName": "blue"}, GRANT], ["CheckPermission"] * 2),
    ],
)
@pytest.mark.parametrize("readable", [True, False])
async def test_each_group_and_permission_is_read_once(
    doubts: list[dict[str, Any]],
    expected: list[str],
    readable: bool,  # noqa: FBT001 -- a case
) -> None:
    """Also if it cannot be read: the doubts of one group would each wait for all its retries."""
    reads: list[str] = []
    faults = ["503,after,on=AddUserToGroup+AddConnectionToGroup+GrantPermission"]
    faults += [] if readable else ["500,on=ListConnectionsInGroup+CheckPermission"]
    async with Emulator(faults=faults, on_request=_append_operation(reads)) as emulator:
        populate(emulator)
        results = await run_against(emulator, plans_of(*doubts))

    assert set(statuses(results)) == {Status.OK if readable else Status.UNKNOWN}
    assert [name for name in reads if name in expected] == expected


async def test_reads_end_when_the_service_answers_none() -> None:
    """So a service that is down does not keep the run for the timeouts of thousands of reads."""
    reads: list[str] = []
    grants = [{**GRANT, "targetName": f"group-{number}"} for number in range(60)]
    faults = ["reset,after,on=GrantPermission", "reset,on=CheckPermission"]
    async with Emulator(faults=faults, on_request=_append_operation(reads)) as emulator:
        populate(emulator)
        results = await run_against(emulator, plans_of(*grants))

    assert statuses(results) == [Status.UNKNOWN] * 60
    assert MOST_FAILED_READS <= reads.count("CheckPermission") < 2 * MOST_FAILED_READS


async def test_permissions_are_read_side_by_side() -> None:
    """Each read has a request of its own; one after the other would take as long as the run."""
    grants = [{**GRANT, "targetName": f"group-{number}"} for number in range(30)]
    doubts = Doubts()
    doubts.hold(await run(plans_of(*grants), "reset,on=GrantPermission"))

    await asyncio.wait_for(doubts.settle(_PairedSource()), 10)

    assert statuses(doubts.release()) == [Status.OK] * 30


async def test_a_stopped_run_reads_back_too() -> None:
    """The doubt has stopped the run; so nothing that conflicts has started."""
    results = await run(plans_of(JOIN, LEAVE, onError="stop"), "503,after,on=AddUserToGroup")

    assert statuses(results) == [Status.OK, Status.SKIPPED]


async def test_an_interrupted_run_does_not_wait_for_it() -> None:
    """Nothing is lost: the result is reported as it is."""
    stop = Stop()
    faults = ["503,after,on=AddUserToGroup", "stall,on=ListConnectionsInGroup"]
    running_task = asyncio.create_task(run(plans_of(JOIN), *faults, stop=stop))
    asyncio.get_running_loop().call_later(0.2, stop.request, SkipReason.INTERRUPTED)

    results = await asyncio.wait_for(running_task, 10)

    assert statuses(results) == [Status.UNKNOWN]


async def test_the_journal_has_both_results_and_the_last_one_counts(tmp_path: Path) -> None:
    """The first one is there even if the run is killed before the state is read."""
    plans, path = plans_of(JOIN), tmp_path / "j"
    journal = _create_journal(path, plans)

    await run(plans, "503,after,on=AddUserToGroup", recorder=RunRecorder(journal))
    await journal.close()

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["status"] for line in lines if line["type"] == "result"] == ["unknown", "ok"]
    assert statuses(list(read_journal(path).results())) == [Status.OK]


@pytest.mark.parametrize(("timing", "expected"), [("after", Status.OK), ("before", Status.UNKNOWN)])
async def test_a_resumed_run_reads_back_first(
    tmp_path: Path, timing: str, expected: Status
) -> None:
    """What is in doubt since the earlier part, before a step starts that conflicts with it."""
    plans, path = plans_of(JOIN, LEAVE, onError="stop"), tmp_path / "j"
    unreadable = "500,on=ListConnectionsInGroup,count=1"
    faults = [f"503,{timing},on=AddUserToGroup", unreadable]
    async with Emulator(faults=faults, fault_seed=1) as emulator:
        populate(emulator)
        journal = _create_journal(path, plans)
        first = await run_against(emulator, plans, RunRecorder(journal))
        await journal.close()
        journal, history = Journal.reopen(path)
        journal.resume(history.length, Resumed(MOMENT, VERSION).record(INFO))
        recorder = RunRecorder(journal, Resumption(history, ResumeMode.UNDONE))
        second = await run_against(emulator, plans, recorder)
        await journal.close()

    assert statuses(first) == [Status.UNKNOWN, Status.SKIPPED]
    assert statuses(second) == [expected, Status.OK]
    assert statuses(list(read_journal(path).results())) == statuses(second)


@pytest.mark.parametrize("batches", [([JOIN, LEAVE],), ([JOIN], [LEAVE])])
async def test_what_was_in_flight_at_a_kill_keeps_the_doubt(
    tmp_path: Path, batches: tuple[list[dict[str, Any]], ...]
) -> None:
    """The leave that was sent may take effect at any time, and undo the join that is there now."""
    plans, path = _numbered_plans(*batches), tmp_path / "j"
    join, leave = (step for plan in plans for step in plan.steps())
    info = planning.run_info(plans, Destination.SERVICE, ("h",))
    journal = Journal.create(path, Header(MOMENT, ("b",), "00", {}).record(info))
    journal.add(result_for(join, Status.UNKNOWN, attempts=1))
    journal.mark_sending(leave.index)
    await journal.close()
    async with Emulator() as emulator:
        emulator.attach("chat", Quiet(), user_id="ada", connection_id="a1", groups=["red"])
        journal, history = Journal.reopen(path)
        journal.resume(history.length, Resumed(MOMENT, VERSION).record(info))
        recorder = RunRecorder(journal, Resumption(history, ResumeMode.UNDONE))
        results = await run_against(emulator, plans, recorder)
        await journal.close()

    assert statuses(results) == [Status.UNKNOWN, Status.OK]


async def test_a_resumed_run_looks_at_the_later_playbooks_too(tmp_path: Path) -> None:
    """A step of another playbook conflicts with the doubt, and has started in the earlier part."""
    plans = _numbered_plans([JOIN], [LEAVE], [JOIN])
    info, path = planning.run_info(plans, Destination.SERVICE, ("h",)), tmp_path / "j"
    faults = ["reset,before,on=AddUserToGroup,nth=1"]
    async with Emulator(faults=faults) as emulator:
        populate(emulator)
        journal = Journal.create(path, Header(MOMENT, ("b",), "00", {}).record(info))
        await run_against(emulator, plans, RunRecorder(journal))
        await journal.close()
        journal, history = Journal.reopen(path)
        journal.resume(history.length, Resumed(MOMENT, VERSION).record(info))
        recorder = RunRecorder(journal, Resumption(history, ResumeMode.UNDONE))
        results = await run_against(emulator, plans, recorder)
        await journal.close()

    assert statuses(results) == [Status.UNKNOWN, Status.OK, Status.OK]


def _numbered_plans(*batches: list[dict[str, Any]]) -> tuple[Plan, ...]:
    playbooks = [
        read_playbook(json.dumps(batch), f"{number}.json") for number, batch in enumerate(batches)
    ]
    options = {"onError": "continue", "retry": {"attempts": 1}}
    return planning.plan(playbooks, planning.RunOverrides(options=options, hub="chat"))


def _append_operation(operations: list[str]) -> Callable[[RequestEntry], None]:
    return lambda request: operations.append(request.operation)


class _PairedSource(StateReader):
    """Has each permission, and answers a read when another one is in flight, too."""

    def __init__(self) -> None:
        self._pair = asyncio.Barrier(2)

    async def has_permission(self, *_names: str, **_more: str) -> bool:
        await self._pair.wait()
        return True


MOMENT = "2026-01-01T00:00:00+00:00"
INFO = planning.run_info(plans_of(JOIN, LEAVE), Destination.SERVICE, ("h",))


def _create_journal(path: Path, plans: Sequence[Plan]) -> Journal:
    info = planning.run_info(plans, Destination.SERVICE, ("h",))
    return Journal.create(path, Header(MOMENT, ("batch.json",), "00", {}).record(info))
