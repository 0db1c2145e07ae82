"""One WebSocket on aiohttp: written to without waiting, and closed in bounded time.

A frame goes to asyncio's transport in one write, as aiohttp's own writer does it, so that aiohttp's
pings and close frames never split a frame.
"""

import asyncio
from typing import Any, Protocol, cast

from aiohttp import WebSocketError, WSMessage, WSMsgType, web

from wps_run.emulator.clients import WRITE_BUFFER_LIMIT
from wps_run.emulator.connections import TurnBudget
from wps_run.emulator.websocket.frames import CloseFrame

MESSAGE_LIMIT = 1024 * 1024
"""The most bytes of a client's message."""

_CLOSE_BUFFER_LIMIT = 4 * 1024 * 1024
"""The most unsent bytes of a client that is being closed, so that it gets its queued messages."""

_CLOSE_SECONDS = 2.0
"""How long a client may take to answer a close frame."""

_LINGER_SECONDS = 5.0
"""How long a client may take after that to read what was sent, and to close the connection."""


class ProtocolViolationError(Exception):
    """The client violated RFC 6455; the WebSocket is being closed.

    Attributes:
        close_frame: How it is closed.
    """

    def __init__(self, close_frame: CloseFrame) -> None:
        super().__init__(close_frame.reason)
        self.close_frame = close_frame


class _LingeringClose(asyncio.Protocol):
    """Replaces a connection's protocol until the client closes the connection, in bounded time.

    If a socket is closed while its peer still sends, the peer's system discards what the peer has
    not read: the close frame.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._protocol = cast("asyncio.Protocol", transport.get_protocol())
        self.done: asyncio.Future[None] = loop.create_future()
        if getattr(self._protocol, "transport", None) is None:
            self.done.set_result(None)
            return
        self._timer = loop.call_later(_LINGER_SECONDS, transport.abort)
        transport.set_protocol(self)
        if not transport.can_write_eof():
            transport.close()
            return
        try:
            transport.write_eof()
            transport.resume_reading()
        except OSError:  # the client has reset the connection
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Ignore what comes after the close frame."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._protocol.connection_lost(exc)
        self.done.set_result(None)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


class _WebSocket(web.WebSocketResponse):
    """aiohttp's WebSocket, with a close that never waits for the client to read."""

    transport: "WebSocketTransport"
    """Stopped when aiohttp or the client closes the WebSocket."""

    lingering_close: _LingeringClose | None = None

    async def close(
        self,
        *,
        code: int = 1000,
        message: bytes = b"",
        drain: bool = True,  # noqa: ARG002 - it could wait forever
    ) -> bool:
        self.transport.stop_writing()
        return await super().close(code=code, message=message, drain=False)

    def _close_transport(self) -> None:
        self.transport.stop_writing()
        raw_transport = self._req.transport if self._req is not None else None
        if self.lingering_close is None and raw_transport is not None:
            self.lingering_close = _LingeringClose(raw_transport)


_Received = str | bytes | CloseFrame | None
"""A message, the close frame of the client, or None for a connection that is lost."""


def _retrieve_exception(received: asyncio.Task[_Received]) -> None:
    """Log no exception of a message that nobody receives any more."""
    if not received.cancelled():
        received.exception()


def _is_loss(received: asyncio.Task[_Received]) -> bool:
    error = received.exception()
    return isinstance(error, ConnectionError) or (error is None and received.result() is None)


class TransportOwner(Protocol):
    """Has the hub's clients write directly to the raw transport."""

    def disable_fast_path(self) -> None:
        """Stop these writes."""


