"""Options of a run: the table from which everything that names an option is made.

An option is one field of `RunOptions`, or of `RetryOptions` for a key below `retry`. The `Option`
in the field's metadata holds its key, help text, JSON Schema, default and command-line flag. The
schema of playbooks, the flags with their help texts, the table in the documentation and the merged
options of a run are made from it. To add an option, add a field.
"""

# ruff: noqa: RUF009 -- what `_option` returns is a dataclass field, not a shared default

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from wps_run.actions.names import HUB_REFERENCE_PATTERN, SETTING_NAME
from wps_run.input_limits import VARIABLE_COUNT

Schema = Mapping[str, Any]
"""A JSON Schema, or a part of one."""

LONGEST = 24 * 60 * 60
"""Seconds: the longest duration. A longer one is a mistake: the run would seem to hang."""

SHORTEST_TIMEOUT = 0.001
"""Seconds: the shortest timeout. Within a shorter one, no request ends."""

LOWEST_RATE, HIGHEST_RATE = 0.001, 1_000_000
"""Actions per second. At a lower rate, the second action would seem never to start."""

_UNITS = {"ms": 1000, "s": 1, "m": 1 / 60}
"""How many of a unit are one second."""


def _up_to(maximum: int) -> str:
    """Return a pattern of the whole numbers below `maximum`, with up to nine zeros before them."""
    digits = str(maximum)
    parts = [
        f"{digits[:place]}[0-{int(digit) - 1}][0-9]{{{len(digits) - place - 1}}}"
        for place, digit in enumerate(digits)
        if digit != "0" and (place or digit != "1")
    ]
    return f"0{{0,9}}(?:[0-9]{{1,{len(digits) - 1}}}|{'|'.join(parts)})"


def _duration_pattern(unit: str) -> str:
    """Return a pattern of the durations in one unit, up to `LONGEST`."""
    maximum = round(LONGEST * _UNITS[unit])
    fraction = r"(?:\.[0-9]{1,9})?"
    return rf"(?:{_up_to(maximum)}{fraction}|0{{0,9}}{maximum}(?:\.0{{1,9}})?){unit}"


DURATION_PATTERN = f"^(?:{'|'.join(map(_duration_pattern, _UNITS))})$(?!\\n)"
DURATION: Schema = MappingProxyType(
    {
        "anyOf": [
            {"type": "string", "pattern": DURATION_PATTERN},
            {"type": "number", "minimum": 0, "maximum": LONGEST},
        ]
    }
)
_LONG_ENOUGH = r"^(?=0*[1-9]|0+\.0{0,2}[1-9][0-9]*s|0+\.0{0,3}[1-9][0-9]*m$)"
"""At least 1 ms, in any unit: 1ms, 0.001s, 0.0001m."""

TIMEOUT: Schema = MappingProxyType(
    {
        "anyOf": [
            {"type": "string", "pattern": _LONG_ENOUGH + DURATION_PATTERN.removeprefix("^")},
            {"type": "number", "minimum": SHORTEST_TIMEOUT, "maximum": LONGEST},
        ]
    }
)
"""A duration of at least 1 ms."""

