"""What is allowed in a playbook, and yet hardly meant: few warnings, and sure ones.

What in a playbook the Functions output binding does not have.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from wps_run.actions.locks import Lock, locks_of
from wps_run.actions.table import Origin, OverlapKind, Phase
from wps_run.playbook.model import ActionTemplate, Playbook
from wps_run.playbook.options import OPTIONS, MissingRule
from wps_run.playbook.variables import referenced_names
from wps_run.problems import Problem, Severity, did_you_mean

EXCLUDED_LIMIT = 200
"""More IDs than that, at some 40 characters each, make a URL of over 8 KiB."""

_NEEDS_A_CONNECTION = frozenset({OverlapKind.SEND, OverlapKind.JOIN, OverlapKind.GRANT})
_NOT_DONE = frozenset({"actionName", "name", *OPTIONS})
"""Keys that do not change what an action does."""


def find_warnings(playbook: Playbook) -> Iterator[Problem]:
    """Every warning that the playbook alone gives cause for.

    Rules: `repeated-action`, `send-after-close`, `empty-data`, `many-excluded`,
    `unused-variable`. Actions that have an error of their own are not looked at.

    Args:
        playbook: As `read_playbook` gives it.

    Yields:
        Problems of severity WARNING, rule by rule.
    """
    yield from _repeated(playbook)
    yield from _after_close(playbook)
    for written in playbook.actions:
        yield from _wasted(playbook, written)
    yield from _unused(playbook)


def find_unused_assignments(names: Iterable[str], used: Collection[str]) -> Iterator[Problem]:
    """A warning, without a place, for each variable given from outside that nothing uses.

    Args:
        names: The variables.
        used: The names that the playbooks of the call use, as `used_variables` gives them.
    """
    for name in dict.fromkeys(names):
        if name not in used:
            near = did_you_mean(name, sorted(used))
            message = f"the variable `{name}` is given, but no playbook uses it{near}"
            yield Problem(message, "unused-variable", severity=Severity.WARNING)


def used_variables(playbook: Playbook) -> frozenset[str]:
    """The names that `${…}` reads in the actions, those with errors included."""
    data = playbook.document.data
    if playbook.bare or not isinstance(data, dict):
        return frozenset()
    return frozenset(
        name for text in _strings(data.get("actions")) for name in referenced_names(text)
    )


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def _unused(playbook: Playbook) -> Iterator[Problem]:
    if not playbook.variables:
        return
    used = used_variables(playbook)
    for name in playbook.variables:
        if name not in used:
            message = f"no action uses the variable `{name}`; write `${{{name}}}`, or leave it out"
            yield playbook.document.problem(
                message, "unused-variable", ("vars", name), at_key=True, severity=Severity.WARNING
            )


def _repeated(playbook: Playbook) -> Iterator[Problem]:
    """Actions that are written again although nothing can have undone the first one.

    A target is undone when it is locked for another use in between. Where a target is not
    known before the run (rows, variables), nothing before it is compared with what follows.
    """
    seen = _Seen()
    for number, written in enumerate(playbook.actions):
        item = playbook.document.value_at(written.path)
        if "forEach" in item:
            seen.forget()
            continue
        locks = locks_of(written.action, written.values)
        done = repr((written.action.name, sorted(_done(item))))
        earlier = seen.unchanged(done, locks)
        if earlier is not None:
            line = playbook.document.position(playbook.actions[earlier].path).line
            message = f"line {line} has the same `{written.action.name}`; leave one of them out"
            yield _warning(playbook, written, "actionName", message, "repeated-action")
        if any("${" in text for lock in locks for text in lock.key):
            seen.forget()
        seen.note(number, done, locks)


def _done(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((key, repr(value)) for key, value in item.items() if key not in _NOT_DONE)


class _Seen:
    """Which actions there were, and since when each key is locked for its present use."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._uses: dict[tuple[str, str], tuple[str, int]] = {}

    def forget(self) -> None:
        """Compare nothing from before with what follows."""
        self._done.clear()

    def unchanged(self, done: str, locks: Iterable[Lock]) -> int | None:
        """The number of the same action, if all it locks is locked for the same use since."""
        earlier = self._done.get(done)
        if earlier is None:
            return None
        for lock in locks:
            use, since = self._uses[lock.key]
            if use != lock.use or since > earlier:
                return None
        return earlier

    def note(self, number: int, done: str, locks: Iterable[Lock]) -> None:
        """Take in one action. A use that is not shared begins anew each time."""
        self._done[done] = number
        for lock in locks:
            if not lock.shared or self._uses.get(lock.key, ("",))[0] != lock.use:
                self._uses[lock.key] = (lock.use, number)


