"""Pauses, throttling, rate and planning, against a service on loopback that counts requests."""

import asyncio
import itertools
import os
import socket
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from wps_run.connect.client import Client
from wps_run.connect.endpoint import Endpoint
from wps_run.execution.executor import Executor
from wps_run.execution.limits import ConcurrencyLimiter
from wps_run.execution.result import Result, SkipReason, Status
from wps_run.execution.scheduler import Job, Scheduler
from wps_run.journal.recorder import RunRecorder
from wps_run.journal.writer import Journal
from wps_run.playbook.options import MissingRule, Mode, OnError, OnMissing, RetryOptions
from wps_run.playbook.steps import Step

Make = Callable[..., Step]
ABSENT = {"x-ms-error-code": "Warning.User.NotExisted"}


def statuses(results: list[Result]) -> list[str]:
    """Return the statuses in plan order."""
    return [result.status.value for result in sorted(results, key=lambda result: result.index)]


def wait_rule(seconds: float) -> OnMissing:
    return OnMissing(MissingRule.WAIT, seconds)


async def wait_for(seconds: float) -> None:
    """Wait without blocking the loop, as a busy service does."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, done.set)
    await done.wait()


@pytest.mark.parametrize("mode", Mode)
async def test_missing_user_is_skipped_and_the_run_continues(
    run: Any, service: Any, join: Make, mode: Mode
) -> None:
    """One request, the message of the service, and no failure whatever `onError` is."""

    async def answer(request: web.Request) -> web.Response:
        if "/ada/" in request.path:
            body = {"code": "Warning.User.NotExisted", "message": "User `ada` is not found."}
            return web.json_response(body, status=404)
        return web.Response()

    service.answer = answer
    run.options = replace(run.options, mode=mode)
    results = await run.results([join("ada", on_missing=OnMissing(MissingRule.SKIP)), join("bob")])

    assert statuses(results) == ["skipped", "ok"]
    skipped = min(results, key=lambda result: result.index)
    assert (skipped.attempts, skipped.http_status) == (1, 404)
    assert (skipped.error.code, skipped.error.message) == ("missing", "User `ada` is not found.")


async def test_404_without_a_missing_target_is_a_failure(
    run: Any, service: Any, join: Make
) -> None:
    """The endpoint may be wrong."""
    service.respond_with(404, **{"x-ms-error-code": "ResourceNotFound"})

    (result,) = await run.results([join(on_missing=OnMissing(MissingRule.SKIP))])

    assert result.status is Status.FAILED


async def test_waiting_actions_use_no_concurrency(run: Any, service: Any, join: Make) -> None:
    """Two slots, 50 missing users: all are requested before the first one exists."""
    paths: set[str] = set()

    async def answer(request: web.Request) -> web.Response:
        paths.add(request.path)
        exists = len(paths) == 50
        return web.Response(status=200 if exists else 404, headers={} if exists else ABSENT)

    service.answer = answer
    run.options = replace(run.options, concurrency=2)
    run.executor_args = {"chance": lambda: 0.2}
    results = await run.results(join(f"u{n}", on_missing=wait_rule(10)) for n in range(50))

    assert statuses(results) == ["ok"] * 50
    assert service.max_in_flight <= 2
    assert sum(result.attempts for result in results) == len(service.requests)


async def test_more_is_planned_while_all_requests_are_in_flight(
    run: Any, service: Any, join: Make
) -> None:
    """No response comes before more is planned than the requests in flight have needed."""
    planned_more = asyncio.Event()

    def steps() -> Iterator[Step]:
        for number in range(200):
            if number == 64:  # so many are in flight
                planned_more.set()
            yield join(f"u{number}")

    async def answer(_: web.Request) -> web.Response:
        await planned_more.wait()
        return web.Response()

    service.answer = answer
    run.options = replace(run.options, concurrency=64)
    results = await run.results(steps())

    assert [result.attempts for result in results] == [1] * 200


async def test_nothing_is_planned_after_a_stop(run: Any, service: Any, join: Make) -> None:
    """The remaining steps are read, to report them as skipped, once no request is in flight."""
    in_flight_at_read: list[int] = []
    in_flight = 0

    def steps() -> Iterator[Step]:
        for number in range(256):
            in_flight_at_read.append(in_flight)
            yield join(f"u{number}")

    async def answer(_: web.Request) -> web.Response:
        nonlocal in_flight
        in_flight += 1
        run.stop.request(SkipReason.STOPPED)
        await wait_for(0.02)
        in_flight -= 1
        return web.Response()

    service.answer = answer
    run.options = replace(run.options, concurrency=32)
    results = await run.results(steps())

    ok = statuses(results).count("ok")
    assert statuses(results) == ["ok"] * ok + ["skipped"] * (256 - ok)
    assert sum(map(bool, in_flight_at_read)) <= 100


@pytest.mark.parametrize("mode", Mode)
async def test_waiting_action_keeps_its_order(
    run: Any, service: Any, join: Make, make_step: Make, mode: Mode
) -> None:
    """A send to the group comes after the join that is still retried."""
    attempts = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal attempts
        attempts += request.method == "PUT"
        is_missing = request.method == "PUT" and attempts < 4
        return web.Response(status=404, headers=ABSENT) if is_missing else service.success(request)

    service.answer = answer
    run.options = replace(run.options, mode=mode, retry=RetryOptions(1, 0.0, 0.0))
    run.executor_args = {"chance": lambda: 0.01}
    steps = [join(on_missing=wait_rule(60)), make_step("sendToGroup", group="red")]
    results = await run.results(steps)

    assert [(result.status, result.attempts) for result in results] == [("ok", 4), ("ok", 1)]
    assert [result[:4] for result in service.requests] == ["PUT "] * 4 + ["POST"]


async def test_action_fails_at_the_end_of_the_wait(run: Any, service: Any, join: Make) -> None:
    """Misses do not count against the attempts."""
    service.respond_with(404, **ABSENT)
    run.options = replace(run.options, retry=RetryOptions(1, 0.0, 0.0))
    run.executor_args = {"chance": lambda: 0.1}

    (result,) = await run.results([join(on_missing=wait_rule(0.3))])

    assert (result.status, result.error.code) == (Status.FAILED, "Warning.User.NotExisted")
    assert result.attempts >= 3
    assert result.duration_ms >= 300


async def test_other_failures_during_the_wait_count_against_the_attempts(
    run: Any, service: Any, join: Make
) -> None:
    remaining = [404, 404, 500, 404, 500]

    async def answer(_: web.Request) -> web.Response:
        status = remaining.pop(0)
        return web.Response(status=status, headers=ABSENT if status == 404 else {})

    service.answer = answer
    run.options = replace(run.options, retry=RetryOptions(2, 0.0, 0.0))
    run.executor_args = {"chance": lambda: 0.01}

    (result,) = await run.results([join(on_missing=wait_rule(60))])

    assert (result.status, result.attempts, remaining) == (Status.UNKNOWN, 5, [])


async def test_interrupt_ends_the_wait_for_a_user_as_skipped(
    run: Any, service: Any, join: Make
) -> None:
    received = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        received.set()
        return web.Response(status=404, headers=ABSENT)

    service.answer = answer
    run.options = replace(run.options, mode=Mode.SEQUENTIAL)
    run.executor_args = {"chance": lambda: 0.999}
    running = run.start(join(f"u{n}", on_missing=wait_rule(3600)) for n in range(3))
    await received.wait()
    run.stop.request(SkipReason.INTERRUPTED)

    assert statuses(await running) == ["skipped", "skipped", "skipped"]


@pytest.fixture
def endless_steps(join: Make) -> Iterator[Step]:
    """Steps without end; reading more than 10,000 fails."""

    def steps() -> Iterator[Step]:
        for number in range(10_000):
            yield join(f"u{number}")
        raise AssertionError("read too far ahead")

    return steps()


def end_by_pause(scheduler: Scheduler, job: Job) -> None:
    scheduler.retry(job, due=3600.0)


def end_by_result(scheduler: Scheduler, job: Job) -> None:
    scheduler.finish(job)


@pytest.mark.parametrize("end", [end_by_pause, end_by_result])
def test_number_of_steps_that_are_held_is_bounded(
    run: Any, endless_steps: Iterator[Step], end: Callable[[Scheduler, Job], None]
) -> None:
    """Paused steps and results that are not yet delivered count as held."""
    scheduler = Scheduler(endless_steps, run.options, run.stop, ConcurrencyLimiter(8))
    started = 0
    while (job := scheduler.next_job(now=0.0)) is not None:
        started += 1
        end(scheduler, job)

    assert started >= 500
    assert scheduler.error is None


def test_number_of_blocked_steps_that_are_held_is_bounded(run: Any, make_step: Make) -> None:
    numbers = itertools.count()
    steps = (make_step("sendToGroup", group="red", index=number) for number in numbers)
    scheduler = Scheduler(steps, run.options, run.stop, ConcurrencyLimiter(8))

    assert scheduler.next_job(now=0.0) is not None
    assert scheduler.next_job(now=0.0) is None
    assert next(numbers) <= 5000


def test_no_timer_runs_while_the_concurrency_limit_is_reached(run: Any, join: Make) -> None:
    """A step is ready, but only the end of a request lets it start."""
    steps = [join("ada"), join("bob")]
    scheduler = Scheduler(steps, run.options, run.stop, ConcurrencyLimiter(1))
    job = scheduler.next_job(now=0.0)
    assert job is not None

    assert (scheduler.next_job(now=0.0), scheduler.wake_at()) == (None, None)
    scheduler.retry(job, due=5.0)
    assert scheduler.wake_at() is not None
    assert scheduler.next_job(now=0.0) is not None


def test_attempt_starts_at_the_time_to_wake_at(run: Any, join: Make) -> None:
    """Neither before the rate allows it, nor before the pause of a retry ends."""
    options = replace(run.options, rate=10.0)
    scheduler = Scheduler([join("ada"), join("bob")], options, run.stop, ConcurrencyLimiter(8))
    ada = scheduler.next_job(now=0.0)
    assert ada is not None
    assert scheduler.next_job(now=0.09) is None
    assert scheduler.wake_at() == pytest.approx(0.1)
    assert scheduler.next_job(now=scheduler.wake_at() or 0.0) is not None

    scheduler.retry(ada, due=5.0)
    assert scheduler.next_job(now=4.9) is None
    assert scheduler.wake_at() == 5.0
    assert scheduler.next_job(now=5.0) is ada


def test_delivered_results_make_room_for_further_steps(
    run: Any, endless_steps: Iterator[Step]
) -> None:
    scheduler = Scheduler(endless_steps, run.options, run.stop, ConcurrencyLimiter(8))
    for _ in range(9000):
        job = scheduler.next_job(now=0.0)
        assert job is not None
        scheduler.finish(job)
        scheduler.deliver(1)


async def test_run_waits_until_its_results_are_read(
    run: Any, service: Any, endless_steps: Iterator[Step]
) -> None:
    async with Client(service.endpoint, concurrency=8) as client:
        results = Executor(client, run.options, run.stop).run(endless_steps)
        async with aclosing(results):
            await anext(results)
            count = -1
            while count != len(service.requests):  # until no further request arrives
                count = len(service.requests)
                await wait_for(0.05)

    assert 500 <= count <= 5000


async def test_throttling_halves_the_requests_in_flight_which_then_grow_back(
    run: Any, service: Any, join: Make
) -> None:
    """8 refused requests: 4 may be in flight, then 5, up to 8 again."""
    burst = asyncio.Event()
    in_flight: list[int] = []

    async def answer(_: web.Request) -> web.Response:
        if len(service.requests) <= 8:
            if service.in_flight == 8:
                burst.set()
            await burst.wait()
            return web.Response(status=429)
        in_flight.append(service.in_flight)
        await wait_for(0.004)
        return web.Response()

    service.answer = answer
    results = await run.results(join(f"u{n}") for n in range(150))

    assert statuses(results) == ["ok"] * 150
    assert max(in_flight[:8]) == 4
    assert max(in_flight) == service.max_in_flight == 8
    for number, current in enumerate(in_flight):  # 4 answers widen it to 5, 5 more to 6, and so on
        answered = number + 1 - current
        assert current <= 4 + sum(answered >= need for need in (4, 9, 15, 22))


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [(429, {"Retry-After": "1"}, 1.0), (503, {"retry-after-ms": "300"}, 0.3)],
)
async def test_retry_after_pauses_all_requests(
    run: Any, join: Make, status: int, headers: dict[str, str], seconds: float
) -> None:
    """One action is throttled; the others, not yet sent, wait as well."""
    service, loop = run.service, asyncio.get_running_loop()
    refused, delays = asyncio.Event(), []
    throttled_at = 0.0

    async def answer(_: web.Request) -> web.Response:
        nonlocal throttled_at
        if len(service.requests) == 1:
            await refused.wait()
            throttled_at = loop.time()
            return web.Response(status=status, headers=headers)
        if throttled_at:
            delays.append(loop.time() - throttled_at)
        elif len(service.requests) == 8:
            refused.set()
            await wait_for(0.1)
        else:
            await refused.wait()
            await wait_for(0.1)
        return web.Response()

    service.answer = answer
    results = await run.results(join(f"u{n}") for n in range(30))

    assert statuses(results) == ["ok"] * 30
    assert len(delays) == 23
    assert min(delays) >= seconds - 1e-6


async def test_throttled_send_that_is_not_retried_pauses_the_run(
    run: Any, service: Any, make_step: Make
) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def answer(_: web.Request) -> web.Response:
        times.append(loop.time())
        if len(times) == 1:
            return web.Response(status=503, headers={"retry-after-ms": "200"})
        return web.Response(status=202)

    service.answer = answer
    steps = [make_step("sendToAll", on_error=OnError.CONTINUE) for _ in range(2)]
    results = await run.results(steps)

    assert statuses(results) == ["unknown", "ok"]
    assert times[1] - times[0] >= 0.2 - 1e-6


async def test_rate_is_smooth_and_includes_retries(run: Any, service: Any, join: Make) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    attempts = Counter[str]()

    async def answer(request: web.Request) -> web.Response:
        times.append(loop.time())
        attempts[request.path] += 1
        return web.Response(status=200 if attempts[request.path] > 1 else 500)

    service.answer = answer
    run.options = replace(run.options, rate=100.0)
    results = await run.results(join(f"u{n}") for n in range(25))

    assert [result.attempts for result in results] == [2] * 25
    for first, early in enumerate(times):
        for more, late in enumerate(times[first:]):
            assert late - early >= more / 100 - 1e-6


async def test_stop_ends_the_wait_for_the_rate(run: Any, service: Any, join: Make) -> None:
    done = asyncio.Event()
    run.options = replace(run.options, rate=0.001)

    async def answer(_: web.Request) -> web.Response:
        asyncio.get_running_loop().call_later(0.05, done.set)
        return web.Response()

    service.answer = answer
    running = run.start(join(f"u{n}") for n in range(3))
    await done.wait()
    run.stop.request(SkipReason.STOPPED)

    assert statuses(await running) == ["ok", "skipped", "skipped"]


async def test_log_numbers_the_attempts_of_an_action(
    run: Any, service: Any, join: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Each request and each response, from 1."""
    caplog.set_level("INFO", "wps_run.connect")
    service.respond_with(500, 200)
    await run.results([join()])

    messages = [
        record.getMessage() for record in caplog.records if record.name == "wps_run.connect"
    ]
    assert [line.rpartition("attempt ")[2] for line in messages] == ["1)", "1)", "2)", "2)"]


