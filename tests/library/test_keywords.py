"""The keyword arguments of a run: what they take, and how a journal keeps them."""

import json
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from math import inf, nan
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from wps_run import AddUserToGroup, RunKeywords, Runner, UsageError
from wps_run.library.keywords import (
    _CHECKS,
    OPTION_KEYWORDS,
    OptionKeywords,
    RunSettings,
    kept_options,
    recorded_options,
)
from wps_run.playbook.options import override_values

ADD = AddUserToGroup(user_id="ada", group="red")


class Whole:
    """A whole number of another library, such as NumPy."""

    def __index__(self) -> int:
        return 3


class ModeOfCaller(Enum):
    """Options of a program that calls."""

    CONCURRENT = "concurrent"


def options_of(**given: Any) -> Any:
    return RunSettings.of(given, RunKeywords, "run").options


def test_each_option_of_the_table_has_a_keyword() -> None:
    assert set(OptionKeywords.__annotations__) == set(OPTION_KEYWORDS)
    assert set(RunKeywords.__annotations__) == {*OPTION_KEYWORDS, *_CHECKS}
    for name, kind in get_type_hints(OptionKeywords).items():
        choices = OPTION_KEYWORDS[name][1].schema.get("enum")
        if choices:
            assert set(get_args(kind)) == set(choices), name


@pytest.mark.parametrize(
    ("keyword", "values"),
    {
        "mode": (True, "", "Concurrent", b"concurrent"),
        "concurrency": (True, 0, 1001, 1.5, inf, nan, "16", 10**30),
        "max_failures": (-1, 1.5, "101%", ""),
        "rate": (0, inf, nan, True, "5"),
        "timeout": (0, nan, "", "5", timedelta(days=9), True),
        "not_after": ("", "tomorrow", 5, datetime(2050, 1, 1), date(2050, 1, 1)),  # noqa: DTZ001
        "on_missing": ({}, {"wait": nan}, {1: 2}, 5, "retry"),
        "attempts": (0, 2.5, "3"),
        "variables": (5, [("a", 1)], {"a": nan}, {"a": b"x"}),
        "tags": (5, b"x", [5], {"x": 1}),
        "allow_env": (5, [None]),
        "shard": ((1, 2), 5),
        "ahead": (-1, True, 1.0, inf, 10**9),
        "journal": ("", 5, b"x"),
        "resume": ("", True),
        "reports": ("", 5, b"x", [5]),
        "only_changes": (1, "yes"),
        "stop": (5,),
    }.items(),
)
def test_a_wrong_value_is_an_error_that_names_the_keyword(
    keyword: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        with pytest.raises(UsageError, match=f"`{keyword}`"):
            options_of(**{keyword: value})


async def test_an_unknown_keyword_is_a_type_error() -> None:
    async with Runner.local(hub="chat") as runner:
        with pytest.raises(TypeError, match="did you mean `concurrency`"):
            runner.run([ADD], concurency=3)  # type: ignore[call-arg]


async def test_messages_about_a_selection_name_the_keyword() -> None:
    async with Runner.local(hub="chat") as runner:
        for keyword, value in (("tags", "x"), ("only", "5"), ("start_at", "x"), ("only", "x")):
            options: Any = {keyword: (each for each in [value]) if keyword == "tags" else value}
            with pytest.raises(UsageError, match=f"^`{keyword}`"):
                await anext(runner.run([ADD], **options))


def test_values_of_python_are_taken() -> None:
    moment = datetime(2050, 1, 1, tzinfo=UTC)
    assert options_of(
        mode=ModeOfCaller.CONCURRENT,
        concurrency=Whole(),
        timeout=timedelta(milliseconds=250),
        not_after=moment + timedelta(milliseconds=5),
        on_missing={"wait": timedelta(seconds=5)},
        backoff=None,
    ) == {
        "mode": "concurrent",
        "concurrency": 3,
        "timeout": 0.25,
        "notAfter": "2050-01-01T00:00:00.005+00:00",
        "onMissing": {"wait": 5.0},
    }


OPTIONS: tuple[tuple[str, Any], ...] = (
    ("mode", "concurrent"),
    ("concurrency", 3),
    ("on_error", "continue"),
    ("max_failures", 3),
    ("max_failures", "5%"),
    ("not_after", "2050-01-01T00:00:00Z"),
    ("delivery", "atLeastOnce"),
    ("rate", 0.5),
    ("timeout", 0.25),
    ("timeout", "5s"),
    ("on_missing", "skip"),
    ("on_missing", {"wait": 5.0}),
    ("on_missing", {"wait": "5s"}),
    ("attempts", 2),
    ("backoff", 0.00001),
    ("max_backoff", 0),
)


@pytest.mark.parametrize(("keyword", "value"), OPTIONS)
def test_a_journal_keeps_each_option(keyword: str, value: Any) -> None:
    options = options_of(**{keyword: value})
    kept = json.loads(json.dumps(kept_options(options)))
    assert recorded_options(kept) == override_values({}, options)


async def test_a_run_is_resumed_with_its_options(tmp_path: Path) -> None:
    journal = tmp_path / "run.journal"
    options: Any = {"on_missing": {"wait": 0.001}, "timeout": 0.5, "backoff": 0.00001}
    for given in ({**options, "journal": journal}, {"resume": journal}):
        async with Runner.local(hub="chat") as runner:
            async for result in runner.run([ADD], **given):
                assert result.status == "ok"
    headers = [json.loads(line) for line in journal.read_text().splitlines()]
    kept = [header["options"] for header in headers if "options" in header]
    assert kept[0] == kept[1]
    assert recorded_options(kept[0]) == options_of(**options)
