"""Numbering, acknowledgment, replay, expiry and limits of one client's messages."""

from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wps_run.emulator.effects import DataType, Message, QueuedMessage
from wps_run.emulator.websocket.send_queue import ClientLimits, QueueFullError, SendQueue

SMALL = ClientLimits(max_messages=8, max_bytes=40)


def message(data: bytes = b"x", ttl: int = 0) -> Message:
    return Message(data, DataType.TEXT, ttl=ttl)


def test_the_limits_are_the_services() -> None:
    """1000 messages or 16 MB, for 30 seconds."""
    assert ClientLimits() == ClientLimits(
        max_messages=1000, max_bytes=16 * 1024 * 1024, recovery_seconds=30.0
    )


def test_the_limits_are_exact() -> None:
    """A message that would exceed one is refused; an acknowledgment frees space."""
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


def test_expired_messages_free_space() -> None:
    """They are dropped only when a message would be refused."""
    queue = SendQueue(ClientLimits(max_messages=1), is_reliable=False)
    queue.put(message(b"short", ttl=2), now=10.0)
    with pytest.raises(QueueFullError):
        queue.put(message(), now=11.9)
    queue.put(message(b"next"), now=12.0)

    assert queue.take(12.0) == (message(b"next"), None)


def test_expired_messages_are_not_replayed() -> None:
    """Although they were sent once; their numbers are not reused."""
    queue = SendQueue(ClientLimits(), is_reliable=True)
    queue.put(message(b"short", ttl=2), now=0.0)
    queue.put(message(b"long"), now=0.0)
    assert [queue.take(1.9), queue.take(1.9)] == [
        (message(b"short", ttl=2), 1),
        (message(b"long"), 2),
    ]
    queue.rewind()

    assert [queue.take(2.0), queue.take(2.0)] == [(message(b"long"), 2), None]


def test_unknown_numbers_acknowledge_nothing() -> None:
    """A message that was not sent yet cannot be acknowledged."""
    queue = SendQueue(ClientLimits(), is_reliable=True)
    queue.put(message(b"a"), 0)
    queue.acknowledge(2**64 - 1)

    assert queue.take(0) == (message(b"a"), 1)


@dataclass
class Entry:
    """A message in the model: its expiry, its number, and whether it is pending."""

    message: Message
    expiry: float
    number: int | None = None
    is_pending: bool = True


@dataclass
class Model:
    """A naive queue: one list of all messages that are neither acknowledged nor expired."""

    entries: list[Entry] = field(default_factory=list)
    number: int = 0

    def fits(self, message: Message) -> bool:
        """Whether one more message is within the limits."""
        size = sum(len(entry.message.data) for entry in self.entries)
        return (
            len(self.entries) < SMALL.max_messages and size + len(message.data) <= SMALL.max_bytes
        )


class QueueMachine(RuleBasedStateMachine):
    """A reliable queue and its model: sent, acknowledged, detached and recovered at random."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = SendQueue(SMALL, is_reliable=True)
        self.model = Model()
        self.now = 0.0
        self.is_attached = True

    @rule(data=st.binary(max_size=12), ttl=st.sampled_from([0, 0, 1, 3]))
    def put(self, data: bytes, ttl: int) -> None:
        """Add a message; expired ones are dropped only when it does not fit."""
        added = message(data, ttl)
        if not self.model.fits(added):
            self.model.entries = [
                entry
                for entry in self.model.entries
                if not entry.is_pending or entry.expiry > self.now
            ]
        fits = self.model.fits(added)
        try:
            self.queue.put(added, self.now)
        except QueueFullError:
            assert not fits
            return
        assert fits
        self.model.entries.append(Entry(added, self.now + ttl if ttl else float("inf")))

    @precondition(lambda self: self.is_attached)
    @rule(count=st.integers(0, 4))
    def take(self, count: int) -> None:
        """Send a few: in order, numbered without gaps, none that has expired."""
        for _ in range(count):
            pending = [entry for entry in self.model.entries if entry.is_pending]
            while pending and pending[0].expiry <= self.now:
                self.model.entries.remove(pending.pop(0))
            taken = self.queue.take(self.now)
            if not pending:
                assert taken is None
                return
            if pending[0].number is None:
                self.model.number += 1
                pending[0].number = self.model.number
            pending[0].is_pending = False
            assert taken == (pending[0].message, pending[0].number)

    @rule(number=st.integers(0, 12))
    def acknowledge(self, number: int) -> None:
        """Acknowledge all messages up to a number, whether sent again or not."""
        self.queue.acknowledge(number)
        self.model.entries = [
            entry for entry in self.model.entries if entry.number is None or entry.number > number
        ]

    @rule()
    def detach(self) -> None:
        """The WebSocket is lost; more messages are added."""
        self.is_attached = False

    @rule()
    def recover(self) -> None:
        """The client recovers, or takes over: unacknowledged messages are pending again."""
        self.is_attached = True
        self.queue.rewind()
        for entry in self.model.entries:
            entry.is_pending = True

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def pending_agrees(self) -> None:
        """Both have pending messages, or none."""
        assert self.queue.has_pending == any(entry.is_pending for entry in self.model.entries)


TestQueueMachine = QueueMachine.TestCase


def test_recording_is_the_same_as_adding_and_taking() -> None:
    """A message that is sent at once has the same number, limits and replay."""
    queued, direct = (SendQueue(ClientLimits(max_messages=2), is_reliable=True) for _ in range(2))
    for data in (b"a", b"b"):
        queued.put(message(data), 0)
        sent = direct.record_sent(message(data), 0)
        assert sent is not None
        assert (sent.message, sent.number) == queued.take(0)
    assert direct.record_sent(message(b"c"), 0) is None
    direct.rewind()
    queued.rewind()

    assert [direct.take(0) for _ in range(3)] == [queued.take(0) for _ in range(3)]


def test_clients_that_number_a_message_alike_share_what_is_recorded() -> None:
    """Whoever has another number, or another message, records its own."""
    first, second, third = (SendQueue(ClientLimits(), is_reliable=True) for _ in range(3))
    third.record_sent(message(), 0)
    hello = message(b"hello", ttl=2)

    sent = first.record_sent(hello, 10.0)

    assert sent == QueuedMessage(hello, 12.0, 1)
    assert second.record_sent(hello, 10.0, sent) is sent
    assert third.record_sent(hello, 10.0, sent) == QueuedMessage(hello, 12.0, 2)
    assert second.record_sent(message(b"other"), 10.0, sent) == QueuedMessage(
        message(b"other"), None, 2
    )
