"""The problems that `validate` finds, for people and as JSON."""

import json
from collections.abc import Sequence

from wps_run.problems import Position, Problem, Severity, format_with_caret
from wps_run.text import Styler, unstyled


def format_text(problems: Sequence[Problem], file_count: int, styler: Styler = unstyled) -> str:
    """Return each problem as a terminal shows it, then the totals."""
    excerpts = "".join(f"{format_with_caret(problem, styler)}\n" for problem in problems)
    separator = "\n" if excerpts else ""
    return f"{excerpts}{separator}{totals_line(problems, file_count)}"


def totals_line(problems: Sequence[Problem], file_count: int) -> str:
    """Return `2 files checked, 3 problems, 1 warning`, with its line break."""
    warning_count = sum(problem.severity is Severity.WARNING for problem in problems)
    error_count = len(problems) - warning_count
    errors = count_of(error_count, "problem") if error_count else "no problems"
    warnings = f", {count_of(warning_count, 'warning')}" if warning_count else ""
    return f"{count_of(file_count, 'file')} checked, {errors}{warnings}\n"


def count_of(count: int, noun: str) -> str:
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
