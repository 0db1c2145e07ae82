"""The log of REST requests and client events, in memory for assertions and the dashboard.

Memory is bounded: the oldest entries are dropped and counted.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from wps_run.emulator.effects import Close, Effect

ENTRY_LIMIT = 100_000
"""The maximum number of entries."""

SIZE_LIMIT = 64 * 1024 * 1024
"""The approximate maximum size of all entries, in bytes."""

_ENTRY_BYTES = 1000
_CONNECTION_BYTES = 16


class EventKind(StrEnum):
    """The kind of a client event."""

    CONNECTED = "connected"
    DETACHED = "detached"
    DISCONNECTED = "disconnected"
    DISPATCHED = "dispatched"
    FAILED = "failed"
    JOINED = "joined"
    LEFT = "left"
    RECOVERED = "recovered"
    REFUSED = "refused"
    SENT = "sent"
    UNHANDLED = "unhandled"


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """One event of a WebSocket client.

    Attributes:
        hub: The hub's lower-case name; "" when the client named none.
        connection_id: The connection; "" for one that was refused.
        detail: The group, or the code and reason as text. Never a token.
        operation: What an event handler was called for: a system event or `userEvent`; else "".
        status: What the handler returned; 0 without a complete and valid answer, or a call.
        faults: The source texts of the faults applied to that call.
        reason: Why the connection has ended, as event handlers receive it.
    """

    kind: EventKind
    hub: str
    connection_id: str = ""
    user_id: str | None = None
    detail: str = ""
    effect: Effect | None = None
    operation: str = ""
    status: int = 0
    faults: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One REST request and its outcome.

    Attributes:
        path: The raw path, without the query.
        operation: The operation's name, or "" when the path has none.
        hub: The hub's lower-case name, or "" when the path names none.
        status: The status of the response, or 0 when no complete response was sent.
        query: The raw query, without its `?`.
        names: The names in the path after the hub, decoded.
        request_id: The caller's `x-ms-client-request-id`, or "".
        faults: The source texts of the faults applied to it.
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


@dataclass(frozen=True, slots=True, repr=False)
class LogEntry:
    """One entry of the request log.

    Attributes:
        sequence: Its number, from 1, without gaps.
        at: Its time, in seconds since the epoch.
        users: The users of the effect's connections, in their order.
    """

    sequence: int
    at: float
    what: RequestEntry | ClientEvent
    users: tuple[str | None, ...] = ()

    def __repr__(self) -> str:
        what = self.what
        if isinstance(what, RequestEntry):
            names = [what.operation or f"{what.method} {what.path}", *what.names]
            return f"<{' '.join(names)} in hub {what.hub}: {what.status}>"
        names = [what.kind, what.connection_id, *filter(None, [what.user_id])]
        return f"<{' '.join(names)} in hub {what.hub}: {what.detail}>"

    @property
    def operation(self) -> str:
        """The operation of a request, or of the call of an event handler; else ""."""
        return self.what.operation

    @property
    def status(self) -> int:
        """The status of a request, or of the call of an event handler; else 0."""
        return self.what.status

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the path of a request, such as the user and the group; else ()."""
        return self.what.names if isinstance(self.what, RequestEntry) else ()

    @property
    def hub(self) -> str:
        return self.what.hub

    @property
    def connections(self) -> tuple[str, ...]:
        return self.what.effect.connections if self.what.effect else ()


class RequestLog:
    """The newest entries, in order.

    Args:
        entries: The maximum number of entries.
        size: Their approximate maximum size in bytes; the newest remains at any size.

    Attributes:
        generation: How often the log was cleared.
    """

    def __init__(self, entries: int = ENTRY_LIMIT, size: int = SIZE_LIMIT) -> None:
        self._entry_limit, self._size_limit = entries, size
        self._entries: deque[LogEntry] = deque()
        self._size = 0
        self._last = 0
        self.generation = 0

    @property
    def last(self) -> int:
        """The number of the newest entry; 0 when there was none."""
        return self._last

    @property
    def dropped(self) -> int:
        return self._last - len(self._entries)

    def add(
        self, at: float, what: RequestEntry | ClientEvent, users: tuple[str | None, ...] = ()
    ) -> LogEntry:
        """Append an entry, with the arguments of `LogEntry`."""
        self._last += 1
        entry = LogEntry(self._last, at, what, users)
        self._entries.append(entry)
        self._size += _size_of(entry)
        while len(self._entries) > 1 and (
            len(self._entries) > self._entry_limit or self._size > self._size_limit
        ):
            self._size -= _size_of(self._entries.popleft())
        return entry

    def entries(self, after: int = 0) -> Iterator[LogEntry]:
        """Return the entries whose number is above `after`, oldest first."""
        return islice(self._entries, max(0, after - self.dropped), None)

    def newest_first(self) -> Iterator[LogEntry]:
        return reversed(self._entries)

    def clear(self) -> None:
        """Remove all entries and restart with number 1."""
        self.generation += 1
        self._entries.clear()
        self._size = self._last = 0


def _size_of(entry: LogEntry) -> int:
    """Estimate the size of an entry in bytes; everything that callers choose is counted."""
    what = entry.what
    if isinstance(what, RequestEntry):
        size = 2 * len(what.path) + len(what.query) + len(what.request_id)
    else:
        size = len(what.detail) + len(what.user_id or "")
    size += _ENTRY_BYTES
    effect = what.effect
    if effect is None:
        return size
    size += _CONNECTION_BYTES * len(effect.connections)
    if isinstance(effect, Close):
        return size + len(effect.reason)
    metadata = sum(len(name) + len(value) for name, value in effect.message.metadata.items())
    return size + len(effect.message.data) + metadata
