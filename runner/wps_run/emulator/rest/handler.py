"""The REST API on aiohttp: route a request, run its operation, perform effects, inject faults."""

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from wps_run.emulator.auth import DeniedError, TokenVerifier
from wps_run.emulator.clients import HubState, Users
from wps_run.emulator.faults import FaultDecision, FaultInjector, FaultKind, FaultTiming
from wps_run.emulator.names import hub_key
from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.rest.bodies import Body
from wps_run.emulator.rest.http_io import (
    FaultDelays,
    read_body,
    reset_connection,
    to_aiohttp,
    write_half,
)
from wps_run.emulator.rest.operations import OperationCall, OperationResult
from wps_run.emulator.rest.responses import (
    OK,
    RefusedError,
    RestResponse,
    bad_request,
    injected_response,
    unauthorized,
)
from wps_run.emulator.rest.routes import AccessRule, Route, find_route
from wps_run.emulator.targets import (
    API_VERSION,
    API_VERSIONS,
    BadTargetError,
    Query,
    VersionCheck,
    check_api_version,
    decode_path,
    mask_tokens,
    split_path,
    split_target,
)

_LOG = logging.getLogger("wps_run.emulator")

_ENCODED_SLASH = "%2F"
_WARNED_LIMIT = 1000
"""The maximum number of names that the log warns about, since callers choose them."""

REQUEST_ID = "x-ms-client-request-id"
"""The header with the caller's ID of a request."""


@dataclass(frozen=True, slots=True)
class _RoutedRequest:
    """A request with its route, raw path and raw query."""

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


