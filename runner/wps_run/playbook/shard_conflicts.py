"""Check that the actions of a plan commute, so that shards may run them in any order.

The rule is that of `mode: concurrent` (`actions.locks`), but nothing is left to keep in order: no
key may be locked for two uses, and none twice for a use that is not shared.

When each kind of key is locked for one shared use only, as in a million joins, the playbooks alone
decide. Otherwise every key is stored, in 12 to 24 bytes each. Keys are stored as hashes; when two
keys have the same hash, the plan is read again to compare them, so the answer is always exact.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from wps_run.actions.locks import HUB, MEMBERSHIP, Lock, locks_for
from wps_run.actions.table import ACTIONS
from wps_run.playbook.model import ActionTemplate, Playbook
from wps_run.playbook.steps import Step
from wps_run.problems import PlaybookError, Problem

Key = tuple[str, ...]
"""The hub in lower case, and the key of a lock."""


@dataclass(frozen=True, slots=True)
class PlanPart:
    """The actions of one playbook of a run.

    Attributes:
        playbook: The playbook, without problems.
        hub: What tells its hub from others; its case does not matter.
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
    """A step and one of its locks."""

    part: PlanPart
    step: Step
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


@dataclass(frozen=True, slots=True)
class LockConflict:
    """Two steps whose order matters, because both lock one key."""

    first: StepLock
    second: StepLock

    def problem(self) -> Problem:
        """Return the problem to report, at the later action."""
        first, second = self.first, self.second
        action = first.template
        position = action.part.document.position((*action.path, "actionName"))
        return second.template.problem(
            f"{second.name} does not commute with {first.name}, which comes before it, at "
            f"{position}: {self._reason()}. Shards do not wait for each other; run the plan "
            "without --shard, or move one of the two to a playbook that runs after all shards",
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


def require_commuting(parts: Sequence[PlanPart]) -> None:
    """Refuse a plan whose actions must run in order.

    Raises:
        PlaybookError: Two actions do not commute; names the first two.
    """
    conflict = find_conflict(parts)
    if conflict:
        raise PlaybookError([conflict.problem()])


def find_conflict(
    parts: Sequence[PlanPart], hash_key: Callable[[Key], int] = hash
) -> LockConflict | None:
    """Find the first two actions of a plan that do not commute.

    Args:
        parts: The playbooks of the plan, in order.
        hash_key: The hash function for keys; 56 bits of its value are used.

    Returns:
        The conflict, or None when all actions commute.
    """
    if _uses_are_uniform(parts):
        return None
    marks = HashMarks()
    codes: dict[str, int] = {}
    for current in _step_locks(parts):
        code = codes.setdefault(current.lock.use, len(codes) + 1)
        hashed = hash_key(current.key)
        previous = marks.set_default(hashed, code)
        if previous == 0 or (previous == code and current.lock.shared):
            continue
        first = _first_conflicting(parts, current)
        if first:
            return LockConflict(first, current)
        marks.set_ambiguous(hashed)
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


def _step_locks(parts: Iterable[PlanPart]) -> Iterator[StepLock]:
    # A sequential plan's steps hold exclusive locks, so the locks are made from the actions.
    lock_functions = {name: locks_for(action) for name, action in ACTIONS.items()}
    for part in parts:
        for step in part.steps():
            for lock in lock_functions[step.action.name](step.values):
                yield StepLock(part, step, part.key(lock), lock)


def _first_conflicting(parts: Sequence[PlanPart], current: StepLock) -> StepLock | None:
    """Find the first earlier step that cannot share the key of the current one."""
    earlier = takewhile(lambda other: other.step.index < current.step.index, _step_locks(parts))
    for other in earlier:
        if other.key == current.key and not (current.lock.shared and other.lock == current.lock):
            return other
    return None


AMBIGUOUS = 255
"""The mark of a hash that several keys share. No use has this code."""


class HashMarks:
    """A hash table from 56-bit hashes to marks from 1 to 254, in 8 bytes a slot."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._used = 0

    @property
    def size(self) -> int:
        """The size of the table in bytes."""
        return self._slots.itemsize * len(self._slots)

    def set_default(self, hashed: int, mark: int) -> int:
        """Set the mark of a hash unless it has one.

        Returns:
            The mark that it had before, or 0.
        """
        if 3 * self._used >= 2 * len(self._slots):
            self._grow()
        slot = self._find(hashed)
        previous = self._slots[slot] & AMBIGUOUS
        if not previous:
            self._slots[slot] = _tag(hashed) | mark
            self._used += 1
        return previous

    def set_ambiguous(self, hashed: int) -> None:
        """Record that several keys have this hash."""
        self._slots[self._find(hashed)] |= AMBIGUOUS

    def _find(self, hashed: int) -> int:
        """Return the index of a hash's slot, or of the free slot to put it in."""
        slots, tag = self._slots, _tag(hashed)
        mask = len(slots) - 1
        index = (tag >> 8) & mask
        while slots[index] and slots[index] & ~AMBIGUOUS != tag:
            index = (index + 1) & mask
        return index

    def _grow(self) -> None:
        previous = self._slots
        self._slots = array("Q", bytes(16 * len(previous)))
        for slot in previous:
            if slot:
                self._slots[self._find(slot >> 8)] = slot


def _tag(hashed: int) -> int:
    """Return the 56 low bits of a hash, shifted to leave 8 bits for the mark."""
    return (hashed << 8) & (2**64 - 1)
