"""A defect of ours ends the run, and yet every action has a result that is so."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from wps_run.connect.client import Client
from wps_run.execution.executor import Executor, NoRecorder
from wps_run.execution.result import Result, Status
from wps_run.playbook.options import Mode, OnError
from wps_run.playbook.steps import Step

Make = Callable[..., Step]


class Broken(Client):
    """A client with a defect that some requests meet, before or after they left."""

    after = False

    async def send(self, request: Any, **more: Any) -> Any:
        """Send a request, unless its path says that it is one of those."""
        if "/bad/" in request.path:
            if self.after:
                await super().send(request, **more)
            raise ZeroDivisionError
        return await super().send(request, **more)


async def collect(executor: Executor, steps: Any, results: list[Result]) -> None:
    """Keep the results that come before an error."""
    async for batch in executor.run(steps):
        results.extend(batch)


async def told(run: Any, steps: list[Step], *, after: bool = False) -> list[Result]:
    """The results of a run that ends with the defect, in written order."""
    results: list[Result] = []
    async with Broken(run.endpoint, concurrency=8) as client:
        client.after = after
        with pytest.raises(ZeroDivisionError):
            await collect(Executor(client, run.options, run.stop, **run.more), steps, results)
    return sorted(results, key=lambda one: one.index)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("after", [True, False])
async def test_what_was_on_its_way_when_it_happened_is_unknown(
    run: Any, join: Make, mode: Mode, *, after: bool
) -> None:
    """Nobody can tell whether it left; those before it are ok, all others are skipped."""
    run.options = replace(run.options, mode=mode)
    users = ["ada", "bad", *(f"u{number}" for number in range(3000))]
    results = await told(
        run, [join(user, on_error=OnError.CONTINUE) for user in users], after=after
    )

    assert [one.index for one in results] == list(range(len(users)))
    bad = results[1]
    assert (bad.status, bad.attempts, bad.error and bad.error.code) == ("unknown", 1, "defect")
    assert {one.status for one in results if one is not bad} == {Status.OK, Status.SKIPPED}
    assert results[-1].error
    assert results[-1].error.code == "stopped"


async def test_what_has_not_left_when_it_happens_failed(run: Any, join: Make) -> None:
    """A journal with a defect: nothing left, and it says so."""

    class BrokenRecorder(NoRecorder):
        def mark_sending(self, index: int) -> bool:
            raise ZeroDivisionError(index)

    run.more = {"recorder": BrokenRecorder()}
    failed, *skipped = await told(run, [join(f"u{number}") for number in range(20)])

    assert (failed.status, failed.attempts, failed.started_ms) == ("failed", 0, None)
    assert {one.status for one in skipped} <= {Status.FAILED, Status.SKIPPED}
    assert run.service.asked == []


async def test_steps_that_cannot_be_made_are_an_error_after_all_before_them(
    run: Any, join: Make
) -> None:
    """What reading them raised comes last."""

    def steps() -> Iterator[Step]:
        yield from (join(f"u{number}") for number in range(200))
        raise KeyError

    results: list[Result] = []
    async with Client(run.endpoint, concurrency=8) as client:
        with pytest.raises(KeyError):
            await collect(Executor(client, run.options, run.stop), steps(), results)

    assert len(results) == 200
