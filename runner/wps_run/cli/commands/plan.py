"""`wps-run plan`: show each step and its request, without sending anything."""

import sys
from typing import Any

import click

from wps_run import checking, planning
from wps_run.cli.errors import show_warnings
from wps_run.cli.inputs import FILE, read_inputs
from wps_run.cli.options import note_empty_shard, overrides_from, run_options, settings_options
from wps_run.cli.terminal import columns_of
from wps_run.execution.run_info import Destination
from wps_run.report.plan import PlanTotals, WaitTracker, step_record, step_text
from wps_run.report.records import line

NO_HUB = "HUB"
"""The placeholder for a hub that only the settings of a run name."""


@click.command("plan")
@click.argument("playbooks", nargs=-1, type=FILE, metavar="PLAYBOOK…")
@settings_options
@run_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "ndjson"]),
    default="text",
    show_default=True,
    help="Print text for people, or one JSON object per line.",
)
def command(playbooks: tuple[str, ...], form: str, **options: Any) -> None:
    """Show each step and its request without sending anything.

    Also shows the start of each message, and which earlier steps each step waits for. Needs no
    setting; without a hub, the paths contain HUB.

    \b
    Example:
      wps-run plan playbooks/group-setup.yaml
    """
    inputs = read_inputs(playbooks)
    assigned = [name for name, _ in options["assignments"]]
    show_warnings(checking.find_run_warnings(inputs, assigned))
    plans = planning.plan(inputs, overrides_from(options), default_hub=NO_HUB)
    note_empty_shard(plans)
    if form == "text":
        click.echo(f"{planning.run_info(plans, Destination.PLAN)}\n")
    waits, totals = WaitTracker(), PlanTotals()
    columns = columns_of(sys.stdout) if sys.stdout.isatty() else None
    for plan in plans:
        for step in plan.steps():
            waits_for = waits.waits_of(step)
            totals.count(step, waits_for)
            if form == "text":
                click.echo(step_text(step, waits_for, columns), nl=False)
            else:
                click.echo(line(step_record(step, waits_for)), nl=False)
    if form == "text":
        click.echo(totals.as_text(), nl=False)
