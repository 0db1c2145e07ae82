"""How long requests may take: one timer for all that are in flight."""

import asyncio
from types import TracebackType
from typing import Any, Self


class Deadlines:
    """Ends what takes too long, as `asyncio.timeout` does.

    That sets a timer for each request and cancels nearly every one of them unheard, which costs
    a twentieth of a request. Here one timer is set, to the earliest deadline.
    """

    def __init__(self) -> None:
        self._running: dict[_Within, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> "_Within":
        """A context that the current task must leave within so many seconds.

        Raises:
            TimeoutError: When it is left, and the time was over before.
        """
        return _Within(self, asyncio.get_running_loop().time() + seconds)

    def close(self) -> None:
        """Set no timer any more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def begin(self, one: "_Within") -> None:
        """Watch over one more."""
        self._running[one] = None
        if self._timer is None or one.due < self._timer.when():
            self._ring_at(one.due)

    def end(self, one: "_Within") -> None:
        """Watch over it no longer. The timer stays, since the next request needs one as well."""
        self._running.pop(one, None)

    def _ring_at(self, due: float) -> None:
        self.close()
        self._timer = asyncio.get_running_loop().call_at(due, self._ring, due)

    def _ring(self, due: float) -> None:
        self._timer = None
        for one in [one for one in self._running if one.due <= due]:
            del self._running[one]
            one.cancel()
        if self._running:
            self._ring_at(min(one.due for one in self._running))


class _Within:
    """One context. It tells its own cancellation from that of somebody else."""

    __slots__ = ("_deadlines", "_earlier", "_late", "_task", "due")

    def __init__(self, deadlines: Deadlines, due: float) -> None:
        self.due = due
        self._deadlines = deadlines
        self._late = False

    def __enter__(self) -> Self:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is for a task")
        self._task = task
        self._earlier = task.cancelling()
        self._deadlines.begin(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._deadlines.end(self)
        if self._late and self._task.uncancel() <= self._earlier and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def cancel(self) -> None:
        """End it, since its time is over."""
        self._late = True
        self._task.cancel()
