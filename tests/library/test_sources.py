"""What `Runner` is asked to run: actions and playbooks in lists, generators and mappings."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from itertools import repeat
from types import MappingProxyType
from typing import Any

import pytest

from wps_run import (
    AddUserToGroup,
    LocalPubSub,
    PlaybookError,
    Runner,
    SendToAll,
    SendToUser,
    UsageError,
)
from wps_run.library.sources import collect

ADD = AddUserToGroup(user_id="ada", group="red")


async def sent(work: Any, **options: Any) -> list[Any]:
    """Return what the simulated user `ada` receives of a run."""
    with LocalPubSub() as service:
        ada = service.client("ada", hub="chat")
        runner = Runner.from_connection_string(service.connection_string, hub="chat")
        async with runner:
            async for result in runner.run(work, **options):
                assert result.status == "ok", result.error
        return ada.messages


async def test_a_generator_runs_in_the_thread_of_the_event_loop() -> None:
    """A cursor of SQLite refuses to be read in another one."""
    with sqlite3.connect(":memory:") as database:
        rows = database.execute("values ('one'), ('two')")
        messages = await sent(SendToUser(user_id="ada", data=text) for (text,) in rows)
    database.close()
    assert messages == ["one", "two"]


async def test_mappings_hold_typed_actions_and_bytes() -> None:
    binary = {"actionName": "sendToAll", "data": b"\0\xff", "dataType": "binary"}
    actions = [SendToAll(data={"a": 1}), binary, MappingProxyType(binary)]
    assert await sent({"hub": "chat", "actions": actions}) == [{"a": 1}, b"\0\xff", b"\0\xff"]
    assert await sent([[[binary]], binary]) == [b"\0\xff", b"\0\xff"]


async def test_bytes_that_are_no_text_are_not_sent_as_text() -> None:
    with pytest.raises(PlaybookError, match="not UTF-8"):
        await sent([{"actionName": "sendToAll", "data": b"\0\xff"}])


def endless_list() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def endless_action() -> dict[str, Any]:
    action: dict[str, Any] = {"actionName": "sendToAll"}
    action["data"] = action
    return action


async def actions() -> AsyncIterator[AddUserToGroup]:
    yield ADD


def failing() -> Iterator[AddUserToGroup]:
    yield ADD
    raise LookupError("no more rows")


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        ("", UsageError, "empty"),
        (5, TypeError, "cannot run int"),
        (b"actions: []", TypeError, "cannot run bytes"),
        (AddUserToGroup, TypeError, "cannot run"),
        (actions(), TypeError, "async iterator; collect"),
        (failing(), LookupError, "no more rows"),
        (endless_list(), UsageError, "more than 64 levels"),
        (endless_action(), UsageError, "JSON has not"),
        ({"actionName": "sendToAll", "dataJson": float("nan")}, UsageError, "JSON has not"),
        ({"actions": [{"data": object()}]}, UsageError, "JSON has not"),
    ],
)
async def test_what_cannot_be_run_is_an_error(
    work: Any, error: type[Exception], message: str
) -> None:
    async with Runner.local(hub="chat") as runner:
        with pytest.raises(error, match=message):
            await anext(runner.run(work))
        assert runner.last.total == 0


async def test_actions_without_end_are_refused_before_they_fill_the_memory() -> None:
    large = SendToAll(data="x" * 1_000_000)
    with pytest.raises(UsageError, match="more than 64 MiB; divide them"):
        await collect([repeat(large)])
