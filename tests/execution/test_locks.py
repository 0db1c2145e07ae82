"""The lock table, compared with a direct implementation of the rule."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.locks import EXCLUSIVE, HUB, Lock, locks_of
from wps_run.actions.table import ACTIONS
from wps_run.execution.locks import LockTable

USES = ["join", "leave", "send", "close"]
LOCKS = st.lists(
    st.builds(
        lambda key, use: Lock(("k", key), use, shared=use in {"join", "leave"}),
        st.sampled_from("abcd"),
        st.sampled_from(USES),
    ),
    max_size=4,
    unique_by=lambda lock: lock.key,
).map(tuple)


def conflict(left: tuple[Lock, ...], right: tuple[Lock, ...]) -> bool:
    """Return whether two steps must not overlap."""
    return any(
        first.key == second.key and not (first.use == second.use and first.shared and second.shared)
        for first in left
        for second in right
    )


def may_start(steps: list[tuple[Lock, ...]], open_steps: set[int], number: int) -> bool:
    """Return whether no earlier unfinished step conflicts with this one."""
    return not any(conflict(steps[other], steps[number]) for other in open_steps if other < number)


@given(st.lists(LOCKS, max_size=25), st.data())
def test_step_is_ready_exactly_if_no_earlier_one_conflicts(
    steps: list[tuple[Lock, ...]], data: st.DataObject
) -> None:
    """For any sequence of additions, starts and ends; each step becomes ready in the end."""
    table = LockTable()
    added, waiting, running = 0, set[int](), set[int]()
    while added < len(steps) or waiting or running:
        ready = {number for number in waiting if may_start(steps, waiting | running, number)}
        assert table.ready == len(ready)
        assert table.unfinished == len(waiting | running)
        operations = (
            ["add"] * (added < len(steps)) + ["take"] * bool(ready) + ["end"] * bool(running)
        )
        operation = data.draw(st.sampled_from(operations))
        if operation == "add":
            table.add(added, steps[added])
            waiting.add(added)
            added += 1
        elif operation == "take":
            assert table.take() == min(ready)
            waiting.remove(min(ready))
            running.add(min(ready))
        else:
            finished = data.draw(st.sampled_from(sorted(running)))
            table.release(finished)
            running.remove(finished)
    assert table.take() is None
    assert (table.ready, table.unfinished) == (0, 0)


def test_commuting_steps_are_ready_together_and_the_next_one_waits() -> None:
    table = LockTable()
    join, send = ACTIONS["addUserToGroup"], ACTIONS["sendToGroup"]
    for number in range(10_000):
        table.add(number, locks_of(join, {"userId": str(number), "group": "red"}))
    table.add(10_000, locks_of(send, {"group": "red", "data": b"", "dataType": "text"}))
    table.add(10_001, locks_of(send, {"group": "blue", "data": b"", "dataType": "text"}))

    assert table.ready == 10_001
    taken = [table.take() for _ in range(10_001)]
    assert taken == [*range(10_000), 10_001]
    for number in reversed(range(1, 10_000)):
        table.release(number)
    assert table.take() is None
    table.release(0)
    assert table.take() == 10_000


def test_exclusive_steps_run_in_plan_order() -> None:
    table = LockTable()
    for number in range(5):
        table.add(number, EXCLUSIVE)

    for number in range(5):
        assert table.take() == number
        assert table.take() is None
        table.release(number)
    assert (table.ready, table.unfinished) == (0, 0)


@pytest.mark.parametrize("distinct_keys", [True, False])
def test_memory_does_not_grow_with_the_finished_steps(*, distinct_keys: bool) -> None:
    """Also while there is always a step that has not finished."""
    table = LockTable()
    table.add(0, (Lock(HUB, "broadcast", shared=False),))
    table.add(1, (Lock(HUB, "use", shared=True),))
    assert table.take() == 0
    table.release(0)
    tracemalloc.start()
    for number in range(2, 5000):
        key = ("user", str(number)) if distinct_keys else HUB
        table.add(number, (Lock(key, "use", shared=True),))
        taken = table.take()
        assert taken is not None
        table.release(taken)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert table.unfinished == 1
    assert size < 10_000


@pytest.mark.parametrize("shared", [True, False])
def test_step_without_locks_is_ready(*, shared: bool) -> None:
    table = LockTable()
    table.add(0, (Lock(HUB, "use", shared=shared),))
    table.add(1, ())

    assert table.ready