_DURATION = re.compile(r"([0-9.]+)(ms|s|m)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def parse_duration(duration: str | float) -> float:
    """Convert a duration (`250ms`, `10s`, `2m`, or a number of seconds) to seconds.

    Raises:
        ValueError: It is not a duration, or longer than a day.
    """
    if not isinstance(duration, str):
        if 0 <= duration <= LONGEST:
            return float(duration)
    elif re.search(DURATION_PATTERN, duration) and (match := _DURATION.fullmatch(duration)):
        return float(match[1]) * _SECONDS[match[2]]
    raise ValueError(
        "a duration is written `250ms`, `10s`, `2m` or as a number of seconds, at most a day"
    )


def _moment_pattern() -> str:
    """Return a pattern of the moments from 2000 to 2099, in a form of ISO 8601."""
    days = {
        "0[13578]|1[02]": "0[1-9]|[12][0-9]|3[01]",
        "0[469]|11": "0[1-9]|[12][0-9]|30",
        "02": "0[1-9]|1[0-9]|2[0-8]",
    }
    dates = "|".join(f"(?:{months})-(?:{days})" for months, days in days.items())
    leap_day = "20(?:0[048]|[2468][048]|[13579][26])-02-29"
    time = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
    offset = "Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9]"
    return rf"^(?:20[0-9]{{2}}-(?:{dates})|{leap_day})T{time}(?:{offset})$(?!\n)"


MOMENT: Schema = MappingProxyType({"type": "string", "pattern": _moment_pattern()})
"""A moment: a date and a time with an offset."""


def parse_moment(moment: str) -> float:
    """Convert a moment that conforms to the schema to seconds since 1970."""
    return datetime.fromisoformat(moment).timestamp()


class FailureLimit(NamedTuple):
    """How many actions may fail.

    Attributes:
        number: A number of actions, or a percentage.
        is_percentage: Whether it is a percentage of the actions of the run.
    """

    number: float
    is_percentage: bool = False

    def of(self, total: int) -> int:
        """Return the number of actions in a run of `total` actions."""
        return int(total * self.number / 100) if self.is_percentage else int(self.number)


MOST_FAILURES = 1_000_000
FAILURE_LIMIT: Schema = MappingProxyType(
    {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": MOST_FAILURES},
            {
                "type": "string",
                "pattern": r"^(?:100|[0-9]{1,2}(?:\.[0-9]{1,3})?)%$(?!\n)",
            },
        ]
    }
)
"""A number of actions, or a percentage of those of a run."""


def parse_failure_limit(limit: str | float) -> FailureLimit:
    """Convert `10` or `2%`; the value conforms to the schema, or is its text."""
    text = str(limit)
    return FailureLimit(float(text.removesuffix("%")), text.endswith("%"))


class Mode(StrEnum):
    """Whether actions run one at a time or in parallel."""

    SEQUENTIAL = "sequential"
    CONCURRENT = "concurrent"


class OnError(StrEnum):
    """Whether the run continues after a failed action."""

    STOP = "stop"
    CONTINUE = "continue"


class Delivery(StrEnum):
    """Whether an action that sends is retried when its outcome is unknown."""

    AT_MOST_ONCE = "atMostOnce"
    AT_LEAST_ONCE = "atLeastOnce"


class Confirmation(StrEnum):
    """What is confirmed before it is sent to a hub that is not on this machine."""

    ALWAYS = "always"
    DESTRUCTIVE = "destructive"
    NEVER = "never"


class MissingRule(StrEnum):
    """What happens to an action whose user or connection does not exist (404)."""

    FAIL = "fail"
    SKIP = "skip"
    WAIT = "wait"
    DONE = "done"
    """It is done: `prune` wants the connection out of the group. No playbook can say so."""


class OnMissing(NamedTuple):
    """How a response that a user or connection does not exist (404) is handled.

    Attributes:
        rule: Fail, skip, retry for a time, or count as done.
        wait: Seconds from the first such response during which the action is retried.
    """

    rule: MissingRule = MissingRule.FAIL
    wait: float = 0.0


def parse_on_missing(value: str | Mapping[str, str | float]) -> OnMissing:
    """Convert `fail`, `skip` or `{wait: duration}`; the value conforms to the schema."""
    if isinstance(value, str):
        return OnMissing(MissingRule(value))
    return OnMissing(MissingRule.WAIT, parse_duration(value["wait"]))


def variable_of(flag: str) -> str:
    """Return the environment variable for a flag: `WPS_RUN_ON_ERROR` for `--on-error`."""
    return f"WPS_RUN_{flag.removeprefix('--').upper().replace('-', '_')}"


