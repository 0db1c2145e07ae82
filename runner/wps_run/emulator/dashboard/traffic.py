"""What happened: counters, and the newest entries of the request log as rows. Plain data out."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import takewhile
from typing import Any

from wps_run.emulator.dashboard.query import DashboardQuery, TrafficFilter
from wps_run.emulator.effects import Close, DataType, Effect, Message
from wps_run.emulator.request_log import ClientEvent, EventKind, LogEntry, RequestEntry, RequestLog

ROW_LIMIT = 100
"""The most rows at once."""

SEARCH_LIMIT = 20_000
"""How many of the newest entries are searched for rows."""

TEXT_LIMIT = 200
"""The most characters of a message or a name in a row; the request log has them all."""

_NAMED_CLIENTS = 5
"""The most receivers that are named in a row."""

_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_SUCCESSES = range(200, 300)
_TROUBLE = frozenset({EventKind.FAILED, EventKind.REFUSED, EventKind.UNHANDLED})

Json = dict[str, Any]


@dataclass(slots=True)
class TrafficCounters:
    """Sums since the start, or since the last reset.

    Attributes:
        requests: HTTP requests.
        refused: Those answered with 4xx.
        failed: Those answered with 5xx.
        unanswered: Those without a complete answer.
        struck: Those that a fault was injected into.
        messages: Messages accepted, from requests and from clients.
        deliveries: Their receivers, summed over all messages.
        closed: Connections that requests closed.
    """

    requests: int = 0
    refused: int = 0
    failed: int = 0
    unanswered: int = 0
    struck: int = 0
    messages: int = 0
    deliveries: int = 0
    closed: int = 0

    def record(self, entry: RequestEntry | ClientEvent) -> None:
        if isinstance(entry, RequestEntry):
            self._record_request(entry)
        effect = entry.effect
        if isinstance(effect, Close):
            self.closed += len(effect.connections)
        elif effect is not None:
            self.messages += 1
            self.deliveries += len(effect.connections)

    def _record_request(self, entry: RequestEntry) -> None:
        self.requests += 1
        self.struck += bool(entry.faults)
        if not entry.status:
            self.unanswered += 1
        elif entry.status >= _SERVER_ERROR:
            self.failed += 1
        elif entry.status >= _CLIENT_ERROR:
            self.refused += 1

    def reset(self) -> None:
        for field in fields(self):
            setattr(self, field.name, 0)


def list_traffic(log: RequestLog, query: DashboardQuery, after: int) -> list[Json]:
    """Return rows for the newest entries with a number above `after`, the newest first."""
    rows: list[Json] = []
    text = query.text.casefold()
    oldest = max(after, log.last - SEARCH_LIMIT)
    for entry in takewhile(lambda entry: entry.sequence > oldest, log.newest_first()):
        if query.hub not in {"", entry.hub} or not _matches(entry, query.traffic):
            continue
        row = _row(entry)
        if text and not any(text in word.casefold() for word in _searchable_texts(row)):
            continue
        rows.append(row)
        if len(rows) == ROW_LIMIT:
            break
    return rows


def has_other_hubs(log: RequestLog, hub: str, after: int) -> bool:
    """Whether an entry with a number above `after` is not of this hub; never for all hubs, ""."""
    oldest = max(after, log.last - SEARCH_LIMIT)
    entries = takewhile(lambda entry: entry.sequence > oldest, log.newest_first())
    return hub != "" and any(entry.hub != hub for entry in entries)


def _matches(entry: LogEntry, traffic: TrafficFilter) -> bool:
    what = entry.what
    match traffic:
        case TrafficFilter.REQUESTS:
            return isinstance(what, RequestEntry)
        case TrafficFilter.CLIENTS:
            return isinstance(what, ClientEvent)
        case TrafficFilter.MESSAGES:
            return what.effect is not None and not isinstance(what.effect, Close)
        case TrafficFilter.TROUBLE:
            return _is_trouble(what)
        case TrafficFilter.ALL:
            return True


def _is_trouble(what: RequestEntry | ClientEvent) -> bool:
    if isinstance(what, ClientEvent):
        is_failed_call = what.kind is EventKind.DISPATCHED and what.status not in _SUCCESSES
        return what.kind in _TROUBLE or is_failed_call or bool(what.faults)
    return not what.status or what.status >= _CLIENT_ERROR or bool(what.faults)


def _row(entry: LogEntry) -> Json:
    what = entry.what
    return {
        "sequence": entry.sequence,
        "at": round(entry.at * 1000),
        "hub": entry.hub,
        **(_event_fields(what) if isinstance(what, ClientEvent) else _request_fields(what)),
        **_effect_fields(what.effect, entry.users),
    }


def _request_fields(request: RequestEntry) -> Json:
    return {
        "kind": "request",
        "what": request.operation or f"{request.method} {request.path}"[:TEXT_LIMIT],
        "names": [name[:TEXT_LIMIT] for name in request.names],
        **_outcome(request),
    }


def _event_fields(event: ClientEvent) -> Json:
    names = (event.user_id or event.connection_id, event.detail)
    return {
        "kind": "client",
        "what": str(event.kind),
        "names": [name[:TEXT_LIMIT] for name in names],
        "trouble": _is_trouble(event),
        **(_outcome(event) if event.kind is EventKind.DISPATCHED else {}),
    }


def _outcome(what: RequestEntry | ClientEvent) -> Json:
    return {"status": what.status, "faults": [fault[:TEXT_LIMIT] for fault in what.faults]}


def _effect_fields(effect: Effect | None, users: tuple[str | None, ...]) -> Json:
    if effect is None:
        return {}
    receivers = zip(effect.connections[:_NAMED_CLIENTS], users[:_NAMED_CLIENTS], strict=False)
    who = [(user or connection)[:TEXT_LIMIT] for connection, user in receivers]
    if isinstance(effect, Close):
        return {"closed": len(effect.connections), "who": who, "text": effect.reason[:TEXT_LIMIT]}
    return {"reached": len(effect.connections), "who": who, **_message_fields(effect.message)}


def _message_fields(message: Message) -> Json:
    start = message.data[: 4 * TEXT_LIMIT]  # a character takes at most 4 bytes in UTF-8
    is_binary = message.data_type in {DataType.BINARY, DataType.PROTOBUF}
    text = start.hex(" ") if is_binary else start.decode(errors="replace")
    return {
        "text": text[:TEXT_LIMIT],
        "dataType": str(message.data_type),
        "bytes": len(message.data),
        "group": (message.group or "")[:TEXT_LIMIT],
        "from": (message.from_user or "")[:TEXT_LIMIT],
    }


def _searchable_texts(row: Json) -> Iterator[str]:
    for value in row.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from value
    if row.get("status") is not None:
        yield str(row["status"])
