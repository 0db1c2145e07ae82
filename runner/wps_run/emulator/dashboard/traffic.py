"""What happens, in short: the newest entries of the ledger that a view asks for, as plain data."""

from collections.abc import Iterator
from typing import Any

from wps_run.emulator.dashboard.view import DashboardView, Traffic
from wps_run.emulator.effects import Close, DataType, Effect, Message
from wps_run.emulator.request_log import ClientEvent, EventKind, LogEntry, RequestEntry, RequestLog

ROWS = 100
"""The most entries that are shown at once."""

LOOKED_AT = 20_000
"""How far back is looked for entries that a view asks for."""

SHOWN = 200
"""The most characters of a message or a name in a row; the ledger has them all."""

_NAMED = 5
"""The most of those reached that are named in a row."""

_REFUSED = 400
_TROUBLE = frozenset({EventKind.FAILED, EventKind.REFUSED, EventKind.UNHANDLED})

Json = dict[str, Any]


def traffic(ledger: RequestLog, view: DashboardView, after: int) -> list[Json]:
    """Rows of the newest entries whose number is above `after`, the newest first."""
    rows: list[Json] = []
    text = view.text.casefold()
    for entry in _newest(ledger, after):
        if view.hub not in {"", entry.hub} or not _is_wanted(entry, view.traffic):
            continue
        row = _row(entry)
        if text and not any(text in word.casefold() for word in _words(row)):
            continue
        rows.append(row)
        if len(rows) == ROWS:
            break
    return rows


def _newest(ledger: RequestLog, after: int) -> Iterator[LogEntry]:
    oldest = max(after, ledger.last - LOOKED_AT)
    for entry in ledger.newest():
        if entry.sequence <= oldest:
            return
        yield entry


def _is_wanted(entry: LogEntry, wanted: Traffic) -> bool:
    what = entry.what
    match wanted:
        case Traffic.REQUESTS:
            return isinstance(what, RequestEntry)
        case Traffic.CLIENTS:
            return isinstance(what, ClientEvent)
        case Traffic.MESSAGES:
            return what.effect is not None and not isinstance(what.effect, Close)
        case Traffic.TROUBLE:
            return _is_trouble(what)
        case Traffic.ALL:
            return True


def _is_trouble(what: RequestEntry | ClientEvent) -> bool:
    if isinstance(what, ClientEvent):
        return what.kind in _TROUBLE
    return not what.status or what.status >= _REFUSED or bool(what.faults)


def _row(entry: LogEntry) -> Json:
    what = entry.what
    told = _event(what) if isinstance(what, ClientEvent) else _exchange(what)
    return {
        "sequence": entry.sequence,
        "at": round(entry.at * 1000),
        "hub": entry.hub,
        **told,
        **_effect(what.effect, entry.users),
    }


def _exchange(what: RequestEntry) -> Json:
    return {
        "kind": "request",
        "what": what.operation or f"{what.method} {what.path}"[:SHOWN],
        "names": [name[:SHOWN] for name in what.names],
        "status": what.status,
        "faults": [fault[:SHOWN] for fault in what.faults],
    }


def _event(what: ClientEvent) -> Json:
    return {
        "kind": "client",
        "what": str(what.kind),
        "names": [name[:SHOWN] for name in (what.user_id or what.connection_id, what.detail)],
        "trouble": what.kind in _TROUBLE,
    }


def _effect(effect: Effect | None, users: tuple[str | None, ...]) -> Json:
    if effect is None:
        return {}
    named = zip(effect.connections[:_NAMED], users[:_NAMED], strict=False)
    who = [(user or connection)[:SHOWN] for connection, user in named]
    if isinstance(effect, Close):
        return {"closed": len(effect.connections), "who": who, "text": effect.reason[:SHOWN]}
    return {"reached": len(effect.connections), "who": who, **_message(effect.message)}


def _message(message: Message) -> Json:
    begin = message.data[: 4 * SHOWN]  # no character of UTF-8 takes more
    binary = message.data_type in {DataType.BINARY, DataType.PROTOBUF}
    text = begin.hex(" ") if binary else begin.decode(errors="replace")
    return {
        "text": text[:SHOWN],
        "dataType": str(message.data_type),
        "bytes": len(message.data),
        "group": (message.group or "")[:SHOWN],
        "from": (message.from_user or "")[:SHOWN],
    }


def _words(row: Json) -> Iterator[str]:
    """What a row is searched for: all that can be read in it, save for the numbers."""
    for value in row.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from value
    if row.get("status") is not None:
        yield str(row["status"])
