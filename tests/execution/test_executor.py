"""Runs against a service on loopback: order, limits, retries, defects, results."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from wps_run.actions.locks import Lock
from wps_run.connect.client import Client
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.reply import Reply
from wps_run.execution.executor import Executor, NoRecorder
from wps_run.execution.limits import Wait
from wps_run.execution.result import Result, SkipReason, Status, result_for
from wps_run.playbook.options import Delivery, Mode, OnError, RetryOptions
from wps_run.playbook.steps import Step

Make = Callable[..., Step]


def statuses(results: list[Result]) -> list[str]:
    """Return the statuses in plan order."""
    return [result.status.value for result in sorted(results, key=lambda result: result.index)]


class Gate:
    """Holds requests until `open` is set; sets `arrived` once enough requests are in flight."""

    def __init__(self, service: Any, number: int) -> None:
        self.arrived, self.open = asyncio.Event(), asyncio.Event()
        self._service, self._number = service, number
        service.answer = self.answer

    async def answer(self, request: web.Request) -> web.Response:
        """Wait for the gate to open, then report success."""
        if self._service.in_flight >= self._number:
            self.arrived.set()
        await self.open.wait()
        response: web.Response = self._service.success(request)
        return response


async def test_result_has_status_attempts_times_and_request_id(
    run: Any, service: Any, join: Make
) -> None:
    clock = [100.0]

    async def answer(_: web.Request) -> web.Response:
        clock[0] += 0.25
        return web.Response()

    service.answer = answer
    run.executor_args = {"clock": lambda: clock[0], "new_request_id": lambda: "id-7"}
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


async def test_failure_has_the_code_of_the_service_and_a_hint(
    run: Any, service: Any, join: Make
) -> None:
    service.respond_with(404, **{"x-ms-error-code": "Warning.User.NotExisted"})

    (result,) = await run.results([join()])

    assert (result.status, result.http_status, result.attempts) == (Status.FAILED, 404, 1)
    assert result.error.code == "Warning.User.NotExisted"
    assert "webpubsub.group" in result.error.hint


async def test_sequential_run_executes_one_step_at_a_time_in_plan_order(
    run: Any, service: Any, join: Make
) -> None:
    """Even where actions commute, and whatever `concurrency` is."""
    run.options = replace(run.options, mode=Mode.SEQUENTIAL, concurrency=16)
    users = [f"u{number}" for number in range(200)]

    results = await run.results(join(user) for user in users)

    assert [result.target["userId"] for result in results] == users
    assert service.requests == [f"PUT /api/hubs/chat/users/{user}/groups/red" for user in users]
    assert service.max_in_flight == 1


async def test_concurrency_is_reached_and_never_exceeded(
    run: Any, service: Any, join: Make
) -> None:
    gate = Gate(service, 8)
    running = run.start(join(f"u{number}") for number in range(100))
    await gate.arrived.wait()
    gate.open.set()

    assert statuses(await running) == ["ok"] * 100
    assert service.max_in_flight == 8


async def test_step_waits_only_for_earlier_conflicting_steps(
    run: Any, service: Any, join: Make, make_step: Make
) -> None:
    """A send to a group waits for its joins; a send to another group does not."""
    gate = Gate(service, 3)
    steps = [join("ada"), join("bob"), make_step("sendToGroup", group="red"),
             make_step("sendToGroup", group="blue"), make_step("sendToAll")]  # fmt: skip
    running = run.start(steps)
    await gate.arrived.wait()
    assert set(service.requests) == {
        "PUT /api/hubs/chat/users/ada/groups/red",
        "PUT /api/hubs/chat/users/bob/groups/red",
        "POST /api/hubs/chat/groups/blue/:send",
    }
    gate.open.set()

    assert statuses(await running) == ["ok"] * 5
    assert service.requests[3:] == [
        "POST /api/hubs/chat/groups/red/:send",
        "POST /api/hubs/chat/:send",
    ]


async def test_conflicting_steps_are_never_in_flight_together(
    run: Any, service: Any, make_step: Make
) -> None:
    """Checked with 300 actions on few targets and random response times."""
    chance = random.Random(7)  # noqa: S311 -- the same mixture each time
    actions: list[tuple[str, Callable[[], dict[str, str]]]] = [
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
        name, values = chance.choice(actions)
        steps.append(make_step(name, **values()))
    locks = {f"{step.request.method} {step.request.path}": step.locks for step in steps}
    held: list[tuple[Lock, ...]] = []
    conflicts: list[tuple[Lock, ...]] = []

    async def answer(request: web.Request) -> web.Response:
        locks_held = locks[f"{request.method} {request.rel_url.raw_path}"]
        conflicts.extend(other for other in held if conflict(locks_held, other))
        held.append(locks_held)
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(chance.random() / 500, done.set)
        await done.wait()
        held.remove(locks_held)
        response: web.Response = service.success(request)
        return response

    service.answer = answer
    results = await run.results(steps)

    assert statuses(results) == ["ok"] * 300
    assert conflicts == []
    assert service.max_in_flight > 1


def conflict(left: tuple[Lock, ...], right: tuple[Lock, ...]) -> bool:
    return any(
        first.key == second.key and not (first.use == second.use and first.shared and second.shared)
        for first in left
        for second in right
    )


@pytest.mark.parametrize(
    ("responses", "expected"),
    [([500, 503, 200], (3, "ok")), ([429, 200], (2, "ok")), ([500] * 9, (4, "unknown")),
     ([429] * 9, (4, "failed")), ([500, 404], (2, "unknown")), ([401], (1, "failed"))],
)  # fmt: skip
async def test_idempotent_action_is_retried_with_the_same_request_id(
    run: Any, join: Make, responses: list[int], expected: tuple[int, str]
) -> None:
    run.service.respond_with(*responses)

    (result,) = await run.results([join()])

    assert (result.attempts, result.status) == expected
    assert run.service.request_ids == [result.request_id] * result.attempts


@pytest.mark.parametrize(
    ("delivery", "responses", "expected"),
    [
        (Delivery.AT_MOST_ONCE, [500, 202], (1, "unknown")),
        (Delivery.AT_LEAST_ONCE, [500, 202], (2, "ok")),
        (Delivery.AT_MOST_ONCE, [429, 202], (2, "ok")),
    ],
)
async def test_send_in_doubt_is_retried_only_with_at_least_once(
    run: Any, make_step: Make, delivery: Delivery, responses: list[int], expected: tuple[int, str]
) -> None:
    run.service.respond_with(*responses)

    (result,) = await run.results([make_step("sendToAll", delivery=delivery)])

    assert (result.attempts, result.status) == expected
    assert len(run.service.requests) == result.attempts


async def test_each_action_has_its_own_request_id(run: Any, service: Any, join: Make) -> None:
    await run.results(join(f"u{number}") for number in range(20))

    assert len(set(service.request_ids)) == 20


async def test_refused_connection_is_retried_and_then_failed(run: Any, join: Make) -> None:
    """No request was sent, so the action certainly did not happen."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        run.endpoint = Endpoint(f"http://127.0.0.1:{unused.getsockname()[1]}", "k" * 44)
        (result,) = await run.results([join()])

    assert (result.status, result.attempts, result.http_status) == (Status.FAILED, 0, None)
    assert result.error.code == "connect"
    assert [attempt.error for attempt in result.tries] == ["connect"] * 3


