"""What happens, in short."""

import pytest

from wps_run.emulator.dashboard.traffic import LOOKED_AT, ROWS, SHOWN, traffic
from wps_run.emulator.dashboard.view import DashboardView, Traffic
from wps_run.emulator.effects import Close, DataType, Deliver, Message
from wps_run.emulator.request_log import ClientEvent, EventKind, RequestEntry, RequestLog

SENT = Deliver(("c1", "c2"), Message(b"hello", DataType.TEXT, group="red"))


@pytest.fixture
def ledger() -> RequestLog:
    """Six entries of several kinds."""
    kept = RequestLog()
    send = RequestEntry("POST", "/p", "SendToGroup", "chat", 202, SENT, names=("red",))
    kept.add(1.5, send, ("ada", None))
    kept.add(2, RequestEntry("GET", "/nowhere", "", "", 404))
    kept.add(3, RequestEntry("POST", "/p", "SendToAll", "news", 0, faults=("stall",)))
    close = Close(("c1",), "late", ("ada",))
    kept.add(4, RequestEntry("DELETE", "/p", "CloseConnection", "chat", 204, close), ("ada",))
    kept.add(5, ClientEvent(EventKind.JOINED, "chat", "c2", "bo", "red"))
    kept.add(6, ClientEvent(EventKind.REFUSED, "chat", detail="401: no token"))
    return kept


def numbers(ledger: RequestLog, view: DashboardView, after: int = 0) -> list[int]:
    """The numbers of the rows."""
    return [row["sequence"] for row in traffic(ledger, view, after)]


def test_rows_tell_what_was_asked_and_what_clients_noticed(ledger: RequestLog) -> None:
    """The newest first."""
    rows = {row["sequence"]: row for row in traffic(ledger, DashboardView(), 0)}

    assert list(rows) == [6, 5, 4, 3, 2, 1]
    assert rows[1] == {
        "sequence": 1,
        "at": 1500,
        "hub": "chat",
        "kind": "request",
        "what": "SendToGroup",
        "names": ["red"],
        "status": 202,
        "faults": [],
        "reached": 2,
        "who": ["ada", "c2"],
        "text": "hello",
        "dataType": "text",
        "bytes": 5,
        "group": "red",
        "from": "",
    }
    assert rows[2]["what"] == "GET /nowhere"
    assert (rows[4]["closed"], rows[4]["who"], rows[4]["text"]) == (1, ["ada"], "late")
    assert (rows[5]["kind"], rows[5]["what"], rows[5]["names"]) == (
        "client",
        "joined",
        ["bo", "red"],
    )


def test_rows_can_be_narrowed_down(ledger: RequestLog) -> None:
    """By kind, hub and words; from a number on."""
    assert numbers(ledger, DashboardView(traffic=Traffic.REQUESTS)) == [4, 3, 2, 1]
    assert numbers(ledger, DashboardView(traffic=Traffic.CLIENTS)) == [6, 5]
    assert numbers(ledger, DashboardView(traffic=Traffic.MESSAGES)) == [1]
    assert numbers(ledger, DashboardView(traffic=Traffic.TROUBLE)) == [6, 3, 2]
    assert numbers(ledger, DashboardView(hub="news")) == [3]
    assert numbers(ledger, DashboardView(text="HELLO")) == [1]
    assert numbers(ledger, DashboardView(text="404")) == [2]
    assert numbers(ledger, DashboardView(text="ada")) == [4, 1]
    assert numbers(ledger, DashboardView(), after=4) == [6, 5]


def test_rows_are_bounded_in_number_reach_and_size() -> None:
    """A flood costs no more than its newest part; binary data is shown by its digits."""
    ledger = RequestLog()
    ledger.add(0, RequestEntry("GET", "/old", "", "", 404))
    for _ in range(LOOKED_AT):
        ledger.add(0, RequestEntry("GET", "/new", "", "", 404))
    assert len(traffic(ledger, DashboardView(), 0)) == ROWS
    assert traffic(ledger, DashboardView(text="/old"), 0) == []

    long = Message("é".encode() * 100_000, DataType.TEXT)
    ledger.add(
        0, RequestEntry("POST", "/" * 9999, "", "", 202, Deliver(("x" * 999,), long)), (None,)
    )
    binary = Message(b"\x00\xff", DataType.BINARY)
    ledger.add(0, ClientEvent(EventKind.SENT, "chat", effect=Deliver((), binary)))
    sent, asked = traffic(ledger, DashboardView(), ledger.last - 2)
    assert sent["text"] == "00 ff"
    assert asked["text"] == "é" * SHOWN
    assert all(len(one) <= SHOWN for one in (asked["what"], *asked["who"]))
