"""The dashboard's WebSocket: sends what changed in the page's query result, a few times a second.

A page never falls behind: each update is built from the current state after the last one was
read. The longer an update takes to build, the less often one is built.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from wps_run.emulator.admin.views import faults_json
from wps_run.emulator.dashboard.listings import list_clients, totals
from wps_run.emulator.dashboard.query import DashboardQuery, QueryError, parse_query
from wps_run.emulator.dashboard.traffic import TrafficCounters, has_other_hubs, list_traffic
from wps_run.emulator.faults import FaultInjector
from wps_run.emulator.hub import Hub
from wps_run.emulator.request_log import RequestLog

INTERVAL = 0.1
"""The least seconds between two updates."""

_IDLE_DELAY_LIMIT = 0.3
"""The most seconds that are added to that while nothing changes."""

_CPU_SHARE = 0.1
"""The most of the time that may go into building updates."""

_PAGE_LIMIT = 20
"""The most pages at once."""

_QUERY_BYTES = 64 * 1024
_HEARTBEAT = 30.0
_CLOSE_SECONDS = 1.0
_CLOSE_REASON = b"The emulator stops."


@dataclass(frozen=True, slots=True)
class DashboardSource:
    """What the dashboard shows; `hubs` returns the hubs by lower-case name."""

    hubs: Callable[[], Mapping[str, Hub]]
    request_log: RequestLog
    counters: TrafficCounters
    faults: FaultInjector


class LiveUpdates:
    """Sends updates to every open page."""

    def __init__(self, source: DashboardSource) -> None:
        self._source = source
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if len(self._sockets) >= _PAGE_LIMIT:
            return web.Response(status=503, text=f"at most {_PAGE_LIMIT} pages may be open")
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS,
            heartbeat=_HEARTBEAT,
            max_msg_size=_QUERY_BYTES,
            compress=False,
        )
        try:
            await socket.prepare(request)
        except web.HTTPException as error:
            return web.Response(status=error.status, text=error.text)
        self._sockets.add(socket)
        subscription = _Subscription(self._source, socket)
        sender = asyncio.ensure_future(subscription.send_updates())
        try:
            await subscription.receive_queries()
        finally:
            self._sockets.discard(socket)
            sender.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sender
        return socket

    async def stop(self) -> None:
        await asyncio.gather(
            *(
                socket.close(code=WSCloseCode.GOING_AWAY, message=_CLOSE_REASON, drain=False)
                for socket in self._sockets
            )
        )


class _Subscription:
    """One page's WebSocket, its query and what it was sent."""

    def __init__(self, source: DashboardSource, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._query: DashboardQuery | None = None
        self._query_received = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._builder = UpdateBuilder(source)

    async def receive_queries(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                break
            try:
                self._query = parse_query(message.data)
            except QueryError:
                break
            self._query_received.set()
        self._disconnected.set()
        await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, drain=False)

    async def send_updates(self) -> None:
        await self._query_received.wait()
        idle_delay = 0.0
        while self._query is not None and not self._disconnected.is_set():
            self._query_received.clear()
            start = time.perf_counter()
            update = self._builder.build(self._query)
            cost = time.perf_counter() - start
            if update:
                await self._socket.send_str(update)
            await _wait(self._disconnected, max(INTERVAL, cost / _CPU_SHARE))
            idle_delay = 0.0 if update else min(2 * idle_delay + INTERVAL, _IDLE_DELAY_LIMIT)
            await _wait(self._query_received, idle_delay)


async def _wait(event: asyncio.Event, timeout: float) -> None:  # noqa: ASYNC109 -- no error at its end
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout)


class UpdateBuilder:
    """Builds the updates of one page: the parts that differ from those it built before."""

    def __init__(self, source: DashboardSource) -> None:
        self._source = source
        self._sent: dict[str, str] = {}
        self._query: DashboardQuery | None = None
        self._sequence = 0
        self._age = 0
        self._elsewhere = False

    def build(self, query: DashboardQuery) -> str:
        """Return the parts that have changed, as a JSON object; "" when none has.

        `traffic` has the new entries; with `fresh`, they replace the earlier ones. `elsewhere` is
        whether there are entries of other hubs than the selected one.
        """
        source = self._source
        hubs = {name: hub for name, hub in source.hubs().items() if hub.connections}
        parts = {
            "totals": totals(hubs),
            "counts": asdict(source.counters),
            "people": list_clients(hubs, query),
            "faults": faults_json(source.faults),
        }
        changes = []
        for name, part in parts.items():
            text = json.dumps(part)
            if self._sent.get(name) != text:
                self._sent[name] = text
                changes.append(f'"{name}":{text}')
        if traffic := self._traffic(query):
            changes.append(f'"traffic":{json.dumps(traffic)}')
        return f"{{{','.join(changes)}}}" if changes else ""

    def _traffic(self, query: DashboardQuery) -> dict[str, Any] | None:
        log, last = self._source.request_log, self._query
        is_fresh = (
            last is None
            or (query.hub, query.traffic, query.text) != (last.hub, last.traffic, last.text)
            or log.generation != self._age
        )
        after = 0 if is_fresh else self._sequence
        rows = list_traffic(log, query, after)
        was_elsewhere = self._elsewhere and not is_fresh
        self._elsewhere = was_elsewhere or has_other_hubs(log, query.hub, after)
        self._query, self._sequence, self._age = query, log.last, log.generation
        if not is_fresh and not rows and self._elsewhere is was_elsewhere:
            return None
        return {"fresh": is_fresh, "rows": rows, "elsewhere": self._elsewhere}
