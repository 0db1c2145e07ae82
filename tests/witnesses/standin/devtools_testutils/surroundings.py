"""What the suites find around them: a network like loopback, but slower, and a coarse clock.

Four things of the SDK and its tests hang on a network's slowness, or on which thread a busy
machine runs first. None of them is the service's, and here none of them is left to luck.
"""

import asyncio
import selectors
import socket
import threading
import time
from typing import Any

LOOPBACK = ("127.0.0.1", "localhost")

PAUSE = 0.05
"""Seconds in which a name is found, as on a network."""

LATENCY = 0.01
"""Seconds that news from the service takes, as on a network."""

TICK = 0.05
"""The least seconds that a sleep lasts: longer than on Windows, whose clock is coarse."""

_never = threading.Event()
_look_up = socket.getaddrinfo
_sleep = asyncio.sleep  # noqa: TID251 - it is made longer


def surround() -> None:
    """Let this process find them."""
    setattr(socket, "getaddrinfo", _look_up_loopback)  # noqa: B010 - mypy knows them as constant
    setattr(time, "sleep", _sleep_a_tick)  # noqa: B010
    setattr(asyncio, "sleep", _sleep_a_tick_later)  # noqa: B010
    setattr(selectors, "DefaultSelector", _DistantPoll)  # noqa: B010


class _DistantPoll(selectors.PollSelector):
    """What a socket is waited for with.

    websocket-client waits in one thread for a socket that a test closes in another. With epoll the
    waiting thread is told only if the system happens to run it first; poll always tells it.

    The latency, in threads that read for others, is there because the client writes a request and
    then begins to wait for its answer: one that comes sooner is missed, and costs 30 seconds.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready, a moment after it is."""
        ready = super().select(timeout)
        if ready and threading.current_thread() is not threading.main_thread():
            _never.wait(LATENCY)
        return ready


def _look_up_loopback(host: Any, *rest: Any, **options: Any) -> Any:
    """Some tests ask for names that must not answer; no network is asked for those, or for others.

    The pause is there because `open` of the client misses the news of a connection, or of a
    failure, that another thread has before it begins to wait, and then waits for 30 seconds.
    """
    _never.wait(PAUSE)
    if host not in LOOPBACK:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _look_up(host, *rest, **options)


def _sleep_a_tick(seconds: float) -> None:
    """Four tests read the connection's ID a millisecond after the upgrade.

    The service sends it at once; but a thread of a busy machine may not have read it by then.
    """
    _never.wait(max(seconds, TICK))


async def _sleep_a_tick_later(seconds: float) -> None:
    await _sleep(max(seconds, TICK) if seconds else 0)
