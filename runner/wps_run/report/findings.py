"""The problems that `validate` finds: for people, as JSON, and as annotations of GitHub Actions."""

import json
from collections.abc import Iterator, Mapping, Sequence

from wps_run.problems import Position, Problem, Severity, format_with_caret
from wps_run.text import Styler, unstyled


def format_text(problems: Sequence[Problem], file_count: int, styler: Styler = unstyled) -> str:
    """Return each problem as a terminal shows it, then the totals."""
    excerpts = "".join(f"{format_with_caret(problem, styler)}\n" for problem in problems)
    separator = "\n" if excerpts else ""
    return f"{excerpts}{separator}{_totals_line(problems, file_count)}"


def _totals_line(problems: Sequence[Problem], file_count: int) -> str:
    """Return `2 files checked, 3 problems, 1 warning`, with its line break."""
    warning_count = sum(problem.severity is Severity.WARNING for problem in problems)
    error_count = len(problems) - warning_count
    errors = _count_of(error_count, "problem") if error_count else "no problems"
    warnings = f", {_count_of(warning_count, 'warning')}" if warning_count else ""
    return f"{_count_of(file_count, 'file')} checked, {errors}{warnings}\n"


def _count_of(count: int, noun: str) -> str:
    """Return `1 file` or `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_json(problems: Sequence[Problem], file_count: int) -> str:
    """Return one JSON object with every problem."""
    records = [
        {
            **_place(problem.position),
            "severity": problem.severity,
            "rule": problem.rule,
            "message": problem.message,
            **({"related": _place(problem.related)} if problem.related else {}),
        }
        for problem in problems
    ]
    return indented_json({"files": file_count, "problems": records})


def _place(position: Position | None) -> dict[str, str | int | None]:
    if position is None:
        return {"file": None, "line": None, "column": None}
    return {"file": position.file, "line": position.line, "column": position.column or None}


def indented_json(value: object) -> str:
    """Return a value as indented JSON, with a line break at the end."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


MAX_ANNOTATIONS = 10
"""GitHub shows this many annotations of each kind per step, and silently drops the others."""


def annotate_problems(problems: Sequence[Problem], file_count: int) -> str:
    """Return annotations of the first problems of each severity, then the totals."""
    return "".join((*_problem_commands(problems), _totals_line(problems, file_count)))


def _problem_commands(problems: Sequence[Problem]) -> Iterator[str]:
    left_out = []
    for severity in Severity:
        selected = [problem for problem in problems if problem.severity is severity]
        yield from map(_problem_command, selected[:MAX_ANNOTATIONS])
        if len(selected) > MAX_ANNOTATIONS:
            left_out.append(_count_of(len(selected) - MAX_ANNOTATIONS, f"more {severity}"))
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
    return command(problem.severity, properties, problem.full_message)


def command(kind: str, properties: Mapping[str, str | int], message: str) -> str:
    """Return one workflow command: a line that GitHub Actions takes out of a log.

    Source: "Workflow commands for GitHub Actions" in GitHub's documentation; the escapes are those
    of its toolkit (`actions/toolkit`, `packages/core/src/command.ts`).

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