class Option(NamedTuple):
    """A key of a playbook, or of a configuration file.

    Attributes:
        key: The key.
        summary: What it does, for `--help`, editors and the documentation. Starts with a verb.
        schema: JSON Schema of the value.
        default: The value when the key is absent, as a playbook has it; None if there is none.
        without_default: What applies when the key is absent and there is no default.
        choices: Each alternative of the value, and what it does.
        parse: Converts a value that conforms to the schema into the value of the field.
        flag: The command-line flag that overrides the key, or None.
        metavar: What stands for the value in `--help`, where the schema does not say it.
        per_action: Whether an action may have the key as well.
        group: The class whose fields are the keys below this one, or None.
        is_pace: Whether it changes how fast a run is, but not what it does, so that an approved
            plan may run with another value.
    """

    key: str
    summary: str
    schema: Schema
    default: str | float | None = None
    without_default: str = ""
    choices: Mapping[str, str] = MappingProxyType({})
    parse: Callable[[Any], Any] = lambda value: value
    flag: str | None = None
    metavar: str = ""
    per_action: bool = False
    group: type | None = None
    is_pace: bool = False

    @property
    def variable(self) -> str:
        """The environment variable for the flag."""
        return variable_of(self.flag or self.key)

    @property
    def shown_default(self) -> str:
        """The default for readers, or an empty text."""
        return self.without_default if self.default is None else str(self.default)

    @property
    def shown_range(self) -> str:
        """The range of a number for readers, or an empty text."""
        if self.schema == TIMEOUT:
            return "1 ms to 24 hours"
        if self.schema == DURATION:
            return "0 to 24 hours"
        if "maximum" in self.schema:
            return f"{self.schema['minimum']} to {self.schema['maximum']:,}"
        return ""

    @property
    def description(self) -> str:
        """The summary, the choices, the default and the range."""
        sentences = [self.summary]
        for choice, effect in self.choices.items():
            is_default = " (default)" if choice == self.default else ""
            sentences.append(f"`{choice}`{is_default}: {effect}.")
        if self.shown_default and not self.choices:
            sentences.append(f"Default: {self.shown_default}.")
        if self.shown_range:
            sentences.append(f"Range: {self.shown_range}.")
        return " ".join(sentences)


_STRING: Schema = MappingProxyType({"type": "string"})


def _choice(values: type[StrEnum]) -> Schema:
    return MappingProxyType({"type": "string", "enum": [str(value) for value in values]})


def _integer(minimum: int, maximum: int) -> Schema:
    return MappingProxyType({"type": "integer", "minimum": minimum, "maximum": maximum})


def _option(key: str, summary: str, schema: Schema, **details: Any) -> Any:  # noqa: ANN401 -- the annotation of the field has the type
    """Make the dataclass field of an option; the arguments are those of `Option`."""
    option = Option(key, summary, schema, **details)
    if option.group:
        return field(default_factory=option.group, metadata={"option": option})
    default = None if option.default is None else option.parse(option.default)
    return field(default=default, metadata={"option": option})


def _group(key: str, summary: str, group: type, **details: Any) -> Any:  # noqa: ANN401 -- the same
    """Make the field of an option whose value is a mapping of further options."""
    properties = {
        option.key: {**option.schema, "description": option.description}
        for _, option in options_of(group)
    }
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return _option(key, summary, MappingProxyType(schema), group=group, **details)


