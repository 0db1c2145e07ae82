"""HTTP on aiohttp: read bodies, make responses, and carry out injected faults on a connection."""

import asyncio
import os
import socket
import struct
from contextlib import suppress

from aiohttp import web
from multidict import CIMultiDict

from wps_run.emulator.plain_http import encode_head
from wps_run.emulator.rest.bodies import Body, check_length
from wps_run.emulator.rest.responses import PROBLEM, RefusedError, RestResponse, bad_request
from wps_run.emulator.targets import API_VERSIONS

_SECURITY = ("Strict-Transport-Security", "max-age=15724800; includeSubDomains")
_VERSIONS = ("api-supported-versions", ", ".join(API_VERSIONS))

_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""With this option, closing a socket sends a reset."""


async def read_body(request: web.BaseRequest) -> Body:
    """Read the body of a request.

    Raises:
        RefusedError: The body has no length, is too long or is incomplete.
    """
    length = check_length(request.content_length)
    content_type = request.headers.get("Content-Type", "")
    if not length:
        return Body(content_type)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        return Body(content_type, await request.content.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        raise RefusedError(bad_request("The request body is shorter than announced.")) from None


def to_aiohttp(response: RestResponse) -> web.Response:
    """Convert a response to one that aiohttp writes."""
    return web.Response(
        status=response.status, body=response.body or None, headers=_headers(response)
    )


def _headers(response: RestResponse) -> CIMultiDict[str]:
    headers = CIMultiDict((_SECURITY,))
    if response.content_type != PROBLEM:
        headers.add(*_VERSIONS)
    if response.content_type:
        headers["Content-Type"] = response.content_type
    if response.code:
        headers["x-ms-error-code"] = response.code
    headers.update(response.headers)
    return headers


class FaultDelays:
    """Delay requests for a time, or until the emulator stops."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End all delays, present and future."""
        self._stopped.set()

    async def pause(self, seconds: float) -> None:
        """Wait this long, even if the caller has disconnected."""
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), seconds)

    async def stall(self, request: web.BaseRequest) -> None:
        """Leave a request unanswered until its caller disconnects."""
        transport = request.transport
        if transport is None:
            return
        observer = _DisconnectObserver(request.protocol)
        transport.set_protocol(observer)
        transport.resume_reading()  # paused by an unread body: the end would not be noticed
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait(
                [stopped, observer.disconnected], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()
            if not observer.disconnected.done():
                transport.set_protocol(request.protocol)
                transport.abort()


class _DisconnectObserver(asyncio.Protocol):
    """Replaces the protocol of a connection to notice when the caller disconnects."""

    def __init__(self, replaced: asyncio.BaseProtocol) -> None:
        self.disconnected = asyncio.get_running_loop().create_future()
        self._replaced = replaced

    def connection_lost(self, exc: Exception | None) -> None:
        self.disconnected.set_result(None)
        self._replaced.connection_lost(exc)


def reset_connection(request: web.BaseRequest) -> None:
    """Reset the TCP connection of a request."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def write_half(request: web.BaseRequest, response: RestResponse) -> None:
    """Write the first half of a response and close the connection.

    A response with a body ends within the body, one without within its header.
    """
    transport = request.transport
    if transport is None:
        return
    head = encode_head(response.status, _headers(response), len(response.body))
    half = len(response.body) // 2
    has_body = half and request.method != "HEAD"
    transport.write(head + response.body[:half] if has_body else head[: -len(head) // 2])
    transport.close()
