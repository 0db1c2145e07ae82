"""Messages that one client has not received or not acknowledged: numbering, replay, expiry, limits.

Source: the client protocol's reliability rules. Messages are numbered from 1, an acknowledgment
covers all up to its number, and a recovered connection is sent again what is unacknowledged.
"""

from collections import deque
from dataclasses import dataclass

from wps_run.emulator.effects import Message, QueuedMessage


class QueueFullError(Exception):
    """One more message would exceed the limits: the client is too slow."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How much is stored for one client, and for how long.

    Attributes:
        max_messages: The most messages.
        max_bytes: The most bytes of payload.
        recovery_seconds: How long a reliable connection remains after its WebSocket was lost.
    """

    max_messages: int = 1000
    max_bytes: int = 16 * 1024 * 1024
    recovery_seconds: float = 30.0


_EMPTY: deque[QueuedMessage] = deque(maxlen=0)
"""Shared by all empty queues: most clients never need one of their own."""


class SendQueue:
    """The messages of one client, in order.

    Args:
        is_reliable: Whether messages are numbered and stored until they are acknowledged.
    """

    __slots__ = ("_is_reliable", "_limits", "_number", "_pending", "_size", "_unacknowledged")

    def __init__(self, limits: ClientLimits, *, is_reliable: bool) -> None:
        self._limits = limits
        self._is_reliable = is_reliable
        self._number = 0
        self._size = 0
        self._unacknowledged = _EMPTY
        self._pending = _EMPTY

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def put(self, message: Message, now: float) -> None:
        """Add a message to send later; `now` is on the clock of `take`, in seconds.

        Raises:
            QueueFullError: The limits are reached; the message was not added.
        """
        if not self._fits(message):
            self._drop_expired(now)
            if not self._fits(message):
                raise QueueFullError
        if self._pending is _EMPTY:
            self._pending = deque()
        self._pending.append(QueuedMessage(message, _expires_at(message, now)))
        self._size += len(message.data)

    def take(self, now: float) -> tuple[Message, int | None] | None:
        """Return the next unexpired message to send and its sequence number; None if none is left.

        The number is None when the connection is not reliable.
        """
        while self._pending:
            queued = self._pending.popleft()
            self._size -= len(queued.message.data)
            if queued.expires_at is None or now < queued.expires_at:
                if self._is_reliable:
                    if queued.number is None:
                        self._number += 1
                        queued = queued._replace(number=self._number)
                    self._store_sent(queued)
                return queued.message, queued.number
        return None

    def record_sent(
        self, message: Message, now: float, previous: QueuedMessage | None = None
    ) -> QueuedMessage | None:
        """Record a message that is sent at once, as `put` and `take` would if none is pending.

        What another client's queue recorded, `previous`, is stored again if it is the same: many
        clients that acknowledge nothing need little memory.

        Returns:
            What was recorded; None when too much is unacknowledged: nothing was recorded.
        """
        limits, size = self._limits, self._size + len(message.data)
        if len(self._unacknowledged) >= limits.max_messages or size > limits.max_bytes:
            return None
        number = self._number + 1
        if previous is None or previous.number != number or previous.message is not message:
            previous = QueuedMessage(message, _expires_at(message, now), number)
        if self._unacknowledged is _EMPTY:
            self._unacknowledged = deque()
        self._unacknowledged.append(previous)
        self._number, self._size = number, size
        return previous

    def acknowledge(self, number: int) -> None:
        """Remove the messages that were sent with numbers up to this one."""
        for queue in (self._unacknowledged, self._pending):
            while queue and (queue[0].number or number + 1) <= number:
                self._size -= len(queue.popleft().message.data)

    def rewind(self) -> None:
        """Make the unacknowledged messages pending again."""
        if self._unacknowledged:
            self._unacknowledged.extend(self._pending)
            self._pending, self._unacknowledged = self._unacknowledged, _EMPTY

    def _store_sent(self, sent: QueuedMessage) -> None:
        if self._unacknowledged is _EMPTY:
            self._unacknowledged = deque()
        self._unacknowledged.append(sent)
        self._size += len(sent.message.data)

    def _fits(self, message: Message) -> bool:
        count = len(self._unacknowledged) + len(self._pending)
        return count < self._limits.max_messages and (
            self._size + len(message.data) <= self._limits.max_bytes
        )

    def _drop_expired(self, now: float) -> None:
        unexpired = deque[QueuedMessage]()
        for queued in self._pending:
            if queued.expires_at is None or now < queued.expires_at:
                unexpired.append(queued)
            else:
                self._size -= len(queued.message.data)
        self._pending = unexpired


def _expires_at(message: Message, now: float) -> float | None:
    return now + message.ttl if message.ttl else None
