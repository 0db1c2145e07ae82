"""A report in Markdown, as GitHub shows it in a job summary: totals, failures, slowest actions."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from wps_run.execution.result import ExpectationResult, Result, Status
from wps_run.execution.run_info import Destination
from wps_run.execution.summary import Summary
from wps_run.report.run_report import RunReport
from wps_run.report.simulation import Simulation
from wps_run.report.statistics import FailureGroup, RunStatistics, statistics_of
from wps_run.report.values import whole_target
from wps_run.text import replace_invisible

MAX_FAILURES = 50
"""The most failures that are listed; the others are counted by group."""

MAX_SLOWEST = 5
"""The most slow actions that are listed."""

MAX_LISTED = 20
"""The most groups, messages and names of a rehearsal that are listed."""

MAX_LENGTH = 200
"""Characters. Longer texts are cut, so that the report stays far below GitHub's limit of 1 MiB."""

_Item = TypeVar("_Item")

_ICONS = {Status.OK: "✅", Status.FAILED: "❌", Status.UNKNOWN: "❓", Status.SKIPPED: "⏭️"}


def markdown(report: RunReport) -> Iterator[str]:
    """Yield the text of a report in pieces."""
    statistics = statistics_of(report.results, failures=MAX_FAILURES, slowest=MAX_SLOWEST)
    yield _title(report)
    yield _totals(report.summary, statistics)
    if not report.is_finished:
        yield "\n> The run did not end; actions without a result count as unknown or skipped.\n"
    yield from _groups(statistics)
    yield from _failures(statistics, report.summary)
    yield from _expectations(report)
    yield from _slowest(statistics)
    if report.simulations:
        yield f"\n{report.simulations[0].scope_note}\n"
    for simulation in report.simulations:
        yield from _simulation(simulation)
    yield "\n_`ok` means that the service accepted the action. Delivery is not confirmed._\n"


def _title(report: RunReport) -> str:
    run_info, exit_code = report.run_info, report.summary.exit_code
    destination = {
        Destination.LOCAL: "LOCAL rehearsal: nothing left the machine",
        Destination.PLAN: "PLAN: nothing was sent",
        Destination.SERVICE: f"SERVICE {', '.join(run_info.endpoints)}",
    }[run_info.destination]
    icon = "❌" if exit_code else "✅"
    playbooks = ", ".join(map(_text, run_info.playbooks))
    hubs = ", ".join(map(_text, run_info.hubs))
    return (
        f"## {icon} {playbooks}\n\n**{_text(destination)}**{_text(run_info.part_suffix)}"
        f" · hub {hubs} · {_text(run_info.pace)} · {report.started} · exit code {exit_code}\n"
    )


def _totals(summary: Summary, statistics: RunStatistics) -> str:
    titles = ["Actions", *(f"{_ICONS[status]} {status}" for status in Status), "Time", "Per second"]
    cells = [f"{summary.total:,}", *(f"{summary.counts[status]:,}" for status in Status)]
    cells += [f"{summary.duration:.2f} s", f"{summary.per_second:,.1f}"]
    if summary.latency.count:
        titles += ["p50", "p90", "p99", "max"]
        cells += [_time(summary.latency.percentile(percent)) for percent in (50, 90, 99)]
        cells.append(_time(summary.latency.longest_ms))
    table = _table(titles, [cells], align_right=True)
    if summary.earlier:
        results = "1 result is" if summary.earlier == 1 else f"{summary.earlier:,} results are"
        table += f"\n{results} of an earlier part of the run.\n"
    if not statistics.retried:
        return table
    return (
        f"{table}\n{statistics.retried:,} took more than one attempt; "
        f"{statistics.throttled:,} responses were 429 or 503.\n"
    )


def _groups(statistics: RunStatistics) -> Iterator[str]:
    if not statistics.groups:
        return
    rows = [
        [
            f"{group.count:,}",
            f"{_ICONS[group.status]} {group.status}",
            _text(group.code),
            _hint(group),
        ]
        for group in statistics.groups
    ]
    yield "\n### What was not ok\n" + _table(["Actions", "Status", "Why", "What to do"], rows)
    if statistics.ungrouped:
        yield f"\n… and {statistics.ungrouped:,} more, of other kinds.\n"


def _hint(group: FailureGroup) -> str:
    message = group.example.error.message if group.example.error else ""
    return _message(group.hint or message)


def _failures(statistics: RunStatistics, summary: Summary) -> Iterator[str]:
    if not statistics.failures:
        return
    rows = [
        [
            f"{result.index}",
            f"{_ICONS[result.status]} {_action(result)}",
            _text(result.source),
            f"{result.http_status or ''}",
            _message(result.error.message if result.error else ""),
        ]
        for result in statistics.failures
    ]
    yield "\n### Failures\n" + _table(["#", "Action", "Source", "HTTP", "Message"], rows)
    more = summary.counts[Status.FAILED] + summary.counts[Status.UNKNOWN] - len(rows)
    if more > 0:
        yield f"\n… and {more:,} more.\n"


