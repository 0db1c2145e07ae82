"""Runs against a real service on loopback: order, ceilings, retries, and a result for all."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from wps_run.actions.locks import Lock
from wps_run.connect.client import Client
from wps_run.connect.endpoint import Endpoint
from wps_run.execution.executor import Executor
from wps_run.execution.result import Result, SkipReason, Status, result_for
from wps_run.execution.scheduler import LOOK_AHEAD
from wps_run.playbook.options import Delivery, Mode, OnError, RetryOptions
from wps_run.playbook.steps import Step

Make = Callable[..., Step]


def statuses(results: list[Result]) -> list[str]:
    """How the steps ended, in written order."""
    return [one.status.value for one in sorted(results, key=lambda one: one.index)]


class Gate:
    """An answer that waits: `arrived` once enough requests are there, until `open` is set."""

    def __init__(self, service: Any, number: int) -> None:
        self.arrived, self.open = asyncio.Event(), asyncio.Event()
        self._service, self._number = service, number
        service.answer = self.answer

    async def answer(self, request: web.Request) -> web.Response:
        """Wait for the gate to open, then say that it is done."""
        if self._service.in_flight >= self._number:
            self.arrived.set()
        await self.open.wait()
        return web.Response(status={"PUT": 200, "DELETE": 204, "POST": 202}[request.method])


async def test_a_result_says_how_it_went(run: Any, service: Any, join: Make) -> None:
    """Status, code, attempts, seconds by the given clock, the ID of its requests."""
    clock = [100.0]

    async def answer(_: web.Request) -> web.Response:
        clock[0] += 0.25
        return web.Response()

    service.answer = answer
    run.more = {"clock": lambda: clock[0], "new_request_id": lambda: "id-7"}
    step = join()

    results = await run.results([step])

    assert results == [
        result_for(
            step,
            Status.OK,
            http_status=200,
            attempts=1,
            duration=0.25,
            request_id="id-7",
            started=0.0,
        )
    ]


async def test_a_failure_is_told_with_its_hint(run: Any, service: Any, join: Make) -> None:
    """What the service says and what can be done about it."""
    service.says(404, **{"x-ms-error-code": "Warning.User.NotExisted"})

    (result,) = await run.results([join()])

    assert (result.status, result.http_status, result.attempts) == (Status.FAILED, 404, 1)
    assert result.error.code == "Warning.User.NotExisted"
    assert "webpubsub.group" in result.error.hint


async def test_a_sequential_run_is_one_at_a_time_as_written(
    run: Any, service: Any, join: Make
) -> None:
    """Even where the actions would commute, and whatever `concurrency` says."""
    run.options = replace(run.options, mode=Mode.SEQUENTIAL, concurrency=16)
    users = [f"u{number}" for number in range(200)]

    results = await run.results(join(user) for user in users)

    assert [one.target["userId"] for one in results] == users
    assert service.asked == [f"PUT /api/hubs/chat/users/{user}/groups/red" for user in users]
    assert service.most_in_flight == 1


async def test_concurrency_is_reached_and_never_exceeded(
    run: Any, service: Any, join: Make
) -> None:
    """The service counts: eight at once, not one more."""
    gate = Gate(service, 8)
    running = run.soon(join(f"u{number}") for number in range(100))
    await gate.arrived.wait()
    gate.open.set()

    assert statuses(await running) == ["ok"] * 100
    assert service.most_in_flight == 8


async def test_what_conflicts_waits_for_what_is_written_before_it(
    run: Any, service: Any, join: Make, make_step: Make
) -> None:
    """The send to a group waits for its joins, a send to another group does not."""
    gate = Gate(service, 3)
    steps = [join("ada"), join("bob"), make_step("sendToGroup", group="red"),
             make_step("sendToGroup", group="blue"), make_step("sendToAll")]  # fmt: skip
    running = run.soon(steps)
    await gate.arrived.wait()
    assert set(service.asked) == {
        "PUT /api/hubs/chat/users/ada/groups/red",
        "PUT /api/hubs/chat/users/bob/groups/red",
        "POST /api/hubs/chat/groups/blue/:send",
    }
    gate.open.set()

    assert statuses(await running) == ["ok"] * 5
    assert service.asked[3:] == [
        "POST /api/hubs/chat/groups/red/:send",
        "POST /api/hubs/chat/:send",
    ]


async def test_nothing_that_conflicts_is_ever_in_flight_together(
    run: Any, service: Any, make_step: Make
) -> None:
    """Three hundred actions on few targets, answered after pauses of every length."""
    chance = random.Random(7)  # noqa: S311 -- the same mixture each time
    kinds: list[tuple[str, Callable[[], dict[str, str]]]] = [
        ("addUserToGroup", lambda: {"userId": chance.choice("ab"), "group": chance.choice("xy")}),
        ("removeUserFromGroup", lambda: {"userId": chance.choice("ab"), "group": "x"}),
        ("sendToGroup", lambda: {"group": chance.choice("xy")}),
        ("sendToUser", lambda: {"userId": chance.choice("abc")}),
        ("removeUserFromAllGroups", lambda: {"userId": chance.choice("ab")}),
        ("closeGroupConnections", lambda: {"group": chance.choice("xy")}),
        ("sendToAll", dict),
    ]
    steps = []
    for _ in range(300):
        name, values = chance.choice(kinds)
        steps.append(make_step(name, **values()))
    locks = {f"{one.request.method} {one.request.path}": one.locks for one in steps}
    now: list[tuple[Lock, ...]] = []
    conflicts: list[tuple[Lock, ...]] = []

    async def answer(request: web.Request) -> web.Response:
        own = locks[f"{request.method} {request.rel_url.raw_path}"]
        conflicts.extend(other for other in now if conflict(own, other))
        now.append(own)
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(chance.random() / 500, done.set)
        await done.wait()
        now.remove(own)
        return web.Response()

    service.answer = answer
    results = await run.results(steps)

    assert statuses(results) == ["ok"] * 300
    assert conflicts == []
    assert service.most_in_flight > 1


def conflict(one: tuple[Lock, ...], other: tuple[Lock, ...]) -> bool:
    return any(
        a.key == b.key and not (a.use == b.use and a.shared and b.shared)
        for a in one
        for b in other
    )


@pytest.mark.parametrize(
    ("said", "ending"),
    [([500, 503, 200], (3, "ok")), ([429, 200], (2, "ok")), ([500] * 9, (4, "unknown")),
     ([429] * 9, (4, "failed")), ([500, 404], (2, "unknown")), ([401], (1, "failed"))],
)  # fmt: skip
async def test_an_idempotent_action_is_tried_until_it_is_clear(
    run: Any, join: Make, said: list[int], ending: tuple[int, str]
) -> None:
    """Each attempt is counted and carries the same request ID."""
    run.service.says(*said)

    (result,) = await run.results([join()])

    assert (result.attempts, result.status) == ending
    assert run.service.ids == [result.request_id] * result.attempts


@pytest.mark.parametrize(
    ("delivery", "said", "ending"),
    [
        (Delivery.AT_MOST_ONCE, [500, 202], (1, "unknown")),
        (Delivery.AT_LEAST_ONCE, [500, 202], (2, "ok")),
        (Delivery.AT_MOST_ONCE, [429, 202], (2, "ok")),
    ],
)
async def test_a_send_in_doubt_is_sent_again_only_if_the_playbook_says_so(
    run: Any, make_step: Make, delivery: Delivery, said: list[int], ending: tuple[int, str]
) -> None:
    """Nobody gets a message twice unless that was asked for."""
    run.service.says(*said)

    (result,) = await run.results([make_step("sendToAll", delivery=delivery)])

    assert (result.attempts, result.status) == ending
    assert len(run.service.asked) == result.attempts


async def test_actions_have_ids_of_their_own(run: Any, service: Any, join: Make) -> None:
    """Support can find one request among many."""
    await run.results(join(f"u{number}") for number in range(20))

    assert len(set(service.ids)) == 20


async def test_a_refused_connection_is_tried_again_and_then_failed(run: Any, join: Make) -> None:
    """Nothing left the machine, so it is certain that nothing happened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        run.endpoint = Endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}", "k" * 44)
        (result,) = await run.results([join()])

    assert (result.status, result.attempts, result.http_status) == (Status.FAILED, 0, None)
    assert result.error.code == "connect"
    assert [one.error for one in result.tries] == ["connect"] * 3


