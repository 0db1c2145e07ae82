"""`wps-run verify`: check what playbooks expect, without running their actions."""

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Any

import click

from wps_run import planning
from wps_run.cli.commands.run import run_and_report
from wps_run.cli.configuration import FILE, configured
from wps_run.cli.inputs import (
    read_inputs,
    variable_options,
)
from wps_run.cli.logs import log_options, logging_to_stderr
from wps_run.cli.options import hub_options, overrides_from, tag_options
from wps_run.cli.plans import make_first_plans
from wps_run.cli.progress import ProgressMode
from wps_run.cli.report_files import report_option
from wps_run.cli.run_output import RunOutput
from wps_run.cli.service import ServiceAccess
from wps_run.execution.run_info import Destination
from wps_run.journaling import JournalOptions
from wps_run.problems import UsageError
from wps_run.report.formats import OUTPUT_FORMATS, help_of
from wps_run.report_files import report_paths
from wps_run.running import RunContext


@click.command("verify")
@click.argument("playbooks", nargs=-1, type=FILE, metavar="PLAYBOOK…")
@hub_options
@variable_options
@tag_options
@click.option(
    "--output",
    type=click.Choice(list(OUTPUT_FORMATS)),
    default="text",
    show_default=True,
    help=f"Write results to stdout in this format. {help_of(OUTPUT_FORMATS)}.",
)
@report_option
@click.option("-q", "--quiet", is_flag=True, help="Show only what does not hold, and the totals.")
@log_options
def command(**values: Any) -> int:
    """Check what playbooks expect, without running their actions.

    Reads from the service whether each entry of `expect` holds, and changes nothing. What only a
    rehearsal can show, `message` and `closed`, is skipped.

    The exit code is 0 if all of it holds, 1 if something does not, 2 if nothing was checked, and 3
    if something cannot be read.

    \b
    Examples:
      wps-run verify playbooks/group-setup.yaml
      wps-run verify playbook.yaml --report junit.xml
    """
    values = configured(values)
    overrides = overrides_from(values)
    click.get_current_context().with_resource(
        logging_to_stderr(values["log_level"], verbose=values["verbose"], secrets=overrides.secrets)
    )
    reports = report_paths(values["reports"], values["playbooks"])
    playbooks = read_inputs(values["playbooks"])
    plans = make_first_plans(playbooks, overrides, [name for name, _ in values["assignments"]])
    plans = tuple(plan.without_actions() for plan in plans if not plan.is_final)
    if not any(plan.expectations for plan in plans):
        has = (
            f"has no `expect` that fits {plans[0].selection}"
            if plans[0].selection
            else "has no `expect`"
        )
        raise UsageError(f"nothing was checked; the playbook {has}")
    access = ServiceAccess.of(values)
    hosts = [access.endpoint(plan).host for plan in plans]
    run = planning.run_info(plans, Destination.SERVICE, tuple(dict.fromkeys(hosts)))
    output = RunOutput(values["output"], reports, os.environ, quiet=values["quiet"])
    recorder = output.open_recorder(JournalOptions(is_off=True), run, plans, hosts)

    async def open_context(_: AsyncExitStack) -> RunContext:
        return RunContext(run, access.clients(), recorder)

    return asyncio.run(run_and_report(plans, output, ProgressMode.NONE, open_context))
