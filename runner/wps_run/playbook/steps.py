"""Turn a checked playbook, its variables and a hub into a lazy stream of steps."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count, groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from wps_run.actions.fields import FieldType
from wps_run.actions.locks import EXCLUSIVE, Lock, locks_for
from wps_run.actions.payload import encode_message
from wps_run.actions.request import Request, RequestTemplate, Value, Values
from wps_run.actions.table import ACTIONS as TABLE
from wps_run.actions.table import Action, OverlapKind
from wps_run.document.document import Path
from wps_run.input_limits import ACTIONS, BAD_ROWS, PROBLEMS
from wps_run.playbook.expansion import (
    Expanded,
    ExpandedAction,
    Expansion,
    GroupMembers,
    MemberBlock,
)
from wps_run.playbook.live import live_sources
from wps_run.playbook.model import ActionTemplate, Playbook, is_of_group
from wps_run.playbook.options import (
    Delivery,
    MissingRule,
    Mode,
    OnError,
    OnMissing,
    RunOptions,
    parse_duration,
    parse_on_missing,
)
from wps_run.playbook.references import NotYetKnownError, TooLongError, UnusableReferenceError
from wps_run.playbook.row_lint import RowLint
from wps_run.playbook.rows import matrix_size, matrix_size_error
from wps_run.playbook.selection import NO_SELECTION, Selection, are_apart
from wps_run.playbook.templates import substitute
from wps_run.playbook.variables import ListVariable, VariableScope
from wps_run.problems import PlaybookError, Position, Problem, limited
from wps_run.redaction import NO_SECRETS, Secrets
from wps_run.text import replace_invisible

if TYPE_CHECKING:
    from wps_run.playbook.shards import Shard  # it loads OpenSSL, which only shards need


@dataclass(slots=True)
class Step:
    """One action of a run, checked and ready to be sent.

    Do not change it. It is not frozen, because a frozen instance takes three times as long to
    make, and a run makes one for each action.

    Attributes:
        index: Its number among all steps of the run, from 0.
        action_index: The index of its action in the playbook, from 0.
        item: The index of the row that it was made from, or None.
        action: Its row of the action table.
        values: Its checked values.
        request: The REST call; `plan` shows it and `run` sends it.
        locks: The locks that it holds while it runs.
        source: `file:line` of the action, or of the row that it was made from.
        name: The author's label, or None.
        on_error: Whether its failure stops the run.
        delivery: Whether it is sent again when the outcome is unknown.
        timeout: The limit of one attempt in seconds.
        on_missing: What to do when its user or connection does not exist.
        secrets: Values that are masked in its target.
        is_final: Whether it is one of `finally`.
    """

    index: int
    action_index: int
    item: int | None
    action: Action
    values: Values
    request: Request
    locks: tuple[Lock, ...]
    source: str
    name: str | None
    on_error: OnError
    delivery: Delivery
    timeout: float
    on_missing: OnMissing = field(default_factory=OnMissing)
    secrets: Secrets = NO_SECRETS
    is_final: bool = False

    @property
    def target(self) -> dict[str, Value]:
        """What it is applied to, to be shown: its target properties, in the order of the table."""
        values, masked = self.values, self.secrets.masked
        return {name: masked(values[name]) for name in self.action.targets if name in values}


class StepBlock(NamedTuple):
    """Consecutive steps that add users or connections to one group, not yet made.

    Attributes:
        first: The index of the first step.
        members: What they are made from.
        make: Makes one of them.
    """

    first: int
    members: MemberBlock
    make: Callable[[ExpandedAction, int], Step]

    @property
    def indexes(self) -> range:
        """The indexes of the steps."""
        return range(self.first, self.first + len(self.members.cells.cells))

    def step(self, index: int) -> Step:
        """Return the step with an index."""
        return self.make(self.members.expanded(index - self.first), index)


SHOWN_ROWS = 20
"""The most bad rows of one source that are reported; the others are only counted, up to a limit."""


class StepCheck(NamedTuple):
    """The result of checking all steps of a playbook.

    Attributes:
        problems: All errors, in order.
        warnings: What is allowed, but almost certainly a mistake, in order.
        steps: How many steps there are; valid when there are no problems.
        owned: How many of them belong to the shard; all of them without shards.
        groups: The groups of the key `groups`, each with the first action of its entry.
        counts: Of each action, how many steps there are and how many belong to the shard.
        members: Whom `groups` lists.
    """

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    steps: int
    owned: int
    groups: Mapping[str, ActionTemplate] = MappingProxyType({})
    counts: tuple[tuple[int, int], ...] = ()
    members: GroupMembers | None = None


class _ProblemCollector:
    """Collects problems, those of bad rows up to `SHOWN_ROWS` for each source.

    Attributes:
        is_full: Whether the rest of the source need not be checked: too much of it is wrong.
    """

    def __init__(self) -> None:
        self.is_full = False
        self.problems: dict[Problem, Problem] = {}
        """Problems by themselves without what uses the row: a file may be used twice."""
        self.warnings: dict[Problem, Problem] = {}
        """Warnings, likewise."""
        self._bad_rows = 0
        self._first_omitted: Position | None = None

    def add(self, expanded: ExpandedAction) -> None:
        problems = {problem._replace(related=None): problem for problem in expanded.problems}
        new = {key: problem for key, problem in problems.items() if key not in self.problems}
        if expanded.item is not None and new:
            self._bad_rows += 1
            self.is_full = self.is_full or self._bad_rows >= BAD_ROWS.value
            if self._bad_rows > SHOWN_ROWS:
                self._first_omitted = self._first_omitted or expanded.position
                return
        self.problems.update(new)
        self.is_full = self.is_full or len(self.problems) > PROBLEMS.value

    def add_warnings(self, warnings: Iterable[Problem]) -> None:
        """Add the warnings about one source, unless there are more than are shown."""
        if len(self.warnings) <= PROBLEMS.value:
            for warning in warnings:
                self.warnings.setdefault(warning._replace(related=None), warning)

    def end_source(self) -> None:
        """Report how many bad rows were omitted, and reset the count."""
        if self._first_omitted:
            omitted = self._bad_rows - SHOWN_ROWS
            rows = "1 more row is" if omitted == 1 else f"{omitted} more rows are"
            if self._bad_rows >= BAD_ROWS.value:
                rows = f"at least {rows}"
            message = f"{rows} wrong from here on"
            problem = Problem(message, "more-rows", self._first_omitted)
            self.problems[problem] = problem
        self._bad_rows, self._first_omitted = 0, None


def check_steps(
    playbook: Playbook,
    scope: VariableScope,
    shard: "Shard | None" = None,
    earlier: StepCheck | None = None,
    selection: Selection = NO_SELECTION,
) -> StepCheck:
    """Find all problems that appear when variables are substituted, and count the steps.

    Every row is read. Values that are known only at run time (`environment` is None) are not
    checked.

    Args:
        playbook: The playbook.
        scope: The variables and files.
        shard: Counts the steps of this shard, too; None for all steps.
        earlier: The result, without problems, before live groups were read. Only actions with rows
            from live groups are checked again.
        selection: Actions whose tags leave them out have no warnings about rows. All are checked
            and counted.
    """
    collector = _ProblemCollector()
    whole = GroupMembers(playbook, scope, is_whole=_may_contradict(playbook))
    earlier = earlier or StepCheck((), (), 0, 0, members=whole)
    members = earlier.members or whole
    collector.add_warnings(earlier.warnings)
    counts: list[tuple[int, int]] = []
    groups, repeated = _listed_groups(playbook, scope)
    steps = owned = 0
    if problem := _too_many_rows(playbook, scope):
        return StepCheck((*scope.problems, problem), (), 0, 0)
    for number, template in enumerate(playbook.actions):
        if earlier.counts and not any(live_sources(template.for_each)):
            counts.append(earlier.counts[number])
            steps, owned = steps + counts[-1][0], owned + counts[-1][1]
            continue
        is_owned = _ownership(template, shard)
        expansion = _expand(template, scope, members)
        lint = _row_lint(template, expansion) if selection.has_tags(template.tags) else None
        parts = expansion if shard else _blocks(expansion)
        parts = _compare_with_groups(template, parts, members)
        check_row = lint.check if lint else _accept
        left = ACTIONS.value - steps
        counts.append(_check_rows(parts, scope.secrets, collector, is_owned, check_row, left))
        steps, owned = steps + counts[-1][0], owned + counts[-1][1]
        collector.end_source()
        collector.add_warnings(lint.warnings(counts[-1][0]) if lint else ())
        if collector.is_full or steps > ACTIONS.value:
            break
    problems = (
        *scope.problems,
        *repeated,
        *collector.problems.values(),
        *_too_many_steps(playbook, steps),
    )
    warnings = limited(collector.warnings.values())
    return StepCheck(
        tuple(limited(problems)), tuple(warnings), steps, owned, groups, tuple(counts), members
    )


def _check_rows(  # noqa: PLR0913, PLR0917 -- what a row is checked with
    expansion: Iterable[ExpandedAction | MemberBlock],
    secrets: Secrets,
    collector: _ProblemCollector,
    is_owned: Callable[[Mapping[str, Any]], bool],
    check_row: Callable[[ExpandedAction], object],
    limit: int,
) -> tuple[int, int]:
    """Check the steps of one action; return how many there are, and how many are of the shard."""
    steps = owned = 0
    for expanded in expansion:
        if isinstance(expanded, MemberBlock):
            steps += len(expanded.cells.cells)
            owned += len(expanded.cells.cells)
            continue
        steps += 1
        if expanded.problems:
            collector.add(_without_secrets(expanded, secrets))
        else:
            owned += is_owned(expanded.values)
            check_row(expanded)
        if collector.is_full or steps > limit:
            break
    return steps, owned


def _row_lint(
    template: ActionTemplate, expansion: Expansion | tuple[ExpandedAction]
) -> RowLint | None:
    return RowLint(template, expansion) if isinstance(expansion, Expansion) else None


def _accept(_: ExpandedAction) -> None:
    """An action without variables has no rows to check."""


def _listed_groups(
    playbook: Playbook, scope: VariableScope
) -> tuple[dict[str, ActionTemplate], list[Problem]]:
    """Return the groups of the key `groups` with their entries, and those that are there twice."""
    groups: dict[str, ActionTemplate] = {}
    problems: list[Problem] = []
    for entry in playbook.group_entries:
        try:
            group = substitute(str(entry.path[1]), scope.of(entry.part))
        except (UnusableReferenceError, NotYetKnownError, TooLongError):
            continue  # reported, if it is an error, with its actions
        first = groups.setdefault(group, entry)
        if first is not entry:
            problems.append(repeated_group(entry, scope.secrets.mask(group), key_position(first)))
    return groups, problems


def key_position(entry: ActionTemplate) -> Position:
    """Return where the key of an entry of `groups` begins."""
    return entry.part.document.position_of_key(entry.path)


def repeated_group(entry: ActionTemplate, group: str, first: Position) -> Problem:
    """Return the problem that the group of an entry is already listed elsewhere."""
    message = f"the group `{replace_invisible(group)}` is already listed at {first}"
    return entry.problem(f"{message}; list its members once", "repeated-group", at_key=True)


_REMOVALS = frozenset(
    action.name
    for action in TABLE.values()
    if action.overlap.kind in {OverlapKind.LEAVE, OverlapKind.LEAVE_ALL}
)
"""The actions that remove a user or connection from one group, or from all."""


def _may_contradict(playbook: Playbook) -> bool:
    """Whether there are both entries of `groups` and actions that remove from groups."""
    kinds = {(is_of_group(item), item.action.name in _REMOVALS) for item in playbook.actions}
    return {(True, False), (False, True)} <= kinds


def _compare_with_groups(
    template: ActionTemplate,
    expansion: Iterable[Expanded],
    members: GroupMembers,
) -> Iterator[Expanded]:
    """Return the expanded actions of one action, those that contradict `groups` with a problem."""
    if members.is_whole and template.action.name in _REMOVALS and not is_of_group(template):
        return map(partial(_add_contradiction, members), expansion)
    return members.record(template, expansion)


def _add_contradiction(members: GroupMembers, expanded: Expanded) -> Expanded:
    """Add a problem to an action that removes from a group whom `groups` adds to it."""
    if isinstance(expanded, MemberBlock):
        return expanded
    values, template = expanded.values, expanded.template
    for key in () if expanded.problems else ("userId", "connectionId"):
        if key not in values:
            continue
        name, group = values[key], values.get("group")
        if group is None:
            group = members.group_with(key, name)
        elif name not in members.of(key, group):
            group = None
        if group is not None and not are_apart(template.tags, members.tags_of(group)):
            problem = _contradiction(template, name, group)
            if expanded.item is not None:
                place = problem.position
                problem = Problem(problem.message, problem.rule, expanded.position, related=place)
            return expanded._replace(problems=(problem,))
    return expanded


def _contradiction(template: ActionTemplate, name: object, group: str) -> Problem:
    name, group = replace_invisible(str(name)), replace_invisible(group)
    return template.problem(
        f"`{template.action.name}` removes `{name}`, and `groups` adds it to `{group}`; leave "
        "one of them out",
        "group-contradiction",
        "actionName",
    )


class LiveSource(NamedTuple):
    """A live group that rows of a playbook come from.

    Attributes:
        template: The action with these rows.
        action_index: Its index in the playbook, from 0.
        group: The name of the group, with all variables substituted.
        path: The path of the name in the file.
    """

    template: ActionTemplate
    action_index: int
    group: str
    path: Path


def live_sources_of(
    playbook: Playbook, scope: VariableScope, left_out: Container[int] = ()
) -> Iterator[LiveSource]:
    """Yield the live groups of a playbook, in its order. Names that are not known are left out.

    Args:
        playbook: The playbook.
        scope: Its variables.
        left_out: The indexes of actions that are not carried out, whose groups are not read.
    """
    for number, template in enumerate(playbook.actions):
        for below, text in () if number in left_out else live_sources(template.for_each):
            with suppress(UnusableReferenceError, NotYetKnownError):
                group = substitute(text, scope.of(template.part))
                is_entry = template.prunes or template.has_listed_rows
                path = template.rows_path if is_entry else (*template.rows_path, *below)
                yield LiveSource(template, number, group, path)


class UnreadAction(NamedTuple):
    """An action whose rows come from live groups that were not read, so that it has no steps.

    Attributes:
        action_index: Its index in the playbook, from 0.
        name: Its `actionName`.
        target: Its target properties as written.
        groups: The names of the groups, to be shown.
        source: Its `file:line`.
    """

    action_index: int
    name: str
    target: Mapping[str, Value]
    groups: tuple[str, ...]
    source: str


def unread_actions(
    playbook: Playbook, scope: VariableScope, left_out: Container[int] = ()
) -> Iterator[UnreadAction]:
    """Yield the actions whose rows come from live groups, if these were not read.

    The arguments are those of `live_sources_of`.
    """
    sources = live_sources_of(playbook, scope, left_out) if scope.live is None else ()
    for index, of_action in groupby(sources, key=lambda source: source.action_index):
        template = playbook.actions[index]
        action, values = template.action, template.values
        position = template.position
        yield UnreadAction(
            index,
            action.name,
            {name: values[name] for name in action.targets if name in values},
            tuple(dict.fromkeys(scope.secrets.mask(source.group) for source in of_action)),
            f"{position.file}:{position.line}",
        )


def _too_many_steps(playbook: Playbook, steps: int) -> Iterator[Problem]:
    if steps > ACTIONS.value:
        yield playbook.document.problem(f"the playbook {ACTIONS.error}", "too-many", ("actions",))


def _too_many_rows(playbook: Playbook, scope: VariableScope) -> Problem | None:
    """Count the rows that are not in files before they are made.

    Returns:
        What is wrong with the first action that has too many, or None.
    """
    steps = 0
    for template in playbook.actions:
        for_each, key, of_part = template.for_each, template.rows_key, scope.of(template.part)
        if isinstance(for_each, dict) and "matrix" in for_each:
            sizes = [_row_count(values, of_part) for values in for_each["matrix"].values()]
            if message := matrix_size_error(sizes):
                return template.problem(message, "too-many", key, "matrix", at_key=True)
            steps += matrix_size(sizes)
        else:
            steps += 1 if for_each is None else _row_count(for_each, of_part)
        if steps > ACTIONS.value:
            message = f"the playbook up to this action {ACTIONS.error}"
            return template.problem(message, "too-many")
    return None


def _row_count(source: object, scope: VariableScope) -> int:
    """Return the number of rows of a source, or 1 when only the file shows it."""
    if isinstance(source, str):
        value = scope.variables.get(source.removeprefix("${").removesuffix("}"))
        return len(value.items) if isinstance(value, ListVariable) else 1
    return len(source) if isinstance(source, list) else 1


def _without_secrets(expanded: ExpandedAction, secrets: Secrets) -> ExpandedAction:
    """Mask what messages quote of the values of variables."""
    problems = [
        problem._replace(message=secrets.mask(problem.message)) for problem in expanded.problems
    ]
    return expanded._replace(problems=tuple(problems))


def _ownership(
    template: ActionTemplate, shard: "Shard | None"
) -> Callable[[Mapping[str, Any]], bool]:
    """Return the function that decides from an action's values whether the shard owns it."""
    return shard.ownership(template.action) if shard else lambda _: True


