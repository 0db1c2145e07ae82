"""Steps, and a service on loopback that counts the requests in flight."""

import asyncio
import itertools
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from wps_run.actions.locks import locks_of
from wps_run.actions.request import build_request
from wps_run.actions.table import ACTIONS
from wps_run.connect.client import Client
from wps_run.connect.endpoint import Endpoint
from wps_run.execution.executor import Executor
from wps_run.execution.result import Result
from wps_run.execution.stop import Stop
from wps_run.playbook.options import Delivery, Mode, OnError, RetryOptions, RunOptions
from wps_run.playbook.steps import Step

STATUSES = {"PUT": 200, "DELETE": 204, "POST": 202}


class SkippingSelector(selectors.DefaultSelector):
    """Skips the time in which nothing happens.

    Attributes:
        now: Seconds on a clock that stands still otherwise.
    """

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for files; skip the timeout if none is ready within a moment."""
        ready = super().select(timeout if timeout is None else min(timeout, 0.01))
        if not ready and timeout is not None:
            self.now += timeout
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while anything can be done, and then skips to a timer.

    So no pause of the process changes an order or a distance of times, and no wait takes long.
    """

    def __init__(self) -> None:
        self._skipping = SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Return the seconds on the clock of the selector."""
        return self._skipping.now


def pytest_asyncio_loop_factories(
    item: pytest.Function,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Skip time in tests of the scheduler, except in those that wait for a thread."""
    skips = item.path.name == "test_scheduler.py" and "recorder" not in item.fixturenames
    return {"loop": SkippingLoop if skips else asyncio.new_event_loop}


@pytest.fixture
def make_step() -> Callable[..., Step]:
    """Make steps with increasing indices from an action's name and values."""
    numbers = itertools.count()

    def make(name: str = "addUserToGroup", **values: Any) -> Step:
        action = ACTIONS[name]
        fields = {
            key: values.pop(key)
            for key in ("on_error", "delivery", "timeout", "on_missing", "index")
            if key in values
        }
        if name.startswith("send"):
            values = {"data": b"hi", "dataType": "text", **values}
        index = fields.pop("index", next(numbers))
        return Step(
            index=index,
            action_index=index,
            item=None,
            action=action,
            values=values,
            request=build_request(action, values, "chat"),
            locks=locks_of(action, values),
            source=f"p.yaml:{index}",
            name=None,
            **{
                "on_error": OnError.STOP,
                "delivery": Delivery.AT_MOST_ONCE,
                "timeout": 10.0,
                **fields,
            },
        )

    return make


@pytest.fixture
def join(make_step: Callable[..., Step]) -> Callable[..., Step]:
    """Make a step that adds a user to the group `red`."""
    return lambda user="ada", **fields: make_step(userId=user, group="red", **fields)


@dataclass
class Service:
    """A service whose responses a test sets; it counts requests in flight."""

    port: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    requests: list[str] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    @property
    def endpoint(self) -> Endpoint:
        """The address that it listens on."""
        return Endpoint(f"http://127.0.0.1:{self.port}", "k" * 44)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record a request and respond to it."""
        self.requests.append(f"{request.method} {request.rel_url.raw_path}")
        self.request_ids.append(request.headers["x-ms-client-request-id"])
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            if self.answer:
                return await self.answer(request)
            return self.success(request)
        finally:
            self.in_flight -= 1

    @staticmethod
    def success(request: web.Request) -> web.Response:
        """Return the documented success of a request."""
        closes = request.rel_url.raw_path.endswith(":closeConnections")
        return web.Response(status=204 if closes else STATUSES[request.method])

    def respond_with(self, *statuses: int, **headers: str) -> None:
        """Respond with these statuses, one per request; the last one repeats."""
        remaining = list(statuses)

        async def answer(_: web.Request) -> web.Response:
            status = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            return web.Response(status=status, headers=headers)

        self.answer = answer


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service on a free port of loopback."""
    service = Service()
    app = web.Application(client_max_size=2**22)
    app.router.add_route("*", "/{path:.*}", service.handle)
    server = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await server.setup()
    site = web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    service.port = server.addresses[0][1]
    yield service
    await server.cleanup()


@dataclass
class Run:
    """The arguments of a run."""

    service: Service
    endpoint: Endpoint
    stop: Stop = field(default_factory=Stop)
    executor_args: dict[str, Any] = field(default_factory=dict)
    options: RunOptions = field(
        default_factory=lambda: RunOptions(
            mode=Mode.CONCURRENT, concurrency=8, retry=RetryOptions(4, 0.0, 0.0)
        )
    )

    async def results(self, steps: Any) -> list[Result]:
        """Run the steps and return all results, in the order in which they ended."""
        async with Client(self.endpoint, concurrency=self.options.concurrency) as client:
            clock = asyncio.get_running_loop().time
            args = {"clock": clock, **self.executor_args}
            executor = Executor(client, self.options, self.stop, **args)
            return [result async for batch in executor.run(steps) for result in batch]

    def start(self, steps: Any) -> "asyncio.Task[list[Result]]":
        """Run the steps in a task."""
        return asyncio.create_task(self.results(steps))


@pytest.fixture
def run(service: Service) -> Run:
    """A concurrent run: 8 requests in flight, four attempts without a pause."""
    return Run(service, service.endpoint)
