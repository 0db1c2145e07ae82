"""Failures of a run as annotations of a CI service, in the report or beside it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from wps_run.execution.result import ActionError, ExpectationResult, Result, SkipReason, Status
from wps_run.execution.run_info import RunInfo
from wps_run.execution.summary import Summary
from wps_run.report.annotations import MAX_ANNOTATIONS, Annotation, CiService
from wps_run.report.formats import Reporter
from wps_run.report.simulation import Simulation
from wps_run.report.values import target_text
from wps_run.text import escape_invisible

_SKIPS: Mapping[str, str] = {
    SkipReason.STOPPED: "skipped because an earlier action did not succeed",
    SkipReason.BUDGET: "skipped because more actions did not succeed than `maxFailures` allows",
    SkipReason.EXPIRED: "skipped because the moment of `notAfter` has passed",
    SkipReason.INTERRUPTED: "skipped because the run was interrupted",
    SkipReason.JOURNAL: "skipped because the journal could not be written",
}
"""Error code to message, for skipped actions that get a warning. Those that the playbook allows
to be skipped get none."""


class Annotations:
    """Makes an annotation of each of the first failures, and at the end counts the others.

    Failed and unknown actions are both errors, which services count together. Skipped actions are
    counted in one warning for each reason.

    Args:
        service: The CI service that shows them.
    """

    def __init__(self, service: CiService) -> None:
        self._annotate = service.annotate
        self._errors = 0
        self._skipped: dict[str, int] = {}

    def result(self, result: Result) -> str:
        """Return the annotation of one result, or ""."""
        if result.status is Status.SKIPPED and result.error:
            self._skipped[result.error.code] = self._skipped.get(result.error.code, 0) + 1
        if result.status not in {Status.FAILED, Status.UNKNOWN}:
            return ""
        self._errors += 1
        return self._annotate(_annotation(result)) if self._errors <= MAX_ANNOTATIONS else ""

    def expectation(self, result: ExpectationResult) -> str:
        """Return the annotation of one expectation, or ""."""
        if result.status not in {Status.FAILED, Status.UNKNOWN} or result.error is None:
            return ""
        self._errors += 1
        if self._errors > MAX_ANNOTATIONS:
            return ""
        lines = [escape_invisible(result.statement), *_error_lines(result.error)]
        title = f"{result.status}: expectation"
        return self._annotate(_error(result.source, title, lines))

    def end(self) -> str:
        """Return the annotations that count skipped actions and further failures."""
        return "".join(map(self._annotate, self._totals()))

    def _totals(self) -> Iterator[Annotation]:
        for code, reason in _SKIPS.items():
            if count := self._skipped.get(code):
                actions = f"{count} {'action was' if count == 1 else 'actions were'}"
                yield Annotation("warning", f"{actions} {reason}", "wps-run")
        if self._errors > MAX_ANNOTATIONS:
            more = self._errors - MAX_ANNOTATIONS
            message = f"{more} more did not succeed; the log has a line for each"
            yield Annotation("notice", message, "wps-run")


class AnnotatedReporter:
    """Adds annotations to a report.

    Args:
        reporter: The report.
        service: The CI service that shows them.
        write: Takes the annotations when the report is for programs; None puts them into the
            report. Services read commands from stdout and stderr alike.
    """

    def __init__(
        self,
        reporter: Reporter,
        service: CiService,
        write: Callable[[str], object] | None = None,
    ) -> None:
        self._reporter = reporter
        self._write = write
        self._without_commands = service.without_commands
        self._annotations = Annotations(service)

    def begin(self, run_info: RunInfo) -> str:
        return self._without_commands(self._reporter.begin(run_info))

    def result(self, result: Result) -> str:
        text = self._without_commands(self._reporter.result(result))
        return text + self._annotate(self._annotations.result(result))

    def expectation(self, result: ExpectationResult) -> str:
        text = self._without_commands(self._reporter.expectation(result))
        return text + self._annotate(self._annotations.expectation(result))

    def end(self, summary: Summary, simulations: Sequence[Simulation]) -> str:
        """Return the annotations that count, and the end of the report."""
        text = self._without_commands(self._reporter.end(summary, simulations))
        return self._annotate(self._annotations.end()) + text

    def _annotate(self, annotation: str) -> str:
        if annotation and self._write:
            self._write(annotation)
            return ""
        return annotation


def _annotation(result: Result) -> Annotation:
    title = f"{result.status}: {result.action_name}"
    return _error(result.source, title, _message_lines(result))


def _error(source: str, title: str, lines: Iterable[str]) -> Annotation:
    """Return the annotation of what failed at a place; standard input is no file."""
    annotation = Annotation("error", "\n".join(lines), title)
    file, _, line = source.rpartition(":")
    if not file or file.startswith("<"):
        return annotation
    return annotation._replace(file=escape_invisible(file), line=line)


def _message_lines(result: Result) -> Iterator[str]:
    status = f" ({result.http_status})" if result.http_status else ""
    attempts = f", {result.attempts} attempts" if result.attempts > 1 else ""
    yield f"{result.action_name} {target_text(result.target)}".rstrip()
    if result.error:
        yield from _error_lines(result.error, f"{status}{attempts}")


def _error_lines(error: ActionError, suffix: str = "") -> Iterator[str]:
    yield escape_invisible(f"{error.code}: {error.message}{suffix}")
    if error.hint:
        yield f"hint: {error.hint}"
