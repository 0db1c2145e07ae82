"""The WebSocket side on aiohttp: upgrades answered, clients served, all of them closed at the end.

A refusal before the upgrade is an HTTP status; a refused recovery is an upgrade that is closed.
"""

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from aiohttp import hdrs, web

from wps_run.emulator.auth import ClaimError, ClientClaims, DeniedError, TokenVerifier
from wps_run.emulator.clients import HubState
from wps_run.emulator.effects import Effect
from wps_run.emulator.names import hub_key
from wps_run.emulator.request_log import ClientEvent, EventKind
from wps_run.emulator.websocket.connection import ClientConnection, HubContext
from wps_run.emulator.websocket.frame_encoder import FrameEncoder
from wps_run.emulator.websocket.frames import Connected
from wps_run.emulator.websocket.handshake import (
    ConnectRequest,
    HandshakeError,
    connect_request,
    offers,
)
from wps_run.emulator.websocket.roles import rules
from wps_run.emulator.websocket.send_queue import ClientLimits
from wps_run.emulator.websocket.session import Closing, Session
from wps_run.emulator.websocket.simple_frames import ModeError, SimpleFrames, read_mode
from wps_run.emulator.websocket.subprotocols import Subprotocol, choose
from wps_run.emulator.websocket.transport import BrokenError, WebSocketTransport

_LOG = logging.getLogger("wps_run.emulator")

HEARTBEAT = 30.0
"""Seconds of silence after which a client is pinged."""

_STOP_SECONDS = 1.0
"""How long a stop waits for clients to hang up."""

_GOING_AWAY = Closing(1001, "The service stops.")
_NOT_RECOVERED = Closing(1008, "The connection could not be recovered.")
_EVENTS = SimpleFrames()
"""Most simple clients can share one: the less there is, the better a fan-out is cached."""

_LEVELS = {
    EventKind.UNHANDLED: logging.WARNING,
    EventKind.FAILED: logging.INFO,
    EventKind.REFUSED: logging.INFO,
}


_Entered = tuple[web.StreamResponse, WebSocketTransport, ClientConnection | None]
"""The answer to an upgrade, the WebSocket, and who speaks through it; None for a refused one."""


