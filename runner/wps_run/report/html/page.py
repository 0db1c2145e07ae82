"""A report as one HTML page that loads nothing from elsewhere and can be read without a script.

It is made with `string.Template` and `html.escape`: the page has a dozen places to fill in, and two
long lists that are written row by row, which a template engine would hold in memory.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from wps_run.execution.result import Status
from wps_run.execution.run_info import Destination
from wps_run.report.html.rows import ListedResults, data, plain_tables
from wps_run.report.run_report import RunReport
from wps_run.report.simulation import Simulation
from wps_run.report.statistics import FailureGroup, RunStatistics, statistics_of
from wps_run.text import escape_controls


def page(report: RunReport) -> Iterator[str]:
    """Yield the page in pieces.

    Its content security policy allows only its own style and script, by their hashes. Without
    JavaScript it shows plain tables of all actions.
    """
    listed = ListedResults(report)
    template = _filled_template(report, listed, statistics_of(report.results))
    head, rest = template.split("<!-- rows -->")
    middle, tail = rest.split("<!-- data -->")
    yield head
    yield from plain_tables(listed)
    yield middle
    yield from data(listed)
    yield tail


@cache
def _asset(name: str) -> str:
    return files("wps_run.report.html").joinpath("assets", name).read_text("utf-8")


@cache
def _script() -> str:
    return _asset("report.js") + _asset("timeline.js")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _filled_template(report: RunReport, listed: ListedResults, statistics: RunStatistics) -> str:
    run_info = report.run_info
    playbooks = ", ".join(run_info.playbooks)
    style, script = _asset("report.css"), _script()
    where = {
        Destination.LOCAL: "rehearsal: nothing left the machine",
        Destination.PLAN: "nothing is sent",
        Destination.SERVICE: ", ".join(run_info.endpoints),
    }[run_info.destination]
    simulations = "".join(
        piece for each in report.simulations for piece in _simulation_section(each)
    )
    return Template(_asset("report.html")).substitute(
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        title=_text(f"{playbooks} · {run_info.destination} · wps-run"),
        destination=_text(run_info.destination),
        destination_class=run_info.destination.lower(),
        where=_text(where),
        playbooks=_text(playbooks),
        facts=_facts(report),
        unfinished=_unfinished(report),
        counts=_counts(report, statistics),
        times=_times(report),
        failures=_failures(statistics),
        left_out=_left_out(listed),
        simulations=simulations,
    )


def _text(text: str) -> str:
    return escape(escape_controls(text))


def _isolated(text: str) -> str:
    """Return the text isolated, so that a direction mark in it has no effect on others."""
    return f"<bdi>{_text(text)}</bdi>"


def _facts(report: RunReport) -> str:
    run_info = report.run_info
    facts = (
        f"hub {', '.join(run_info.hubs)}",
        run_info.pace,
        f"started {report.started}",
        f"exit code {report.summary.exit_code}",
    )
    return " · ".join(map(_isolated, facts))


def _unfinished(report: RunReport) -> str:
    if report.is_finished:
        return ""
    return (
        '<p class="notice">The run did not end. Actions that may have happened count as unknown, '
        "those that were not done as skipped; neither are listed below.</p>"
    )


def _counts(report: RunReport, statistics: RunStatistics) -> str:
    summary = report.summary
    cards = [_card("actions", f"{summary.total:,}")]
    for status in Status:
        count = summary.counts[status]
        cards.append(_card(status, f"{count:,}", status if count else "none"))
    if summary.earlier:
        cards.append(_card("done earlier", f"{summary.earlier:,}"))
    if statistics.retried:
        cards.append(_card("retried", f"{statistics.retried:,}"))
    if statistics.throttled:
        cards.append(_card("throttled", f"{statistics.throttled:,}"))
    return "".join(cards)


def _times(report: RunReport) -> str:
    summary, latency = report.summary, report.summary.latency
    cards = [_card("time", f"{summary.duration:,.2f} s")]
    cards.append(_card("actions per second", f"{summary.per_second:,.1f}"))
    if latency.count:
        for title, percent in (("median (p50)", 50), ("p90", 90), ("p99", 99)):
            cards.append(_card(title, _milliseconds(latency.percentile(percent))))
        cards.append(_card("slowest", _milliseconds(latency.longest_ms)))
    return "".join(cards)


def _card(title: str, value: str, css_class: str = "") -> str:
    return f'<li><span>{title}</span><strong class="{css_class}">{value}</strong></li>'


def _milliseconds(number: float) -> str:
    return f"{number:,.1f} ms"


def _failures(statistics: RunStatistics) -> str:
    if not statistics.groups:
        return ""
    more = f"<p>… and {statistics.ungrouped:,} more, of other kinds.</p>"
    titles = "".join(f'<th scope="col">{title}</th>' for title in ("Status", "Why", "What to do"))
    return (
        '<section aria-labelledby="failures-title"><h2 id="failures-title">What was not ok</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Kinds of failures"><table>'
        f'<thead><tr><th scope="col" class="number">Actions</th>{titles}</tr></thead>'
        f"<tbody>{''.join(map(_failure_row, statistics.groups))}</tbody></table></div>"
        f"{more if statistics.ungrouped else ''}</section>\n"
    )


def _failure_row(group: FailureGroup) -> str:
    error = group.example.error
    message = error.message if error else ""
    return (
        f'<tr><td class="number">{group.count:,}</td>'
        f'<td><span class="status {group.status}">{group.status}</span></td>'
        f'<td class="why">{_isolated(group.code)}'
        f'<bdi class="label clip">{_text(message)}</bdi></td>'
        f'<td class="why">{_isolated(group.hint)}</td></tr>'
    )


def _left_out(listed: ListedResults) -> str:
    if not listed.left_out:
        return ""
    return (
        f'<p class="notice">This page lists {listed.count:,} actions, those that are not ok '
        f"first, and leaves out {listed.left_out:,}. A .ndjson or .json report has all.</p>"
    )


MAX_INLINE = 8
"""The most names on the line itself; longer lists can be unfolded below it."""


def _simulation_section(simulation: Simulation) -> Iterator[str]:
    """Yield the section in pieces: everything in full."""
    title = f"What would happen in hub {_isolated(simulation.hub)} ({simulation.clients_text})"
    yield f"<section><h2>{title}</h2>"
    yield from _simulation_part(
        "Groups", (_list(group, members) for group, members in simulation.groups.items())
    )
    yield from _simulation_part("Messages", _messages(simulation))
    yield from _simulation_part("Closed", _closed(simulation))
    yield from _simulation_part("Permissions", _permissions(simulation))
    if simulation.absent:
        names = tuple(dict.fromkeys(simulation.absent))
        yield from _simulation_part("Absent", iter([_list("users and connections", names)]))
    if simulation.fault_seed is not None:
        hits = (_list(each.fault, [f"affected {each.count:,}"]) for each in simulation.fault_hits)
        yield from _simulation_part(simulation.faults_title, hits)
    yield "</section>\n"


def _simulation_part(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield f"<h3>{title}</h3>"
    yield "".join(lines) or "<p>none</p>"


def _messages(simulation: Simulation) -> Iterator[str]:
    """Yield each message with its recipients; a list that several messages share only once."""
    first_numbers: dict[tuple[str, ...], int] = {}
    for number, delivery in enumerate(simulation.deliveries, start=1):
        title = f"{number}. {delivery.label} from {delivery.origin}, received by"
        recipients = delivery.recipients
        first = first_numbers.setdefault(recipients, number)
        if first == number or len(recipients) <= MAX_INLINE:
            yield _list(title, recipients)
        else:
            yield f"<p>{_isolated(title)} the same {len(recipients):,} as message {first}</p>"


def _closed(simulation: Simulation) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for closed in simulation.closed_clients:
        by_reason.setdefault(closed.reason, []).append(closed.client)
    for reason, clients in by_reason.items():
        yield _list(reason or "no reason given", clients)


def _permissions(simulation: Simulation) -> Iterator[str]:
    by_connection: dict[str, list[str]] = {}
    for permission in simulation.permissions:
        rule = f"{permission.rule} {permission.group}"
        by_connection.setdefault(permission.connection, []).append(rule)
    for connection, rules in by_connection.items():
        yield _list(connection, rules)


def _list(title: str, names: Sequence[str]) -> str:
    if len(names) <= MAX_INLINE:
        return f"<p>{_isolated(title)}: {', '.join(map(_isolated, names)) or 'nobody'}</p>"
    return (
        f"<details><summary>{_isolated(title)}: {len(names):,}</summary>"
        f"<p>{', '.join(map(_isolated, names))}</p></details>"
    )
