"""Plan a run: playbooks with their variables, hubs and options, ready to be run."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import repeat
from typing import Any

from wps_run.checking import (
    DEFAULT_CONNECTION,
    connections_of,
    expectations_of,
    fill_in_names,
    raise_errors,
    scope_of,
)
from wps_run.connect.settings import resolve_connection, resolve_endpoint, resolve_hub
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.input_limits import ACTIONS, EXPECTATIONS
from wps_run.journal.format import format_moment
from wps_run.playbook.contradictions import contradictions
from wps_run.playbook.expectations import EXPECT, Expectation, ExpectationCheck
from wps_run.playbook.lint import PlaybookOfRun, find_late_changes, used_variables
from wps_run.playbook.live import LiveGroups
from wps_run.playbook.model import ActionTemplate, Playbook, variables_of
from wps_run.playbook.options import CONNECTION, HUB, Mode, OnError, RunOptions, merge_options
from wps_run.playbook.schema import FINALLY
from wps_run.playbook.selection import (
    NO_SELECTION,
    Selection,
    require_indexes,
    require_tags,
    unknown_start,
)
from wps_run.playbook.shard_conflicts import (
    LockConflict,
    PlanPart,
    find_conflict,
    require_commuting,
)
from wps_run.playbook.shards import Shard
from wps_run.playbook.steps import (
    SelectedActions,
    Step,
    StepBlock,
    StepCheck,
    StepMaker,
    UnreadAction,
    check_steps,
    find_named_step,
    key_position,
    live_sources_of,
    repeated_group,
    select_actions,
    unread_actions,
)
from wps_run.playbook.variables import VariableScope, VariableValue
from wps_run.problems import (
    PlaybookError,
    Position,
    Problem,
    SettingsError,
    UsageError,
    limited,
    sort_problems,
)
from wps_run.redaction import MASK, Secrets, mask_secrets, secrets_of

LOCAL_HUB = "local"
"""The hub of a rehearsal when no hub is named."""


@dataclass(frozen=True, slots=True)
class RunOverrides:
    """What the command line, or the caller, adds to the playbooks.

    Attributes:
        options: Values by the keys of a playbook (`mode`, `concurrency`, …), which they override.
        variables: Name to value; they override the playbook's `vars`. A value is a text, or a
            number, a boolean or a list as a file of variables has them.
        environment: Settings by name; `${env.NAME}` reads them, too.
        allowed_environment: The names of secrets that `${env.NAME}` may read nevertheless.
        hub: The hub, or None for that of the playbook or the setting.
        connection: The name of the setting that holds the connection string, or None.
        headers: The names of headers for a gateway, and of the settings with their values.
        shard: The shard of the plan to run, or None for all of it.
        selection: The part of the plan to carry out.
        defaults: Values by the keys of a playbook, `hub` and `connection` among them, which
            count where a playbook has none.
        environment_name: The environment of `wps-run.yaml` that some of all this is of, or None.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    allowed_environment: Collection[str] = ()
    hub: str | None = None
    connection: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    shard: Shard | None = None
    selection: Selection = NO_SELECTION
    defaults: Mapping[str, Any] = field(default_factory=dict)
    environment_name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", variables_of(self.variables))

    @property
    def _keys(self) -> tuple[str, ...]:
        return tuple(setting for _, setting in self.headers)

    @property
    def secrets(self) -> Secrets:
        """The secrets of the environment."""
        return secrets_of(self.environment, self.allowed_environment, self._keys)

    def scope(self, playbook: Playbook) -> VariableScope:
        """Return what `${…}` can name in a playbook."""
        return scope_of(
            playbook,
            self.variables,
            self.environment,
            connections=tuple(self._connection_settings(playbook)),
            keys=self._keys,
            allowed=self.allowed_environment,
        )

    def connection_of(self, playbook: Playbook) -> str:
        """Return the name of the setting that holds the connection string of a playbook."""
        names = (self.connection, playbook.connection, self.defaults.get(CONNECTION.key))
        return next(filter(None, names), DEFAULT_CONNECTION)

    def _connection_settings(self, playbook: Playbook) -> Iterator[str]:
        """Yield the settings that may hold the connection string of a playbook."""
        for name in connections_of(playbook, self.connection_of(playbook)):
            yield name
            with suppress(SettingsError):  # an error only if a run uses it
                yield resolve_connection(name, self.environment)


