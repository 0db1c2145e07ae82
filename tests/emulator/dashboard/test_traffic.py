"""The traffic list and the counters."""

from dataclasses import asdict

import pytest

from wps_run.emulator.dashboard.query import DashboardQuery, TrafficFilter
from wps_run.emulator.dashboard.traffic import (
    ROW_LIMIT,
    SEARCH_LIMIT,
    TEXT_LIMIT,
    TrafficCounters,
    list_traffic,
)
from wps_run.emulator.effects import Close, DataType, Deliver, Message
from wps_run.emulator.request_log import ClientEvent, EventKind, RequestEntry, RequestLog

SENT = Deliver(("c1", "c2"), Message(b"hello", DataType.TEXT, group="red"))


@pytest.fixture
def log() -> RequestLog:
    """Six entries of several kinds."""
    log = RequestLog()
    send = RequestEntry("POST", "/p", "SendToGroup", "chat", 202, SENT, names=("red",))
    log.add(1.5, send, ("ada", None))
    log.add(2, RequestEntry("GET", "/nowhere", "", "", 404))
    log.add(3, RequestEntry("POST", "/p", "SendToAll", "news", 0, faults=("stall",)))
    close = Close(("c1",), "late", ("ada",))
    log.add(4, RequestEntry("DELETE", "/p", "CloseConnection", "chat", 204, close), ("ada",))
    log.add(5, ClientEvent(EventKind.JOINED, "chat", "c2", "bo", "red"))
    log.add(6, ClientEvent(EventKind.REFUSED, "chat", detail="401: no token"))
    return log


def numbers(log: RequestLog, query: DashboardQuery, after: int = 0) -> list[int]:
    """The numbers of the rows."""
    return [row["sequence"] for row in list_traffic(log, query, after)]


def test_rows_show_requests_events_and_their_effects(log: RequestLog) -> None:
    """The newest first."""
    rows = {row["sequence"]: row for row in list_traffic(log, DashboardQuery(), 0)}

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


def test_rows_can_be_filtered(log: RequestLog) -> None:
    """By kind, hub and text; from a number on."""
    assert numbers(log, DashboardQuery(traffic=TrafficFilter.REQUESTS)) == [4, 3, 2, 1]
    assert numbers(log, DashboardQuery(traffic=TrafficFilter.CLIENTS)) == [6, 5]
    assert numbers(log, DashboardQuery(traffic=TrafficFilter.MESSAGES)) == [1]
    assert numbers(log, DashboardQuery(traffic=TrafficFilter.TROUBLE)) == [6, 3, 2]
    assert numbers(log, DashboardQuery(hub="news")) == [3]
    assert numbers(log, DashboardQuery(text="HELLO")) == [1]
    assert numbers(log, DashboardQuery(text="404")) == [2]
    assert numbers(log, DashboardQuery(text="ada")) == [4, 1]
    assert numbers(log, DashboardQuery(), after=4) == [6, 5]


def test_rows_are_bounded_in_number_reach_and_size() -> None:
    """Only the newest entries are searched; binary data is shown in hexadecimal."""
    log = RequestLog()
    log.add(0, RequestEntry("GET", "/old", "", "", 404))
    for _ in range(SEARCH_LIMIT):
        log.add(0, RequestEntry("GET", "/new", "", "", 404))
    assert len(list_traffic(log, DashboardQuery(), 0)) == ROW_LIMIT
    assert list_traffic(log, DashboardQuery(text="/old"), 0) == []

    long = Message("é".encode() * 100_000, DataType.TEXT)
    log.add(0, RequestEntry("POST", "/" * 9999, "", "", 202, Deliver(("x" * 999,), long)), (None,))
    binary = Message(b"\x00\xff", DataType.BINARY)
    log.add(0, ClientEvent(EventKind.SENT, "chat", effect=Deliver((), binary)))
    binary_row, text_row = list_traffic(log, DashboardQuery(), log.last - 2)
    assert binary_row["text"] == "00 ff"
    assert text_row["text"] == "é" * TEXT_LIMIT
    assert all(len(text) <= TEXT_LIMIT for text in (text_row["what"], *text_row["who"]))


def test_requests_are_counted_by_outcome_and_effects_by_what_they_were() -> None:
    """Messages of clients count as well as those of requests."""
    counters = TrafficCounters()
    for status in (200, 202, 401, 404, 503, 0):
        counters.record(RequestEntry("POST", "/", "SendToAll", "chat", status))
    counters.record(RequestEntry("POST", "/", "SendToAll", "chat", 202, SENT, faults=("delay=1s",)))
    counters.record(RequestEntry("POST", "/", "Close", "chat", 204, Close(("a", "b", "c"), "")))
    counters.record(ClientEvent(EventKind.SENT, "chat", "a", effect=SENT))
    counters.record(ClientEvent(EventKind.JOINED, "chat", "a"))

    assert asdict(counters) == {
        "requests": 8,
        "refused": 2,
        "failed": 1,
        "unanswered": 1,
        "struck": 1,
        "messages": 2,
        "deliveries": 4,
        "closed": 3,
    }
    counters.reset()
    assert counters == TrafficCounters()


def test_the_call_of_an_event_handler_is_shown_with_its_status_and_faults(log: RequestLog) -> None:
    """It is trouble without a success; requests are counted without it."""
    fault = ("503,on=connect",)
    for status, faults in ((204, ()), (503, fault), (0, ())):
        log.add(
            7,
            ClientEvent(
                EventKind.DISPATCHED,
                "chat",
                "c3",
                operation="connect",
                status=status,
                faults=faults,
            ),
        )
    rows = {row["sequence"]: row for row in list_traffic(log, DashboardQuery(), 6)}

    assert [rows[number]["status"] for number in (7, 8, 9)] == [204, 503, 0]
    assert rows[8]["faults"] == list(fault)
    assert numbers(log, DashboardQuery(traffic=TrafficFilter.TROUBLE), 6) == [9, 8]
