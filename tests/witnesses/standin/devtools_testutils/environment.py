"""Simulate a network that is slower than loopback, and a coarse clock.

Four properties of the SDK and its tests depend on the latency of a network, or on which thread runs
first. None is a property of the emulator, and these patches make all of them deterministic.
"""

import asyncio
import selectors
import socket
import threading
import time
from typing import Any

LOOPBACK = ("127.0.0.1", "localhost")

PAUSE = 0.05
"""The duration of a name lookup, in seconds."""

LATENCY = 0.01
"""The latency of received data, in seconds."""

TICK = 0.05
"""The minimum duration of a sleep in seconds: longer than the clock tick of Windows."""

_never = threading.Event()
_look_up = socket.getaddrinfo
_sleep = asyncio.sleep  # noqa: TID251 - it is patched to be longer


def simulate_network() -> None:
    """Patch this process."""
    setattr(socket, "getaddrinfo", _look_up_loopback)  # noqa: B010 - mypy knows them as constant
    setattr(time, "sleep", _sleep_a_tick)  # noqa: B010
    setattr(asyncio, "sleep", _sleep_a_tick_later)  # noqa: B010
    setattr(selectors, "DefaultSelector", _DistantPoll)  # noqa: B010


class _DistantPoll(selectors.PollSelector):
    """The selector of sockets.

    websocket-client waits in one thread for a socket that a test closes in another. With epoll the
    waiting thread is notified only if it happens to run first; poll always notifies it.

    The latency, in threads that read for others, is there because the client writes a request and
    then begins to wait for the response: an earlier one is missed, which costs 30 seconds.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, after the latency."""
        ready = super().select(timeout)
        if ready and threading.current_thread() is not threading.main_thread():
            _never.wait(LATENCY)
        return ready


def _look_up_loopback(host: Any, *rest: Any, **options: Any) -> Any:
    """Resolve loopback names only: some tests use host names that must not resolve.

    The pause is there because `open` of the client misses a connection, or a failure,
    that another thread reports before it begins to wait, and then waits for 30 seconds.
    """
    _never.wait(PAUSE)
    if host not in LOOPBACK:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _look_up(host, *rest, **options)


def _sleep_a_tick(seconds: float) -> None:
    """Sleep longer: four tests read the connection's ID a millisecond after the upgrade.

    The emulator sends it at once, but another thread may not have read it by then.
    """
    _never.wait(max(seconds, TICK))


async def _sleep_a_tick_later(seconds: float) -> None:
    await _sleep(max(seconds, TICK) if seconds else 0)