@dataclass(frozen=True, slots=True)
class Plan:
    """A playbook that is checked and ready to run.

    Attributes:
        playbook: The playbook.
        hub: The hub of its actions.
        connection: The name of the setting that holds its connection string.
        options: How it is run.
        scope: What its `${…}` can name.
        first: The index of its first step among all steps of the run.
        total: The number of its steps that run: selected, and in the shard.
        selected: The number of its selected steps in all shards.
        plan_total: The number of all its steps.
        check: The check of its rows.
        shard: The shard to run, or None for all steps.
        expectations: What must hold after the actions of the run.
        number: Its number among the plans of the run, from 0.
        is_final: Whether its actions are those of `finally`, which run after all others.
        selection: Which steps are carried out.
        left_out: The indexes of the playbook's actions of which no step is.
        environment_name: The environment of `wps-run.yaml` that was chosen for the run, or None.
    """

    playbook: Playbook
    hub: str
    connection: str
    options: RunOptions
    scope: VariableScope
    first: int
    total: int
    selected: int
    plan_total: int
    check: StepCheck
    shard: Shard | None = None
    expectations: tuple[Expectation, ...] = ()
    number: int = 0
    is_final: bool = False
    selection: Selection = NO_SELECTION
    left_out: frozenset[int] = frozenset()
    environment_name: str | None = None

    @property
    def service(self) -> str:
        """The host and port of its service.

        Without the setting, which `plan` does not need, it is the name of the setting.
        """
        with suppress(SettingsError):
            return resolve_endpoint(self.connection, self.scope.environment or {}).host
        return self.connection

    @property
    def hub_key(self) -> str:
        """What distinguishes its hub from others: two services may each have a hub of one name."""
        return f"{self.service}/{self.hub.lower()}"

    def without_actions(self) -> "Plan":
        """Return the plan with its expectations only."""
        playbook = self.playbook._replace(actions=())
        return replace(self, playbook=playbook, total=0, selected=0, plan_total=0)

    @property
    def selected_actions(self) -> tuple[ActionTemplate, ...]:
        """The actions of the playbook that are not left out."""
        numbered = enumerate(self.playbook.actions)
        return tuple(template for number, template in numbered if number not in self.left_out)

    def without_live(self) -> "Plan":
        """Return the plan without what was read of live groups, so without steps from there."""
        return replace(self, scope=self.scope.with_live(None))

    def stopping_actions(self, on_error: str) -> frozenset[int]:
        """Return the indexes of the playbook's actions whose failure stops the run.

        Args:
            on_error: The `onError` of actions that do not have their own.
        """
        return frozenset(
            number
            for number, template in enumerate(self.playbook.actions)
            if template.options.get("onError", on_error) == OnError.STOP
        )

    @property
    def live_groups(self) -> tuple[str, ...]:
        """The live groups that its rows come from, each once."""
        sources = live_sources_of(self.playbook, self.scope, self.left_out)
        return tuple(dict.fromkeys(source.group for source in sources))

    @property
    def unread(self) -> tuple[UnreadAction, ...]:
        """The actions whose rows come from groups that were not read, so that they have no steps.

        The totals do not have their steps, and the steps after them have lower indexes.
        """
        return tuple(unread_actions(self.playbook, self.scope, self.left_out))

    def steps(self, *, all_shards: bool = False) -> Iterator[Step]:
        """Return a new iterator over its steps, by default only those of its shard."""
        return self._step_maker(None if all_shards else self.shard).steps()

    def step_blocks(self) -> Iterator[Step | StepBlock]:
        """Return its steps, those of lists of members in blocks where names are simple."""
        return self._step_maker(self.shard).blocks()

    def _step_maker(self, shard: Shard | None) -> StepMaker:
        return StepMaker(
            self.playbook,
            self.scope,
            self.options,
            self.hub,
            first=self.first,
            shard=shard,
            selection=self.selection,
            is_final=self.is_final,
        )


