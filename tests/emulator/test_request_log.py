"""The ledger keeps the last of what happened, in order, and counts what it dropped."""

from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import Close, DataType, Deliver, Message
from wps_run.emulator.request_log import ClientEvent, EventKind, RequestEntry, RequestLog


def exchange(path: str = "/", effect: Close | Deliver | None = None) -> RequestEntry:
    """A request."""
    return RequestEntry("POST", path, "SendToAll", "chat", 202, effect)


def numbers(ledger: RequestLog, after: int = 0) -> list[int]:
    """The numbers of what is kept."""
    return [entry.sequence for entry in ledger.entries(after)]


def test_entries_are_numbered_from_1() -> None:
    """Requests and clients' doings in one row, with what an assertion asks for."""
    ledger = RequestLog()
    ledger.add(1.5, exchange(effect=Close(("c1",), "late")), ("ada",))
    ledger.add(2.5, ClientEvent(EventKind.CONNECTED, "chat", "c2"))

    first, second = ledger.entries()

    assert (first.sequence, first.at, first.operation, first.status) == (1, 1.5, "SendToAll", 202)
    assert (first.hub, first.connections, first.users) == ("chat", ("c1",), ("ada",))
    assert (second.sequence, second.operation, second.status, second.connections) == (2, "", 0, ())


@given(limit=st.integers(1, 5), count=st.integers(0, 12), after=st.integers(0, 15))
def test_the_last_entries_are_kept(limit: int, count: int, after: int) -> None:
    """The others are counted; a reader goes on behind the last number it saw."""
    ledger = RequestLog(entries=limit)
    for _ in range(count):
        ledger.add(0, exchange())

    assert ledger.last == count
    assert ledger.dropped == max(0, count - limit)
    assert numbers(ledger, after) == [
        number for number in range(1, count + 1) if number > max(after, count - limit)
    ]


def test_large_entries_make_others_go() -> None:
    """What callers choose, and a long list of listeners, is counted; the newest stays."""
    message = Message(b"x" * 10_000, DataType.BINARY)
    wordy = Message(b"x", DataType.TEXT, metadata={f"m{n}": "v" * 1000 for n in range(10)})
    large = (
        exchange(effect=Deliver((), wordy)),
        exchange(effect=Deliver((), message)),
        exchange("/" * 10_000),
        RequestEntry("GET", "/", "", "", 404, query="q" * 10_000),
        RequestEntry("GET", "/", "", "", 404, request_id="r" * 10_000),
        ClientEvent(EventKind.REFUSED, "chat", detail="d" * 10_000),
        exchange(effect=Close((), "r" * 10_000)),
        exchange(effect=Close(tuple("c" for _ in range(1000)), "")),
    )
    for one in large:
        ledger = RequestLog(size=10_000)
        ledger.add(0, exchange())
        ledger.add(0, one)

        assert numbers(ledger) == [2]
        ledger.add(0, exchange())
        assert numbers(ledger) == [3]


def test_a_ledger_that_forgot_begins_anew() -> None:
    """With number 1, and room for everything."""
    ledger = RequestLog(entries=2)
    for _ in range(3):
        ledger.add(0, exchange())

    ledger.clear()
    ledger.add(0, exchange())

    assert (ledger.last, ledger.dropped, numbers(ledger)) == (1, 0, [1])
