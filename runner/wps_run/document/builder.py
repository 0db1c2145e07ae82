"""Plain data and its marks, built node by node as a parser comes upon them."""

from array import array
from collections.abc import Iterator
from typing import Any

from wps_run.document.document import Document, EntryOffsets
from wps_run.document.source import Source
from wps_run.problems import PlaybookError, Problem, did_you_mean, sort_problems

DEPTH_LIMIT = 64
"""How deep lists and mappings may lie in one another; a playbook needs five."""

TOO_DEEP = f"lists and mappings lie more than {DEPTH_LIMIT} deep in one another"

ALIAS_FLOOR = 100_000
ALIAS_RATIO = 10
"""Aliases may stand for so many values, or for so many times those written out if that is more.

A few lines of aliases of aliases could stand for billions of values otherwise.
"""

MERGE = "<<"
"""An unquoted key that takes in the entries of other mappings."""

_IN_LIST: Any = object()
_NO_KEY: Any = object()
_MERGING: Any = object()
_REPEATED: Any = object()


class _Frame:
    """A container that is not closed yet. `key` is the one that waits for its value."""

    __slots__ = ("anchor", "container", "key", "key_at", "marks", "merged", "nodes", "start")

    def __init__(self, container: Any, start: int, anchor: str | None, nodes: int) -> None:  # noqa: ANN401 -- a list or a dict
        self.container = container
        self.start = start
        self.anchor = anchor
        self.nodes = nodes
        self.marks: EntryOffsets = array("q")
        self.key = _IN_LIST if isinstance(container, list) else _NO_KEY
        self.key_at = start
        self.merged: tuple[Any, int, int] | None = None


class _Anchored:
    """What an anchor names: a value, how many values it stands for, and its scalar's span."""

    __slots__ = ("nodes", "span", "value")

    def __init__(self, value: Any, nodes: int, span: tuple[int, int] | None) -> None:  # noqa: ANN401 -- any value has an anchor
        self.value = value
        self.nodes = nodes
        self.span = span


_OPEN = _Anchored(None, 0, None)
"""Stands for a container that is not closed yet."""