def _expand(
    template: ActionTemplate, scope: VariableScope, members: GroupMembers
) -> Expansion | tuple[ExpandedAction]:
    if template.has_templates:
        return Expansion(template, scope, members)
    return (ExpandedAction(template, None, template.position, template.values, template.label),)


def _expand_in_blocks(
    template: ActionTemplate, scope: VariableScope, members: GroupMembers
) -> Iterable[ExpandedAction | MemberBlock]:
    return _blocks(_expand(template, scope, members))


def _blocks(
    expansion: Expansion | tuple[ExpandedAction],
) -> Iterable[ExpandedAction | MemberBlock]:
    """Return expanded actions, those of lists of members in blocks."""
    return expansion.blocks() if isinstance(expansion, Expansion) else expansion


_Expand = Callable[
    [ActionTemplate, VariableScope, GroupMembers], Iterable[ExpandedAction | MemberBlock]
]


class SelectedActions(NamedTuple):
    """What a selection leaves of the actions of a playbook.

    Attributes:
        steps: How many steps are selected, those of all shards.
        owned: How many of them belong to the shard, as far as tags decide it.
        left_out: The indexes of the actions without a selected step. With rows of a live group
            that is not read yet, those that can have none.
    """

    steps: int
    owned: int
    left_out: frozenset[int]


