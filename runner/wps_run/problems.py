"""What can be wrong with a user's input, where it is, and how that is shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from wps_run.text import Style, Styler, display_width, replace_invisible, unstyled


class Severity(StrEnum):
    """How much a problem weighs: an error stops, a warning is only told."""

    ERROR = "error"
    WARNING = "warning"


class Position(NamedTuple):
    """A place in a file. Lines and columns count from 1, columns in characters.

    Column 0 is the line as a whole, as of a row in a file of rows. A tuple, as rows are.
    """

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        column = f":{self.column}" if self.column else ""
        return f"{self.file}:{self.line}{column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what to write instead.

    Attributes:
        message: A sentence for a person, with the remedy. It never holds a secret.
        rule: A stable name for machines, such as `unknown-key`.
        position: Where it is, or None when it is in no file (an option, a setting).
        line: The text of that line, without its line break; "" when not known.
        width: How many characters of the line are meant, at least 1.
        severity: Whether it stops the run.
    """

    message: str
    rule: str
    position: Position | None = None
    line: str = ""
    width: int = 1
    severity: Severity = Severity.ERROR


class WpsRunError(Exception):
    """An expected failure, told to the user in its own words. The root of the tree.

    WpsRunError
     +- PlaybookError    what a playbook, variable or row says is wrong
     +- SettingsError    a setting or a connection string is missing or wrong
     +- UsageError       the command line or the arguments of a call are wrong
     +- JournalError     a journal cannot be written, read, or gone on with

    Each of them means that nothing was sent.
    """


class PlaybookError(WpsRunError):
    """A playbook, a variable or a row is wrong. Holds every problem found, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(format_problem(problem) for problem in self.problems))


class SettingsError(WpsRunError):
    """A setting or a connection string is missing or wrong. Never echoes its value."""


class UsageError(WpsRunError):
    """The command line, or the arguments of a call, cannot be carried out."""


class JournalError(WpsRunError):
    """A journal cannot be written or read, or belongs to something else."""


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems by file, line and column; those without a place come first."""

    def place(problem: Problem) -> tuple[str, int, int]:
        at = problem.position
        return (at.file, at.line, at.column) if at else ("", 0, 0)

    return tuple(sorted(problems, key=place))


def format_problem(problem: Problem, paint: Styler = unstyled) -> str:
    """`file:line:column: message`, as grep and editors read it."""
    warns = problem.severity is Severity.WARNING
    mark = f"{paint(Style.WARNING, 'warning:')} " if warns else ""
    position = replace_invisible(str(problem.position))
    place = f"{paint(Style.LOCATION, f'{position}:')} " if problem.position else ""
    return f"{place}{mark}{replace_invisible(problem.message)}"


EXCERPT_COLUMNS = 100
"""Longer lines are cut around the caret, so that it stays on the screen."""


def format_with_caret(problem: Problem, paint: Styler = unstyled) -> str:
    """The problem, and under it the line it is in with a caret below the place.

    Tabs count as one column; wide characters take two, so that the caret stands
    where a terminal shows the place.
    """
    head = format_problem(problem, paint)
    if problem.position is None or not problem.position.column or not problem.line.strip():
        return head
    start = problem.position.column - 1
    first = max(0, start - EXCERPT_COLUMNS // 2)
    shown = replace_invisible(problem.line[first : first + EXCERPT_COLUMNS])
    before = shown[: start - first]
    marked = shown[start - first : start - first + max(1, problem.width)]
    number = str(problem.position.line)
    gutter = " " * len(number)
    ink = Style.WARNING if problem.severity is Severity.WARNING else Style.ERROR
    caret = " " * display_width(before) + paint(ink, "^" + "~" * (display_width(marked) - 1))
    source = f"{paint(Style.GUTTER, f'{number} |')} {shown.rstrip()}"
    return f"{head}\n  {source}\n  {paint(Style.GUTTER, f'{gutter} |')} {caret}"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean `x`?` when one of the known words is near, else an empty text."""
    import difflib  # noqa: PLC0415 -- only for what is wrong, and slow to import

    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"; did you mean `{folded[near[0]]}`?" if near else ""
