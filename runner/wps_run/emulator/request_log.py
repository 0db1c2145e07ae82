"""What clients do, as values for whoever keeps an account of it.

What the service was asked and what came of it, kept to be asserted on. No I/O, no clock.

Memory is bounded: the oldest entries make room for new ones, and are counted.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from wps_run.emulator.effects import Close, Effect


class EventKind(StrEnum):
    """What happened to a client, or was done by it."""

    CONNECTED = "connected"
    DETACHED = "detached"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    JOINED = "joined"
    LEFT = "left"
    RECOVERED = "recovered"
    REFUSED = "refused"
    SENT = "sent"
    UNHANDLED = "unhandled"


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """One thing that a client did, or that happened to it.

    Attributes:
        kind: What.
        hub: The hub's lower-case name; "" when the client named none.
        connection_id: Which connection; "" for one that never came to be.
        user_id: Whose it is, or None.
        detail: The group, or the code and reason in words. Never a token.
        effect: What other clients noticed of it, or None.
    """

    kind: EventKind
    hub: str
    connection_id: str = ""
    user_id: str | None = None
    detail: str = ""
    effect: Effect | None = None


ENTRY_LIMIT = 100_000
"""The most entries kept."""

SIZE_LIMIT = 64 * 1024 * 1024
"""About how many bytes the entries kept may take."""

_ENTRY_BYTES = 1000
_CONNECTION_BYTES = 16


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One request and what came of it.

    Attributes:
        method: The HTTP method.
        path: The raw path, without the query.
        operation: The operation's name, or "" when there is none at this path.
        hub: The hub's lower-case name, or "" when the path names none.
        status: The status it was answered with, or 0 when no whole answer was given.
        effect: What clients noticed of it, or None.
        query: The raw query, without its `?`.
        names: The names in the path after the hub, decoded.
        request_id: The caller's `x-ms-client-request-id`, or "".
        faults: The faults that struck it, as they were written.
    """

    method: str
    path: str
    operation: str
    hub: str
    status: int
    effect: Effect | None = None
    query: str = ""
    names: tuple[str, ...] = ()
    request_id: str = ""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the ledger.

    Attributes:
        sequence: Its number, from 1, without gaps.
        at: When, in seconds since the epoch.
        what: The request, or what a client did.
        users: Whose the connections of the effect were, in their order.
    """

    sequence: int
    at: float
    what: RequestEntry | ClientEvent
    users: tuple[str | None, ...] = ()

    @property
    def operation(self) -> str:
        """The operation of a request; "" for what a client did."""
        return self.what.operation if isinstance(self.what, RequestEntry) else ""

    @property
    def status(self) -> int:
        """The status of a request; 0 for what a client did, too."""
        return self.what.status if isinstance(self.what, RequestEntry) else 0

    @property
    def hub(self) -> str:
        """The hub's lower-case name, or ""."""
        return self.what.hub

    @property
    def connections(self) -> tuple[str, ...]:
        """Who noticed it: the connections that it reached or closed."""
        return self.what.effect.connections if self.what.effect else ()


class RequestLog:
    """The last entries, in order.

    Args:
        entries: The most that are kept.
        size: About how many bytes they may take; the newest is kept, whatever it takes.
    """

    def __init__(self, entries: int = ENTRY_LIMIT, size: int = SIZE_LIMIT) -> None:
        self._limit, self._size = entries, size
        self._kept: deque[LogEntry] = deque()
        self._weight = 0
        self._last = 0
        self.generation = 0
        """How often it was begun anew."""

    @property
    def last(self) -> int:
        """The number of the newest entry; 0 when there was none."""
        return self._last

    @property
    def dropped(self) -> int:
        """How many entries have made room for others."""
        return self._last - len(self._kept)

    def add(
        self, at: float, what: RequestEntry | ClientEvent, users: tuple[str | None, ...] = ()
    ) -> LogEntry:
        """Note a request, or what a client did.

        Args:
            at: Now, in seconds since the epoch.
            what: It.
            users: Whose the connections of its effect are, in their order.
        """
        self._last += 1
        entry = LogEntry(self._last, at, what, users)
        self._kept.append(entry)
        self._weight += _weight(entry)
        while len(self._kept) > 1 and (len(self._kept) > self._limit or self._weight > self._size):
            self._weight -= _weight(self._kept.popleft())
        return entry

    def entries(self, after: int = 0) -> Iterator[LogEntry]:
        """The entries kept whose number is above `after`."""
        return islice(self._kept, max(0, after - self.dropped), None)

    def newest_first(self) -> Iterator[LogEntry]:
        """The entries kept, the newest first."""
        return reversed(self._kept)

    def clear(self) -> None:
        """Begin anew, with number 1."""
        self.generation += 1
        self._kept.clear()
        self._weight = self._last = 0


def _weight(entry: LogEntry) -> int:
    """About how many bytes an entry takes; of what callers choose, all is counted."""
    what = entry.what
    if isinstance(what, RequestEntry):
        chosen = 2 * len(what.path) + len(what.query) + len(what.request_id)
    else:
        chosen = len(what.detail) + len(what.user_id or "")
    weight = _ENTRY_BYTES + chosen
    effect = what.effect
    if effect is None:
        return weight
    weight += _CONNECTION_BYTES * len(effect.connections)
    if isinstance(effect, Close):
        return weight + len(effect.reason)
    metadata = sum(len(name) + len(value) for name, value in effect.message.metadata.items())
    return weight + len(effect.message.data) + metadata