class WebSocketHandler:
    """Lets WebSocket clients in and serves them.

    Args:
        rooms: The hubs in use, by lower-case name. A hub comes into being with its first client.
        gate: Verifies and issues tokens.
        limits: What is kept for a client that is slow or away.
        heartbeat: Seconds of silence after which a client is pinged.
        on_event: Is told what clients do, or None.
    """

    def __init__(
        self,
        rooms: defaultdict[str, HubState],
        gate: TokenVerifier,
        *,
        limits: ClientLimits,
        heartbeat: float = HEARTBEAT,
        on_event: Callable[[ClientEvent], None] | None = None,
    ) -> None:
        self._rooms = rooms
        self._gate = gate
        self._limits = limits
        self._heartbeat = heartbeat
        self._on_event = on_event
        self._presses: dict[str, FrameEncoder] = {}
        self._places: dict[str, HubContext] = {}
        self._lines: set[WebSocketTransport] = set()
        self._is_empty = asyncio.Event()
        self._is_stopping = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to connect; once it is granted, serve the client until it leaves."""
        if self._is_stopping:
            return web.Response(status=503)
        hub = ""
        try:
            asked = _read(request)
            hub = hub_key(asked.hub)
            enter = self._recover if asked.connection_id else self._connect
            response, line, link = await enter(request, asked, hub)
        except HandshakeError as refusal:
            detail = f"{refusal.status}: {refusal.reason}"
            self._tell(ClientEvent(EventKind.REFUSED, hub, detail=detail))
            return web.Response(status=refusal.status, text=refusal.reason)
        del asked, enter  # this coroutine lives as long as the client
        self._lines.add(line)
        try:
            if link is None:
                await line.finish(_NOT_RECOVERED)
            else:
                await self._serve(self._rooms[hub], link, line)
        finally:
            self._lines.discard(line)
            if not self._lines:
                self._is_empty.set()
        return response

    async def stop(self) -> None:
        """Close every client with 1001, within a second or so. No client is let in after this."""
        self._is_stopping = True
        for room in self._rooms.values():
            for client in room.clients.all():
                if isinstance(client, ClientConnection):
                    client.end(_GOING_AWAY)
        if not self._lines:
            return
        self._is_empty.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_empty.wait(), _STOP_SECONDS)
        for line in self._lines:
            line.abort()

    # New clients.

    async def _connect(self, request: web.BaseRequest, asked: ConnectRequest, hub: str) -> _Entered:
        claims = self._admit(request, asked)
        subprotocol, spelt = self._choose(request, asked)
        line = WebSocketTransport(spelt, self._heartbeat)
        connection_id = secrets.token_urlsafe(23)
        token = None
        if subprotocol.reliable:
            token = self._gate.issue_reconnection_token(hub, connection_id, time.time())
        response = await _open(line, request, spelt)
        room = self._rooms[hub]
        room.hub.connect(
            connection_id,
            claims.user_id,
            claims.groups,
            protocol=subprotocol.name or None,
            rules=rules(claims.roles),
        )
        session = Session(
            room.hub,
            connection_id,
            self._limits,
            reliable=subprotocol.reliable,
            simple=not subprotocol.name,
        )
        press = self._presses.setdefault(subprotocol.name, FrameEncoder(subprotocol))
        place = self._places.setdefault(hub, HubContext(hub, room.clients, self._report))
        link = ClientConnection(place, session, subprotocol, press)
        room.clients.attach(connection_id, link)
        link.tell(line, Connected(connection_id, claims.user_id, token))
        link.attach(line)
        detail = subprotocol.name or "no subprotocol"
        self._tell(ClientEvent(EventKind.CONNECTED, hub, connection_id, claims.user_id, detail))
        return response, line, link

    def _admit(self, request: web.BaseRequest, asked: ConnectRequest) -> ClientClaims:
        token = asked.access_token(request.headers.get(hdrs.AUTHORIZATION, ""))
        host = request.headers.get(hdrs.HOST, "")
        try:
            return self._gate.verify_client_token(token, host, asked.hub, time.time())
        except DeniedError as denied:
            raise HandshakeError(401, str(denied)) from None
        except ClaimError as wrong:
            raise HandshakeError(400, str(wrong)) from None

    def _choose(self, request: web.BaseRequest, asked: ConnectRequest) -> tuple[Subprotocol, str]:
        chosen = choose(offers(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())))
        if chosen is not None:
            return chosen
        try:
            mode = read_mode(asked.query)
        except ModeError as wrong:
            raise HandshakeError(400, str(wrong)) from None
        return (_EVENTS if mode == _EVENTS.mode else SimpleFrames(mode)), ""

    # Clients that come back.

    async def _recover(self, request: web.BaseRequest, asked: ConnectRequest, hub: str) -> _Entered:
        link = self._find(hub, asked)
        if link is None:
            chosen = choose(offers(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())))
            spelt = chosen[1] if chosen is not None else ""
        else:
            spelt = link.subprotocol.name
        line = WebSocketTransport(spelt, self._heartbeat)
        response = await _open(line, request, spelt)
        if link is not None and link.recover(line):
            return response, line, link
        detail = f"{_NOT_RECOVERED.code}: {_NOT_RECOVERED.reason}"
        self._tell(ClientEvent(EventKind.REFUSED, hub, asked.connection_id, None, detail))
        return response, line, None

    def _find(self, hub: str, asked: ConnectRequest) -> ClientConnection | None:
        """The link that a client may come back to."""
        try:
            self._gate.verify_reconnection_token(
                asked.reconnection_token, hub, asked.connection_id, time.time()
            )
        except DeniedError:
            return None
        room = self._rooms.get(hub)
        link = room.clients.get(asked.connection_id) if room is not None else None
        return link if isinstance(link, ClientConnection) else None

    # Clients that are there.

    async def _serve(
        self, room: HubState, link: ClientConnection, line: WebSocketTransport
    ) -> None:
        """Read what a client sends until it, or the service, ends it."""
        closing, code, detail = Closing(1000), None, "the connection was lost"
        try:
            while link.line is line:
                heard = await line.hear()
                if heard is None:
                    break
                if isinstance(heard, Closing):
                    closing, code = Closing(heard.code or 1000), heard.code
                    detail = f"the client closed with {code or 'no code'}"
                    break
                await self._carry_out(room, link, line, heard)
        except BrokenError as broken:
            link.end(broken.closing)
        except ConnectionError:
            pass
        finally:
            if link.line is line:
                link.lose(code, detail)
            await line.finish(closing)

    async def _carry_out(
        self, room: HubState, link: ClientConnection, line: WebSocketTransport, frame: str | bytes
    ) -> None:
        outcome = link.hear(line, frame)
        if outcome is not None and outcome.effect is not None:
            room.clients.perform(outcome.effect)
            await _breathe()
        if not line.is_clear:
            await line.drain()

    # What is told.

    def _report(
        self, link: ClientConnection, kind: EventKind, detail: str, effect: Effect | None
    ) -> None:
        session = link.session
        if kind is EventKind.DISCONNECTED:
            link.place.clients.detach(session.connection_id)
        self._tell(
            ClientEvent(
                kind, link.place.hub, session.connection_id, session.user_id, detail, effect
            )
        )

    def _tell(self, event: ClientEvent) -> None:
        _LOG.log(
            _LEVELS.get(event.kind, logging.DEBUG),
            "client %s of hub %r, user %r: %s (%s)",
            event.connection_id or "-",
            event.hub,
            event.user_id,
            event.kind,
            event.detail,
        )
        if self._on_event is not None:
            self._on_event(event)


def _read(request: web.BaseRequest) -> ConnectRequest:
    return connect_request(
        request.method,
        request.raw_path,
        request.headers.get(hdrs.UPGRADE, ""),
        request.headers.get(hdrs.CONNECTION, ""),
    )


async def _open(
    line: WebSocketTransport, request: web.BaseRequest, spelt: str
) -> web.StreamResponse:
    """Answer the upgrade, naming this subprotocol whatever the client offers."""
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    if offered != spelt:
        headers = request.headers.copy()
        headers.popall(hdrs.SEC_WEBSOCKET_PROTOCOL, None)
        if spelt:
            headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = spelt
        request = request.clone(headers=headers)
    try:
        return await line.open(request)
    except web.HTTPException as wrong:
        raise HandshakeError(wrong.status, wrong.text or "no valid handshake") from None


async def _breathe() -> None:
    """Let others run: a client that floods a group must not be served alone."""
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn
