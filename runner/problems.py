"""What can be wrong with a user's input, where it is, and how that is shown."""

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a problem weighs: an error stops, a warning is only told."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file. Lines and columns count from 1, columns in characters."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


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

    Each of them means that nothing was sent.
    """


class PlaybookError(WpsRunError):
    """A playbook, a variable or a row is wrong. Holds every problem found, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(one_line(problem) for problem in self.problems))


class SettingsError(WpsRunError):
    """A setting or a connection string is missing or wrong. Never echoes its value."""


class UsageError(WpsRunError):
    """The command line, or the arguments of a call, cannot be carried out."""


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems by file, line and column; those without a place come first."""

    def place(problem: Problem) -> tuple[str, int, int]:
        at = problem.position
        return (at.file, at.line, at.column) if at else ("", 0, 0)

    return tuple(sorted(problems, key=place))


def one_line(problem: Problem) -> str:
    """`file:line:column: message`, as grep and editors read it."""
    mark = "warning: " if problem.severity is Severity.WARNING else ""
    place = f"{problem.position}: " if problem.position else ""
    return f"{place}{mark}{problem.message}"


EXCERPT_COLUMNS = 100
"""Longer lines are cut around the caret, so that it stays on the screen."""


def with_caret(problem: Problem) -> str:
    """The problem, and under it the line it is in with a caret below the place.

    Tabs count as one column; wide characters take two, so that the caret stands
    where a terminal shows the place.
    """
    head = one_line(problem)
    if problem.position is None or not problem.line.strip():
        return head
    start = problem.position.column - 1
    first = max(0, start - EXCERPT_COLUMNS // 2)
    shown = _printable(problem.line[first : first + EXCERPT_COLUMNS])
    before = shown[: start - first]
    marked = shown[start - first : start - first + max(1, problem.width)]
    number = str(problem.position.line)
    gutter = " " * len(number)
    caret = " " * _cells(before) + "^" + "~" * (_cells(marked) - 1)
    return f"{head}\n  {number} | {shown.rstrip()}\n  {gutter} | {caret}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c in "\t\r\n" else "\ufffd" for c in text)


def _cells(text: str) -> int:
    """How many terminal columns a text takes."""
    width = 0
    for character in text:
        if unicodedata.combining(character):
            continue
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean `x`?` when one of the known words is near, else an empty text."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"; did you mean `{folded[near[0]]}`?" if near else ""
