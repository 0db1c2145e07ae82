"""Make the plans of a command line, and show the warnings about them."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from wps_run import checking, planning
from wps_run.cli.errors import show_warnings
from wps_run.cli.terminal import show_message
from wps_run.planning import Plan, RunOverrides
from wps_run.playbook.live import LiveGroups
from wps_run.playbook.model import Playbook
from wps_run.problems import UsageError
from wps_run.text import Label


def make_plans(
    playbooks: Sequence[Playbook],
    overrides: RunOverrides,
    assigned: Iterable[str],
    *,
    default_hub: str = "",
    read_live: Callable[[Sequence[Plan]], Sequence[LiveGroups]] | None = None,
) -> tuple[Plan, ...]:
    """Check playbooks, read the live groups that they need, and plan them.

    Args:
        playbooks: The playbooks of one run.
        overrides: What the command line adds.
        assigned: The names of the variables of `--var`.
        default_hub: The hub when nothing names one; "" if there is none.
        read_live: Reads the live groups of plans. None to leave out the rows that come from them.

    Raises:
        PlaybookError: A playbook is wrong.
        SettingsError: No hub is named, or a setting cannot be used.
        ReadError: A live group cannot be read.
        UsageError: The selection is wrong, or needs live groups that are not read.
    """
    plans = make_first_plans(playbooks, overrides, assigned, default_hub=default_hub)
    warnings = planning.find_warnings(plans)
    show_warnings(warnings)
    if read_live and any(plan.live_groups for plan in plans):
        live = read_live(plans)
        plans = planning.plan(
            playbooks, overrides, default_hub=default_hub, live=live, earlier=plans
        )
        show_warnings(planning.find_warnings(plans), warnings)
    elif overrides.selection.is_by_index and any(plan.unread for plan in plans):
        raise UsageError(
            "--only and --start-at depend on how many rows come from live groups, which were not "
            "read; add --live"
        )
    _note_empty_shard(plans)
    return plans


def make_first_plans(
    playbooks: Sequence[Playbook],
    overrides: RunOverrides,
    assigned: Iterable[str],
    *,
    default_hub: str = "",
) -> tuple[Plan, ...]:
    """Check playbooks and plan them without reading live groups; show warnings about playbooks.

    There are none about actions that are left out. Arguments and errors are those of `make_plans`.
    """
    if not overrides.selection:  # else only the plan says which actions are left out
        show_warnings(checking.find_run_warnings(playbooks, assigned))
    plans = planning.plan(playbooks, overrides, default_hub=default_hub)
    if overrides.selection:
        show_warnings(checking.find_run_warnings([*_selected_playbooks(plans)], assigned))
    return plans


def _selected_playbooks(plans: Sequence[Plan]) -> Iterator[Playbook]:
    """Yield the playbooks without the actions that are left out."""
    final = (plan.selected_actions for plan in plans if plan.is_final)
    for plan in plans:
        playbook = plan.playbook
        if not plan.is_final:
            yield playbook._replace(
                actions=plan.selected_actions,
                finally_actions=next(final) if playbook.finally_actions else (),
            )


def _note_empty_shard(plans: Sequence[Plan]) -> None:
    """Write a note to stderr if a shard has no actions, which is not an error."""
    shard = next((plan.shard for plan in plans), None)
    if shard and not any(plan.total for plan in plans):
        total = sum(plan.selected for plan in plans)
        actions = "action" if total == 1 else "actions"
        has = "the selection has" if plans[0].selection else "the plan has"
        show_message(Label.NOTE, f"shard {shard} is empty ({has} {total} {actions}); nothing to do")
