"""The REST side on aiohttp: a request to a call, an answer to a response, effects performed."""

import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import web

from wps_run.emulator.auth import DeniedError, TokenVerifier
from wps_run.emulator.clients import Clients
from wps_run.emulator.effects import Close, Effect
from wps_run.emulator.faults.injection import Waiting, answer_half, fault_reply, reset
from wps_run.emulator.faults.rules import FaultDecision, FaultInjector, FaultKind, FaultTiming
from wps_run.emulator.hub import Hub
from wps_run.emulator.names import hub_key
from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.rest.bodies import Body
from wps_run.emulator.rest.operations import Answer, OperationCall
from wps_run.emulator.rest.replies import OK, RefusedError, RestResponse, bad_request, unauthorized
from wps_run.emulator.rest.routes import AccessRule, Operation, Route, find
from wps_run.emulator.rest.targets import (
    BadTargetError,
    Query,
    decode,
    segments,
    split_target,
    without_secrets,
)
from wps_run.emulator.rest.versions import PARAMETER, SUPPORTED, VersionCheck, judge
from wps_run.emulator.rest.wire import headers_of, read_body, response

_LOG = logging.getLogger("wps_run.emulator")

_SLASH = "%2F"
_WARNED_MOST = 1000
"""Of how many names the log warns, since whoever calls chooses them."""

REQUEST_ID = "x-ms-client-request-id"
"""The header in which a caller numbers its requests."""


Users = tuple[str | None, ...]
"""Whose some connections are, in their order."""


@dataclass(slots=True)
class HubState:
    """One hub and the clients in it."""

    hub: Hub = field(default_factory=Hub)
    clients: Clients = field(default_factory=Clients)

    def users_of(self, effect: Effect) -> Users:
        """Whose the connections of an effect are that was just brought about, in their order."""
        if isinstance(effect, Close):
            return effect.users
        known = self.hub.connections
        return tuple(known[one].user_id if one in known else None for one in effect.connections)


