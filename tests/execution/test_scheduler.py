"""Slots, pauses and the throttle, under a service on loopback that counts."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from wps_run.execution.result import Result, SkipReason, Status
from wps_run.execution.scheduler import BATCH, READ_AHEAD_BATCH
from wps_run.playbook.options import MissingRule, Mode, OnError, OnMissing, RetryOptions
from wps_run.playbook.steps import Step

Make = Callable[..., Step]
ABSENT = {"x-ms-error-code": "Warning.User.NotExisted"}


def statuses(results: list[Result]) -> list[str]:
    """How the steps ended, in written order."""
    return [one.status.value for one in sorted(results, key=lambda one: one.index)]


def waits(seconds: float) -> OnMissing:
    return OnMissing(MissingRule.WAIT, seconds)


async def let_go(seconds: float) -> None:
    """Pass some time, as a service that is at work does."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, done.set)
    await done.wait()


@pytest.mark.parametrize("mode", Mode)
async def test_an_absent_user_may_be_skipped_and_the_run_goes_on(
    run: Any, service: Any, join: Make, mode: Mode
) -> None:
    """One request; the service's words; no failure, whatever `onError` says."""

    async def answer(request: web.Request) -> web.Response:
        if "/ada/" in request.path:
            body = {"code": "Warning.User.NotExisted", "message": "User `ada` is not found."}
            return web.json_response(body, status=404)
        return web.Response()

    service.answer = answer
    run.options = replace(run.options, mode=mode)
    results = await run.results([join("ada", on_missing=OnMissing(MissingRule.SKIP)), join("bob")])

    assert statuses(results) == ["skipped", "ok"]
    skipped = min(results, key=lambda one: one.index)
    assert (skipped.attempts, skipped.http_status) == (1, 404)
    assert (skipped.error.code, skipped.error.message) == ("missing", "User `ada` is not found.")


async def test_a_404_that_names_no_missing_target_is_a_failure_even_when_skipping(
    run: Any, service: Any, join: Make
) -> None:
    """A wrong endpoint must not end as a run that went as planned."""
    service.says(404, **{"x-ms-error-code": "ResourceNotFound"})

    (result,) = await run.results([join(on_missing=OnMissing(MissingRule.SKIP))])

    assert result.status is Status.FAILED


async def test_those_who_are_waited_for_hold_no_slot(run: Any, service: Any, join: Make) -> None:
    """Two slots, two hundred absent users: all are asked for before the first one comes."""
    seen: set[str] = set()

    async def answer(request: web.Request) -> web.Response:
        seen.add(request.path)
        there = len(seen) == 200
        return web.Response(status=200 if there else 404, headers={} if there else ABSENT)

    service.answer = answer
    run.options = replace(run.options, concurrency=2)
    run.more = {"chance": lambda: 0.2}
    results = await run.results(join(f"u{n}", on_missing=waits(10)) for n in range(200))

    assert statuses(results) == ["ok"] * 200
    assert service.most_in_flight <= 2
    assert sum(one.attempts for one in results) == len(service.asked)


async def test_more_is_planned_while_all_requests_are_in_flight(
    run: Any, service: Any, join: Make
) -> None:
    """No response comes before more is planned than the requests in flight have needed."""
    planned_more = asyncio.Event()

    def steps() -> Iterator[Step]:
        for number in range(3 * BATCH):
            if number == BATCH:  # the first batch is in flight as a whole
                planned_more.set()
            yield join(f"u{number}")

    async def answer(_: web.Request) -> web.Response:
        await planned_more.wait()
        return web.Response()

    service.answer = answer
    run.options = replace(run.options, concurrency=BATCH)
    results = await run.results(steps())

    assert [result.attempts for result in results] == [1] * (3 * BATCH)


