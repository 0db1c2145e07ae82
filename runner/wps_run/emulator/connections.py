"""Connections on aiohttp: accepted within the limits of the process, and dropped when unused.

A connection has `request_seconds` for each request, from its start or from the first byte of the
request to the last one. Pauses between requests and open WebSockets have no such limit. When the
process runs short of file descriptors, an unused connection is closed for each new one: first those
that wait longest for a whole request. Clients that send faster than they are served, or what is
slow to parse, share a time budget per turn of the event loop, so that the others wait briefly.
"""

import asyncio
import errno
import logging
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache, partial
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import _ErrInfo

from wps_run.emulator.plain_http import (
    PlainResponse,
    PlainRoute,
    encode_head,
    read_plain_request,
)

if sys.platform != "win32":
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit

_LOG = logging.getLogger("wps_run.emulator")


def _is_not_http_error(record: logging.LogRecord) -> bool:
    """Filter out parser errors, which quote what the client sent: it may hold a token."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_HTTP_LOG = logging.getLogger("wps_run.emulator.http")
_HTTP_LOG.addFilter(_is_not_http_error)

REQUEST_SECONDS = 30.0
"""How long a client may take to send one request."""

_STOP_SECONDS = 1.0
"""How long a stop waits for responses in progress."""

_PAUSE_SECONDS = 365 * 24 * 3600.0
"""How long a pause between requests may be. aiohttp counts only requests that it reads itself."""

_BACKLOG = 1024
"""How many connections the system keeps until they are accepted."""

_READ_BYTES = 64 * 1024
"""The maximum size of one read of a body of a known length."""

_FIRST_READ_BYTES = 16 * 1024
"""The same before the head of a request is known."""

_PARTS_READ_BYTES = 4 * 1024
"""The same for the parts of WebSockets and chunked bodies: those of one read are parsed at once,
however small they are.
"""

_TURN_SECONDS = 0.001
"""The time budget in one turn of the event loop."""

_SLOW_PARSE_SECONDS = _TURN_SECONDS / 4
"""A client that sends what takes longer to parse has no further read in the same turn."""

_RESERVED_DESCRIPTORS = 32
"""File descriptors that connections leave free, for other files; at most an eighth of the limit."""

_UNUSED_SECONDS = 0.1
"""How long a connection must be unused before it is closed for a new one."""

_RETRY_SECONDS = 0.05
"""The pause after a failed accept."""

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_HEAD_END = b"\r\n\r\n"


class WarningLimiter:
    """Limits a warning that a client can cause to one per second."""

    def __init__(self) -> None:
        self._next_time = 0.0

    def allows(self) -> bool:
        """Whether the warning may be logged now."""
        now = time.monotonic()
        if now < self._next_time:
            return False
        self._next_time = now + 1
        return True


class TurnBudget:
    """Limits the time that busy clients take in one turn of the event loop.

    The first frame or request of a client in a turn is handled at once. Those that follow it are
    handled while the turn has time left; then their clients wait, and one continues per turn.
    Clients that send what is slow to parse wait as well.
    """

    def __init__(self) -> None:
        self._turn = 0
        self._end = 0.0
        self._is_turn_counted = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self, last_turn: int) -> int:
        """Wait until a client may be served, and return the number of the turn.

        Args:
            last_turn: The turn in which the client was served last; -1 for none.
        """
        loop = asyncio.get_running_loop()
        if last_turn == self._turn and self._is_turn_counted and loop.time() > self._end:
            waiter = loop.create_future()
            self._waiting.append(waiter)
            await waiter
        if not self._is_turn_counted:
            self._count_turn(loop)
        return self._turn

    def call_in_turn(self, resume: Callable[[], None]) -> None:
        """Call a function when it is the turn of a client to continue."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        waiter.add_done_callback(lambda _: resume())
        self._waiting.append(waiter)
        if not self._is_turn_counted:
            self._count_turn(loop)

    def _count_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_turn_counted = True
        self._end = loop.time() + _TURN_SECONDS
        loop.call_soon(self._start_turn, loop)

    def _start_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turn += 1
        self._is_turn_counted = False
        if self._waiting:
            self._count_turn(loop)  # before the waiter continues: it has the whole next turn
            waiter = self._waiting.popleft()
            if not waiter.done():  # its client has disconnected
                waiter.set_result(None)