def in_plan_order(results: list[Result]) -> list[Result]:
    return sorted(results, key=lambda result: result.index)


@pytest.mark.parametrize("mode", Mode)
async def test_start_is_measured_from_the_beginning_of_the_run(
    run: Any, service: Any, join: Make, mode: Mode
) -> None:
    """A resumed run began earlier."""
    clock = [100.0]

    async def answer(_: web.Request) -> web.Response:
        clock[0] += 0.5
        return web.Response()

    service.answer = answer
    run.executor_args = {"clock": lambda: clock[0], "epoch": 40.0}
    run.options = replace(run.options, mode=mode, concurrency=1)
    results = in_plan_order(await run.results([join("ada"), join("bob")]))

    assert [result.started_ms for result in results] == [60_000.0, 60_500.0]


async def test_skipped_step_has_no_start(run: Any, service: Any, join: Make) -> None:
    service.respond_with(404)
    run.options = replace(run.options, mode=Mode.SEQUENTIAL)
    failed, skipped = in_plan_order(await run.results([join("ada"), join("bob")]))

    assert failed.started_ms is not None
    assert (skipped.status, skipped.started_ms, skipped.attempts) == (
        Status.SKIPPED,
        None,
        0,
    )


async def test_result_names_the_step_that_it_waited_for(
    run: Any, service: Any, join: Make, make_step: Make
) -> None:
    """The last one that had to end; None if there was none."""
    bob = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if "/ada/" in request.path:
            await bob.wait()
        bob.set()
        return web.Response()

    service.answer = answer
    steps = [join("ada"), join("bob"), make_step("sendToGroup", group="red")]
    results = in_plan_order(await run.results(steps))

    assert [result.waited_for for result in results] == [None, None, 0]


