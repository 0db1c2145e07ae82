"""Plain data read from a text, and where each value of it stands in that text."""

import re
from array import array
from collections.abc import Mapping
from typing import Any, TypeAlias

from wps_run.document.source import Source
from wps_run.problems import Position, Problem, Severity

Path = tuple[str | int, ...]
"""The way to a value: the keys and indexes that lead to it from the top."""

EntryOffsets: TypeAlias = "array[int]"
"""Of one container, for each entry in its order: offset of the key, of the value, of its end."""

_PER_ENTRY = 3
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\']|\'\')*\'', re.DOTALL)


class Document:
    """The data of one file. Positions are worked out from offsets only when asked for.

    Attributes:
        file: The name that problems are told under.
        text: The source text.
        data: A dict, list, str, int, float, bool, None or `payload.Base64`.
    """

    def __init__(
        self,
        source: Source,
        roots: list[Any],
        marks: Mapping[int, EntryOffsets],
        spans: Mapping[int, tuple[int, int]],
    ) -> None:
        """Keep what a `Tree` has built.

        Args:
            source: The text.
            roots: A list with the data as its one item.
            marks: The marks of each container, `roots` included, by its `id`.
            spans: For each alias that stands for a scalar, by offset, where that scalar is.
        """
        self.file = source.file
        self.text = source.text
        self.data: Any = roots[0]
        self._source = source
        self._roots = roots
        self._marks = marks
        self._spans = spans

    def position(self, path: Path) -> Position:
        """Where the value at a path begins; of a path that leads nowhere, how far it leads."""
        return self._source.position(self._mark(path)[1])

    def key_position(self, path: Path) -> Position:
        """Where the key begins that holds the value; in a list, where the value begins."""
        return self._source.position(self._mark(path)[0])

    def source_text(self, path: Path) -> str:
        """A scalar as it stands in the source: `007`, `2.50`, `TRUE`; of a string, its value.

        A null that is written as nothing is an empty text.
        """
        value = self.value_at(path)
        if isinstance(value, str):
            return str(value)
        _, start, end = self._mark(path)
        start, end = self._spans.get(start, (start, end))
        words = self.text[start:end].split()
        last = words[-1].strip("\"'") if words else ""
        return "" if last.startswith(("&", "!")) else last

    def problem(
        self,
        message: str,
        rule: str,
        path: Path,
        *,
        at_key: bool = False,
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """A problem with the value at a path, or with the key that holds it."""
        key, start, end = self._mark(path)
        if at_key:
            start, end = key, self._key_end(key, path)
        return self._source.problem(message, rule, start, end, severity)

    def mask(self, path: Path) -> None:
        """Mask the value at a path in every line that a later problem shows."""
        _, start, end = self._mark(path)
        self._source.mask(*self._spans.get(start, (start, end)))

    def _key_end(self, start: int, path: Path) -> int:
        quoted = _QUOTED.match(self.text, start)
        return quoted.end() if quoted else start + len(str(path[-1])) if path else start

    def value_at(self, path: Path) -> Any:  # noqa: ANN401 -- what YAML holds
        """The value at a path."""
        value = self.data
        for step in path:
            value = value[step]
        return value

    def _mark(self, path: Path) -> tuple[int, int, int]:
        """Offsets of key, value and end, of the deepest value that the path leads to."""
        container: Any = self._roots
        key, start, end = 0, 0, 0
        for step in (0, *path):
            entry = _entry(container, step)
            if entry is None:
                break
            marks = self._marks[id(container)]
            key, start, end = marks[_PER_ENTRY * entry : _PER_ENTRY * (entry + 1)]
            container = container[step]
        return key, start, end


def _entry(container: object, step: str | int) -> int | None:
    """Which entry of a container a step leads to, or None when there is none."""
    if isinstance(container, dict):
        return list(container).index(step) if step in container else None
    if isinstance(container, list) and isinstance(step, int) and 0 <= step < len(container):
        return step
    return None
