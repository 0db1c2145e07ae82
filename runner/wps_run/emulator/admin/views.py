"""The ledger, the state and the faults as JSON. Values in, plain data out."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from wps_run.emulator.effects import Close, DataType, Effect, Message
from wps_run.emulator.faults.rules import FaultInjector
from wps_run.emulator.hub import Connection, Hub
from wps_run.emulator.request_log import ClientEvent, LogEntry, RequestEntry

DATA_SHOWN = 64 * 1024
"""The most characters of a message that are shown; binary data is shown as hexadecimal digits."""

Json = dict[str, Any]


def entry_json(entry: LogEntry, limit: int) -> Json:
    """One line of the ledger; at most `limit` of the connections that it reached."""
    at = dt.datetime.fromtimestamp(entry.at, dt.UTC)
    head: Json = {
        "sequence": entry.sequence,
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    what = entry.what
    told = _event(what) if isinstance(what, ClientEvent) else _exchange(what)
    return {**head, **told, "effect": _effect(what.effect, entry.users, limit)}


def _exchange(what: RequestEntry) -> Json:
    return {
        "type": "request",
        "method": what.method,
        "path": what.path,
        "query": what.query,
        "operation": what.operation or None,
        "hub": what.hub or None,
        "names": list(what.names),
        "status": what.status or None,
        "requestId": what.request_id or None,
        "faults": list(what.faults),
    }


def _event(what: ClientEvent) -> Json:
    return {
        "type": "client",
        "event": str(what.kind),
        "hub": what.hub or None,
        "connectionId": what.connection_id or None,
        "userId": what.user_id,
        "detail": what.detail or None,
    }


def _effect(effect: Effect | None, users: Sequence[str | None], limit: int) -> Json | None:
    if effect is None:
        return None
    connections = effect.connections
    reached = [
        {"connectionId": connection, "userId": user}
        for connection, user in islice(zip(connections, users, strict=False), limit)
    ]
    if isinstance(effect, Close):
        return {"closed": len(connections), "reason": effect.reason, "connections": reached}
    return {
        "reached": len(connections),
        "message": _message(effect.message),
        "connections": reached,
    }


def _message(message: Message) -> Json:
    binary = message.data_type in {DataType.BINARY, DataType.PROTOBUF}
    begin = message.data[: 4 * DATA_SHOWN]  # no character of UTF-8 takes more
    data = begin.hex() if binary else begin.decode(errors="replace")
    return {
        "dataType": str(message.data_type),
        "bytes": len(message.data),
        "data": data[:DATA_SHOWN],
        "group": message.group,
        "fromUser": message.from_user,
        "messageTtlSeconds": message.ttl,
        "metadata": dict(message.metadata),
    }


def hub_json(hub: Hub, limit: int) -> Json:
    """Who is in one hub; at most `limit` of the connections, users and groups are listed."""
    return {
        "connections": len(hub.connections),
        "users": len(hub.users),
        "groups": len(hub.groups),
        "connectionList": [_connection(one) for one in islice(hub.connections.values(), limit)],
        "userList": _counted("userId", hub.users, limit),
        "groupList": _counted("group", hub.groups, limit),
    }


def _connection(one: Connection) -> Json:
    return {
        "connectionId": one.connection_id,
        "userId": one.user_id,
        "protocol": one.protocol,
        "groups": list(one.groups),
        "permissions": {
            str(permission): {
                "everywhere": rules.everywhere,
                "patterns": [pattern.text for pattern in rules.patterns],
                "allowed": sorted(rules.allowed),
                "denied": sorted(rules.denied),
            }
            for permission, rules in one.rules.items()
        },
    }


def _counted(key: str, index: Mapping[str, Iterable[str]], limit: int) -> list[Json]:
    return [
        {key: name, "connections": len(list(members))}
        for name, members in islice(index.items(), limit)
    ]


def faults_json(faults: FaultInjector) -> Json:
    """The faults in force, and how often each was met."""
    return {
        "seed": faults.seed,
        "faults": [
            {"fault": one.fault.text, "meant": one.meant, "struck": one.struck}
            for one in faults.tallies
        ],
    }