async def test_each_step_has_its_own_timeout(run: Any, service: Any, make_step: Make) -> None:
    """A stalled answer ends with the attempt, and is unknown."""
    Gate(service, 1)

    (result,) = await run.results([make_step("sendToAll", timeout=0.1)])

    assert (result.status, result.error.code) == (Status.UNKNOWN, "timeout")


@pytest.mark.parametrize(("status", "ending"), [(404, "failed"), (500, "unknown")])
async def test_a_failure_stops_what_has_not_started(
    run: Any, make_step: Make, join: Make, status: int, ending: str
) -> None:
    """What is in flight ends, the rest is skipped, each action has a result."""
    service = run.service
    all_there, answered = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if service.in_flight == 3:
            all_there.set()
        if request.method == "POST":
            await all_there.wait()
            answered.set()
            return web.Response(status=status)
        await answered.wait()
        return web.Response(status=200)

    service.answer = answer
    run.options = replace(run.options, concurrency=3)
    blue = make_step("sendToGroup", group="blue")
    results = await run.results([blue, *(join(f"u{number}") for number in range(500))])

    count = Counter(one.status for one in results)
    assert statuses(results)[0] == ending
    assert count.total() == 501
    assert 2 <= count[Status.OK] <= 10
    assert len(service.asked) == 501 - count[Status.SKIPPED]
    assert {one.error.code for one in results if one.status is Status.SKIPPED} == {"stopped"}
    assert run.stop.reason is SkipReason.STOPPED


