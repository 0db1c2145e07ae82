"""Options are merged from default, playbook and command line; durations are read once."""

import math
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from wps_run.cli.configuration import OptionValue
from wps_run.document.scalars import resolve_plain
from wps_run.planning import RunOverrides, plan
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import (
    LONGEST,
    Delivery,
    Mode,
    OnError,
    RetryOptions,
    RunOptions,
    flagged_options,
    merge_options,
    options_of,
    parse_duration,
)
from wps_run.playbook.schema import playbook_schema
from wps_run.problems import PlaybookError, Problem


def test_without_a_word_the_defaults_of_the_contract_hold() -> None:
    """Sequential, stop at the first failure, at most once."""
    assert merge_options({}, {}) == RunOptions(
        mode=Mode.SEQUENTIAL,
        concurrency=16,
        on_error=OnError.STOP,
        delivery=Delivery.AT_MOST_ONCE,
        rate=None,
        timeout=30.0,
        retry=RetryOptions(attempts=4, backoff=0.5, max_backoff=30.0),
    )


def test_the_command_line_wins_over_the_playbook() -> None:
    """Key by key, within `retry` as well."""
    written = {
        "mode": "concurrent",
        "concurrency": 32,
        "timeout": "5s",
        "retry": {"attempts": 2, "backoff": "100ms"},
    }

    options = merge_options(written, {"concurrency": 64, "retry": {"attempts": 9}})

    assert options.mode is Mode.CONCURRENT
    assert options.concurrency == 64
    assert options.timeout == 5.0
    assert options.retry == RetryOptions(attempts=9, backoff=0.1, max_backoff=30.0)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [("250ms", 0.25), ("10s", 10.0), ("2m", 120.0), ("1.5s", 1.5), (3, 3.0), (0.5, 0.5)],
)
def test_durations(duration: str | float, expected: float) -> None:
    """A number is seconds."""
    assert parse_duration(duration) == expected


@pytest.mark.parametrize("duration", ["", "10", "s", "-1s", "1h", "10 s", "1e3s", "٣s", "10s\n"])
def test_what_is_no_duration(duration: str) -> None:
    """The message says how one is written."""
    with pytest.raises(ValueError, match="250ms"):
        parse_duration(duration)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (["concurrency: 1", "concurrency: 1000"], ["concurrency: 0", "concurrency: 1001"]),
        (["retry: {attempts: 1}", "retry: {attempts: 100}"], ["retry: {attempts: 0}"]),
        (["retry: {backoff: 0.5}", "retry: {maxBackoff: 1s}"], ["retry: {attempts: 101}"]),
        (["rate: 0.1"], ["rate: 0", "rate: -1", "rate: fast"]),
        (["mode: concurrent"], ["mode: fast"]),
        (["onError: continue"], ["onError: retry"]),
        (["delivery: atLeastOnce"], ["delivery: exactlyOnce"]),
        (["timeout: 250ms", "timeout: 10"], ["timeout: 1h"]),
    ],
    ids=lambda texts: texts[0],
)
def test_options_have_bounds_and_choices(right: list[str], wrong: list[str]) -> None:
    def problems(option: str) -> tuple[Problem, ...]:
        text = f"{option}\nactions: [{{actionName: closeAllConnections}}]\n"
        return read_playbook(text, "p.yaml").problems

    assert [problems(option) for option in right] == [()] * len(right)
    assert all(map(problems, wrong))


SCHEMA = Draft7Validator(playbook_schema())

NUMBERS = {
    ".".join(path): option
    for path, option in (
        *flagged_options(),
        *((("retry", option.key), option) for _, option in options_of(RetryOptions)),
    )
    if "enum" not in option.schema
}
"""The options that are numbers or durations, by the way to their key."""

DIGITS = st.text("0123456789", min_size=1, max_size=12)
VALUES = (
    st.floats().map(repr)
    | st.integers().map(str)
    | st.builds("{}{}".format, DIGITS, st.sampled_from(["", "ms", "s", "m", "h", "e5", "e-5"]))
    | st.builds("{}.{}{}".format, DIGITS, DIGITS, st.sampled_from(["", "ms", "s", "m"]))
    | st.sampled_from([".inf", "-.inf", ".nan", "nan", "inf", "1e400", "1e-320", "0", "-0.0"])
    | st.sampled_from(["9" * 400, "9" * 5000, "0x" + "f" * 5000, "9" * 400 + "ms", "0x10", "0o7"])
    | st.sampled_from(["24m", "1440m", "1440.1m", "86400s", "86401s", "86400000ms", "0.9ms", "+5"])
)


@given(key=st.sampled_from(sorted(NUMBERS)), text=VALUES)
@example(key="rate", text="1e-320")
@example(key="timeout", text="9" * 400 + "s")
def test_validate_plan_run_schema_and_flags_agree_on_every_value(key: str, text: str) -> None:
    """What one of them accepts, all accept, and it is a number that a run can use."""
    *groups, name = key.split(".")
    source = f"{name}: {text}"
    for group in groups:
        source = f"{group}: {{{source}}}"
    playbook = read_playbook(f"{source}\nactions: []\n", "p.yaml")
    is_valid = not playbook.problems

    try:
        plans = plan([playbook], RunOverrides(hub="h"))
    except PlaybookError:
        plans = ()
    assert bool(plans) is is_valid
    for options in (made.options for made in plans):
        assert 0 <= options.timeout <= LONGEST
        assert 0 <= options.retry.backoff <= LONGEST
        assert options.rate is None or math.isfinite(1 / options.rate)

    option = NUMBERS[key]
    if option.flag:
        try:
            OptionValue(option).convert(text, None, None)
            is_accepted = True
        except click.BadParameter:
            is_accepted = False
        assert is_accepted is is_valid

    value = resolve_plain(text)
    if not isinstance(value, float) or math.isfinite(value):  # JSON has neither infinity nor NaN
        data: Any = {name: value}
        for group in groups:
            data = {group: data}
        assert SCHEMA.is_valid({**data, "actions": []}) is is_valid
