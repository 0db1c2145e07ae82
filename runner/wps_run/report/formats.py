"""The formats of reports, one row per format. Options, help and documents derive from the tables.

A row names its code by module, so that reading a table imports no format.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from wps_run.execution.result import ExpectationResult, Result
    from wps_run.execution.run_info import RunInfo
    from wps_run.execution.summary import Summary
    from wps_run.playbook.expectations import Expectation
    from wps_run.playbook.steps import Step, UnreadAction
    from wps_run.problems import Problem
    from wps_run.report.run_report import RunReport
    from wps_run.report.simulation import Simulation


class Reporter(Protocol):
    """Turns a run into text while it goes on; the caller writes what each method returns."""

    def begin(self, run_info: "RunInfo") -> str:
        """Return the text before the first result."""

    def result(self, result: "Result") -> str:
        """Return the text of one result. Results come in the order in which actions end."""

    def expectation(self, result: "ExpectationResult") -> str:
        """Return the text of an expectation. They come after the results, in their order."""

    def end(self, summary: "Summary", simulations: "Sequence[Simulation]") -> str:
        """Return the text after the last result. A rehearsal has a simulation for each hub."""


class ReportFormat(NamedTuple):
    """One format of a report.

    Attributes:
        name: The name of the format; `--output` takes it.
        help: What it contains, in one line.
        suffix: The suffix of its files, or None when `--report` cannot write it.
        reporter: `module:class` of its `Reporter`, or None when `--output` cannot write it.
        renderer: `module:function` that yields the text of a `RunReport` in pieces. None when the
            text of the reporter is the same.
    """

    name: str
    help: str
    suffix: str | None = None
    reporter: str | None = None
    renderer: str | None = None

    def new_reporter(self) -> Reporter:
        if self.reporter is None:
            raise LookupError(f"{self.name} has no reporter")
        reporter: Reporter = _load(self.reporter)()
        return reporter

    def render(self, report: "RunReport") -> Iterator[str]:
        """Yield the text of a report in pieces. The same report gives the same text."""
        if self.renderer is not None:
            yield from _load(self.renderer)(report)
            return
        reporter = self.new_reporter()
        yield reporter.begin(report.run_info)
        yield from map(reporter.result, report.results)
        yield from map(reporter.expectation, report.expectations)
        yield reporter.end(report.summary, report.simulations)


FORMATS = (
    ReportFormat("text", "one line per action, for people", reporter="text:TextReporter"),
    ReportFormat(
        "json",
        "one JSON object with the summary and all results",
        suffix=".json",
        reporter="records:JsonReporter",
        renderer="records:json_pieces",
    ),
    ReportFormat(
        "ndjson",
        "one JSON record per line, the summary last",
        suffix=".ndjson",
        reporter="records:NdjsonReporter",
    ),
    ReportFormat("none", "nothing, only the exit code", reporter="text:NullReporter"),
    ReportFormat(
        "junit",
        "JUnit XML for CI servers, one test case per action",
        suffix=".xml",
        renderer="junit:junit",
    ),
    ReportFormat(
        "html",
        "a page with the summary, failures, timeline and all actions",
        suffix=".html",
        renderer="html.page:page",
    ),
    ReportFormat(
        "markdown",
        "a Markdown summary with totals, failures and the slowest actions",
        suffix=".md",
        renderer="markdown:markdown",
    ),
    ReportFormat(
        "prometheus",
        "the totals in Prometheus' text format",
        suffix=".prom",
        renderer="prometheus:prometheus",
    ),
)

OUTPUT_FORMATS: Mapping[str, ReportFormat] = MappingProxyType(
    {row.name: row for row in FORMATS if row.reporter}
)
"""Name to format, of those that `--output` can write."""

FILE_FORMATS: Mapping[str, ReportFormat] = MappingProxyType(
    {row.suffix: row for row in FORMATS if row.suffix}
)
"""Suffix to format, of those that `--report` can write."""


class FindingFormat(NamedTuple):
    """One format of the problems that `validate` finds.

    Attributes:
        name: The name of the format; `--format` takes it.
        help: What it contains, in one line.
        function: `module:function`; the function takes the problems and the number of files.
    """

    name: str
    help: str
    function: str

    def render(self, problems: "Sequence[Problem]", file_count: int) -> str:
        """Return the problems of so many files as text."""
        text: str = _load(self.function)(problems, file_count)
        # Names of files may have bytes that are not UTF-8, but programs expect UTF-8.
        return text.encode(errors="surrogateescape").decode(errors="replace")


FINDING_FORMATS: Mapping[str, FindingFormat] = MappingProxyType(
    {
        row.name: row
        for row in (
            FindingFormat(
                "text", "each problem with its source line, for people", "findings:format_text"
            ),
            FindingFormat("json", "one JSON object for programs", "findings:format_json"),
            FindingFormat(
                "github", "annotations of GitHub Actions", "annotations:annotate_for_github"
            ),
            FindingFormat(
                "azure", "logging commands of Azure Pipelines", "annotations:annotate_for_azure"
            ),
            FindingFormat("sarif", "a SARIF log for code scanning services", "sarif:format_sarif"),
        )
    }
)
"""Name to format, of those that `validate --format` can write."""


class PlanReporter(Protocol):
    """Turns a plan into text; the caller writes what each method returns."""

    def begin(self, run_info: "RunInfo", columns: int | None) -> str:
        """Return the text before the first step. `columns` is the width of a terminal, or None."""

    def step(self, step: "Step") -> str:
        """Return the text of one step. Steps come in the order of the playbook."""

    def unread(self, action: "UnreadAction") -> str:
        """Return the text of an action whose rows were not read, in its place."""

    def begin_final(self) -> str:
        """Return the text before the first step of `finally`, if there is one."""

    def end(self, expectations: "Sequence[Expectation]") -> str:
        """Return the text after the last step."""


class PlanFormat(NamedTuple):
    """One format of a plan.

    Attributes:
        name: The name of the format; `plan --format` takes it.
        help: What it contains, in one line.
        reporter: `module:class` of its `PlanReporter`.
        obstacle: `module:function` of the function that returns why a step, or an action without
            its rows, cannot be in it, or None; None for a format that takes all plans.
    """

    name: str
    help: str
    reporter: str
    obstacle: str | None = None

    def new_reporter(self) -> PlanReporter:
        reporter: PlanReporter = _load(self.reporter)()
        return reporter

    def obstacle_finder(self) -> "Callable[[Step | UnreadAction], str | None] | None":
        return _load(self.obstacle) if self.obstacle else None


PLAN_FORMATS: Mapping[str, PlanFormat] = MappingProxyType(
    {
        row.name: row
        for row in (
            PlanFormat("text", "each step and its request, for people", "plan:PlanTextReporter"),
            PlanFormat("ndjson", "one JSON record per line", "plan:PlanRecordReporter"),
            PlanFormat(
                "curl",
                "a shell script that sends the requests, with the token in a variable",
                "exports:CurlReporter",
                "exports:curl_obstacle",
            ),
            PlanFormat(
                "binding",
                "the JSON array that a function returns to the output binding",
                "exports:BindingReporter",
                "exports:binding_obstacle",
            ),
        )
    }
)
"""Name to format, of those that `plan --format` can write."""


def help_of(formats: Mapping[str, ReportFormat | FindingFormat | PlanFormat]) -> str:
    """Return `text: one line per action, for people; json: …`, for the help of an option."""
    return "; ".join(f"{key}: {row.help}" for key, row in formats.items())


def suffix_list() -> str:
    """Return `.json, .ndjson, .xml, .html, .md or .prom`, for messages."""
    *others, last = FILE_FORMATS
    return f"{', '.join(others)} or {last}"


def _load(location: str) -> Callable[..., Any]:
    module, _, name = location.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(f"wps_run.report.{module}"), name)
    return loaded
