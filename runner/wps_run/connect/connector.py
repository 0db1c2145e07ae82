"""Connections of the client: each accepts one reply to each request, and nothing else.

What a `Connector` raises precedes the first byte of a request.
"""

import asyncio
import contextlib
import select
import ssl
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus

import aiohttp
from aiohttp import ClientRequest, ClientTimeout, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.streams import StreamReader
from aiohttp.tracing import Trace

from wps_run.connect.log import LOG


class NothingSentError(aiohttp.ClientConnectionError):
    """No request was written: a new connection, or that of a proxy, was closed or received data."""


class EarlyReplyError(aiohttp.ClientConnectionError):
    """A success arrived before the whole request was written."""


class CanceledBeforeConnectionError(asyncio.CancelledError):
    """The task was canceled before it had a connection."""


class ServiceConnection(ResponseHandler):
    """A connection that accepts one reply to each request, and nothing else.

    Other data belongs to no request: a second reply, or bytes after a reply or on an idle
    connection. aiohttp would take it for the reply to the next request, which may never have been
    answered. It ends the connection, so that the next request goes to another one.
    """

    _replied: object = None
    """The parser of the last complete reply. aiohttp makes another one for each request."""

    _body: StreamReader | None = None
    """The body of the reply, as a stream, once its head is complete."""

    _body_size = 0
    """The bytes that were received after the head, with their framing."""

    _has_ended = False
    """Whether the other side has closed the connection. Over TLS, ours stays open for a while."""

    _poller: "select.poll | None" = None
    """Watches the socket. Made once, since making it takes longer than using it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if hasattr(select, "poll"):
            self._poller = select.poll()
            self._poller.register(transport.get_extra_info("socket"), select.POLLIN)

    def has_input(self) -> bool:
        """Whether bytes, or the end of the stream, wait to be read. Not known on Windows."""
        return self._poller is not None and bool(self._poller.poll(0))

    def is_connected(self) -> bool:
        """Whether it can be used. An idle connection with unread input cannot."""
        return not (
            self.transport is None
            or self.transport.is_closing()
            or self._has_ended
            or (self._parser is self._replied is not None and self.has_input())
        )

    def data_received(self, data: bytes) -> None:
        """Receive bytes: a reply head line by line, so that nothing after the reply is parsed."""
        if self._parser is self._replied:
            if data:
                self._close_unasked()
            else:
                super().data_received(data)
            return
        if self._body is None and 0 <= data.find(b"\r\n\r\n") == len(data) - 4:
            super().data_received(data)  # nearly always: one complete head
        else:
            self._receive_parts(data)
        if self._body is not None and self._body.is_eof():
            self._replied, self._body, self._body_size = self._parser, None, 0

    def _receive_parts(self, data: bytes) -> None:
        start = 0
        while self._body is None and self._exception is None and start < len(data):
            end = data.find(b"\n", start) + 1 or len(data)
            super().data_received(data[start:end])
            start = end
        if self._body is None or start == len(data):
            return
        if not self._body.is_eof():
            super().data_received(data[start:])
            self._body_size += len(data) - start
            # A body in chunks ends with an empty chunk.
            if (
                not self._body.is_eof()
                or self._body_size == self._body.total_bytes
                or data.endswith(b"\r\n\r\n")
            ):
                return
        self._close_unasked()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Receive a parsed head, with its body as a stream."""
        message, body = data
        if self._body is not None:
            self._close_unasked()
            return
        if message.version.major != 1:
            self.set_exception(HttpProcessingError(message="another version of HTTP"))
            return
        # After 101, which was not requested, the protocol is unknown.
        is_informational = 100 <= message.code < 200 and message.code != 101  # noqa: PLR2004
        if not is_informational:
            self._body = body
            if self.transport and self.transport.get_write_buffer_size():
                self.force_close()
                if message.code < HTTPStatus.MULTIPLE_CHOICES:
                    self.set_exception(EarlyReplyError())
                    return
        super().feed_data(data, size)

    def eof_received(self) -> None:
        self._has_ended = True
        super().eof_received()

    def _close_unasked(self) -> None:
        LOG.info("closed a connection: it received data that belongs to no request")
        self.force_close()
        self.abort()


class Connector(TCPConnector):
    """Gives connections without unread data; `is_connected` keeps out the idle ones with some."""

    def __init__(self, *, limit: int, ssl: ssl.SSLContext | bool) -> None:
        super().__init__(limit=limit, ssl=ssl)
        self._factory = partial(ServiceConnection, loop=self._loop)  # type: ignore[assignment]

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109
    ) -> ResponseHandler:
        """Return a new connection on which the server is silent.

        Raises:
            aiohttp.ClientConnectionError: There is none. Nothing was sent.
            CanceledBeforeConnectionError: The task was canceled. Nothing was sent.
        """
        with _before_connection():
            connection = await super()._create_connection(req, traces, timeout)
            if not isinstance(connection, ServiceConnection):
                raise TypeError("aiohttp made a connection of another type")
            if connection.has_input():
                # The event loop reads it first: over TLS it may be other than data.
                for _ in range(2):
                    await asyncio.sleep(0)  # noqa: TID251 -- only lets the event loop run
        if connection.is_connected():
            return connection
        connection.close()
        raise NothingSentError

    async def _wait_for_available_connection(self, key: ConnectionKey, traces: list[Trace]) -> None:
        with _before_connection():
            await super()._wait_for_available_connection(key, traces)


@contextlib.contextmanager
def _before_connection() -> Iterator[None]:
    """Let each failure and cancellation say that there was no connection yet."""
    try:
        yield
    except asyncio.CancelledError as error:
        raise CanceledBeforeConnectionError from error
    except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError):
        raise
    except (aiohttp.ClientError, OSError) as error:
        raise NothingSentError from error
