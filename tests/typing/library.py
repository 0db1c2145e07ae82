# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""Uses of `Runner` that only type checkers read: an unneeded `type: ignore` is an error."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_type

from wps_run import (
    ExpectationResult,
    LiveConnection,
    LocalPubSub,
    PlannedChange,
    Playbook,
    Problem,
    Result,
    ResultStream,
    RunKeywords,
    Runner,
    SendToAll,
    Status,
    Stop,
    Summary,
    Verdict,
    load_playbook,
    membership,
    run_sync,
    validate,
)

HI = SendToAll(data="hi")


async def good(path: Path, text: str) -> None:
    """Use them as they are meant."""
    options: RunKeywords = {"concurrency": 32, "mode": "concurrent"}
    async with Runner.from_env(hub="chat") as runner:
        results = runner.run(HI, [HI, path], text, load_playbook(path), {"actions": []}, **options)
        assert_type(results, ResultStream)
        async for result in results:
            assert_type(result, Result)
            assert_type(result.status, Status)
            if result.error:
                assert_type(result.error.code, str)
        await results.aclose()
        stream = runner.run(
            [HI],
            ahead=0,
            stop=Stop(grace=2.5),
            journal=path,
            reports=[path, "run.html"],
            timeout=timedelta(seconds=10),
            backoff="250ms",
            max_failures="2%",
            not_after=datetime.now(UTC),
            on_missing={"wait": "60s"},
            tags=["a"],
            only="1",
            variables={"team": "red"},
        )
        assert_type([each async for each in stream], list[Result])
        assert_type(await runner.show(group="red"), tuple[LiveConnection, ...])
        assert_type(await runner.show(user="ada"), bool)
        assert_type(await runner.show(connection="c", permission="sendToGroup", group="red"), bool)
        assert_type(await runner.verify(path), tuple[ExpectationResult, ...])
        async for change in runner.diff(path, tags="a"):
            assert_type(change, PlannedChange)
            assert_type(change.verdict, Verdict)
        assert_type(runner.last, Summary)
        assert_type(runner.last.counts["ok"], int)
        assert_type(runner.last.exit_code, int)
    async with Runner.local(faults="503,count=1") as local:
        assert_type(local.simulations()[0].groups["red"], tuple[str, ...])


def good_without_loop(path: Path, service: LocalPubSub) -> int:
    """Use them as they are meant."""
    playbook = load_playbook(path)
    assert_type(playbook, Playbook)
    assert_type(validate(playbook, {}), tuple[Problem, ...])
    assert_type(service.group("red").users, set[str])
    answer = membership(path, env=os.environ).answer({"ce-type": "x"}, b"")
    assert_type(answer.status, int)
    summary = run_sync(HI, path, env=os.environ, hub="chat", on_result=print, concurrency=2)
    return run_sync(HI, local=True).exit_code + summary.exit_code


async def bad(runner: Runner) -> None:
    """Use them wrongly."""
    runner.run(5)  # type: ignore[arg-type]
    runner.run(HI, concurency=5)  # type: ignore[call-arg]
    runner.run(HI, concurrency="5")  # type: ignore[arg-type]
    runner.run(HI, mode="parallel")  # type: ignore[arg-type]
    runner.run(HI, stop=True)  # type: ignore[arg-type]
    runner.run(HI, tags=5)  # type: ignore[arg-type]
    runner.run(HI, on_missing="wait")  # type: ignore[arg-type]
    runner.diff(HI, ahead=5)  # type: ignore[call-arg]
    for _ in runner.run(HI):  # type: ignore[attr-defined]
        pass
    await runner.run(HI)  # type: ignore[misc]
    await runner.verify(HI, journal="x")  # type: ignore[call-arg]
    await runner.show(group="red", user="ada")  # type: ignore[call-overload]
    await runner.show(permission="sendToGroup")  # type: ignore[call-overload]
    runner.last = Summary()  # type: ignore[misc]
    Runner.from_connection_string("Endpoint=…", "chat")  # type: ignore[call-arg]
    Runner.from_env(hubb="chat")  # type: ignore[call-arg]
    Stop(5)  # type: ignore[call-arg]
    run_sync(HI, env=os.environ, attempt=2)  # type: ignore[call-arg]
    run_sync(HI, env="WebPubSubConnectionString")  # type: ignore[arg-type]
    async for result in runner.run(HI):
        result.status = Status.OK  # type: ignore[misc]
        str(result.state)  # type: ignore[attr-defined]
