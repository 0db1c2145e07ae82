"""Problems of a user's input with their positions, and the expected exceptions."""

import errno
from collections.abc import Iterable
from enum import StrEnum
from itertools import chain, islice
from typing import NamedTuple

from wps_run.input_limits import PROBLEM_MESSAGE, PROBLEMS
from wps_run.text import (
    ELLIPSIS,
    Label,
    Style,
    Styler,
    display_width,
    labeled,
    replace_invisible,
    unstyled,
)


class Severity(StrEnum):
    """The weight of a problem: an error prevents a run, a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


class Position(NamedTuple):
    """A position in a file. Lines and columns count from 1, columns in characters.

    Column 0 is the line as a whole, as of a row of a CSV file. A tuple, since each row has one.
    """

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        column = f":{self.column}" if self.column else ""
        return f"{self.file}:{self.line}{column}"


class Problem(NamedTuple):
    """One thing that is wrong: where, what, and the remedy.

    Attributes:
        message: A sentence for a person, with the remedy. It never contains a secret.
        rule: A stable name for programs, such as `unknown-key`.
        position: Its position, or None when it is in no file (an option, a setting).
        line: The text of that line, without its line break; "" when unknown.
        width: The number of characters of the line that are wrong, at least 1.
        severity: Whether it prevents a run.
        related: What in a playbook uses the file of rows, or includes the file, in which the
            problem is; None if it is in the playbook itself.
    """

    message: str
    rule: str
    position: Position | None = None
    line: str = ""
    width: int = 1
    severity: Severity = Severity.ERROR
    related: Position | None = None

    @property
    def full_message(self) -> str:
        """The message, with the place of what uses the file."""
        return f"{self.message}; used in {self.related}" if self.related else self.message


class WpsRunError(Exception):
    """An expected failure, whose message is for the user.

    Nothing was sent, unless it says that a journal or a report cannot be written: then every action
    has its result.

    WpsRunError
     +- PlaybookError    a playbook, a variable or a row is wrong
     +- SettingsError    a setting or a connection string is missing or wrong
     +- UsageError       the command line or the arguments of a call are wrong
     +- JournalError     a journal cannot be written, read or resumed
     +- ApprovalError    an approved plan cannot be read, or is not that of the run
     +- ReadError        the live state of the service cannot be read (in `state.reader`)
    """


class PlaybookError(WpsRunError):
    """A playbook, a variable or a row is wrong. Has every problem that was found, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(format_problem(problem) for problem in self.problems))


class SettingsError(WpsRunError):
    """A setting or a connection string is missing or wrong. Never contains its value."""


class UsageError(WpsRunError):
    """The command line, or the arguments of a call, are wrong."""


class JournalError(WpsRunError):
    """A journal cannot be written, read or resumed."""


class ApprovalError(WpsRunError):
    """An approved plan cannot be read, or is not that of the run. Says what has changed."""


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort problems by file, line and column; those without a position come first."""
    return tuple(sorted(problems, key=lambda problem: problem.position or ("", 0, 0)))


def format_problem(problem: Problem, styler: Styler = unstyled) -> str:
    """Format a problem as `file:line:column: error: message`, as grep and editors read it."""
    position = replace_invisible(str(problem.position))
    location = f"{styler(Style.LOCATION, f'{position}:')} " if problem.position else ""
    return location + labeled(
        Label(problem.severity), replace_invisible(problem.full_message), styler
    )


EXCERPT_COLUMNS = 100
"""The most characters of a line in an excerpt, which keeps the caret on the screen."""


def format_with_caret(problem: Problem, styler: Styler = unstyled) -> str:
    """Format a problem, its line, and a caret below the position."""
    head = format_problem(problem, styler)
    if problem.position is None or not problem.position.column or not problem.line.strip():
        return head
    start = problem.position.column - 1
    first = max(0, start - EXCERPT_COLUMNS // 2)
    excerpt = replace_invisible(problem.line[first : first + EXCERPT_COLUMNS])
    before = excerpt[: start - first]
    marked = excerpt[start - first : start - first + max(1, problem.width)]
    number = str(problem.position.line)
    style = Style.WARNING if problem.severity is Severity.WARNING else Style.ERROR
    caret = " " * display_width(before) + styler(style, "^" + "~" * (display_width(marked) - 1))
    source = f"{styler(Style.GUTTER, f'{number} |')} {excerpt.rstrip()}"
    gutter = styler(Style.GUTTER, f"{' ' * len(number)} |")
    return f"{head}\n  {source}\n  {gutter} {caret}"


SIMILAR_NAMES, SIMILAR_LENGTH = 100, 64
"""The most names that are compared with a misspelled one, and the longest: comparing takes time."""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return `; did you mean `x`?` when a name is similar, else an empty text.

    Of many names only the first are compared, and long ones are never similar.
    """
    if len(word) > SIMILAR_LENGTH:
        return ""
    import difflib  # noqa: PLC0415 -- only for errors, and slow to import

    by_folded_name = {
        name.casefold(): name
        for name in islice(names, SIMILAR_NAMES)
        if len(name) <= SIMILAR_LENGTH
    }
    similar = difflib.get_close_matches(word.casefold(), by_folded_name, n=1, cutoff=0.6)
    return f"; did you mean `{by_folded_name[similar[0]]}`?" if similar else ""


def is_out_of_files(error: BaseException) -> bool:
    """Whether a process, or the system, has as many files open as it may have."""
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}


def shorten(message: str) -> str:
    """Cut a message that quotes something very long, in the middle: the remedy is at its end."""
    if len(message) <= PROBLEM_MESSAGE.value:
        return message
    half = PROBLEM_MESSAGE.value // 2
    return f"{message[:half]}{ELLIPSIS}{message[-half:]}"


def limited(problems: Iterable[Problem], most: int = PROBLEMS.value) -> list[Problem]:
    """Return the first problems and, in place of all others, one that says that there are more.

    It is an error if one of those is.
    """
    rest = iter(problems)
    first = list(islice(rest, most))
    following = next(rest, None)
    if following is not None:
        is_error = any(problem.severity is Severity.ERROR for problem in chain((following,), rest))
        severity = Severity.ERROR if is_error else Severity.WARNING
        message = f"there are more than {most:,} problems; correct the ones above first"
        position = following.position
        first.append(Problem(message, "more-problems", position, severity=severity))
    return first
