"""How a playbook is run: each option once, with its default, its limits and its words.

The schema of the playbook's top-level keys is made from `OPTIONS`; `RunOptions` is what is
left when defaults, playbook and command line are merged.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Mode(StrEnum):
    """Whether actions run one at a time or overlap where they commute."""

    SEQUENTIAL = "sequential"
    CONCURRENT = "concurrent"


class OnError(StrEnum):
    """What a failed action means for those after it."""

    STOP = "stop"
    CONTINUE = "continue"


class Delivery(StrEnum):
    """Whether a send whose outcome is not known is sent again."""

    AT_MOST_ONCE = "atMostOnce"
    AT_LEAST_ONCE = "atLeastOnce"


class Missing(StrEnum):
    """What an action means whose user or connection is not there (404)."""

    FAIL = "fail"
    SKIP = "skip"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class OnMissing:
    """What is done when the service does not find the user or the connection.

    Attributes:
        rule: Fail, skip, or ask again.
        wait: Seconds, counted from the first such answer, for which it is asked again.
    """

    rule: Missing = Missing.FAIL
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """How often an action is tried and how long it waits in between.

    Attributes:
        attempts: The most attempts of one action, the first included; at least 1.
        backoff: Seconds; the bound of the first random pause, doubled each time.
        max_backoff: Seconds; the largest bound.
    """

    attempts: int = 4
    backoff: float = 0.5
    max_backoff: float = 30.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How one playbook is run, merged from default, playbook and command line.

    Attributes:
        mode: One at a time, or overlapping where actions commute.
        concurrency: The most requests in flight at once, 1 to 1000; 1 when sequential.
        on_error: Whether a failure stops the run.
        delivery: Whether a send with an unknown outcome is sent again.
        rate: The most actions started a second, or None.
        timeout: Seconds that one attempt may take.
        retry: Attempts and pauses.
        on_missing: What is done when a user or a connection is not there.
    """

    mode: Mode = Mode.SEQUENTIAL
    concurrency: int = 16
    on_error: OnError = OnError.STOP
    delivery: Delivery = Delivery.AT_MOST_ONCE
    rate: float | None = None
    timeout: float = 30.0
    retry: RetryOptions = field(default_factory=RetryOptions)
    on_missing: OnMissing = field(default_factory=OnMissing)


Schema = Mapping[str, Any]
"""A JSON Schema, or a part of one."""

DURATION_PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m)$(?!\n)"
DURATION: Schema = MappingProxyType(
    {
        "anyOf": [
            {"type": "string", "pattern": DURATION_PATTERN},
            {"type": "number", "minimum": 0},
        ]
    }
)
TIMEOUT: Schema = MappingProxyType(
    {
        "anyOf": [
            {
                "type": "string",
                "pattern": r"^(?=[0-9.]*[1-9])" + DURATION_PATTERN.removeprefix("^"),
            },
            {"type": "number", "exclusiveMinimum": 0},
        ]
    }
)
"""A duration longer than nothing."""

