"""The scoreboard: which step may start now. Locks in, decisions out.

Each key that is locked has a queue of generations: groups of steps, in written order, that may
hold the key together. A step is ready when it is in the first generation of each of its keys.
So two steps that conflict keep their written order, and all others overlap. A step joins the
last generation of a queue or opens a new one, and leaves the first one: each is O(1).
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
        open: Whether another step of the same use may join.
        left: How many of them have not finished.
        waiting: Those that came while it was not the first; empty once it is.
    """

    use: str
    open: bool
    left: int = 0
    waiting: list[int] = field(default_factory=list)


class LockTable:
    """Keeps the order of steps that conflict; forgets each step once it is finished."""

    def __init__(self) -> None:
        self._queues: dict[_Key, deque[LockGroup]] = {}
        self._keys: dict[int, tuple[_Key, ...]] = {}
        self._blocked: dict[int, int] = {}
        self._ready: list[int] = []
        self._freed: dict[int, int] = {}

    @property
    def pending(self) -> int:
        """How many steps were added and have not finished."""
        return len(self._keys)

    @property
    def ready(self) -> int:
        """How many steps may start now."""
        return len(self._ready)

    def add(self, number: int, locks: Iterable[Lock]) -> None:
        """Add the next step in written order.

        Args:
            number: Its number, greater than all before.
            locks: Its locks, each key at most once.
        """
        behind = 0
        keys = []
        for key, use, shared in locks:
            keys.append(key)
            queue = self._queues.get(key)
            if queue is None:
                queue = self._queues[key] = deque()
            last = queue[-1] if queue else None
            if last is None or not (last.open and shared and last.use == use):
                last = LockGroup(use, shared)
                queue.append(last)
            last.left += 1
            if last is not queue[0]:
                last.waiting.append(number)
                behind += 1
        self._keys[number] = tuple(keys)
        if behind:
            self._blocked[number] = behind
        else:
            heapq.heappush(self._ready, number)

    def take(self) -> int | None:
        """The first step, in written order, that may start now; None when there is none."""
        return heapq.heappop(self._ready) if self._ready else None

    def freed_by(self, number: int) -> int | None:
        """The step whose end let this one start; None when it kept order for none. Told once."""
        return self._freed.pop(number, None)

    def finish(self, number: int) -> None:
        """Let go of what a step holds that was taken before."""
        for key in self._keys.pop(number):
            queue = self._queues[key]
            first = queue[0]
            first.left -= 1
            if first.left == 0:
                queue.popleft()
                if queue:
                    self._advance(queue[0], number)
                else:
                    del self._queues[key]

    def _advance(self, generation: LockGroup, finished: int) -> None:
        waiting, generation.waiting = generation.waiting, []
        for number in waiting:
            self._blocked[number] -= 1
            if self._blocked[number] == 0:
                del self._blocked[number]
                self._freed[number] = finished
                heapq.heappush(self._ready, number)
