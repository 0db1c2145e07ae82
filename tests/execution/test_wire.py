"""`rate` holds where requests leave, with a journal that makes them wait for the disk as well."""

import asyncio
import os
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from wps_run.execution.result import SkipReason, Status
from wps_run.journal import writer as module
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.writer import Journal
from wps_run.playbook.options import Mode
from wps_run.playbook.steps import Step

Make = Callable[..., Step]
RATE = 200
SYNC = 0.2
"""Seconds that the disk takes; without a ceiling at the wire, 40 sends would leave at once."""


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes its time to sync."""

    def sync(descriptor: int) -> None:
        time.sleep(SYNC)  # noqa: TID251 -- in a thread of its own, as a disk does
        os.fsync(descriptor)

    monkeypatch.setattr(module, "_sync_data", sync)


@pytest.fixture
def arrivals(service: Any) -> list[float]:
    """When requests arrive."""
    times: list[float] = []

    async def answer(request: web.Request) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        return web.Response(status=202 if request.method == "POST" else 200)

    service.answer = answer
    return times


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[RunRecorder]:
    """A journal."""
    journal = Journal.create(tmp_path / "j", b'{"type":"run"}\n')
    yield RunRecorder(journal)
    await journal.close()


def most_within(times: list[float], seconds: float) -> int:
    """The most of these moments that lie within so many seconds."""
    return max(bisect_left(times, at + seconds) - place for place, at in enumerate(times))


@pytest.mark.usefixtures("slow_disk")
async def test_sends_that_wait_for_one_sync_do_not_leave_together(
    run: Any, make_step: Make, join: Make, arrivals: list[float], kept: RunRecorder
) -> None:
    """Smooth over time, among idempotent actions too; no more in flight than is allowed."""
    run.options = replace(run.options, rate=RATE, concurrency=64)
    run.more = {"recorder": kept}
    steps = [
        make_step("sendToUser", userId=f"u{number}") if number % 4 else join(f"u{number}")
        for number in range(240)
    ]
    results = await run.results(steps)

    assert {one.status for one in results} == {Status.OK}
    assert run.service.most_in_flight <= 64
    assert most_within(arrivals, 1.0) <= RATE + 5
    assert most_within(arrivals, 0.02) <= RATE * 0.02 + 10
    # The syncs delay each send, and yet do not lower the rate.
    assert arrivals[-1] - arrivals[0] < 240 / RATE + 4 * SYNC + 1


@pytest.mark.usefixtures("slow_disk")
async def test_what_is_told_to_stop_while_it_waits_for_the_disk_does_not_leave(
    run: Any, make_step: Make, arrivals: list[float], kept: RunRecorder, tmp_path: Path
) -> None:
    """It is skipped, and the journal says so."""
    run.options = replace(run.options, mode=Mode.SEQUENTIAL)
    run.more = {"recorder": kept}
    loop = asyncio.get_running_loop()
    loop.call_later(SYNC / 2, run.stop.request, SkipReason.INTERRUPTED)
    (result,) = await run.results([make_step("sendToAll")])

    assert (result.status, result.attempts, arrivals) == (Status.SKIPPED, 0, [])
    assert (tmp_path / "j").read_text().splitlines()[-1].startswith('{"type":"result","index":')


async def test_a_pause_that_the_service_asks_for_holds_what_was_announced(
    run: Any, service: Any, make_step: Make, slow_disk: None, kept: RunRecorder
) -> None:
    """Eight are on their way to the disk when the first answer says: wait."""
    del slow_disk
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def answer(_: web.Request) -> web.Response:
        times.append(loop.time())
        if len(times) == 1:
            return web.Response(status=429, headers={"retry-after-ms": "500"})
        return web.Response(status=202)

    service.answer = answer
    run.more = {"recorder": kept}
    steps = [make_step("sendToUser", userId=f"u{number}") for number in range(2)]
    run.options = replace(run.options, rate=1 / SYNC * 2)
    await run.results(steps)

    first, *others = times
    assert len(others) == 2
    assert min(others) >= first + 0.5
