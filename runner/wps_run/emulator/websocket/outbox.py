"""What a client is still to be given, or has not yet confirmed: numbers, replay, expiry, limits.

Source: the client protocol's reliability rules: messages are numbered from 1 on, a confirmation
covers all up to its number, and a recovered connection is given what it has not confirmed.
"""

from collections import deque
from dataclasses import dataclass

from wps_run.emulator.effects import Message


class FullError(Exception):
    """One more message would exceed the limits: the client is too slow."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept for one connection, and for how long.

    Attributes:
        messages: The most messages.
        size: The most bytes of payload.
        window: Seconds for which a reliable connection is kept after its socket was lost.
    """

    messages: int = 1000
    size: int = 16 * 1024 * 1024
    window: float = 30.0


_Entry = tuple[Message, float | None, int | None]
"""A message, when it expires (None: never), and its number once it was given."""

_NONE: deque[_Entry] = deque(maxlen=0)
"""Stands for an empty queue: most clients never need one of their own."""


class Outbox:
    """The messages of one connection, in order.

    Args:
        reliable: Whether messages are numbered and kept until they are confirmed.
        limits: How much is kept.
    """

    __slots__ = ("_given", "_limits", "_number", "_reliable", "_size", "_waiting")

    def __init__(self, limits: Limits, *, reliable: bool) -> None:
        self._limits = limits
        self._reliable = reliable
        self._number = 0
        self._size = 0
        self._given = _NONE
        self._waiting = _NONE

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._waiting)

    def put(self, message: Message, now: float) -> None:
        """Take a message in.

        Args:
            message: The message.
            now: Seconds on the clock that `take` is asked with.

        Raises:
            FullError: There is too much already; the message was not taken.
        """
        if not self._fits(message):
            self._drop_stale(now)
            if not self._fits(message):
                raise FullError
        if self._waiting is _NONE:
            self._waiting = deque()
        self._waiting.append((message, _expiry(message, now), None))
        self._size += len(message.data)

    def take(self, now: float) -> tuple[Message, int | None] | None:
        """The next message to give and its number; None when there is none.

        What has expired is passed over. Numbers are for reliable connections only.
        """
        while self._waiting:
            message, expires, number = self._waiting.popleft()
            self._size -= len(message.data)
            if expires is None or now < expires:
                return message, self._given_now(message, expires, number)
        return None

    def pass_by(self, message: Message, now: float) -> int | None:
        """Give a message at once, as `put` and `take` would while nothing waits.

        Returns:
            Its number, or None when the connection is not reliable.

        Raises:
            FullError: Too much was given and not confirmed; the message was not taken.
        """
        if not self._reliable:
            return None
        if not self._fits(message):
            raise FullError
        return self._given_now(message, _expiry(message, now), None)

    def acknowledge(self, number: int) -> None:
        """Forget what the client has: all up to a number."""
        for queue in (self._given, self._waiting):
            while queue and (queue[0][2] or number + 1) <= number:
                self._size -= len(queue.popleft()[0].data)

    def rewind(self) -> None:
        """Give once more what was given and not confirmed."""
        if self._given:
            self._given.extend(self._waiting)
            self._waiting, self._given = self._given, _NONE

    def _given_now(self, message: Message, expires: float | None, number: int | None) -> int | None:
        if not self._reliable:
            return None
        if number is None:
            number = self._number = self._number + 1
        if self._given is _NONE:
            self._given = deque()
        self._given.append((message, expires, number))
        self._size += len(message.data)
        return number

    def _fits(self, message: Message) -> bool:
        held = len(self._given) + len(self._waiting)
        return held < self._limits.messages and (
            self._size + len(message.data) <= self._limits.size
        )

    def _drop_stale(self, now: float) -> None:
        kept = deque(entry for entry in self._waiting if entry[1] is None or now < entry[1])
        self._size -= sum(len(message.data) for message, _, _ in self._waiting)
        self._size += sum(len(message.data) for message, _, _ in kept)
        self._waiting = kept


def _expiry(message: Message, now: float) -> float | None:
    return now + message.ttl if message.ttl else None