def select_actions(
    playbook: Playbook,
    counts: Sequence[tuple[int, int]],
    selection: Selection,
    first: int,
    earlier: Container[int] | None,
) -> SelectedActions:
    """Find which actions of a playbook, and how many steps, are selected.

    Args:
        playbook: The playbook.
        counts: Those of its `StepCheck`.
        selection: The selection.
        first: The index of its first step.
        earlier: What was left out before live groups were read, so that some were not; or None.
    """
    steps = owned = 0
    left_out: set[int] = set()
    for number, (template, (size, size_owned)) in enumerate(
        zip(playbook.actions, counts, strict=True)
    ):
        has_tags = selection.has_tags(template.tags)
        selected = selection.count(range(first, first + size)) if has_tags else 0
        is_live = any(live_sources(template.for_each))
        if is_live and earlier is not None:
            is_left_out = number in earlier
        elif is_live:
            is_left_out = not (has_tags and selection.may_have_from(first))
        else:
            is_left_out = not has_tags or 0 == selected < size
        if is_left_out:
            left_out.add(number)
        steps += selected
        owned += size_owned if has_tags else 0
        first += size
    return SelectedActions(steps, owned, frozenset(left_out))


def find_named_step(
    playbooks: Iterable[tuple[Playbook, VariableScope]], is_name: Callable[[str], bool]
) -> int | None:
    """Return the index of the first step that has a certain name, as written or as filled in.

    Args:
        playbooks: The playbooks of a run, and what their `${…}` can name.
        is_name: Whether a name is the one.
    """
    index = 0
    for playbook, scope in playbooks:
        members = GroupMembers(playbook, scope, is_whole=False)
        for template in playbook.actions:
            if is_name(template.label or ""):
                return index
            for expanded in members.record(template, _expand(template, scope, members)):
                if is_name(expanded.label or ""):
                    return index
                index += 1
    return None


