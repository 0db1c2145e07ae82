"""Problems as annotations of GitHub Actions, which it shows beside the lines of a file.

A workflow command is a line that GitHub Actions takes out of a log. Source: "Workflow commands for
GitHub Actions" in GitHub's documentation; the escapes are those of its toolkit (`actions/toolkit`,
`packages/core/src/command.ts`).
"""

from collections.abc import Iterator, Mapping, Sequence

from wps_run.problems import Problem, Severity
from wps_run.report.findings.text import count_of, totals_line

MAX_ANNOTATIONS = 10
"""GitHub shows this many annotations of each kind per step, and silently drops the others."""


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


def command(kind: str, properties: Mapping[str, str | int], message: str) -> str:
    """Return one command, with its line break.

    Args:
        kind: `error`, `warning` or `notice`.
        properties: Such as `file`, `line` and `title`, in the order in which they are written.
        message: The message; it may have several lines.
    """
    pairs = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {pairs}::{_escaped(message)}\n"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str | int) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")
