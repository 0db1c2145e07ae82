"""Injected faults on the wire: late, missing, reset and half answers."""

import asyncio
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web

from wps_run.emulator.faults.rules import FaultWait, InjectedFault
from wps_run.emulator.rest.replies import RestResponse, error

CODE = "Fault.OnDemand"
"""The error code of an injected answer; nothing else has it."""

_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""Closing then sends a reset, whatever was written before."""


def fault_reply(fault: InjectedFault, now: float) -> RestResponse:
    """The answer of a fault that has a status.

    Args:
        fault: The fault.
        now: Seconds since the epoch.
    """
    reply = error(fault.status, CODE, f"This was asked for: `{fault.text}`.", "Fault")
    return replace(reply, headers=_told_to_wait(fault, now))


def _told_to_wait(fault: InjectedFault, now: float) -> tuple[tuple[str, str], ...]:
    match fault.wait:
        case FaultWait.SECONDS:
            return (("Retry-After", str(int(fault.wait_seconds))),)
        case FaultWait.DATE:
            return (("Retry-After", formatdate(now + fault.wait_seconds, usegmt=True)),)
        case FaultWait.MILLISECONDS:
            return (("retry-after-ms", str(round(fault.wait_seconds * 1000))),)
        case None:
            return ()


class Waiting:
    """Requests that are kept waiting, until they have waited enough or the service stops."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    def end(self) -> None:
        """Let everybody go, for good."""
        self._over.set()

    async def pause(self, seconds: float) -> None:
        """FaultWait so long, whether or not the caller is still there."""
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), seconds)

    async def stall(self, request: web.BaseRequest) -> None:
        """Leave a request without an answer until its caller gives up."""
        transport = request.transport
        if transport is None:
            return
        watch = _Watch(request.protocol)
        transport.set_protocol(watch)
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait([over, watch.gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            if not watch.gone.done():
                transport.set_protocol(request.protocol)
                transport.abort()


class _Watch(asyncio.Protocol):
    """Stands in for a connection's protocol, to notice when the caller hangs up."""

    def __init__(self, replaced: asyncio.BaseProtocol) -> None:
        self.gone = asyncio.get_running_loop().create_future()
        self._replaced = replaced

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has hung up."""
        self.gone.set_result(None)
        self._replaced.connection_lost(exc)


def reset(request: web.BaseRequest) -> None:
    """Reset the connection of a request."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def answer_half(request: web.BaseRequest, reply: RestResponse, headers: Mapping[str, str]) -> None:
    """Write the first half of an answer, and hang up.

    An answer without a body breaks off within its head, else within the body.
    """
    transport = request.transport
    if transport is None:
        return
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += (f"{name}: {value}" for name, value in headers.items())
    lines.append(f"Content-Length: {len(reply.body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode()
    half = len(reply.body) // 2
    sent = (
        head + reply.body[:half] if half and request.method != "HEAD" else head[: -len(head) // 2]
    )
    transport.write(sent)
    transport.close()
