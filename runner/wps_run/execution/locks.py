"""Which steps may run now: locks in, decisions out. Pure.

Each lock key has a queue of groups: consecutive steps that may hold the key together. A step is
ready when it is in the first group of each of its keys. So two steps that conflict keep their
order in the playbook, and all others overlap. Adding and releasing a step is O(1) a key.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from wps_run.actions.locks import Lock

_Key = tuple[str, str]


@dataclass(slots=True)
class LockGroup:
    """Steps that may hold one key together.

    Attributes:
        use: What they hold it for.
        is_shared: Whether another step with the same use may join.
        unfinished: How many of them have not finished.
        waiting: Steps added while this was not the first group; empty once it is.
    """

    use: str
    is_shared: bool
    unfinished: int = 0
    waiting: list[int] = field(default_factory=list)


class LockTable:
    """Keeps conflicting steps in order; forgets each step once it has finished."""

    def __init__(self) -> None:
        self._queues: dict[_Key, deque[LockGroup]] = {}
        self._keys: dict[int, tuple[_Key, ...]] = {}
        self._blocked: dict[int, int] = {}
        self._ready: list[int] = []
        self._unblocked_by: dict[int, int] = {}

    @property
    def unfinished(self) -> int:
        """The number of steps that were added and have not finished."""
        return len(self._keys)

    @property
    def ready(self) -> int:
        """The number of steps that may start."""
        return len(self._ready)

    def add(self, index: int, locks: Iterable[Lock]) -> None:
        """Add the next step of the plan.

        Args:
            index: Its index, greater than all before.
            locks: The locks it needs, each key at most once.
        """
        blocking = 0
        keys = []
        for key, use, shared in locks:
            keys.append(key)
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = deque()
            last = queue[-1] if queue else None
            if last is None or not (last.is_shared and shared and last.use == use):
                last = LockGroup(use, shared)
                queue.append(last)
            last.unfinished += 1
            if last is not queue[0]:
                last.waiting.append(index)
                blocking += 1
        self._keys[index] = tuple(keys)
        if blocking:
            self._blocked[index] = blocking
        else:
            heapq.heappush(self._ready, index)

    def take(self) -> int | None:
        """Take the first step, in plan order, that may start; None if there is none."""
        return heapq.heappop(self._ready) if self._ready else None

    def unblocked_by(self, index: int) -> int | None:
        """Return the step whose end let this one start, or None. Answered once."""
        return self._unblocked_by.pop(index, None)

    def release(self, index: int) -> None:
        """Release the locks of a step that was taken and has finished."""
        for key in self._keys.pop(index):
            queue = self._queues[key]
            first = queue[0]
            first.unfinished -= 1
            if first.unfinished == 0:
                queue.popleft()
                if queue:
                    self._unblock(queue[0], index)
                else:
                    del self._queues[key]

    def _unblock(self, group: LockGroup, finished: int) -> None:
        waiting, group.waiting = group.waiting, []
        for index in waiting:
            self._blocked[index] -= 1
            if self._blocked[index] == 0:
                del self._blocked[index]
                self._unblocked_by[index] = finished
                heapq.heappush(self._ready, index)