class RestHandler:
    """Answers the requests to the REST API of one emulator.

    Args:
        hubs: The hubs in use, by lower-case name. A request to an unknown hub creates it.
        scheme: `http` or `https`, as the clients see it.
        strict_api_version: Refuse newer api-versions instead of warning.
        on_request: Is called with each request once its status is known, and with the users of
            the connections in its effect.
    """

    def __init__(  # noqa: PLR0913 - settings by name
        self,
        hubs: defaultdict[str, HubState],
        verifier: TokenVerifier,
        faults: FaultInjector,
        *,
        scheme: str,
        strict_api_version: bool = False,
        on_request: Callable[[RequestEntry, Users], None],
    ) -> None:
        self._hubs = hubs
        self._verifier = verifier
        self._faults = faults
        self._scheme = scheme
        self._strict = strict_api_version
        self._on_request = on_request
        self._secret = secrets.token_bytes(32)
        self._warned_versions: set[str] = set()
        self._warned_names: set[str] = set()
        self._delays = FaultDelays()

    def stop(self) -> None:
        """End the requests that a fault delays or stalls, present and future."""
        self._delays.stop()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        path, query = "", ""
        try:
            path, query = split_target(request.raw_path)
            route = find_route(request.method, split_path(decode_path(path)))
        except RefusedError as refusal:
            response = refusal.response
        except BadTargetError:
            response = bad_request("Invalid request target.")
        else:
            return to_aiohttp(
                await self._handle_routed(_RoutedRequest(request, route, path, query))
            )
        query = mask_tokens(query)
        entry = RequestEntry(request.method, path, "", "", response.status, query=query)
        self._on_request(entry, ())
        return to_aiohttp(response)

    async def _handle_routed(self, routed: _RoutedRequest) -> RestResponse:
        if routed.hub:
            decision = self._faults.decide(routed.operation, routed.hub)
            if decision:
                return await self._inject(routed, decision)
        result = await self._run_or_refuse(routed, None)
        self._report(routed, result, result.response.status)
        return result.response

    async def _inject(self, routed: _RoutedRequest, decision: FaultDecision) -> RestResponse:
        fault = decision.fault
        body = await _read_or_refuse(routed)  # first: the caller may give up during a delay
        await self._delays.pause(decision.delay(FaultTiming.BEFORE))
        if fault is not None and fault.timing is FaultTiming.BEFORE:
            result = OperationResult(OK)
        else:
            result = await self._run_or_refuse(routed, body)
        response = result.response
        if fault is not None and fault.kind is FaultKind.STATUS:
            response = injected_response(fault, time.time())
        is_answered = fault is None or fault.kind is FaultKind.STATUS
        self._report(routed, result, response.status if is_answered else 0, decision.texts)
        await self._delays.pause(decision.delay(FaultTiming.AFTER))
        if fault is not None:
            await self._break_connection(fault.kind, routed.request, response)
        return response

    async def _break_connection(
        self, kind: FaultKind, request: web.BaseRequest, response: RestResponse
    ) -> None:
        """Do to the connection what the fault says; a later response is then discarded."""
        match kind:
            case FaultKind.STALL:
                await self._delays.stall(request)
            case FaultKind.RESET:
                reset_connection(request)
            case FaultKind.HALF:
                write_half(request, response)
            case FaultKind.STATUS | FaultKind.DELAY:
                pass

    def _report(
        self,
        routed: _RoutedRequest,
        result: OperationResult,
        status: int,
        faults: tuple[str, ...] = (),
    ) -> None:
        effect = result.effect
        entry = RequestEntry(
            method=routed.request.method,
            path=routed.path,
            operation=routed.operation,
            hub=routed.hub,
            status=status,
            effect=effect,
            query=mask_tokens(routed.query),
            names=routed.route.names,
            request_id=routed.request.headers.get(REQUEST_ID, ""),
            faults=faults,
        )
        self._on_request(entry, self._hubs[routed.hub].users_of(effect) if effect else ())

    async def _run_or_refuse(
        self, routed: _RoutedRequest, body: Body | RefusedError | None
    ) -> OperationResult:
        try:
            return await self._run(routed, body)
        except RefusedError as refusal:
            return OperationResult(refusal.response)

    async def _run(
        self, routed: _RoutedRequest, body: Body | RefusedError | None
    ) -> OperationResult:
        """Run the operation, with the body if it has been read.

        Raises:
            RefusedError: The request is invalid.
        """
        request, route, query = routed.request, routed.route, Query(routed.query)
        host = request.headers.get("Host", "")
        now = time.time()
        self._check_access(routed, host, now)
        self._check_version(query)
        route.check_names()
        self._warn_of_slashes(route)
        if body is None:
            body = await _read_or_refuse(routed)
        name = routed.hub
        state = self._hubs[name] if name else HubState()
        result = route.operation.run(
            OperationCall(
                hub=state.hub,
                hub_name=name,
                names=route.names,
                query=query,
                received=body,
                origin=f"{self._scheme}://{host}",
                path=routed.path,
                verifier=self._verifier,
                secret=self._secret,
                now=now,
                headers=tuple(request.headers.items()),
            )
        )
        if result.effect is not None:
            state.clients.perform(result.effect, asyncio.get_running_loop().time())
        return result

    def _check_access(self, routed: _RoutedRequest, host: str, now: float) -> None:
        access = routed.route.operation.access
        if access is AccessRule.ANYONE:
            return
        authorization = routed.request.headers.get("Authorization", "")
        try:
            self._verifier.verify_rest_token(
                authorization, host, routed.path, now, entra_only=access is AccessRule.ENTRA_ID
            )
        except DeniedError as denied:
            _LOG.info("401 for %r: %s", f"{self._scheme}://{host}{routed.path}", denied)
            raise RefusedError(unauthorized(str(denied))) from None

    def _warn_of_slashes(self, route: Route) -> None:
        """Warn, once a name, that `%2F` in a path is not a `/` to the service."""
        for name in route.names:
            if _ENCODED_SLASH not in name.upper() or name in self._warned_names:
                continue
            if len(self._warned_names) < _WARNED_LIMIT:
                self._warned_names.add(name)
                plain = name.replace("%2F", "/").replace("%2f", "/")
                _LOG.warning(
                    "the path names %r, which is not %r: the service keeps %%2F in a path, so "
                    "a client that joined with a / is not reached",
                    name,
                    plain,
                )

    def _check_version(self, query: Query) -> None:
        check = check_api_version(query)
        if check is VersionCheck.SUPPORTED:
            return
        if check is VersionCheck.REFUSED or self._strict:
            message = "The specified API version is not supported."
            raise RefusedError(bad_request(message, API_VERSION))
        version = query.first(API_VERSION)
        if version not in self._warned_versions:
            self._warned_versions.add(version)
            _LOG.warning(
                "api-version %s is newer than %s, the newest known", version, API_VERSIONS[-1]
            )


async def _read_or_refuse(routed: _RoutedRequest) -> Body | RefusedError:
    """Read the body of a request, if its operation has one, or say why it is refused."""
    if not routed.route.operation.has_body:
        return Body()
    try:
        return await read_body(routed.request)
    except RefusedError as refusal:
        return refusal