class StepMaker(NamedTuple):
    """Makes the steps of a playbook, in its order.

    Attributes:
        playbook: A playbook without problems.
        scope: The variables and files.
        options: The merged options of the run.
        hub: The hub's name.
        first: The index of the first step; the playbooks of a run are numbered consecutively.
        shard: Makes only the steps of this shard, with the same indexes; None for all steps.
        selection: Makes only the selected steps, with the same indexes.
        is_final: Whether these are the steps of `finally`.
    """

    playbook: Playbook
    scope: VariableScope
    options: RunOptions
    hub: str
    first: int = 0
    shard: "Shard | None" = None
    selection: Selection = NO_SELECTION
    is_final: bool = False

    def steps(self) -> Iterator[Step]:
        """Return a new iterator that makes the steps one at a time.

        Raises:
            PlaybookError: An expanded value is wrong. After `check_steps` without problems this
                happens only when a file has changed.
        """
        return cast("Iterator[Step]", self._all(_expand))  # there are no blocks

    def blocks(self) -> Iterator[Step | StepBlock]:
        """Return the same, with those of lists of members in blocks where names are simple.

        Where only some steps of a list are made, there are no blocks.
        """
        return self._all(_expand if self.shard or self.selection.is_by_index else _expand_in_blocks)

    def _all(self, expand: _Expand) -> Iterator[Step | StepBlock]:
        index = self.first
        secrets, selection = self.scope.secrets, self.selection
        members = GroupMembers(self.playbook, self.scope, is_whole=False)
        for number, template in enumerate(self.playbook.actions):
            make = self._maker(template, number)
            is_made = _step_filter(template, self.shard, selection, index)
            for expanded in members.record(template, expand(template, self.scope, members)):
                if isinstance(expanded, MemberBlock):
                    block = StepBlock(index, expanded, make)
                    if selection.has_tags(template.tags):
                        yield block
                    index += len(block.indexes)
                    continue
                if expanded.problems:
                    raise PlaybookError(_without_secrets(expanded, secrets).problems)
                if is_made(expanded.values):
                    yield make(expanded, index)
                index += 1

    def _maker(
        self, template: ActionTemplate, number: int
    ) -> Callable[[ExpandedAction, int], Step]:
        """Return what makes the steps of one action; rows share all that it prepares."""
        own, action, options = template.options, template.action, self.options
        on_error = OnError(own.get("onError", options.on_error))
        delivery = Delivery(own.get("delivery", options.delivery))
        timeout = parse_duration(own.get("timeout", options.timeout))
        on_missing = (
            parse_on_missing(own["onMissing"]) if "onMissing" in own else options.on_missing
        )
        if template.prunes:
            on_missing = OnMissing(MissingRule.DONE)
        make_request = RequestTemplate(action, self.hub).fill
        make_locks = locks_for(action)
        is_sequential = options.mode is Mode.SEQUENTIAL
        types = {action_field.type for action_field in action.fields}
        secrets, is_final = self.scope.secrets, self.is_final
        needs_conversion = not types.isdisjoint({FieldType.DATA, FieldType.STRINGS})

        def make(expanded: ExpandedAction, index: int) -> Step:
            values = _convert(action, expanded.values) if needs_conversion else expanded.values
            position = expanded.position
            request = make_request(values)
            request.cells = expanded.row.cells or None
            return Step(
                index,
                number,
                expanded.item,
                action,
                values,
                request,
                EXCLUSIVE if is_sequential else make_locks(values),
                f"{position.file}:{position.line}",
                expanded.label and secrets.mask(expanded.label),
                on_error,
                delivery,
                timeout,
                on_missing,
                secrets,
                is_final,
            )

        return make


def _step_filter(
    template: ActionTemplate, shard: "Shard | None", selection: Selection, first: int
) -> Callable[[Mapping[str, Any]], bool]:
    """Return the function that decides from an action's values whether its step is made.

    Call it once for each step of the action, in order; `first` is the index of the first one.
    """
    if not selection.has_tags(template.tags):
        return lambda _: False
    is_owned = _ownership(template, shard)
    if not selection.is_by_index:
        return is_owned
    indexes = count(first)
    return lambda values: selection.has_index(next(indexes)) and is_owned(values)


def _convert(action: Action, values: Mapping[str, Any]) -> dict[str, Value]:
    """Convert data to bytes and lists to tuples."""
    converted: dict[str, Value] = {}
    for action_field in action.fields:
        name = action_field.name
        if name not in values:
            continue
        value = values[name]
        if action_field.type is FieldType.DATA:
            data_type = str(values.get("dataType", "text"))
            converted["dataType"] = data_type
            is_bytes = isinstance(value, bytes)
            converted[name] = value if is_bytes else encode_message(value, data_type)
        elif action_field.type is FieldType.STRINGS:
            converted[name] = tuple(value)
        else:
            converted[name] = value
    return converted
