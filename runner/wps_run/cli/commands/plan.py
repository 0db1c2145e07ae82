"""`wps-run plan`: show each step and its request, without sending anything."""

import sys
from collections.abc import Iterable, Sequence
from heapq import merge
from operator import attrgetter
from typing import Any

import click

from wps_run import planning
from wps_run.cli.configuration import FILE, override_option
from wps_run.cli.inputs import (
    dry_run_option,
    read_inputs,
)
from wps_run.cli.options import (
    ca_bundle_option,
    gateway_options,
    overrides_from,
    run_options,
    settings_options,
)
from wps_run.cli.plans import make_plans
from wps_run.cli.terminal import columns_of
from wps_run.execution.run_info import Destination
from wps_run.planning import Plan
from wps_run.playbook.live import LiveGroups
from wps_run.playbook.options import CONNECTION
from wps_run.playbook.steps import Step, UnreadAction
from wps_run.report.plan import (
    PlanTotals,
    WaitTracker,
    expectation_record,
    expectations_text,
    step_record,
    step_text,
    unread_record,
    unread_text,
)
from wps_run.report.records import line
from wps_run.text import wrap_lines

NO_HUB = "HUB"
"""The placeholder for a hub that only the settings of a run name."""


@click.command("plan")
@click.argument("playbooks", nargs=-1, type=FILE, metavar="PLAYBOOK…")
@dry_run_option
@click.option(
    "--live",
    is_flag=True,
    help="Read the live groups that rows come from, and show the steps of these rows. Needs the "
    "settings of a run.",
)
@override_option(CONNECTION, [CONNECTION.key])
@settings_options
@gateway_options
@ca_bundle_option
@run_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "ndjson"]),
    default="text",
    show_default=True,
    help="Print text for people, or one JSON object per line.",
)
def command(playbooks: tuple[str, ...], form: str, *, live: bool, **options: Any) -> None:
    """Show each step and its request without sending anything.

    Also shows the start of each message, and which earlier steps each step waits for. Needs no
    setting; without a hub, the paths contain HUB. Rows from live groups (`forEach: {group: …}`, and
    `prune`) have steps only with --live, which reads the groups.

    \b
    Examples:
      wps-run plan playbooks/group-setup.yaml
      wps-run plan --live --hub chat playbook.yaml
    """

    def read_live(plans: Sequence[Plan]) -> Sequence[LiveGroups]:
        from wps_run.cli.service import ServiceAccess  # noqa: PLC0415 -- it loads aiohttp

        return ServiceAccess.of(options).live_groups(plans)

    plans = make_plans(
        read_inputs(playbooks),
        overrides_from(options),
        [name for name, _ in options["assignments"]],
        default_hub="" if live else NO_HUB,
        read_live=read_live if live else None,
    )
    columns = columns_of(sys.stdout) if sys.stdout.isatty() else None
    if form == "text":
        heading = f"{planning.run_info(plans, Destination.PLAN)}\n"
        click.echo(wrap_lines(heading, columns, " " * 8))
    waits, totals = WaitTracker(), PlanTotals()
    for plan in plans:
        entries: tuple[Iterable[Step | UnreadAction], ...] = (plan.steps(), plan.unread)
        for step in merge(*entries, key=attrgetter("action_index")):
            if isinstance(step, UnreadAction):
                totals.count_unread()
                click.echo(
                    unread_text(step, columns) if form == "text" else line(unread_record(step)),
                    nl=False,
                )
                continue
            waits_for = waits.waits_of(step)
            totals.count(step, waits_for)
            if form == "text":
                click.echo(step_text(step, waits_for, columns), nl=False)
            else:
                click.echo(line(step_record(step, waits_for)), nl=False)
    expectations = [each for plan in plans for each in plan.expectations]
    if form == "text":
        click.echo(f"{expectations_text(expectations)}{totals.as_text(columns)}", nl=False)
    else:
        click.echo("".join(line(expectation_record(each)) for each in expectations), nl=False)
