"""The actions of a run as the HTML page has them: a plain table, and data for its script."""

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from json import JSONEncoder

from wps_run.execution.record import Record
from wps_run.execution.result import Status
from wps_run.report.run_report import RunReport
from wps_run.report.values import whole_target
from wps_run.text import escape_controls, replace_surrogates

CHUNK = 500
"""So many actions make one plain table."""

LISTED = 50_000
"""The most actions on a page; a browser takes long for more, and nobody reads so many."""

_encode = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_STATUSES = list(Status)


class Rows:
    """The actions that a page lists, in the order of the playbook.

    What is not ok comes first when there are more than `LISTED`: then it is listed as far as
    there is room, and of those that are ok the first ones.

    Attributes:
        listed: How many are listed.
        left_out: How many are not.
    """

    def __init__(self, account: RunReport) -> None:
        self._account = account
        recorded = Counter(record.status is Status.OK for record in account.records)
        self._trouble = min(recorded[False], LISTED)
        self._ok = min(recorded[True], LISTED - self._trouble)
        self.listed = self._trouble + self._ok
        self.left_out = recorded.total() - self.listed

    def __iter__(self) -> Iterator[Record]:
        room = {True: self._ok, False: self._trouble}
        for record in self._account.records:
            kind = record.status is Status.OK
            if room[kind]:
                room[kind] -= 1
                yield record


_HEADS = ("#", "Status", "Action", "Target", "Place", "HTTP", "Attempts", "Time, ms", "Why")


def plain_tables(rows: Rows) -> Iterator[str]:
    """The plain tables, with the end tags that HTML does without left out.

    There is a table for every `CHUNK` actions: a browser lays out only those that are in sight,
    where one of 20,000 rows took it more than 20 seconds.
    """
    heads = "".join(f'<th scope="col">{title}' for title in _HEADS)
    records = iter(rows)
    while chunk := list(islice(records, CHUNK)):
        caption = f"Actions {chunk[0].index:,} to {chunk[-1].index:,}"
        yield f'<div class="chunk"><table><caption>{caption}</caption><thead><tr>{heads}<tbody>\n'
        yield from map(_plain_row, chunk)
        yield "</table></div>\n"


def _plain_row(record: Record) -> str:
    answer = "" if record.http_status is None else record.http_status
    fault = record.error
    why = "" if fault is None else f"{fault.code}: {fault.message} {fault.hint}"
    name = f" ({record.name})" if record.name else ""
    took = "" if record.started_ms is None else f"{record.duration_ms:,.1f}"
    return (
        f'<tr><td>{record.index}<td class="{record.status}">{record.status}'
        f"<td>{record.action_name}{_cell(name)}<td>{_cell(whole_target(record.target))}"
        f"<td>{_cell(record.source)}<td>{answer}<td>{record.attempts}<td>{took}"
        f"<td>{_cell(why)}\n"
    )


def _cell(text: str) -> str:
    return f"<bdi>{escape(escape_controls(text), quote=False)}</bdi>" if text else ""


def data(rows: Rows) -> Iterator[str]:
    """The data of the script: one JSON object, its `<` escaped, so that no name can end it.

    A row is a list: index, status, action, name, target, source, HTTP status, attempts, time,
    start, index of the action it waited for, request ID, error, tries. Status, action, name and
    error are places in lists of their own; -1 for none.
    """
    actions, names, errors = _Places(), _Places(), _Places()
    comma = ""
    yield '{"rows":['
    for record in rows:
        fault = record.error
        row = [
            record.index,
            _STATUSES.index(record.status),
            actions.of(record.action_name),
            -1 if record.name is None else names.of(record.name),
            record.target,
            record.source,
            record.http_status,
            record.attempts,
            record.duration_ms,
            record.started_ms,
            record.waited_for,
            record.request_id,
            -1 if fault is None else errors.of((fault.code, fault.message, fault.hint)),
            [[one.at_ms, one.http_status, one.error, one.pause_ms] for one in record.tries],
        ]
        yield comma + _embedded(row)
        comma = ",\n"
    lists = {"actions": list(actions.all), "names": list(names.all), "errors": list(errors.all)}
    yield f"],{_embedded(lists)[1:]}"


@dataclass(slots=True)
class _Places:
    """Values, each with its place in the list of all."""

    all: dict[Hashable, int] = field(default_factory=dict)

    def of(self, value: Hashable) -> int:
        return self.all.setdefault(value, len(self.all))


def _embedded(value: object) -> str:
    return replace_surrogates(_encode(value)).replace("<", "\\u003c")
