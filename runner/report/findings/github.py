"""Problems as workflow commands, which GitHub Actions shows beside the lines of a change.

Source: "Workflow commands for GitHub Actions" in GitHub's documentation; the escapes are those of
its own toolkit (`actions/toolkit`, `packages/core/src/command.ts`).
"""

from collections.abc import Iterator, Sequence

from runner.problems import Problem, Severity
from runner.report.findings.text import counted, totals

MOST = 10
"""GitHub shows so many annotations of each kind a step, and silently drops the rest."""


def shown(problems: Sequence[Problem], files: int) -> str:
    """The first of each kind as annotations, how many more there are, and the totals."""
    return "".join((*_commands(problems), totals(problems, files)))


def _commands(problems: Sequence[Problem]) -> Iterator[str]:
    left_out = []
    for severity in Severity:
        kind = [problem for problem in problems if problem.severity is severity]
        yield from map(_command, kind[:MOST])
        if len(kind) > MOST:
            left_out.append(counted(len(kind) - MOST, f"more {severity}"))
    if left_out:
        message = f"{' and '.join(left_out)}, not shown here; --format text shows all"
        yield f"::notice title=wps-run::{_escaped(message)}\n"


def _command(problem: Problem) -> str:
    properties: dict[str, str | int] = {}
    at = problem.position
    if at is not None:
        properties = {"file": at.file, "line": at.line}
        if at.column:
            properties |= {"col": at.column, "endColumn": at.column + problem.width}
    properties["title"] = problem.rule
    said = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{problem.severity} {said}::{_escaped(problem.message)}\n"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str | int) -> str:
    return _escaped(str(value)).replace(":", "%3A").replace(",", "%2C")
