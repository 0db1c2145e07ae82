"""Check that actions of different shards commute, so that shards need not wait for each other.

The rule is that of `mode: concurrent` (`actions.locks`): two steps of different shards must not
lock one key for two uses, nor for a use that is not shared. A shard keeps the order of its own.

When each kind of key is locked for one shared use only, as in a million joins, the playbooks alone
decide. Otherwise every key is stored, in 18 to 36 bytes each. Keys are stored as hashes; when two
keys have the same hash, the plan is read again to compare them, so the answer is always exact.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from wps_run.actions.locks import HUB, MEMBERSHIP, Lock, locks_for
from wps_run.actions.table import ACTIONS
from wps_run.playbook.model import ActionTemplate, Playbook
from wps_run.playbook.shards import shard_of
from wps_run.playbook.steps import Step
from wps_run.problems import PlaybookError, Problem

Key = tuple[str, ...]
"""The hub in lower case, and the key of a lock."""


@dataclass(frozen=True, slots=True)
class PlanPart:
    """The actions of one playbook of a run.

    Attributes:
        playbook: The playbook, without problems.
        hub: What distinguishes its hub from others; its case does not matter.
        steps: Returns a new iterator over the playbook's steps at each call.
    """

    playbook: Playbook
    hub: str
    steps: Callable[[], Iterator[Step]]

    def key(self, lock: Lock) -> Key:
        """Return the key of a lock, distinct among all hubs."""
        return (self.hub.lower(), *lock.key)


@dataclass(frozen=True, slots=True)
class StepLock:
    """A step with the number of its shard, and one of its locks."""

    part: PlanPart
    step: Step
    shard: int
    key: Key
    lock: Lock

    @property
    def template(self) -> ActionTemplate:
        """The action of the playbook that the step was made from."""
        return self.part.playbook.actions[self.step.action_index]

    @property
    def name(self) -> str:
        """The action with its target, its label and the row it was made from."""
        step = self.step
        target = "".join(f" {name}={value!s}" for name, value in step.target.items())
        label = f" ({step.name})" if step.name else ""
        row = "" if step.item is None else f" from {step.source}"
        return f"`{step.action.name}{target}`{label}{row}"


_RUN_WITHOUT_SHARDS = (
    "Shards do not wait for each other; run the plan without --shard, or move one of the two to a "
    "playbook that runs after all shards"
)


@dataclass(frozen=True, slots=True)
class LockConflict:
    """Two steps of different shards whose order matters, because both lock one key."""

    first: StepLock
    second: StepLock

    def problem(self, remedy: str = _RUN_WITHOUT_SHARDS) -> Problem:
        """Return the problem to report, at the later action.

        Args:
            remedy: What follows from it, and what to do.
        """
        first, second = self.first, self.second
        action = first.template
        position = action.part.document.position((*action.path, "actionName"))
        return second.template.problem(
            f"{second.name} does not commute with {first.name}, which comes before it, at "
            f"{position}: {self._reason()}. {remedy}",
            "shard-order",
            "actionName",
        )

    def _reason(self) -> str:
        key, use, other = self.first.lock.key, self.first.lock.use, self.second.lock.use
        kind, name = key
        if key == HUB:
            hub = self.first.part.hub.rpartition("/")[2]
            return f"in the hub {hub}, such actions run in the playbook's order"
        if key == MEMBERSHIP:
            return "one changes group memberships, which the `filter` of the other may read"
        if use == other:
            return f"each `{use}` to one {kind}, here `{name}`, runs in the playbook's order"
        return f"`{use}` and `{other}` of one {kind}, here `{name}`, run in the playbook's order"


def require_commuting(parts: Sequence[PlanPart], count: int) -> None:
    """Refuse a plan whose actions must run in order although they are in different shards.

    Args:
        parts: The playbooks of the plan, in order.
        count: The number of shards.

    Raises:
        PlaybookError: Two actions do not commute; names the first two.
    """
    conflict = find_conflict(parts, count)
    if conflict:
        raise PlaybookError([conflict.problem()])


def find_conflict(
    parts: Sequence[PlanPart], count: int, hash_key: Callable[[Key], int] = hash
) -> LockConflict | None:
    """Find the first two actions of different shards that do not commute.

    Args:
        parts: The playbooks of the plan, in order.
        count: The number of shards.
        hash_key: The hash function for keys; 56 bits of its value are used.

    Returns:
        The conflict, or None when the shards may run in any order.
    """
    if _uses_are_uniform(parts):
        return None
    marks = HashMarks()
    codes: dict[str, int] = {}
    for current in _step_locks(parts, count):
        code = codes.setdefault(current.lock.use, len(codes) + 1)
        hashed = hash_key(current.key)
        mark, shard = marks.set_default(hashed, code, current.shard)
        if mark == 0:
            continue
        if shard == current.shard:
            if mark != code:
                marks.set(hashed, _SEVERAL_USES, shard)
        elif mark == code and current.lock.shared:
            marks.set(hashed, code, _SEVERAL_SHARDS)
        else:
            first = _first_conflicting(parts, count, current)
            if first:
                return LockConflict(first, current)
            marks.set(hashed, _AMBIGUOUS, _SEVERAL_SHARDS)
    return None


def _uses_are_uniform(parts: Sequence[PlanPart]) -> bool:
    """Check whether each kind of key is locked for one shared use only."""
    uses: dict[tuple[str, str], str] = {}
    for part in parts:
        for template in part.playbook.actions:
            for lock in locks_for(template.action)(template.values):
                hub, kind, _ = part.key(lock)
                if not lock.shared or uses.setdefault((hub, kind), lock.use) != lock.use:
                    return False
    return True


def _step_locks(parts: Iterable[PlanPart], count: int) -> Iterator[StepLock]:
    # A sequential plan's steps hold exclusive locks, so the locks are made from the actions.
    lock_functions = {name: locks_for(action) for name, action in ACTIONS.items()}
    for part in parts:
        for step in part.steps():
            shard = shard_of(step.action, step.values, count)
            for lock in lock_functions[step.action.name](step.values):
                yield StepLock(part, step, shard, part.key(lock), lock)


def _first_conflicting(parts: Sequence[PlanPart], count: int, current: StepLock) -> StepLock | None:
    """Find the first earlier step of another shard that cannot share the key of the current one."""
    locks = _step_locks(parts, count)
    for other in takewhile(lambda each: each.step.index < current.step.index, locks):
        is_shared = current.lock.shared and other.lock == current.lock
        if other.key == current.key and other.shard != current.shard and not is_shared:
            return other
    return None


_SEVERAL_USES = 254
"""The mark of a key that steps of one shard lock for different uses. No use has this code."""

_AMBIGUOUS = 255
"""The mark of a hash that several keys share. No use has this code."""

_SEVERAL_SHARDS = 0
"""In place of the number of a shard, which counts from 1."""

_MARK_MASK = 255


class HashMarks:
    """A hash table from 56-bit hashes to marks from 1 to 255 with a shard, in 12 bytes a slot."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._shards = array("I", bytes(4 * 1024))
        self._used = 0

    @property
    def size(self) -> int:
        """The size of the table in bytes."""
        return (self._slots.itemsize + self._shards.itemsize) * len(self._slots)

    def set_default(self, hashed: int, mark: int, shard: int) -> tuple[int, int]:
        """Set the mark and the shard of a hash unless it has them.

        Returns:
            The mark and the shard that it had before, or zeros.
        """
        if 3 * self._used >= 2 * len(self._slots):
            self._grow()
        slot = self._find(hashed)
        previous = self._slots[slot] & _MARK_MASK, self._shards[slot]
        if not previous[0]:
            self._set_slot(slot, hashed, mark, shard)
            self._used += 1
        return previous

    def set(self, hashed: int, mark: int, shard: int) -> None:
        """Set the mark and the shard of a hash that has some."""
        self._set_slot(self._find(hashed), hashed, mark, shard)

    def _set_slot(self, slot: int, hashed: int, mark: int, shard: int) -> None:
        self._slots[slot] = _tag(hashed) | mark
        self._shards[slot] = shard

    def _find(self, hashed: int) -> int:
        """Return the index of a hash's slot, or of the free slot to put it in."""
        slots, tag = self._slots, _tag(hashed)
        mask = len(slots) - 1
        index = (tag >> 8) & mask
        while slots[index] and slots[index] & ~_MARK_MASK != tag:
            index = (index + 1) & mask
        return index

    def _grow(self) -> None:
        marks, shards = self._slots, self._shards
        self._slots = array("Q", bytes(2 * marks.itemsize * len(marks)))
        self._shards = array("I", bytes(2 * shards.itemsize * len(shards)))
        for mark, shard in zip(marks, shards, strict=True):
            if mark:
                slot = self._find(mark >> 8)
                self._slots[slot], self._shards[slot] = mark, shard


def _tag(hashed: int) -> int:
    """Return the 56 low bits of a hash, shifted to leave 8 bits for the mark."""
    return (hashed << 8) & (2**64 - 1)