def plan(
    playbooks: Sequence[Playbook],
    overrides: RunOverrides,
    *,
    default_hub: str = "",
    live: Sequence[LiveGroups] | None = None,
    earlier: "Sequence[Plan] | None" = None,
) -> tuple[Plan, ...]:
    """Check playbooks with their variables and plan them, in the order given.

    The plans of their actions come first, and then those of what is in `finally`.

    Args:
        playbooks: The playbooks of one run.
        overrides: What the caller adds.
        default_hub: The hub when playbook, caller and settings name none; "" if there is none.
        live: For each plan the live groups that its rows come from: what `read_live` returned
            for the plans without it. None if they were not read; these rows are left out then.
        earlier: The plans without `live`, made with the same arguments. What they have checked is
            not checked again.

    Raises:
        PlaybookError: Expanded values are wrong, or actions of different shards do not commute.
        SettingsError: No hub is named, or its name is not valid.
    """
    shard = overrides.shard
    if earlier:
        filled = [(each.playbook, each.scope) for each in earlier if not each.is_final]
    else:
        playbooks = [fill_in_names(each, partial(overrides.scope, each)) for each in playbooks]
        filled = [(playbook, overrides.scope(playbook)) for playbook in playbooks]
    playbooks = [playbook for playbook, _ in filled]
    with_finally = [(playbook, scope) for playbook, scope in filled if playbook.finally_actions]
    phases = [*playbooks, *(playbook.final_phase for playbook, _ in with_finally)]
    scopes = [scope for _, scope in (*filled, *with_finally)]
    if live:
        scopes = [scope.with_live(groups) for scope, groups in zip(scopes, live, strict=True)]
    earlier_checks = [each.check for each in earlier] if live and earlier else repeat(None)
    checks = [
        check_steps(phase, scope, shard, check, overrides.selection)
        for phase, scope, check in zip(phases, scopes, earlier_checks, strict=False)
    ]
    expected = [
        expectations_of(playbook, scope) for playbook, scope in zip(playbooks, scopes, strict=False)
    ]
    expected += [ExpectationCheck((), ()) for _ in with_finally]
    raise_errors(_problems_of(playbooks, phases, checks, expected))
    selection = _located(overrides.selection, phases, scopes, overrides.environment)
    plans: list[Plan] = []
    listed: dict[tuple[str, ...], Position] = {}
    first = 0
    expectations = 0
    for playbook, scope, checked, conditions in zip(phases, scopes, checks, expected, strict=True):
        hub = playbook.hub if overrides.hub is None else overrides.hub
        options = merge_options(overrides.defaults, playbook.options, overrides.options)
        part = SelectedActions(checked.steps, checked.owned, frozenset())
        if selection:
            already = earlier[len(plans)].left_out if live and earlier else None
            part = select_actions(playbook, checked.counts, selection, first, already)
        plans.append(
            Plan(
                playbook=playbook,
                hub=resolve_hub(
                    hub or overrides.defaults.get(HUB.key),
                    overrides.environment,
                    default=default_hub,
                ),
                connection=overrides.connection_of(playbook),
                options=shard.limit_rate(options) if shard else options,
                scope=scope,
                first=first,
                total=part.owned if shard else part.steps,
                selected=part.steps,
                plan_total=checked.steps,
                check=checked if live is None else checked._replace(members=None),
                shard=shard,
                expectations=tuple(
                    replace(each, index=expectations + each.index)
                    for each in conditions.expectations
                    if selection.has_tags(each.tags)
                ),
                number=len(plans),
                is_final=len(plans) >= len(playbooks),
                selection=selection,
                left_out=part.left_out,
                environment_name=overrides.environment_name,
            )
        )
        expectations += len(conditions.expectations)
        _require_new_groups(plans[-1], checked.groups, listed)
        first += checked.steps
        if first > ACTIONS.value:
            message = f"the run, with the playbooks up to this one, {ACTIONS.error}"
            raise PlaybookError([playbook.document.problem(message, "too-many", ())])
    _check_together(plans)
    _require_selected(plans)
    if shard:
        _refuse_in_shards(plans)
        if selection.is_by_index:
            plans = [replace(plan, total=sum(1 for _ in plan.steps())) for plan in plans]
        require_commuting(_parts(plans), shard.count)
    return tuple(plans)


def find_shard_conflict(plans: Sequence[Plan], count: int) -> LockConflict | None:
    """Find the first two actions for which so many shards of these plans cannot run at once.

    What is in `finally` does not count, since it runs when all shards have ended.
    """
    return find_conflict(_parts(plan for plan in plans if not plan.is_final), count)


