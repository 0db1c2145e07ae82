"""A text, and the place of each of its characters as a person counts lines and columns."""

import re
from bisect import bisect_right
from functools import cached_property

from wps_run.problems import Position, Problem, Severity
from wps_run.text import mask_access_keys

_LINE_BREAK = re.compile(r"\r\n|\n|\r")


class Source:
    """A text by the name of its file.

    Attributes:
        file: The name that problems are told under.
        text: The text, without a byte order mark.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._hidden: list[tuple[int, int]] = []
        self._shown: dict[int, str] = {}

    @cached_property
    def _starts(self) -> list[int]:
        """Offset of each line's first character, made when the first place is asked for."""
        return [0, *(found.end() for found in _LINE_BREAK.finditer(self.text))]

    def line_of(self, offset: int) -> int:
        """The number of the line, from 1, that holds a character."""
        return bisect_right(self._starts, offset)

    def position(self, offset: int) -> Position:
        """The place of a character."""
        line = self.line_of(offset)
        return Position(self.file, line, offset - self._starts[line - 1] + 1)

    def mask(self, start: int, end: int) -> None:
        """Show asterisks in place of this stretch, in every line shown from now on."""
        self._hidden.append((start, end))
        self._shown.clear()

    def problem(
        self,
        message: str,
        rule: str,
        start: int,
        end: int,
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """A problem with the stretch from `start` to `end`, or its part in the first line.

        Access keys, and what is hidden, are masked in message and line.
        """
        position = self.position(start)
        line = self._line(position.line)
        width = max(1, min(end - start, len(line) - position.column + 1))
        return Problem(mask_access_keys(message), rule, position, line, width, severity)

    def _line(self, number: int) -> str:
        """A line's text without its break; what is masked keeps its width.

        Made once a line: a batch may stand in one line, and have a problem in each action.
        """
        if number not in self._shown:
            self._shown[number] = self._masked_line(number)
        return self._shown[number]

    def _masked_line(self, number: int) -> str:
        begin = self._starts[number - 1]
        stop = self._starts[number] if number < len(self._starts) else len(self.text)
        line = self.text[begin:stop].rstrip("\r\n")
        for start, end in self._hidden:
            first, last = max(start - begin, 0), min(end - begin, len(line))
            if first < last:
                line = line[:first] + "*" * (last - first) + line[last:]
        return mask_access_keys(line)
