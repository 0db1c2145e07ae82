"""Workflow commands: lines that GitHub Actions takes out of a log, and shows beside the code.

Source: "Workflow commands for GitHub Actions" in GitHub's documentation; the escapes are those of
its own toolkit (`actions/toolkit`, `packages/core/src/command.ts`).

What of a run GitHub Actions shows as annotations: failures beside the lines they are from.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from wps_run.execution.record import Record
from wps_run.execution.result import Skip, Status, Summary
from wps_run.execution.run_info import RunInfo
from wps_run.report.formats import Reporter
from wps_run.report.simulation import Simulation
from wps_run.report.values import target_text
from wps_run.text import escape_invisible

MOST = 10
"""GitHub shows so many annotations of each kind a step, and silently drops the rest."""


_NEW_FORM = re.compile(r"^([ \t]*)::", re.MULTILINE)
"""What begins a command in a line that may be indented."""

_OLD_FORM = "##["
"""What begins a command of the older form, anywhere in a line
(`actions/runner`, `src/Runner.Common/ActionCommand.cs`)."""


def inert(text: str) -> str:
    """A log in which nothing is a command, whatever names are in it.

    The sign that would make one is written as an escape, which JSON reads as the same sign.
    """
    return _NEW_FORM.sub(r"\1\\u003a:", text).replace(_OLD_FORM, r"##\u005b")


def command(kind: str, properties: Mapping[str, str | int], message: str) -> str:
    """One command, with its line break.

    Args:
        kind: `error`, `warning` or `notice`.
        properties: Such as `file`, `line` and `title`, in the order in which they are shown.
        message: What to say; it may have several lines.
    """
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {said}::{_escaped(message)}\n"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str | int) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")


_SKIPS: Mapping[str, str] = {
    Skip.STOPPED: "skipped, since an action before did not succeed",
    Skip.INTERRUPTED: "skipped, since the run was interrupted",
    Skip.JOURNAL: "skipped, since the journal could no longer be written",
}
"""Skipped actions that are worth a warning; one that the playbook excuses is not."""


class Annotations:
    """Gives the first ten failures as they come, and at the end how many more there were.

    Failed and unknown are one kind, errors, since GitHub counts them as one. Skipped actions are
    counted in one warning for each reason.
    """

    def __init__(self) -> None:
        self._errors = 0
        self._skipped: dict[str, int] = {}

    def result(self, record: Record) -> str:
        """The annotation of one result, or nothing."""
        if record.status is Status.SKIPPED and record.error:
            self._skipped[record.error.code] = self._skipped.get(record.error.code, 0) + 1
        if record.status not in {Status.FAILED, Status.UNKNOWN}:
            return ""
        self._errors += 1
        return _annotation(record) if self._errors <= MOST else ""

    def end(self) -> str:
        """What was not said of each action."""
        return "".join(self._totals())

    def _totals(self) -> Iterator[str]:
        for code, words in _SKIPS.items():
            if number := self._skipped.get(code):
                yield command("warning", {"title": "wps-run"}, f"{_actions(number)} {words}")
        if self._errors > MOST:
            more = f"{self._errors - MOST} more did not succeed; the log has a line for each"
            yield command("notice", {"title": "wps-run"}, more)


class AnnotatedReporter:
    """A report with annotations in it, or beside it.

    Args:
        reporter: The report.
        aside: Takes the annotations where the report itself is for machines, or None where they
            stand in the report. GitHub reads stdout and stderr alike.
    """

    def __init__(self, reporter: Reporter, aside: Callable[[str], object] | None = None) -> None:
        self._reporter = reporter
        self._aside = aside
        self._annotations = Annotations()

    def begin(self, heading: RunInfo) -> str:
        """What the report begins with."""
        return inert(self._reporter.begin(heading))

    def result(self, record: Record) -> str:
        """A result, and its annotation."""
        return inert(self._reporter.result(record)) + self._told(self._annotations.result(record))

    def end(self, summary: Summary, outlooks: Sequence[Simulation]) -> str:
        """The end of the report, after the annotations that count."""
        report = inert(self._reporter.end(summary, outlooks))
        return self._told(self._annotations.end()) + report

    def _told(self, text: str) -> str:
        if text and self._aside:
            self._aside(text)
            return ""
        return text


def _annotation(record: Record) -> str:
    file, _, line = record.source.rpartition(":")
    properties: dict[str, str | int] = {}
    if file and not file.startswith("<"):  # standard input is no file
        properties = {"file": escape_invisible(file), "line": line}
    properties["title"] = f"{record.status}: {record.action_name}"
    return command("error", properties, "\n".join(_words(record)))


def _words(record: Record) -> Iterator[str]:
    answer = f" ({record.http_status})" if record.http_status else ""
    tries = f", {record.attempts} attempts" if record.attempts > 1 else ""
    yield f"{record.action_name} {target_text(record.target)}".rstrip()
    if record.error:
        yield escape_invisible(f"{record.error.code}: {record.error.message}{answer}{tries}")
        if record.error.hint:
            yield f"hint: {record.error.hint}"


def _actions(number: int) -> str:
    return f"{number} {'action was' if number == 1 else 'actions were'}"