def _expectations(report: RunReport) -> Iterator[str]:
    """Yield the expectations, those that are not ok first."""
    total = report.summary.expectations.total()
    if not total:
        return
    counts = ", ".join(
        f"{report.summary.expectations[status]:,} {status}"
        for status in Status
        if report.summary.expectations[status]
    )
    listed = sorted(report.expectations, key=lambda result: result.status is Status.OK)
    rows = [_expectation_row(result) for result in listed[:MAX_FAILURES]]
    yield f"\n### Expectations: {counts}\n"
    yield _table(["Status", "Expectation", "Source", "Why"], rows)
    if total > len(rows):
        yield f"\n… and {total - len(rows):,} more.\n"


def _expectation_row(result: ExpectationResult) -> list[str]:
    return [
        f"{_ICONS[result.status]} {result.status}",
        _text(result.statement),
        _text(result.source),
        _message(result.error.message if result.error else ""),
    ]


def _slowest(statistics: RunStatistics) -> Iterator[str]:
    if not statistics.slowest:
        return
    rows = [
        [f"{result.index}", _action(result), _time(result.duration_ms), f"{result.attempts}"]
        for result in statistics.slowest
    ]
    yield "\n<details><summary>Slowest actions</summary>\n"
    yield _table(["#", "Action", "Time", "Attempts"], rows)
    yield "\n</details>\n"


def _simulation(simulation: Simulation) -> Iterator[str]:
    yield f"\n### What would happen in hub {_text(simulation.hub)} ({simulation.clients_text})\n"
    yield _list(
        ["Group", "Members"],
        [*simulation.groups.items()],
        lambda group: [_text(group[0]), _names(group[1])],
    )
    yield _list(
        ["From", "Message", "Received by"],
        simulation.deliveries,
        lambda delivery: [
            _text(delivery.origin),
            _text(delivery.label),
            _names(delivery.recipients) or _text(delivery.no_recipients),
        ],
    )
    yield _list(
        ["Closed", "Reason"],
        simulation.closed_clients,
        lambda closed: [_text(closed.client), _text(closed.reason)],
    )
    yield _list(
        ["Connection", "Permission"],
        simulation.permissions,
        lambda permission: [
            _text(permission.connection),
            f"{_text(permission.rule)} {_text(permission.group)}",
        ],
    )
    yield _list([simulation.absent_title], simulation.absent, lambda name: [_text(name)])


def _list(
    titles: Sequence[str], items: Sequence[_Item], row_of: Callable[[_Item], Sequence[str]]
) -> str:
    """Return a table of the first `MAX_LISTED` items and the number of others; "" for no items."""
    if not items:
        return ""
    more = len(items) - MAX_LISTED
    rest = f"\n… and {more:,} more\n" if more > 0 else ""
    return _table(titles, [row_of(item) for item in items[:MAX_LISTED]]) + rest


def _names(names: Sequence[str]) -> str:
    more = len(names) - MAX_LISTED
    rest = f" and {more:,} more" if more > 0 else ""
    return ", ".join(map(_text, names[:MAX_LISTED])) + rest


def _action(result: Result) -> str:
    name = f" ({_text(result.label)})" if result.label else ""
    earlier = " — earlier" if result.earlier is True else ""
    return f"{result.action_name} {_text(whole_target(result.target))}{name}{earlier}"


def _time(milliseconds: float) -> str:
    return f"{milliseconds:,.1f} ms"


def _table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, align_right: bool = False
) -> str:
    rule = "|".join("--:" if align_right else "---" for _ in titles)
    lines = [f"| {' | '.join(titles)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n" + "\n".join(lines) + "\n"


_SYNTAX = re.compile(r"([\\`*_{}\[\]()#!|~>@])")
"""Characters that have a meaning in Markdown or in GitHub's dialect of it."""


_CODE = re.compile(r"`([^`|<\\]+)`")


def _message(text: str) -> str:
    """Return a message on one line, cut and escaped, with what is in backticks as code."""
    parts = _CODE.split(_cut(text))
    return "".join(f"`{part}`" if index % 2 else _escape(part) for index, part in enumerate(parts))


def _text(text: str) -> str:
    """Return the text on one line, cut and escaped, so that it is shown literally."""
    return _escape(_cut(text))


def _cut(text: str) -> str:
    return replace_invisible(text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…")


def _escape(shown: str) -> str:
    escaped = _SYNTAX.sub(r"\\\1", shown.replace("&", "&amp;").replace("<", "&lt;"))
    return escaped.replace("://", ":\\/\\/").replace("www.", "www\\.")
