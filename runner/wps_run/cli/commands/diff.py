"""`wps-run diff`: show what a run would change on the live service."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing, nullcontext
from functools import partial
from typing import Any

import click

from wps_run import planning, reading
from wps_run.cli.configuration import FILE, configured, override_option
from wps_run.cli.inputs import (
    read_inputs,
)
from wps_run.cli.logs import log_options, logging_to_stderr
from wps_run.cli.options import (
    ca_bundle_option,
    gateway_options,
    overrides_from,
    records_option,
    rehearsal_arguments,
    run_options,
    seed_option,
    settings_options,
)
from wps_run.cli.plans import make_plans
from wps_run.cli.service import ServiceAccess
from wps_run.cli.terminal import columns_of, styler_for, use_utf8_stdout
from wps_run.emulator.seed import SeedClient
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.format import encode_text
from wps_run.planning import Plan
from wps_run.playbook.options import CONNECTION
from wps_run.problems import UsageError
from wps_run.reading import OpenSource, simulated_live
from wps_run.report.changes import ChangeReport, change_record
from wps_run.running import rehearsal
from wps_run.text import wrap_lines

EXIT_CHANGES = 1
"""The exit code when a run would change something."""


@click.command("diff")
@click.argument("playbooks", nargs=-1, type=FILE, metavar="PLAYBOOK…")
@click.option(
    "--local", is_flag=True, help="Compare with the people of --seed in place of the service."
)
@seed_option
@override_option(CONNECTION, [CONNECTION.key])
@settings_options
@gateway_options
@ca_bundle_option
@run_options
@records_option
@log_options
def command(playbooks: tuple[str, ...], output: str, **options: Any) -> int:
    """Show what a run would change on the live service.

    Reads the service, and changes nothing. Shows the joins (+) and leaves (-) of groups, the
    permissions that would be granted (+) or revoked (-), and the additions and removals of
    `groups`. Each step is compared with what the steps before it leave.

    Messages and closes are not compared, nor is what a `filter` selects: reading cannot show it.
    Of a user with several connections, one in the group is enough. Users and connections that do
    not exist are listed, and are no changes.

    The exit code is 0 if there is nothing to change, 1 if there is, and 2 if the service or a
    playbook cannot be read.

    \b
    Examples:
      wps-run diff playbooks/group-setup.yaml
      wps-run diff --output ndjson playbook.yaml | jq 'select(.verdict == "change")'
    """
    if output != "text":
        use_utf8_stdout()
    context = click.get_current_context()
    options = configured(options)
    overrides = overrides_from(options)
    context.with_resource(
        logging_to_stderr(
            options["log_level"], verbose=options["verbose"], secrets=overrides.secrets
        )
    )
    seed = rehearsal_arguments((), None, (), options["seed"], local=options["local"])["seed"]
    if options["local"] and seed is None:
        raise UsageError("a rehearsal has nobody to compare with; add --seed FILE with its people")
    access = ServiceAccess.of(options)
    plans = make_plans(
        read_inputs(playbooks),
        overrides,
        [name for name, _ in options["assignments"]],
        default_hub="" if seed is None else planning.LOCAL_HUB,
        read_live=access.live_groups if seed is None else partial(simulated_live, seed=seed),
    )
    if seed is None:
        hosts = dict.fromkeys(access.endpoint(plan).host for plan in plans)
        run = planning.run_info(plans, Destination.SERVICE, tuple(hosts))
        report = asyncio.run(_compare(plans, access.source(), run, output))
    else:
        run = planning.run_info(plans, Destination.LOCAL)
        report = asyncio.run(_compare_with_seed(plans, seed, run, output))
    exit_code = EXIT_CHANGES if report.has_changes else 0
    if output == "text":
        columns = columns_of(sys.stdout) if sys.stdout.isatty() else None
        click.echo(wrap_lines(f"DIFF (nothing is changed) · {run}", columns, "  "))
        for text in report.lines(styler_for(sys.stdout), columns):
            click.echo(text)
    else:
        ending = encode_text(report.totals(run, exit_code))
        click.echo(ending if output == "ndjson" else f'],"summary":{ending}}}')
    return exit_code


async def _compare_with_seed(
    plans: Sequence[Plan], seed: Sequence[SeedClient], run: RunInfo, output: str
) -> ChangeReport:
    async with rehearsal(plans, seed=seed) as local:
        return await _compare(plans, lambda plan: nullcontext(local.state(plan.hub)), run, output)


async def _compare(
    plans: Sequence[Plan], source: OpenSource, run: RunInfo, output: str
) -> ChangeReport:
    """Compare; print records as they come."""
    report = ChangeReport()
    is_text, on_service = output == "text", run.destination is Destination.SERVICE
    separator = '{"changes":[' if output == "json" else ""
    steps_of = Plan.step_blocks if is_text else Plan.steps
    async with aclosing(reading.compare_plans(plans, source, steps_of=steps_of)) as blocks:
        async for plan, compared in blocks:
            if is_text:
                report.add(compared, _hub_name(plan, run))
                continue
            report.count(compared)
            for change in compared.changes:
                record = change_record(change, plan.hub, plan.service if on_service else None)
                click.echo(separator + encode_text(record), nl=output == "ndjson")
                separator = "," if output == "json" else ""
    if output == "json" and not report.counts.total():
        click.echo(separator, nl=False)
    return report


def _hub_name(plan: Plan, run: RunInfo) -> str:
    """Return what distinguishes the hub of a plan from others of the run, or "" without others."""
    if len(run.endpoints) > 1:
        return f"{plan.hub} at {plan.service}"
    return plan.hub if len({hub.lower() for hub in run.hubs}) > 1 else ""
