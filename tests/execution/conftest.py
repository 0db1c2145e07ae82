"""Steps to carry out, and a counting service to carry them out against."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
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


@pytest.fixture
def make_step() -> Callable[..., Step]:
    """Makes steps, numbered upwards: an action's name and its values."""
    numbers = itertools.count()

    def make(name: str = "addUserToGroup", **values: Any) -> Step:
        action = ACTIONS[name]
        fields = {
            one: values.pop(one)
            for one in ("on_error", "delivery", "timeout", "on_missing", "index")
            if one in values
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
    """Makes a step that adds a user, by its ID, to the group `red`."""
    return lambda user="ada", **more: make_step(userId=user, group="red", **more)


@dataclass
class Service:
    """Answers as a test tells it, and counts what is in flight."""

    port: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    asked: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return Endpoint(f"http://127.0.0.1:{self.port}", "k" * 44)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note a request, count it while it is answered."""
        self.asked.append(f"{request.method} {request.rel_url.raw_path}")
        self.ids.append(request.headers["x-ms-client-request-id"])
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.answer:
                return await self.answer(request)
            return web.Response(status=STATUSES[request.method])
        finally:
            self.in_flight -= 1

    def says(self, *statuses: int, **headers: str) -> None:
        """Answer with these statuses, one a request; the last one for all after it."""
        left = list(statuses)

        async def answer(_: web.Request) -> web.Response:
            status = left.pop(0) if len(left) > 1 else left[0]
            return web.Response(status=status, headers=headers)

        self.answer = answer


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service on a free port of loopback."""
    one = Service()
    app = web.Application(client_max_size=2**22)
    app.router.add_route("*", "/{path:.*}", one.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.port = runner.addresses[0][1]
    yield one
    await runner.cleanup()


@dataclass
class Run:
    """What a run is made of; `results` carries steps out to the end."""

    service: Service
    endpoint: Endpoint
    stop: Stop = field(default_factory=Stop)
    more: dict[str, Any] = field(default_factory=dict)
    options: RunOptions = field(
        default_factory=lambda: RunOptions(
            mode=Mode.CONCURRENT, concurrency=8, retry=RetryOptions(4, 0.0, 0.0)
        )
    )

    async def results(self, steps: Any) -> list[Result]:
        """Every result of a run, in the order in which they came."""
        async with Client(self.endpoint, concurrency=self.options.concurrency) as client:
            executor = Executor(client, self.options, self.stop, **self.more)
            return [result async for batch in executor.run(steps) for result in batch]

    def soon(self, steps: Any) -> "asyncio.Task[list[Result]]":
        """The same, meanwhile."""
        return asyncio.create_task(self.results(steps))


@pytest.fixture
def run(service: Service) -> Run:
    """A concurrent run against the service: 8 in flight, four attempts without a pause."""
    return Run(service, service.endpoint)
