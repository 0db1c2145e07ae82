"""Problems for people: each with its place, line and caret, then the totals."""

from collections.abc import Sequence

from wps_run.problems import Problem, Severity, format_with_caret
from wps_run.text import Styler, unstyled


def shown(problems: Sequence[Problem], files: int, paint: Styler = unstyled) -> str:
    """Every problem as a terminal shows it, then the totals."""
    found = "".join(f"{format_with_caret(problem, paint)}\n" for problem in problems)
    return f"{found}\n{totals(problems, files)}" if found else totals(problems, files)


def totals(problems: Sequence[Problem], files: int) -> str:
    """`2 files checked, 3 problems, 1 warning`, as a line."""
    warnings = sum(problem.severity is Severity.WARNING for problem in problems)
    errors = len(problems) - warnings
    found = counted(errors, "problem") if errors else "no problems"
    told = f", {counted(warnings, 'warning')}" if warnings else ""
    return f"{counted(files, 'file')} checked, {found}{told}\n"


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
