"""What a rehearsal shows, as a section of the HTML page; it needs no script."""

from collections.abc import Iterator, Sequence
from html import escape

from wps_run.report.simulation import Simulation
from wps_run.text import escape_controls

FEW = 8
"""So many names stand on the line itself; more are folded away below it."""


def outlook_section(outlook: Simulation) -> str:
    """Who is where, who heard what, who was closed, what is permitted: all of it."""
    return "".join(_section(outlook))


def _section(outlook: Simulation) -> Iterator[str]:
    clients = f"{outlook.clients:,} simulated {'client' if outlook.clients == 1 else 'clients'}"
    yield f"<section><h2>What would happen in hub {_text(outlook.hub)} ({clients})</h2>"
    yield from _part("Groups", (_listed(group, members) for group, members in outlook.groups))
    yield from _part("Messages", _messages(outlook))
    yield from _part("Closed", _closed(outlook))
    yield from _part("Permissions", _permissions(outlook))
    if outlook.absent:
        names = tuple(dict.fromkeys(outlook.absent))
        yield from _part("Not there", iter([_listed("who is named but was not", names)]))
    if outlook.fault_seed is not None:
        title = f"Faults (--fault-seed {outlook.fault_seed} brings them again)"
        yield from _part(
            title, (_listed(one.fault, [f"{one.count:,} struck"]) for one in outlook.struck)
        )
    yield "</section>\n"


def _part(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield f"<h3>{title}</h3>"
    yield "".join(lines) or "<p>none</p>"


def _messages(outlook: Simulation) -> Iterator[str]:
    """Each message with its listeners; those that many messages share are written once."""
    first: dict[tuple[str, ...], int] = {}
    for number, heard in enumerate(outlook.heard, start=1):
        title = f"{number}. {heard.shown} from {heard.origin}, heard by"
        before = first.setdefault(heard.listeners, number)
        if before == number or len(heard.listeners) <= FEW:
            yield _listed(title, heard.listeners, none="nobody")
        else:
            count = f"the same {len(heard.listeners):,} as message {before}"
            yield f"<p>{_text(title)} {count}</p>"


def _closed(outlook: Simulation) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for one in outlook.closed:
        by_reason.setdefault(one.reason, []).append(one.client)
    for reason, clients in by_reason.items():
        yield _listed(reason or "no reason given", clients)


def _permissions(outlook: Simulation) -> Iterator[str]:
    by_connection: dict[str, list[str]] = {}
    for one in outlook.permissions:
        verb = "may" if one.allowed else "may not"
        by_connection.setdefault(one.connection, []).append(f"{verb} {one.permission} {one.group}")
    for connection, rules in by_connection.items():
        yield _listed(connection, rules)


def _listed(title: str, names: Sequence[str], none: str = "nobody") -> str:
    if len(names) <= FEW:
        return f"<p>{_text(title)}: {', '.join(map(_text, names)) or none}</p>"
    return (
        f"<details><summary>{_text(title)}: {len(names):,}</summary>"
        f"<p>{', '.join(map(_text, names))}</p></details>"
    )


def _text(text: str) -> str:
    return f"<bdi>{escape(escape_controls(text))}</bdi>"
