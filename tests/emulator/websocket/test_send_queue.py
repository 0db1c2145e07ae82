"""Numbers, confirmations, replay, expiry and limits of one connection's messages."""

from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.websocket.send_queue import ClientLimits, QueueFullError, SendQueue

SMALL = ClientLimits(max_messages=8, max_bytes=40)


def message(data: bytes = b"x", ttl: int = 0) -> Message:
    return Message(data, DataType.TEXT, ttl=ttl)


def test_the_limits_are_the_services() -> None:
    """1000 messages or 16 MB, for 30 seconds."""
    assert ClientLimits() == ClientLimits(
        max_messages=1000, max_bytes=16 * 1024 * 1024, recovery_seconds=30.0
    )


def test_exactly_the_limits_are_kept() -> None:
    """The message that would exceed one of them is not taken; a confirmation makes room."""
    queue = SendQueue(ClientLimits(max_messages=2, max_bytes=10), is_reliable=True)
    queue.put(message(b"12345"), 0)
    queue.put(message(b"12345"), 0)
    with pytest.raises(QueueFullError):
        queue.put(message(b""), 0)
    assert [queue.take(0), queue.take(0), queue.take(0)] == [
        (message(b"12345"), 1),
        (message(b"12345"), 2),
        None,
    ]
    queue.acknowledge(1)
    with pytest.raises(QueueFullError):
        queue.put(message(b"123456"), 0)
    queue.put(message(b"12345"), 0)


def test_what_expired_makes_room() -> None:
    """It is dropped before a message is refused, and never before it has to be."""
    queue = SendQueue(ClientLimits(max_messages=1), is_reliable=False)
    queue.put(message(b"short", ttl=2), now=10.0)
    with pytest.raises(QueueFullError):
        queue.put(message(), now=11.9)
    queue.put(message(b"next"), now=12.0)

    assert queue.take(12.0) == (message(b"next"), None)


def test_what_has_expired_is_not_replayed() -> None:
    """Although it was given once; its number is not given to another."""
    queue = SendQueue(ClientLimits(), is_reliable=True)
    queue.put(message(b"short", ttl=2), now=0.0)
    queue.put(message(b"long"), now=0.0)
    assert [queue.take(1.9), queue.take(1.9)] == [
        (message(b"short", ttl=2), 1),
        (message(b"long"), 2),
    ]
    queue.rewind()

    assert [queue.take(2.0), queue.take(2.0)] == [(message(b"long"), 2), None]


def test_unknown_numbers_confirm_nothing_that_was_not_given() -> None:
    """A client that confirms the future still gets it."""
    queue = SendQueue(ClientLimits(), is_reliable=True)
    queue.put(message(b"a"), 0)
    queue.acknowledge(2**64 - 1)

    assert queue.take(0) == (message(b"a"), 1)


@dataclass
class Kept:
    """What the model knows of a message: its time, its number, and whether it is due."""

    message: Message
    until: float
    number: int | None = None
    is_due: bool = True


@dataclass
class Model:
    """An queue written down naively: one list of all that is neither confirmed nor expired."""

    kept: list[Kept] = field(default_factory=list)
    number: int = 0

    def fits(self, one: Message) -> bool:
        """Whether there is room for one more."""
        size = sum(len(entry.message.data) for entry in self.kept)
        return len(self.kept) < SMALL.max_messages and size + len(one.data) <= SMALL.max_bytes


class ReplayMachine(RuleBasedStateMachine):
    """A reliable queue and its model, given, confirmed, cut off and recovered at random."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = SendQueue(SMALL, is_reliable=True)
        self.model = Model()
        self.now = 0.0
        self.is_attached = True

    @rule(data=st.binary(max_size=12), ttl=st.sampled_from([0, 0, 1, 3]))
    def put(self, data: bytes, ttl: int) -> None:
        """A message comes; what waits and has expired gives way only when there is no room."""
        one = message(data, ttl)
        if not self.model.fits(one):
            self.model.kept = [
                entry for entry in self.model.kept if not entry.is_due or entry.until > self.now
            ]
        fits = self.model.fits(one)
        try:
            self.queue.put(one, self.now)
        except QueueFullError:
            assert not fits
            return
        assert fits
        self.model.kept.append(Kept(one, self.now + ttl if ttl else float("inf")))

    @precondition(lambda self: self.is_attached)
    @rule(most=st.integers(0, 4))
    def give(self, most: int) -> None:
        """The client reads a few: in order, numbered without gaps, none that has expired."""
        for _ in range(most):
            due = [entry for entry in self.model.kept if entry.is_due]
            while due and due[0].until <= self.now:
                self.model.kept.remove(due.pop(0))
            taken = self.queue.take(self.now)
            if not due:
                assert taken is None
                return
            if due[0].number is None:
                self.model.number += 1
                due[0].number = self.model.number
            due[0].is_due = False
            assert taken == (due[0].message, due[0].number)

    @rule(number=st.integers(0, 12))
    def acknowledge(self, number: int) -> None:
        """The client confirms: all given up to a number, be it given again or not."""
        self.queue.acknowledge(number)
        self.model.kept = [
            entry for entry in self.model.kept if entry.number is None or entry.number > number
        ]

    @rule()
    def lose(self) -> None:
        """The socket is gone; messages go on coming."""
        self.is_attached = False

    @rule()
    def recover(self) -> None:
        """The client is back, or takes over: whatever it has not confirmed is due again."""
        self.is_attached = True
        self.queue.rewind()
        for entry in self.model.kept:
            entry.is_due = True

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def waits_alike(self) -> None:
        """There is something to take if the model says so."""
        assert self.queue.has_pending == any(entry.is_due for entry in self.model.kept)


TestReplayMachine = ReplayMachine.TestCase


def test_passing_by_is_as_good_as_going_through() -> None:
    """A message that is given at once has the same number, limits and replay."""
    through, by = (SendQueue(ClientLimits(max_messages=2), is_reliable=True) for _ in range(2))
    for data in (b"a", b"b"):
        through.put(message(data), 0)
        assert (message(data), by.record_sent(message(data), 0)) == through.take(0)
    with pytest.raises(QueueFullError):
        by.record_sent(message(b"c"), 0)
    by.rewind()
    through.rewind()

    assert [by.take(0) for _ in range(3)] == [through.take(0) for _ in range(3)]
    assert (
        SendQueue(ClientLimits(max_messages=0), is_reliable=False).record_sent(message(), 0) is None
    )