def _parts(plans: Iterable[Plan]) -> list[PlanPart]:
    return [
        PlanPart(plan.playbook, plan.hub_key, partial(plan.steps, all_shards=True))
        for plan in plans
    ]


def _problems_of(
    playbooks: Sequence[Playbook],
    phases: Sequence[Playbook],
    checks: Sequence[StepCheck],
    expected: Sequence[ExpectationCheck],
) -> list[Problem]:
    """Return the problems of playbooks with their phases, playbook by playbook, each once."""
    problems: list[Problem] = []
    for playbook in playbooks:
        of_phases = [
            problem
            for phase, checked, conditions in zip(phases, checks, expected, strict=True)
            if phase.document is playbook.document
            for problem in (*checked.problems, *conditions.problems)
        ]
        problems += sort_problems(dict.fromkeys((*playbook.problems, *of_phases)))
    return problems


def _check_together(plans: Sequence[Plan]) -> None:
    """Check the expectations of all playbooks of a run.

    Raises:
        PlaybookError: There are too many, some contradict each other, or only a shard runs.
    """
    plans = [plan for plan in plans if plan.expectations]
    if not plans:
        return
    document = plans[-1].expectations[-1].document
    if plans[-1].shard:
        message = (
            f"a shard does not know when the others end, so it cannot check `{EXPECT}`; leave it "
            "out, and check it with `wps-run verify` when all shards have ended"
        )
        raise PlaybookError([document.problem(message, "shard", (EXPECT,), at_key=True)])
    if sum(len(plan.expectations) for plan in plans) > EXPECTATIONS.value:
        message = f"the run, with the playbooks up to this one, {EXPECTATIONS.error}"
        raise PlaybookError([document.problem(message, "too-many", (EXPECT,), at_key=True)])
    found = contradictions(
        (each.document, (plan.hub_key,), each) for plan in plans for each in plan.expectations
    )
    mask = plans[-1].scope.secrets.mask
    raise_errors([problem._replace(message=mask(problem.message)) for problem in found])


def _require_new_groups(
    plan: Plan, groups: Mapping[str, ActionTemplate], listed: dict[tuple[str, ...], Position]
) -> None:
    """Add the groups that a playbook lists to those of the playbooks before it.

    Raises:
        PlaybookError: One of them is in the same hub and listed there, too.
    """
    hub, mask = plan.hub_key, plan.scope.secrets.mask
    problems = [
        repeated_group(entry, mask(group), listed[*hub, group])
        for group, entry in groups.items()
        if (*hub, group) in listed
    ]
    if problems:
        raise PlaybookError(problems)
    listed.update({(*hub, group): key_position(entry) for group, entry in groups.items()})


def _located(
    selection: Selection,
    playbooks: Sequence[Playbook],
    scopes: Sequence[VariableScope],
    environment: Mapping[str, str],
) -> Selection:
    """Return the selection, of which everything is known, with the index of its first step.

    Secrets of the environment are masked in the name of that step, as journals and plan files
    keep it, so that it is found again.

    Raises:
        UsageError: Nothing has one of its tags, or no action has the name.
    """
    if not selection:
        return selection
    templates = [template for playbook in playbooks for template in playbook.actions]
    require_tags(selection, frozenset().union(*(playbook.tags for playbook in playbooks)))
    if selection.start_at is None:
        return selection
    run = [*zip(playbooks, scopes, strict=True)]
    name = mask_secrets(selection.start_at, environment)
    before_secret = name.partition(MASK)[0]
    first = find_named_step(
        run,
        lambda label: label.startswith(before_secret) and mask_secrets(label, environment) == name,
    )
    unread = (each for each in run if each[1].live is None)
    names_of_rows = (
        source.template.label or ""
        for playbook, scope in unread
        for source in live_sources_of(playbook, scope)
    )
    if first is None and not any("${each" in name for name in names_of_rows):
        names = [template.label for template in templates if template.label]
        raise unknown_start(name, names)
    return replace(selection, start_at=name, first=first)


