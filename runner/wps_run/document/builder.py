"""Build a document from the nodes that a parser finds, in the order of the text."""

from array import array
from collections.abc import Iterator
from typing import Any

from wps_run.document.document import OFFSETS_PER_ENTRY, Document, EntryOffsets
from wps_run.document.source import Source
from wps_run.input_limits import DEPTH, PROBLEMS
from wps_run.problems import PlaybookError, Problem, did_you_mean, limited, sort_problems

DEPTH_LIMIT = DEPTH.value
"""The deepest nesting of lists and mappings; a playbook needs five levels."""

TOO_DEEP = f"lists and mappings are nested more than {DEPTH_LIMIT} levels deep"

ALIAS_MINIMUM = 100_000
ALIAS_RATIO = 10
LONG_TEXT = 1024
"""Aliases may expand to at most ALIAS_MINIMUM values, or to ALIAS_RATIO times the values in the
text if that is more. Without this limit, a few lines of nested aliases expand to billions. A text
counts as another value for each LONG_TEXT characters."""

MANY_KEYS = 10_000
"""In a larger mapping, the line of the first of two equal keys is not looked up: it takes long."""

MERGE_KEY = "<<"
"""The unquoted key that merges the entries of other mappings into its own."""

_LIST_ITEM: Any = object()
_KEY_EXPECTED: Any = object()
_MERGE_VALUE: Any = object()
_IGNORED_VALUE: Any = object()


class _OpenContainer:
    """A list or mapping that has not ended. `key` is the key whose value comes next."""

    __slots__ = (
        "anchor",
        "container",
        "key",
        "key_start",
        "merge",
        "node_count",
        "offsets",
        "start",
    )

    def __init__(
        self,
        container: Any,  # noqa: ANN401 -- a list or a dict
        start: int,
        anchor: str | None,
        node_count: int,
    ) -> None:
        self.container = container
        self.start = start
        self.anchor = anchor
        self.node_count = node_count
        self.offsets: EntryOffsets = array("q")
        self.key = _LIST_ITEM if isinstance(container, list) else _KEY_EXPECTED
        self.key_start = start
        self.merge: tuple[Any, int, int] | None = None


class _Anchor:
    """A value with an anchor: its number of nodes and, for a scalar, its start and end."""

    __slots__ = ("node_count", "span", "value")

    def __init__(self, value: Any, node_count: int, span: tuple[int, int] | None) -> None:  # noqa: ANN401 -- any value
        self.value = value
        self.node_count = node_count
        self.span = span


_UNFINISHED = _Anchor(None, 0, None)
"""The anchor of a container that has not ended."""