async def test_a_step_that_continues_does_not_stop_the_run(
    run: Any, service: Any, join: Make
) -> None:
    """`onError: continue`, run or step."""
    service.says(404, 200)

    results = await run.results([join("a", on_error=OnError.CONTINUE), join("a"), join("b")])

    assert Counter(statuses(results)) == {"failed": 1, "ok": 2}


async def test_a_failure_lets_a_retry_under_way_come_to_its_end(
    run: Any, service: Any, join: Make
) -> None:
    """An action that has started is in flight also while it pauses."""
    failed = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if "/bad/" in request.path:
            failed.set()
            return web.Response(status=400)
        await failed.wait()
        tries = sum("/good/" in one for one in service.asked)
        return web.Response(status=503 if tries < 3 else 200)

    service.answer = answer
    run.options = replace(run.options, retry=RetryOptions(4, 0.05, 0.05))
    results = await run.results([join("good"), join("bad"), join("late")])

    assert statuses(results)[:2] == ["ok", "failed"]


async def test_after_an_interrupt_what_is_in_flight_ends_and_the_rest_is_skipped(
    run: Any, service: Any, join: Make
) -> None:
    """One request is asked for its answer, nothing new goes out."""
    gate = Gate(service, 8)
    running = run.soon(join(f"u{number}") for number in range(2000))
    await gate.arrived.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    gate.open.set()

    results = await running
    assert Counter(statuses(results)) == {"ok": 8, "skipped": 1992}
    assert {one.error.code for one in results if one.error} == {"interrupted"}
    assert len(service.asked) == 8


@pytest.mark.parametrize(("said", "ending"), [(503, "unknown"), (429, "skipped")])
@pytest.mark.parametrize("how", ["request", "abandon"])
async def test_an_interrupt_cuts_a_pause_short(
    run: Any, join: Make, said: int, ending: str, how: str
) -> None:
    """Whoever waits for another attempt ends at once: in doubt, or as if it had not left."""
    run.service.says(said)
    run.options = replace(run.options, retry=RetryOptions(4, 3600.0, 3600.0))
    decided = asyncio.Event()

    def chance() -> float:
        decided.set()
        return 0.999

    run.more = {"chance": chance}
    running = run.soon([join()])
    await decided.wait()
    if how == "request":
        run.stop.request(SkipReason.INTERRUPTED)
    else:
        run.stop.abandon()

    (result,) = await running
    assert (result.status, result.attempts, result.http_status) == (ending, 1, said)
    assert result.error.code == "interrupted"


