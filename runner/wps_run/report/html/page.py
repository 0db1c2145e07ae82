"""A run as one HTML page that needs nothing else: no network, and no script to be read.

Made with `string.Template` and `html.escape`: the page has a dozen places to fill, and two long
lists that are written row by row, which a template language would only hold in memory.
"""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from wps_run.execution.result import Status
from wps_run.execution.run_info import Destination
from wps_run.report.html.rows import Rows, data, plain_tables
from wps_run.report.html.simulation import outlook_section
from wps_run.report.run_report import RunReport
from wps_run.report.statistics import FailureGroup, RunStatistics, statistics_of
from wps_run.text import escape_controls


def page(account: RunReport) -> Iterator[str]:
    """The page, piece by piece.

    Its content security policy allows the one style and the one script in it, by their hashes,
    and nothing from elsewhere. Without JavaScript it shows a plain table of all actions.
    """
    rows = Rows(account)
    found = statistics_of(account.records)
    parts = _filled(account, rows, found)
    head, rest = parts.split("<!-- rows -->")
    middle, tail = rest.split("<!-- data -->")
    yield head
    yield from plain_tables(rows)
    yield middle
    yield from data(rows)
    yield tail


@cache
def _asset(name: str) -> str:
    return files("wps_run.report.html").joinpath("assets", name).read_text("utf-8")


@cache
def _script() -> str:
    return _asset("report.js") + _asset("timeline.js")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _filled(account: RunReport, rows: Rows, found: RunStatistics) -> str:
    heading = account.heading
    playbooks = ", ".join(heading.playbooks)
    style, script = _asset("report.css"), _script()
    where = {
        Destination.LOCAL: "rehearsal: nothing left the machine",
        Destination.PLAN: "nothing is sent",
        Destination.SERVICE: ", ".join(heading.endpoints),
    }[heading.destination]
    return Template(_asset("report.html")).substitute(
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        title=_text(f"{playbooks} · {heading.destination} · wps-run"),
        destination=_text(heading.destination),
        destination_class=heading.destination.lower(),
        where=_text(where),
        playbooks=_text(playbooks),
        facts=_facts(account),
        notice=_notice(account),
        cards=_cards(account, found),
        times=_times(account),
        trouble=_trouble(found),
        cut=_cut(rows),
        outlooks="".join(map(outlook_section, account.outlooks)),
    )


def _text(text: str) -> str:
    """The text, isolated, so that direction marks in it leave what stands beside it alone."""
    return escape(escape_controls(text))


def _facts(account: RunReport) -> str:
    heading, code = account.heading, account.summary.exit_code
    hubs = ", ".join(heading.hubs)
    return " · ".join(
        f"<bdi>{_text(fact)}</bdi>"
        for fact in (f"hub {hubs}", heading.pace, f"began {account.began}", f"exit code {code}")
    )


def _notice(account: RunReport) -> str:
    if account.finished:
        return ""
    return (
        '<p class="notice">The run was broken off. What may have happened counts as unknown, '
        "what was not done as skipped; neither is listed below.</p>"
    )


def _cards(account: RunReport, found: RunStatistics) -> str:
    summary = account.summary
    cards = [_card("actions", f"{summary.total:,}")]
    for status in Status:
        number = summary.counts[status]
        cards.append(_card(status, f"{number:,}", status if number else "none"))
    if found.retried:
        cards.append(_card("retried", f"{found.retried:,}"))
    if found.throttled:
        cards.append(_card("throttled", f"{found.throttled:,}"))
    return "".join(cards)


def _times(account: RunReport) -> str:
    summary, latency = account.summary, account.summary.latency
    cards = [_card("time", f"{summary.duration:,.2f} s")]
    cards.append(_card("actions a second", f"{summary.per_second:,.1f}"))
    if latency.count:
        for title, percent in (("median (p50)", 50), ("p90", 90), ("p99", 99)):
            cards.append(_card(title, _milliseconds(latency.percentile(percent))))
        cards.append(_card("slowest", _milliseconds(latency.most)))
    return "".join(cards)


def _card(title: str, value: str, style: str = "") -> str:
    return f'<li><span>{title}</span><strong class="{style}">{value}</strong></li>'


def _milliseconds(number: float) -> str:
    return f"{number:,.1f} ms"


def _trouble(found: RunStatistics) -> str:
    if not found.kinds:
        return ""
    more = f"<p>… and {found.others:,} more, of other kinds.</p>" if found.others else ""
    heads = "".join(f'<th scope="col">{title}</th>' for title in ("Status", "Why", "What to do"))
    return (
        '<section aria-labelledby="trouble-title"><h2 id="trouble-title">What was not ok</h2>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Kinds of trouble"><table>'
        f'<thead><tr><th scope="col" class="number">Actions</th>{heads}</tr></thead>'
        f"<tbody>{''.join(map(_kind, found.kinds))}</tbody></table></div>{more}</section>\n"
    )


def _kind(kind: FailureGroup) -> str:
    fault = kind.example.error
    message = fault.message if fault else ""
    return (
        f'<tr><td class="number">{kind.count:,}</td>'
        f'<td><span class="status {kind.status}">{kind.status}</span></td>'
        f'<td class="why"><bdi>{_text(kind.code)}</bdi>'
        f'<bdi class="label clip">{_text(message)}</bdi></td>'
        f'<td class="why"><bdi>{_text(kind.hint)}</bdi></td></tr>'
    )


def _cut(rows: Rows) -> str:
    if not rows.left_out:
        return ""
    return (
        f'<p class="notice">This page lists {rows.listed:,} actions, those that are not ok before '
        f"those that are, and leaves out {rows.left_out:,}. A .ndjson or .json report has all.</p>"
    )
