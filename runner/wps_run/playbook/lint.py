"""Warnings about a playbook that is valid, and problems for the Functions output binding.

A warning reports what is almost certainly a mistake.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from wps_run.actions.fields import DATA_JSON
from wps_run.actions.locks import Lock, locks_of
from wps_run.actions.payload import quote_json
from wps_run.actions.table import ACTIONS, OverlapKind, Phase
from wps_run.document.document import Path
from wps_run.playbook.expectations import EXPECT
from wps_run.playbook.foreach import strings_in
from wps_run.playbook.groups import GROUPS
from wps_run.playbook.messages import NOT_IN_BINDING, not_in_binding
from wps_run.playbook.model import ActionTemplate, Playbook, PlaybookPart, is_of_group
from wps_run.playbook.options import CONNECTION, HUB, OPTIONS, MissingRule
from wps_run.playbook.placeholders import find_placeholders
from wps_run.playbook.references import (
    NotYetKnownError,
    UnusableReferenceError,
    reference_problem,
    referenced_names,
)
from wps_run.playbook.row_lint import (
    ADD_BY_FILTER,
    BLANKS,
    filter_message,
    filters_in_url,
    takes_no_blanks,
)
from wps_run.playbook.schema import FINALLY
from wps_run.playbook.selection import TAGS, are_apart
from wps_run.playbook.steps import LiveSource, live_sources_of
from wps_run.playbook.templates import parse_template
from wps_run.playbook.variables import VariableScope
from wps_run.problems import Position, Problem, Severity, did_you_mean

EXCLUDED_LIMIT = 200
"""More IDs, of about 40 characters each, make a URL of more than 8 KiB."""

_SHOWN = 120
"""The longest JSON that a problem repeats, in characters."""

_NEEDS_A_CONNECTION = frozenset({OverlapKind.SEND, OverlapKind.JOIN, OverlapKind.GRANT})
_WITHOUT_EFFECT = frozenset({"actionName", "name", TAGS, *OPTIONS})
"""Keys that do not change what an action sends."""


def find_warnings(
    playbook: Playbook,
    *,
    variables: Collection[str] = (),
    environment: Collection[str] | None = None,
) -> Iterator[Problem]:
    """Yield the warnings about a playbook that its rows do not change, rule by rule.

    Rules: `no-actions`, `repeated-action`, `send-after-close`, `undone-action`, `empty-data`,
    `many-excluded`, `long-filter`, `blanks`, `placeholder`, `unset-environment`,
    `unused-variable`. Actions with errors are not checked.

    Args:
        playbook: The playbook.
        variables: The names of the variables from outside.
        environment: The names of the environment variables that are set, or None if unknown.
    """
    yield from _unique(_find_warnings(playbook, variables, environment))


def _unique(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield each problem once: a file may be included several times."""
    known: set[Problem] = set()
    for problem in problems:
        if problem not in known:
            known.add(problem)
            yield problem


def _find_warnings(
    playbook: Playbook, variables: Collection[str], environment: Collection[str] | None
) -> Iterator[Problem]:
    yield from _find_no_actions(playbook)
    for phase in playbook.phases:
        yield from _find_repeated(phase)
        yield from _Contradictions(phase).find()
        for template in phase.actions:
            yield from _find_wasteful_values(template)
        yield from _find_literal_blanks(phase)
    yield from find_placeholders(playbook, variables)
    for part in playbook.parts:
        if environment is not None:
            yield from _find_unset_environment(part, environment)
        yield from _find_unused_variables(part)


class PlaybookOfRun(NamedTuple):
    """A playbook, with what its `${…}` can name, and what distinguishes its hub from others."""

    playbook: Playbook
    scope: VariableScope
    hub: str


def find_late_changes(run: Iterable[PlaybookOfRun]) -> Iterator[Problem]:
    """Yield a warning for each live group whose connections an earlier action may change.

    It is read before the first action of the run, so that its rows do not have the change.
    """
    changes = _GroupChanges()
    for playbook, scope, hub in run:
        sources: dict[object, list[LiveSource]] = {}
        for source in live_sources_of(playbook, scope):
            sources.setdefault(source.template.entry, []).append(source)
        for entry, templates in groupby(playbook.actions, key=lambda template: template.entry):
            for source in sources.get(entry, ()):
                change = changes.find(hub, source.group)
                if change:
                    yield _late_change(scope, source, change)
            for template in templates:
                changes.add(template, scope.of(template.part), hub)


