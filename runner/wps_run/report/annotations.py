"""Annotations: lines of a log that a CI service shows beside the source, or above the log."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from wps_run.problems import Problem, Severity
from wps_run.report.findings import count_of, totals_line

MAX_ANNOTATIONS = 10
"""GitHub shows this many annotations of each kind per step, Azure Pipelines this many issues of
each kind per task. Both silently drop the others."""


class Annotation(NamedTuple):
    """One annotation.

    Attributes:
        kind: How grave it is.
        message: The message; it may have several lines.
        title: What it is about, in a few words.
        rule: The rule that a problem breaks, or "".
        file: The file that it is about, or "".
        line: Its line in the file, from 1, or "".
        column: Its column, from 1, or 0.
        width: How many columns it is about.
    """

    kind: Literal["error", "warning", "notice"]
    message: str
    title: str = ""
    rule: str = ""
    file: str = ""
    line: int | str = ""
    column: int = 0
    width: int = 0


class CiService(NamedTuple):
    """How one CI service takes annotations out of a log.

    Attributes:
        annotate: Returns the line of an annotation, with its line break.
        without_commands: Returns a log in which no name starts a command. The character that would
            start one is written as an escape, which JSON reads as that character.
    """

    annotate: Callable[[Annotation], str]
    without_commands: Callable[[str], str]


def _github(annotation: Annotation) -> str:
    """Return one workflow command.

    Source: "Workflow commands for GitHub Actions" in GitHub's documentation; the escapes are those
    of its toolkit (`actions/toolkit`, `packages/core/src/command.ts`).
    """
    place: dict[str, str | int] = {"file": annotation.file, "line": annotation.line}
    if annotation.column:
        place |= {"col": annotation.column, "endColumn": annotation.column + annotation.width}
    properties = {**(place if annotation.file else {}), "title": annotation.title}
    pairs = ",".join(
        f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items() if value
    )
    return f"::{annotation.kind} {pairs}::{_escaped(annotation.message)}\n"


def _azure(annotation: Annotation) -> str:
    """Return one logging command; there is none for a notice, which is a plain line.

    Source: "Logging commands" in the documentation of Azure Pipelines; the escapes are those of its
    library (`microsoft/azure-pipelines-task-lib`, `node/taskcommand.ts`).
    """
    title = "" if annotation.rule else annotation.title
    message = _without_brackets(": ".join(filter(None, (title, annotation.message))))
    if annotation.kind == "notice":
        return f"{message}\n"
    place = {
        "sourcepath": annotation.file,
        "linenumber": annotation.line,
        "columnnumber": annotation.column,
    }
    properties = {
        "type": annotation.kind,
        **(place if annotation.file else {}),
        "code": annotation.rule,
    }
    pairs = "".join(
        f"{name}={_escaped(str(value), '];', '%AZP25')};"
        for name, value in properties.items()
        if value
    )
    return f"##vso[task.logissue {pairs}]{_escaped(message, percent='%AZP25')}\n"


def _escaped(text: str, separators: str = "", percent: str = "%25") -> str:
    """Percent-encode line breaks, `%`, and what separates properties."""
    text = text.replace("%", percent)
    for character in f"\r\n{separators}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


_GITHUB_COMMAND = re.compile(r"^([ \t]*)::", re.MULTILINE)
"""The beginning of a command, in a line that may be indented."""

_BRACKET = re.compile(r"(##(?:vso)?)\[", re.IGNORECASE)
"""The beginning of a command of Azure Pipelines, and of the older form of GitHub's, anywhere in a
line (`actions/runner`, `src/Runner.Common/ActionCommand.cs`)."""


def _without_brackets(text: str) -> str:
    return _BRACKET.sub(r"\1\\u005b", text)


_GITHUB = CiService(
    _github, lambda text: _without_brackets(_GITHUB_COMMAND.sub(r"\1\\u003a:", text))
)
_AZURE = CiService(_azure, _without_brackets)


def ci_service(environment: Mapping[str, str]) -> CiService | None:
    """Return the service in whose log this process writes, by the variables that it sets."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return _GITHUB
    return _AZURE if environment.get("TF_BUILD", "").lower() == "true" else None


def annotate_for_github(problems: Sequence[Problem], file_count: int) -> str:
    """Return annotations of the first problems of each severity, then the totals."""
    return _annotate(_GITHUB, problems, file_count)


def annotate_for_azure(problems: Sequence[Problem], file_count: int) -> str:
    """Return the same as logging commands of Azure Pipelines."""
    return _annotate(_AZURE, problems, file_count)


def _annotate(service: CiService, problems: Sequence[Problem], file_count: int) -> str:
    lines = map(service.annotate, _annotations(problems))
    return "".join((*lines, totals_line(problems, file_count)))


def _annotations(problems: Sequence[Problem]) -> Iterator[Annotation]:
    left_out = []
    for severity in Severity:
        selected = [problem for problem in problems if problem.severity is severity]
        yield from map(_annotation, selected[:MAX_ANNOTATIONS])
        if len(selected) > MAX_ANNOTATIONS:
            left_out.append(count_of(len(selected) - MAX_ANNOTATIONS, f"more {severity}"))
    if left_out:
        message = f"{' and '.join(left_out)}, not shown here; --format text shows all"
        yield Annotation("notice", message, "wps-run")


def _annotation(problem: Problem) -> Annotation:
    annotation = Annotation(
        "error" if problem.severity is Severity.ERROR else "warning",
        problem.full_message,
        problem.rule,
        problem.rule,
    )
    at = problem.position
    if at is None:
        return annotation
    return annotation._replace(file=at.file, line=at.line, column=at.column, width=problem.width)
