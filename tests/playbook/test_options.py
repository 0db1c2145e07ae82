"""Options are merged from default, playbook and command line; durations are read once."""

import pytest

from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import (
    Delivery,
    Mode,
    OnError,
    RetryOptions,
    RunOptions,
    merge_options,
    parse_duration,
)
from wps_run.problems import Problem


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
