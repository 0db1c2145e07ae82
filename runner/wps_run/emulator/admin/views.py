"""Request log, state and faults as JSON-serializable data."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from wps_run.emulator.effects import Close, DataType, Effect, Message
from wps_run.emulator.faults import FaultInjector
from wps_run.emulator.hub import Connection, Hub
from wps_run.emulator.request_log import ClientEvent, LogEntry, RequestEntry

DATA_LIMIT = 64 * 1024
"""The most characters of a message; binary data is given as hexadecimal digits."""

Json = dict[str, Any]


def entry_json(entry: LogEntry, limit: int) -> Json:
    """Convert one log entry, with at most `limit` of the connections that it reached."""
    at = dt.datetime.fromtimestamp(entry.at, dt.UTC)
    head: Json = {
        "sequence": entry.sequence,
        "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    what = entry.what
    fields = _event(what) if isinstance(what, ClientEvent) else _request(what)
    return {**head, **fields, "effect": _effect(what.effect, entry.users, limit)}


def _request(request: RequestEntry) -> Json:
    return {
        "type": "request",
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "operation": request.operation or None,
        "hub": request.hub or None,
        "names": list(request.names),
        "status": request.status or None,
        "requestId": request.request_id or None,
        "faults": list(request.faults),
    }


def _event(event: ClientEvent) -> Json:
    fields: Json = {
        "type": "client",
        "event": str(event.kind),
        "hub": event.hub or None,
        "connectionId": event.connection_id or None,
        "userId": event.user_id,
        "detail": event.detail or None,
    }
    if event.operation:
        fields["operation"] = event.operation
        fields["status"] = event.status or None
        fields["faults"] = list(event.faults)
    return fields


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
    is_binary = message.data_type in {DataType.BINARY, DataType.PROTOBUF}
    start = message.data[: 4 * DATA_LIMIT]  # a character takes at most 4 bytes in UTF-8
    data = start.hex() if is_binary else start.decode(errors="replace")
    return {
        "dataType": str(message.data_type),
        "bytes": len(message.data),
        "data": data[:DATA_LIMIT],
        "group": message.group,
        "fromUser": message.from_user,
        "messageTtlSeconds": message.ttl,
        "metadata": dict(message.metadata),
    }


def hub_json(hub: Hub, limit: int) -> Json:
    """Convert one hub's state, with at most `limit` of its connections, users and groups."""
    return {
        "connections": len(hub.connections),
        "users": len(hub.users),
        "groups": len(hub.groups),
        "connectionList": [
            _connection(connection) for connection in islice(hub.connections.values(), limit)
        ],
        "userList": _counted("userId", hub.users, limit),
        "groupList": _counted("group", hub.groups, limit),
    }


def _connection(connection: Connection) -> Json:
    return {
        "connectionId": connection.connection_id,
        "userId": connection.user_id,
        "protocol": connection.protocol,
        "groups": list(connection.groups),
        "permissions": {
            str(permission): {
                "everywhere": rules.all_groups,
                "patterns": [pattern.text for pattern in rules.patterns],
                "allowed": sorted(rules.allowed),
                "denied": sorted(rules.denied),
            }
            for permission, rules in connection.rules.items()
        },
    }


def _counted(key: str, index: Mapping[str, Iterable[str]], limit: int) -> list[Json]:
    return [
        {key: name, "connections": len(list(members))}
        for name, members in islice(index.items(), limit)
    ]


def faults_json(faults: FaultInjector) -> Json:
    """Convert the faults in force, with how often each matched and was injected."""
    return {
        "seed": faults.seed,
        "faults": [
            {"fault": counter.fault.text, "meant": counter.matched, "struck": counter.applied}
            for counter in faults.counters
        ],
    }
