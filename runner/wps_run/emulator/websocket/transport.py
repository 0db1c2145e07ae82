"""One WebSocket on aiohttp: written to without waiting, and closed in bounded time.

A frame goes to the transport in one write, as aiohttp's own writer does it, so that its pings and
close frames stand between frames, never within one.
"""

import asyncio
from typing import Protocol, cast

from aiohttp import WebSocketError, WSMsgType, web

from wps_run.emulator.clients import WRITE_BUFFER_LIMIT
from wps_run.emulator.websocket.session import Closing

MESSAGE_LIMIT = 1024 * 1024
"""The most bytes a client's message may have."""

_FAREWELL = 4 * 1024 * 1024
"""The bytes that are written to a client that is closed, so that it hears what it was sent."""

_CLOSE_SECONDS = 2.0
"""How long a client may take to answer a close frame."""

_LINGER_SECONDS = 5.0
"""How long a client may take to read what was written, and to hang up."""


class BrokenError(Exception):
    """The client broke a rule of WebSockets, and is being closed; `closing` says how."""

    def __init__(self, closing: Closing) -> None:
        super().__init__(closing.reason)
        self.closing = closing


class _Linger(asyncio.Protocol):
    """Takes the place of a connection's protocol until the client hangs up, for a bounded time.

    To close a socket while the client still sends would make its system throw away what it has
    not read: the close frame.
    """

    def __init__(self, pipe: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._before = cast("asyncio.Protocol", pipe.get_protocol())
        self.over: asyncio.Future[None] = loop.create_future()
        if getattr(self._before, "transport", None) is None:
            self.over.set_result(None)
            return
        self._timer = loop.call_later(_LINGER_SECONDS, pipe.abort)
        pipe.set_protocol(self)
        if not pipe.can_write_eof():
            pipe.close()
            return
        try:
            pipe.write_eof()
            pipe.resume_reading()
        except OSError:  # the client has cut it off
            pipe.abort()

    def data_received(self, data: bytes) -> None:
        """What comes after the close frame is nobody's business."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._before.connection_lost(exc)
        self.over.set_result(None)

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()


class _Socket(web.WebSocketResponse):
    """aiohttp's WebSocket, which here neither waits for readers nor closes under a sender."""

    line: "WebSocketTransport"
    """Is told when it is being closed, by whomever."""

    linger: _Linger | None = None

    async def close(
        self,
        *,
        code: int = 1000,
        message: bytes = b"",
        drain: bool = True,  # noqa: ARG002 - it could wait for ever
    ) -> bool:
        """Close; never waits for the client to read."""
        self.line.shut()
        return await super().close(code=code, message=message, drain=False)

    def _close_transport(self) -> None:
        self.line.shut()
        pipe = self._req.transport if self._req is not None else None
        if self.linger is None and pipe is not None:
            self.linger = _Linger(pipe)


class Owner(Protocol):
    """Who writes to a WebSocket's pipe."""

    def unplug(self) -> None:
        """Nothing may be written to it any more."""


class WebSocketTransport:
    """One WebSocket.

    Args:
        protocol: The subprotocol to name in the answer, as the client spelt it; "" for none.
        heartbeat: Seconds of silence after which a client is pinged. Half of that later, it is
            taken for dead.

    Attributes:
        pipe: Where frames go; None before the upgrade, and once it is being closed.
        owner: Is told when it is being closed, or None.
    """

    __slots__ = ("_closer", "_request", "_socket", "owner", "pipe")

    def __init__(self, protocol: str, heartbeat: float) -> None:
        self._socket = _Socket(
            timeout=_CLOSE_SECONDS,
            autoclose=False,
            autoping=False,
            heartbeat=heartbeat,
            protocols=(protocol,) if protocol else (),
            compress=False,
            max_msg_size=MESSAGE_LIMIT + 1,  # aiohttp refuses this many
        )
        self._socket.line = self
        self._closer: asyncio.Task[bool] | None = None
        self.pipe: asyncio.Transport | None = None
        self.owner: Owner | None = None

    async def open(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer the upgrade.

        Raises:
            aiohttp.web.HTTPException: The handshake is not what it should be.
            ConnectionError: The client has gone.
        """
        await self._socket.prepare(request)
        if request.transport is None:
            raise ConnectionResetError
        self._request = request
        self.pipe = request.transport
        self.pipe.set_write_buffer_limits(high=WRITE_BUFFER_LIMIT)
        return self._socket

    @property
    def is_clear(self) -> bool:
        """Whether the client reads what it is given, so that more may be written."""
        return self._holds(WRITE_BUFFER_LIMIT)

    @property
    def is_patient(self) -> bool:
        """Whether more may be written before it is closed, read or not."""
        return self._holds(_FAREWELL)

    def _holds(self, most: int) -> bool:
        """Whether no more than this is unread; a transport that was cut off cannot be asked."""
        pipe = self.pipe
        return pipe is None or pipe.is_closing() or pipe.get_write_buffer_size() <= most

    def write(self, frame: bytes) -> None:
        """Write one whole frame, unless the WebSocket is being closed."""
        pipe = self.pipe
        if pipe is not None and not pipe.is_closing():
            pipe.write(frame)

    async def drain(self) -> None:
        """Wait until the client has read enough. Raises ConnectionError if it has gone."""
        await self._request.writer.drain()

    async def hear(self) -> str | bytes | Closing | None:
        """The next message; a Closing when the client closes, None when it is over otherwise.

        Pings are answered. A client that does not read gets no pongs.

        Raises:
            BrokenError: The client broke a rule.
            ConnectionError: The client has gone.
        """
        while True:
            message = await self._socket.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    return cast("str | bytes", message.data)
                case WSMsgType.PING:
                    if self.is_clear:
                        await self._socket.pong(message.data)
                case WSMsgType.PONG:
                    continue
                case WSMsgType.CLOSE:
                    return Closing(message.data, message.extra or "")
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    raise BrokenError(Closing(int(message.data.code), str(message.data)))
                case _:
                    return None

    def shut(self) -> None:
        """Write nothing more."""
        self.pipe = None
        if self.owner is not None:
            self.owner.unplug()

    def hang_up(self, closing: Closing) -> None:
        """Begin to close; nothing is written after this but the close frame."""
        if self.pipe is not None:
            self.shut()
            close = self._socket.close(code=closing.code, message=closing.reason.encode())
            self._closer = asyncio.ensure_future(close)

    def abort(self) -> None:
        """Cut the connection off; what was not read yet is lost."""
        self.shut()
        if self._request.transport is not None:
            self._request.transport.abort()

    async def finish(self, closing: Closing) -> None:
        """Close, unless that is under way, and wait until the client has hung up."""
        self.hang_up(closing)
        if self._closer is not None:
            await asyncio.shield(self._closer)
        if self._socket.linger is not None:
            await asyncio.shield(self._socket.linger.over)
