"""Whom an action is done to, whole: machine formats and pages cut nothing.

Results as text for people.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from wps_run import text as visible_text
from wps_run.actions.request import Value
from wps_run.execution.record import Record
from wps_run.execution.result import ActionError, Status, Summary
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.problems import Style, Styler, plain


def whole_target(target: Mapping[str, Value]) -> str:
    """`userId=ada group=launch`, whatever the values hold."""
    return " ".join(f"{name}={whole_value(value)}" for name, value in target.items())


def whole_value(value: Value | Sequence[str]) -> str:
    """A value; a list, which a journal gives back as one, in brackets."""
    return str(value) if isinstance(value, str | bytes | int) else f"[{', '.join(value)}]"


SHOWN = 60
"""Columns. Longer values are cut for the eye; machine formats have them whole."""

KINDS = 5
"""The most hints that are told again at the end, with how often each applies."""

_INKS: Mapping[Status, Style] = {
    Status.OK: Style.GOOD,
    Status.FAILED: Style.ERROR,
    Status.UNKNOWN: Style.DOUBT,
    Status.SKIPPED: Style.WARNING,
}
_LONG = 100_000
"""Milliseconds; what took longer is shown in seconds, so that the columns line up."""


class Lines:
    """The results of one run as lines, each hint and each reason for skipping told once.

    A line has four columns: status, HTTP status, time, and what was done to whom. Below it, when
    the action is not ok, stand its place, why, and what to do about it.

    Args:
        paint: Gives the lines their colours.
    """

    def __init__(self, paint: Styler = plain) -> None:
        self._paint = paint
        self._hints: Counter[str] = Counter()
        self._reasons: set[str] = set()

    def result(self, record: Record) -> str:
        """The lines of one result."""
        head = f"{_status(record, self._paint)} {_answer(record)}  {_what(record)}\n"
        fault = record.error
        if fault is None:
            return head
        if record.status is Status.SKIPPED:
            if fault.code in self._reasons:
                return head
            self._reasons.add(fault.code)
        return head + _reason(record, fault) + self._hint(fault.hint)

    def repeated(self) -> str:
        """The hints that more than one action was owed, most frequent first, with their number."""
        often = [(hint, number) for hint, number in self._hints.most_common() if number > 1]
        lines = [f"hint for {number:,} actions: {hint}\n" for hint, number in often[:KINDS]]
        if len(often) > KINDS:
            lines.append(f"… and {len(often) - KINDS:,} more hints\n")
        return "\n" + "".join(lines) if lines else ""

    def _hint(self, hint: str) -> str:
        if not hint:
            return ""
        self._hints[hint] += 1
        first = self._hints[hint] == 1
        return f"        {self._paint(Style.HINT, 'hint:')} {hint}\n" if first else ""


def heading_line(heading: RunInfo, paint: Styler = plain) -> str:
    """The heading, whose first word tells a rehearsal from a real run by colour too."""
    first, space, rest = str(heading).partition(" ")
    ink = Style.PLACE if heading.destination is Destination.SERVICE else Style.LOCAL
    return f"{paint(ink, first)}{space}{rest}\n"


def _status(record: Record, paint: Styler) -> str:
    return paint(_INKS[record.status], str(record.status)) + " " * (7 - len(record.status))


def _answer(record: Record) -> str:
    """HTTP status and time."""
    status = f"{record.http_status or '-':>4}"
    if not record.attempts and record.status is Status.SKIPPED:
        return f"{status}  {'-':>8}   "
    if record.duration_ms >= _LONG:
        return f"{status}  {record.duration_ms / 1000:8.1f} s "
    return f"{status}  {record.duration_ms:8.1f} ms"


def _what(record: Record) -> str:
    label = f"  ({cut(visible_text.visible(record.name))})" if record.name else ""
    return f"{record.action_name} {target_text(record.target)}".rstrip() + label


def _reason(record: Record, fault: ActionError) -> str:
    tries = f", {record.attempts} attempts" if record.attempts > 1 else ""
    words = visible_text.visible(f"{record.source}: {fault.code}: {fault.message}")
    return f"        {words}{tries}\n"


def target_text(target: Mapping[str, Value]) -> str:
    """Whom an action is done to, on one line: `userId=ada group=launch`."""
    return " ".join(f"{name}={value_text(value)}" for name, value in target.items())


def value_text(value: Value) -> str:
    """A value on one line; quoted where it would not be read as one word."""
    if isinstance(value, tuple):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    text = str(value)
    if (
        text
        and not set(text) & _APART
        and text[0] not in "(:#"
        and visible_text.visible(text) == text
    ):
        return cut(text)
    return cut(visible_text.visible(json.dumps(text, ensure_ascii=False)))


_APART = set(" \"'=,[]\\")
"""What would end a word, or be taken for something else in it."""


def cut(text: str) -> str:
    """The text, or its beginning and an ellipsis."""
    return visible_text.cut(text, SHOWN)


def summary_lines(heading: RunInfo, summary: Summary, paint: Styler = plain) -> str:
    """How a run ended, on one line that says where it went."""
    counts = ", ".join(_counts(summary, paint))
    size = f"{summary.total} {'action' if summary.total == 1 else 'actions'}"
    return f"\n{heading.destination}{heading.share}: {size}: {counts} in {summary.duration:.2f} s\n"


def _counts(summary: Summary, paint: Styler) -> Iterator[str]:
    for status in Status:
        number = summary.counts[status]
        told = f"{number} {status}"
        yield paint(_INKS[status], told) if number else told
