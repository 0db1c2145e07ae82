"""Ask before a run, or before what it cannot undo is done to people whom it does not name."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from wps_run.cli.terminal import show_message
from wps_run.journal.resume import Resumption
from wps_run.planning import Plan
from wps_run.playbook.options import Confirmation
from wps_run.problems import UsageError
from wps_run.report.values import value_text
from wps_run.text import Label

if TYPE_CHECKING:
    from wps_run.connect.endpoint import Endpoint


def confirm(
    plans: Sequence[Plan],
    endpoint: "Callable[[Plan], Endpoint]",
    resumption: Resumption | None,
    rule: Confirmation,
) -> None:
    """Ask for confirmation before anything is sent to a hub that is not on this machine.

    Args:
        plans: The plans of the run. Their actions count, not the rows of these.
        endpoint: Returns the endpoint of a plan.
        resumption: What a resumed run does; actions that it does not run do not count.
        rule: What is confirmed.

    Raises:
        UsageError: The answer is not yes, or stdin or stderr is no terminal.
    """
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for plan in plans:
        if not _is_local(endpoint(plan)):
            for (what, unit), count in _effects(plan, resumption, rule).items():
                counts[what, unit, plan.hub, endpoint(plan).host] += count
    if not counts:
        return
    name = next((plan.environment_name for plan in plans), None)
    environment = f", environment {name}" if name else ""
    for (what, unit, hub, host), count in counts.items():
        units = f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"
        show_message(Label.WARNING, f"{what} on hub `{hub}` at {host}{environment} ({units})")
    if not _is_at_terminal():
        raise UsageError(
            "nothing was sent; this needs confirmation and there is no terminal to ask at, so "
            "add --yes"
        )
    click.echo("Continue? [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError("nothing was sent; answer `y` to continue, or use --yes")


def _effects(
    plan: Plan, resumption: Resumption | None, rule: Confirmation
) -> Counter[tuple[str, str]]:
    """Count what is confirmed by a rule; what needs most attention comes last."""
    if rule is Confirmation.NEVER:
        return Counter()
    effects = _destructive_effects(plan, resumption)
    whole = Counter({("run", "action"): _steps(plan, resumption)})
    return whole + effects if rule is Confirmation.ALWAYS else effects


def _steps(plan: Plan, resumption: Resumption | None) -> int:
    """Return how many actions a run, or what is left of it, sends."""
    if resumption is None:
        return plan.total
    return sum(resumption.runs(step) for step in plan.steps())


def _destructive_effects(plan: Plan, resumption: Resumption | None) -> Counter[tuple[str, str]]:
    """Count what needs confirmation: the actions that close, and whom a `prune` removes.

    Returns:
        What is done, and the unit in which it is counted, to the count.
    """
    actions = {
        number: item
        for number, item in enumerate(plan.playbook.actions)
        if (item.action.is_destructive or item.prunes) and number not in plan.left_out
    }
    if (
        resumption is None
        and not plan.selection.is_by_index
        and not any(item.prunes for item in actions.values())
    ):
        return Counter((item.action.name, "action") for item in actions.values())
    effects: Counter[tuple[str, str]] = Counter()
    closing: set[int] = set()
    for step in plan.steps():
        item = actions.get(step.action_index)
        if item is None or (resumption is not None and not resumption.runs(step)):
            continue
        if item.prunes:
            effects[f"prune of group `{value_text(step.target['group'])}`", "connection"] += 1
        elif step.action_index not in closing:
            closing.add(step.action_index)
            effects[item.action.name, "action"] += 1
    return effects


def _is_local(endpoint: "Endpoint") -> bool:
    """Whether the hub itself is on this machine, not only a proxy before it."""
    return replace(endpoint, reverse_proxy="").is_loopback


def _is_at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