async def test_each_step_has_its_own_timeout(run: Any, service: Any, make_step: Make) -> None:
    """The result of a send that timed out is unknown."""
    Gate(service, 1)

    (result,) = await run.results([make_step("sendToAll", timeout=0.1)])

    assert (result.status, result.error.code) == (Status.UNKNOWN, "timeout")


@pytest.mark.parametrize(("status", "expected"), [(404, "failed"), (500, "unknown")])
async def test_failure_skips_the_steps_that_have_not_started(
    run: Any, make_step: Make, join: Make, status: int, expected: str
) -> None:
    """Requests in flight are awaited; each step has a result."""
    service = run.service
    all_arrived, failed = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if service.in_flight == 3:
            all_arrived.set()
        if request.method == "POST":
            await all_arrived.wait()
            failed.set()
            return web.Response(status=status)
        await failed.wait()
        return web.Response(status=200)

    service.answer = answer
    run.options = replace(run.options, concurrency=3)
    blue = make_step("sendToGroup", group="blue")
    results = await run.results([blue, *(join(f"u{number}") for number in range(500))])

    count = Counter(result.status for result in results)
    assert statuses(results)[0] == expected
    assert count.total() == 501
    assert 2 <= count[Status.OK] <= 10
    assert len(service.requests) == 501 - count[Status.SKIPPED]
    assert {result.error.code for result in results if result.status is Status.SKIPPED} == {
        "stopped"
    }
    assert run.stop.reason is SkipReason.STOPPED


async def test_failure_with_on_error_continue_does_not_stop_the_run(
    run: Any, service: Any, join: Make
) -> None:
    service.respond_with(404, 200)

    results = await run.results([join("a", on_error=OnError.CONTINUE), join("a"), join("b")])

    assert Counter(statuses(results)) == {"failed": 1, "ok": 2}