class _GroupChange(NamedTuple):
    """An action that may change who is in a group, and its position."""

    template: ActionTemplate
    position: Position


class _GroupChanges:
    """The actions that may change who is in a group: the first one for each name."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, str], _GroupChange] = {}
        self._by_parts: dict[tuple[str, tuple[str, ...]], _GroupChange] = {}
        """By hub and the parts of names between the cells of rows."""

    def find(self, hub: str, group: str) -> _GroupChange | None:
        """Return an action that may change the group."""
        change = self._by_name.get((hub, group))
        matching = (
            change
            for (of_hub, parts), change in self._by_parts.items()
            if of_hub == hub and _may_be(group, parts)
        )
        return change or next(matching, None)

    def add(self, template: ActionTemplate, scope: VariableScope, hub: str) -> None:
        overlap = template.action.overlap
        if "groups" in template.values:
            groups = template.values["groups"]
        elif overlap.kind in {OverlapKind.JOIN, OverlapKind.LEAVE}:
            groups = [template.values["group"]]
        elif overlap.phase in {Phase.CLOSE, Phase.LEAVE_ALL}:
            groups = ["${each}"]  # of any name
        else:
            return
        position = template.part.document.position((*template.path, "actionName"))
        for text in groups:
            parts = (text,) if template.part.is_bare else _parts_of(text, scope)
            if len(parts) == 1:
                self._by_name.setdefault((hub, parts[0]), _GroupChange(template, position))
            elif len(self._by_parts) < _MOST_PATTERNS:
                self._by_parts.setdefault((hub, parts), _GroupChange(template, position))


_MOST_PATTERNS = 200
"""The most different names with cells of rows that are compared: it takes time."""

_ANY = ("", "")


def _parts_of(text: str, scope: VariableScope) -> tuple[str, ...]:
    """Return the parts of a name between the cells of rows, and between what is not known."""
    try:
        return parse_template(text, scope).parts[::2]
    except (UnusableReferenceError, NotYetKnownError):
        return _ANY


def _may_be(name: str, parts: Sequence[str]) -> bool:
    """Whether a name consists of these parts with any texts between them."""
    first, *middle, last = parts
    start, end = len(first), len(name) - len(last)
    if start > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in middle:
        start = name.find(part, start, end) + len(part)
        if start < len(part):
            return False
    return True


def _late_change(scope: VariableScope, source: LiveSource, change: _GroupChange) -> Problem:
    position = change.position
    document = source.template.part.document
    is_other = position.file != document.file
    where = f"at {position}" if is_other else f"on line {position.line}"
    group = scope.secrets.mask(source.group)
    message = (
        f"the group `{group}` is read before the first action of the run, so its rows lack what "
        f"`{change.template.action.name}` {where} may change; run this action in a run of its own, "
        "afterwards"
    )
    return document.problem(message, "late-change", source.path, severity=Severity.WARNING)


def find_unused_assignments(names: Iterable[str], used: Collection[str]) -> Iterator[Problem]:
    """Yield a warning, without a position, for each variable from outside that is not in `used`."""
    for name in dict.fromkeys(names):
        if name not in used:
            near = did_you_mean(name, sorted(used))
            message = f"the variable `{name}` is given, but no playbook uses it{near}"
            yield Problem(message, "unused-variable", severity=Severity.WARNING)


def used_variables(playbook: Playbook) -> frozenset[str]:
    """Return the names in `${…}` in actions, groups and expectations, also with errors."""
    return frozenset().union(*(used_in(part) for part in playbook.parts))


def used_in(part: PlaybookPart) -> frozenset[str]:
    """Return the names in `${…}` in one file of a playbook, likewise."""
    texts = _texts_with_variables(part)
    return frozenset(name for _, text in texts for name in referenced_names(text))


def _texts_with_variables(part: PlaybookPart) -> Iterator[tuple[Path, str]]:
    """Yield the texts whose `${…}` are replaced, also with errors, in their order with their paths.

    The name of a group has the path of its entry.
    """
    data = part.document.data
    if part.is_bare or not isinstance(data, dict):
        return
    for key, value in data.items():
        if key == GROUPS and isinstance(value, dict):
            for name, entry in value.items():
                yield (key, name), name
                yield from strings_in(entry, (key, name))
        elif key in {HUB.key, CONNECTION.key, "actions", EXPECT, FINALLY}:
            yield from strings_in(value, (key,))


def _find_unused_variables(part: PlaybookPart) -> Iterator[Problem]:
    used = used_in(part) if part.variables else ()
    for name in part.variables:
        if name not in used:
            message = f"no action uses the variable `{name}`; write `${{{name}}}`, or leave it out"
            yield part.document.problem(
                message, "unused-variable", ("vars", name), at_key=True, severity=Severity.WARNING
            )


def _find_repeated(playbook: Playbook) -> Iterator[Problem]:
    """Find actions that are repeated although nothing can have undone the first one.

    A lock that is taken for another use in between can undo it. Where a lock depends on rows or
    variables, later actions are not compared with earlier ones.
    """
    history = _ActionHistory()
    for index, template in enumerate(playbook.actions):
        if template.for_each is not None:
            history.forget()
            continue
        item = template.part.document.value_at(template.path)
        locks = locks_of(template.action, template.values)
        action = repr((template.action.name, sorted(_effective_values(item))))
        if "${" in action or template.data_file:
            action += f" in part {id(template.part)}"  # another one has other variables and files
        first = history.find_unchanged(action, locks)
        if first is not None and not are_apart(template.tags, playbook.actions[first].tags):
            place = playbook.actions[first].position
            is_near = place.file == template.part.document.file
            where = f"line {place.line}" if is_near else f"{place.file}:{place.line}"
            if place == template.position:
                where = "another include of this file"
            message = f"{where} has the same `{template.action.name}`; leave one of them out"
            yield _warning(template, "actionName", message, "repeated-action")
        if any("${" in part for lock in locks for part in lock.key):
            history.forget()
        history.add(index, action, locks)


def _effective_values(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((key, repr(value)) for key, value in item.items() if key not in _WITHOUT_EFFECT)


class _ActionHistory:
    """The earlier actions, and since which action each lock has had its present use."""

    def __init__(self) -> None:
        self._actions: dict[str, int] = {}
        self._uses: dict[tuple[str, str], tuple[str, int]] = {}

    def forget(self) -> None:
        """Compare no earlier action with later ones."""
        self._actions.clear()

    def find_unchanged(self, action: str, locks: Sequence[Lock]) -> int | None:
        """Return the index of the same action if its locks have had the same use since then."""
        earlier = self._actions.get(action)
        if earlier is None:
            return None
        for lock in locks:
            use, since = self._uses[lock.key]
            if use != lock.use or since > earlier:
                return None
        return earlier

    def add(self, index: int, action: str, locks: Sequence[Lock]) -> None:
        """Add an action. An exclusive use begins again each time."""
        self._actions[action] = index
        for lock in locks:
            if not lock.shared or self._uses.get(lock.key, ("",))[0] != lock.use:
                self._uses[lock.key] = (lock.use, index)


class _Target(NamedTuple):
    """What a property names, as written.

    Attributes:
        text: The value of the property.
        part: The part of the playbook whose variables it has; None without.
        rows: A number for the source of the rows that `${each}` in it stands for; 0 without.
    """

    text: str
    part: PlaybookPart | None = None
    rows: int = 0


class _LatestUses:
    """Which action was the latest to use a group. A group with a variable may be any group."""

    def __init__(self) -> None:
        self._by_group: dict[_Target, int] = {}
        self._unknown = self._latest = -1

    def add(self, groups: Iterable[_Target], index: int) -> None:
        for group in groups:
            self._by_group[group] = self._latest = index
            if "${" in group.text:
                self._unknown = index

    def add_unknown(self, index: int) -> None:
        self._unknown = self._latest = index

    def latest(self, group: _Target) -> int:
        """Return the index of the latest action that may have used a group, or -1."""
        if "${" in group.text:
            return self._latest
        return max(self._unknown, self._by_group.get(group, -1))


class _Contradictions:
    """Finds actions that undo an earlier one, and those whose target an earlier one closed.

    Two targets are the same if they are written the same and, with `${each}`, for the same rows.
    """

    def __init__(self, playbook: Playbook) -> None:
        self._playbook = playbook
        self._everyone: ActionTemplate | None = None
        """The action that closed all connections."""
        self._closed: dict[tuple[str, _Target], int] = {}
        """The action that closed a user, a connection or the connections in a group."""
        self._added: dict[object, dict[_Target, int]] = {}
        """By a member, the groups that it was added to, and by which action."""
        self._granted: dict[object, int] = {}
        self._joins, self._reads = _LatestUses(), _LatestUses()
        self._sources: dict[tuple[PlaybookPart, str], int] = {}
        """A number for each source of rows."""
        self._part: PlaybookPart | None = None
        """The part of the playbook with the current action."""
        self._rows = 0
        """The number of its source of rows, or 0."""

    def find(self) -> Iterator[Problem]:
        for index, template in enumerate(self._playbook.actions):
            if is_of_group(template):
                continue  # comes first, and what removes it again is an error
            self._part, self._rows = template.part, 0
            if template.for_each is not None:
                source = template.part, json.dumps(template.for_each, sort_keys=True)
                self._rows = self._sources.setdefault(source, len(self._sources) + 1)
            yield from self._find_closed(template)
            yield from self._find_undone(template)
            self._add_effects(index, template)
            self._add_uses(index, template)

    def _find_closed(self, template: ActionTemplate) -> Iterator[Problem]:
        if not _needs_a_connection(self._playbook, template):
            return
        found = self._closing_action(template)
        if found and not are_apart(template.tags, found[0].tags):
            closing, state = found
            message = (
                f"`{template.action.name}` comes after `{closing.action.name}` at "
                f"{self._place(closing)}, when {state}; write it before"
            )
            yield _warning(template, "actionName", message, "send-after-close")

    def _closing_action(self, template: ActionTemplate) -> tuple[ActionTemplate, str] | None:
        """Return the action that closed the target, and what this means for it."""
        if self._everyone is not None:
            return self._everyone, "nobody is connected"
        for name, target in self._targets(template, *_CLOSED_STATES).items():
            index = self._closed.get((name, target))
            is_group = name == "group"
            if index is None or (is_group and template.action.overlap.kind is OverlapKind.JOIN):
                continue
            if not is_group or self._joins.latest(target) < index:
                return self._playbook.actions[index], _CLOSED_STATES[name]
        return None

    def _find_undone(self, template: ActionTemplate) -> Iterator[Problem]:
        kind = template.action.overlap.kind
        undone: int | None = None
        if kind is OverlapKind.LEAVE_ALL:
            groups = self._added.pop(self._member(template), {})
            unread = [added for group, added in groups.items() if self._is_unread(group, added)]
            undone = max(unread, default=None)
        elif kind is OverlapKind.LEAVE or template.action.name == _REMOVE_BY_FILTER:
            added_to = self._added.get(self._member(template), {})
            for group in self._groups(template):
                added = added_to.pop(group, None)
                if added is not None and self._is_unread(group, added):
                    undone = added
        elif kind is OverlapKind.REVOKE:
            undone = self._granted.pop(self._permission(template), None)
        earlier = None if undone is None else self._playbook.actions[undone]
        if earlier and not are_apart(template.tags, earlier.tags):
            message = (
                f"`{template.action.name}` undoes `{earlier.action.name}` at "
                f"{self._place(earlier)}, and nothing in between needs it; leave both out, or "
                "write this one first"
            )
            yield _warning(template, "actionName", message, "undone-action")

    def _is_unread(self, group: _Target, added: int) -> bool:
        return self._reads.latest(group) <= added

    def _add_effects(self, index: int, template: ActionTemplate) -> None:
        """Take over whom the action adds or closes."""
        kind, groups = template.action.overlap.kind, self._groups(template)
        if kind is OverlapKind.JOIN or template.action.name == ADD_BY_FILTER:
            self._joins.add(groups, index)
            self._added.setdefault(self._member(template), {}).update(dict.fromkeys(groups, index))
        elif kind is OverlapKind.GRANT:
            self._granted[self._permission(template)] = index
        elif kind is OverlapKind.CLOSE and not template.values.get("excluded"):
            for name, target in self._targets(template, *_CLOSED_STATES).items():
                if template.for_each is None or target.rows:  # else possibly no rows
                    self._closed[name, target] = index

    def _add_uses(self, index: int, template: ActionTemplate) -> None:
        """Take over which groups the action reads, and whether somebody is connected after it."""
        if template.action.overlap.kind in {OverlapKind.SEND, OverlapKind.CLOSE}:
            self._reads.add(self._groups(template), index)
        if "filter" in template.values:
            self._reads.add_unknown(index)
        if _closes_everyone(template):
            self._everyone = template
        elif _waits(self._playbook, template):
            self._everyone = None  # when its wait ends, somebody is connected again
            self._closed.clear()

    def _target(self, text: str) -> _Target:
        if "${" not in text:
            return _Target(text)
        return _Target(text, self._part, self._rows if "${each" in text else 0)

    def _targets(self, template: ActionTemplate, *names: str) -> dict[str, _Target]:
        """Return what the action names by these properties, by their names."""
        values = template.values
        return {name: self._target(values[name]) for name in names if name in values}

    def _groups(self, template: ActionTemplate) -> list[_Target]:
        group = template.values.get("group")
        names = template.values.get("groups", [] if group is None else [group])
        return [self._target(name) for name in names]

    def _member(self, template: ActionTemplate) -> object:
        """Return what distinguishes those that an action adds or removes."""
        return tuple(self._targets(template, "userId", "connectionId", "filter").items())

    def _permission(self, template: ActionTemplate) -> object:
        return tuple(self._targets(template, "connectionId", "permission", "targetName").items())

    def _place(self, template: ActionTemplate) -> str:
        position = template.position
        return f"{position.file}:{position.line}"


_CLOSED_STATES = {
    "connectionId": "this connection is closed",
    "userId": "this user is not connected",
    "group": "nobody is in the group",
}
_REMOVE_BY_FILTER = ACTIONS["removeConnectionsFromGroups"].name


def _closes_everyone(template: ActionTemplate) -> bool:
    overlap = template.action.overlap
    closes_all = overlap.phase is Phase.CLOSE and overlap.kind is OverlapKind.ALONE
    has_rows = template.for_each is not None  # possibly none
    return closes_all and not has_rows and not template.values.get("excluded")


def _needs_a_connection(playbook: Playbook, template: ActionTemplate) -> bool:
    """Return whether an action has no effect without a connection, and does not wait for one."""
    overlap = template.action.overlap
    if _waits(playbook, template):
        return False
    return (
        overlap.kind in _NEEDS_A_CONNECTION
        or overlap.phase is Phase.BROADCAST
        or template.action.name == ADD_BY_FILTER
    )


def _waits(playbook: Playbook, template: ActionTemplate) -> bool:
    on_missing = template.options.get("onMissing", playbook.options.get("onMissing"))
    return isinstance(on_missing, dict) and MissingRule.WAIT in on_missing


def _find_wasteful_values(template: ActionTemplate) -> Iterator[Problem]:
    if template.values.get("data") == "":
        message = "`data` is empty, so that an empty message is sent; write the message"
        yield _warning(template, "data", message, "empty-data")
    excluded = len(template.values.get("excluded", ()))
    if excluded > EXCLUDED_LIMIT:
        message = (
            f"`excluded` has {excluded} IDs, and all of them are part of the URL; with more than "
            f"{EXCLUDED_LIMIT} it can exceed 8 KiB, which many servers refuse; send to a group"
        )
        yield _warning(template, "excluded", message, "many-excluded")
    if not template.has_templates:  # else `RowLint` checks it with its variables filled in
        for name in filters_in_url(template):
            if too_long := filter_message(name, template.values[name]):
                yield _warning(template, name, too_long, "long-filter")


def _find_no_actions(playbook: Playbook) -> Iterator[Problem]:
    data = playbook.document.data
    actions = data if playbook.is_bare else data.get("actions") if isinstance(data, dict) else None
    has_others = (
        any(phase.actions for phase in playbook.phases)
        or playbook.parts[0].expectations
        or playbook.problems
    )
    if actions == [] and not has_others:
        path = () if playbook.is_bare else ("actions",)
        message = "there are no actions, so a run does nothing; add actions to this list"
        yield playbook.document.problem(message, "no-actions", path, severity=Severity.WARNING)


def _find_literal_blanks(playbook: Playbook) -> Iterator[Problem]:
    for entry in playbook.group_entries:
        name = str(entry.path[-1])
        if name != name.strip():
            message = f"the name of this group has blanks around it, {BLANKS}"
            yield entry.problem(message, "blanks", at_key=True, severity=Severity.WARNING)
    for template in playbook.actions:
        if not is_of_group(template):  # whose members `RowLint` checks
            yield from _find_blanks_in(template)


def _find_blanks_in(template: ActionTemplate) -> Iterator[Problem]:
    for field in filter(takes_no_blanks, template.action.fields):
        value = template.values.get(field.name, ())
        is_list = isinstance(value, list)
        for index, text in enumerate(value if is_list else [value]):
            if isinstance(text, str) and text != text.strip() and not field.is_expression:
                below = (field.name, *((index,) if is_list else ()))
                message = f"`{field.name}` has blanks around it, {BLANKS}"
                yield template.problem(message, "blanks", *below, severity=Severity.WARNING)


def _find_unset_environment(part: PlaybookPart, environment: Collection[str]) -> Iterator[Problem]:
    """Yield a warning for each environment variable that is used and not set, at its first use."""
    first_uses: dict[str, Path] = {}
    for path, text in _texts_with_variables(part):
        for name in referenced_names(text):
            if name.startswith("env."):
                first_uses.setdefault(name, path)
    for reference, path in first_uses.items():
        name = reference.removeprefix("env.")
        if name in environment:
            continue
        message = (
            f"the environment variable `{name}` is not set here; a run needs it, in the "
            "environment or in the file of --settings"
        )
        problem = reference_problem(
            part.document,
            path,
            f"${{{reference}}}",
            message,
            "unset-environment",
            at_key=path[:-1] == (GROUPS,),
        )
        yield problem._replace(severity=Severity.WARNING)


def _warning(template: ActionTemplate, key: str, message: str, rule: str) -> Problem:
    return template.problem(message, rule, key, severity=Severity.WARNING)


def find_not_in_binding(playbook: Playbook) -> Iterator[Problem]:
    """Yield a problem for each action, and each property, that the binding does not have."""
    return _unique(_not_in_binding(playbook))


def _not_in_binding(playbook: Playbook) -> Iterator[Problem]:
    for template in (*playbook.actions, *playbook.finally_actions):
        if template.values.get("dataType") == "binary" and isinstance(
            template.values.get("data"), str
        ):
            yield template.problem(
                "the Functions output binding takes binary `data` only as the JSON of a Node "
                'Buffer, {"type":"Buffer","data":[…]}, not as base64',
                NOT_IN_BINDING,
                "data",
            )
        for key, message in not_in_binding(template.action, template.values):
            yield template.problem(
                f"{message}{_instead(template, key)}",
                NOT_IN_BINDING,
                key,
                at_key=key != "actionName",
            )


def _instead(template: ActionTemplate, key: str) -> str:
    """Return what to write in place of a property that stands for another one."""
    if key != DATA_JSON.name:
        return ""
    text = quote_json(template.part.document.value_at((*template.path, key)))
    if len(text) > _SHOWN:
        return f"; write the JSON as a string in `{DATA_JSON.replaces}`, with `dataType: json`"
    return f"; write `dataType: json` and `{DATA_JSON.replaces}: {text}`"
