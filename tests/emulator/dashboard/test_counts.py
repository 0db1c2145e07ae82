"""The sums that the page shows."""

from wps_run.emulator.dashboard.counts import Counts
from wps_run.emulator.effects import Close, DataType, Deliver, Message
from wps_run.emulator.request_log import ClientEvent, EventKind, RequestEntry

SENT = Deliver(("a", "b"), Message(b"x", DataType.TEXT))


def test_requests_are_counted_by_outcome_and_effects_by_what_they_were() -> None:
    """Messages of clients count as well as those of requests."""
    counts = Counts()
    for status in (200, 202, 401, 404, 503, 0):
        counts.add(RequestEntry("POST", "/", "SendToAll", "chat", status))
    counts.add(RequestEntry("POST", "/", "SendToAll", "chat", 202, SENT, faults=("delay=1s",)))
    counts.add(RequestEntry("POST", "/", "Close", "chat", 204, Close(("a", "b", "c"), "")))
    counts.add(ClientEvent(EventKind.SENT, "chat", "a", effect=SENT))
    counts.add(ClientEvent(EventKind.JOINED, "chat", "a"))

    assert counts.as_json() == {
        "requests": 8,
        "refused": 2,
        "failed": 1,
        "unanswered": 1,
        "struck": 1,
        "messages": 2,
        "deliveries": 4,
        "closed": 3,
    }
    counts.forget()
    assert counts == Counts()
