"""The keyword arguments of a run: those of the options table, and those of the library. Pure."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from operator import index
from os import PathLike, fspath
from types import MappingProxyType
from typing import Any, Literal, SupportsIndex, TypeAlias, TypedDict

from wps_run.execution.stop import Stop
from wps_run.journal.format import KeptOptions
from wps_run.playbook.configuration import kept_configuration
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import (
    OPTIONS,
    FailureLimit,
    Option,
    RunOptions,
    options_of,
    override_values,
    parse_failure_limit,
)
from wps_run.playbook.selection import Selection, parse_selection
from wps_run.playbook.shards import Shard, parse_shard
from wps_run.problems import UsageError, did_you_mean

Duration: TypeAlias = float | str | timedelta
"""Seconds, `"250ms"`, `"10s"` or `"2m"`, or a `timedelta`."""

Texts: TypeAlias = str | Collection[str]
"""One text or several."""

FilePath: TypeAlias = str | PathLike[str]

_NONE: KeptOptions = MappingProxyType({})

DEFAULT_AHEAD = 1000
"""How many results a run may be ahead of its reader by default."""

MOST_AHEAD = 1_000_000


class OptionKeywords(TypedDict, total=False):
    """The options of a playbook, which they override; each is a row of `playbook.options`."""

    mode: Literal["sequential", "concurrent"]
    concurrency: int
    on_error: Literal["stop", "continue"]
    max_failures: int | str
    not_after: str | datetime
    delivery: Literal["atMostOnce", "atLeastOnce"]
    rate: float
    timeout: Duration
    on_missing: Literal["fail", "skip"] | Mapping[str, Duration]
    attempts: int
    backoff: Duration
    max_backoff: Duration


class PlanKeywords(OptionKeywords, total=False):
    """What a plan is made with.

    Attributes:
        variables: Values for `${name}`, which override those of playbooks.
        allow_env: Names of secrets that `${env.NAME}` may read nevertheless.
        shard: The part of the plan to run, as `K/N`.
        tags, skip_tags, only, start_at: Select a part of the plan, as the options of the command
            line do.
    """

    variables: Mapping[str, Any]
    allow_env: Texts
    shard: str
    tags: Texts
    skip_tags: Texts
    only: Texts
    start_at: str


class RunKeywords(PlanKeywords, total=False):
    """The keyword arguments of `Runner.run`.

    Attributes:
        ahead: The most results that the run may be ahead of its reader.
        stop: Ends the run on request.
        journal: A new file for the journal of the run; none is written by default.
        resume: The journal whose run is resumed.
        resume_if_exists: Whether the run of `journal` is resumed if the file exists.
        only_failed: With `resume`: whether only failed actions run again.
        skip_failed: With `resume`: whether failures that stopped the run are not retried.
        only_changes: Whether actions are skipped that would change nothing.
        reports: Report files, each in the format of its suffix.
    """

    ahead: int
    stop: Stop
    journal: FilePath
    resume: FilePath
    resume_if_exists: bool
    only_failed: bool
    skip_failed: bool
    only_changes: bool
    reports: FilePath | Collection[FilePath]


def _paths(options: type) -> Iterator[tuple[str, tuple[str, ...], Option]]:
    """Yield the keyword, the keys from the top of a playbook, and the row of each option."""
    for name, option in options_of(options):
        if option.group:
            for below, keys, row in _paths(option.group):
                yield below, (option.key, *keys), row
        else:
            yield name, (option.key,), option


OPTION_KEYWORDS: Mapping[str, tuple[tuple[str, ...], Option]] = MappingProxyType(
    {name: (keys, option) for name, keys, option in _paths(RunOptions)}
)
"""Keyword to the keys of the option in a playbook, and its row."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The keyword arguments of a run, checked.

    Attributes:
        options: Values of options, as a playbook has them.
        values: All other arguments that were given, by keyword: several texts or files as a tuple.
    """

    options: Mapping[str, Any]
    values: Mapping[str, Any]

    @classmethod
    def of(cls, given: Mapping[str, Any], known: type, function: str) -> "RunSettings":
        """Check the keyword arguments of a function.

        Args:
            given: The arguments. None is what is not given.
            known: The `TypedDict` of those that it has.
            function: Its name, for messages.

        Raises:
            TypeError: An argument is unknown.
            UsageError: A value is wrong; says what is allowed.
        """
        names = known.__annotations__
        for name in given:
            if name not in names:
                near = did_you_mean(name, names)
                raise TypeError(f"{function}() got an unexpected keyword argument `{name}`{near}")
        given = {name: value for name, value in given.items() if value is not None}
        options = {name: value for name, value in given.items() if name in OPTION_KEYWORDS}
        others = {name: value for name, value in given.items() if name not in OPTION_KEYWORDS}
        values = {name: _CHECKS[name](name, value) for name, value in others.items()}
        return cls(_checked_options(options), values)

    @property
    def selection(self) -> Selection:
        """The part of the plan to carry out."""
        values = self.values
        return parse_selection(
            values.get("tags", ()),
            values.get("skip_tags", ()),
            values.get("only", ()),
            values.get("start_at"),
        )

    @property
    def shard(self) -> Shard | None:
        """The shard of the plan to run, or None for all of it."""
        text = self.values.get("shard")
        return None if text is None else parse_shard(text, "`shard`")

    @property
    def reports(self) -> tuple[str, ...]:
        """The report files."""
        files: tuple[str, ...] = self.values.get("reports", ())
        return files


NO_SETTINGS = RunSettings({}, {})


def texts(value: Texts) -> tuple[str, ...]:
    """Return one text, or several, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)


