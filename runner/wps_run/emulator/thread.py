"""An emulator in a thread of its own: calls into that thread, and waiting for changes."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from wps_run.emulator.server import Emulator

_T = TypeVar("_T")


class EmulatorThread:
    """Runs an emulator in a thread, and functions on its state in the same thread.

    Args:
        settings: The arguments of `Emulator`.

    Attributes:
        emulator: The emulator. Only functions that run in its thread may use what changes.

    Raises:
        ValueError: As `Emulator` does.
        RuntimeError: By all methods that need the running emulator, before and after it runs.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        callbacks = {
            name: self._notified(settings.get(name)) for name in ("on_request", "on_event")
        }
        self.emulator = Emulator(**{**settings, **callbacks})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="wps-local", daemon=True)
        self._waiting: dict[asyncio.Task[Any] | None, asyncio.Event] = {}
        self._is_stopping = False

    @property
    def is_running(self) -> bool:
        return self._loop is not None

    def start(self) -> None:
        """Start the thread and the emulator. Errors are those of `Emulator.start`."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        try:
            self._submit(self.emulator.start()).result()
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """Stop the emulator and the thread. What waits for a change raises a RuntimeError."""
        try:
            self._submit(self._stop()).result()
        finally:
            self._end()

    def call(self, function: Callable[[], _T]) -> _T:
        """Run a function in the emulator's thread; return its result, or raise its error."""
        if threading.current_thread() is self._thread:
            return function()

        async def run() -> _T:
            return function()

        return self._submit(run()).result()

    def change(self, function: Callable[[], _T]) -> _T:
        """Run a function as `call` does; what waits for a change looks again."""

        def run() -> _T:
            try:
                return function()
            finally:
                self._notify()

        return self.call(run)

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until a condition holds, which is evaluated in the emulator's thread.

        Args:
            condition: Is evaluated now, and after each change of the emulator's state.
            timeout: The maximum time to wait, in seconds.

        Returns:
            Whether it holds; False when the time is over.

        Raises:
            RuntimeError: The emulator stopped, or this is its own thread.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the emulator cannot wait in its own thread for a change")
        return self._submit(self._wait_until(condition, timeout)).result()

    async def await_until(self, condition: Callable[[], bool], timeout: float) -> bool:  # noqa: ASYNC109
        """Do the same as `wait_until` without blocking the event loop of the caller."""
        future = self._submit(self._wait_until(condition, timeout))
        return await asyncio.wrap_future(future)

    async def _wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:  # noqa: ASYNC109
        task, changed = asyncio.current_task(), asyncio.Event()
        self._waiting[task] = changed
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    await changed.wait()
                    changed.clear()
                    if self._is_stopping:
                        raise RuntimeError("the emulator stopped")
        except TimeoutError:
            return False
        finally:
            del self._waiting[task]
        return True

    async def _stop(self) -> None:
        try:
            await self.emulator.stop()
        finally:
            self._is_stopping = True
            self._notify()
            await asyncio.gather(*filter(None, self._waiting), return_exceptions=True)

    def _notified(self, callback: Callable[[Any], None] | None) -> Callable[[Any], None]:
        """Return a callback that also notifies those who wait."""

        def call(argument: object) -> None:
            self._notify()
            if callback is not None:
                callback(argument)

        return call

    def _notify(self) -> None:
        for changed in self._waiting.values():
            changed.set()

    def _submit(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())
        except RuntimeError:
            coroutine.close()
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the emulator is not running: use `with LocalPubSub() as emulator:`")
        return self._loop

    def _run(self) -> None:
        self._running_loop().run_forever()

    def _end(self) -> None:
        loop = self._running_loop()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()
        self._loop = None
