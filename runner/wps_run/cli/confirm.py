"""Ask a person at the terminal to confirm actions that close every connection of a hub."""

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
    """Ask for confirmation if a plan closes every connection of a hub.

    Does not ask for a hub on this machine, nor where stdin or stderr is no terminal.

    Args:
        plans: The plans of the run. Their actions count, not the rows of these.
        endpoint: Returns the endpoint of a plan.

    Raises:
        UsageError: The answer is not yes.
    """
    closing: dict[str, int] = {}
    for plan in plans:
        count = sum(item.action.name == CLOSES_ALL for item in plan.playbook.actions)
        if count and not _is_local(endpoint(plan)):
            hub = f"hub `{plan.hub}` at {endpoint(plan).host}"
            closing[hub] = closing.get(hub, 0) + count
    if not closing or not _is_at_terminal():
        return
    for hub, count in closing.items():
        actions = "1 action closes" if count == 1 else f"{count} actions close"
        click.echo(f"wps-run: {actions} every connection of {hub}", err=True)
    click.echo("Continue? [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was sent; answer `y` to continue, or use --yes")


def _is_local(endpoint: "Endpoint") -> bool:
    """Whether the hub itself is on this machine, not only a proxy before it."""
    return replace(endpoint, reverse_proxy="").is_loopback


def _is_at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
