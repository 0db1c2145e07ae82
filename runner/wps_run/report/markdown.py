"""A report in Markdown, as GitHub shows it in a job summary: totals, failures, slowest actions."""

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

MAX_FAILURES = 50
"""The most failures that are listed; the others are counted by group."""

MAX_SLOWEST = 5
"""The most slow actions that are listed."""

MAX_LISTED = 20
"""The most groups, messages and names of a rehearsal that are listed."""

MAX_LENGTH = 200
"""Characters. Longer texts are cut, so that the report stays far below GitHub's limit of 1 MiB."""

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
    yield from _slowest(statistics)
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
        f"## {icon} {playbooks}\n\n**{_text(destination)}**{run_info.share} · hub {hubs}"
        f" · {_text(run_info.pace)} · {report.started} · exit code {exit_code}\n"
    )


def _totals(summary: Summary, statistics: RunStatistics) -> str:
    titles = ["Actions", *(f"{_ICONS[status]} {status}" for status in Status), "Time", "Per second"]
    cells = [f"{summary.total:,}", *(f"{summary.counts[status]:,}" for status in Status)]
    cells += [f"{summary.duration:.2f} s", f"{summary.per_second:,.1f}"]
    if summary.latency.count:
        titles += ["p50", "p90", "p99", "max"]
        cells += [_time(summary.latency.percentile(percent)) for percent in (50, 90, 99)]
        cells.append(_time(summary.latency.most))
    table = _table(titles, [cells], align_right=True)
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
    return _text(group.hint or message)


def _failures(statistics: RunStatistics, summary: Summary) -> Iterator[str]:
    if not statistics.failures:
        return
    rows = [
        [
            f"{result.index}",
            f"{_ICONS[result.status]} {_action(result)}",
            _text(result.source),
            f"{result.http_status or ''}",
            _text(result.error.message if result.error else ""),
        ]
        for result in statistics.failures
    ]
    yield "\n### Failures\n" + _table(["#", "Action", "Source", "HTTP", "Message"], rows)
    more = summary.counts[Status.FAILED] + summary.counts[Status.UNKNOWN] - len(rows)
    if more > 0:
        yield f"\n… and {more:,} more.\n"


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
    groups = [[_text(group), _names(members)] for group, members in simulation.groups]
    yield _list(["Group", "Members"], groups)
    messages = [
        [_text(delivery.origin), _text(delivery.label), _names(delivery.recipients)]
        for delivery in simulation.deliveries
    ]
    yield _list(["From", "Message", "Received by"], messages)
    closed = [[_text(each.client), _text(each.reason)] for each in simulation.closed_clients]
    yield _list(["Closed", "Reason"], closed)
    permissions = [
        [_text(each.connection), f"{_text(each.rule)} {_text(each.group)}"]
        for each in simulation.permissions
    ]
    yield _list(["Connection", "Permission"], permissions)


def _list(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of the first `MAX_LISTED` rows and the number of others; "" for no rows."""
    if not rows:
        return ""
    more = len(rows) - MAX_LISTED
    rest = f"\n… and {more:,} more\n" if more > 0 else ""
    return _table(titles, rows[:MAX_LISTED]) + rest


def _names(names: Sequence[str]) -> str:
    more = len(names) - MAX_LISTED
    rest = f" and {more:,} more" if more > 0 else ""
    return (", ".join(map(_text, names[:MAX_LISTED])) or "nobody") + rest


def _action(result: Record) -> str:
    name = f" ({_text(result.name)})" if result.name else ""
    return f"{result.action_name} {_text(whole_target(result.target))}{name}"


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


def _text(text: str) -> str:
    """Return the text on one line, cut and escaped, so that it is shown literally."""
    line = replace_invisible(text)
    shown = line if len(line) <= MAX_LENGTH else line[: MAX_LENGTH - 1] + "…"
    escaped = _SYNTAX.sub(r"\\\1", shown.replace("&", "&amp;").replace("<", "&lt;"))
    return escaped.replace("://", ":\\/\\/").replace("www.", "www\\.")