class DocumentBuilder:
    """Receives the nodes of a text and builds a `Document`.

    Problems that do not prevent further parsing are collected. Of two equal keys, the first keeps
    its value; an alias without an anchor becomes null.
    All offsets count characters of the source text.

    Attributes:
        problems: The problems so far.
    """

    def __init__(self, source: Source) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._roots: list[Any] = []
        self._current = _OpenContainer(self._roots, 0, None, 0)
        self._outer: list[_OpenContainer] = []
        self._offsets: dict[int, EntryOffsets] = {}
        self._alias_spans: dict[int, tuple[int, int]] = {}
        self._anchors: dict[str, _Anchor] = {}
        self._node_count = 0
        self._alias_node_count = 0

    def build(self) -> Document:
        """Return the finished document, with the problems so far."""
        self._offsets[id(self._roots)] = self._current.offsets
        return Document(
            self._source,
            self._roots,
            self._offsets,
            self._alias_spans,
            sort_problems(self.problems),
        )

    def add_problem(self, message: str, rule: str, start: int, end: int) -> None:
        """Record a problem that does not prevent further parsing.

        Raises:
            PlaybookError: There are too many problems.
        """
        self.problems.append(self._source.problem(message, rule, start, end))
        if len(self.problems) > PROBLEMS.value:
            raise PlaybookError(limited(sort_problems(self.problems)))

    def fatal(self, message: str, rule: str, start: int, end: int) -> PlaybookError:
        """Return the error to raise when parsing cannot continue; holds all problems so far."""
        self.add_problem(message, rule, start, end)
        return PlaybookError(sort_problems(self.problems))

    @property
    def text(self) -> str:
        """The source text."""
        return self._source.text

    @property
    def expects_key(self) -> bool:
        """Whether the next value is the key of a mapping."""
        return self._current.key is _KEY_EXPECTED

    def start_container(
        self, container: list[Any] | dict[str, Any], start: int, anchor: str | None
    ) -> None:
        """Start a list or mapping, which receives the values that follow.

        Raises:
            PlaybookError: It is nested too deep.
        """
        if len(self._outer) >= DEPTH_LIMIT:
            raise self.fatal(TOO_DEEP, "too-deep", start, start + 1)
        if anchor is not None:
            self._anchors[anchor] = _UNFINISHED
        self._outer.append(self._current)
        self._current = _OpenContainer(container, start, anchor, self._node_count)

    def end_container(self, end: int) -> None:
        """End the list or mapping that was started last."""
        ended = self._current
        self._current = self._outer.pop()
        if ended.merge is not None:
            self._merge(ended, *ended.merge)
        self._offsets[id(ended.container)] = ended.offsets
        self.add_value(ended.container, ended.start, end)
        if ended.anchor is not None:
            node_count = self._node_count - ended.node_count
            self._anchors[ended.anchor] = _Anchor(ended.container, node_count, None)

    def add_value(self, value: Any, start: int, end: int) -> None:  # noqa: ANN401 -- any value
        """Add a list item, or in a mapping alternately a key and its value."""
        self._node_count += _weight(value)
        current = self._current
        key = current.key
        if key is _LIST_ITEM:
            current.container.append(value)
            current.offsets.extend((start, start, end))
        elif key is _KEY_EXPECTED:
            self._set_key(current, value, start, end)
        else:
            current.key = _KEY_EXPECTED
            if key is _MERGE_VALUE:
                current.merge = (value, start, end)
            elif key is not _IGNORED_VALUE:
                current.container[key] = value
                current.offsets.extend((current.key_start, start, end))

    def add_merge_key(self, start: int, end: int) -> None:
        """Add the key whose value is merged into the mapping."""
        current = self._current
        if current.merge is not None:
            message = f"`{MERGE_KEY}` is here twice; write `{MERGE_KEY}: [*a, *b]`"
            self.add_problem(message, "duplicate-key", start, end)
        current.key = _MERGE_VALUE

    def define_anchor(self, name: str, value: Any, start: int, end: int) -> None:  # noqa: ANN401 -- any scalar
        self._anchors[name] = _Anchor(value, _weight(value), (start, end))

    def add_alias(self, name: str, start: int, end: int) -> None:
        """Add the value of an anchor once more.

        Raises:
            PlaybookError: The aliases expand to too many values.
        """
        anchor = self._anchors.get(name)
        if anchor is None or anchor is _UNFINISHED:
            self._add_alias_problem(name, anchor, start, end)
            if self._current.key is _MERGE_VALUE:
                self._current.key = _KEY_EXPECTED
            else:
                self.add_value(None, start, end)
            return
        self._alias_node_count += anchor.node_count
        own_node_count = self._node_count - self._alias_node_count
        if self._alias_node_count > max(ALIAS_MINIMUM, ALIAS_RATIO * own_node_count):
            message = "aliases expand to too many values; write a shorter file, or several"
            raise self.fatal(message, "alias-bomb", start, end)
        self._node_count += anchor.node_count - _weight(anchor.value)
        if anchor.span is not None:
            self._alias_spans[start] = anchor.span
        self.add_value(anchor.value, start, end)

    def _add_alias_problem(self, name: str, anchor: _Anchor | None, start: int, end: int) -> None:
        if anchor is _UNFINISHED:
            message = f"`*{name}` is used inside the value of its own anchor"
        else:
            hint = did_you_mean(name, self._anchors) or "; quote it if a text is meant"
            message = f"`*{name}` names no anchor{hint}"
        self.add_problem(message, "alias", start, end)

    def _set_key(self, current: _OpenContainer, key: object, start: int, end: int) -> None:
        current.key_start = start
        if type(key) is not str:
            self._add_key_problem(key, start, end)
            current.key = _IGNORED_VALUE
        elif key in current.container:
            message = f"the key `{key}` is here for the second time"
            if len(current.container) <= MANY_KEYS:
                entry = list(current.container).index(key)
                line = self._source.line_of(current.offsets[OFFSETS_PER_ENTRY * entry])
                message += f"; the first is on line {line}"
            self.add_problem(message, "duplicate-key", start, end)
            current.key = _IGNORED_VALUE
        else:
            current.key = key

    def _add_key_problem(self, key: object, start: int, end: int) -> None:
        if isinstance(key, list | dict):
            message = "a key must be a single word or a quoted text"
        else:
            message = f'a key must be a text; write "{self._source.text[start:end]}" in quotes'
        self.add_problem(message, "key-type", start, end)

    def _merge(self, target: _OpenContainer, value: object, start: int, end: int) -> None:
        """Merge one or more mappings; own keys take precedence, then those of earlier mappings."""
        for mapping in value if isinstance(value, list) else [value]:
            if not isinstance(mapping, dict):
                message = (
                    f"`{MERGE_KEY}` takes a mapping or a list of mappings, such as `*defaults`"
                )
                self.add_problem(message, "merge", start, end)
                return
            for key, offsets in self._entries(mapping):
                if key not in target.container:
                    target.container[key] = mapping[key]
                    target.offsets.extend(offsets)

    def _entries(self, mapping: dict[str, Any]) -> Iterator[tuple[str, EntryOffsets]]:
        offsets = self._offsets[id(mapping)]
        for entry, key in enumerate(mapping):
            start = OFFSETS_PER_ENTRY * entry
            yield key, offsets[start : start + OFFSETS_PER_ENTRY]


def _weight(value: object) -> int:
    """Return as how many values a value counts, what is in it not included."""
    return 1 + len(value) // LONG_TEXT if isinstance(value, str) else 1
