"""A run as Markdown, as GitHub shows it in a job summary: totals, trouble, what took longest."""

import re
from collections.abc import Iterator, Sequence

from wps_run.execution.record import Record
from wps_run.execution.result import Status, Summary
from wps_run.execution.run_info import Destination
from wps_run.report.run_report import RunReport
from wps_run.report.simulation import Simulation
from wps_run.report.statistics import FailureGroup, RunStatistics, statistics_of
from wps_run.report.values import whole_target
from wps_run.text import replace_invisible

FAILURES = 50
"""So many failures are listed; the others are counted by kind."""

SLOWEST = 5
"""So many of the slowest actions are listed."""

LISTED = 20
"""So many groups, messages and so on of a rehearsal are listed."""

WIDTH = 200
"""Longer texts are cut. With that the whole stays far below the 1 MiB that GitHub takes."""

_MARKS = {Status.OK: "✅", Status.FAILED: "❌", Status.UNKNOWN: "❓", Status.SKIPPED: "⏭️"}


def markdown(account: RunReport) -> Iterator[str]:
    """The page, piece by piece."""
    found = statistics_of(account.records, failures=FAILURES, slowest=SLOWEST)
    yield _head(account)
    yield _totals(account.summary, found)
    if not account.finished:
        yield "\n> The run was broken off; what has no result is counted as unknown or skipped.\n"
    yield from _kinds(found)
    yield from _failures(found, account.summary)
    yield from _slowest(found)
    for outlook in account.outlooks:
        yield from _outlook(outlook)
    yield "\n_An answer means accepted by the service, not delivered._\n"


def _head(account: RunReport) -> str:
    heading, code = account.heading, account.summary.exit_code
    where = {
        Destination.LOCAL: "LOCAL rehearsal: nothing left the machine",
        Destination.PLAN: "PLAN: nothing was sent",
        Destination.SERVICE: f"SERVICE {', '.join(heading.endpoints)}",
    }[heading.destination]
    mark = "❌" if code else "✅"
    names = ", ".join(map(_text, heading.playbooks))
    hubs = ", ".join(map(_text, heading.hubs))
    return (
        f"## {mark} {names}\n\n**{_text(where)}**{heading.share} · hub {hubs}"
        f" · {_text(heading.pace)} · {account.began} · exit code {code}\n"
    )


def _totals(summary: Summary, found: RunStatistics) -> str:
    heads = ["Actions", *(f"{_MARKS[status]} {status}" for status in Status), "Time", "A second"]
    cells = [f"{summary.total:,}", *(f"{summary.counts[status]:,}" for status in Status)]
    cells += [f"{summary.duration:.2f} s", f"{summary.per_second:,.1f}"]
    if summary.latency.count:
        heads += ["p50", "p90", "p99", "max"]
        cells += [_took(summary.latency.percentile(percent)) for percent in (50, 90, 99)]
        cells.append(_took(summary.latency.most))
    table = _table(heads, [cells], right=True)
    if not found.retried:
        return table
    return (
        f"{table}\n{found.retried:,} took more than one attempt; "
        f"{found.throttled:,} answers were 429 or 503.\n"
    )


def _kinds(found: RunStatistics) -> Iterator[str]:
    if not found.kinds:
        return
    rows = [
        [f"{kind.count:,}", f"{_MARKS[kind.status]} {kind.status}", _text(kind.code), _hint(kind)]
        for kind in found.kinds
    ]
    yield "\n### What was not ok\n" + _table(["Actions", "Status", "Why", "What to do"], rows)
    if found.others:
        yield f"\n… and {found.others:,} more, of other kinds.\n"


def _hint(kind: FailureGroup) -> str:
    message = kind.example.error.message if kind.example.error else ""
    return _text(kind.hint or message)


def _failures(found: RunStatistics, summary: Summary) -> Iterator[str]:
    if not found.failures:
        return
    rows = [
        [
            f"{record.index}",
            f"{_MARKS[record.status]} {_what(record)}",
            _text(record.source),
            f"{record.http_status or ''}",
            _text(record.error.message if record.error else ""),
        ]
        for record in found.failures
    ]
    yield "\n### Failures\n" + _table(["#", "Action", "Place", "HTTP", "Message"], rows)
    more = summary.counts[Status.FAILED] + summary.counts[Status.UNKNOWN] - len(rows)
    if more > 0:
        yield f"\n… and {more:,} more.\n"


def _slowest(found: RunStatistics) -> Iterator[str]:
    if not found.slowest:
        return
    rows = [
        [f"{one.index}", _what(one), _took(one.duration_ms), f"{one.attempts}"]
        for one in found.slowest
    ]
    yield "\n<details><summary>What took longest</summary>\n"
    yield _table(["#", "Action", "Time", "Attempts"], rows)
    yield "\n</details>\n"


def _outlook(outlook: Simulation) -> Iterator[str]:
    clients = f"{outlook.clients:,} simulated {'client' if outlook.clients == 1 else 'clients'}"
    yield f"\n### What would happen in hub {_text(outlook.hub)} ({clients})\n"
    groups = [[_text(group), _names(members)] for group, members in outlook.groups]
    yield _part(["Group", "Members"], groups)
    messages = [
        [_text(heard.origin), _text(heard.shown), _names(heard.listeners)]
        for heard in outlook.heard
    ]
    yield _part(["From", "Message", "Heard by"], messages)
    closed = [[_text(one.client), _text(one.reason)] for one in outlook.closed]
    yield _part(["Closed", "Reason"], closed)
    permissions = [
        [
            _text(one.connection),
            f"{'may' if one.allowed else 'may not'} {_text(one.permission)} {_text(one.group)}",
        ]
        for one in outlook.permissions
    ]
    yield _part(["Connection", "Permission"], permissions)


def _part(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    more = len(rows) - LISTED
    rest = f"\n… and {more:,} more\n" if more > 0 else ""
    return _table(heads, rows[:LISTED]) + rest


def _names(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    rest = f" and {more:,} more" if more > 0 else ""
    return (", ".join(map(_text, names[:LISTED])) or "nobody") + rest


def _what(record: Record) -> str:
    label = f" ({_text(record.name)})" if record.name else ""
    return f"{record.action_name} {_text(whole_target(record.target))}{label}"


def _took(milliseconds: float) -> str:
    return f"{milliseconds:,.1f} ms"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: bool = False) -> str:
    rule = "|".join("--:" if right else "---" for _ in heads)
    lines = [f"| {' | '.join(heads)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n" + "\n".join(lines) + "\n"


_MEANT = re.compile(r"([\\`*_{}\[\]()#!|~>@])")
"""What Markdown, or GitHub's form of it, may take for its own."""


def _text(text: str) -> str:
    """A text that is shown as it stands: on one line, cut, and nothing in it obeyed."""
    line = replace_invisible(text)
    shown = line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"
    marked = _MEANT.sub(r"\\\1", shown.replace("&", "&amp;").replace("<", "&lt;"))
    return marked.replace("://", ":\\/\\/").replace("www.", "www\\.")
