"""A source text, with the line and column of each character and the lines that problems show."""

from array import array
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate, chain, count
from operator import add

from wps_run.problems import Position, Problem, Severity, shorten
from wps_run.redaction import mask_access_keys


class Source:
    """The text of a file.

    Attributes:
        file: The file name in problems.
        text: The text, without a byte order mark.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._masked: list[tuple[int, int]] = []
        self._lines: dict[int, str] = {}

    @cached_property
    def _line_starts(self) -> "array[int]":
        """The offset of each line's first character."""
        lines = self.text.replace("\r\n", " \n").replace("\r", "\n").split("\n")
        lengths = accumulate(map(len, lines[:-1]))
        return array("q", chain((0,), map(add, lengths, count(1))))

    def line_of(self, offset: int) -> int:
        """Return the number of the line, from 1, that contains a character."""
        return bisect_right(self._line_starts, offset)

    def position(self, offset: int) -> Position:
        line = self.line_of(offset)
        return Position(self.file, line, offset - self._line_starts[line - 1] + 1)

    def mask(self, start: int, end: int) -> None:
        """Show asterisks instead of these characters in the lines of all later problems."""
        self._masked.append((start, end))
        self._lines.clear()

    def problem(
        self, message: str, rule: str, start: int, end: int, severity: Severity = Severity.ERROR
    ) -> Problem:
        """Make a problem with the characters from `start` to `end`, up to the end of the line.

        Access keys in the message and the line are masked, and masked characters in the line.
        """
        position = self.position(start)
        line = self._masked_line(position.line)
        width = max(1, min(end - start, len(line) - position.column + 1))
        return Problem(mask_access_keys(shorten(message)), rule, position, line, width, severity)

    def _masked_line(self, number: int) -> str:
        """Return a line without its line break. Masking keeps its width.

        Lines are cached: in a batch on one line, each action may have a problem.
        """
        if number in self._lines:
            return self._lines[number]
        starts = self._line_starts
        begin = starts[number - 1]
        stop = starts[number] if number < len(starts) else len(self.text)
        line = self.text[begin:stop].rstrip("\r\n")
        for start, end in self._masked:
            first, last = max(start - begin, 0), min(end - begin, len(line))
            if first < last:
                line = line[:first] + "*" * (last - first) + line[last:]
        self._lines[number] = mask_access_keys(line)
        return self._lines[number]
