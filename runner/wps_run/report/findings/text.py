"""Problems for people: each with its position, source line and caret, then the totals."""

from collections.abc import Sequence

from wps_run.problems import Problem, Severity, format_with_caret
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
