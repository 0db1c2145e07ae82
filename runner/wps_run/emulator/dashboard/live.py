"""The page's WebSocket: what it asked to see, a few times a second, as long as that changes.

A page never falls behind: what is sent is made when the last piece has been read, from what is
true then. The more it costs to make, the less often it is made.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from wps_run.emulator.admin.views import faults_json
from wps_run.emulator.dashboard.counts import Counts
from wps_run.emulator.dashboard.listings import people, totals
from wps_run.emulator.dashboard.traffic import traffic
from wps_run.emulator.dashboard.view import DashboardView, ViewError, read_view
from wps_run.emulator.faults.rules import FaultInjector
from wps_run.emulator.hub import Hub
from wps_run.emulator.request_log import RequestLog

INTERVAL = 0.1
"""The least seconds between two pieces of news."""

_QUIET = 0.3
"""The most seconds that are added to that while there is none."""

_SHARE = 0.1
"""The most of the time that goes into making them."""

_WATCHERS_MOST = 20
"""The most pages at once."""

_VIEW_BYTES = 64 * 1024
_HEARTBEAT = 30.0
_CLOSE_SECONDS = 1.0
_GOODBYE = b"The service stops."


@dataclass(frozen=True, slots=True)
class DashboardSource:
    """What there is to be seen of a service.

    Attributes:
        hubs: Makes a view of the hubs, by lower-case name.
        ledger: What it was asked.
        counts: How much that was.
        faults: What befalls requests.
    """

    hubs: Callable[[], Mapping[str, Hub]]
    ledger: RequestLog
    counts: Counts
    faults: FaultInjector


class Live:
    """Shows a scene to the pages that watch it.

    Args:
        scene: What there is to be seen.
    """

    def __init__(self, scene: DashboardSource) -> None:
        self._scene = scene
        self._sockets: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer the upgrade, and serve the page until it leaves."""
        if len(self._sockets) >= _WATCHERS_MOST:
            return web.Response(status=503, text=f"{_WATCHERS_MOST} pages watch already")
        socket = web.WebSocketResponse(
            timeout=_CLOSE_SECONDS,
            heartbeat=_HEARTBEAT,
            max_msg_size=_VIEW_BYTES,
            compress=False,
        )
        try:
            await socket.prepare(request)
        except web.HTTPException as wrong:
            return web.Response(status=wrong.status, text=wrong.text)
        self._sockets.add(socket)
        watcher = _Watcher(self._scene, socket)
        showing = asyncio.ensure_future(watcher.show())
        try:
            await watcher.listen()
        finally:
            self._sockets.discard(socket)
            showing.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await showing
        return socket

    async def stop(self) -> None:
        """Tell every page that the service ends."""
        await asyncio.gather(
            *(
                socket.close(code=WSCloseCode.GOING_AWAY, message=_GOODBYE, drain=False)
                for socket in self._sockets
            )
        )


class _Watcher:
    """One page that watches."""

    def __init__(self, scene: DashboardSource, socket: web.WebSocketResponse) -> None:
        self._scene = scene
        self._socket = socket
        self._view: DashboardView | None = None
        self._asked = asyncio.Event()
        self._left = asyncio.Event()
        self._news = News()

    async def listen(self) -> None:
        """Hear what the page asks for, until it leaves or says what makes no sense."""
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                break
            try:
                self._view = read_view(message.data)
            except ViewError:
                break
            self._asked.set()
        self._left.set()
        await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, drain=False)

    async def show(self) -> None:
        """Send what is new, until the page leaves."""
        await self._asked.wait()
        quiet = 0.0
        while self._view is not None and not self._left.is_set():
            self._asked.clear()
            began = time.perf_counter()
            piece = self._news.of(self._scene, self._view)
            cost = time.perf_counter() - began
            if piece:
                await self._socket.send_str(piece)
            await _within(max(INTERVAL, cost / _SHARE), self._left)
            quiet = 0.0 if piece else min(2 * quiet + INTERVAL, _QUIET)
            await _within(quiet, self._asked)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, but no longer than this."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


class News:
    """What has changed for one page since it was told last."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._view: DashboardView | None = None
        self._sequence = 0
        self._age = 0

    def of(self, scene: DashboardSource, view: DashboardView) -> str:
        """The parts that have changed, as a JSON object; "" when none has.

        `traffic` has the entries that are new; with `fresh`, they take the place of those before.
        """
        hubs = {name: hub for name, hub in scene.hubs().items() if hub.connections}
        parts = {
            "totals": totals(hubs),
            "counts": scene.counts.as_json(),
            "people": people(hubs, view),
            "faults": faults_json(scene.faults),
        }
        news = [piece for name, part in parts.items() if (piece := self._changed(name, part))]
        if entries := self._entries(scene.ledger, view):
            news.append(f'"traffic":{json.dumps(entries)}')
        return f"{{{','.join(news)}}}" if news else ""

    def _changed(self, name: str, part: Any) -> str:  # noqa: ANN401 -- plain data
        text = json.dumps(part)
        if self._told.get(name) == text:
            return ""
        self._told[name] = text
        return f'"{name}":{text}'

    def _entries(self, ledger: RequestLog, view: DashboardView) -> dict[str, Any] | None:
        shown = (view.hub, view.traffic, view.text)
        before = self._view
        fresh = before is None or shown != (before.hub, before.traffic, before.text)
        fresh = fresh or ledger.age != self._age
        after = 0 if fresh else self._sequence
        rows = traffic(ledger, view, after)
        self._view, self._sequence, self._age = view, ledger.last, ledger.age
        return {"fresh": fresh, "rows": rows} if fresh or rows else None
