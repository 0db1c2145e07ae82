"""The data of a YAML or JSON text, with the position of every value."""

import re
from array import array
from collections.abc import Mapping
from typing import Any, TypeAlias

from wps_run.document.source import Source
from wps_run.problems import Position, Problem, Severity

Path = tuple[str | int, ...]
"""The keys and indexes that lead from the top of a document to a value."""

EntryOffsets: TypeAlias = "array[int]"
"""The offsets of a container's entries: for each, the start of key and value and the end."""

OFFSETS_PER_ENTRY = 3
_FEW_KEYS = 16
"""Up to so many keys are searched in their order; of more, the indexes are stored."""

_QUOTED = re.compile(r"""\"[^"\\]*(?:\\.[^"\\]*)*"|'[^']*(?:''[^']*)*'""", re.DOTALL)


class Document:
    """The data of one file. Positions are computed from offsets when they are needed.

    Attributes:
        file: The file name in problems.
        text: The source text.
        data: A dict, list, str, int, float, bool, None or `scalars.Base64`.
        problems: What is wrong with the text itself, such as a duplicate key, by position.
    """

    def __init__(
        self,
        source: Source,
        roots: list[Any],
        offsets: Mapping[int, EntryOffsets],
        alias_spans: Mapping[int, tuple[int, int]],
        problems: tuple[Problem, ...] = (),
    ) -> None:
        """Take over what a `DocumentBuilder` has built.

        Args:
            source: The text.
            roots: A list with the data as its only item.
            offsets: The offsets of the entries of each container, and of `roots`, by its `id`.
            alias_spans: Start and end of the scalar that an alias stands for, by the offset of
                the alias.
            problems: What is wrong with the text itself.
        """
        self.file = source.file
        self.text = source.text
        self.data: Any = roots[0]
        self.problems = problems
        self._source = source
        self._roots = roots
        self._offsets = dict(offsets)
        self._alias_spans = alias_spans
        self._key_indexes: dict[int, dict[object, int]] = {}

    def position(self, path: Path) -> Position:
        """Return where a value begins, or its closest container if there is no such value."""
        return self._source.position(self._find(path)[1])

    def position_of_key(self, path: Path) -> Position:
        """Return where the key of a value begins."""
        return self._source.position(self._find(path)[0])

    def rename_keys(self, mapping: dict[str, Any], names: Mapping[str, str]) -> None:
        """Rename keys of a mapping of this document, in place; positions do not change.

        Args:
            mapping: The mapping.
            names: The new name of each key that stays; all others are removed.
        """
        old = self._offsets[id(mapping)]
        new: EntryOffsets = array("q")
        entries = {}
        for index, (key, value) in enumerate(mapping.items()):
            if key in names:
                entries[names[key]] = value
                new.extend(old[OFFSETS_PER_ENTRY * index : OFFSETS_PER_ENTRY * (index + 1)])
        mapping.clear()
        mapping.update(entries)
        self._offsets[id(mapping)] = new
        self._key_indexes.pop(id(mapping), None)

    def value_at(self, path: Path) -> Any:  # noqa: ANN401 -- any YAML value
        value = self.data
        for step in path:
            value = value[step]
        return value

    def source_text(self, path: Path) -> str:
        """Return a scalar as in the source: `007`, `2.50`, `TRUE`. For a string, its value.

        A null without a value in the source is an empty text.
        """
        value = self.value_at(path)
        if isinstance(value, str):
            return str(value)
        start, end = self._scalar_span(path)
        words = self.text[start:end].split()  # a tag or an anchor may precede the scalar
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
        """Make a problem with the value at a path, or with its key."""
        key_start, start, end = self._find(path)
        if at_key:
            start, end = key_start, self._key_end(key_start, path)
        return self._source.problem(message, rule, start, end, severity)

    def problems_within(self, path: Path) -> tuple[Problem, ...]:
        """Return the document's own problems that lie in the value at a path."""
        if not self.problems:
            return ()
        _, start, end = self._find(path)
        first, last = self._source.position(start), self._source.position(end)
        return tuple(
            problem
            for problem in self.problems
            if problem.position and first <= problem.position <= last
        )

    def problem_in_string(  # noqa: PLR0913 -- what a problem is made of
        self,
        message: str,
        rule: str,
        path: Path,
        offset: int,
        width: int,
        *,
        severity: Severity = Severity.ERROR,
    ) -> Problem:
        """Make a problem with a part of the string at a path.

        Args:
            message: What is wrong.
            rule: A stable name for machines.
            path: The path to the string.
            offset: The offset of the part in the string.
            width: The length of the part.
            severity: Whether it prevents a run.

        The part is located in strings that the source has on one line without escapes; in others
        the problem is with the whole string.
        """
        _, start, end = self._find(path)
        text = self.text[start:end]
        value = self.value_at(path)
        if text.startswith("'") and "\n" not in text and text[1:-1].replace("''", "'") == value:
            begin = start + 1 + offset + value.count("'", 0, offset)
        elif "\n" not in text and value in text:
            begin = start + text.index(value) + offset
        else:
            return self.problem(message, rule, path, severity=severity)
        stop = min(begin + width, end)
        return self._source.problem(message, rule, begin, stop, severity)

    def mask(self, path: Path) -> None:
        """Mask the value at a path in the source lines of all later problems."""
        self._source.mask(*self._scalar_span(path))

    def _scalar_span(self, path: Path) -> tuple[int, int]:
        """Return start and end of a value; of an alias, those of the scalar it stands for."""
        _, start, end = self._find(path)
        return self._alias_spans.get(start, (start, end))

    def _key_end(self, start: int, path: Path) -> int:
        quoted = _QUOTED.match(self.text, start)
        return quoted.end() if quoted else start + len(str(path[-1])) if path else start

    def _find(self, path: Path) -> tuple[int, int, int]:
        """Return key start, start and end of the deepest existing value on a path."""
        container: Any = self._roots
        key_start, start, end = 0, 0, 0
        for step in (0, *path):
            entry = self._entry_index(container, step)
            if entry is None:
                break
            first = OFFSETS_PER_ENTRY * entry
            offsets = self._offsets[id(container)]
            key_start, start, end = offsets[first : first + OFFSETS_PER_ENTRY]
            container = container[step]
        return key_start, start, end

    def _entry_index(self, container: object, step: str | int) -> int | None:
        """Return the index of the entry that a step of a path leads to, or None."""
        if isinstance(container, dict):
            if len(container) <= _FEW_KEYS:
                return list(container).index(step) if step in container else None
            if id(container) not in self._key_indexes:
                self._key_indexes[id(container)] = {key: n for n, key in enumerate(container)}
            return self._key_indexes[id(container)].get(step)
        if isinstance(container, list) and isinstance(step, int) and 0 <= step < len(container):
            return step
        return None