async def test_after_an_interrupt_no_further_attempt_is_made(
    run: Any, service: Any, join: Make
) -> None:
    """An answer that asks for another attempt is the last one, even without a pause."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        asked.set()
        await go.wait()
        return web.Response(status=429)

    service.answer = answer
    running = run.soon([join()])
    await asked.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    go.set()

    (result,) = await running
    assert (result.status, result.attempts) == (Status.SKIPPED, 1)


async def test_an_abandoned_run_leaves_what_is_in_flight_as_unknown(
    run: Any, service: Any, join: Make
) -> None:
    """Idempotent or not: the request is out, nobody has seen the answer."""
    gate = Gate(service, 8)
    running = run.soon(join(f"u{number}") for number in range(100))
    await gate.arrived.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    run.stop.abandon()

    results = await running
    assert Counter(statuses(results)) == {"unknown": 8, "skipped": 92}
    assert {one.attempts for one in results if one.status is Status.UNKNOWN} == {1}
    assert not gate.open.is_set()


async def test_a_stop_holds_for_the_playbooks_after_it(run: Any, service: Any, join: Make) -> None:
    """One run, one stop: the next playbook's actions are skipped, none is sent."""
    run.stop.request(SkipReason.STOPPED)

    results = await run.results([join("a"), join("b")])

    assert [(one.status, one.attempts, one.request_id) for one in results] == [
        (Status.SKIPPED, 0, None)
    ] * 2
    assert service.asked == []


async def test_the_pace_holds_back_starts_and_a_stop_ends_the_wait(
    run: Any, service: Any, join: Make
) -> None:
    """With one start in a thousand seconds, the others wait, and are skipped when asked to."""
    run.options = replace(run.options, rate=0.001)
    gate = Gate(service, 1)
    running = run.soon(join(f"u{number}") for number in range(20))
    await gate.arrived.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    gate.open.set()

    assert Counter(statuses(await running)) == {"ok": 1, "skipped": 19}
    assert len(service.asked) == 1


async def test_an_abandoned_wait_for_the_pace_is_skipped(
    run: Any, service: Any, join: Make
) -> None:
    """What never left cannot have happened."""
    run.options = replace(run.options, rate=0.001)
    gate = Gate(service, 1)
    running = run.soon(join(f"u{number}") for number in range(20))
    await gate.arrived.wait()
    run.stop.abandon()

    assert Counter(statuses(await running)) == {"unknown": 1, "skipped": 19}


async def test_the_rate_is_a_ceiling_on_requests_with_retries_counted(
    run: Any, service: Any, join: Make
) -> None:
    """Twenty actions with two attempts each are forty starts: never faster than the rate."""
    tries = Counter[str]()

    async def answer(request: web.Request) -> web.Response:
        tries[request.path] += 1
        return web.Response(status=200 if tries[request.path] > 1 else 429)

    service.answer = answer
    run.options = replace(run.options, rate=200.0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    results = await run.results(join(f"u{number}") for number in range(20))

    assert statuses(results) == ["ok"] * 20
    assert loop.time() - began >= 39 / 200 * 0.98


async def test_no_more_is_read_than_the_look_ahead(run: Any, service: Any, make_step: Make) -> None:
    """When nothing at hand may start, reading goes on to the bound and no further."""
    read = 0

    def source() -> Iterator[Step]:
        nonlocal read
        for _ in range(5 * LOOK_AHEAD):
            read += 1
            yield make_step("sendToGroup", group="red")

    gate = Gate(service, 1)
    running = run.soon(source())
    await gate.arrived.wait()
    assert read == LOOK_AHEAD
    run.stop.abandon()

    assert Counter(statuses(await running)) == {"unknown": 1, "skipped": 5 * LOOK_AHEAD - 1}


async def test_a_slow_reader_of_results_holds_the_run_back(
    run: Any, service: Any, join: Make
) -> None:
    """Results that nobody has taken count against the look-ahead, so memory stays bounded."""
    read = 0

    def source() -> Iterator[Step]:
        nonlocal read
        for number in range(5 * LOOK_AHEAD):
            read += 1
            yield join(f"u{number}")

    async with Client(service.endpoint, concurrency=8) as client:
        results = Executor(client, run.options, run.stop).run(source())
        async with aclosing(results):
            await anext(results)
            workers = {task for task in asyncio.all_tasks() if "_work" in repr(task)}
            await asyncio.wait(workers)  # they go home when there is no room

    assert len(workers) == 8
    assert LOOK_AHEAD <= read <= LOOK_AHEAD + 64


async def test_there_is_no_task_for_each_action(run: Any, service: Any, join: Make) -> None:
    """Workers over one stream: two thousand actions, a few tasks."""
    most = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))
        return web.Response()

    service.answer = answer
    await run.results(join(f"u{number}") for number in range(2000))

    assert most <= 8 * 3 + 5