class RestHandler:
    """Answers the REST operations of one service.

    Args:
        rooms: The hubs in use, by lower-case name. A hub comes into being when it is asked for.
        gate: Verifies tokens.
        faults: What befalls requests.
        scheme: `http` or `https`, as the clients see it.
        strict_api_version: Refuse newer api-versions instead of warning.
        on_request: Is given each exchange once its status is known, and whose the connections
            of its effect are, in their order.
    """

    def __init__(  # noqa: PLR0913 - settings by name
        self,
        rooms: defaultdict[str, HubState],
        gate: TokenVerifier,
        faults: FaultInjector,
        *,
        scheme: str,
        strict_api_version: bool = False,
        on_request: Callable[[RequestEntry, Users], None],
    ) -> None:
        self._rooms = rooms
        self._gate = gate
        self._faults = faults
        self._scheme = scheme
        self._strict = strict_api_version
        self._on_request = on_request
        self._secret = secrets.token_bytes(32)
        self._warned: set[str] = set()
        self._slashed: set[str] = set()
        self._waiting = Waiting()

    def stop(self) -> None:
        """Let go of every request that a fault keeps waiting, for good."""
        self._waiting.end()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request, whatever its path."""
        path, query, route = "", "", None
        try:
            path, query = split_target(request.raw_path)
            route = find(request.method, segments(decode(path)))
        except RefusedError as refusal:
            answer = Answer(refusal.reply)
        except BadTargetError:
            answer = Answer(bad_request("Invalid request target."))
        else:
            asked = _Asked(request, route, path, query)
            if route.hub and (strike := self._faults.next(asked.operation, asked.hub)):
                return await self._strike(asked, strike)
            answer = await self._answer(asked)
            self._tell(asked, answer, answer.reply.status)
            return response(answer.reply)
        status, shown = answer.reply.status, without_secrets(query)
        self._on_request(RequestEntry(request.method, path, "", "", status, query=shown), ())
        return response(answer.reply)

    async def _strike(self, asked: "_Asked", strike: FaultDecision) -> web.Response:
        """Answer a request that one or more faults strike."""
        fault = strike.fault
        await self._waiting.pause(strike.delay(FaultTiming.BEFORE))
        if fault is not None and fault.moment is FaultTiming.BEFORE:
            await _swallow(asked.request)
            answer = Answer(OK)
        else:
            answer = await self._answer(asked)
        reply = answer.reply
        if fault is not None and fault.kind is FaultKind.STATUS:
            reply = fault_reply(fault, time.time())
        whole = fault is None or fault.kind is FaultKind.STATUS
        self._tell(asked, answer, reply.status if whole else 0, strike.texts)
        await self._waiting.pause(strike.delay(FaultTiming.AFTER))
        if fault is not None:
            await self._carry_out(fault.kind, asked.request, reply)
        return response(reply)

    async def _carry_out(
        self, kind: FaultKind, request: web.BaseRequest, reply: RestResponse
    ) -> None:
        """Do to the connection what the fault says; what is answered then reaches nobody."""
        match kind:
            case FaultKind.STALL:
                await self._waiting.stall(request)
            case FaultKind.RESET:
                reset(request)
            case FaultKind.HALF:
                answer_half(request, reply, headers_of(reply))
            case FaultKind.STATUS | FaultKind.DELAY:
                pass

    def _tell(
        self, asked: "_Asked", answer: Answer, status: int, faults: tuple[str, ...] = ()
    ) -> None:
        exchange = RequestEntry(
            method=asked.request.method,
            path=asked.path,
            operation=asked.operation,
            hub=asked.hub,
            status=status,
            effect=answer.effect,
            query=without_secrets(asked.query),
            names=asked.route.names,
            request_id=asked.request.headers.get(REQUEST_ID, ""),
            faults=faults,
        )
        effect = answer.effect
        users = self._rooms[asked.hub].users_of(effect) if effect else ()
        self._on_request(exchange, users)

    async def _answer(self, asked: "_Asked") -> Answer:
        try:
            return await self._run(asked.request, asked.route, asked.path, Query(asked.query))
        except RefusedError as refusal:
            return Answer(refusal.reply)

    async def _run(self, request: web.BaseRequest, route: Route, path: str, query: Query) -> Answer:
        host = request.headers.get("Host", "")
        now = time.time()
        self._admit(request.headers.get("Authorization", ""), route.operation, host, path, now)
        self._check_version(query)
        route.check_names()
        self._warn_of_slashes(route)
        body = await read_body(request) if route.operation.has_body else Body()
        name = hub_key(route.hub)
        room = self._rooms[name] if name else HubState()
        answer = route.operation.run(
            OperationCall(
                hub=room.hub,
                hub_name=name,
                names=route.names,
                query=query,
                body=body,
                url=f"{self._scheme}://{host}{path}",
                gate=self._gate,
                secret=self._secret,
                now=now,
                headers=tuple(request.headers.items()),
            )
        )
        if answer.effect is not None:
            room.clients.perform(answer.effect)
        return answer

    def _admit(
        self, authorization: str, operation: Operation, host: str, path: str, now: float
    ) -> None:
        if operation.entry is AccessRule.ANYONE:
            return
        identity_only = operation.entry is AccessRule.IDENTITY
        try:
            self._gate.admit(authorization, host, path, now, identity_only=identity_only)
        except DeniedError as denied:
            _LOG.info("401 for %r: %s", f"{self._scheme}://{host}{path}", denied)
            raise RefusedError(unauthorized(str(denied))) from None

    def _warn_of_slashes(self, route: Route) -> None:
        """Warn, once a name, that a `/` in a path does not mean what its caller may think."""
        for name in route.names:
            if _SLASH not in name.upper() or name in self._slashed:
                continue
            if len(self._slashed) < _WARNED_MOST:
                self._slashed.add(name)
                plain = name.replace("%2F", "/").replace("%2f", "/")
                _LOG.warning(
                    "the path names %r, which is not %r: the service leaves %%2F as it is in a "
                    "path, so whoever joined with a / is not reached",
                    name,
                    plain,
                )

    def _check_version(self, query: Query) -> None:
        verdict = judge(query)
        if verdict is VersionCheck.SUPPORTED:
            return
        if verdict is VersionCheck.REFUSED or self._strict:
            message = "The specified API version is not supported."
            raise RefusedError(bad_request(message, PARAMETER))
        version = query.first(PARAMETER)
        if version not in self._warned:
            self._warned.add(version)
            _LOG.warning(
                "api-version %s is newer than %s, the newest known", version, SUPPORTED[-1]
            )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, and where it goes."""

    request: web.BaseRequest
    route: Route
    path: str
    query: str

    @property
    def operation(self) -> str:
        return self.route.operation.name

    @property
    def hub(self) -> str:
        return hub_key(self.route.hub)


async def _swallow(request: web.BaseRequest) -> None:
    """Take the body of a request that nothing is done about."""
    with suppress(RefusedError):
        await read_body(request)
