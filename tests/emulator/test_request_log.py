"""Tests of the request log."""

from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import Close, DataType, Deliver, Message
from wps_run.emulator.request_log import ClientEvent, EventKind, RequestEntry, RequestLog


def request(path: str = "/", effect: Close | Deliver | None = None) -> RequestEntry:
    """A request."""
    return RequestEntry("POST", path, "SendToAll", "chat", 202, effect)


def numbers(log: RequestLog, after: int = 0) -> list[int]:
    """The numbers of the entries."""
    return [entry.sequence for entry in log.entries(after)]


def test_entries_are_numbered_from_1() -> None:
    """Requests and client events are numbered together."""
    log = RequestLog()
    log.add(1.5, request(effect=Close(("c1",), "late")), ("ada",))
    log.add(2.5, ClientEvent(EventKind.CONNECTED, "chat", "c2"))

    first, second = log.entries()

    assert (first.sequence, first.at, first.operation, first.status) == (1, 1.5, "SendToAll", 202)
    assert (first.hub, first.connections, first.users) == ("chat", ("c1",), ("ada",))
    assert (second.sequence, second.operation, second.status, second.connections) == (2, "", 0, ())


@given(limit=st.integers(1, 5), count=st.integers(0, 12), after=st.integers(0, 15))
def test_the_newest_entries_are_kept(limit: int, count: int, after: int) -> None:
    """The others are counted; a reader continues after the last number it read."""
    log = RequestLog(entries=limit)
    for _ in range(count):
        log.add(0, request())

    assert log.last == count
    assert log.dropped == max(0, count - limit)
    assert numbers(log, after) == [
        number for number in range(1, count + 1) if number > max(after, count - limit)
    ]


def test_large_entries_displace_others() -> None:
    """Everything that callers choose counts; the newest entry stays."""
    message = Message(b"x" * 10_000, DataType.BINARY)
    with_metadata = Message(b"x", DataType.TEXT, metadata={f"m{n}": "v" * 1000 for n in range(10)})
    large = (
        request(effect=Deliver((), with_metadata)),
        request(effect=Deliver((), message)),
        request("/" * 10_000),
        RequestEntry("GET", "/", "", "", 404, query="q" * 10_000),
        RequestEntry("GET", "/", "", "", 404, request_id="r" * 10_000),
        ClientEvent(EventKind.REFUSED, "chat", detail="d" * 10_000),
        request(effect=Close((), "r" * 10_000)),
        request(effect=Close(tuple("c" for _ in range(1000)), "")),
    )
    for entry in large:
        log = RequestLog(size=10_000)
        log.add(0, request())
        log.add(0, entry)

        assert numbers(log) == [2]
        log.add(0, request())
        assert numbers(log) == [3]


def test_a_cleared_log_starts_with_number_1() -> None:
    """And with room for all entries."""
    log = RequestLog(entries=2)
    for _ in range(3):
        log.add(0, request())

    log.clear()
    log.add(0, request())

    assert (log.last, log.dropped, numbers(log)) == (1, 0, [1])
