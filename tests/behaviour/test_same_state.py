"""A concurrent run leaves the state that a sequential run leaves."""

import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wps_run import planning, running
from wps_run.actions.fields import Field, FieldType
from wps_run.actions.table import ACTIONS, Action
from wps_run.execution.result import Status
from wps_run.execution.stop import Stop
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


def values_of(one: Field) -> st.SearchStrategy[Any]:
    """Values for one property of an action."""
    if one.name in NAMES:
        return NAMES[one.name]
    if one.type is FieldType.CHOICE and one.name != "dataType":
        return st.sampled_from(list(one.choices))
    if one.type is FieldType.DATA:
        return st.text("abc", min_size=1, max_size=8)
    if one.type is FieldType.INTEGER:
        return st.integers(0, 300)
    return st.just("text")


def written(action: Action) -> st.SearchStrategy[dict[str, Any]]:
    """One action as a batch writes it, optional properties there or not."""
    return st.fixed_dictionaries(
        {
            "actionName": st.just(action.name),
            **{one.name: values_of(one) for one in action.fields if one.required},
        },
        optional={one.name: values_of(one) for one in action.fields if not one.required},
    )


# Closes and broadcasts are rare, else nobody is left after a few actions.
USUAL = [row for row in ACTIONS.values() if row.overlap.phase.value == "use"]
BATCHES = st.lists(
    st.one_of(
        *(written(row) for row in USUAL),
        *(written(row) for row in USUAL),
        st.one_of([written(row) for row in ACTIONS.values()]),
    ),
    min_size=5,
    max_size=60,
)


async def state_after(batch: list[dict[str, Any]], mode: str) -> tuple[Counter[Status], Any]:
    """How the actions ended, and what is left in the embedded service."""
    given = planning.RunOverrides(
        options={"mode": mode, "onError": "continue", "concurrency": 16}, hub="chat"
    )
    plans = planning.plan([read_playbook(json.dumps(batch), "batch.json")], given)
    statuses: Counter[Status] = Counter()
    async with running.rehearsal(plans) as local:
        async for result in running.run(plans, lambda _: local.endpoint, Stop()):
            statuses[result.status] += 1
        return statuses, [comparable(outlook) for outlook in local.simulations()]


def comparable(outlook: Simulation) -> Any:
    """The outlook without what the contract leaves open: the order between targets."""
    return (
        {group: sorted(members) for group, members in outlook.groups.items()},
        sorted((one.client, one.reason) for one in outlook.closed_clients),
        sorted((p.connection, p.permission, p.group, p.is_allowed) for p in outlook.permissions),
        sorted(
            (h.origin, h.data_type, h.size, h.text, sorted(h.recipients))
            for h in outlook.deliveries
        ),
    )


@given(batch=BATCHES)
@settings(max_examples=40)
async def test_a_concurrent_run_leaves_the_state_of_a_sequential_one(
    batch: list[dict[str, Any]],
) -> None:
    """Members, permissions, who was closed, and who heard what are the same."""
    assert await state_after(batch, "concurrent") == await state_after(batch, "sequential")
