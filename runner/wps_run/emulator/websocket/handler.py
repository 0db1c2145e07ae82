"""Accepts WebSocket clients on aiohttp, receives their frames and closes them at the end.

A refused client gets an HTTP status; for a refused recovery the WebSocket is opened and closed.
"""

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from aiohttp import hdrs, web

from wps_run.emulator.auth import ClaimError, ClientClaims, DeniedError, TokenVerifier
from wps_run.emulator.clients import HubState
from wps_run.emulator.connections import TurnBudget, WarningLimiter
from wps_run.emulator.effects import Deliver
from wps_run.emulator.events.cloud_events import ConnectAnswer, EventSource
from wps_run.emulator.events.dispatcher import EventDispatcher, EventFailedError
from wps_run.emulator.names import hub_key
from wps_run.emulator.permissions import rules_from_roles
from wps_run.emulator.request_log import ClientEvent, EventKind
from wps_run.emulator.websocket.connection import ClientConnection
from wps_run.emulator.websocket.frame_encoder import FrameEncoder
from wps_run.emulator.websocket.frames import CloseCode, CloseFrame, Connected, SendEvent
from wps_run.emulator.websocket.handshake import (
    ConnectRequest,
    HandshakeError,
    parse_connect_request,
)
from wps_run.emulator.websocket.send_queue import ClientLimits
from wps_run.emulator.websocket.session import Session, takes_no_event
from wps_run.emulator.websocket.subprotocols import ModeError, Subprotocol, negotiate, parse_mode
from wps_run.emulator.websocket.transport import ProtocolViolationError, WebSocketTransport

_LOG = logging.getLogger("wps_run.emulator")

HEARTBEAT = 30.0
"""Seconds of silence after which a client is pinged."""

_STOP_SECONDS = 1.0
"""How long a stop waits for clients to close their connections."""

_STOPPED = CloseFrame(CloseCode.GOING_AWAY, "The emulator stops.")
_NOT_RECOVERED = CloseFrame(CloseCode.POLICY_VIOLATION, "The connection could not be recovered.")

_HTTP_ERRORS = range(400, 600)
_NEVER_CONNECTED = "The client did not complete the handshake."

_LEVELS = {
    EventKind.UNHANDLED: logging.WARNING,
    EventKind.FAILED: logging.INFO,
    EventKind.REFUSED: logging.INFO,
}


_Opened = tuple[web.StreamResponse, WebSocketTransport, ClientConnection | None]
"""The answer to an upgrade, the WebSocket, and its connection; None for a refused recovery."""


