"""The result of a rehearsal as a section of the HTML page; it needs no script."""

from collections.abc import Iterator, Sequence
from html import escape

from wps_run.report.simulation import Simulation
from wps_run.text import escape_controls

MAX_INLINE = 8
"""The most names on the line itself; longer lists can be unfolded below it."""


def simulation_section(simulation: Simulation) -> Iterator[str]:
    """Yield the section in pieces: everything in full."""
    title = f"What would happen in hub {_text(simulation.hub)} ({simulation.clients_text})"
    yield f"<section><h2>{title}</h2>"
    yield from _part(
        "Groups", (_list(group, members) for group, members in simulation.groups.items())
    )
    yield from _part("Messages", _messages(simulation))
    yield from _part("Closed", _closed(simulation))
    yield from _part("Permissions", _permissions(simulation))
    if simulation.absent:
        names = tuple(dict.fromkeys(simulation.absent))
        yield from _part("Absent", iter([_list("users and connections", names)]))
    if simulation.fault_seed is not None:
        hits = (_list(each.fault, [f"affected {each.count:,}"]) for each in simulation.fault_hits)
        yield from _part(simulation.faults_title, hits)
    yield "</section>\n"


def _part(title: str, lines: Iterator[str]) -> Iterator[str]:
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
            yield f"<p>{_text(title)} the same {len(recipients):,} as message {first}</p>"


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
        return f"<p>{_text(title)}: {', '.join(map(_text, names)) or 'nobody'}</p>"
    return (
        f"<details><summary>{_text(title)}: {len(names):,}</summary>"
        f"<p>{', '.join(map(_text, names))}</p></details>"
    )


def _text(text: str) -> str:
    return f"<bdi>{escape(escape_controls(text))}</bdi>"