def _require_selected(plans: Sequence[Plan]) -> None:
    """Refuse a selection that names other steps than there are, or leaves nothing to do.

    Raises:
        UsageError: It does so. What depends on rows that were not read is not refused.
    """
    selection = next((plan.selection for plan in plans), NO_SELECTION)
    if not selection or any(plan.unread for plan in plans):
        return
    require_indexes(selection, sum(plan.plan_total for plan in plans))
    has_expectations = any(plan.expectations for plan in plans) and not selection.is_by_index
    if not (has_expectations or any(plan.selected for plan in plans)):
        raise UsageError(f"nothing is selected: no action of the plan fits {selection}")


def _refuse_in_shards(plans: Sequence[Plan]) -> None:
    """Refuse rows of live groups in shards, each of which would read other ones, and `finally`.

    Raises:
        PlaybookError: There are such rows, or there is `finally`.
    """
    for plan in plans:
        for template in plan.selected_actions if plan.is_final else ():
            message = (
                f"a shard does not know when the others end, so it cannot run `{FINALLY}`; put "
                "these actions into a playbook of its own, and run it when all shards have ended"
            )
            document = template.part.document
            raise PlaybookError([document.problem(message, "shard", (FINALLY,), at_key=True)])
    message = (
        "each shard would read the group at another time, and so run other actions; run the plan "
        "without --shard"
    )
    problems = [
        source.template.part.document.problem(message, "live-shard", source.path)
        for plan in plans
        for source in live_sources_of(plan.playbook, plan.scope, plan.left_out)
    ]
    if problems:
        raise PlaybookError(limited(problems))


def find_warnings(plans: Sequence[Plan]) -> tuple[Problem, ...]:
    """Return the warnings about rows, and about live groups that earlier actions may change."""
    run = (
        PlaybookOfRun(
            plan.playbook._replace(actions=plan.selected_actions), plan.scope, plan.hub_key
        )
        for plan in plans
    )
    of_rows = (warning for plan in plans for warning in plan.check.warnings)
    return (*limited(find_late_changes(run)), *of_rows)


def run_info(
    plans: Sequence[Plan], destination: Destination, endpoints: Sequence[str] = ()
) -> RunInfo:
    """Return what is run and where, for reports. An endpoint is a host and port."""
    paces = [
        f"concurrent, at most {plan.options.concurrency} in flight"
        if plan.options.mode is Mode.CONCURRENT
        else "sequential"
        for plan in plans
    ]
    return RunInfo(
        destination=destination,
        endpoints=tuple(endpoints),
        hubs=tuple(dict.fromkeys(plan.hub for plan in plans)),
        playbooks=tuple(
            plan.playbook.name or plan.playbook.document.file for plan in plans if not plan.is_final
        ),
        total=sum(plan.total for plan in plans),
        pace=" / ".join(dict.fromkeys(paces)),
        shard=next((plan.shard for plan in plans), None),
        plan_total=sum(plan.selected for plan in plans),
        selection=next((each.scope.secrets.mask(str(each.selection)) for each in plans), ""),
        left_out=sum(plan.plan_total - plan.selected for plan in plans),
        expectations=sum(len(plan.expectations) for plan in plans),
        unread=sum(len(plan.unread) for plan in plans),
        environment_name=next((plan.environment_name for plan in plans), None),
    )


def used_values(plan: Plan) -> Mapping[str, VariableValue]:
    """Return the variables that the actions of a plan use, `env.NAME` included."""
    environment = {f"env.{name}": text for name, text in (plan.scope.environment or {}).items()}
    values: dict[str, VariableValue] = {**plan.scope.variables, **environment}
    return {name: values[name] for name in sorted(used_variables(plan.playbook)) if name in values}


def has_expired(moment: float | None) -> bool:
    """Whether a moment, in seconds since 1970, has passed; never if it is None."""
    return moment is not None and time.time() >= moment


def require_in_time(plans: Iterable[Plan], remedy: str) -> None:
    """Refuse to begin a run after the moment of `notAfter`.

    Args:
        plans: The plans of the run.
        remedy: What to do about it.

    Raises:
        UsageError: It has passed.
    """
    for plan in plans:
        if has_expired(plan.options.not_after):
            moment = format_moment(datetime.fromtimestamp(plan.options.not_after or 0, UTC))
            raise UsageError(
                f"nothing was sent; the moment of `notAfter` has passed ({moment}, "
                f"{plan.playbook.document.file}); {remedy}"
            )