class WebSocketHandler:
    """Accepts and serves WebSocket clients.

    Args:
        hubs: The hubs in use, by lower-case name. A hub is created with its first client.
        budget: The time for frames in one turn of the event loop.
        events: Calls event handlers; `stop` stops it.
        limits: How much is stored for a slow or detached client.
        heartbeat: Seconds of silence after which a client is pinged.
        on_event: Called with every client event, or None.
    """

    def __init__(  # noqa: PLR0913 - settings by name
        self,
        hubs: defaultdict[str, HubState],
        verifier: TokenVerifier,
        budget: TurnBudget,
        *,
        events: EventDispatcher,
        limits: ClientLimits,
        heartbeat: float = HEARTBEAT,
        on_event: Callable[[ClientEvent], None] | None = None,
    ) -> None:
        self._hubs = hubs
        self._verifier = verifier
        self._budget = budget
        self._events = events
        self._warning = WarningLimiter()
        self._limits = limits
        self._heartbeat = heartbeat
        self._on_event = on_event
        self._encoders: dict[str, FrameEncoder] = {}
        self._transports: set[WebSocketTransport] = set()
        self._user_events: set[asyncio.Task[None]] = set()
        self._all_closed = asyncio.Event()
        self._is_stopping = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to connect; if it is accepted, serve the client until it disconnects."""
        if self._is_stopping:
            return web.Response(status=503)
        hub = ""
        try:
            connect_request = parse_connect_request(
                request.method, request.raw_path, request.headers
            )
            hub = hub_key(connect_request.hub)
            open_ = self._recover if connect_request.connection_id else self._connect
            response, transport, connection = await open_(request, connect_request, hub)
        except HandshakeError as error:
            detail = f"{error.status}: {error.reason}"
            self._report(ClientEvent(EventKind.REFUSED, hub, detail=detail))
            return web.Response(status=error.status, text=error.reason)
        except EventFailedError as error:
            refusal = _refusal(error)
            self._report(ClientEvent(EventKind.REFUSED, hub, detail=f"{refusal.status}: {error}"))
            return refusal
        del connect_request, open_  # this coroutine lives as long as the client
        self._transports.add(transport)
        try:
            if connection is None:
                await transport.close(_NOT_RECOVERED)
            else:
                await self._serve(self._hubs[hub], connection, transport)
        finally:
            self._transports.discard(transport)
            if not self._transports:
                self._all_closed.set()
        return response

    async def stop(self) -> None:
        """Close every client with 1001, within about a second, and refuse new ones."""
        self._is_stopping = True
        self._events.cancel_blocking()
        for hub in self._hubs.values():
            for client in hub.clients.all():
                if isinstance(client, ClientConnection):
                    client.terminate(_STOPPED)
        if self._transports:
            self._all_closed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), _STOP_SECONDS)
            for transport in self._transports:
                transport.abort()
        await self._events.stop()
        await asyncio.gather(*self._user_events, return_exceptions=True)

    # New connections.

    async def _connect(
        self, request: web.BaseRequest, connect_request: ConnectRequest, hub: str
    ) -> _Opened:
        claims = self._authorize(connect_request)
        subprotocol, offered_name = _negotiate(connect_request)
        connection_id = secrets.token_urlsafe(23)
        takes_event = takes_no_event
        answer = ConnectAnswer()
        if self._events.has_handlers(hub):
            takes_event = partial(self._events.takes_user_event, hub)
            answer = await self._events.connect(
                EventSource(hub, connection_id, claims.user_id),
                claims.everything,
                connect_request.raw_query,
                request.headers,
                connect_request.subprotocols,
            )
            claims = _replace_claims(claims, answer)
        try:
            if answer.subprotocol:
                subprotocol, offered_name = _choose(connect_request, answer.subprotocol)
            transport = WebSocketTransport(offered_name, self._heartbeat, self._budget)
            response = await _open(transport, request, offered_name)
        except (HandshakeError, ConnectionError):
            self._events.disconnected(connection_id, _NEVER_CONNECTED)
            raise
        token = None
        if subprotocol.is_reliable:
            token = self._verifier.issue_reconnection_token(hub, connection_id, time.time())
        state = self._hubs[hub]
        state.hub.connect(
            connection_id,
            claims.user_id,
            claims.groups,
            protocol=subprotocol.name or offered_name or None,
            rules=rules_from_roles(claims.roles),
        )
        session = Session(state.hub, connection_id, self._limits, subprotocol, takes_event)
        encoder = self._encoders.setdefault(subprotocol.name, FrameEncoder(subprotocol))
        connection = ClientConnection(hub, state.clients, session, encoder, self._report)
        state.clients.attach(connection_id, connection)
        connection.send_response(transport, Connected(connection_id, claims.user_id, token))
        connection.attach(transport)
        detail = subprotocol.name or "no subprotocol"
        self._report(ClientEvent(EventKind.CONNECTED, hub, connection_id, claims.user_id, detail))
        self._events.connected(connection_id, claims.user_id, offered_name)
        return response, transport, connection

    def _authorize(self, connect_request: ConnectRequest) -> ClientClaims:
        try:
            return self._verifier.verify_client_token(
                connect_request.access_token, connect_request.host, connect_request.hub, time.time()
            )
        except DeniedError as error:
            raise HandshakeError(401, str(error)) from None
        except ClaimError as error:
            raise HandshakeError(400, str(error)) from None

    # Recovered connections.

    async def _recover(
        self, request: web.BaseRequest, connect_request: ConnectRequest, hub: str
    ) -> _Opened:
        connection = self._find(hub, connect_request)
        if connection is None:
            negotiated = negotiate(connect_request.subprotocols)
            name = negotiated[1] if negotiated is not None else ""
        else:
            name = connection.session.subprotocol.name
        transport = WebSocketTransport(name, self._heartbeat, self._budget)
        response = await _open(transport, request, name)
        if connection is not None and connection.recover(transport):
            return response, transport, connection
        detail = f"{_NOT_RECOVERED.code}: {_NOT_RECOVERED.reason}"
        self._report(
            ClientEvent(EventKind.REFUSED, hub, connect_request.connection_id, None, detail)
        )
        return response, transport, None

    def _find(self, hub: str, connect_request: ConnectRequest) -> ClientConnection | None:
        """Return the connection to recover, if the token is valid for it."""
        connection_id = connect_request.connection_id
        try:
            self._verifier.verify_reconnection_token(
                connect_request.reconnection_token, hub, connection_id, time.time()
            )
        except DeniedError:
            return None
        state = self._hubs.get(hub)
        client = state.clients.get(connection_id) if state is not None else None
        return client if isinstance(client, ClientConnection) else None

    # Open connections.

    async def _serve(
        self, hub: HubState, connection: ClientConnection, transport: WebSocketTransport
    ) -> None:
        close_frame = CloseFrame(CloseCode.NORMAL)
        code, detail, reason = None, "the connection was lost", "The connection was lost."
        try:
            while connection.transport is transport:
                received = await transport.receive()
                if received is None:
                    break
                if isinstance(received, CloseFrame):
                    code = received.code
                    close_frame = CloseFrame(code or CloseCode.NORMAL)
                    detail = f"the client closed with {code or 'no code'}"
                    reason = received.reason
                    break
                if not await self._handle_frame(hub, connection, transport, received):
                    break
        except ProtocolViolationError as violation:
            connection.terminate(violation.close_frame)
        except ConnectionError:
            pass
        finally:
            if connection.transport is transport:
                connection.detach(code, detail, reason)
            await transport.close(close_frame)

    async def _handle_frame(
        self,
        hub: HubState,
        connection: ClientConnection,
        transport: WebSocketTransport,
        frame: str | bytes,
    ) -> bool:
        """Execute a frame and wait for its event; return False when the connection is lost before.

        The event of a reliable client goes on then: the client may recover.
        """
        result = connection.handle_frame(transport, frame)
        if result is not None and result.user_event is not None:
            event = asyncio.ensure_future(self._send_event(hub, connection, result.user_event))
            self._user_events.add(event)
            event.add_done_callback(self._user_events.discard)
            if not await transport.wait_while_connected(event):
                return False
            event.result()
        if not transport.is_writable:
            await transport.drain()
        return True

    async def _send_event(
        self, hub: HubState, connection: ClientConnection, event: SendEvent
    ) -> None:
        """Send an event to its handler; its client gets the answer, and then the ack."""
        connection_id = connection.session.connection_id
        try:
            message = await self._events.send_user_event(
                connection_id, event.event, event.data, event.data_type, event.metadata
            )
        except EventFailedError as error:
            connection.finish_event(event, error=f"event {event.event!r}: {error}")
            return
        if message is not None:
            effect = Deliver((connection_id,), message)
            hub.clients.perform(effect, asyncio.get_running_loop().time())
        connection.finish_event(event)

    def _report(self, event: ClientEvent) -> None:
        level = _LEVELS.get(event.kind, logging.DEBUG)
        if level == logging.WARNING and not self._warning.allows():
            level = logging.INFO
        _LOG.log(
            level,
            "client %s of hub %r, user %r: %s (%s)",
            event.connection_id or "-",
            event.hub,
            event.user_id,
            event.kind,
            event.detail,
        )
        if self._on_event is not None:
            self._on_event(event)
        if event.kind is EventKind.DISCONNECTED:
            self._events.disconnected(event.connection_id, event.reason)


async def _open(
    transport: WebSocketTransport, request: web.BaseRequest, subprotocol: str
) -> web.StreamResponse:
    """Answer the upgrade with this subprotocol, whatever the client offers."""
    if request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "") != subprotocol:
        headers = request.headers.copy()
        headers.popall(hdrs.SEC_WEBSOCKET_PROTOCOL, None)
        if subprotocol:
            headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = subprotocol
        request = request.clone(headers=headers)
    try:
        return await transport.open(request)
    except web.HTTPException as error:
        raise HandshakeError(error.status, error.text or "the handshake is invalid") from None


def _refusal(error: EventFailedError) -> web.Response:
    """Return what a client is answered that may not connect: an error of the handler, or 500."""
    answer = error.answer
    if answer is None or answer.status not in _HTTP_ERRORS:
        return web.Response(status=500)
    content_type = answer.headers.get(hdrs.CONTENT_TYPE)
    headers = {hdrs.CONTENT_TYPE: content_type} if content_type else None
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _replace_claims(claims: ClientClaims, answer: ConnectAnswer) -> ClientClaims:
    return ClientClaims(
        claims.user_id if answer.user_id is None else answer.user_id or None,
        claims.roles if answer.roles is None else answer.roles,
        answer.groups or claims.groups,
    )


def _choose(connect_request: ConnectRequest, name: str) -> tuple[Subprotocol, str]:
    """Return the subprotocol that an event handler has chosen, and its name as offered."""
    for offered in connect_request.subprotocols:
        if offered.lower() == name.lower():
            return negotiate([offered]) or (_parse_mode(connect_request), offered)
    raise HandshakeError(500, "the event handler chose a subprotocol that the client did not offer")


def _negotiate(connect_request: ConnectRequest) -> tuple[Subprotocol, str]:
    """Return the subprotocol, and its name as the client wrote it; "" for simple clients.

    A wrong mode is refused whether it would be used or not.
    """
    simple_frames = _parse_mode(connect_request)
    return negotiate(connect_request.subprotocols) or (simple_frames, "")


def _parse_mode(connect_request: ConnectRequest) -> Subprotocol:
    try:
        return parse_mode(connect_request.query)
    except ModeError as error:
        raise HandshakeError(400, str(error)) from None
