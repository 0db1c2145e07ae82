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

from wps_run.execution.result import ExpectationResult, Status
from wps_run.execution.run_info import Destination
from wps_run.report.html.rows import ListedResults, data, plain_tables, with_code
from wps_run.report.run_report import RunReport
from wps_run.report.simulation import NO_CLIENT, Simulation
from wps_run.report.statistics import FailureGroup, RunStatistics, statistics_of
from wps_run.report.values import whole_target
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
        piece
        for number, each in enumerate(report.simulations)
        for piece in _simulation_section(each, each.scope_note if number == 0 else "")
    )
    return Template(_asset("report.html")).substitute(
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        title=_text(f"{report.verdict} · {playbooks} · {run_info.destination} · wps-run"),
        verdict=report.verdict,
        verdict_status=report.verdict_status,
        destination=_text(f"{run_info.destination}{run_info.part_suffix}"),
        destination_class=run_info.destination.lower(),
        where=_isolated(where),
        hubs=_isolated(f"hub {', '.join(run_info.hubs)}"),
        playbooks=_text(playbooks),
        facts=_facts(report),
        unfinished=_unfinished(report),
        counts=_counts(report, statistics, listed),
        times=_times(report),
        failures=_failures(statistics, listed) + _expectations(report),
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


def _counts(report: RunReport, statistics: RunStatistics, listed: ListedResults) -> str:
    """Return a card for each count; it links to the actions counted, as far as there are any."""
    summary = report.summary
    cards = [_card("actions", f"{summary.total:,}", link="status=all" if listed.count else "")]
    for status in Status:
        count = summary.counts[status]
        link = f"status={status}" if status in listed.statuses else ""
        cards.append(_card(status, f"{count:,}", status if count else "none", link))
    if summary.expectations.total():
        held, total = summary.expectations[Status.OK], summary.expectations.total()
        cards.append(_card("expectations ok", f"{held:,} of {total:,}"))
    if summary.earlier:
        cards.append(_card("done earlier", f"{summary.earlier:,}", link="only=earlier"))
    if statistics.retried:
        cards.append(_card("retried", f"{statistics.retried:,}", link="only=retried"))
    if statistics.throttled:
        title = "429/503 responses"
        cards.append(_card(title, f"{statistics.throttled:,}", link="only=throttled"))
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


def _card(title: str, value: str, css_class: str = "", link: str = "") -> str:
    content = f'<span>{title}</span><strong class="{css_class}">{value}</strong>'
    return (
        f'<li><a class="rows" href="#{link}">{content}</a></li>' if link else f"<li>{content}</li>"
    )


def _milliseconds(number: float) -> str:
    return f"{number:,.1f} ms"


def _failures(statistics: RunStatistics, listed: ListedResults) -> str:
    """Return the section with the kinds of failures: identical ones together."""
    if not statistics.groups:
        return ""
    more = f"<p>… and {statistics.ungrouped:,} more, of other kinds.</p>"
    titles = "".join(f'<th scope="col">{title}</th>' for title in ("Status", "Why", "What to do"))
    rows = "".join(_failure_row(group, listed) for group in statistics.groups)
    return (
        '<section aria-labelledby="failures-title"><h2 id="failures-title">What was not ok</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Kinds of failures"><table>'
        f'<thead><tr><th scope="col" class="number">Actions</th>{titles}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{more if statistics.ungrouped else ''}</section>\n"
    )


def _expectations(report: RunReport) -> str:
    """Return the section with the expectations, those that are not ok first."""
    if not report.expectations:
        return ""
    titles = "".join(f'<th scope="col">{title}</th>' for title in ("Status", "Expectation", "Why"))
    listed = sorted(report.expectations, key=lambda result: result.status is Status.OK)
    return (
        '<section aria-labelledby="expectations-title">'
        '<h2 id="expectations-title">Expectations</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Expectations"><table>'
        f"<thead><tr>{titles}</tr></thead>"
        f"<tbody>{''.join(map(_expectation_row, listed))}</tbody></table></div></section>\n"
    )


def _expectation_row(result: ExpectationResult) -> str:
    error, why = result.error, ""
    if error:
        message, hint = with_code(_text(error.message)), with_code(_isolated(error.hint))
        why = f'{_isolated(error.code)}<bdi class="label">{message}</bdi>'
        why += f'<span class="label">{hint}</span>' if error.hint else ""
    return (
        f'<tr><td><span class="status {result.status}">{result.status}</span></td>'
        f'<td class="why">{_isolated(result.statement)}'
        f'<span class="label">{_isolated(result.source)}</span></td>'
        f'<td class="why">{why}</td></tr>'
    )


def _failure_row(group: FailureGroup, listed: ListedResults) -> str:
    example = group.example
    message = example.error.message if example.error else ""
    count = f"{group.count:,}"
    if group.status in listed.statuses:
        count = f'<a class="rows" href="#like={example.index}">{count}</a>'
    first = f"{example.action_name} {whole_target(example.target)}".strip()
    position = f"{'first: ' if group.count > 1 else ''}#{example.index} "
    return (
        f'<tr><td class="number">{count}</td>'
        f'<td><span class="status {group.status}">{group.status}</span></td>'
        f'<td class="why">{_isolated(group.code)}'
        f'<bdi class="label clip">{with_code(_text(message))}</bdi>'
        f'<span class="label clip">{position}{_isolated(first)}'
        f" · {_isolated(example.source)}</span>"
        f'</td><td class="why">{with_code(_isolated(group.hint))}</td></tr>'
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


MAX_LINES = 20
"""The most lines of a part of a simulation that are shown; the others can be unfolded."""


def _simulation_section(simulation: Simulation, note: str) -> Iterator[str]:
    """Yield the section in pieces: everything in full."""
    title = f"What would happen in hub {_isolated(simulation.hub)} ({simulation.clients_text})"
    yield f"<section><h2>{title}</h2>{f'<p>{with_code(note)}</p>' if note else ''}"
    groups = [_list(group, members) for group, members in simulation.groups.items()]
    yield _simulation_part("Groups", groups, NO_CLIENT)
    yield _simulation_part("Messages", [*_messages(simulation)])
    yield _simulation_part("Closed", [*_closed(simulation)], NO_CLIENT)
    yield _simulation_part("Permissions", [*_permissions(simulation)])
    if simulation.absent:
        names = tuple(dict.fromkeys(simulation.absent))
        yield _simulation_part(simulation.absent_title, [_list("users and connections", names)])
    if simulation.fault_seed is not None:
        hits = [_list(each.fault, [f"affected {each.count:,}"]) for each in simulation.fault_hits]
        yield _simulation_part(simulation.faults_title, hits)
    yield "</section>\n"


def _simulation_part(title: str, lines: Sequence[str], empty: str = "none") -> str:
    shown = "".join(lines[:MAX_LINES]) or f"<p>{empty}</p>"
    more = len(lines) - MAX_LINES
    if more > 0:
        rest = "".join(lines[MAX_LINES:])
        shown += f"<details><summary>… and {more:,} more</summary>{rest}</details>"
    return f"<h3>{title}</h3>{shown}"


def _messages(simulation: Simulation) -> Iterator[str]:
    """Yield each message with its recipients; a list that several messages share only once."""
    first_numbers: dict[tuple[str, ...], int] = {}
    for number, delivery in enumerate(simulation.deliveries, start=1):
        title = f"{number}. {delivery.label} from {delivery.origin}"
        recipients = delivery.recipients
        if not recipients:
            yield f"<p>{_isolated(title)}: {_isolated(delivery.no_recipients)}</p>"
            continue
        title += ", received by"
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
        return f"<p>{_isolated(title)}: {', '.join(map(_isolated, names))}</p>"
    return (
        f"<details><summary>{_isolated(title)}: {len(names):,}</summary>"
        f"<p>{', '.join(map(_isolated, names))}</p></details>"
    )
