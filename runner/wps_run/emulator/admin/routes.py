"""The operations of the admin API below `/_local/`: a request in, a response out. No I/O."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import quote

from wps_run.emulator.admin.views import entry_json, faults_json, hub_json
from wps_run.emulator.auth import ClientTokenParameters
from wps_run.emulator.fault_syntax import FaultError, parse_fault
from wps_run.emulator.faults import FaultInjector, InjectedFault
from wps_run.emulator.hub import Hub
from wps_run.emulator.names import hub_key, is_group_name, is_hub_name, is_id
from wps_run.emulator.request_log import LogEntry, RequestEntry, RequestLog
from wps_run.emulator.rest.responses import (
    NO_CONTENT,
    UNKNOWN_ROUTE,
    RefusedError,
    RestResponse,
    bad_request,
    json_response,
    method_not_allowed,
)
from wps_run.emulator.seed import SeedError
from wps_run.emulator.targets import Query

PREFIX = "/_local/"

DEFAULT_LIMIT = 1000
"""The most entries, connections, users and groups in a response, unless `limit` says otherwise."""

DEFAULT_REACHED = 100
"""The most connections listed of those one request reached, unless `reached` says otherwise."""

CLIENT_LIFETIME = 60
"""Seconds within which a client must connect with a token that was issued here."""

FAULT_LIMIT = 1000
"""The most faults in force at once."""


@dataclass(frozen=True, slots=True)
class AdminContext:
    """What the admin API can see and do.

    Attributes:
        hubs: Returns the hubs, by lower-case name.
        seed: Connects clients from plain data and returns their number; raises SeedError.
        create_link: Returns a link that opens the dashboard once.
    """

    request_log: RequestLog
    faults: FaultInjector
    hubs: Callable[[], Mapping[str, Hub]]
    reset: Callable[[], None]
    seed: Callable[[object], int]
    create_link: Callable[[], str]
    issue_token: Callable[[ClientTokenParameters], str]


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """One request to the admin API: its query, its body and its Host header."""

    query: Query
    body: bytes = b""
    host: str = ""


Operation = Callable[[AdminContext, AdminRequest], RestResponse]


def handle(context: AdminContext, method: str, path: str, request: AdminRequest) -> RestResponse:
    """Carry out one request. Raises RefusedError with the response if it is invalid."""
    operations = _ROUTES.get(path.removeprefix(PREFIX))
    if operations is None:
        raise RefusedError(UNKNOWN_ROUTE)
    operation = operations.get(method)
    if operation is None:
        raise RefusedError(method_not_allowed(", ".join(operations)))
    return operation(context, request)


def _get_log(context: AdminContext, request: AdminRequest) -> RestResponse:
    log = context.request_log
    limit = _number(request.query, "limit", DEFAULT_LIMIT)
    reached = _number(request.query, "reached", DEFAULT_REACHED)
    entries = list(islice(_selected_entries(log, request.query), limit + 1))
    return json_response(
        {
            "last": log.last,
            "dropped": log.dropped,
            "more": len(entries) > limit,
            "entries": [entry_json(entry, reached) for entry in entries[:limit]],
        }
    )


def _selected_entries(log: RequestLog, query: Query) -> Iterator[LogEntry]:
    operation = query.first("operation").lower().removeprefix("webpubsub_")
    hub = hub_key(query.first("hub"))
    kind = query.first("type")
    for entry in log.entries(_number(query, "after", 0)):
        is_request = isinstance(entry.what, RequestEntry)
        if operation and entry.operation.lower() != operation:
            continue
        if hub and entry.hub != hub:
            continue
        if kind and kind != ("request" if is_request else "client"):
            continue
        yield entry


def _get_state(context: AdminContext, request: AdminRequest) -> RestResponse:
    limit = _number(request.query, "limit", DEFAULT_LIMIT)
    selected = hub_key(request.query.first("hub"))
    hubs = {
        name: hub_json(hub, limit)
        for name, hub in context.hubs().items()
        if hub.connections and selected in {"", name}
    }
    return json_response({"hubs": hubs})


def _reset(context: AdminContext, _: AdminRequest) -> RestResponse:
    context.reset()
    return NO_CONTENT


def _seed(context: AdminContext, request: AdminRequest) -> RestResponse:
    try:
        return json_response({"clients": context.seed(_json(request.body))})
    except SeedError as invalid:
        raise RefusedError(bad_request(str(invalid), "Seed")) from None


def _get_faults(context: AdminContext, _: AdminRequest) -> RestResponse:
    return json_response(faults_json(context.faults))


def _add_faults(context: AdminContext, request: AdminRequest) -> RestResponse:
    faults, seed = _parse_faults(request.body)
    if seed is not None:
        raise RefusedError(bad_request("a new seed needs new faults: use PUT", "Faults"))
    _check_fault_count(len(faults) + len(context.faults.counters))
    context.faults.add(faults)
    return _get_faults(context, request)


def _replace_faults(context: AdminContext, request: AdminRequest) -> RestResponse:
    faults, seed = _parse_faults(request.body)
    _check_fault_count(len(faults))
    context.faults.replace(faults, seed)
    return _get_faults(context, request)


def _delete_faults(context: AdminContext, request: AdminRequest) -> RestResponse:
    """Delete all faults, or those that `fault` names; the others keep their counts."""
    selected = request.query.all("fault")
    if not selected:
        context.faults.replace(())
    for text in selected:
        if not context.faults.remove(text):
            raise RefusedError(bad_request(f"this fault is not set: `{text}`", "Faults"))
    return NO_CONTENT


def _create_link(context: AdminContext, _: AdminRequest) -> RestResponse:
    return json_response({"link": context.create_link()})


def _issue_token(context: AdminContext, request: AdminRequest) -> RestResponse:
    client = _json(request.body)
    if not isinstance(client, dict) or not client.keys() <= _CLIENT_KEYS:
        raise RefusedError(bad_request(_CLIENT_FORMAT, "Client"))
    hub, user = client.get("hub"), client.get("userId") or ""
    roles, groups = client.get("roles", []), client.get("groups", [])
    if not isinstance(hub, str) or not is_hub_name(hub):
        raise RefusedError(bad_request("`hub` is not a valid hub name", "Client"))
    if not isinstance(user, str) or (user and not is_id(user)):
        raise RefusedError(bad_request("`userId` is not a valid user ID", "Client"))
    if not _is_text_list(roles) or not _is_text_list(groups) or not all(map(is_group_name, groups)):
        raise RefusedError(bad_request("`groups` and `roles` must be lists of names", "Client"))
    audience = f"http://{request.host}/client/hubs/{hub}"
    identity = ClientTokenParameters(audience, user, tuple(roles), tuple(groups), CLIENT_LIFETIME)
    path = f"/client/hubs/{quote(hub, safe='')}"
    return json_response({"path": path, "token": context.issue_token(identity)})


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_CLIENT_KEYS = frozenset({"hub", "userId", "groups", "roles"})
_CLIENT_FORMAT = (
    'write {"hub": "chat", "userId": "ada", "groups": ["red"], "roles": ["webpubsub.sendToGroup"]};'
    " only the hub is required"
)


_ROUTES: Mapping[str, Mapping[str, Operation]] = {
    "ledger": {"GET": _get_log},
    "state": {"GET": _get_state},
    "reset": {"POST": _reset},
    "seed": {"POST": _seed},
    "link": {"POST": _create_link},
    "token": {"POST": _issue_token},
    "faults": {
        "GET": _get_faults,
        "PUT": _replace_faults,
        "POST": _add_faults,
        "DELETE": _delete_faults,
    },
}


def _parse_faults(body: bytes) -> tuple[list[InjectedFault], int | None]:
    """Parse the faults of a body: text with one a line, a JSON list, or an object with a seed."""
    text = body.decode("utf-8", "replace").strip()
    seed: Any = None
    faults: Any = [line for line in text.splitlines() if line.strip()]
    if text[:1] in {"[", "{", '"'}:
        faults = _json(body)
        if isinstance(faults, dict):
            seed, faults = faults.get("seed"), faults.get("faults")
    if not _is_text_list(faults):
        raise RefusedError(bad_request(_FAULTS_FORMAT, "Faults"))
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise RefusedError(bad_request("`seed` must be a whole number", "Faults"))
    try:
        return [parse_fault(fault) for fault in faults], seed
    except FaultError as invalid:
        raise RefusedError(bad_request(str(invalid), "Faults")) from None


_FAULTS_FORMAT = (
    'write one fault a line, or as JSON: {"faults": ["429,count=3"], "seed": 1}; the seed is '
    "optional"
)


def _check_fault_count(count: int) -> None:
    if count > FAULT_LIMIT:
        raise RefusedError(bad_request(f"there may be at most {FAULT_LIMIT} faults", "Faults"))


def _json(body: bytes) -> Any:  # noqa: ANN401 -- what JSON holds
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(bad_request("the body is not JSON", "Request")) from None


def _number(query: Query, name: str, default: int) -> int:
    value = query.first(name)
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 18):  # noqa: PLR2004 - 64 bits
        raise RefusedError(bad_request(f"`{name}` must be a whole number from 0", name))
    return int(value)