def _after_close(playbook: Playbook) -> Iterator[Problem]:
    closed: ActionTemplate | None = None
    for written in playbook.actions:
        if closed is not None and _needs_a_connection(playbook, written):
            line = playbook.document.position(closed.path).line
            message = (
                f"`{written.action.name}` comes after `{closed.action.name}` on line {line}, "
                "when nobody is connected; write it before"
            )
            yield _warning(playbook, written, "actionName", message, "send-after-close")
        if _closes_everyone(written):
            closed = written
        elif _waits(playbook, written):
            closed = None  # when its wait is over, somebody is connected again


def _closes_everyone(written: ActionTemplate) -> bool:
    overlap = written.action.overlap
    everyone = overlap.phase is Phase.CLOSE and overlap.kind is OverlapKind.ALONE
    surely = written.for_each is None  # there may be no rows
    return everyone and surely and not written.values.get("excluded")


def _needs_a_connection(playbook: Playbook, written: ActionTemplate) -> bool:
    """Whether it reaches nobody unless somebody is connected, and does not wait for that."""
    overlap = written.action.overlap
    if _waits(playbook, written):
        return False
    return overlap.kind in _NEEDS_A_CONNECTION or overlap.phase is Phase.BROADCAST


def _waits(playbook: Playbook, written: ActionTemplate) -> bool:
    """Whether it is asked again until its user or connection is there."""
    missing = written.options.get("onMissing", playbook.options.get("onMissing"))
    return isinstance(missing, dict) and MissingRule.WAIT in missing


def _wasted(playbook: Playbook, written: ActionTemplate) -> Iterator[Problem]:
    if written.values.get("data") == "":
        message = "`data` is empty, so that an empty message is sent; write the message"
        yield _warning(playbook, written, "data", message, "empty-data")
    excluded = len(written.values.get("excluded", ()))
    if excluded > EXCLUDED_LIMIT:
        message = (
            f"`excluded` has {excluded} IDs, and all of them travel in the URL; with more than "
            f"{EXCLUDED_LIMIT} it can grow over 8 KiB, which many servers refuse; send to a group"
        )
        yield _warning(playbook, written, "excluded", message, "many-excluded")


def _warning(
    playbook: Playbook, written: ActionTemplate, key: str, message: str, rule: str
) -> Problem:
    """A warning at the value of one of the action's keys."""
    return playbook.document.problem(message, rule, (*written.path, key), severity=Severity.WARNING)


RULE = "not-in-binding"


def find_not_in_binding(playbook: Playbook) -> Iterator[Problem]:
    """A problem for each action, and each property, that only the REST API has."""
    for written in playbook.actions:
        if written.action.origin is Origin.REST:
            yield playbook.document.problem(
                f"`{written.action.name}` is not an action of the Functions output binding",
                RULE,
                (*written.path, "actionName"),
            )
            continue
        for name in sorted(written.action.rest_fields & set(written.values)):
            yield playbook.document.problem(
                f"the Functions output binding has no `{name}` on `{written.action.name}`",
                RULE,
                (*written.path, name),
                at_key=True,
            )