async def test_failure_does_not_cancel_the_retries_of_a_started_action(
    run: Any, service: Any, join: Make
) -> None:
    failed = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if "/bad/" in request.path:
            failed.set()
            return web.Response(status=400)
        await failed.wait()
        tries = sum("/good/" in path for path in service.requests)
        return web.Response(status=503 if tries < 3 else 200)

    service.answer = answer
    run.options = replace(run.options, retry=RetryOptions(4, 0.05, 0.05))
    results = await run.results([join("good"), join("bad"), join("late")])

    assert statuses(results)[:2] == ["ok", "failed"]


async def test_interrupt_awaits_requests_in_flight_and_skips_the_rest(
    run: Any, service: Any, join: Make
) -> None:
    gate = Gate(service, 8)
    running = run.start(join(f"u{number}") for number in range(2000))
    await gate.arrived.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    gate.open.set()

    results = await running
    assert Counter(statuses(results)) == {"ok": 8, "skipped": 1992}
    assert {result.error.code for result in results if result.error} == {"interrupted"}
    assert len(service.requests) == 8


@pytest.mark.parametrize(("status", "expected"), [(503, "unknown"), (429, "skipped")])
@pytest.mark.parametrize("how", ["request", "abandon"])
async def test_interrupt_ends_a_pause_at_once(
    run: Any, join: Make, status: int, expected: str, how: str
) -> None:
    """The result is unknown if the action may have happened, else skipped."""
    run.service.respond_with(status)
    run.options = replace(run.options, retry=RetryOptions(4, 3600.0, 3600.0))
    decided = asyncio.Event()

    def chance() -> float:
        decided.set()
        return 0.999

    run.executor_args = {"chance": chance}
    running = run.start([join()])
    await decided.wait()
    if how == "request":
        run.stop.request(SkipReason.INTERRUPTED)
    else:
        run.stop.abandon()

    (result,) = await running
    assert (result.status, result.attempts, result.http_status) == (expected, 1, status)
    assert result.error.code == "interrupted"


async def test_no_retry_starts_after_an_interrupt(run: Any, service: Any, join: Make) -> None:
    received, proceed = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        received.set()
        await proceed.wait()
        return web.Response(status=429)

    service.answer = answer
    running = run.start([join()])
    await received.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    proceed.set()

    (result,) = await running
    assert (result.status, result.attempts) == (Status.SKIPPED, 1)


async def test_abandoned_requests_in_flight_are_unknown(run: Any, service: Any, join: Make) -> None:
    """Also those of idempotent actions: no response was seen."""
    gate = Gate(service, 8)
    running = run.start(join(f"u{number}") for number in range(100))
    await gate.arrived.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    run.stop.abandon()

    results = await running
    assert Counter(statuses(results)) == {"unknown": 8, "skipped": 92}
    assert {result.attempts for result in results if result.status is Status.UNKNOWN} == {1}
    assert not gate.open.is_set()


async def test_stop_applies_to_later_playbooks(run: Any, service: Any, join: Make) -> None:
    run.stop.request(SkipReason.STOPPED)

    results = await run.results([join("a"), join("b")])

    assert [(result.status, result.attempts, result.request_id) for result in results] == [
        (Status.SKIPPED, 0, None)
    ] * 2
    assert service.requests == []


async def test_interrupt_ends_the_wait_for_the_rate(run: Any, service: Any, join: Make) -> None:
    run.options = replace(run.options, rate=0.001)
    gate = Gate(service, 1)
    running = run.start(join(f"u{number}") for number in range(20))
    await gate.arrived.wait()
    run.stop.request(SkipReason.INTERRUPTED)
    gate.open.set()

    assert Counter(statuses(await running)) == {"ok": 1, "skipped": 19}
    assert len(service.requests) == 1


async def test_abandoned_wait_for_the_rate_is_skipped(run: Any, service: Any, join: Make) -> None:
    run.options = replace(run.options, rate=0.001)
    gate = Gate(service, 1)
    running = run.start(join(f"u{number}") for number in range(20))
    await gate.arrived.wait()
    run.stop.abandon()

    assert Counter(statuses(await running)) == {"unknown": 1, "skipped": 19}


async def test_rate_limits_all_requests_including_retries(
    run: Any, service: Any, join: Make
) -> None:
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


async def test_number_of_tasks_does_not_grow_with_the_actions(
    run: Any, service: Any, join: Make
) -> None:
    most = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))
        return web.Response()

    service.answer = answer
    await run.results(join(f"u{number}") for number in range(2000))

    assert most <= 8 * 3 + 5