async def test_a_source_that_breaks_is_told_after_the_results_before_it(
    run: Any, service: Any, join: Make
) -> None:
    """What had started ends, what was read is skipped, then the error is raised."""
    gate = Gate(service, 8)

    def source() -> Iterator[Step]:
        for number in range(100):
            yield join(f"u{number}")
        raise LookupError("row 100 is bad")

    results: list[Result] = []

    async def consume() -> None:
        async with Client(service.endpoint, concurrency=8) as client:
            async for batch in Executor(client, run.options, run.stop).run(source()):
                results.extend(batch)

    running = asyncio.create_task(consume())
    await gate.arrived.wait()
    gate.open.set()
    with pytest.raises(LookupError, match="row 100"):
        await running

    count = Counter(statuses(results))
    assert count.total() == 100
    assert count["ok"] >= 8
    assert len(service.asked) == count["ok"]


async def test_a_source_that_breaks_while_the_rest_is_skipped_is_told_too(
    run: Any, join: Make
) -> None:
    """After a stop the rows are still read, and may still be wrong."""
    run.stop.request(SkipReason.STOPPED)

    def source() -> Iterator[Step]:
        yield join()
        raise LookupError("row 1 is bad")

    with pytest.raises(LookupError, match="row 1"):
        await run.results(source())


async def test_a_defect_in_a_worker_is_raised_not_swallowed(
    run: Any, service: Any, join: Make
) -> None:
    """A run never ends quietly with a step missing."""

    def broken() -> object:
        raise ZeroDivisionError

    run.more = {"new_request_id": broken}

    with pytest.raises(ZeroDivisionError):
        await run.results([join("a"), join("b")])
    assert service.asked == []


async def test_closing_early_cancels_what_is_in_flight_and_leaves_no_task(
    run: Any, service: Any, join: Make
) -> None:
    """Whoever stops reading results stops the run."""
    silence = asyncio.Event()
    waiting = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        if len(service.asked) > 1:
            if service.in_flight == 8:
                waiting.set()
            await silence.wait()
        return web.Response()

    service.answer = answer
    async with Client(service.endpoint, concurrency=8) as client:
        before = asyncio.all_tasks()
        results = Executor(client, run.options, run.stop).run(
            join(f"u{number}") for number in range(100)
        )
        (first,) = await anext(results)
        await waiting.wait()
        await results.aclose()
        left = {task for task in asyncio.all_tasks() - before if "Executor" in repr(task)}

    silence.set()
    assert first.status is Status.OK
    assert left == set()
    assert run.stop.reason is None


async def test_an_empty_playbook_has_no_results(run: Any) -> None:
    """Nothing to do is done at once."""
    assert await run.results([]) == []


async def test_the_first_reason_of_a_stop_stays(run: Any) -> None:
    """A failure that was followed by an interrupt is still what stopped the run."""
    run.stop.request(SkipReason.STOPPED)
    run.stop.request(SkipReason.INTERRUPTED)

    assert run.stop.reason is SkipReason.STOPPED
    assert run.stop.interrupted.is_set()