async def test_results_of_a_sequential_run_name_no_step(run: Any, join: Make) -> None:
    run.options = replace(run.options, mode=Mode.SEQUENTIAL)

    results = await run.results([join("a"), join("b")])
    assert [result.waited_for for result in results] == [None, None]


async def test_each_attempt_before_the_last_is_recorded(run: Any, service: Any, join: Make) -> None:
    """Its start, its outcome, and the pause after it."""
    remaining = [(429, {"retry-after-ms": "20"}), (500, {"x-ms-error-code": "Oops"}), (200, {})]

    async def answer(_: web.Request) -> web.Response:
        status, headers = remaining.pop(0)
        return web.Response(status=status, headers=headers)

    service.answer = answer
    run.executor_args = {"chance": lambda: 0.5}
    run.options = replace(run.options, retry=RetryOptions(4, 0.002, 1.0))
    (result,) = await run.results([join("ada")])
    first, second = result.tries

    assert (first.http_status, first.error, first.pause_ms) == (429, None, 21.0)
    assert (second.http_status, second.error, second.pause_ms) == (500, "Oops", 2.0)
    assert result.started_ms == first.at_ms
    assert second.at_ms >= first.at_ms + 21
    assert result.attempts == 3


async def test_attempt_before_an_interrupted_pause_is_the_last(
    run: Any, service: Any, join: Make
) -> None:
    received = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        received.set()
        return web.Response(status=429)

    service.answer = answer
    run.options = replace(run.options, retry=RetryOptions(4, 3600.0, 3600.0))
    run.executor_args = {"chance": lambda: 0.9}
    running = run.start([join("ada")])
    await received.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    (result,) = await running

    assert (result.status, result.attempts, result.tries) == (Status.SKIPPED, 1, ())


