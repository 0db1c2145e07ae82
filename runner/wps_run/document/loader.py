"""YAML text to plain data with a position for every value, by the core schema of YAML 1.2.

PyYAML serves as the parser only: its own loaders follow YAML 1.1, where `no` is false and
`12:30` is 750, and know neither positions nor duplicate keys. JSON is read as JSON.
"""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from wps_run.document import syntax_errors
from wps_run.document.builder import MERGE, TOO_DEEP, DocumentBuilder
from wps_run.document.document import Document, Path
from wps_run.document.json import add_json_nodes, json_error, looks_like_json
from wps_run.document.scalars import TagError, resolve_plain, resolve_tagged, short_tag
from wps_run.document.source import Source
from wps_run.problems import PlaybookError

__all__ = ["Document", "Path", "decode", "load"]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where it was built, or else PyYAML's own: slower, the same events."""

_Event: TypeAlias = Any
"""An event of PyYAML's; its stubs let a mark be None, which a parser's never is."""

_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
"""Not allowed in YAML, or read as line breaks by libyaml, which would change the data."""

_MAP = ("!", "tag:yaml.org,2002:map")
_SEQ = ("!", "tag:yaml.org,2002:seq")
_EMPTY = (
    "the file is empty; write `actions:` and below it, for each action, "
    "`  - actionName: …` with its properties"
)


def decode(raw: bytes, file: str) -> str:
    """The text of a file's bytes: UTF-8, with or without a byte order mark.

    Raises:
        PlaybookError: It is not UTF-8; says where.
    """
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            message = "the file is UTF-16; save it as UTF-8"
        else:
            message = f"the byte 0x{raw[error.start]:02X} is not UTF-8; save the file as UTF-8"
        start = len(raw[: error.start].decode())
        source = Source(file, raw.decode(errors="replace"))
        raise PlaybookError([source.problem(message, "encoding", start, start + 1)]) from None


def load(text: str, file: str) -> Document:
    """Read a text that holds one YAML or JSON document.

    Args:
        text: The text; a byte order mark is left out.
        file: The name that problems are told under.

    Raises:
        PlaybookError: It cannot be read. Holds every problem up to the first error of syntax.
    """
    source = Source(file, text.removeprefix("\ufeff"))
    tree = DocumentBuilder(source)
    with _collector_held():
        if looks_like_json(source.text) and json_error(source.text) is None:
            add_json_nodes(source.text, tree)
        else:
            _refuse_characters(source, tree)
            _compose(source, tree)
    return tree.document()


@contextmanager
def _collector_held() -> Iterator[None]:
    """Hold the cyclic collector off: it would scan the growing data over and over.

    Nothing built here has cycles, and the cost of 100,000 actions falls to a fifth.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _refuse_characters(source: Source, tree: DocumentBuilder) -> None:
    found = _REFUSED.search(source.text)
    if not found:
        return
    code = f"{ord(found[0]):04X}"
    remedy = f"write `\\u{code.lower()}` in double quotes, or leave it out"
    if "\ud800" <= found[0] <= "\udfff":
        remedy = "it is half of a surrogate pair"
    message = f"the character U+{code} cannot stand in YAML; {remedy}"
    raise tree.stop(message, "character", found.start(), found.end())


def _compose(source: Source, tree: DocumentBuilder) -> None:
    """Add the nodes of a YAML text, from libyaml's events; no recursion, whatever the depth."""
    documents = 0
    event: _Event
    try:
        for event in yaml.parse(source.text, Loader=_LOADER):
            kind = type(event)
            if kind is ScalarEvent:
                _scalar(event, tree)
            elif kind is DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise _second_document(event, tree)
            else:
                _structure(event, tree)
    except yaml.MarkedYAMLError as error:
        message, offset = syntax_errors.explain(error, source.text)
        rule = "too-deep" if message == TOO_DEEP else "syntax"
        raise tree.stop(message, rule, offset, offset + 1) from None
    if not documents:
        raise tree.stop(_EMPTY, "empty", 0, 1)


def _second_document(event: _Event, tree: DocumentBuilder) -> PlaybookError:
    message = "a second document begins here; one file holds one playbook"
    start = event.start_mark.index
    return tree.stop(message, "documents", start, start + 3)


def _structure(event: _Event, tree: DocumentBuilder) -> None:
    kind = type(event)
    if kind is MappingStartEvent:
        _open(event, {}, _MAP, tree)
    elif kind is SequenceStartEvent:
        _open(event, [], _SEQ, tree)
    elif kind is AliasEvent:
        tree.alias(event.anchor, event.start_mark.index, event.end_mark.index)
    elif kind in {yaml.MappingEndEvent, yaml.SequenceEndEvent}:
        tree.close(event.end_mark.index)


def _open(
    event: _Event,
    container: list[Any] | dict[str, Any],
    tags: tuple[str, ...],
    tree: DocumentBuilder,
) -> None:
    start = event.start_mark.index
    if event.tag is not None and event.tag not in tags:
        message = f"the tag `{short_tag(event.tag)}` does not fit a list or a mapping; leave it out"
        tree.fault(message, "tag", start, event.end_mark.index)
    tree.open(container, start, event.anchor)


def _scalar(event: _Event, tree: DocumentBuilder) -> None:
    start, end = event.start_mark.index, event.end_mark.index
    value: Any = event.value
    if event.tag is not None:
        value = _tagged(event.tag, value, start, end, tree)
    elif event.implicit[0]:
        if value == MERGE and tree.at_key():
            tree.merge_key(start, end)
            return
        value = resolve_plain(value)
    if event.anchor is not None:
        tree.anchor(event.anchor, value, start, end)
    tree.add(value, start, end)


def _tagged(tag: str, text: str, start: int, end: int, tree: DocumentBuilder) -> object:
    try:
        return resolve_tagged(tag, text)
    except TagError as error:
        tree.fault(str(error), "tag", start, end)
        return text
