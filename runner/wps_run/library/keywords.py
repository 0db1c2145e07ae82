"""The keyword arguments of a run: those of the options table, and those of the library. Pure."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from os import PathLike, fspath
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypedDict

from wps_run.execution.stop import Stop
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import (
    FailureLimit,
    Option,
    RunOptions,
    options_of,
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
        values: All other arguments that were given, by keyword.
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
        for name, value in others.items():
            if check := _CHECKS.get(name):
                check(name, value)
        return cls(_checked_options(options), others)

    @property
    def selection(self) -> Selection:
        """The part of the plan to carry out."""
        values = self.values
        return parse_selection(
            texts(values.get("tags", ())),
            texts(values.get("skip_tags", ())),
            texts(values.get("only", ())),
            values.get("start_at"),
        )

    @property
    def shard(self) -> Shard | None:
        """The shard of the plan to run, or None for all of it."""
        text = self.values.get("shard")
        return None if text is None else parse_shard(text, "`shard`")

    def path(self, name: str) -> str | None:
        """Return a file by its keyword, or None."""
        return None if (value := self.values.get(name)) is None else fspath(value)

    @property
    def reports(self) -> tuple[str, ...]:
        """The report files."""
        value = self.values.get("reports", ())
        is_one = isinstance(value, str | PathLike)
        return tuple(map(fspath, [value] if is_one else value))


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
        (*groups, key), _ = OPTION_KEYWORDS[name]
        parent = options
        for group in groups:
            parent = parent.setdefault(group, {})
        parent[key] = _plain(name, value)
    try:
        text = json.dumps({**options, "actions": []}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"an option of a run has a value that no playbook has: {error}") from None
    problems = read_playbook(text, "<options>").problems
    if problems:
        raise UsageError("; ".join(_in_python(problem.message) for problem in problems))
    return options


def _plain(name: str, value: object) -> object:
    """Return a value of an option as JSON has it.

    Raises:
        UsageError: A moment has no time zone.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UsageError(f"`{name}` needs a time zone, such as `datetime.now(UTC)` has")
        return value.isoformat(timespec="seconds")
    if isinstance(value, Mapping):
        return {key: _plain(name, item) for key, item in value.items()}
    return value


def _in_python(message: str) -> str:
    """Return a message about a key of a playbook with the keyword in its place."""
    for name, (keys, _) in OPTION_KEYWORDS.items():
        message = message.replace(f"`{keys[-1]}`", f"`{name}`")
    return message


def _check_type(*types: type, what: str) -> "_Check":
    def check(name: str, value: object) -> None:
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise UsageError(f"`{name}` must be {what}, not {type(value).__name__}")

    return check


def _check_texts(name: str, value: object) -> None:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, Iterable) or isinstance(items, Mapping | bytes):
        raise UsageError(f"`{name}` must be a text or several, not {type(value).__name__}")
    for item in items:
        if not isinstance(item, str):
            raise UsageError(f"`{name}` must be texts; one is {type(item).__name__}")


def _check_files(name: str, value: object) -> None:
    items = [value] if isinstance(value, str | PathLike) else value
    if not isinstance(items, Collection) or isinstance(items, bytes):
        raise UsageError(f"`{name}` must be a file name or several, not {type(value).__name__}")
    for item in items:
        _check_file(name, item)


def _check_ahead(name: str, value: object) -> None:
    if type(value) is not int or not 0 <= value <= MOST_AHEAD:
        raise UsageError(f"`{name}` must be a whole number from 0 to {MOST_AHEAD:,}")


_Check: TypeAlias = Any
_check_file = _check_type(str, PathLike, what="a file name")
_check_flag = _check_type(bool, what="True or False")
_CHECKS: Mapping[str, _Check] = MappingProxyType(
    {
        "variables": _check_type(Mapping, what="a mapping of names to values"),
        "allow_env": _check_texts,
        "shard": _check_type(str, what='a text such as `"1/4"`'),
        "tags": _check_texts,
        "skip_tags": _check_texts,
        "only": _check_texts,
        "start_at": _check_type(str, what="the name of an action"),
        "ahead": _check_ahead,
        "stop": _check_type(Stop, what="a `Stop`"),
        "journal": _check_file,
        "resume": _check_file,
        "resume_if_exists": _check_flag,
        "only_failed": _check_flag,
        "skip_failed": _check_flag,
        "only_changes": _check_flag,
        "reports": _check_files,
    }
)


def kept_options(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the options in the form in which a journal keeps those of a command line."""
    kept: dict[str, str] = {}
    for keys, option in OPTION_KEYWORDS.values():
        value: Any = options
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if option.flag and value is not None:
            kept[option.flag] = str(value)
    return kept


def recorded_options(kept: Mapping[str, object]) -> dict[str, Any]:
    """Return what the command line, or `kept_options`, has of options, as a playbook has it."""
    options: dict[str, Any] = {}
    for (*groups, key), option in OPTION_KEYWORDS.values():
        text = kept.get(str(option.flag))
        if not option.flag or not isinstance(text, str):
            continue
        parent = options
        for group in groups:
            parent = parent.setdefault(group, {})
        parent[key] = _number_or_text(text, option)
    return options


def _number_or_text(text: str, option: Option) -> object:
    if option.schema.get("type") == "integer":
        return int(text)
    if option.schema.get("type") == "number":
        return float(text)
    if option.parse is parse_failure_limit:
        limit: FailureLimit = parse_failure_limit(text)
        return text if limit.is_percentage else int(limit.number)
    return float(text) if text.replace(".", "", 1).isdigit() else text
