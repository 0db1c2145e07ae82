"""The actions on the HTML page: plain tables, and the data of its script."""

import re
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from json import JSONEncoder

from wps_run.execution.result import Result, Status
from wps_run.report.run_report import RunReport
from wps_run.report.statistics import THROTTLING
from wps_run.report.values import whole_target
from wps_run.text import escape_controls, replace_surrogates

TABLE_ROWS = 500
"""The actions in one plain table."""

MAX_RESULTS = 50_000
"""The most actions on a page; browsers are slow with more."""

_encode = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_STATUSES = list(Status)


class ListedResults:
    """The results that a page lists, in the order of the playbook; can be iterated several times.

    When there are more than `MAX_RESULTS`, those that are not ok are listed first, as far as
    possible, then the first that are ok.

    Attributes:
        count: The number of results that are listed.
        statuses: The statuses that at least one of them has.
        left_out: The number of results that are not.
    """

    def __init__(self, report: RunReport) -> None:
        self._report = report
        available = Counter(result.status for result in report.results)
        self._not_ok = min(available.total() - available[Status.OK], MAX_RESULTS)
        self._ok = min(available[Status.OK], MAX_RESULTS - self._not_ok)
        self.statuses = {*available} if self._ok else {*available} - {Status.OK}
        self.count = self._not_ok + self._ok
        self.left_out = available.total() - self.count

    def __iter__(self) -> Iterator[Result]:
        left = {True: self._ok, False: self._not_ok}
        for result in self._report.results:
            is_ok = result.status is Status.OK
            if left[is_ok]:
                left[is_ok] -= 1
                yield result


_TITLES = ("#", "Status", "Action", "Target", "Source", "HTTP", "Attempts", "Time, ms", "Why")


def plain_tables(listed: ListedResults) -> Iterator[str]:
    """Yield plain tables, without the end tags that are optional in HTML.

    Each has `TABLE_ROWS` actions, since a browser lays out only the tables in view: one table of
    20,000 rows took it more than 20 seconds.
    """
    heads = "".join(f'<th scope="col">{title}' for title in _TITLES)
    results, anchors = iter(listed), _Anchors()
    while chunk := list(islice(results, TABLE_ROWS)):
        caption = f"Actions {chunk[0].index:,} to {chunk[-1].index:,}"
        yield f'<div class="chunk"><table><caption>{caption}</caption><thead><tr>{heads}<tbody>\n'
        yield from (_plain_row(result, anchors) for result in chunk)
        yield "</table></div>\n"


class _Anchors:
    """The IDs in the plain tables: a link to rows leads to the first of them without a script."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def first(self, name: str, *, applies: bool = True) -> str:
        """Return the ID attribute for the first row that an anchor applies to; "" for others."""
        if not applies or name in self._used:
            return ""
        self._used.add(name)
        return f' id="{name}"'


def _is_throttled(result: Result) -> bool:
    """Whether one of the responses of an action was 429 or 503."""
    statuses = {result.http_status, *(attempt.http_status for attempt in result.tries)}
    return not THROTTLING.isdisjoint(statuses)


def _plain_row(result: Result, anchors: _Anchors) -> str:
    http_status = "" if result.http_status is None else result.http_status
    error = result.error
    why = "" if error is None else f"{error.code}: {error.message} {error.hint}"
    name = f" ({result.label})" if result.label else ""
    earlier = ", earlier" if result.earlier is True else ""
    duration = "" if result.started_ms is None else f"{result.duration_ms:,.1f}"
    by_status = anchors.first(f"status={result.status}")
    by_kind = "" if error is None else f' id="like={result.index}"'
    is_earlier = anchors.first("only=earlier", applies=result.earlier is True)
    throttled = anchors.first("only=throttled", applies=_is_throttled(result))
    retried = anchors.first("only=retried", applies=bool(result.tries))
    return (
        f"<tr{by_status}><td{by_kind}>{result.index}"
        f'<td class="{result.status}"{is_earlier}>{result.status}{earlier}'
        f"<td>{result.action_name}{_cell(name)}<td>{_cell(whole_target(result.target))}"
        f"<td>{_cell(result.source)}<td{throttled}>{http_status}"
        f"<td{retried}>{result.attempts}<td>{duration}"
        f"<td>{with_code(_cell(why))}\n"
    )


def _cell(text: str) -> str:
    return f"<bdi>{escape(escape_controls(text), quote=False)}</bdi>" if text else ""


def with_code(html: str) -> str:
    """Return a message with what is in backticks as code."""
    return _CODE.sub(r"<code>\1</code>", html)


_CODE = re.compile("`([^`]+)`")


def data(listed: ListedResults) -> Iterator[str]:
    """Yield the data of the script: one JSON object, its `<` escaped, so that no name can end it.

    A row is a list: index, status, action, name, target, source, HTTP status, attempts, time,
    start, index of the action it waited for, request ID, error, attempts before the last, 1 if the
    result is of an earlier part of the run, else 0. Status, action, name and error are indexes into
    lists of their own; -1 for none.
    """
    actions, names, errors = _ValueIndex(), _ValueIndex(), _ValueIndex()
    comma = ""
    yield '{"rows":['
    for result in listed:
        error = result.error
        row = [
            result.index,
            _STATUSES.index(result.status),
            actions.add(result.action_name),
            names.add(result.label) if result.label else -1,
            result.target,
            result.source,
            result.http_status,
            result.attempts,
            result.duration_ms,
            result.started_ms,
            result.waited_for,
            result.request_id,
            -1 if error is None else errors.add((error.code, error.message, error.hint)),
            [[each.at_ms, each.http_status, each.error, each.pause_ms] for each in result.tries],
            int(result.earlier is True),
        ]
        yield comma + _script_json(row)
        comma = ",\n"
    lists = {"actions": actions.values, "names": names.values, "errors": errors.values}
    yield f"],{_script_json(lists)[1:]}"


@dataclass(slots=True)
class _ValueIndex:
    """Different values, each with its index in the list of all."""

    indexes: dict[Hashable, int] = field(default_factory=dict)

    @property
    def values(self) -> list[Hashable]:
        return list(self.indexes)

    def add(self, value: Hashable) -> int:
        """Return the index of the value; a new one for a new value."""
        return self.indexes.setdefault(value, len(self.indexes))


def _script_json(value: object) -> str:
    return replace_surrogates(_encode(value)).replace("<", "\\u003c")