async def test_nothing_is_planned_once_a_stop_is_asked_for(
    run: Any, service: Any, join: Make
) -> None:
    """What is left is read to be told as skipped, when nothing is under way any more."""
    read: list[int] = []
    away = 0

    def steps() -> Iterator[Step]:
        for number in range(4 * BATCH):
            read.append(away)
            yield join(f"u{number}")

    async def answer(_: web.Request) -> web.Response:
        nonlocal away
        away += 1
        run.stop.request(SkipReason.STOPPED)
        await let_go(0.02)
        away -= 1
        return web.Response()

    service.answer = answer
    run.options = replace(run.options, concurrency=BATCH // 2)
    results = await run.results(steps())

    ok = statuses(results).count("ok")
    assert statuses(results) == ["ok"] * ok + ["skipped"] * (4 * BATCH - ok)
    assert sum(map(bool, read)) <= BATCH + READ_AHEAD_BATCH


@pytest.mark.parametrize("mode", Mode)
async def test_what_waits_for_a_user_keeps_its_place(
    run: Any, service: Any, join: Make, make_step: Make, mode: Mode
) -> None:
    """The send to the group comes after the join that is still asked for."""
    tries = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal tries
        tries += request.method == "PUT"
        absent = request.method == "PUT" and tries < 4
        return web.Response(status=404 if absent else 200, headers=ABSENT if absent else {})

    service.answer = answer
    run.options = replace(run.options, mode=mode, retry=RetryOptions(1, 0.0, 0.0))
    run.more = {"chance": lambda: 0.01}
    steps = [join(on_missing=waits(60)), make_step("sendToGroup", group="red")]
    results = await run.results(steps)

    assert [(one.status, one.attempts) for one in results] == [("ok", 4), ("ok", 1)]
    assert [one[:4] for one in service.asked] == ["PUT "] * 4 + ["POST"]


async def test_the_wait_ends_and_the_action_has_failed(run: Any, service: Any, join: Make) -> None:
    """With the last answer as its reason; misses use up no attempts of the retry."""
    service.says(404, **ABSENT)
    run.options = replace(run.options, retry=RetryOptions(1, 0.0, 0.0))
    run.more = {"chance": lambda: 0.1}

    (result,) = await run.results([join(on_missing=waits(0.3))])

    assert (result.status, result.error.code) == (Status.FAILED, "Warning.User.NotExisted")
    assert result.attempts >= 3
    assert result.duration_ms >= 300


async def test_other_trouble_while_waiting_follows_the_usual_rules(
    run: Any, service: Any, join: Make
) -> None:
    """Two misses, then two attempts that fail: as many as the playbook allows."""
    left = [404, 404, 500, 404, 500]

    async def answer(_: web.Request) -> web.Response:
        status = left.pop(0)
        return web.Response(status=status, headers=ABSENT if status == 404 else {})

    service.answer = answer
    run.options = replace(run.options, retry=RetryOptions(2, 0.0, 0.0))
    run.more = {"chance": lambda: 0.01}

    (result,) = await run.results([join(on_missing=waits(60))])

    assert (result.status, result.attempts, left) == (Status.UNKNOWN, 5, [])


async def test_an_interrupt_ends_the_wait_for_a_user(run: Any, service: Any, join: Make) -> None:
    """At once; nothing was done, so it is skipped like those that have not started."""
    asked = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        asked.set()
        return web.Response(status=404, headers=ABSENT)

    service.answer = answer
    run.options = replace(run.options, mode=Mode.SEQUENTIAL)
    run.more = {"chance": lambda: 0.999}
    running = run.soon(join(f"u{n}", on_missing=waits(3600)) for n in range(3))
    await asked.wait()
    run.stop.request(SkipReason.INTERRUPTED)

    assert statuses(await running) == ["skipped", "skipped", "skipped"]


async def test_those_who_pause_count_against_the_look_ahead(
    run: Any, service: Any, join: Make
) -> None:
    """A source without end is not read to its end while everybody is waited for."""
    read = 0

    def source() -> Any:
        nonlocal read
        while True:
            read += 1
            if read > 10_000:
                raise AssertionError("read too far ahead")
            yield join(f"u{read}", on_missing=waits(3600))

    bound, users = asyncio.Event(), set()

    async def answer(request: web.Request) -> web.Response:
        users.add(request.path)
        if len(users) == 1024:
            bound.set()
        return web.Response(status=404, headers=ABSENT)

    service.answer = answer
    run.more = {"chance": lambda: 0.999}
    running = run.soon(source())
    await bound.wait()
    assert read == 1024
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_refusal_halves_the_requests_in_flight_which_then_grow_back(
    run: Any, service: Any, join: Make
) -> None:
    """Eight are refused in one burst: four may fly, then five, up to eight again."""
    burst = asyncio.Event()
    flying: list[int] = []

    async def answer(_: web.Request) -> web.Response:
        if len(service.asked) <= 8:
            if service.in_flight == 8:
                burst.set()
            await burst.wait()
            return web.Response(status=429)
        flying.append(service.in_flight)
        await let_go(0.004)
        return web.Response()

    service.answer = answer
    results = await run.results(join(f"u{n}") for n in range(150))

    assert statuses(results) == ["ok"] * 150
    assert max(flying[:8]) == 4
    assert max(flying) == service.most_in_flight == 8
    for number, seen in enumerate(flying):  # 4 answers widen it to 5, 5 more to 6, and so on
        answered = number + 1 - seen
        assert seen <= 4 + sum(answered >= need for need in (4, 9, 15, 22))


@pytest.mark.parametrize(
    ("status", "said", "seconds"),
    [(429, {"Retry-After": "1"}, 1.0), (503, {"retry-after-ms": "300"}, 0.3)],
)
async def test_all_wait_as_the_service_says(
    run: Any, join: Make, status: int, said: dict[str, str], seconds: float
) -> None:
    """One action is refused; the others, not yet sent, wait as well."""
    service, loop = run.service, asyncio.get_running_loop()
    refused, late = asyncio.Event(), []
    told = 0.0

    async def answer(_: web.Request) -> web.Response:
        nonlocal told
        if len(service.asked) == 1:
            await refused.wait()
            told = loop.time()
            return web.Response(status=status, headers=said)
        if told:
            late.append(loop.time() - told)
        elif len(service.asked) == 8:
            refused.set()
            await let_go(0.1)
        else:
            await refused.wait()
            await let_go(0.1)
        return web.Response()

    service.answer = answer
    results = await run.results(join(f"u{n}") for n in range(30))

    assert statuses(results) == ["ok"] * 30
    assert len(late) == 23
    assert min(late) >= seconds


async def test_a_throttled_send_in_doubt_still_slows_the_run(
    run: Any, service: Any, make_step: Make
) -> None:
    """A 503 may not be sent again, but what comes after it waits."""
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
    assert times[1] - times[0] >= 0.2


async def test_the_rate_is_smooth_and_counts_retries(run: Any, service: Any, join: Make) -> None:
    """However the service looks at it: no moment holds more than the rate allows."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    tries = Counter[str]()

    async def answer(request: web.Request) -> web.Response:
        times.append(loop.time())
        tries[request.path] += 1
        return web.Response(status=200 if tries[request.path] > 1 else 500)

    service.answer = answer
    run.options = replace(run.options, rate=100.0)
    results = await run.results(join(f"u{n}") for n in range(25))

    assert [one.attempts for one in results] == [2] * 25
    for first, early in enumerate(times):
        for more, late in enumerate(times[first:]):
            assert late - early >= more / 100 - 0.05


async def test_a_stop_ends_the_wait_for_the_pace_at_once(
    run: Any, service: Any, join: Make
) -> None:
    """Nobody waits a thousand seconds to learn that nothing more is to start."""
    done = asyncio.Event()
    run.options = replace(run.options, rate=0.001)

    async def answer(_: web.Request) -> web.Response:
        asyncio.get_running_loop().call_later(0.05, done.set)
        return web.Response()

    service.answer = answer
    running = run.soon(join(f"u{n}") for n in range(3))
    await done.wait()
    run.stop.request(SkipReason.STOPPED)

    assert statuses(await running) == ["ok", "skipped", "skipped"]


async def test_the_log_counts_the_attempts_of_an_action(
    run: Any, service: Any, join: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """From 1, each with its request and its answer."""
    caplog.set_level("INFO", "wps_run.connect")
    service.says(500, 200)
    await run.results([join()])

    said = [record.getMessage() for record in caplog.records if record.name == "wps_run.connect"]
    assert [line.rpartition("attempt ")[2] for line in said] == ["1)", "1)", "2)", "2)"]
