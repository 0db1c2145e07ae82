"""`wps-run plan`: show each step and its request, without sending anything."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from typing import Any

import click

from wps_run import planning
from wps_run.cli.configuration import FILE, configured, override_option
from wps_run.cli.inputs import (
    dry_run_option,
    read_inputs,
)
from wps_run.cli.options import (
    RecordingCommand,
    ca_bundle_option,
    gateway_options,
    given_options,
    overrides_from,
    run_options,
    settings_options,
)
from wps_run.cli.plans import make_plans
from wps_run.cli.terminal import columns_of, show_message, use_utf8_stdout
from wps_run.execution.run_info import Destination
from wps_run.planning import Plan
from wps_run.playbook.live import LiveGroups
from wps_run.playbook.messages import join_names
from wps_run.playbook.options import CONNECTION
from wps_run.playbook.steps import Step, UnreadAction
from wps_run.problems import PlaybookError, Position, Problem, UsageError, limited
from wps_run.report.formats import PLAN_FORMATS, help_of
from wps_run.report.plan import count_text
from wps_run.text import Label

NO_HUB = "HUB"
"""The placeholder for a hub that only the settings of a run name."""


@click.command("plan", cls=RecordingCommand)
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
    "--out",
    type=FILE,
    metavar="FILE",
    help="Write the plan to this file as well, for `wps-run run --plan FILE`, which runs it only "
    "if nothing has changed. It has targets and digests, but no messages and no secrets.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(PLAN_FORMATS)),
    default="text",
    show_default=True,
    help=f"Print the plan in this format. {help_of(PLAN_FORMATS)}.",
)
def command(
    playbooks: tuple[str, ...], form: str, out: str | None, *, live: bool, **options: Any
) -> None:
    """Show each step and its request without sending anything.

    Also shows the start of each message, and which earlier steps each step waits for. Needs no
    setting; without a hub, the paths contain HUB. Rows from live groups (`forEach: {group: …}`, and
    `prune`) have steps only with --live, which reads the groups.

    With --out, the plan needs the hub. It has the endpoint as well if the settings are there.

    \b
    Examples:
      wps-run plan playbooks/group-setup.yaml
      wps-run plan --live --hub chat playbook.yaml
      wps-run plan --hub chat --format curl playbook.yaml > playbook.sh
      wps-run plan --out plan.wps playbook.yaml
    """
    options = configured(options)

    def read_live(plans: Sequence[Plan]) -> Sequence[LiveGroups]:
        from wps_run.cli.service import ServiceAccess  # noqa: PLC0415 -- it loads aiohttp

        return ServiceAccess.of(options).live_groups(plans)

    row = PLAN_FORMATS[form]
    is_placeholder_allowed = not live and out is None and form != "curl"
    read = read_inputs(playbooks)
    overrides = overrides_from(options)
    assigned = [name for name, _ in options["assignments"]]
    plans = make_plans(
        read,
        overrides,
        assigned,
        default_hub=NO_HUB if is_placeholder_allowed else "",
        read_live=read_live if live else None,
    )
    if obstacle_of := row.obstacle_finder():
        _require_exportable(plans, form, obstacle_of)
    if form != "text":
        use_utf8_stdout()
    if out is None:
        _show(plans, form, _record_nothing)
        return
    from wps_run.cli import plan_files  # noqa: PLC0415 -- it loads aiohttp
    from wps_run.cli.journals import kept_options  # noqa: PLC0415 -- it loads aiohttp
    from wps_run.cli.service import ServiceAccess  # noqa: PLC0415 -- it loads aiohttp

    context = click.get_current_context()
    kept = kept_options(given_options(context), {}, overrides, assigned, read)
    access = ServiceAccess.of(options)
    with plan_files.open_plan_file(out, plans, kept, access, context.command, live=live) as file:
        _show(plans, form, file.add)
    run = plan_files.run_command(out, plans, kept)
    show_message(Label.HINT, f"to run it when it is approved: {run}")


def _record_nothing(_: Step) -> None:
    """Without a file, steps are only shown."""


def _show(plans: Sequence[Plan], form: str, record: Callable[[Step], object]) -> None:
    """Show plans in a format, and record each step."""
    reporter = PLAN_FORMATS[form].new_reporter()
    columns = columns_of(sys.stdout) if sys.stdout.isatty() else None
    expectations = [each for plan in plans for each in plan.expectations]
    click.echo(reporter.begin(planning.run_info(plans, Destination.PLAN), columns), nl=False)
    was_final = False
    for plan in plans:
        for entry in _entries(plan):
            if plan.is_final and not was_final:
                click.echo(reporter.begin_final(), nl=False)
            was_final = plan.is_final
            if isinstance(entry, UnreadAction):
                click.echo(reporter.unread(entry), nl=False)
            else:
                record(entry)
                click.echo(reporter.step(entry), nl=False)
    click.echo(reporter.end(expectations), nl=False)
    if form == "binding":
        _note_what_is_left_out(plans)


def _note_what_is_left_out(plans: Sequence[Plan]) -> None:
    """Say what of the playbooks a function cannot return."""
    expectations = sum(len(plan.expectations) for plan in plans)
    items = [item for plan in plans for item in plan.selected_actions]
    options = sorted({key for item in items for key in item.options})
    parts = [count_text(expectations, "expectation")] if expectations else []
    if options:
        parts.append(f"{join_names(options, 'and')} of actions")
    if any(plan.is_final and plan.total for plan in plans):
        parts.append("that the last actions are those of `finally`")
    if parts:
        message = f"left out, since a function cannot return it: {'; '.join(parts)}"
        show_message(Label.NOTE, message)


def _entries(plan: Plan) -> Iterator[Step | UnreadAction]:
    """Yield the steps of a plan, and in their place the actions whose rows were not read."""
    parts: tuple[Iterable[Step | UnreadAction], ...] = (plan.steps(), plan.unread)
    yield from merge(*parts, key=attrgetter("action_index"))


def _require_exportable(
    plans: Sequence[Plan], form: str, obstacle_of: Callable[[Step | UnreadAction], str | None]
) -> None:
    """Refuse plans that other tools would carry out in another way, before anything is written.

    Raises:
        PlaybookError: There are steps that cannot be in the format.
        UsageError: The plans are for several services; in a function's array, for several hubs.
    """
    services = {plan.connection for plan in plans}
    hubs = {plan.hub for plan in plans} if form == "binding" else {""}
    if len(services) > 1 or len(hubs) > 1:
        kind, names = ("services", services) if len(services) > 1 else ("hubs", hubs)
        listed = join_names(sorted(names), "and")
        raise UsageError(f"the playbooks are for several {kind} ({listed}); export each by itself")
    problems: dict[tuple[int, int], Problem] = {}
    for plan in plans:
        for entry in _entries(plan):
            key = (plan.number, entry.action_index)
            if key not in problems and (reason := obstacle_of(entry)):
                file, _, number = entry.source.rpartition(":")
                problems[key] = Problem(reason, "export", Position(file, int(number)))
    if problems:
        raise PlaybookError(limited(problems.values()))