def options_of(options_type: type) -> Iterator[tuple[str, Option]]:
    """Yield the field name and the option of each field of a class such as `RunOptions`."""
    return ((item.name, item.metadata["option"]) for item in fields(options_type))


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """How often an action is attempted, and the pauses between attempts in seconds."""

    attempts: int = _option(
        "attempts",
        "Limit the attempts of one action, the first included.",
        _integer(1, 100),
        default=4,
        parse=int,
        flag="--attempts",
    )
    backoff: float = _option(
        "backoff",
        "Set the upper bound of the first random pause, which doubles with each attempt.",
        DURATION,
        default="500ms",
        parse=parse_duration,
    )
    max_backoff: float = _option(
        "maxBackoff",
        "Limit the upper bound of a random pause.",
        DURATION,
        default="30s",
        parse=parse_duration,
    )


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a playbook is run. Durations are in seconds."""

    mode: Mode = _option(
        "mode",
        "Run actions one at a time, or run independent actions in parallel.",
        _choice(Mode),
        default="sequential",
        choices={
            "sequential": "one at a time, in the order of the playbook",
            "concurrent": "independent actions run in parallel; the result is the same",
        },
        parse=Mode,
        flag="--mode",
    )
    concurrency: int = _option(
        "concurrency",
        "Limit the requests in flight at the same time in concurrent mode.",
        _integer(1, 1000),
        default=16,
        parse=int,
        flag="--concurrency",
        is_pace=True,
    )
    on_error: OnError = _option(
        "onError",
        "Stop or continue the run after a failed action.",
        _choice(OnError),
        default="stop",
        choices={
            "stop": "no further action starts",
            "continue": "the remaining actions run",
        },
        parse=OnError,
        flag="--on-error",
        per_action=True,
    )
    max_failures: FailureLimit | None = _option(
        "maxFailures",
        "Start nothing new once more actions than this, a number or a percentage (`2%`) of all, "
        "have failed or are unknown. Until then, the run continues as with `onError: continue`.",
        FAILURE_LIMIT,
        without_default="no limit",
        parse=parse_failure_limit,
        flag="--max-failures",
        metavar="N|N%",
    )
    not_after: float | None = _option(
        "notAfter",
        "Start nothing after this moment, and retry nothing: `2026-12-01T18:00Z`, or "
        "`2026-12-01T18:00+01:00`.",
        MOMENT,
        without_default="no end",
        parse=parse_moment,
        flag="--not-after",
        metavar="MOMENT",
    )
    delivery: Delivery = _option(
        "delivery",
        "Choose whether a message is sent again when the outcome is unknown.",
        _choice(Delivery),
        default="atMostOnce",
        choices={
            "atMostOnce": "it is not sent again",
            "atLeastOnce": "it is sent again, and may arrive twice",
        },
        parse=Delivery,
        flag="--delivery",
        per_action=True,
    )
    rate: float | None = _option(
        "rate",
        "Limit the actions started per second, retries included.",
        MappingProxyType({"type": "number", "minimum": LOWEST_RATE, "maximum": HIGHEST_RATE}),
        without_default="no limit",
        flag="--rate",
        is_pace=True,
    )
    timeout: float = _option(
        "timeout",
        "Limit the time of one attempt: `250ms`, `10s`, `2m` or a number of seconds.",
        TIMEOUT,
        default="30s",
        parse=parse_duration,
        flag="--timeout",
        per_action=True,
        is_pace=True,
    )
    on_missing: OnMissing = _option(
        "onMissing",
        "Choose what happens when the user or connection does not exist (404).",
        MappingProxyType(
            {
                "anyOf": [
                    {"type": "string", "enum": [str(MissingRule.FAIL), str(MissingRule.SKIP)]},
                    {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["wait"],
                        "properties": {
                            "wait": {
                                **TIMEOUT,
                                "description": "How long the action is retried.",
                            }
                        },
                    },
                ]
            }
        ),
        default="fail",
        choices={
            "fail": "the action fails",
            "skip": "the action is skipped",
            "{wait: 60s}": "the action is retried for up to 60 seconds",
        },
        parse=parse_on_missing,
        per_action=True,
    )
    retry: RetryOptions = _group(
        "retry",
        "Set how often and after which pause an action is retried.",
        RetryOptions,
        is_pace=True,
    )


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {option.key: option for _, option in options_of(RunOptions)}
)
"""Playbook key to option, in the order of the documentation."""


def flagged_options(
    options: Iterable[Option] = tuple(OPTIONS.values()),
) -> Iterator[tuple[tuple[str, ...], Option]]:
    """Yield each option that has a flag, with the keys from the top of the playbook to it."""
    for option in options:
        if option.flag:
            yield (option.key,), option
        elif option.group:
            below = flagged_options(row for _, row in options_of(option.group))
            yield from (((option.key, *path), row) for path, row in below)


VARIABLE_PATTERN = r"^(?!(?:each|env)$(?!\n))[A-Za-z_][A-Za-z0-9_-]*$(?!\n)"
LIST_REFERENCE_PATTERN = r"^\$\{(?!(?:each|env)\})[A-Za-z_][A-Za-z0-9_-]*\}$(?!\n)"
"""The whole of a string that names a variable with a list: `${teams}`."""

SETTING_PATTERN = (
    rf"^(?:[A-Za-z_]|%{SETTING_NAME}%)(?:[A-Za-z0-9_.:-]|%{SETTING_NAME}%){{0,127}}$(?!\n)"
)
"""A setting's name, in which other settings may be named as `%NAME%`."""