def _checked_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as a playbook has them, checked as those of a playbook are.

    Raises:
        UsageError: A value is wrong.
    """
    options: dict[str, Any] = {}
    for name, value in given.items():
        keys, _ = OPTION_KEYWORDS[name]
        _set_at(options, keys, _json_value(name, value))
    text = json.dumps({**options, "actions": []})
    problems = read_playbook(text, "<options>").problems
    if problems:
        raise UsageError("; ".join(_in_python(problem.message) for problem in problems))
    return options


def _json_value(name: str, value: object) -> object:
    """Return a value of an option as JSON has it.

    What JSON has not becomes an empty list, which no option takes: the error says what is allowed.
    """
    plain = _plain(name, value)
    try:
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return []
    return plain


def _plain(name: str, value: object) -> object:
    """Return a value of an option without the types of Python.

    Raises:
        UsageError: A moment has no time zone.
    """
    plain = value
    match value:
        case Enum():
            plain = value.value
        case timedelta():
            plain = value.total_seconds()
        case datetime():
            if value.tzinfo is None:
                raise UsageError(f"`{name}` needs a time zone, such as `datetime.now(UTC)` has")
            plain = value.isoformat(timespec="milliseconds")
        case Mapping():
            plain = {key: _plain(name, item) for key, item in value.items()}
        case SupportsIndex() if not isinstance(value, bool):  # such as a whole number of NumPy
            plain = index(value)
        case _:
            pass
    return plain


def _in_python(message: str) -> str:
    """Return a message about a key of a playbook with the keyword in its place."""
    for name, (keys, _) in OPTION_KEYWORDS.items():
        message = message.replace(f"`{keys[-1]}`", f"`{name}`")
    return message


def in_python(message: str) -> str:
    """Return a message about an option of the command line with the keyword in its place."""
    for name in PlanKeywords.__annotations__:
        message = message.replace(f"--{name.replace('_', '-')}", f"`{name}`")
    return message


_Check: TypeAlias = Callable[[str, Any], Any]
"""Checks the value of a keyword, and returns it as `RunSettings` has it."""


def _of_type(*types: type, what: str) -> _Check:
    def check(name: str, value: Any) -> Any:  # noqa: ANN401 -- any value
        if not isinstance(value, types):
            raise UsageError(f"`{name}` must be {what}, not {type(value).__name__}")
        return value

    return check


def _check_variables(name: str, value: object) -> object:
    if not isinstance(value, Mapping):
        raise UsageError(
            f"`{name}` must be a mapping of names to values, not {type(value).__name__}"
        )
    for key, item in value.items():
        try:
            json.dumps(item, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"`{name}`: `{key}` has a value that JSON has not: {error}") from None
    return value


def _check_texts(name: str, value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, Iterable) or isinstance(items, Mapping | bytes):
        raise UsageError(f"`{name}` must be a text or several, not {type(value).__name__}")
    items = tuple(items)
    for item in items:
        if not isinstance(item, str):
            raise UsageError(f"`{name}` must be texts; one is {type(item).__name__}")
    return items


def _check_file(name: str, value: object) -> str:
    if not isinstance(value, str | PathLike):
        raise UsageError(f"`{name}` must be a file name, not {type(value).__name__}")
    if not (file := fspath(value)):
        raise UsageError(f"`{name}` is empty; name a file, or leave it out")
    return file


def _check_files(name: str, value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str | PathLike) else value
    if not isinstance(items, Iterable) or isinstance(items, bytes):
        raise UsageError(f"`{name}` must be a file name or several, not {type(value).__name__}")
    return tuple(_check_file(name, item) for item in items)


def _check_ahead(name: str, value: object) -> int:
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        ahead = index(value)
        if 0 <= ahead <= MOST_AHEAD:
            return ahead
    raise UsageError(f"`{name}` must be a whole number from 0 to {MOST_AHEAD:,}")


_check_flag = _of_type(bool, what="True or False")
_CHECKS: Mapping[str, _Check] = MappingProxyType(
    {
        "variables": _check_variables,
        "allow_env": _check_texts,
        "shard": _of_type(str, what='a text such as `"1/4"`'),
        "tags": _check_texts,
        "skip_tags": _check_texts,
        "only": _check_texts,
        "start_at": _of_type(str, what="the name of an action"),
        "ahead": _check_ahead,
        "stop": _of_type(Stop, what="a `Stop`"),
        "journal": _check_file,
        "resume": _check_file,
        "resume_if_exists": _check_flag,
        "only_failed": _check_flag,
        "skip_failed": _check_flag,
        "only_changes": _check_flag,
        "reports": _check_files,
    }
)
"""Every keyword that is no option of a playbook, and its check."""


def kept_options(options: Mapping[str, Any], earlier: KeptOptions = _NONE) -> dict[str, Any]:
    """Return options in the form in which a journal keeps those of a command line.

    Those without a flag are recorded as those of a configuration file.

    Args:
        options: Values as a playbook has them.
        earlier: What the journal has of earlier parts of the run, which stays.
    """
    kept: dict[str, Any] = dict(earlier)
    rest: dict[str, Any] = {}
    for (*groups, key), option in OPTION_KEYWORDS.values():
        value = _value_at(options, (*groups, key))
        if value is not None and option.flag:
            kept[option.flag] = str(value)
        elif value is not None:
            _set_at(rest, (*groups, key), value)
    configuration = kept_configuration(earlier, None, {})
    return kept | dict(
        configuration._replace(options=override_values(configuration.options, rest)).kept()
    )


def recorded_options(kept: KeptOptions) -> dict[str, Any]:
    """Return what `kept_options`, or the command line, recorded, as a playbook has it."""
    options: dict[str, Any] = {}
    for keys, option in OPTION_KEYWORDS.values():
        text = kept.get(str(option.flag))
        if option.flag and isinstance(text, str):
            _set_at(options, keys, _number_or_text(text, option))
    configured = kept_configuration(kept, None, {}).options
    of_playbook = {key: value for key, value in configured.items() if key in OPTIONS}
    return dict(override_values(of_playbook, options))


def recorded_defaults(kept: KeptOptions) -> Mapping[str, Any]:
    """Return what counts where a playbook has no value, from a configuration file."""
    return kept_configuration(kept, None, {}).defaults


def _value_at(options: Mapping[str, Any], keys: Iterable[str]) -> object:
    value: Any = options
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _set_at(options: dict[str, Any], keys: Sequence[str], value: object) -> None:
    for key in keys[:-1]:
        options = options.setdefault(key, {})
    options[keys[-1]] = value


def _number_or_text(text: str, option: Option) -> object:
    if option.schema.get("type") == "integer":
        return int(text)
    if option.schema.get("type") == "number":
        return float(text)
    if option.parse is parse_failure_limit:
        limit: FailureLimit = parse_failure_limit(text)
        return text if limit.is_percentage else int(limit.number)
    return float(text) if text.replace(".", "", 1).isdigit() else text
