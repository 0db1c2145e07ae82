"""A concurrent run leaves the same state as a sequential run."""

import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.plan_runs import run_plans

from wps_run import planning, running
from wps_run.actions.fields import Field, FieldType, Origin
from wps_run.actions.table import ACTIONS, Action
from wps_run.execution.result import Status
from wps_run.playbook.model import read_playbook
from wps_run.report.simulation import Simulation

# Few names, so that actions meet on their targets all the time.
NAMES = {
    "userId": st.sampled_from(["ada", "bob", "cy"]),
    "group": st.sampled_from(["red", "blue"]),
    "targetName": st.sampled_from(["red", "blue"]),
    "connectionId": st.sampled_from(["c1", "c2", "c3"]),
    "groups": st.lists(st.sampled_from(["red", "blue"]), min_size=1, max_size=2, unique=True),
    "excluded": st.lists(st.sampled_from(["c1", "c2"]), max_size=2, unique=True),
    "reason": st.just("test"),
    "filter": st.sampled_from(
        ["'red' in groups", "userId eq 'ada'", "not('blue' in groups)", "userId eq null"]
    ),
}


def values_of(field: Field) -> st.SearchStrategy[Any]:
    """Values of one field of an action."""
    if field.name in NAMES:
        return NAMES[field.name]
    if field.type is FieldType.CHOICE and field.name != "dataType":
        return st.sampled_from(list(field.choices))
    if field.type is FieldType.DATA:
        return st.text("abc", min_size=1, max_size=8)
    if field.type is FieldType.INTEGER:
        return st.integers(0, 300)
    return st.just("text")


def batch_action(action: Action) -> st.SearchStrategy[dict[str, Any]]:
    """One action of a batch, with or without its optional fields."""
    return st.fixed_dictionaries(
        {
            "actionName": st.just(action.name),
            **{field.name: values_of(field) for field in action.fields if field.required},
        },
        optional={
            field.name: values_of(field)
            for field in action.fields
            if not field.required and field.origin is not Origin.PLAYBOOK
        },
    )


# Closes and broadcasts are rare, else no clients are left after a few actions.
USUAL = [action for action in ACTIONS.values() if action.overlap.phase.value == "use"]
BATCHES = st.lists(
    st.one_of(
        *(batch_action(action) for action in USUAL),
        *(batch_action(action) for action in USUAL),
        st.one_of([batch_action(action) for action in ACTIONS.values()]),
    ),
    min_size=5,
    max_size=60,
)


async def state_after(batch: list[dict[str, Any]], mode: str) -> tuple[Counter[Status], Any]:
    """Return the count of each status, and the state that is left in the emulator."""
    overrides = planning.RunOverrides(
        options={"mode": mode, "onError": "continue", "concurrency": 16}, hub="chat"
    )
    plans = planning.plan([read_playbook(json.dumps(batch), "batch.json")], overrides)
    statuses: Counter[Status] = Counter()
    async with running.rehearsal(plans) as rehearsal:
        async for result in run_plans(plans, lambda _: rehearsal.endpoint):
            statuses[result.status] += 1
        return statuses, [comparable(simulation) for simulation in rehearsal.simulations()]


def comparable(simulation: Simulation) -> Any:
    """Return the simulation without the order between targets, which is undefined."""
    return (
        {group: sorted(members) for group, members in simulation.groups.items()},
        sorted((client.client, client.reason) for client in simulation.closed_clients),
        sorted(
            (permission.connection, permission.permission, permission.group, permission.is_allowed)
            for permission in simulation.permissions
        ),
        sorted(
            (
                delivery.origin,
                delivery.data_type,
                delivery.size,
                delivery.text,
                sorted(delivery.recipients),
            )
            for delivery in simulation.deliveries
        ),
    )


@given(batch=BATCHES)
@settings(max_examples=40)
async def test_concurrent_run_leaves_the_state_of_a_sequential_run(
    batch: list[dict[str, Any]],
) -> None:
    """Members, permissions, closed connections and recipients."""
    assert await state_after(batch, "concurrent") == await state_after(batch, "sequential")
