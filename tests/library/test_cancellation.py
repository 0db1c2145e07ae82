"""However a program leaves a run, nothing new starts and every action is accounted for."""

import asyncio
import gc
import json
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from wps_run import (
    AddUserToGroup,
    Result,
    Runner,
    SendToUser,
    Stop,
    Summary,
    UsageError,
    to_binding,
)

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


WITH_FINALLY: dict[str, Any] = {
    "actions": [
        {"actionName": "addUserToGroup", "userId": f"user-{number}", "group": "red"}
        for number in range(40)
    ],
    "expect": [{"user": "ada", "connected": True}],
    "finally": [{"actionName": "sendToUser", "userId": "bo", "data": "bye"}] * 3,
}


@pytest.mark.parametrize("ahead", [0, 1000])
async def test_what_is_in_finally_runs_when_the_reader_leaves(service: Service, ahead: int) -> None:
    async with runner_of(service) as runner:
        async for _ in runner.run(WITH_FINALLY, ahead=ahead):
            break
    counts = runner.last.counts
    assert runner.last.total == 43
    assert counts["ok"] == service.received >= 4
    assert counts["skipped"] == 43 - counts["ok"]


async def test_a_run_may_be_canceled_at_any_moment(service: Service, tmp_path: Path) -> None:
    """Its account, journal and report agree, and its journal can be resumed."""
    for turns, received in [*((turns, 0) for turns in range(6)), *((0, n) for n in (1, 5, 20, 40))]:
        journal, report = tmp_path / f"{turns}-{received}", tmp_path / f"{turns}-{received}.json"
        service.received = 0
        async with runner_of(service) as runner:
            run = runner.run(WITH_FINALLY, journal=journal, reports=report, mode="concurrent")
            task = asyncio.create_task(results_of(run))
            for _ in range(turns):
                await turn_of_the_event_loop()
            while service.received < received:
                await turn_of_the_event_loop()
            task.cancel()
            await asyncio.wait({task})
            last = runner.last
            if not journal.exists():  # nothing had begun
                assert last.total == service.received == received == 0
                continue
            assert (last.total, last.counts["ok"]) == (43, service.received)
            lines = [json.loads(line) for line in journal.read_text().splitlines()]
            for summary in (lines[-1], json.loads(report.read_text())["summary"]):
                assert {key: summary[key] for key in last.as_json()} == last.as_json()
            rest = await results_of(runner.run(WITH_FINALLY, resume=journal, mode="concurrent"))
            assert [result.status for result in rest] == ["ok"] * 43
            assert service.received <= 46  # only what is in `finally` is sent twice


async def turn_of_the_event_loop() -> None:
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn


async def results_of(run: AsyncIterator[Result]) -> list[Result]:
    return [result async for result in run]


async def test_what_was_read_back_is_no_longer_in_flight() -> None:
    work = [JOINS[:20], [AddUserToGroup(user_id="user-0", group="blue")] * 20]
    playbooks = [{"actions": json.loads(to_binding(batch))} for batch in work]
    async with Runner.local(hub="chat", faults="500,after,count=20") as runner:
        options: Any = {"attempts": 1, "on_error": "continue", "ahead": 0}
        async for result in runner.run(*playbooks, **options):
            if result.index == 25:
                break
        assert runner.last.counts == {"ok": 26, "unknown": 0, "skipped": 14}


async def test_garbage_collection_in_another_thread_stops_a_run(service: Service) -> None:
    async with runner_of(service) as runner:
        run = runner.run(JOINS, ahead=0)
        await anext(run)
        cycle: list[Any] = [run]
        cycle.append(cycle)
        del run, cycle
        thread = threading.Thread(target=gc.collect)
        thread.start()
        await asyncio.to_thread(thread.join)
    check(runner.last, service)


async def test_a_stop_is_requested_from_another_thread(service: Service) -> None:
    service.answered_at_once = 50
    service.is_open.clear()
    stop = Stop(grace=0)
    async with runner_of(service) as runner:
        task = asyncio.create_task(read_all(runner, stop=stop))
        await service.waiting.wait()
        await asyncio.to_thread(stop.request)
        await task
        check(runner.last, service, unknown=service.received - 50)
        with pytest.raises(UsageError, match="another run"):
            await read_all(runner, stop=stop)


async def test_a_canceled_exit_ends_all_runs(service: Service) -> None:
    service.answered_at_once = 0
    service.is_open.clear()
    tasks: list[asyncio.Task[Any]] = []

    async def leave_with_two_runs() -> None:
        async with runner_of(service) as runner:
            for _ in range(2):
                service.waiting.clear()
                tasks.append(asyncio.create_task(read_all(runner)))
                await service.waiting.wait()

    task = asyncio.create_task(leave_with_two_runs())
    while service.received < 32:
        service.waiting.clear()
        await service.waiting.wait()
    await asyncio.wait({task}, timeout=0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    done, _ = await asyncio.wait(tasks, timeout=5)
    assert [task.result() for task in done] == [[], []]


async def test_a_runner_is_opened_once(service: Service) -> None:
    runner = runner_of(service)
    async with runner:
        with pytest.raises(UsageError, match="opened once"):
            await runner.__aenter__()
        run = runner.run(JOINS)
        await run.aclose()
        assert await results_of(run) == []
    with pytest.raises(UsageError, match="opened once"):
        await runner.__aenter__()
    with pytest.raises(UsageError, match="not open"):
        await read_all(runner)


INTERRUPTED = """
import sys
from wps_run import SendToUser, run_sync
sends = [SendToUser(user_id=f"user-{number}", data="hi") for number in range(200)]
try:
    run_sync(sends, connection_string=sys.argv[1], hub="chat", mode="concurrent")
except KeyboardInterrupt as error:
    print(*error.__notes__)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
async def test_an_interrupt_of_run_sync_has_the_account_as_a_note(service: Service) -> None:
    service.answered_at_once = 50
    service.is_open.clear()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", INTERRUPTED, service.connection_string),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await service.waiting.wait()
    process.send_signal(signal.SIGINT)
    service.is_open.set()
    output, errors = await process.communicate()
    received = service.received
    assert (output.decode().strip(), errors) == (
        (
            f"the run until then: <200 actions: {received} ok, 0 failed, 0 unknown, "
            f"{200 - received} skipped; exit code 1>"
        ),
        b"",
    )