class HttpConnection(web.RequestHandler, asyncio.BufferedProtocol):
    """One connection: knows whether it waits for the rest of a request, and limits its reads.

    Attributes:
        opening: The task that makes its transport, or None.
        last_turn: The turn of the event loop in which it was served last.
    """

    __slots__ = (
        "_expected",
        "_first_bytes",
        "_has_failed",
        "_held",
        "_is_served",
        "_is_unused",
        "_is_whole",
        "_listener",
        "_read_bytes",
        "_received",
        "last_turn",
        "opening",
    )

    def __init__(self, listener: "Listener", server: web.Server, **settings: Any) -> None:  # noqa: ANN401 - of aiohttp
        super().__init__(server, loop=asyncio.get_running_loop(), **settings)
        self.opening: asyncio.Task[Any] | None = None
        self.last_turn = -1
        self._listener = listener
        self._read_bytes = _FIRST_READ_BYTES
        self._has_failed = False  # to parse what the client sends
        self._is_unused = True  # the next byte begins a request
        self._held = b""  # the first part of a plain request
        self._is_served = False
        self._is_whole = False
        self._first_bytes = b""
        self._received = 0  # since the request began
        self._expected = 0  # the size of the request, if all of its head is in `_first_bytes`

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - one size for all
        """Return where to read to: shared, since the data is copied before the next read."""
        return self._listener.read_buffer[: self._read_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        if self._has_failed:
            return
        data = self._held + bytes(self._listener.read_buffer[:nbytes])
        if self._is_unused:
            if self._answer_plain(data):
                return
            if not self._held:
                self._listener.expect_request(self)
            self._is_unused, self._held = False, b""
            self._first_bytes, self._received = data, 0
        self._received += len(data)
        start = time.perf_counter()
        self.data_received(data)
        if time.perf_counter() - start > _SLOW_PARSE_SECONDS and not self._upgraded:
            self._wait_for_turn()

    def data_received(self, data: bytes) -> None:
        """Parse data. After an error, ignore what follows, and keep no data with the error."""
        super().data_received(data)
        last = self._messages[-1][0] if self._messages else None
        if isinstance(last, _ErrInfo):
            self._has_failed = True
            error: BaseException | None = last.exc
            while error is not None:
                error.__traceback__ = None  # its frames form a reference cycle with the error
                error = error.__context__

    def _answer_plain(self, data: bytes) -> bool:
        """Answer a plain request, or hold its first part; return False if it is for aiohttp.

        It is the only request in progress. A client that leaves responses unread is for aiohttp,
        which waits for it.
        """
        route, transport = self._listener.plain_route, self.transport
        if route is None or transport is None or transport.get_write_buffer_size():
            return False
        request = read_plain_request(data, route.request_line)
        if request is None or (request.missing and self._held):
            return False
        if request.missing:
            self._held = data
            self._listener.expect_request(self)
            return True
        response = route.answer(request.headers)
        if response is None:
            return False
        self._held = b""
        self._listener.forget(self)
        self._listener.pause(self)
        transport.write(_encode(response))
        return True

    def _wait_for_turn(self) -> None:
        """Read on when it is the turn of this client, unless aiohttp waits then."""
        if self.transport is not None:
            self.transport.pause_reading()
            self._listener.budget.call_in_turn(self._read_on)

    def _read_on(self) -> None:
        is_paused = self._reading_paused or self._buffer_paused  # by aiohttp
        if self.transport is not None and not is_paused:
            self.transport.resume_reading()

    def begin(self, request: web.BaseRequest) -> None:
        """Note that a request is being served, which has its head and perhaps no body yet."""
        self._is_served, self._is_whole = True, False
        head_size = self._first_bytes.find(_HEAD_END) + len(_HEAD_END)
        self._expected = head_size + (request.content_length or 0)
        has_parts = hdrs.UPGRADE in request.headers or hdrs.TRANSFER_ENCODING in request.headers
        self._read_bytes = _PARTS_READ_BYTES if has_parts else _READ_BYTES
        request.content.on_eof(self._complete)

    def finish(self) -> None:
        """Note that the request has been served."""
        self._is_served = False
        if self._is_whole:
            self._wait_for_next()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._listener.forget(self)
        self._first_bytes = self._held = b""
        super().connection_lost(exc)

    def drop(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            self.transport.abort()
        elif self.opening is not None:
            self.opening.cancel()

    def _complete(self) -> None:
        self._is_whole = True
        self._listener.forget(self)
        if not self._is_served:
            self._wait_for_next()

    def _wait_for_next(self) -> None:
        """Pause without a limit only if it is certain that no further request has begun."""
        if self._received == self._expected:
            self._is_unused, self._first_bytes = True, b""
            self._listener.pause(self)
        else:
            self._listener.expect_request(self)


class Listener:
    """Listens on an address and accepts connections. It belongs to the running event loop.

    Args:
        handler: Answers requests.
        budget: Shared by all that serves clients.
        request_seconds: How long a client may take to send one request.
        plain_route: Requests that are answered without aiohttp, or None.
        settings: Further settings of aiohttp's `web.Server`.

    Attributes:
        budget: As given.
        plain_route: As given.
        port: The port, once it listens.
        read_buffer: Where all connections read to.
    """

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        budget: TurnBudget,
        request_seconds: float,
        plain_route: PlainRoute | None = None,
        **settings: Any,  # noqa: ANN401 - of aiohttp
    ) -> None:
        self.plain_route = plain_route
        self.port = 0
        self.read_buffer = memoryview(bytearray(_READ_BYTES))
        self._handler = handler
        self.budget = budget
        self._request_seconds = request_seconds
        self._settings = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": _PAUSE_SECONDS,
            "logger": _HTTP_LOG,
            **settings,
        }
        self._server = web.Server(self._serve)
        self._sockets: list[socket.socket] = []
        self._is_accepting = True
        self._tasks: set[asyncio.Future[Any]] = set()
        self._incomplete: dict[HttpConnection, float] = {}  # since when, oldest first
        self._paused: dict[HttpConnection, float] = {}
        self._unused = (self._incomplete, self._paused)
        self._timer: asyncio.TimerHandle | None = None
        self._warning = WarningLimiter()

    async def start(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        """Listen.

        Raises:
            OSError: The address is not available.
        """
        loop = asyncio.get_running_loop()
        bound = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
        try:
            self._sockets = [bound_socket.dup() for bound_socket in bound.sockets]
        finally:
            bound.close()
        try:
            for listening in self._sockets:
                listening.settimeout(0)
                listening.listen(_BACKLOG)
        except OSError:
            self._close_sockets()
            raise
        self.port = self._sockets[0].getsockname()[1]
        for listening in self._sockets:
            self._tasks.add(asyncio.ensure_future(self._accept(listening, context)))

    async def stop_accepting(self) -> None:
        """Accept no more connections."""
        self._is_accepting = False
        for listening in self._sockets:
            with suppress(NotImplementedError):  # by the event loop of Windows
                asyncio.get_running_loop().remove_reader(listening)
        # Opens what was accepted already, which a canceled `sock_accept` would lose.
        await asyncio.sleep(0)  # noqa: TID251 - yields to `_accept`
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._close_sockets()

    async def close(self) -> None:
        """Close all connections, after the responses in progress."""
        await self.stop_accepting()
        self._server.pre_shutdown()
        await self._server.shutdown(_STOP_SECONDS)
        if self._timer is not None:
            self._timer.cancel()

    # Called by the connections.

    def expect_request(self, connection: HttpConnection) -> None:
        """Drop the connection unless it sends a whole request in time."""
        self.forget(connection)
        loop = asyncio.get_running_loop()
        self._incomplete[connection] = now = loop.time()
        if self._timer is None:
            self._timer = loop.call_at(now + self._request_seconds, self._drop_expired)

    def pause(self, connection: HttpConnection) -> None:
        """Note that a connection is between two requests."""
        self._paused[connection] = asyncio.get_running_loop().time()

    def forget(self, connection: HttpConnection) -> None:
        """Note that a connection is used or closed."""
        self._incomplete.pop(connection, None)
        self._paused.pop(connection, None)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, HttpConnection)  # noqa: S101 - this listener made it
        connection.begin(request)
        try:
            connection.last_turn = await self.budget.enter(connection.last_turn)
            return await self._handler(request)
        finally:
            connection.finish()

    def _drop_expired(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._incomplete:
            connection, since = next(iter(self._incomplete.items()))
            deadline = since + self._request_seconds
            if deadline > now:
                self._timer = loop.call_at(deadline, self._drop_expired)
                return
            self.forget(connection)
            connection.drop()

    async def _accept(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while self._is_accepting:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                if not await self._is_mended(error):
                    await asyncio.sleep(_RETRY_SECONDS)  # noqa: TID251 - nothing signals free descriptors
                continue
            try:
                has_room = not _is_near_limit(accepted) or await self._make_room()
            except asyncio.CancelledError:
                accepted.close()
                raise
            if has_room:
                self._open(_with_lowest_number(accepted), context)
            else:
                _refuse(accepted, is_tls=context is not None)
            await asyncio.sleep(0)  # noqa: TID251 - yields: many new connections delay no other

    def _open(self, accepted: socket.socket, context: ssl.SSLContext | None) -> None:
        connection = HttpConnection(self, self._server, **self._settings)
        opening = asyncio.ensure_future(
            asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, accepted, ssl=context
            )
        )
        connection.opening = opening
        self.expect_request(connection)
        self._tasks.add(opening)
        opening.add_done_callback(partial(self._finish_opening, connection, accepted))

    def _finish_opening(
        self, connection: HttpConnection, accepted: socket.socket, opening: asyncio.Future[Any]
    ) -> None:
        connection.opening = None
        self._tasks.discard(opening)
        if opening.cancelled():
            accepted.close()  # nothing else does so if it had not begun
        else:
            opening.exception()  # of a TLS handshake: not of interest

    async def _is_mended(self, error: OSError) -> bool:
        """Close an unused connection if an accept failed for want of resources."""
        if error.errno not in _OUT_OF_RESOURCES:
            return False
        self._warn(str(error.strerror))
        return await self._drop_oldest()

    async def _make_room(self) -> bool:
        """Close an unused connection for a new one; return False if all are in use."""
        self._warn("too many open connections")
        return await self._drop_oldest()

    async def _drop_oldest(self) -> bool:
        """Close an unused connection; return False if there is none.

        First come those that have not sent a whole request, since they cost their client least.
        """
        while True:
            now = asyncio.get_running_loop().time()
            oldest = [next(iter(unused.items())) for unused in self._unused if unused]
            if not oldest:
                return False
            waits = [since + _UNUSED_SECONDS - now for _, since in oldest]
            for (connection, _), wait in zip(oldest, waits, strict=True):
                if wait <= 0:
                    await self._drop(connection)
                    return True
            await asyncio.sleep(min(waits))  # noqa: TID251 - its request may be on the way

    async def _drop(self, connection: HttpConnection) -> None:
        """Close a connection, and wait until its file descriptor is free."""
        self.forget(connection)
        connection.drop()
        if connection.opening is not None:
            await asyncio.wait([connection.opening])
        await asyncio.sleep(0)  # noqa: TID251 - yields to the transport, which closes

    def _warn(self, reason: str) -> None:
        if self._warning.allows():
            _LOG.warning(
                "%s, at a limit of %s file descriptors: unused connections are closed for new "
                "ones, and new ones are refused if there are none; `ulimit -n` raises the limit",
                reason,
                _descriptor_limit() or "no",
            )

    def _close_sockets(self) -> None:
        while self._sockets:
            self._sockets.pop().close()


def _encode(response: PlainResponse) -> bytes:
    status, headers, body = response
    return encode_head(status, {**headers, "Date": _date(int(time.time()))}, len(body)) + body


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _descriptor_limit() -> int | None:
    """Return the most file descriptors that this process may have; None for no limit."""
    if sys.platform == "win32":
        return None
    limit = getrlimit(RLIMIT_NOFILE)[0]
    return None if limit == RLIM_INFINITY else limit


def _is_near_limit(accepted: socket.socket) -> bool:
    """Whether few file descriptors are left: a new one always has the lowest free number."""
    limit = _descriptor_limit()
    if limit is None:
        return False
    return accepted.fileno() >= limit - min(_RESERVED_DESCRIPTORS, limit // 8)


def _with_lowest_number(accepted: socket.socket) -> socket.socket:
    """Move a connection to the lowest free file descriptor if it is near the limit.

    Without this, closing the oldest connections would leave the last descriptors in use.
    """
    if not _is_near_limit(accepted):
        return accepted
    try:
        moved = accepted.dup()
    except OSError:
        return accepted
    accepted.close()
    return moved


def _refuse(accepted: socket.socket, *, is_tls: bool) -> None:
    """Answer 503 without reading the request, and close."""
    with accepted:
        try:
            if not is_tls:
                accepted.send(_REFUSAL)
        except OSError:  # the client has disconnected
            pass