async def test_refused_connections_are_recorded_but_no_attempts(run: Any, join: Make) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        run.endpoint = Endpoint(f"http://127.0.0.1:{unused.getsockname()[1]}", "k" * 44)
        (result,) = await run.results([join()])

    assert (result.attempts, len(result.tries)) == (0, 3)
    assert result.started_ms is not None
    assert {(attempt.http_status, attempt.error) for attempt in result.tries} == {(None, "connect")}


RATE = 200
SYNC = 0.2
"""Seconds that the disk takes; without a ceiling at the wire, 40 sends would leave at once."""


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes `SYNC` seconds to sync."""

    def sync(descriptor: int) -> None:
        time.sleep(SYNC)  # noqa: TID251 -- in a thread of its own, as a disk does
        os.fsync(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync, raising=False)


@pytest.fixture
def arrivals(service: Any) -> list[float]:
    """The times at which requests arrive."""
    times: list[float] = []

    async def answer(request: web.Request) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        return web.Response(status=202 if request.method == "POST" else 200)

    service.answer = answer
    return times


@pytest.fixture
async def recorder(tmp_path: Path) -> AsyncIterator[RunRecorder]:
    journal = Journal.create(tmp_path / "j", {"type": "run"})
    yield RunRecorder(journal)
    await journal.close()


def most_within(times: list[float], seconds: float) -> int:
    """Return the largest number of these times within one interval of so many seconds."""
    return max(bisect_left(times, at + seconds) - position for position, at in enumerate(times))


@pytest.mark.usefixtures("slow_disk")
async def test_sends_that_wait_for_one_sync_are_sent_at_the_rate(
    run: Any, make_step: Make, join: Make, arrivals: list[float], recorder: RunRecorder
) -> None:
    """Also with idempotent actions among them; the concurrency limit holds."""
    run.options = replace(run.options, rate=RATE, concurrency=64)
    run.executor_args = {"recorder": recorder}
    steps = [
        make_step("sendToUser", userId=f"u{number}") if number % 4 else join(f"u{number}")
        for number in range(240)
    ]
    results = await run.results(steps)

    assert {result.status for result in results} == {Status.OK}
    assert run.service.max_in_flight <= 64
    assert most_within(arrivals, 1.0) <= RATE + 5
    assert most_within(arrivals, 0.02) <= RATE * 0.02 + 10
    # Sends share syncs: one each would take 36 s. A busy machine may need some seconds more.
    assert arrivals[-1] - arrivals[0] < 240 / RATE + 4 * SYNC + 10


@pytest.mark.usefixtures("slow_disk")
@pytest.mark.parametrize("how", ["request", "abandon"])
async def test_send_that_waits_for_a_sync_is_skipped_on_interrupt(
    run: Any, make_step: Make, arrivals: list[float], recorder: RunRecorder, how: str
) -> None:
    """The journal has the result."""
    run.options = replace(run.options, mode=Mode.SEQUENTIAL)
    run.executor_args = {"recorder": recorder}
    loop = asyncio.get_running_loop()
    if how == "request":
        loop.call_later(SYNC / 2, run.stop.request, SkipReason.INTERRUPTED)
    else:
        loop.call_later(SYNC / 2, run.stop.abandon)
    (result,) = await run.results([make_step("sendToAll")])

    assert (result.status, result.attempts, arrivals) == (Status.SKIPPED, 0, [])
    assert result.error.code == "interrupted"
    assert recorder.journal
    last_line = recorder.journal.path.read_text().splitlines()[-1]
    assert last_line.startswith('{"type":"result","index":')


async def test_retry_after_pauses_sends_that_wait_for_a_sync(
    run: Any, service: Any, make_step: Make, slow_disk: None, recorder: RunRecorder
) -> None:
    del slow_disk
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def answer(_: web.Request) -> web.Response:
        times.append(loop.time())
        if len(times) == 1:
            return web.Response(status=429, headers={"retry-after-ms": "500"})
        return web.Response(status=202)

    service.answer = answer
    run.executor_args = {"recorder": recorder}
    steps = [make_step("sendToUser", userId=f"u{number}") for number in range(2)]
    run.options = replace(run.options, rate=1 / SYNC * 2)
    await run.results(steps)

    first, *others = times
    assert len(others) == 2
    assert min(others) >= first + 0.5
