"""Tests of rehearsals."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from tests.plan_runs import run_plans

from wps_run import planning, running
from wps_run.execution.result import Result, Status
from wps_run.playbook.model import read_playbook
from wps_run.problems import UsageError
from wps_run.report.simulation import Simulation

JOIN = {"actionName": "addUserToGroup", "userId": "ada", "group": "red"}
SEND = {"actionName": "sendToGroup", "group": "red", "data": "hi"}
CLOSE = {"actionName": "closeClientConnection", "connectionId": "c1", "reason": "late"}


async def rehearse(
    *batch: dict[str, Any], options: dict[str, Any] | None = None, **arguments: Any
) -> tuple[list[Result], Simulation]:
    """Return the results and the simulation of a rehearsal."""
    overrides = planning.RunOverrides(
        options={"onError": "continue", **(options or {})}, hub="Chat"
    )
    plans = planning.plan([read_playbook(json.dumps(batch), "batch.json")], overrides)
    async with running.rehearsal(plans, **arguments) as rehearsal:
        results = [result async for result in run_plans(plans, lambda _: rehearsal.endpoint)]
        (simulation,) = rehearsal.simulations()
    return sorted(results, key=lambda result: result.index), simulation


async def test_each_name_has_one_client() -> None:
    """Users and connections that an action is on; not those that it excludes."""
    send = {"actionName": "sendToAll", "data": "hi", "excluded": ["c1", "c2"]}

    results, simulation = await rehearse(JOIN, JOIN, CLOSE, send)

    assert [result.status for result in results] == [Status.OK] * 4
    assert (simulation.hub, simulation.client_count) == ("chat", 2)
    assert [(client.client, client.reason) for client in simulation.closed_clients] == [
        ("c1", "late")
    ]
    assert [delivery.recipients for delivery in simulation.deliveries] == [("ada",)]
    assert (simulation.absent, simulation.fault_hits, simulation.fault_seed) == ((), (), None)


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ([SEND], "nobody was simulated in group `red`"),
        ([{**SEND, "group": "a`b\u202e"}], "nobody was simulated in group `a`b\u202e`"),
        ([{"actionName": "sendToAll", "data": "x"}], "nobody was simulated in this hub"),
        (
            [{"actionName": "sendToAll", "data": "x", "excluded": ["c1"]}],
            "nobody was simulated in this hub",
        ),
        (
            [JOIN, {"actionName": "removeUserFromAllGroups", "userId": "ada"}, SEND],
            "no simulated client was left in group `red`",
        ),
        (
            [JOIN, {"actionName": "closeUserConnections", "userId": "ada"}, SEND],
            "no simulated client was left in group `red`",
        ),
        (
            [JOIN, {**SEND, "filter": "userId eq 'bob'"}],
            "`filter` left no simulated client in group `red`",
        ),
        (
            [
                {"actionName": "addConnectionToGroup", "connectionId": "c1", "group": "red"},
                {**SEND, "filter": "connectionId eq 'c1'", "excluded": ["c1"]},
            ],
            "`filter` and `excluded` left no simulated client in group `red`",
        ),
        (
            [CLOSE, {"actionName": "sendToConnection", "connectionId": "c1", "data": "x"}],
            "no simulated client was left for connection `c1`",
        ),
    ],
)
async def test_a_message_without_recipients_has_the_reason(
    batch: list[dict[str, Any]], reason: str
) -> None:
    """In a real hub there may be somebody, so it does not say that nobody received it."""
    _, simulation = await rehearse(*batch)

    (delivery,) = simulation.deliveries
    assert (delivery.recipients, delivery.unreceived) == ((), reason)
    text = simulation.as_text()
    assert "received by" not in text
    assert "nobody" not in text.replace("nobody was simulated", "")


async def test_a_message_to_an_absent_user_has_the_reason() -> None:
    """`--absent` means that it is not simulated."""
    send = {"actionName": "sendToUser", "userId": "ada", "data": "x"}

    _, simulation = await rehearse(send, absent={"ada": None})

    assert simulation.deliveries[0].unreceived == "nobody was simulated for user `ada`"


async def test_a_group_filled_by_a_filter_is_known() -> None:
    """`addConnectionsToGroups` has its groups in the body."""
    add = {"actionName": "addConnectionsToGroups", "groups": ["red"], "filter": "userId eq 'ada'"}
    leave = {"actionName": "removeUserFromAllGroups", "userId": "ada"}

    _, simulation = await rehearse(add, leave, SEND)

    assert simulation.deliveries[0].unreceived == "no simulated client was left in group `red`"


@pytest.mark.parametrize(("rule", "status"), [("fail", Status.FAILED), ("skip", Status.SKIPPED)])
async def test_an_absent_user_is_missing(rule: str, status: Status) -> None:
    """The simulation names it."""
    results, simulation = await rehearse(
        JOIN, {**JOIN, "userId": "bob"}, SEND, options={"onMissing": rule}, absent={"bob": None}
    )

    assert [result.status for result in results] == [Status.OK, status, Status.OK]
    assert simulation.absent == ("bob",)
    assert simulation.groups == {"red": ("ada",)}


async def test_a_late_user_connects_during_the_run() -> None:
    """`onMissing: wait` waits for it."""
    results, simulation = await rehearse(
        {**JOIN, "userId": "bob"},
        SEND,
        options={"onMissing": {"wait": "30s"}},
        absent={"bob": 0.05},
    )

    assert [result.status for result in results] == [Status.OK, Status.OK]
    assert (simulation.client_count, simulation.absent) == (1, ())
    assert simulation.deliveries[0].recipients == ("bob",)


async def test_a_connection_may_be_absent_too() -> None:
    """A timer that has not expired is canceled at the end."""
    join = {"actionName": "addConnectionToGroup", "connectionId": "c1", "group": "red"}
    before = len(asyncio.all_tasks())

    results, simulation = await rehearse(join, absent={"c1": 3600})

    assert [result.status for result in results] == [Status.FAILED]
    assert simulation.absent == ("c1",)
    assert len(asyncio.all_tasks()) == before


async def test_an_absent_name_must_be_in_a_playbook() -> None:
    """A misspelled name would have no effect."""
    with pytest.raises(UsageError, match="no action has `bobb` as its userId"):
        await rehearse(JOIN, absent={"bobb": None})


async def test_faults_and_retries_are_in_the_simulation() -> None:
    """The affected requests, the repeats, and both deliveries of a message."""
    results, simulation = await rehearse(
        JOIN,
        SEND,
        options={"delivery": "atLeastOnce", "retry": {"attempts": 4, "backoff": 0.001}},
        faults=["429,retry-after-ms=1,count=1,on=addUserToGroup", "503,after,nth=1,on=SendToGroup"],
        fault_seed=7,
    )

    assert [result.status for result in results] == [Status.OK, Status.OK]
    assert [result.attempts for result in results] == [2, 2]
    assert [hits.operations for hits in simulation.fault_hits] == [
        {"AddUserToGroup": 1},
        {"SendToGroup": 1},
    ]
    assert (simulation.repeats, simulation.fault_seed) == (2, 7)
    assert [delivery.recipients for delivery in simulation.deliveries] == [("ada",), ("ada",)]


async def test_a_stalled_response_leaves_a_send_unknown() -> None:
    """The simulation has the delivery all the same."""
    results, simulation = await rehearse(
        JOIN, SEND, options={"timeout": 0.05}, faults=["stall,after,on=SendToGroup"]
    )

    assert [result.status for result in results] == [Status.OK, Status.UNKNOWN]
    assert simulation.deliveries[0].recipients == ("ada",)


async def test_requests_of_other_processes_are_ignored() -> None:
    """They are answered, but not in the simulation."""
    overrides = planning.RunOverrides(hub="chat")
    plans = planning.plan([read_playbook(json.dumps([JOIN]), "batch.json")], overrides)
    async with running.rehearsal(plans) as rehearsal, aiohttp.ClientSession() as session:
        statuses = []
        for path in ("/", "/api/health", "/api/hubs/other/:send"):
            async with session.head(rehearsal.endpoint.origin + path) as answer:
                statuses.append(answer.status)

        assert statuses == [404, 200, 405]
        assert [simulation.hub for simulation in rehearsal.simulations()] == ["chat"]


def test_an_invalid_fault_is_a_usage_error() -> None:
    """Before the emulator starts."""
    with pytest.raises(UsageError, match="did you mean `stall`"):
        running.rehearsal([], faults=["stal"])
