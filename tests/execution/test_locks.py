"""The scoreboard against the rule itself, written the slow way."""

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


def conflict(one: tuple[Lock, ...], other: tuple[Lock, ...]) -> bool:
    """Two steps may not overlap: they lock a key for different uses, or one does not share it."""
    return any(
        a.key == b.key and not (a.use == b.use and a.shared and b.shared)
        for a in one
        for b in other
    )


def may_start(steps: list[tuple[Lock, ...]], open_steps: set[int], number: int) -> bool:
    """The rule: no step before it that is not finished conflicts with it."""
    return not any(conflict(steps[other], steps[number]) for other in open_steps if other < number)


def empty(board: LockTable) -> bool:
    """Nothing is kept of what is finished."""
    return not (board._queues or board._keys or board._blocked or board._ready)  # noqa: SLF001


@given(st.lists(LOCKS, max_size=25), st.data())
def test_a_step_is_ready_exactly_when_the_rule_says_so(
    steps: list[tuple[Lock, ...]], data: st.DataObject
) -> None:
    """Whatever is added, taken and finished, and when: order kept, overlap used, no deadlock."""
    board = LockTable()
    added, waiting, running = 0, set[int](), set[int]()
    while added < len(steps) or waiting or running:
        ready = {one for one in waiting if may_start(steps, waiting | running, one)}
        assert board.ready == len(ready)
        assert board.unfinished == len(waiting | running)
        moves = ["add"] * (added < len(steps)) + ["take"] * bool(ready) + ["end"] * bool(running)
        move = data.draw(st.sampled_from(moves))
        if move == "add":
            board.add(added, steps[added])
            waiting.add(added)
            added += 1
        elif move == "take":
            assert board.take() == min(ready)
            waiting.remove(min(ready))
            running.add(min(ready))
        else:
            done = data.draw(st.sampled_from(sorted(running)))
            board.release(done)
            running.remove(done)
    assert board.take() is None
    assert empty(board)


def test_ten_thousand_joins_are_ready_at_once_and_the_send_after_them_waits() -> None:
    """What commutes overlaps; what is written after it waits for all of it."""
    board = LockTable()
    join, send = ACTIONS["addUserToGroup"], ACTIONS["sendToGroup"]
    for number in range(10_000):
        board.add(number, locks_of(join, {"userId": str(number), "group": "red"}))
    board.add(10_000, locks_of(send, {"group": "red", "data": b"", "dataType": "text"}))
    board.add(10_001, locks_of(send, {"group": "blue", "data": b"", "dataType": "text"}))

    assert board.ready == 10_001
    taken = [board.take() for _ in range(10_001)]
    assert taken == [*range(10_000), 10_001]
    for number in reversed(range(1, 10_000)):
        board.release(number)
    assert board.take() is None
    board.release(0)
    assert board.take() == 10_000


def test_steps_that_stand_alone_run_as_written() -> None:
    """A sequential run is one in which each step locks the hub for itself."""
    board = LockTable()
    for number in range(5):
        board.add(number, EXCLUSIVE)

    for number in range(5):
        assert board.take() == number
        assert board.take() is None
        board.release(number)
    assert empty(board)


def test_memory_is_bounded_by_what_is_pending() -> None:
    """A stream in which there is always a step under way leaves no trail of numbers behind."""
    board = LockTable()
    locks = (Lock(HUB, "use", shared=True),)
    board.add(0, (Lock(HUB, "broadcast", shared=False),))
    board.add(1, locks)
    assert board.take() == 0
    board.release(0)
    for number in range(2, 5000):
        board.add(number, locks)
        taken = board.take()
        assert taken is not None
        board.release(taken)

    queue = board._queues[HUB]  # noqa: SLF001 -- its size is the point
    assert board.unfinished == 1
    assert len(queue) == 1
    assert queue[0].waiting == []


@pytest.mark.parametrize("shared", [True, False])
def test_a_step_without_locks_waits_for_nothing(*, shared: bool) -> None:
    """No key, no order."""
    board = LockTable()
    board.add(0, (Lock(HUB, "use", shared=shared),))
    board.add(1, ())

    assert board.ready
