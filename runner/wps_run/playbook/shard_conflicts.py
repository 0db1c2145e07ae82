"""Whether all actions of a plan commute, and if not, the first two that do not.

The rule is that of `mode: concurrent` (`actions.claims`), with nothing left to keep in order: no
key is claimed in two ways, and none twice for something that does not commute.

A plan in which each kind of key is claimed for one thing only, such as a million joins, is known
to commute from what is written. Else each key is remembered in 8 bytes, 12 to 24 with the room
that the table keeps free. A key is remembered by its hash; when two seem to meet, the plan is
read again to see whether they are the same, so that chance decides nothing.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from wps_run.actions.locks import HUB, MEMBERSHIP, Lock, locks_for
from wps_run.actions.table import ACTIONS
from wps_run.document.document import Path
from wps_run.playbook.model import Playbook
from wps_run.playbook.steps import Step
from wps_run.problems import PlaybookError, Problem


@dataclass(frozen=True, slots=True)
class Part:
    """The actions that one playbook of a run has for a hub.

    Attributes:
        playbook: The playbook, without problems.
        hub: The hub; its case does not matter.
        steps: Gives its steps from the first, anew at each call.
    """

    playbook: Playbook
    hub: str
    steps: Callable[[], Iterator[Step]]

    def key(self, claim: Lock) -> tuple[str, ...]:
        """What a claim of one of its actions is about, among all hubs."""
        return (self.hub.lower(), *claim.key)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A step and one of the things that it claims."""

    part: Part
    step: Step
    key: tuple[str, ...]
    claim: Lock

    @property
    def path(self) -> Path:
        """Where the name of its action is written."""
        return (*self.part.playbook.actions[self.step.written].path, "actionName")

    @property
    def name(self) -> str:
        """The action with its target, its label, and the row it was made from."""
        step = self.step
        target = "".join(f" {name}={value!s}" for name, value in step.target.items())
        label = f" ({step.name})" if step.name else ""
        row = "" if step.item is None else f" from {step.source}"
        return f"`{step.action.name}{target}`{label}{row}"


@dataclass(frozen=True, slots=True)
class Clash:
    """Two steps whose order matters, since both claim one key."""

    first: Claimed
    second: Claimed

    def problem(self) -> Problem:
        """The clash as what is wrong with the plan, at the later action."""
        one, other = self.first, self.second
        place = one.part.playbook.document.position(one.path)
        return other.part.playbook.document.problem(
            f"{other.name} does not commute with {one.name}, which comes before it, at {place}: "
            f"{self._reason()}. Shards keep no order between them; run the plan without --shard, "
            "or put one of the two into a playbook that is run when all shards are done",
            "shard-order",
            other.path,
        )

    def _reason(self) -> str:
        use, other = self.first.claim.use, self.second.claim.use
        what, name = self.first.claim.key
        if self.first.claim.key == HUB:
            return f"in the hub {self.first.part.hub}, such actions keep their written order"
        if self.first.claim.key == MEMBERSHIP:
            return "one changes who is in which group, which the `filter` of the other may ask"
        if use == other:
            return f"what is a `{use}` to one {what}, here `{name}`, keeps its written order"
        return f"`{use}` and `{other}` of one {what}, here `{name}`, keep their written order"


def require_commuting(parts: Sequence[Part]) -> None:
    """Refuse a plan whose actions must keep an order.

    Raises:
        PlaybookError: They must; tells the first two of them.
    """
    clash = first_clash(parts)
    if clash:
        raise PlaybookError([clash.problem()])


def first_clash(
    parts: Sequence[Part], hashed: Callable[[tuple[str, ...]], int] = hash
) -> Clash | None:
    """The first two actions of a plan that do not commute, or None when all do.

    Args:
        parts: The playbooks of the plan, in order. Read once, or not at all, when all commute.
        hashed: Gives a number for a key, of which 56 bits count. Few keys should share one.
    """
    return None if _is_plain(parts) else _clash(parts, hashed)


def _is_plain(parts: Sequence[Part]) -> bool:
    """Whether each kind of key is claimed for one thing only, and that is shared."""
    uses: dict[tuple[str, str], str] = {}
    for part in parts:
        for written in part.playbook.actions:
            for claim in locks_for(written.action)(written.values):
                hub, what, _ = part.key(claim)
                if not claim.shared or uses.setdefault((hub, what), claim.use) != claim.use:
                    return False
    return True


def _clash(parts: Sequence[Part], hashed: Callable[[tuple[str, ...]], int]) -> Clash | None:
    marks = Marks()
    codes: dict[str, int] = {}
    for one in _all_claimed(parts):
        code = codes.setdefault(one.claim.use, len(codes) + 1)
        number = hashed(one.key)
        before = marks.mark(number, code)
        if before == 0 or (before == code and one.claim.shared):
            continue
        first = _earlier(parts, one)
        if first:
            return Clash(first, one)
        marks.blur(number)
    return None


def _all_claimed(parts: Iterable[Part]) -> Iterator[Claimed]:
    claims = {name: locks_for(action) for name, action in ACTIONS.items()}
    for part in parts:
        for step in part.steps():
            for claim in claims[step.action.name](step.values):
                yield Claimed(part, step, part.key(claim), claim)


def _earlier(parts: Sequence[Part], later: Claimed) -> Claimed | None:
    """The first one before it that claims its key in a way that does not go together."""
    before = takewhile(lambda one: one.step.index < later.step.index, _all_claimed(parts))
    for one in before:
        if one.key == later.key and not (later.claim.shared and one.claim == later.claim):
            return one
    return None


BLURRED = 255
"""The mark of a hash that stands for several keys; it is like no other."""


class Marks:
    """A mark, 1 to 254, for each of many hashes, in a table of 8 bytes a slot."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._used = 0

    @property
    def size(self) -> int:
        """Bytes of the table."""
        return self._slots.itemsize * len(self._slots)

    def mark(self, key: int, mark: int) -> int:
        """Set the mark of a hash, unless it has one.

        Returns:
            The one it had; 0 for none.
        """
        if 3 * self._used >= 2 * len(self._slots):
            self._grow()
        place = self._place(key)
        before = self._slots[place] & BLURRED
        if not before:
            self._slots[place] = _tag(key) | mark
            self._used += 1
        return before

    def blur(self, key: int) -> None:
        """Note that a hash which has a mark stands for several keys."""
        self._slots[self._place(key)] |= BLURRED

    def _place(self, key: int) -> int:
        """The slot of a hash, or the free one where it belongs."""
        slots, tag = self._slots, _tag(key)
        last = len(slots) - 1
        place = (tag >> 8) & last
        while slots[place] and slots[place] & ~BLURRED != tag:
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        before = self._slots
        self._slots = array("Q", bytes(16 * len(before)))
        for slot in before:
            if slot:
                self._slots[self._place(slot >> 8)] = slot


def _tag(key: int) -> int:
    """The 56 bits of a hash that are kept, with room for the mark."""
    return (key << 8) & (2**64 - 1)
