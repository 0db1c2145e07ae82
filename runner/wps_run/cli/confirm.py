"""Asking first: whether a person at the terminal means what cannot be taken back."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from wps_run.planning import Plan
from wps_run.problems import UsageError

if TYPE_CHECKING:
    from wps_run.connect.endpoint import Endpoint

CLOSES_ALL = "closeAllConnections"


def confirm(plans: Sequence[Plan], endpoint: "Callable[[Plan], Endpoint]") -> None:
    """Ask before every client of a hub is cut off, unless the hub is on this machine.

    Clients come back by themselves, so a `y` is enough. Where stdin or stderr is no terminal
    nothing is asked: a script means what it says.

    Args:
        plans: What is to be run. Its written actions are looked at, not their rows.
        endpoint: Where the actions of a plan go.

    Raises:
        UsageError: The answer was not yes.
    """
    closing: dict[str, int] = {}
    for plan in plans:
        number = sum(one.action.name == CLOSES_ALL for one in plan.playbook.actions)
        if number and not _is_local(endpoint(plan)):
            hub = f"hub `{plan.hub}` at {endpoint(plan).host}"
            closing[hub] = closing.get(hub, 0) + number
    if not closing or not _at_a_terminal():
        return
    for hub, number in closing.items():
        times = "1 action closes" if number == 1 else f"{number} actions close"
        click.echo(f"wps-run: {times} every connection of {hub}", err=True)
    click.echo("Go on? [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was sent; answer `y` to go on, or give --yes")


def _is_local(endpoint: "Endpoint") -> bool:
    """Whether the hub itself is on this machine; a proxy before it does not count."""
    return replace(endpoint, reverse_proxy="").is_loopback


def _at_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
