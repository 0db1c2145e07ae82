"""Connects a session to its WebSocket: delivers or queues messages, handles the client's frames."""

import asyncio
from collections.abc import Callable

from wps_run.emulator.clients import Clients
from wps_run.emulator.effects import Effect, Message
from wps_run.emulator.request_log import ClientEvent, EventKind
from wps_run.emulator.websocket.frame_encoder import FrameEncoder, encode_frame
from wps_run.emulator.websocket.frames import (
    CloseCode,
    CloseFrame,
    Disconnected,
    FrameError,
    SendEvent,
    ServerResponse,
)
from wps_run.emulator.websocket.send_queue import QueueFullError
from wps_run.emulator.websocket.session import Session, SessionResult
from wps_run.emulator.websocket.transport import WebSocketTransport

_CLOSED_BY_REST = "Application server closed the connection."
_TOO_SLOW = CloseFrame(CloseCode.POLICY_VIOLATION, "The client does not read fast enough.")


class ClientConnection:
    """The client of one connection of a hub: a session, and a WebSocket while there is one.

    Args:
        hub: The hub's lower-case name.
        clients: The hub's clients.
        on_event: Called with every event of the connection.

    Attributes:
        transport: The WebSocket; None while the session is detached, and after its end.
    """

    __slots__ = (
        "_clients",
        "_encoder",
        "_flusher",
        "_hub",
        "_on_event",
        "_timer",
        "session",
        "transport",
    )

    def __init__(
        self,
        hub: str,
        clients: Clients,
        session: Session,
        encoder: FrameEncoder,
        on_event: Callable[[ClientEvent], None],
    ) -> None:
        self.session = session
        self.transport: WebSocketTransport | None = None
        self._hub = hub
        self._clients = clients
        self._encoder = encoder
        self._on_event = on_event
        self._flusher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # Called by the hub's clients, while a request is processed.

    def deliver(self, message: Message) -> None:
        """Queue a message, as the fast path could not send it, and send what can be sent now."""
        self.disable_fast_path()
        try:
            self.session.queue.put(message, _now())
        except QueueFullError:
            self.terminate(_TOO_SLOW)
        else:
            self._flush()

    def close(self, reason: str) -> None:
        """Send the queued messages and a notice, and close: a REST call has closed the connection.

        Source: the service sends `Reason: …` only if there is one, and never in a close frame.
        """
        transport = self.transport
        message = f"{_CLOSED_BY_REST} Reason: {reason}" if reason else _CLOSED_BY_REST
        if transport is not None:
            self._write_pending(transport, before_close=True)
            self.send_response(transport, Disconnected(message))
        detail = f"closed by REST: {reason}" if reason else "closed by REST"
        self.terminate(CloseFrame(CloseCode.NORMAL), detail, message)

    # Called by the WebSocket's handler.

    def attach(self, transport: WebSocketTransport) -> None:
        """Use this WebSocket from now on, and abort the one before."""
        self.disable_fast_path()
        previous, self.transport = self.transport, transport
        transport.owner = self
        if previous is not None:
            previous.owner = None
            previous.abort()
        self._cancel_timer()
        self._flush()

    def recover(self, transport: WebSocketTransport) -> bool:
        """Recover the session on another WebSocket. Returns False when it is too late."""
        if not self.session.recover(_now()):
            return False
        self._report(EventKind.RECOVERED, "on another WebSocket")
        self.attach(transport)
        return True

    def handle_frame(
        self, transport: WebSocketTransport, frame: str | bytes
    ) -> SessionResult | None:
        """Execute the request in a frame: its effect comes first, then the response.

        Returns:
            The result, whose user event the caller must send; None for an invalid frame.
        """
        try:
            request = self.session.subprotocol.decode(frame)
        except FrameError as error:
            self.terminate(error.close_frame)
            return None
        result = self.session.handle(request)
        self._respond(transport, result)
        return result

    def finish_event(self, event: SendEvent, *, error: str = "") -> None:
        """Acknowledge an event that its handler has answered; an error closes the connection."""
        self._respond(self.transport, self.session.finish_event(event, error=error))

    def _respond(self, transport: WebSocketTransport | None, result: SessionResult) -> None:
        if result.event is not None:
            self._report(result.event, result.detail, result.effect)
        if result.effect is not None:
            self._clients.perform(result.effect, _now())
        if result.response is not None and transport is not None and transport is self.transport:
            self.send_response(transport, result.response)
        if result.close_frame is not None:
            self.terminate(result.close_frame)

    def send_response(self, transport: WebSocketTransport, response: ServerResponse) -> None:
        """Send a response, if the subprotocol has it: simple clients get none."""
        subprotocol = self.session.subprotocol
        payload = subprotocol.encode_response(response)
        if payload:
            transport.write(encode_frame(payload, is_binary=subprotocol.is_binary))

    def detach(self, code: int | None, detail: str, reason: str = "") -> None:
        """Handle the loss of the WebSocket: end the session, or wait for its client.

        Args:
            code: The client's close code, or None.
            detail: For the log.
            reason: The client's reason, for event handlers.
        """
        self.transport = None
        until = self.session.detach(code, _now())
        if until is None:
            self._report(EventKind.DISCONNECTED, detail, reason=reason)
        else:
            self._timer = asyncio.get_running_loop().call_at(until, self._expire)
            self._report(EventKind.DETACHED, detail)

    def terminate(self, close_frame: CloseFrame, detail: str = "", reason: str = "") -> None:
        """End the session and close the WebSocket.

        Args:
            close_frame: How it is closed.
            detail: For the log; "" for what the close frame says.
            reason: For event handlers; the same.
        """
        if self.session.is_ended:
            return
        self.session.end()
        transport, self.transport = self.transport, None
        self._cancel_timer()
        if transport is not None:
            transport.start_close(close_frame)
        detail = detail or f"closed with {close_frame.code}: {close_frame.reason}"
        self._report(EventKind.DISCONNECTED, detail, reason=reason or close_frame.reason)

    def disable_fast_path(self) -> None:
        """Have messages delivered to this object instead of written to the WebSocket."""
        self._clients.disable_fast_path(self.session.connection_id)

    def _enable_fast_path(self, transport: WebSocketTransport) -> None:
        if transport.raw_transport is not None:
            session = self.session
            self._clients.enable_fast_path(
                session.connection_id,
                transport.raw_transport,
                self._encoder,
                session.queue.record_sent if session.subprotocol.is_reliable else None,
            )

    def _report(
        self, kind: EventKind, detail: str, effect: Effect | None = None, reason: str = ""
    ) -> None:
        session = self.session
        if kind is EventKind.DISCONNECTED:
            self._clients.detach(session.connection_id)
        self._on_event(
            ClientEvent(
                kind,
                self._hub,
                session.connection_id,
                session.user_id,
                detail,
                effect,
                reason=reason,
            )
        )

    def _expire(self) -> None:
        self._timer = None
        self.session.end()
        reason = "The connection recovery timeout expired."
        self._report(EventKind.DISCONNECTED, "the client did not reconnect in time", reason=reason)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        """Write the pending messages; a task writes those that do not fit now."""
        transport = self.transport
        if transport is None:
            return
        self._write_pending(transport)
        if not transport.is_writable and self._flusher is None:
            self._flusher = asyncio.ensure_future(self._flush_later(transport))

    async def _flush_later(self, transport: WebSocketTransport) -> None:
        try:
            while self.transport is transport:
                await transport.drain()
                self._write_pending(transport)
                if transport.is_writable:
                    break
        except ConnectionError:
            pass
        finally:
            self._flusher = None
        if self.transport is not None and self.transport is not transport:
            self._flush()

    def _write_pending(self, transport: WebSocketTransport, *, before_close: bool = False) -> None:
        now = _now()
        while transport.is_writable_before_close if before_close else transport.is_writable:
            entry = self.session.queue.take(now)
            if entry is None:
                self._enable_fast_path(transport)
                return
            transport.write(self._encoder.encode(*entry))


def _now() -> float:
    return asyncio.get_running_loop().time()
