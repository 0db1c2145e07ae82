"""Annotations of GitHub Actions: failures and problems shown beside the lines of a playbook.

A workflow command is a line that GitHub Actions takes out of a log. Source: "Workflow commands for
GitHub Actions" in GitHub's documentation; the escapes are those of its toolkit (`actions/toolkit`,
`packages/core/src/command.ts`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from wps_run.execution.result import Result, SkipReason, Status
from wps_run.execution.run_info import RunInfo
from wps_run.execution.summary import Summary
from wps_run.problems import Problem, Severity
from wps_run.report.findings.text import count_of, totals_line
from wps_run.report.formats import Reporter
from wps_run.report.simulation import Simulation
from wps_run.report.values import target_text
from wps_run.text import escape_invisible

MAX_ANNOTATIONS = 10
"""GitHub shows this many annotations of each kind per step, and silently drops the others."""

_COMMAND = re.compile(r"^([ \t]*)::", re.MULTILINE)
"""The beginning of a command, in a line that may be indented."""

_OLD_COMMAND = "##["
"""The beginning of a command of the older form, anywhere in a line
(`actions/runner`, `src/Runner.Common/ActionCommand.cs`)."""

_SKIPS: Mapping[str, str] = {
    SkipReason.STOPPED: "skipped because an earlier action did not succeed",
    SkipReason.INTERRUPTED: "skipped because the run was interrupted",
    SkipReason.JOURNAL: "skipped because the journal could not be written",
}
"""Error code to message, for skipped actions that get a warning. Those that the playbook allows
to be skipped get none."""


def without_commands(text: str) -> str:
    """Return a log in which no name starts a command.

    The character that would start one is written as an escape, which JSON reads as that character.
    """
    return _COMMAND.sub(r"\1\\u003a:", text).replace(_OLD_COMMAND, r"##\u005b")


def command(kind: str, properties: Mapping[str, str | int], message: str) -> str:
    """Return one command, with its line break.

    Args:
        kind: `error`, `warning` or `notice`.
        properties: Such as `file`, `line` and `title`, in the order in which they are written.
        message: The message; it may have several lines.
    """
    pairs = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {pairs}::{_escaped(message)}\n"


class Annotations:
    """Makes an annotation of each of the first failures, and at the end counts the others.

    Failed and unknown actions are both errors, which GitHub counts together. Skipped actions are
    counted in one warning for each reason.
    """

    def __init__(self) -> None:
        self._errors = 0
        self._skipped: dict[str, int] = {}

    def result(self, result: Result) -> str:
        """Return the annotation of one result, or ""."""
        if result.status is Status.SKIPPED and result.error:
            self._skipped[result.error.code] = self._skipped.get(result.error.code, 0) + 1
        if result.status not in {Status.FAILED, Status.UNKNOWN}:
            return ""
        self._errors += 1
        return _annotation(result) if self._errors <= MAX_ANNOTATIONS else ""

    def end(self) -> str:
        """Return the annotations that count skipped actions and further failures."""
        return "".join(self._totals())

    def _totals(self) -> Iterator[str]:
        for code, reason in _SKIPS.items():
            if count := self._skipped.get(code):
                actions = f"{count} {'action was' if count == 1 else 'actions were'}"
                yield command("warning", {"title": "wps-run"}, f"{actions} {reason}")
        if self._errors > MAX_ANNOTATIONS:
            more = self._errors - MAX_ANNOTATIONS
            message = f"{more} more did not succeed; the log has a line for each"
            yield command("notice", {"title": "wps-run"}, message)


class AnnotatedReporter:
    """Adds annotations to a report.

    Args:
        reporter: The report.
        write: Takes the annotations when the report is for programs; None puts them into the
            report. GitHub reads commands from stdout and stderr alike.
    """

    def __init__(self, reporter: Reporter, write: Callable[[str], object] | None = None) -> None:
        self._reporter = reporter
        self._write = write
        self._annotations = Annotations()

    def begin(self, run_info: RunInfo) -> str:
        """Return the beginning of the report."""
        return without_commands(self._reporter.begin(run_info))

    def result(self, result: Result) -> str:
        """Return a result and its annotation."""
        text = without_commands(self._reporter.result(result))
        return text + self._annotate(self._annotations.result(result))

    def end(self, summary: Summary, simulations: Sequence[Simulation]) -> str:
        """Return the annotations that count, and the end of the report."""
        text = without_commands(self._reporter.end(summary, simulations))
        return self._annotate(self._annotations.end()) + text

    def _annotate(self, annotation: str) -> str:
        if annotation and self._write:
            self._write(annotation)
            return ""
        return annotation


def _annotation(result: Result) -> str:
    file, _, line = result.source.rpartition(":")
    properties: dict[str, str | int] = {}
    if file and not file.startswith("<"):  # standard input is no file
        properties = {"file": escape_invisible(file), "line": line}
    properties["title"] = f"{result.status}: {result.action_name}"
    return command("error", properties, "\n".join(_message_lines(result)))


def _message_lines(result: Result) -> Iterator[str]:
    status = f" ({result.http_status})" if result.http_status else ""
    attempts = f", {result.attempts} attempts" if result.attempts > 1 else ""
    yield f"{result.action_name} {target_text(result.target)}".rstrip()
    if result.error:
        yield escape_invisible(f"{result.error.code}: {result.error.message}{status}{attempts}")
        if result.error.hint:
            yield f"hint: {result.error.hint}"


def annotate_problems(problems: Sequence[Problem], file_count: int) -> str:
    """Return annotations of the first problems of each severity, then the totals."""
    return "".join((*_problem_commands(problems), totals_line(problems, file_count)))


def _problem_commands(problems: Sequence[Problem]) -> Iterator[str]:
    left_out = []
    for severity in Severity:
        selected = [problem for problem in problems if problem.severity is severity]
        yield from map(_problem_command, selected[:MAX_ANNOTATIONS])
        if len(selected) > MAX_ANNOTATIONS:
            left_out.append(count_of(len(selected) - MAX_ANNOTATIONS, f"more {severity}"))
    if left_out:
        message = f"{' and '.join(left_out)}, not shown here; --format text shows all"
        yield command("notice", {"title": "wps-run"}, message)


def _problem_command(problem: Problem) -> str:
    properties: dict[str, str | int] = {}
    position = problem.position
    if position is not None:
        properties = {"file": position.file, "line": position.line}
        if position.column:
            properties |= {"col": position.column, "endColumn": position.column + problem.width}
    properties["title"] = problem.rule
    return command(problem.severity, properties, problem.message)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str | int) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")
