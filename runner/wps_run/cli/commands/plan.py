"""`wps-run plan`: each step, its request and what it waits for; nothing is sent."""

from typing import Any

import click

from wps_run import checking, planning
from wps_run.cli.errors import show_warnings
from wps_run.cli.inputs import read_inputs
from wps_run.cli.options import note_empty_shard, overrides_from, run_options
from wps_run.execution.run_info import Destination
from wps_run.report.plan import WaitTracker, step_record, step_text
from wps_run.report.records import line

NO_HUB = "HUB"
"""Stands in a plan's paths for a hub that is named only at run time."""


@click.command("plan")
@click.argument("playbooks", nargs=-1, metavar="PLAYBOOK…")
@run_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "ndjson"]),
    default="text",
    show_default=True,
    help="For people, or a record a line.",
)
def command(playbooks: tuple[str, ...], form: str, **options: Any) -> None:
    """Show each step of PLAYBOOK… with its request and what it waits for.

    Nothing is sent and no setting is needed. Without a hub, HUB stands in the paths.

    \b
    Example:
      wps-run plan playbooks/group-setup.yaml
    """
    read = read_inputs(playbooks)
    show_warnings(checking.find_run_warnings(read, [name for name, _ in options["assignments"]]))
    plans = planning.plan(read, overrides_from(options), default_hub=NO_HUB)
    note_empty_shard(plans)
    if form == "text":
        click.echo(f"{planning.run_info(plans, Destination.PLAN)}\n")
    waits = WaitTracker()
    for plan in plans:
        for step in plan.steps():
            before = waits.waits_of(step)
            if form == "text":
                click.echo(step_text(step, before), nl=False)
            else:
                click.echo(line(step_record(step, before)), nl=False)