async def test_error_in_reading_steps_is_raised_after_the_results(
    run: Any, service: Any, join: Make
) -> None:
    """Started steps end, steps that were read are skipped."""
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
    assert len(service.requests) == count["ok"]


async def test_error_in_reading_skipped_steps_is_raised(run: Any, join: Make) -> None:
    run.stop.request(SkipReason.STOPPED)

    def source() -> Iterator[Step]:
        yield join()
        raise LookupError("row 1 is bad")

    with pytest.raises(LookupError, match="row 1"):
        await run.results(source())


async def test_defect_in_a_worker_is_raised(run: Any, service: Any, join: Make) -> None:
    def broken() -> object:
        raise ZeroDivisionError

    run.executor_args = {"new_request_id": broken}

    with pytest.raises(ZeroDivisionError):
        await run.results([join("a"), join("b")])
    assert service.requests == []


def executor_tasks() -> "set[asyncio.Task[Any]]":
    return {task for task in asyncio.all_tasks() if "Executor" in repr(task)}


async def test_closing_early_cancels_requests_and_leaves_no_task(
    run: Any, service: Any, join: Make, caplog: pytest.LogCaptureFixture
) -> None:
    release = asyncio.Event()
    all_in_flight = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        if len(service.requests) > 1:
            if service.in_flight == 8:
                all_in_flight.set()
            await release.wait()
        return web.Response()

    service.answer = answer
    async with Client(service.endpoint, concurrency=8) as client:
        before = executor_tasks()
        results = Executor(client, run.options, run.stop).run(
            join(f"u{number}") for number in range(100)
        )
        (first,) = await anext(results)
        await all_in_flight.wait()
        assert executor_tasks() - before
        await results.aclose()
        remaining = executor_tasks() - before

    release.set()
    assert first.status is Status.OK
    assert remaining == set()
    assert run.stop.reason is None
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_an_empty_playbook_has_no_results(run: Any) -> None:
    assert await run.results([]) == []


async def test_first_reason_of_a_stop_is_kept(run: Any) -> None:
    run.stop.request(SkipReason.STOPPED)
    run.stop.request(SkipReason.INTERRUPTED)

    assert run.stop.reason is SkipReason.STOPPED
    assert run.stop.interrupted.is_set()


