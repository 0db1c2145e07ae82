"""The REST side on aiohttp: a request to a call, an answer to a response, effects performed."""

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict

from runner.service.access import DeniedError, Gate
from runner.service.clients import Clients
from runner.service.effects import Effect
from runner.service.hub import Hub
from runner.service.names import hub_key
from runner.service.rest.bodies import Body, check_length
from runner.service.rest.operations import Answer, Call
from runner.service.rest.replies import (
    PROBLEM,
    RefusedError,
    Reply,
    bad_request,
    unauthorized,
)
from runner.service.rest.routes import Entry, Operation, Route, find
from runner.service.rest.targets import BadTargetError, Query, decode, segments, split_target
from runner.service.rest.versions import PARAMETER, SUPPORTED, Verdict, judge

_LOG = logging.getLogger("runner.service")

_SECURITY = ("Strict-Transport-Security", "max-age=15724800; includeSubDomains")
_VERSIONS = ("api-supported-versions", ", ".join(SUPPORTED))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came of it.

    Attributes:
        method: The HTTP method.
        path: The raw path, without the query.
        operation: The operation's name, or "" when there is none at this path.
        hub: The hub's lower-case name, or "" when the path names none.
        status: The status it was answered with.
        effect: What clients noticed of it, or None.
    """

    method: str
    path: str
    operation: str
    hub: str
    status: int
    effect: Effect | None = None


@dataclass(slots=True)
class Room:
    """One hub and the clients in it."""

    hub: Hub = field(default_factory=Hub)
    clients: Clients = field(default_factory=Clients)


class Rest:
    """Answers the REST operations of one service.

    Args:
        rooms: The hubs in use, by lower-case name. A hub comes into being when it is asked for.
        gate: Verifies tokens.
        scheme: `http` or `https`, as the clients see it.
        strict_api_version: Refuse newer api-versions instead of warning.
        on_request: Is given each exchange after it was answered, or None.
    """

    def __init__(
        self,
        rooms: defaultdict[str, Room],
        gate: Gate,
        *,
        scheme: str,
        strict_api_version: bool = False,
        on_request: Callable[[Exchange], None] | None = None,
    ) -> None:
        self._rooms = rooms
        self._gate = gate
        self._scheme = scheme
        self._strict = strict_api_version
        self._on_request = on_request
        self._secret = secrets.token_bytes(32)
        self._warned: set[str] = set()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request. The one handler of the server, whatever the path."""
        path, operation, hub = "", "", ""
        try:
            path, query = split_target(request.raw_path)
            route = find(request.method, segments(decode(path)))
            operation, hub = route.operation.name, hub_key(route.hub)
            answer = await self._run(request, route, path, Query(query))
        except RefusedError as refusal:
            answer = Answer(refusal.reply)
        except BadTargetError:
            answer = Answer(bad_request("Invalid request target."))
        if self._on_request is not None:
            status, effect = answer.reply.status, answer.effect
            self._on_request(Exchange(request.method, path, operation, hub, status, effect))
        return _response(answer.reply)

    async def _run(self, request: web.BaseRequest, route: Route, path: str, query: Query) -> Answer:
        host = request.headers.get("Host", "")
        now = time.time()
        self._admit(request.headers.get("Authorization", ""), route.operation, host, path, now)
        self._check_version(query)
        route.check_names()
        body = await _read(request) if route.operation.has_body else Body()
        name = hub_key(route.hub)
        room = self._rooms[name] if name else Room()
        answer = route.operation.run(
            Call(
                hub=room.hub,
                hub_name=name,
                names=route.names,
                query=query,
                body=body,
                url=f"{self._scheme}://{host}{path}",
                gate=self._gate,
                secret=self._secret,
                now=now,
            )
        )
        if answer.effect is not None:
            room.clients.perform(answer.effect)
        return answer

    def _admit(
        self, authorization: str, operation: Operation, host: str, path: str, now: float
    ) -> None:
        if operation.entry is Entry.ANYONE:
            return
        identity_only = operation.entry is Entry.IDENTITY
        try:
            self._gate.admit(authorization, host, path, now, identity_only=identity_only)
        except DeniedError as denied:
            _LOG.info("401 for %r: %s", f"{self._scheme}://{host}{path}", denied)
            raise RefusedError(unauthorized(str(denied))) from None

    def _check_version(self, query: Query) -> None:
        verdict = judge(query)
        if verdict is Verdict.SUPPORTED:
            return
        if verdict is Verdict.REFUSED or self._strict:
            message = "The specified API version is not supported."
            raise RefusedError(bad_request(message, PARAMETER))
        version = query.first(PARAMETER)
        if version not in self._warned:
            self._warned.add(version)
            _LOG.warning(
                "api-version %s is newer than %s, the newest known", version, SUPPORTED[-1]
            )


async def _read(request: web.BaseRequest) -> Body:
    length = check_length(request.content_length)
    content_type = request.headers.get("Content-Type", "")
    if not length:
        return Body(content_type)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        return Body(content_type, await request.content.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        raise RefusedError(bad_request("The request body is shorter than announced.")) from None


def _response(reply: Reply) -> web.Response:
    headers = CIMultiDict((_SECURITY,))
    if reply.content_type != PROBLEM:
        headers.add(*_VERSIONS)
    if reply.content_type:
        headers["Content-Type"] = reply.content_type
    if reply.code:
        headers["x-ms-error-code"] = reply.code
    headers.update(reply.headers)
    return web.Response(status=reply.status, body=reply.body or None, headers=headers)