HUB = Option(
    "hub",
    "Name the hub. `%NAME%` is the value of the setting NAME.",
    MappingProxyType({"type": "string", "pattern": HUB_REFERENCE_PATTERN}),
    without_default="the setting WebPubSubHub",
    flag="--hub",
)
CONNECTION = Option(
    "connection",
    "Name the setting that holds the connection string, never the connection string itself. "
    "`%NAME%` is the value of the setting NAME.",
    MappingProxyType({"type": "string", "pattern": SETTING_PATTERN}),
    default="WebPubSubConnectionString",
    flag="--connection",
)
CONFIRM = Option(
    "confirm",
    "Choose what is confirmed before it is sent to a hub that is not on this machine: every run, "
    "the actions that cannot be undone, or nothing.",
    _choice(Confirmation),
    default="destructive",
    choices={
        "always": "every run",
        "destructive": "`closeAllConnections`, `closeGroupConnections` and `prune`",
        "never": "nothing, as with --yes",
    },
    parse=Confirmation,
    flag="--confirm",
)
_TEXTS: Schema = MappingProxyType(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)
"""The schema of an option that can be given several times."""

ENDPOINT = Option(
    "endpoint",
    "Send requests to this reverse proxy or gateway: `https://HOST[:PORT][/PATH]`. Tokens are "
    "still for the service's own endpoint.",
    _STRING,
    flag="--endpoint",
)
HEADER = Option(
    "header",
    "Add this header to each request, with the value of a setting, such as the key of a gateway. "
    "Repeatable.",
    _TEXTS,
    flag="--header",
)
SETTINGS = Option(
    "settings",
    "Read settings from a Functions local.settings.json. The environment overrides it.",
    _STRING,
    flag="--settings",
)
CA_BUNDLE = Option(
    "ca-bundle",
    "Trust the certificates in this PEM file in addition to the system's.",
    _STRING,
    flag="--ca-bundle",
)
ALLOW_ENV = Option(
    "allow-env",
    "Allow ${env.NAME} although its name or value is that of a key, token or password. Playbooks "
    "cannot allow it themselves. Repeatable; names in the variable are separated by spaces.",
    _TEXTS,
    flag="--allow-env",
)
YES = Option(
    "yes",
    "Confirm the run, or the actions that ask first. Needed where there is no terminal.",
    MappingProxyType({"type": "boolean"}),
    flag="--yes",
)
MOST_PROCESSES = 64
"""More would gain nothing: the service is the limit."""

PROCESS_COUNT: Schema = MappingProxyType(
    {"anyOf": [dict(_integer(1, MOST_PROCESSES)), {"type": "string", "enum": ["auto"]}]}
)
"""A number of processes."""

