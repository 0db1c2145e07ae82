"""What is late is ended by one timer, and nothing else is."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from wps_run.connect.deadlines import Deadlines

LONG = 60.0


@pytest.fixture
async def deadlines() -> AsyncIterator[Deadlines]:
    """Deadlines of one client."""
    made = Deadlines()
    yield made
    made.close()


async def stays(
    deadlines: Deadlines, seconds: float, began: Callable[[], object] = lambda: None
) -> str:
    """What becomes of a task that would wait for ever."""
    try:
        with deadlines.limit(seconds):
            began()
            await asyncio.Event().wait()
    except TimeoutError:
        return "late"
    return "left"


async def test_what_is_late_is_ended(deadlines: Deadlines) -> None:
    """It raises TimeoutError, and the task can go on."""
    assert await stays(deadlines, 0.01) == "late"
    assert await stays(deadlines, 0.01) == "late"
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0


async def test_each_has_its_own_time(deadlines: Deadlines) -> None:
    """A shorter deadline that begins later expires earlier, and the longer one after it."""
    ended: list[float] = []

    async def stay(seconds: float) -> None:
        assert await stays(deadlines, seconds) == "late"
        ended.append(seconds)

    await asyncio.gather(stay(0.08), stay(0.02), stay(0.05))
    assert ended == [0.02, 0.05, 0.08]


async def test_what_was_left_in_time_is_not_ended(deadlines: Deadlines) -> None:
    """The timer may still be set for it, and then finds nothing to do."""
    with deadlines.limit(0.01):
        pass
    assert await stays(deadlines, 0.05) == "late"


async def test_the_next_may_begin_while_the_timer_is_set_for_one_that_has_left(
    deadlines: Deadlines,
) -> None:
    """It is ended in its own time, not in that of the other."""
    loop = asyncio.get_running_loop()
    with deadlines.limit(0.02):
        pass
    began = loop.time()
    assert await stays(deadlines, 0.1) == "late"
    assert loop.time() - began >= 0.1


async def test_a_cancellation_by_other_code_is_passed_on(deadlines: Deadlines) -> None:
    """A task that is cancelled from outside is cancelled, however much time is left."""
    began = asyncio.Event()
    task = asyncio.create_task(stays(deadlines, LONG, began.set))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_both_at_once_is_a_cancellation(deadlines: Deadlines) -> None:
    """A cancellation at the moment of the deadline must not be lost."""
    loop = asyncio.get_running_loop()

    def both() -> None:
        """Let the deadline pass in one turn of the loop, so that both are due in the next."""
        due = loop.time() + 0.02
        loop.call_at(due, task.cancel)
        while loop.time() < due:
            pass

    task = asyncio.create_task(stays(deadlines, 0.01, lambda: loop.call_soon(both)))
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_other_errors_pass_unchanged(deadlines: Deadlines) -> None:
    """What went wrong in time is no matter of time."""
    with pytest.raises(ValueError, match="mine"), deadlines.limit(LONG):
        raise ValueError("mine")


async def test_there_is_one_timer_for_all(deadlines: Deadlines) -> None:
    """A thousand that begin and leave in time set one timer between them."""
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_at = loop.call_at

    def counted(when: float, *given: object) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *given)  # type: ignore[arg-type]

    loop.call_at = counted  # type: ignore[assignment, method-assign]
    try:
        for _ in range(1000):
            with deadlines.limit(LONG):
                pass
    finally:
        loop.call_at = call_at  # type: ignore[method-assign]
    assert len(timers) == 1


def test_it_is_for_a_task() -> None:
    """Outside of a task there is nothing to cancel."""

    def outside(loop: asyncio.AbstractEventLoop) -> None:
        try:
            with Deadlines().limit(LONG):
                pass
        except RuntimeError as error:
            messages.append(str(error))
        loop.stop()

    messages: list[str] = []
    loop = asyncio.new_event_loop()
    loop.call_soon(outside, loop)
    loop.run_forever()
    loop.close()
    assert messages == ["a deadline needs a task"]
