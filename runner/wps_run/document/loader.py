"""Load YAML 1.2 (core schema) or JSON text into a document with the position of every value.

PyYAML is used as the parser only: its own loaders follow YAML 1.1, where `no` is false and `12:30`
is 750, and they provide neither positions nor duplicate keys.
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
from wps_run.document.builder import MERGE_KEY, TOO_DEEP, DocumentBuilder
from wps_run.document.document import Document
from wps_run.document.json import add_json_nodes, json_error, looks_like_json
from wps_run.document.scalars import TagError, resolve_plain, resolve_tagged, short_tag
from wps_run.document.source import Source
from wps_run.problems import PlaybookError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser if it is available, or else PyYAML's own: slower, with the same events."""

_Event: TypeAlias = Any
"""An event of PyYAML. Its stubs allow marks to be None, but those of a parser never are."""

_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
"""Characters that YAML forbids, or that libyaml reads as line breaks, changing the data."""

_MAP = ("!", "tag:yaml.org,2002:map")
_SEQ = ("!", "tag:yaml.org,2002:seq")
_EMPTY = (
    "the file is empty; write `actions:` and below it, for each action, "
    "`  - actionName: …` with its properties"
)


BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""The byte order marks of UTF-16, in either order."""

UTF_16_ERROR = "the file is UTF-16; save it as UTF-8"


def utf8_error(byte: int) -> str:
    """Return the message for a byte that is not UTF-8."""
    return f"the byte 0x{byte:02X} is not UTF-8; save the file as UTF-8"


def decode(raw: bytes, file: str) -> str:
    """Decode a file's content: UTF-8, with or without a byte order mark.

    Raises:
        PlaybookError: It is not UTF-8; says where.
    """
    raw = raw.removeprefix(BOM)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        message = UTF_16_ERROR if raw.startswith(UTF_16) else utf8_error(raw[error.start])
        start = len(raw[: error.start].decode())
        source = Source(file, raw.decode(errors="replace"))
        raise PlaybookError([source.problem(message, "encoding", start, start + 1)]) from None


def load(text: str, file: str) -> Document:
    """Load a text that holds one YAML or JSON document; a byte order mark is ignored.

    Raises:
        PlaybookError: It is not valid. Holds all problems up to the first syntax error.
    """
    source = Source(file, text.removeprefix("\ufeff"))
    builder = DocumentBuilder(source)
    with _collector_paused():
        if looks_like_json(source.text) and json_error(source.text) is None:
            add_json_nodes(source.text, builder)
        else:
            _refuse_characters(source, builder)
            _add_yaml_nodes(source, builder)
    return builder.build()


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the cyclic garbage collector, which would scan the growing data again and again.

    A document has no cycles. With 100,000 actions, loading takes a fifth of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _refuse_characters(source: Source, builder: DocumentBuilder) -> None:
    match = _REFUSED.search(source.text)
    if not match:
        return
    code = f"{ord(match[0]):04X}"
    hint = f"write `\\u{code.lower()}` in double quotes, or leave it out"
    if "\ud800" <= match[0] <= "\udfff":
        hint = "it is half of a surrogate pair"
    message = f"YAML does not allow the character U+{code}; {hint}"
    raise builder.fatal(message, "character", match.start(), match.end())


def _add_yaml_nodes(source: Source, builder: DocumentBuilder) -> None:
    """Add the nodes of a YAML text from the events of the parser, without recursion."""
    documents = 0
    event: _Event
    try:
        for event in yaml.parse(source.text, Loader=_LOADER):
            event_type = type(event)
            if event_type is ScalarEvent:
                _add_scalar(event, builder)
            elif event_type is DocumentStartEvent:
                documents += 1
                if documents > 1:
                    raise _second_document_error(event, builder)
            else:
                _add_structure(event, builder)
    except yaml.MarkedYAMLError as error:
        message, offset = syntax_errors.explain(error, source.text)
        rule = "too-deep" if message == TOO_DEEP else "syntax"
        raise builder.fatal(message, rule, offset, offset + 1) from None
    if not documents:
        raise builder.fatal(_EMPTY, "empty", 0, 1)


def _second_document_error(event: _Event, builder: DocumentBuilder) -> PlaybookError:
    message = "a second document begins here; one file holds one playbook"
    start = event.start_mark.index
    return builder.fatal(message, "documents", start, start + 3)


def _add_structure(event: _Event, builder: DocumentBuilder) -> None:
    event_type = type(event)
    if event_type is MappingStartEvent:
        _start_container(event, {}, _MAP, builder)
    elif event_type is SequenceStartEvent:
        _start_container(event, [], _SEQ, builder)
    elif event_type is AliasEvent:
        builder.add_alias(event.anchor, event.start_mark.index, event.end_mark.index)
    elif event_type in {yaml.MappingEndEvent, yaml.SequenceEndEvent}:
        builder.end_container(event.end_mark.index)


def _start_container(
    event: _Event,
    container: list[Any] | dict[str, Any],
    tags: tuple[str, ...],
    builder: DocumentBuilder,
) -> None:
    start = event.start_mark.index
    if event.tag is not None and event.tag not in tags:
        message = f"the tag `{short_tag(event.tag)}` is not allowed on a list or mapping; remove it"
        builder.add_problem(message, "tag", start, event.end_mark.index)
    builder.start_container(container, start, event.anchor)


def _add_scalar(event: _Event, builder: DocumentBuilder) -> None:
    start, end = event.start_mark.index, event.end_mark.index
    value: Any = event.value
    if event.tag is not None:
        value = _resolve_tagged(event.tag, value, start, end, builder)
    elif event.implicit[0]:
        if value == MERGE_KEY and builder.expects_key:
            builder.add_merge_key(start, end)
            return
        value = resolve_plain(value)
    if event.anchor is not None:
        builder.define_anchor(event.anchor, value, start, end)
    builder.add_value(value, start, end)


def _resolve_tagged(tag: str, text: str, start: int, end: int, builder: DocumentBuilder) -> object:
    try:
        return resolve_tagged(tag, text)
    except TagError as error:
        builder.add_problem(str(error), "tag", start, end)
        return text
