"""However a program leaves a run, nothing new starts and every action is accounted for."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from wps_run import AddUserToGroup, Result, Runner, SendToUser, Stop, Summary

TOTAL = 200
JOINS = [AddUserToGroup(user_id=f"user-{number}", group="red") for number in range(TOTAL)]
SENDS = [SendToUser(user_id=f"user-{number}", data="hi") for number in range(TOTAL)]


class Service:
    """A service that answers some requests and lets the others wait.

    Attributes:
        received: How many actions it has received.
    """

    def __init__(self) -> None:
        self.received = 0
        self.waiting = asyncio.Event()
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.answered_at_once = TOTAL
        self.connection_string = ""

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "HEAD":  # whether a user exists
            return web.Response()
        self.received += 1
        if self.received > self.answered_at_once:
            self.waiting.set()
            await self.is_open.wait()
        return web.Response(status=202 if request.method == "POST" else 200)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (address,) = runner.addresses
    service.connection_string = (
        f"Endpoint=http://127.0.0.1:{address[1]};AccessKey=bG9vcGJhY2s=;Version=1.0;"
    )
    yield service
    service.is_open.set()
    await runner.cleanup()


def runner_of(service: Service) -> Runner:
    return Runner.from_connection_string(service.connection_string, hub="chat")


def check(summary: Summary, service: Service, *, unknown: int = 0) -> None:
    """Check that each action is in the account, and that what was not sent is skipped."""
    counts = summary.counts
    assert summary.total == TOTAL
    assert counts["unknown"] == unknown
    assert counts["ok"] + unknown == service.received
    assert counts["skipped"] == TOTAL - service.received
    assert summary.exit_code == (3 if unknown else 1)


@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
async def test_leaving_the_loop_stops_the_run(service: Service, mode: Any) -> None:
    async with runner_of(service) as runner:
        async for result in runner.run(JOINS, mode=mode, ahead=20):
            assert result.status == "ok"
            break
        assert runner.last.total == TOTAL  # at once
    check(runner.last, service)
    assert 1 <= service.received <= 22


async def fail_at_first(runner: Runner) -> None:
    async for _ in runner.run(JOINS, mode="concurrent", ahead=20):
        _ = 1 / 0


async def test_an_exception_of_the_caller_stops_the_run(service: Service) -> None:
    async with runner_of(service) as runner:
        with pytest.raises(ZeroDivisionError):
            await fail_at_first(runner)
        assert runner.last.total == TOTAL
    check(runner.last, service)
    assert service.received <= 22


async def test_an_exception_leaves_the_runner_with_a_full_account(service: Service) -> None:
    runner = runner_of(service)

    async def fail_inside() -> None:
        async with runner:
            await fail_at_first(runner)

    with pytest.raises(ZeroDivisionError):
        await fail_inside()
    check(runner.last, service)


async def read_all(runner: Runner, **options: Any) -> list[Result]:
    return [result async for result in runner.run(SENDS, mode="concurrent", **options)]


async def test_cancellation_waits_for_requests_in_flight(service: Service) -> None:
    service.answered_at_once = 50
    service.is_open.clear()
    async with runner_of(service) as runner:
        task = asyncio.create_task(read_all(runner))
        await service.waiting.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
        assert not task.done()
        assert runner.last.total == TOTAL
        assert runner.last.counts["unknown"] == service.received - runner.last.counts["ok"]
        service.is_open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    check(runner.last, service)


async def test_a_second_cancellation_abandons_them(service: Service) -> None:
    service.answered_at_once = 50
    service.is_open.clear()
    async with runner_of(service) as runner:
        task = asyncio.create_task(read_all(runner))
        await service.waiting.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        check(runner.last, service, unknown=service.received - 50)


async def test_a_stop_has_a_time_of_grace(service: Service) -> None:
    service.answered_at_once = 50
    service.is_open.clear()
    async with runner_of(service) as runner:
        task = asyncio.create_task(read_all(runner, stop=Stop(grace=0.05)))
        await service.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    check(runner.last, service, unknown=service.received - 50)


async def test_a_stop_yields_a_result_for_each_action(service: Service) -> None:
    stop, results = Stop(), []
    async with runner_of(service) as runner:
        async for result in runner.run(JOINS, stop=stop):
            results.append(result)
            stop.request()
    assert len(results) == TOTAL
    check(runner.last, service)


async def test_leaving_the_runner_ends_a_run_that_is_read_elsewhere(service: Service) -> None:
    service.answered_at_once = 50
    service.is_open.clear()
    async with runner_of(service) as runner:
        results = runner.run(SENDS, mode="concurrent", stop=Stop(grace=0))
        await anext(results)
        await service.waiting.wait()
    check(runner.last, service, unknown=service.received - 50)
    await results.aclose()


@pytest.mark.parametrize("ahead", [0, 1, 7])
@pytest.mark.parametrize("mode", ["sequential", "concurrent"])
async def test_a_run_is_ahead_of_its_reader_by_so_much(
    service: Service, ahead: int, mode: Any
) -> None:
    async with runner_of(service) as runner:
        taken, most = 0, 0
        async for _ in runner.run(JOINS, mode=mode, ahead=ahead):
            taken += 1
            if taken < 5:  # the run goes on meanwhile, as far as it may
                await asyncio.gather(*(runner.show(user="ada") for _ in range(20)))
                most = max(most, service.received - taken)
            assert service.received <= taken + ahead
    assert (taken, most) == (TOTAL, ahead)


async def test_a_slow_reader_of_results_in_doubt_is_not_waited_for() -> None:
    """Results that wait until they are read back do not hold the run back."""
    async with Runner.local(hub="chat", faults="500,after,on=AddUserToGroup") as runner:
        results = [
            result
            async for result in runner.run(JOINS[:20], ahead=0, attempts=1, on_error="continue")
        ]
    assert [result.status for result in results] == ["ok"] * 20