class WebSocketTransport:
    """One WebSocket.

    Args:
        subprotocol: The subprotocol in the handshake's response; "" for none.
        heartbeat: Seconds of silence after which a client is pinged. It is disconnected if it does
            not answer in half of that.
        budget: The time for frames in one turn of the event loop.

    Attributes:
        raw_transport: Where frames are written; None before the upgrade and after a close began.
        owner: Notified before a close, or None.
    """

    __slots__ = (
        "_ahead",
        "_budget",
        "_close_task",
        "_last_turn",
        "_request",
        "_socket",
        "owner",
        "raw_transport",
    )

    def __init__(self, subprotocol: str, heartbeat: float, budget: TurnBudget) -> None:
        self._socket = _WebSocket(
            timeout=_CLOSE_SECONDS,
            autoclose=False,
            autoping=False,
            heartbeat=heartbeat,
            protocols=(subprotocol,) if subprotocol else (),
            compress=False,
            max_msg_size=MESSAGE_LIMIT + 1,  # aiohttp refuses messages of this size
        )
        self._socket.transport = self
        self._budget = budget
        self._last_turn = -1
        self._close_task: asyncio.Task[bool] | None = None
        self._ahead: asyncio.Task[_Received] | None = None
        self.raw_transport: asyncio.Transport | None = None
        self.owner: TransportOwner | None = None

    async def open(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer the upgrade.

        Raises:
            aiohttp.web.HTTPException: The handshake is invalid.
            ConnectionError: The client has disconnected.
        """
        await self._socket.prepare(request)
        if request.transport is None:
            raise ConnectionResetError
        self._request = request
        self.raw_transport = request.transport
        self.raw_transport.set_write_buffer_limits(high=WRITE_BUFFER_LIMIT)
        return self._socket

    @property
    def is_writable(self) -> bool:
        """Whether the client reads fast enough for more to be written."""
        return self._is_buffer_within(WRITE_BUFFER_LIMIT)

    @property
    def is_writable_before_close(self) -> bool:
        """Whether more may be written right before a close, even if the client reads slowly."""
        return self._is_buffer_within(_CLOSE_BUFFER_LIMIT)

    def _is_buffer_within(self, limit: int) -> bool:
        transport = self.raw_transport  # an aborted one has no buffer size
        return (
            transport is None
            or transport.is_closing()
            or transport.get_write_buffer_size() <= limit
        )

    def write(self, frame: bytes) -> None:
        """Write one frame, unless the WebSocket is being closed."""
        transport = self.raw_transport
        if transport is not None and not transport.is_closing():
            transport.write(frame)

    async def drain(self) -> None:
        """Wait until the client has read enough. Raises ConnectionError if it has disconnected."""
        await self._request.writer.drain()

    async def receive(self) -> _Received:
        """Return the next message or the client's close frame; None when the connection is lost.

        Pings are answered, unless the client does not read. A client that sends faster than the
        budget allows waits for its turn.

        Raises:
            ProtocolViolationError: The client violated RFC 6455.
            ConnectionError: The client has disconnected.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            return await ahead
        while True:
            message = await self._socket.receive()
            self._last_turn = await self._budget.enter(self._last_turn)
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    return cast("str | bytes", message.data)
                case WSMsgType.PING | WSMsgType.PONG:
                    await self._answer_ping(message)
                case WSMsgType.CLOSE:
                    return CloseFrame(message.data, message.extra or "")
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    close_frame = CloseFrame(int(message.data.code), str(message.data))
                    raise ProtocolViolationError(close_frame)
                case _:
                    return None

    async def _answer_ping(self, message: WSMessage) -> None:
        if message.type is WSMsgType.PING and self.is_writable:
            await self._socket.pong(message.data)

    async def wait_while_connected(self, work: asyncio.Future[None]) -> bool:
        """Wait for the work that a message caused; return False if the connection is lost before.

        The next message is received meanwhile, so that a loss is noticed and pings are answered;
        `receive` returns it.
        """
        ahead = asyncio.ensure_future(self.receive())
        ahead.add_done_callback(_retrieve_exception)
        both: set[asyncio.Future[Any]] = {work, ahead}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        self._ahead = ahead
        if not work.done() and not _is_loss(ahead):
            await asyncio.wait({work})
        return work.done()

    def stop_writing(self) -> None:
        """Write no more frames."""
        self.raw_transport = None
        if self.owner is not None:
            self.owner.disable_fast_path()

    def start_close(self, close_frame: CloseFrame) -> None:
        """Begin to close; only the close frame is written after this."""
        if self.raw_transport is not None:
            self.stop_writing()
            close = self._socket.close(code=close_frame.code, message=close_frame.reason.encode())
            self._close_task = asyncio.ensure_future(close)

    def abort(self) -> None:
        """Close the connection at once; unsent and unread data are lost."""
        self.stop_writing()
        if self._request.transport is not None:
            self._request.transport.abort()

    async def close(self, close_frame: CloseFrame) -> None:
        """Close, unless a close is under way, and wait until the connection is closed."""
        self.start_close(close_frame)
        if self._close_task is not None:
            await asyncio.shield(self._close_task)
        if self._socket.lingering_close is not None:
            await asyncio.shield(self._socket.lingering_close.done)
