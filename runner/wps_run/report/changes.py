"""What a run would change: as text in the manner of a diff, and as records. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET, Struct, UnsetType

from wps_run.actions.table import OverlapKind
from wps_run.execution.result import ActionName, Count, Index, Target
from wps_run.execution.run_info import RunInfo
from wps_run.playbook.steps import Step
from wps_run.report.records import step_fields
from wps_run.report.values import target_text, value_text
from wps_run.state.changes import Compared, StepChange, Verdict
from wps_run.text import (
    Style,
    Styler,
    display_width,
    pad,
    replace_invisible,
    unstyled,
    wrap_lines,
)

_SIGNS = {
    OverlapKind.JOIN: "+",
    OverlapKind.GRANT: "+",
    OverlapKind.LEAVE: "-",
    OverlapKind.REVOKE: "-",
    OverlapKind.LEAVE_ALL: "-",
}
_STYLES = {"+": Style.SUCCESS, "-": Style.ERROR}

_COUNTED = {
    Verdict.CHANGE: "to change",
    Verdict.IN_PLACE: "in place",
    Verdict.ABSENT: "not there",
    Verdict.NOT_KNOWN: "not compared",
}


@dataclass(slots=True)
class ChangeReport:
    """Collects what is not in place, in memory, and counts the rest.

    Attributes:
        counts: The number of steps by verdict.
    """

    counts: Counter[Verdict] = field(default_factory=Counter)
    _changes: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)
    """Heading to sign, name and source of each change."""
    _absent: list[str] = field(default_factory=list)
    _not_known: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Action and reason to the number of steps."""

    @property
    def has_changes(self) -> bool:
        """Whether a run would change something that reading can show."""
        return self.counts[Verdict.CHANGE] > 0

    def count(self, compared: Compared) -> None:
        """Count the verdicts of steps."""
        self.counts.update(verdict for _, verdict, _ in compared.changes)
        self.counts[Verdict.IN_PLACE] += compared.others_in_place

    def add(self, compared: Compared, hub: str) -> None:
        """Count steps, and keep their text; `hub` names their hub, or is "" if there is one."""
        self.count(compared)
        for change in compared.changes:
            self._add(change, hub)

    def _add(self, change: StepChange, hub: str) -> None:
        step = change.step
        if change.verdict is Verdict.CHANGE:
            sign = _SIGNS.get(step.action.overlap.kind, "~")
            heading = _heading(step) + (f" of hub {hub}" if hub else "")
            heading += " (finally)" if step.is_final else ""
            self._changes.setdefault(heading, []).append((sign, _name(step), step.source))
        elif change.verdict is Verdict.ABSENT:
            what = f"{step.action.name} {target_text(step.target)}"
            self._absent.append(f"{what}  {replace_invisible(step.source)}: {change.reason}")
        elif change.verdict is Verdict.NOT_KNOWN:
            self._not_known[step.action.name, change.reason] += 1

    def lines(self, styler: Styler = unstyled, columns: int | None = None) -> Iterator[str]:
        """Yield the lines of the report, the totals last.

        Args:
            styler: Colors the changes.
            columns: The width of the terminal, or None for lines of any length. Longer lines are
                broken, and nothing is cut: it is what a run would do.
        """
        for heading, changes in self._changes.items():
            yield wrap_lines(f"\n{heading}", columns, "  ")
            width = max(display_width(name) for _, name, _ in changes[:_ALIGNED])
            for sign, name, source in changes:
                style, place = _STYLES.get(sign, Style.WARNING), replace_invisible(source)
                text, end = f"{sign} {pad(name, width)}", f"  {place}"
                if columns is not None and display_width(f"  {text}{end}") > columns:
                    text, end = f"{sign} {name}", f"\n      {place}"
                yield f"  {styler(style, text)}{end}"
        others: list[str] = []
        if self._absent:
            others += ["\nnot there, so that nothing changes", *(f"  {x}" for x in self._absent)]
        if self._not_known:
            others.append("\nnot compared")
            for (action, reason), count in self._not_known.items():
                others.append(f"  {count:,} {action}: {reason}")
        noun = "action" if self.counts.total() == 1 else "actions"
        counts = [f"{self.counts[verdict]:,} {text}" for verdict, text in _COUNTED.items()]
        others.append(f"\nDIFF: {self.counts.total():,} {noun}: {', '.join(counts)}")
        yield from (wrap_lines(line, columns, "      ") for line in others)

    def totals(self, run_info: RunInfo, exit_code: int) -> "ChangeTotals":
        """Return the record of the totals."""
        return ChangeTotals(
            endpoints=tuple(run_info.endpoints),
            hubs=tuple(run_info.hubs),
            playbooks=tuple(run_info.playbooks),
            total=self.counts.total(),
            change=self.counts[Verdict.CHANGE],
            in_place=self.counts[Verdict.IN_PLACE],
            absent=self.counts[Verdict.ABSENT],
            not_known=self.counts[Verdict.NOT_KNOWN],
            exit_code=exit_code,
        )