PROCESSES = Option(
    "processes",
    "Run the actions in this many processes, each with the actions of one shard, if all actions "
    "are independent. `auto`: one for each core. The rate is divided among them; the concurrency "
    "is that of each.",
    PROCESS_COUNT,
    default=1,
    flag="--processes",
    metavar="N|auto",
)
ACCESS_OPTIONS = (ENDPOINT, HEADER, SETTINGS, CA_BUNDLE, ALLOW_ENV, YES)
"""Options that no playbook has: where requests and secrets go, and whether that is asked."""

TAG_OPTIONS = (
    Option(
        "tags",
        "Select only the actions and expectations that have one of these `tags`. Repeatable; "
        "several are separated by commas.",
        _TEXTS,
        flag="--tags",
    ),
    Option(
        "skip-tags",
        "Leave out the actions and expectations that have one of these `tags`, likewise.",
        _TEXTS,
        flag="--skip-tags",
    ),
)
SELECTION_OPTIONS = (
    *TAG_OPTIONS,
    Option(
        "only",
        "Select only the steps with these indexes, as `wps-run plan` shows them. Repeatable; "
        "several are separated by commas.",
        _TEXTS,
        flag="--only",
    ),
    Option(
        "start-at",
        "Leave out the steps before the first action that has this `name`.",
        _STRING,
        flag="--start-at",
    ),
)
"""Options that select a part of the plan. A resumed run keeps those that it had."""

CONFIGURATION_KEYS: Mapping[str, Option] = MappingProxyType(
    {
        option.key: option
        for option in (
            HUB,
            CONNECTION,
            *OPTIONS.values(),
            PROCESSES,
            CONFIRM,
            *ACCESS_OPTIONS,
        )
    }
)
"""Every option that a configuration file has values for, in the order of the documentation."""

ENVIRONMENT_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$(?!\n)"

_SINGLE_VALUE = [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]
CELL: Schema = MappingProxyType({"anyOf": [*_SINGLE_VALUE, {"type": "null"}]})
ROWS: tuple[Schema, ...] = (
    {"type": "array", "items": dict(CELL)},
    {"type": "array", "items": {"type": "object", "additionalProperties": dict(CELL)}},
)
"""The alternatives of a list of rows."""


