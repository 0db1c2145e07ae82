"""Problems as workflow commands, which GitHub Actions shows beside the lines of a change."""

from collections.abc import Iterator, Sequence

from wps_run.problems import Problem, Severity
from wps_run.report.findings.text import counted, totals
from wps_run.report.github import MAX_ANNOTATIONS, command


def shown(problems: Sequence[Problem], files: int) -> str:
    """The first of each kind as annotations, how many more there are, and the totals."""
    return "".join((*_commands(problems), totals(problems, files)))


def _commands(problems: Sequence[Problem]) -> Iterator[str]:
    left_out = []
    for severity in Severity:
        kind = [problem for problem in problems if problem.severity is severity]
        yield from map(_command, kind[:MAX_ANNOTATIONS])
        if len(kind) > MAX_ANNOTATIONS:
            left_out.append(counted(len(kind) - MAX_ANNOTATIONS, f"more {severity}"))
    if left_out:
        message = f"{' and '.join(left_out)}, not shown here; --format text shows all"
        yield command("notice", {"title": "wps-run"}, message)


def _command(problem: Problem) -> str:
    properties: dict[str, str | int] = {}
    at = problem.position
    if at is not None:
        properties = {"file": at.file, "line": at.line}
        if at.column:
            properties |= {"col": at.column, "endColumn": at.column + problem.width}
    properties["title"] = problem.rule
    return command(problem.severity, properties, problem.message)
