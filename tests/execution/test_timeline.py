"""What results say about when: the start, the step that was waited for, the attempts before."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from wps_run.connect.endpoint import Endpoint
from wps_run.execution.result import Result, SkipReason, Status
from wps_run.playbook.options import Mode, RetryOptions
from wps_run.playbook.steps import Step

Make = Callable[..., Step]


def in_order(results: list[Result]) -> list[Result]:
    return sorted(results, key=lambda one: one.index)


@pytest.mark.parametrize("mode", Mode)
async def test_a_start_is_told_from_the_beginning_of_the_run(
    run: Any, service: Any, join: Make, mode: Mode
) -> None:
    """Also of a run whose beginning lies back, as that of a resumed one does."""
    clock = [100.0]

    async def answer(_: web.Request) -> web.Response:
        clock[0] += 0.5
        return web.Response()

    service.answer = answer
    run.more = {"clock": lambda: clock[0], "epoch": 40.0}
    run.options = replace(run.options, mode=mode, concurrency=1)
    results = in_order(await run.results([join("ada"), join("bob")]))

    assert [one.started_ms for one in results] == [60_000.0, 60_500.0]


async def test_what_did_not_start_has_no_start(run: Any, service: Any, join: Make) -> None:
    """A skipped action was never attempted."""
    service.says(404)
    run.options = replace(run.options, mode=Mode.SEQUENTIAL)
    failed, skipped = in_order(await run.results([join("ada"), join("bob")]))

    assert failed.started_ms is not None
    assert (skipped.status, skipped.started_ms, skipped.attempts) == (
        Status.SKIPPED,
        None,
        0,
    )


async def test_a_result_names_whom_its_step_kept_order_for(
    run: Any, service: Any, join: Make, make_step: Make
) -> None:
    """The last of those that had to end; nobody where nothing was in the way."""
    bob = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if "/ada/" in request.path:
            await bob.wait()
        bob.set()
        return web.Response()

    service.answer = answer
    steps = [join("ada"), join("bob"), make_step("sendToGroup", group="red")]
    results = in_order(await run.results(steps))

    assert [one.waited_for for one in results] == [None, None, 0]


async def test_a_sequential_run_waits_for_nobody_in_particular(run: Any, join: Make) -> None:
    """There the order is everybody's."""
    run.options = replace(run.options, mode=Mode.SEQUENTIAL)

    results = await run.results([join("a"), join("b")])
    assert [one.waited_for for one in results] == [None, None]


async def test_each_attempt_before_the_last_is_told(run: Any, service: Any, join: Make) -> None:
    """When it started, what came of it, and how long the pause after it was to be."""
    left = [(429, {"retry-after-ms": "20"}), (500, {"x-ms-error-code": "Oops"}), (200, {})]

    async def answer(_: web.Request) -> web.Response:
        status, headers = left.pop(0)
        return web.Response(status=status, headers=headers)

    service.answer = answer
    run.more = {"chance": lambda: 0.5}
    run.options = replace(run.options, retry=RetryOptions(4, 0.002, 1.0))
    (result,) = await run.results([join("ada")])
    first, second = result.tries

    assert (first.http_status, first.error, first.pause_ms) == (429, None, 21.0)
    assert (second.http_status, second.error, second.pause_ms) == (500, "Oops", 2.0)
    assert result.started_ms == first.at_ms
    assert second.at_ms >= first.at_ms + 21
    assert result.attempts == 3


async def test_an_interrupt_in_a_pause_leaves_its_last_attempt_the_last(
    run: Any, service: Any, join: Make
) -> None:
    """The pause after it led to nothing, so it is no attempt before another one."""
    asked = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        asked.set()
        return web.Response(status=429)

    service.answer = answer
    run.options = replace(run.options, retry=RetryOptions(4, 3600.0, 3600.0))
    run.more = {"chance": lambda: 0.9}
    running = run.soon([join("ada")])
    await asked.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    (result,) = await running

    assert (result.status, result.attempts, result.tries) == (Status.SKIPPED, 1, ())


async def test_what_never_left_is_no_attempt_but_is_told(run: Any, join: Make) -> None:
    """Refused connections use up the retries; the service has seen none of them."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        run.endpoint = Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}", "k" * 44)
        (result,) = await run.results([join()])

    assert (result.attempts, len(result.tries)) == (0, 3)
    assert result.started_ms is not None
    assert {(one.http_status, one.error) for one in result.tries} == {(None, "connect")}
