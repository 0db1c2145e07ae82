"""Rehearsals: everybody whom a playbook names is there, unless it is said otherwise."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from wps_run import planning, running
from wps_run.execution.result import Result, Status
from wps_run.playbook.model import read_playbook
from wps_run.problems import UsageError
from wps_run.report.simulation import Simulation

SEAT = {"actionName": "addUserToGroup", "userId": "ada", "group": "red"}
SEND = {"actionName": "sendToGroup", "group": "red", "data": "hi"}
CLOSE = {"actionName": "closeClientConnection", "connectionId": "c1", "reason": "late"}


async def rehearse(
    *batch: dict[str, Any], options: dict[str, Any] | None = None, **trouble: Any
) -> tuple[list[Result], Simulation]:
    """The results and the outlook of a rehearsal."""
    given = planning.RunOverrides(options={"onError": "continue", **(options or {})}, hub="Chat")
    plans = planning.plan([read_playbook(json.dumps(batch), "batch.json")], given)
    async with running.rehearsal(plans, **trouble) as local:
        results = [one async for one in running.run(plans, lambda _: local.endpoint)]
        (outlook,) = local.simulations()
    return sorted(results, key=lambda one: one.step.index), outlook


async def test_everybody_who_is_named_is_there_once() -> None:
    """Users and connections, excluded ones too."""
    send = {"actionName": "sendToAll", "data": "hi", "excluded": ["c1", "c2"]}

    results, outlook = await rehearse(SEAT, SEAT, CLOSE, send)

    assert [one.status for one in results] == [Status.OK] * 4
    assert (outlook.hub, outlook.client_count) == ("chat", 3)
    assert [(one.client, one.reason) for one in outlook.closed_clients] == [("c1", "late")]
    assert [one.recipients for one in outlook.deliveries] == [("ada",)]
    assert (outlook.absent, outlook.fault_hits, outlook.fault_seed) == ((), (), None)


@pytest.mark.parametrize(("rule", "status"), [("fail", Status.FAILED), ("skip", Status.SKIPPED)])
async def test_who_is_absent_is_found_missing(rule: str, status: Status) -> None:
    """So that `onMissing` can be rehearsed; the outlook says who it was."""
    results, outlook = await rehearse(
        SEAT, {**SEAT, "userId": "bob"}, SEND, options={"onMissing": rule}, absent={"bob": None}
    )

    assert [one.status for one in results] == [Status.OK, status, Status.OK]
    assert outlook.absent == ("bob",)
    assert outlook.groups == {"red": ("ada",)}


async def test_who_comes_late_is_waited_for() -> None:
    """With `onMissing: wait`, until then."""
    results, outlook = await rehearse(
        {**SEAT, "userId": "bob"},
        SEND,
        options={"onMissing": {"wait": "30s"}},
        absent={"bob": 0.05},
    )

    assert [one.status for one in results] == [Status.OK, Status.OK]
    assert (outlook.client_count, outlook.absent) == (1, ())
    assert outlook.deliveries[0].recipients == ("bob",)


async def test_a_connection_may_be_absent_too() -> None:
    """And come late; who is still to come at the end never comes."""
    join = {"actionName": "addConnectionToGroup", "connectionId": "c1", "group": "red"}
    before = len(asyncio.all_tasks())

    results, outlook = await rehearse(join, absent={"c1": 3600})

    assert [one.status for one in results] == [Status.FAILED]
    assert outlook.absent == ("c1",)
    assert len(asyncio.all_tasks()) == before


async def test_nobody_can_be_absent_whom_no_playbook_names() -> None:
    """A misspelt name would rehearse nothing."""
    with pytest.raises(UsageError, match="no playbook names a user or a connection `bobb`"):
        await rehearse(SEAT, absent={"bobb": None})


async def test_faults_and_retries_are_in_the_account() -> None:
    """What struck, how often, and what was sent again; who heard a message twice."""
    results, outlook = await rehearse(
        SEAT,
        SEND,
        options={"delivery": "atLeastOnce", "retry": {"attempts": 4, "backoff": 0.001}},
        faults=["429,retry-after-ms=1,count=1,on=addUserToGroup", "503,after,nth=1,on=SendToGroup"],
        fault_seed=7,
    )

    assert [one.status for one in results] == [Status.OK, Status.OK]
    assert [one.attempts for one in results] == [2, 2]
    assert [one.operations for one in outlook.fault_hits] == [
        {"AddUserToGroup": 1},
        {"SendToGroup": 1},
    ]
    assert (outlook.repeats, outlook.fault_seed) == (2, 7)
    assert [one.recipients for one in outlook.deliveries] == [("ada",), ("ada",)]


async def test_a_stalled_answer_leaves_a_send_unknown() -> None:
    """What cannot be known is not claimed; what clients heard is shown all the same."""
    results, outlook = await rehearse(
        SEAT, SEND, options={"timeout": 0.05}, faults=["stall,after,on=SendToGroup"]
    )

    assert [one.status for one in results] == [Status.OK, Status.UNKNOWN]
    assert outlook.deliveries[0].recipients == ("ada",)


async def test_a_stranger_at_the_port_changes_nothing() -> None:
    """Whoever finds it is answered as by any service, and is in no account."""
    given = planning.RunOverrides(hub="chat")
    plans = planning.plan([read_playbook(json.dumps([SEAT]), "batch.json")], given)
    async with running.rehearsal(plans) as local, aiohttp.ClientSession() as session:
        statuses = []
        for path in ("/", "/api/health", "/api/hubs/other/:send"):
            async with session.head(local.endpoint.origin + path) as answer:
                statuses.append(answer.status)

        assert statuses == [404, 200, 405]
        assert [one.hub for one in local.simulations()] == ["chat"]


def test_a_fault_that_cannot_be_read_is_a_usage_error() -> None:
    """Before anything is started."""
    with pytest.raises(UsageError, match="did you mean `stall`"):
        running.rehearsal([], faults=["stal"])