_ALIGNED = 1000
"""The first names of a group, whose width is that of their column."""


class ChangeRecord(Struct, frozen=True, kw_only=True, rename="camel", tag="change"):
    """A step, and what it would change on the live service.

    Attributes:
        endpoint: Host and port of the service, or null with `--seed`.
        hub: The hub.
        index: Its number among all steps of the run, from 0.
        action: The number of the action in the playbook's list, or in `finally`, from 0.
        item: The number of the row it was made from, from 0, or null.
        action_name: The `actionName`.
        name: The author's label, or null.
        target: The target properties: name to value.
        source: `file:line`.
        final: True for an action of `finally`; otherwise not in records.
        verdict: What it would do.
        reason: Why it is not compared, or what does not exist; or null.
    """

    endpoint: str | None
    hub: str
    index: Index
    action: Index
    item: Index | None
    action_name: ActionName
    name: str | None
    target: Target
    source: str
    final: bool | UnsetType = UNSET
    verdict: Verdict
    reason: str | None


class ChangeTotals(Struct, frozen=True, kw_only=True, rename="camel", tag="summary"):
    """The last record of a comparison with the live service.

    Attributes:
        endpoints: Host and port of each service.
        hubs: The hubs.
        playbooks: The names of the playbooks.
        total: The number of steps.
        change: How many would change something.
        in_place: How many would change nothing.
        absent: How many have a user or connection that does not exist.
        not_known: How many were not compared.
        exit_code: The exit code of the command.
    """

    endpoints: tuple[str, ...]
    hubs: tuple[str, ...]
    playbooks: tuple[str, ...]
    total: Count
    change: Count
    in_place: Count = msgspec.field(name="in-place")
    absent: Count
    not_known: Count = msgspec.field(name="not-known")
    exit_code: int


class JsonChanges(Struct, frozen=True):
    """What `wps-run diff --output json` writes: its records as one object.

    Attributes:
        changes: The steps, in the order of the playbook.
        summary: The totals.
    """

    changes: tuple[ChangeRecord, ...]
    summary: ChangeTotals


def change_record(change: StepChange, hub: str, endpoint: str | None) -> ChangeRecord:
    """Return the record of a step, for programs, with its hub and the host of its service."""
    step = change.step
    return ChangeRecord(
        endpoint=endpoint,
        hub=hub,
        **step_fields(step),
        verdict=change.verdict,
        reason=change.reason or None,
    )


def _heading(step: Step) -> str:
    target = step.target
    if "permission" in target:
        return f"{target['permission']!s} on {value_text(target['targetName'])}"
    return f"group {value_text(target['group'])}" if "group" in target else "all groups"


def _name(step: Step) -> str:
    target = step.target
    if "userId" in target:
        return value_text(target["userId"])
    connection = f"connection {value_text(target['connectionId'])}"
    user = (step.request.cells or {}).get("userId")
    return f"{connection} ({value_text(step.secrets.mask(user))})" if user else connection