class BrokenClient(Client):
    """A client that fails for some paths, before or after the request is sent."""

    fail_after_send = False

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request, or fail if its path has `/bad/`."""
        if "/bad/" in request.path:
            if self.fail_after_send:
                await super().send(request, **options)
            raise ZeroDivisionError
        return await super().send(request, **options)


async def collect(executor: Executor, steps: Any, results: list[Result]) -> None:
    """Append the results that come before an error."""
    async for batch in executor.run(steps):
        results.extend(batch)


async def results_before_defect(
    run: Any, steps: list[Step], *, fail_after_send: bool = False
) -> list[Result]:
    """Return the results of a run that ends with the defect, in plan order."""
    results: list[Result] = []
    async with BrokenClient(run.endpoint, concurrency=8) as client:
        client.fail_after_send = fail_after_send
        with pytest.raises(ZeroDivisionError):
            await collect(
                Executor(client, run.options, run.stop, **run.executor_args), steps, results
            )
    return sorted(results, key=lambda result: result.index)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("fail_after_send", [True, False])
async def test_step_in_flight_at_a_defect_is_unknown(
    run: Any, join: Make, mode: Mode, *, fail_after_send: bool
) -> None:
    """Earlier steps are ok, all others are skipped."""
    run.options = replace(run.options, mode=mode)
    users = ["ada", "bad", *(f"u{number}" for number in range(3000))]
    results = await results_before_defect(
        run,
        [join(user, on_error=OnError.CONTINUE) for user in users],
        fail_after_send=fail_after_send,
    )

    assert [result.index for result in results] == list(range(len(users)))
    bad = results[1]
    assert (bad.status, bad.attempts, bad.error and bad.error.code) == ("unknown", 1, "defect")
    assert {result.status for result in results if result is not bad} == {Status.OK, Status.SKIPPED}
    assert results[-1].error
    assert results[-1].error.code == "stopped"


async def test_step_not_sent_at_a_defect_is_failed(run: Any, join: Make) -> None:
    class BrokenRecorder(NoRecorder):
        def mark_sending(self, index: int) -> bool:
            raise ZeroDivisionError(index)

    run.executor_args = {"recorder": BrokenRecorder()}
    failed, *skipped = await results_before_defect(
        run, [join(f"u{number}") for number in range(20)]
    )

    assert (failed.status, failed.attempts, failed.started_ms) == ("failed", 0, None)
    assert failed.error
    assert (failed.error.code, failed.error.hint) == ("defect", "")
    assert {result.status for result in skipped} <= {Status.FAILED, Status.SKIPPED}
    assert run.service.requests == []


async def test_all_steps_before_a_reading_error_run(run: Any, join: Make) -> None:
    def steps() -> Iterator[Step]:
        yield from (join(f"u{number}") for number in range(200))
        raise KeyError

    results: list[Result] = []
    async with Client(run.endpoint, concurrency=8) as client:
        with pytest.raises(KeyError):
            await collect(Executor(client, run.options, run.stop), steps(), results)

    assert len(results) == 200


class EventRecorder(NoRecorder):
    """Notes what it is asked to record; it may refuse."""

    def __init__(self, events: list[str], *, accepts: bool = True) -> None:
        self.events, self.accepts = events, accepts

    def mark_sending(self, index: int) -> bool:
        self.events.append(f"sending {index}")
        return self.accepts

    async def sync_sending(self, index: int) -> bool:
        self.events.append(f"sync {index}")
        return self.accepts

    def mark_unsent(self, index: int) -> None:
        self.events.append(f"unsent {index}")

    def record(self, step: Step, result: Result) -> Result:
        self.events.append(f"{result.status} {step.index}")
        return result


@pytest.mark.parametrize(
    ("name", "responses", "expected"),
    [
        ("addUserToGroup", [200], ["sending 0", "200", "ok 0"]),
        ("sendToGroup", [202], ["sync 0", "202", "ok 0"]),
        (
            "addUserToGroup",
            [429, 200],
            ["sending 0", "429", "unsent 0", "sending 0", "200", "ok 0"],
        ),
        ("sendToGroup", [429, 202], ["sync 0", "429", "unsent 0", "sync 0", "202", "ok 0"]),
        (
            "addUserToGroup",
            [500, 429, 200],
            ["sending 0", "500", "sending 0", "429", "sending 0", "200", "ok 0"],
        ),
        ("sendToGroup", [500], ["sync 0", "500", "unknown 0"]),
    ],
)
async def test_each_attempt_is_recorded_before_it_is_sent(
    run: Any, make_step: Make, name: str, responses: list[int], expected: list[str]
) -> None:
    """Synced if it must not be repeated; `unsent` only if no attempt can have been carried out."""
    events: list[str] = []

    async def answer(_: web.Request) -> web.Response:
        events.append(str(responses.pop(0)))
        return web.Response(status=int(events[-1]))

    run.service.answer = answer
    run.executor_args = {"recorder": EventRecorder(events)}
    values = {"userId": "ada"} if name == "addUserToGroup" else {}
    await run.results([make_step(name, group="red", **values)])

    assert events == expected


@pytest.mark.parametrize("name", ["addUserToGroup", "sendToUser"])
async def test_nothing_is_sent_that_cannot_be_recorded(
    run: Any, service: Any, make_step: Make, name: str
) -> None:
    values = {"group": "red"} if name == "addUserToGroup" else {}
    run.executor_args = {"recorder": EventRecorder([], accepts=False)}
    results = await run.results([make_step(name, userId=f"u{n}", **values) for n in range(3)])

    assert [(result.status, result.attempts) for result in results] == [(Status.SKIPPED, 0)] * 3
    assert service.requests == []


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [(429, "1000000000", (True, 3600)), (503, "90", (True, 90)), (500, "90", (False, 90))],
)
async def test_wait_that_the_service_requests_is_reported_at_once(
    run: Any, join: Make, status: int, retry_after: str, expected: tuple[bool, int]
) -> None:
    """Of the whole run after 429 and 503, of one action after other statuses."""
    run.service.respond_with(status, **{"Retry-After": retry_after})
    waits: list[Wait] = []

    def report(wait: Wait) -> None:
        waits.append(wait)
        run.stop.request(SkipReason.INTERRUPTED)

    run.executor_args = {"on_wait": report}
    await run.results([join()])

    (wait,) = waits
    of_run, seconds = expected
    assert wait.seconds == pytest.approx(seconds, abs=1)
    assert wait.reply == Reply(status, retry_after=seconds)
    assert wait.of_run is of_run


async def test_wait_is_not_reported_if_the_run_ends(run: Any, service: Any, join: Make) -> None:
    """After the last attempt of the last action there is nothing to wait for."""
    service.respond_with(503, **{"Retry-After": "90"})
    waits: list[Wait] = []
    run.options = replace(run.options, retry=RetryOptions(1, 0.0, 0.0))
    run.executor_args = {"on_wait": waits.append}

    assert statuses(await run.results([join()])) == ["unknown"]
    assert waits == []