class VariableType(StrEnum):
    """The type that a declaration gives a variable."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"


_SINGLE: Schema = {"anyOf": _SINGLE_VALUE}


def _values(default: Schema, item: Schema) -> Schema:
    items = {"type": "array", "minItems": 1, "items": item}
    return MappingProxyType({"default": default, "enum": items})


VALUES_BY_TYPE: Mapping[str, Schema] = MappingProxyType(
    {
        VariableType.NUMBER: _values({"type": "number"}, {"type": "number"}),
        VariableType.BOOLEAN: _values({"type": "boolean"}, {"type": "boolean"}),
        VariableType.LIST: _values({"anyOf": [*ROWS]}, _SINGLE),
        VariableType.STRING: _values(_SINGLE, _SINGLE),
    }
)
"""Declared type of a variable to the schemas of the keys that hold its values."""


def _conditions() -> dict[str, Any]:
    """Return the chain of conditions that selects the schemas of `VALUES_BY_TYPE`."""
    chain: dict[str, Any] = {}
    for name, schemas in reversed(tuple(VALUES_BY_TYPE.items())):
        is_type = {"required": ["type"], "properties": {"type": {"const": str(name)}}}
        values = {"type": "object", "properties": dict(schemas)}
        chain = {"if": {"type": "object", **is_type}, "then": values, "else": chain or True}
    return chain


_DECLARATION: Schema = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {
        "type": {
            "type": "string",
            "enum": [str(variable_type) for variable_type in VariableType],
            "description": "The type of the value. Default: `list` if `default` is a list, else "
            "`string`.",
        },
        "default": {
            "description": "The value unless the command line gives one.",
            "anyOf": [*_SINGLE_VALUE, *ROWS],
        },
        "required": {
            "type": "boolean",
            "description": "Whether the variable must have a value even if no action uses it.",
        },
        "description": {
            "type": "string",
            "description": "What the variable is for; shown when it has no value.",
        },
        "enum": {
            "type": "array",
            "minItems": 1,
            "description": "The allowed values; of a list, those of its items.",
            "items": _SINGLE,
        },
    },
    **_conditions(),
}
VALUE: Schema = MappingProxyType({"anyOf": [*_SINGLE_VALUE, *ROWS]})
"""The schema of the value of a variable."""

VARIABLE: Schema = MappingProxyType(
    {
        "if": {"type": "object"},
        "then": _DECLARATION,
        "else": dict(VALUE),
    }
)
"""The schema of an entry of `vars`: a value, or the declaration of a variable."""


def _with_variables(option: Option) -> Option:
    """Return the key of a playbook in which variables may be a part of the value."""
    alternatives = [dict(option.schema), {"type": "string", "pattern": r"\$\{"}]
    return option._replace(
        summary=f"{option.summary} May contain `${{name}}`.",
        schema=MappingProxyType({"anyOf": alternatives}),
    )


PLAYBOOK_KEYS: Mapping[str, Option] = MappingProxyType(
    {
        option.key: option
        for option in (
            Option("$schema", "Name the JSON Schema for editors.", _STRING),
            Option("name", "Name the playbook in reports.", _STRING),
            _with_variables(HUB),
            _with_variables(CONNECTION),
            *OPTIONS.values(),
            Option(
                "vars",
                "Define variables. `${name}` in an action is replaced by the value; a list is for "
                "`forEach: ${name}`. A mapping declares `type`, `default`, `required`, "
                "`description` and `enum`.",
                MappingProxyType(
                    {
                        "type": "object",
                        "maxProperties": VARIABLE_COUNT.value,
                        "propertyNames": {"pattern": VARIABLE_PATTERN},
                        "additionalProperties": dict(VARIABLE),
                    }
                ),
            ),
            Option(
                "slashInNames",
                "Choose whether the name of a user, group or connection may contain `/`.",
                MappingProxyType({"type": "string", "enum": ["refuse", "allow"]}),
                default="refuse",
                choices={
                    "refuse": "it is an error, because the service would read `%2F` in its place",
                    "allow": "it is sent as `%2F`, for names that only REST calls use",
                },
            ),
        )
    }
)
"""Every top-level key but `actions`, in the order of the documentation."""

OptionsType = TypeVar("OptionsType")


def merge_options(*layers: Mapping[str, Any]) -> RunOptions:
    """Merge values of options, such as those of a playbook and of the command line.

    Args:
        layers: Values by playbook key that conform to the schema. Later layers override earlier
            ones, key by key, below `retry` as well. A limit of failures implies
            `onError: continue`, unless its layer says otherwise.
    """
    return _merge(RunOptions, [*map(_with_implied, layers)])


def _with_implied(values: Mapping[str, Any]) -> Mapping[str, Any]:
    implied = {OPTIONS["onError"].key: str(OnError.CONTINUE)}
    return {**implied, **values} if OPTIONS["maxFailures"].key in values else values


def _merge(options_type: type[OptionsType], layers: Sequence[Mapping[str, Any]]) -> OptionsType:
    merge_options = {}
    for name, option in options_of(options_type):
        values = [layer[option.key] for layer in layers if option.key in layer]
        if values:
            merge_options[name] = (
                _merge(option.group, values) if option.group else option.parse(values[-1])
            )
    return options_type(**merge_options)


def override_values(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of options with others in their place, key by key, below `retry` as well."""
    groups = {
        key: {**values[key], **overrides[key]}
        for key, option in OPTIONS.items()
        if option.group and key in values and key in overrides
    }
    return {**values, **_with_implied(overrides), **groups}
