"""What the paths below `/_local/` do: a request of the service's owner to a reply. No I/O."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import quote

from wps_run.emulator.admin.views import entry_json, faults_json, hub_json
from wps_run.emulator.auth import ClientIdentity
from wps_run.emulator.faults.rules import FaultInjector, InjectedFault
from wps_run.emulator.faults.syntax import FaultError, parse_fault
from wps_run.emulator.hub import Hub
from wps_run.emulator.names import hub_key, is_group, is_hub, is_id
from wps_run.emulator.request_log import LogEntry, RequestEntry, RequestLog
from wps_run.emulator.rest.replies import (
    BAD_REQUEST,
    NO_CONTENT,
    UNKNOWN_ROUTE,
    RefusedError,
    RestResponse,
    error,
    json_reply,
    method_not_allowed,
)
from wps_run.emulator.rest.targets import Query
from wps_run.emulator.seed import SeedError

PREFIX = "/_local/"

LISTED = 1000
"""The most entries, connections, users and groups in an answer that does not say `limit`."""

REACHED = 100
"""The most connections listed of those that one request reached, unless `reached` says more."""

CLIENT_LIFETIME = 60
"""Seconds within which a client connects with a token that was issued here."""

FAULTS_MOST = 1000
"""The most faults in force at once."""


@dataclass(frozen=True, slots=True)
class AdminContext:
    """What the owner of a service can see and do.

    Attributes:
        ledger: What it was asked.
        faults: What befalls requests.
        hubs: Makes a view of the hubs, by lower-case name.
        reset: Closes everybody and forgets everything.
        seed: Lets clients in, from plain data; raises SeedError.
        link: Makes a link that opens the page once.
        token: Issues a client's token.
    """

    ledger: RequestLog
    faults: FaultInjector
    hubs: Callable[[], Mapping[str, Hub]]
    reset: Callable[[], None]
    seed: Callable[[object], int]
    link: Callable[[], str]
    token: Callable[[ClientIdentity], str]


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """One request to the backstage: its query, its body and the Host header."""

    query: Query
    body: bytes = b""
    host: str = ""


Act = Callable[[AdminContext, AdminRequest], RestResponse]


def answer(backstage: AdminContext, method: str, path: str, ask: AdminRequest) -> RestResponse:
    """Do what the owner asks.

    Args:
        backstage: What there is.
        method: The HTTP method.
        path: The raw path.
        ask: Query and body.

    Raises:
        RefusedError: It cannot be done; holds the answer that says so.
    """
    acts = _PATHS.get(path.removeprefix(PREFIX))
    if acts is None:
        raise RefusedError(UNKNOWN_ROUTE)
    act = acts.get(method)
    if act is None:
        raise RefusedError(method_not_allowed(", ".join(acts)))
    return act(backstage, ask)


def _ledger(backstage: AdminContext, ask: AdminRequest) -> RestResponse:
    ledger = backstage.ledger
    limit = _number(ask.query, "limit", LISTED)
    reached = _number(ask.query, "reached", REACHED)
    found = list(islice(_wanted(ledger, ask.query), limit + 1))
    more = len(found) > limit
    return json_reply(
        {
            "last": ledger.last,
            "dropped": ledger.dropped,
            "more": more,
            "entries": [entry_json(one, reached) for one in found[:limit]],
        }
    )


def _wanted(ledger: RequestLog, query: Query) -> Iterator[LogEntry]:
    """The entries that the query asks for, the oldest first."""
    operation = query.first("operation").lower().removeprefix("webpubsub_")
    hub = hub_key(query.first("hub"))
    kind = query.first("type")
    for entry in ledger.entries(_number(query, "after", 0)):
        is_request = isinstance(entry.what, RequestEntry)
        if operation and entry.operation.lower() != operation:
            continue
        if hub and entry.hub != hub:
            continue
        if kind and kind != ("request" if is_request else "client"):
            continue
        yield entry


def _state(backstage: AdminContext, ask: AdminRequest) -> RestResponse:
    limit = _number(ask.query, "limit", LISTED)
    wanted = hub_key(ask.query.first("hub"))
    hubs = {
        name: hub_json(hub, limit)
        for name, hub in backstage.hubs().items()
        if hub.connections and wanted in {"", name}
    }
    return json_reply({"hubs": hubs})


def _reset(backstage: AdminContext, _: AdminRequest) -> RestResponse:
    backstage.reset()
    return NO_CONTENT


def _seed(backstage: AdminContext, ask: AdminRequest) -> RestResponse:
    try:
        return json_reply({"clients": backstage.seed(_json(ask.body))})
    except SeedError as wrong:
        raise RefusedError(_refusal(str(wrong), "Seed")) from None


def _faults(backstage: AdminContext, _: AdminRequest) -> RestResponse:
    return json_reply(faults_json(backstage.faults))


def _add_faults(backstage: AdminContext, ask: AdminRequest) -> RestResponse:
    found, seed = _read_faults(ask.body)
    if seed is not None:
        raise RefusedError(_refusal("a new seed needs new faults: use PUT", "Faults"))
    _check_room(len(found) + len(backstage.faults.tallies))
    backstage.faults.add(found)
    return _faults(backstage, ask)


def _replace_faults(backstage: AdminContext, ask: AdminRequest) -> RestResponse:
    found, seed = _read_faults(ask.body)
    _check_room(len(found))
    backstage.faults.replace(found, seed)
    return _faults(backstage, ask)


def _no_faults(backstage: AdminContext, ask: AdminRequest) -> RestResponse:
    """None any more, or without those that `fault` names; the others keep their counts."""
    named = ask.query.all("fault")
    if not named:
        backstage.faults.replace(())
    for text in named:
        if not backstage.faults.remove(text):
            raise RefusedError(_refusal("no fault in force is written so", "Faults"))
    return NO_CONTENT


def _link(backstage: AdminContext, _: AdminRequest) -> RestResponse:
    return json_reply({"link": backstage.link()})


def _token(backstage: AdminContext, ask: AdminRequest) -> RestResponse:
    """A token with which one client can connect, and the path where it does."""
    asked = _json(ask.body)
    if not isinstance(asked, dict) or not asked.keys() <= _CLIENT_KEYS:
        raise RefusedError(_refusal(_CLIENT_FORM, "Client"))
    hub, user = asked.get("hub"), asked.get("userId") or ""
    roles, groups = asked.get("roles", []), asked.get("groups", [])
    if not isinstance(hub, str) or not is_hub(hub):
        raise RefusedError(_refusal("`hub` is no name that a hub can have", "Client"))
    if not isinstance(user, str) or (user and not is_id(user)):
        raise RefusedError(_refusal("`userId` is no name that a user can have", "Client"))
    if not _are_texts(roles) or not _are_texts(groups) or not all(map(is_group, groups)):
        raise RefusedError(_refusal("`groups` and `roles` are lists of names", "Client"))
    audience = f"http://{ask.host}/client/hubs/{hub}"
    access = ClientIdentity(audience, user, tuple(roles), tuple(groups), CLIENT_LIFETIME)
    path = f"/client/hubs/{quote(hub, safe='')}"
    return json_reply({"path": path, "token": backstage.token(access)})


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(one, str) for one in values)


_CLIENT_KEYS = frozenset({"hub", "userId", "groups", "roles"})
_CLIENT_FORM = (
    'write {"hub": "chat", "userId": "ada", "groups": ["red"], "roles": ["webpubsub.sendToGroup"]};'
    " all but the hub may be left out"
)


_PATHS: Mapping[str, Mapping[str, Act]] = {
    "ledger": {"GET": _ledger},
    "state": {"GET": _state},
    "reset": {"POST": _reset},
    "seed": {"POST": _seed},
    "link": {"POST": _link},
    "token": {"POST": _token},
    "faults": {
        "GET": _faults,
        "PUT": _replace_faults,
        "POST": _add_faults,
        "DELETE": _no_faults,
    },
}


def _read_faults(body: bytes) -> tuple[list[InjectedFault], int | None]:
    """The faults of a body: a text with one a line, a JSON list, or an object with a seed."""
    text = body.decode("utf-8", "replace").strip()
    seed: Any = None
    written: Any = [line for line in text.splitlines() if line.strip()]
    if text[:1] in {"[", "{", '"'}:
        written = _json(body)
        if isinstance(written, dict):
            seed, written = written.get("seed"), written.get("faults")
    if not isinstance(written, list) or not all(isinstance(one, str) for one in written):
        raise RefusedError(_refusal(_FAULTS_FORM, "Faults"))
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise RefusedError(_refusal("`seed` must be a whole number", "Faults"))
    try:
        return [parse_fault(one) for one in written], seed
    except FaultError as wrong:
        raise RefusedError(_refusal(str(wrong), "Faults")) from None


_FAULTS_FORM = (
    'write one fault a line, or as JSON: {"faults": ["429,count=3"], "seed": 1}; the seed may be '
    "left out"
)


def _check_room(count: int) -> None:
    if count > FAULTS_MOST:
        raise RefusedError(_refusal(f"there may be at most {FAULTS_MOST} faults", "Faults"))


def _json(body: bytes) -> Any:  # noqa: ANN401 -- what JSON holds
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(_refusal("the body is not JSON", "Request")) from None


def _number(query: Query, name: str, default: int) -> int:
    value = query.first(name)
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 18):  # noqa: PLR2004 - 64 bits
        raise RefusedError(_refusal(f"`{name}` must be a whole number from 0", name))
    return int(value)


def _refusal(message: str, target: str) -> RestResponse:
    return error(400, BAD_REQUEST, message, target)