_DURATION = re.compile(DURATION_PATTERN)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def seconds(duration: str | float) -> float:
    """Seconds in a duration: `250ms`, `10s`, `2m`, or a number of seconds.

    Raises:
        ValueError: It is none of these.
    """
    if not isinstance(duration, str):
        return float(duration)
    found = _DURATION.fullmatch(duration)
    if not found:
        raise ValueError("a duration is written `250ms`, `10s`, `2m` or as a number of seconds")
    unit = found[2]
    return float(duration.removesuffix(unit)) * _SECONDS[unit]


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a playbook that says how it is run.

    Attributes:
        name: The key.
        summary: One sentence for hover texts and docs, with unit and default.
        schema: What its value may be.
        per_action: Whether a single action may set it as well.
    """

    name: str
    summary: str
    schema: Schema
    per_action: bool = False


def _choice(values: type[StrEnum]) -> Schema:
    return MappingProxyType({"type": "string", "enum": [str(value) for value in values]})


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        option.name: option
        for option in (
            Option(
                "mode",
                "`sequential` (default): one at a time, as written. `concurrent`: the same end "
                "state, sooner; actions overlap only where they commute.",
                _choice(Mode),
            ),
            Option(
                "concurrency",
                "The most requests in flight at once when concurrent, 1 to 1000; default 16.",
                MappingProxyType({"type": "integer", "minimum": 1, "maximum": 1000}),
            ),
            Option(
                "onError",
                "`stop` (default): nothing new starts after a failure. `continue`: the rest runs.",
                _choice(OnError),
                per_action=True,
            ),
            Option(
                "delivery",
                "`atMostOnce` (default): a send whose outcome is unknown is not sent again. "
                "`atLeastOnce`: it is.",
                _choice(Delivery),
                per_action=True,
            ),
            Option(
                "rate",
                "The most actions started a second; no limit by default.",
                MappingProxyType({"type": "number", "exclusiveMinimum": 0}),
            ),
            Option(
                "timeout",
                "How long one attempt may take: `250ms`, `10s`, `2m` or seconds; default 30s.",
                TIMEOUT,
                per_action=True,
            ),
            Option(
                "onMissing",
                "What a user or connection that is not there (404) means. `fail` (default), "
                "`skip`, or `{wait: 60s}`: asked again until then.",
                MappingProxyType(
                    {
                        "anyOf": [
                            {"type": "string", "enum": [str(Missing.FAIL), str(Missing.SKIP)]},
                            {
                                "type": "object",
                                "additionalProperties": False,
                                "required": ["wait"],
                                "properties": {
                                    "wait": {
                                        **TIMEOUT,
                                        "description": "How long it is asked again.",
                                    }
                                },
                            },
                        ]
                    }
                ),
                per_action=True,
            ),
            Option(
                "retry",
                "How often and after what pause an action is tried again.",
                MappingProxyType(
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "attempts": {
                                "type": "integer",
                                "minimum": 1,
                                "maximum": 100,
                                "description": "The most attempts, the first included; default 4.",
                            },
                            "backoff": {
                                **DURATION,
                                "description": "Bound of the first random pause; default 500ms.",
                            },
                            "maxBackoff": {
                                **DURATION,
                                "description": "Largest bound of a pause; default 30s.",
                            },
                        },
                    }
                ),
            ),
        )
    }
)
"""Playbook key to option, in the order of the docs."""


def on_missing(written: str | Mapping[str, str | float]) -> OnMissing:
    """What the option says: `fail`, `skip`, or `{wait: duration}`, valid by the schema."""
    if isinstance(written, str):
        return OnMissing(Missing(written))
    return OnMissing(Missing.WAIT, seconds(written["wait"]))


def merged(written: Mapping[str, Any], given: Mapping[str, Any]) -> RunOptions:
    """The options of a run.

    Args:
        written: The playbook's own values by key, valid by the schema.
        given: The command line's values under the same keys; they win.
    """
    values = {**written, **given}
    retry = {**written.get("retry", {}), **given.get("retry", {})}
    default = RunOptions()
    return replace(
        default,
        mode=Mode(values.get("mode", default.mode)),
        concurrency=int(values.get("concurrency", default.concurrency)),
        on_error=OnError(values.get("onError", default.on_error)),
        delivery=Delivery(values.get("delivery", default.delivery)),
        rate=values.get("rate", default.rate),
        timeout=seconds(values.get("timeout", default.timeout)),
        retry=RetryOptions(
            attempts=int(retry.get("attempts", default.retry.attempts)),
            backoff=seconds(retry.get("backoff", default.retry.backoff)),
            max_backoff=seconds(retry.get("maxBackoff", default.retry.max_backoff)),
        ),
        on_missing=on_missing(values.get("onMissing", Missing.FAIL)),
    )