class DocumentBuilder:
    """Takes nodes in the order of the text and becomes a `Document`.

    Problems that do not hinder reading on (a repeated key, an unknown alias) are collected.

    Attributes:
        problems: Those found so far.
    """

    def __init__(self, source: Source) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._roots: list[Any] = []
        self._frame = _Frame(self._roots, 0, None, 0)
        self._stack: list[_Frame] = []
        self._marks: dict[int, EntryOffsets] = {}
        self._spans: dict[int, tuple[int, int]] = {}
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0
        self._by_alias = 0

    def document(self) -> Document:
        """What was built.

        Raises:
            PlaybookError: Problems were found; holds them all, in order.
        """
        if self.problems:
            raise PlaybookError(sort_problems(self.problems))
        self._marks[id(self._roots)] = self._frame.marks
        return Document(self._source, self._roots, self._marks, self._spans)

    def stop(self, message: str, rule: str, start: int, end: int) -> PlaybookError:
        """The error to raise when reading on makes no sense; holds what was found before, too."""
        self.fault(message, rule, start, end)
        return PlaybookError(sort_problems(self.problems))

    def fault(self, message: str, rule: str, start: int, end: int) -> None:
        """Note a problem and go on."""
        self.problems.append(self._source.problem(message, rule, start, end))

    def open(self, container: list[Any] | dict[str, Any], start: int, anchor: str | None) -> None:
        """Begin a list or a mapping; what is added from now on goes into it.

        Raises:
            PlaybookError: It lies too deep.
        """
        if len(self._stack) >= DEPTH_LIMIT:
            raise self.stop(TOO_DEEP, "too-deep", start, start + 1)
        if anchor is not None:
            self._anchors[anchor] = _OPEN
        self._stack.append(self._frame)
        self._frame = _Frame(container, start, anchor, self._nodes)

    def close(self, end: int) -> None:
        """End the list or the mapping that was begun last."""
        frame = self._frame
        self._frame = self._stack.pop()
        if frame.merged is not None:
            self._merge(frame, *frame.merged)
        self._marks[id(frame.container)] = frame.marks
        self.add(frame.container, frame.start, end)
        if frame.anchor is not None:
            nodes = self._nodes - frame.nodes
            self._anchors[frame.anchor] = _Anchored(frame.container, nodes, None)

    def add(self, value: Any, start: int, end: int) -> None:  # noqa: ANN401 -- any value
        """Add a value: an item of a list, or in a mapping by turns a key and what it holds."""
        self._nodes += 1
        frame = self._frame
        key = frame.key
        if key is _IN_LIST:
            frame.container.append(value)
            frame.marks.extend((start, start, end))
        elif key is _NO_KEY:
            self._take_key(frame, value, start, end)
        else:
            frame.key = _NO_KEY
            if key is _MERGING:
                frame.merged = (value, start, end)
            elif key is not _REPEATED:
                frame.container[key] = value
                frame.marks.extend((frame.key_at, start, end))

    def anchor(self, name: str, value: Any, start: int, end: int) -> None:  # noqa: ANN401 -- any scalar
        """Let an anchor name a scalar."""
        self._anchors[name] = _Anchored(value, 1, (start, end))

    def alias(self, name: str, start: int, end: int) -> None:
        """Add once more what an anchor names.

        Raises:
            PlaybookError: Aliases stand for too many values in all.
        """
        found = self._anchors.get(name)
        if found is None or found is _OPEN:
            self._no_alias(name, found, start, end)
            if self._frame.key is _MERGING:
                self._frame.key = _NO_KEY
            else:
                self.add(None, start, end)
            return
        self._by_alias += found.nodes
        if self._by_alias > max(ALIAS_FLOOR, ALIAS_RATIO * (self._nodes - self._by_alias)):
            message = "aliases stand for too many values; write a shorter file, or several"
            raise self.stop(message, "alias-bomb", start, end)
        self._nodes += found.nodes - 1
        if found.span is not None:
            self._spans[start] = found.span
        self.add(found.value, start, end)

    def at_key(self) -> bool:
        """Whether the next value is the key of a mapping."""
        return self._frame.key is _NO_KEY

    def merge_key(self, start: int, end: int) -> None:
        """Add the key that takes in the entries of other mappings."""
        frame = self._frame
        if frame.merged is not None:
            message = f"`{MERGE}` is here twice; write `{MERGE}: [*a, *b]`"
            self.fault(message, "duplicate-key", start, end)
        frame.key = _MERGING

    def _no_alias(self, name: str, found: _Anchored | None, start: int, end: int) -> None:
        if found is _OPEN:
            message = f"`*{name}` stands inside the very thing it names"
            self.fault(message, "alias", start, end)
            return
        near = did_you_mean(name, list(self._anchors))
        message = f"`*{name}` names no anchor{near or '; quote it if a text is meant'}"
        self.fault(message, "alias", start, end)

    def _take_key(self, frame: _Frame, key: object, start: int, end: int) -> None:
        frame.key_at = start
        if type(key) is not str:
            self._not_a_key(key, start, end)
            frame.key = _REPEATED
        elif key in frame.container:
            entry = list(frame.container).index(key)
            line = self._source.line_of(frame.marks[3 * entry])
            message = f"the key `{key}` is here for the second time; the first is on line {line}"
            self.fault(message, "duplicate-key", start, end)
            frame.key = _REPEATED
        else:
            frame.key = key

    def _not_a_key(self, key: object, start: int, end: int) -> None:
        if isinstance(key, list | dict):
            message = "a key must be a single word or a quoted text"
        else:
            message = f'a key must be a text; write "{self._source.text[start:end]}" in quotes'
        self.fault(message, "key-type", start, end)

    def _merge(self, frame: _Frame, value: object, start: int, end: int) -> None:
        """Take in the entries of one or more mappings; own keys win, then earlier mappings."""
        for origin in value if isinstance(value, list) else [value]:
            if not isinstance(origin, dict):
                message = f"`{MERGE}` takes a mapping or a list of mappings, such as `*defaults`"
                self.fault(message, "merge", start, end)
                return
            for key, mark in self._entries(origin):
                if key not in frame.container:
                    frame.container[key] = origin[key]
                    frame.marks.extend(mark)

    def _entries(self, origin: dict[str, Any]) -> Iterator[tuple[str, EntryOffsets]]:
        marks = self._marks[id(origin)]
        for entry, key in enumerate(origin):
            yield key, marks[3 * entry : 3 * (entry + 1)]
