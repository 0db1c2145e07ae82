"""Warnings about a playbook that is valid, and problems for the Functions output binding.

A warning reports what is almost certainly a mistake.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from wps_run.actions.fields import Field, Origin
from wps_run.actions.locks import Lock, locks_of
from wps_run.actions.payload import quote_json
from wps_run.actions.table import OverlapKind, Phase
from wps_run.document.document import Path
from wps_run.playbook.expectations import EXPECT
from wps_run.playbook.foreach import strings_in
from wps_run.playbook.groups import GROUPS
from wps_run.playbook.model import ActionTemplate, Playbook
from wps_run.playbook.options import OPTIONS, MissingRule
from wps_run.playbook.steps import LiveSource, live_sources_of
from wps_run.playbook.variables import (
    NotYetKnownError,
    UnusableReferenceError,
    VariableScope,
    parse_template,
    referenced_names,
)
from wps_run.problems import Position, Problem, Severity, did_you_mean

EXCLUDED_LIMIT = 200
"""More IDs, of about 40 characters each, make a URL of more than 8 KiB."""

NOT_IN_BINDING = "not-in-binding"
"""The rule of `find_not_in_binding`."""

_SHOWN = 120
"""The longest JSON that a problem repeats, in characters."""

_NEEDS_A_CONNECTION = frozenset({OverlapKind.SEND, OverlapKind.JOIN, OverlapKind.GRANT})
_WITHOUT_EFFECT = frozenset({"actionName", "name", *OPTIONS})
"""Keys that do not change what an action sends."""


def find_warnings(playbook: Playbook) -> Iterator[Problem]:
    """Yield the warnings about a playbook, rule by rule.

    Rules: `repeated-action`, `send-after-close`, `empty-data`, `many-excluded`,
    `unused-variable`. Actions with errors are not checked.
    """
    yield from _find_repeated(playbook)
    yield from _find_sends_after_close(playbook)
    for template in playbook.actions:
        yield from _find_wasteful_values(playbook, template)
    yield from _find_unused_variables(playbook)


class PlaybookOfRun(NamedTuple):
    """A playbook, with what its `${…}` can name and its hub."""

    playbook: Playbook
    scope: VariableScope
    hub: str


def find_late_changes(run: Iterable[PlaybookOfRun]) -> Iterator[Problem]:
    """Yield a warning for each live group whose connections an earlier action may change.

    It is read before the first action of the run, so that its rows do not have the change.
    """
    changes = _GroupChanges()
    for playbook, scope, hub in run:
        sources: dict[Path, list[LiveSource]] = {}
        for source in live_sources_of(playbook, scope):
            sources.setdefault(source.template.path, []).append(source)
        # All actions that are made from one entry of `groups` have its path.
        for path, templates in groupby(playbook.actions, key=lambda template: template.path):
            for source in sources.get(path, ()):
                change = changes.find(hub, source.group)
                if change:
                    yield _late_change(playbook, scope, source, change)
            for template in templates:
                changes.add(template, playbook, scope, hub)


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
        change = self._by_name.get((hub.lower(), group))
        matching = (
            change
            for (of_hub, parts), change in self._by_parts.items()
            if of_hub == hub.lower() and _may_be(group, parts)
        )
        return change or next(matching, None)

    def add(
        self, template: ActionTemplate, playbook: Playbook, scope: VariableScope, hub: str
    ) -> None:
        overlap = template.action.overlap
        if "groups" in template.values:
            groups = template.values["groups"]
        elif overlap.kind in {OverlapKind.JOIN, OverlapKind.LEAVE}:
            groups = [template.values["group"]]
        elif overlap.phase in {Phase.CLOSE, Phase.LEAVE_ALL}:
            groups = ["${each}"]  # of any name
        else:
            return
        position = playbook.document.position((*template.path, "actionName"))
        for text in groups:
            parts = _parts_of(text, scope, playbook)
            if len(parts) == 1:
                self._by_name.setdefault((hub.lower(), parts[0]), _GroupChange(template, position))
            elif len(self._by_parts) < _MOST_PATTERNS:
                self._by_parts.setdefault((hub.lower(), parts), _GroupChange(template, position))


_MOST_PATTERNS = 200
"""The most different names with cells of rows that are compared: it takes time."""

_ANY = ("", "")


def _parts_of(text: str, scope: VariableScope, playbook: Playbook) -> tuple[str, ...]:
    """Return the parts of a name between the cells of rows, and between what is not known."""
    if playbook.is_bare and "${" in text:
        return (text,)
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


def _late_change(
    playbook: Playbook, scope: VariableScope, source: LiveSource, change: _GroupChange
) -> Problem:
    position = change.position
    is_other = position.file != playbook.document.file
    where = f"at {position}" if is_other else f"on line {position.line}"
    group = scope.secrets.mask(source.group)
    message = (
        f"the group `{group}` is read before the first action of the run, so its rows lack what "
        f"`{change.template.action.name}` {where} may change; run this action in a run of its own, "
        "afterwards"
    )
    return playbook.document.problem(message, "late-change", source.path, severity=Severity.WARNING)


def find_unused_assignments(names: Iterable[str], used: Collection[str]) -> Iterator[Problem]:
    """Yield a warning, without a position, for each variable from outside that is not in `used`."""
    for name in dict.fromkeys(names):
        if name not in used:
            near = did_you_mean(name, sorted(used))
            message = f"the variable `{name}` is given, but no playbook uses it{near}"
            yield Problem(message, "unused-variable", severity=Severity.WARNING)


def used_variables(playbook: Playbook) -> frozenset[str]:
    """Return the names in `${…}` in actions, groups and expectations, also with errors."""
    data = playbook.document.data
    if playbook.is_bare or not isinstance(data, dict):
        return frozenset()
    lists = [data.get("actions"), data.get(EXPECT), data.get(GROUPS), list(data.get(GROUPS) or ())]
    strings = strings_in(lists)
    return frozenset(name for _, text in strings for name in referenced_names(text))


def _find_unused_variables(playbook: Playbook) -> Iterator[Problem]:
    used = used_variables(playbook) if playbook.variables else ()
    for name in playbook.variables:
        if name not in used:
            message = f"no action uses the variable `{name}`; write `${{{name}}}`, or leave it out"
            yield playbook.document.problem(
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
        item = playbook.document.value_at(template.path)
        locks = locks_of(template.action, template.values)
        action = repr((template.action.name, sorted(_effective_values(item))))
        first = history.find_unchanged(action, locks)
        if first is not None:
            line = playbook.document.position(playbook.actions[first].path).line
            message = f"line {line} has the same `{template.action.name}`; leave one of them out"
            yield _warning(playbook, template, "actionName", message, "repeated-action")
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
        """Add an action. An exclusive use begins anew each time."""
        self._actions[action] = index
        for lock in locks:
            if not lock.shared or self._uses.get(lock.key, ("",))[0] != lock.use:
                self._uses[lock.key] = (lock.use, index)


def _find_sends_after_close(playbook: Playbook) -> Iterator[Problem]:
    closing: ActionTemplate | None = None
    for template in playbook.actions:
        if closing is not None and _needs_a_connection(playbook, template):
            line = playbook.document.position(closing.path).line
            message = (
                f"`{template.action.name}` comes after `{closing.action.name}` on line {line}, "
                "when nobody is connected; write it before"
            )
            yield _warning(playbook, template, "actionName", message, "send-after-close")
        if _closes_everyone(template):
            closing = template
        elif _waits(playbook, template):
            closing = None  # when its wait ends, somebody is connected again


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
    return overlap.kind in _NEEDS_A_CONNECTION or overlap.phase is Phase.BROADCAST


def _waits(playbook: Playbook, template: ActionTemplate) -> bool:
    on_missing = template.options.get("onMissing", playbook.options.get("onMissing"))
    return isinstance(on_missing, dict) and MissingRule.WAIT in on_missing


def _find_wasteful_values(playbook: Playbook, template: ActionTemplate) -> Iterator[Problem]:
    if template.values.get("data") == "":
        message = "`data` is empty, so that an empty message is sent; write the message"
        yield _warning(playbook, template, "data", message, "empty-data")
    excluded = len(template.values.get("excluded", ()))
    if excluded > EXCLUDED_LIMIT:
        message = (
            f"`excluded` has {excluded} IDs, and all of them are part of the URL; with more than "
            f"{EXCLUDED_LIMIT} it can exceed 8 KiB, which many servers refuse; send to a group"
        )
        yield _warning(playbook, template, "excluded", message, "many-excluded")


def _warning(
    playbook: Playbook, template: ActionTemplate, key: str, message: str, rule: str
) -> Problem:
    path = (*template.path, key)
    return playbook.document.problem(message, rule, path, severity=Severity.WARNING)


def find_not_in_binding(playbook: Playbook) -> Iterator[Problem]:
    """Yield a problem for each action, and each property, that the binding does not have."""
    for template in playbook.actions:
        if template.action.origin is Origin.REST:
            yield playbook.document.problem(
                f"`{template.action.name}` is not an action of the Functions output binding",
                NOT_IN_BINDING,
                (*template.path, "actionName"),
            )
            continue
        if template.values.get("dataType") == "binary" and isinstance(
            template.values.get("data"), str
        ):
            yield playbook.document.problem(
                "the Functions output binding takes binary `data` only as the JSON of a Node "
                'Buffer, {"type":"Buffer","data":[…]}, not as base64',
                NOT_IN_BINDING,
                (*template.path, "data"),
            )
        for field in template.action.fields:
            if field.origin is not Origin.BINDING and field.name in template.values:
                yield playbook.document.problem(
                    f"the Functions output binding has no `{field.name}` on "
                    f"`{template.action.name}`{_instead(playbook, template, field)}",
                    NOT_IN_BINDING,
                    (*template.path, field.name),
                    at_key=True,
                )


def _instead(playbook: Playbook, template: ActionTemplate, field: Field) -> str:
    """Return what to write in place of a property that stands for another one."""
    if not field.replaces:
        return ""
    text = quote_json(playbook.document.value_at((*template.path, field.name)))
    if len(text) > _SHOWN:
        return f"; write the JSON as a string in `{field.replaces}`, with `dataType: json`"
    return f"; write `dataType: json` and `{field.replaces}: {text}`"
