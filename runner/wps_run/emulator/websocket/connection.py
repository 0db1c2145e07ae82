"""Between a session and its WebSocket: messages written or kept, requests read and answered."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from wps_run.emulator.clients import Clients
from wps_run.emulator.effects import Effect, Message
from wps_run.emulator.request_log import EventKind
from wps_run.emulator.websocket.frame_encoder import FrameEncoder, whole_frame
from wps_run.emulator.websocket.frames import Disconnected, FrameError, Notice
from wps_run.emulator.websocket.send_queue import QueueFullError
from wps_run.emulator.websocket.session import Closing, Session, SessionResult
from wps_run.emulator.websocket.subprotocols import Subprotocol
from wps_run.emulator.websocket.transport import WebSocketTransport

_CLOSED_BY_REST = "Application server closed the connection."
_SLOW = Closing(1008, "The client does not read fast enough.")

Report = Callable[["ClientConnection", EventKind, str, Effect | None], None]
"""Is told what happens to a link: what, in which words, and what came of a request."""


@dataclass(frozen=True, slots=True)
class HubContext:
    """What all links of a hub share.

    Attributes:
        hub: The hub's lower-case name.
        clients: Its clients, to be plugged into when nothing waits or is numbered.
        report: Is told what happens.
    """

    hub: str
    clients: Clients
    report: Report


class ClientConnection:
    """The client behind one connection of a hub: a session, and a WebSocket while there is one.

    Args:
        place: The hub it is in.
        session: The session.
        subprotocol: What its client speaks.
        press: Makes the frames of messages.

    Attributes:
        session: The session.
        line: The WebSocket, or None while the client is away and after the end.
    """

    __slots__ = (
        "_flusher",
        "_press",
        "_timer",
        "line",
        "place",
        "session",
        "subprotocol",
    )

    def __init__(
        self,
        place: HubContext,
        session: Session,
        subprotocol: Subprotocol,
        press: FrameEncoder,
    ) -> None:
        self.place = place
        self.session = session
        self.subprotocol = subprotocol
        self.line: WebSocketTransport | None = None
        self._press = press
        self._flusher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    # What the hub brings about. Called while a request is answered.

    def deliver(self, message: Message) -> None:
        """Give the client a message, at once if it reads, else when it does."""
        line, queue = self.line, self.session.queue
        try:
            if line is not None and line.is_clear and not queue.has_pending:
                number = queue.record_sent(message, _now() if message.ttl else 0.0)
                self._write(line, message, number)
            else:
                self.unplug()
                queue.put(message, _now())
                self._flush()
        except QueueFullError:
            self.end(_SLOW)

    def close(self, reason: str) -> None:
        """A REST call has closed the connection: give the client what it was sent, and its notice.

        Source: the service says `Reason: …` only if it was given one, in no close frame.
        """
        line = self.line
        if line is not None:
            self._write_waiting(line, hurry=True)
            said = f"{_CLOSED_BY_REST} Reason: {reason}" if reason else _CLOSED_BY_REST
            self.tell(line, Disconnected(said))
        self.end(Closing(1000), told=f"closed by REST: {reason}" if reason else "closed by REST")

    # What the WebSocket brings.

    def attach(self, line: WebSocketTransport) -> None:
        """Speak through this WebSocket from now on; one it spoke through before is cut off."""
        before, self.line = self.line, line
        line.owner = self
        if before is not None:
            before.owner = None
            before.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._flush()

    def recover(self, line: WebSocketTransport) -> bool:
        """Let the client come back on another WebSocket; False when it is too late."""
        if not self.session.recover(_now()):
            return False
        self.place.report(self, EventKind.RECOVERED, "on another WebSocket", None)
        self.attach(line)
        return True

    def hear(self, line: WebSocketTransport, frame: str | bytes) -> SessionResult | None:
        """Carry out what a frame of the client asks, and answer it.

        Returns:
            What came of it; the effect is for the caller to perform. None when it was no request.
        """
        try:
            request = self.subprotocol.read(frame)
        except FrameError as error:
            self.end(Closing(error.code, error.reason))
            return None
        outcome = self.session.handle(request)
        if outcome.kind is not None:
            self.place.report(self, outcome.kind, outcome.detail, outcome.effect)
        if outcome.notice is not None:
            self.tell(line, outcome.notice)
        if outcome.closing is not None:
            self.end(outcome.closing)
        return outcome

    def tell(self, line: WebSocketTransport, notice: Notice) -> None:
        """Say something to the client; simple ones are told nothing."""
        data = self.subprotocol.write(notice)
        if data:
            line.write(whole_frame(data, binary=self.subprotocol.binary))

    def lose(self, code: int | None, detail: str) -> None:
        """The WebSocket is gone: for good, or for as long as the session waits for its client."""
        self.line = None
        until = self.session.lose(code, _now())
        if until is None:
            self.place.report(self, EventKind.DISCONNECTED, detail, None)
        else:
            self._timer = asyncio.get_running_loop().call_at(until, self._expire)
            self.place.report(self, EventKind.DETACHED, detail, None)

    def end(self, closing: Closing, told: str = "") -> None:
        """End it for good, with these words for the log in place of the code and the reason."""
        if self.session.is_over:
            return
        self.session.end()
        line, self.line = self.line, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if line is not None:
            line.hang_up(closing)
        said = told or f"closed with {closing.code}: {closing.reason}"
        self.place.report(self, EventKind.DISCONNECTED, said, None)

    def unplug(self) -> None:
        """Have messages handed over, instead of written to the WebSocket."""
        self.place.clients.disable_fast_path(self.session.connection_id)

    # The inside.

    def _plug(self, line: WebSocketTransport) -> None:
        if line.pipe is not None and not self.session.reliable:
            self.place.clients.enable_fast_path(
                self.session.connection_id, line.pipe, self._press.make
            )

    def _write(self, line: WebSocketTransport, message: Message, number: int | None) -> None:
        if number is None:
            line.write(self._press.make(message))
        else:
            line.write(self._press.numbered(message, number))

    def _expire(self) -> None:
        self._timer = None
        self.session.end()
        self.place.report(self, EventKind.DISCONNECTED, "the client did not come back", None)

    def _flush(self) -> None:
        """Write what waits; what is left when the client is full waits for it to read."""
        line = self.line
        if line is None:
            return
        self._write_waiting(line)
        if not line.is_clear and self._flusher is None:
            self._flusher = asyncio.ensure_future(self._flush_later(line))

    async def _flush_later(self, line: WebSocketTransport) -> None:
        try:
            while self.line is line:
                await line.drain()
                self._write_waiting(line)
                if line.is_clear:
                    break
        except ConnectionError:
            pass
        finally:
            self._flusher = None
        if self.line is not None and self.line is not line:
            self._flush()

    def _write_waiting(self, line: WebSocketTransport, *, hurry: bool = False) -> None:
        now = _now()
        while line.is_patient if hurry else line.is_clear:
            item = self.session.queue.take(now)
            if item is None:
                self._plug(line)
                return
            message, number = item
            self._write(line, message, number)


def _now() -> float:
    return asyncio.get_running_loop().time()
