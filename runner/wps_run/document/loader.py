"""Load YAML 1.2 (core schema) or JSON text into a document with the position of every value.

PyYAML is used as the parser only: its own loaders follow YAML 1.1, where `no` is false and `12:30`
is 750, and they provide neither positions nor duplicate keys.
"""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
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
from wps_run.document.json import (
    add_json_nodes,
    explain_json,
    is_json_lines,
    json_error,
    looks_like_json,
)
from wps_run.document.scalars import TagError, resolve_plain, resolve_tagged, short_tag
from wps_run.document.source import Source
from wps_run.problems import PlaybookError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser if it is available, or else PyYAML's own: slower, with the same events."""

_Event: TypeAlias = Any
"""An event of PyYAML. Its stubs allow marks to be None, but those of a parser never are."""

_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
"""Characters that YAML forbids, or that libyaml reads as line breaks, changing the data."""

MANY_REFUSED = 20
"""A text with more of these characters is hardly text: only the first is reported."""

REPLACEMENT = "\ufffd"
"""Stands for a refused character while the rest of a text is checked."""

_HALF = r"\\(?:u|U0{4})[dD][89a-fA-F][0-9a-fA-F]{2}"
_HALVES = re.compile(rf"(?<!\\)((?:\\\\)*)((?:{_HALF})+)")
"""Escapes of surrogates in double quotes, after an even number of backslashes."""

_MAP = ("!", "tag:yaml.org,2002:map")
_SEQ = ("!", "tag:yaml.org,2002:seq")
_EMPTY = "the file is empty"

BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""The byte order marks of UTF-16, in either order."""


def is_utf_32(start: bytes) -> bool:
    """Return whether a file begins like UTF-32, in either order, with or without its mark."""
    is_marked = start.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff"))
    return is_marked or start[:4].count(0) == _UTF_32_ZEROS


_UTF_32_ZEROS = 3
"""The bytes of 0 in a character of ASCII."""


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
        encoding = "UTF-32" if is_utf_32(raw) else "UTF-16" if raw.startswith(UTF_16) else ""
        message = f"the file is {encoding}; save it as UTF-8"
        message = message if encoding else utf8_error(raw[error.start])
        start = len(raw[: error.start].decode())
        source = Source(file, raw.decode(errors="replace"))
        raise PlaybookError([source.problem(message, "encoding", start, start + 1)]) from None


def load(text: str, file: str) -> Document:
    """Load a text that holds one YAML or JSON document; a byte order mark is ignored.

    Args:
        text: The text.
        file: Its name. What ends in `.json` must be JSON; all other files may be YAML or JSON.

    Raises:
        PlaybookError: It is not valid. Holds all problems up to the first syntax error.
    """
    document = parse(text, file)
    if document.problems:
        raise PlaybookError(document.problems)
    return document


def parse(text: str, file: str) -> Document:
    """Load a text as `load` does, but leave problems such as duplicate keys in the document.

    Raises:
        PlaybookError: The text cannot be read to its end. Holds all problems up to there.
    """
    source = Source(file, text.removeprefix("\ufeff"))
    builder = DocumentBuilder(source)
    is_json_file = file.lower().endswith(".json")
    with _collector_paused():
        if is_json_file or looks_like_json(source.text):
            if not source.text.strip():
                raise builder.fatal(_EMPTY, "empty", 0, 1)
            invalid = json_error(source.text)
            if invalid is None:
                add_json_nodes(source.text, builder)
                return builder.build()
            if is_json_lines(source.text, file):
                _add_json_lines(source.text, builder)
                return builder.build()
            if is_json_file:
                message, offset = explain_json(invalid)
                raise builder.fatal(message, "syntax", offset, offset + 1)
        return _parse_yaml(source, builder)


def _add_json_lines(text: str, builder: DocumentBuilder) -> None:
    """Add the values of NDJSON as the items of one list.

    Raises:
        PlaybookError: Lines are not JSON, or the builder refuses a node.
    """
    offset = 0
    for line in text.split("\n"):
        invalid = json_error(line) if line.strip() else None
        if invalid:
            message, start = explain_json(invalid)
            start = offset + min(start, len(line) - 1)
            builder.add_problem(message, "syntax", start, start + 1)
        offset += len(line) + 1
    if builder.problems:
        raise PlaybookError(builder.problems)
    builder.start_container([], 0, None)
    add_json_nodes(text, builder)
    builder.end_container(len(text))


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


def _parse_yaml(source: Source, builder: DocumentBuilder) -> Document:
    """Parse a YAML text. What YAML refuses is replaced, so that the rest can be checked."""
    text = _replace_refused(source.text, builder)
    try:
        _add_yaml_nodes(text, builder)
    except yaml.MarkedYAMLError as error:
        message, offset = syntax_errors.explain(error, text)
        if message != syntax_errors.SURROGATE or not _HALVES.search(text):
            raise _syntax_error(message, offset, builder) from None
        builder = DocumentBuilder(source)
        _replace_refused(source.text, builder)
        try:
            _add_yaml_nodes(_HALVES.sub(_replacement_escapes, text), builder, has_halves=True)
        except yaml.MarkedYAMLError as later:
            raise _syntax_error(*syntax_errors.explain(later, text), builder) from None
    return builder.build()


def _syntax_error(message: str, offset: int, builder: DocumentBuilder) -> PlaybookError:
    rule = "too-deep" if message == TOO_DEEP else "syntax"
    return builder.fatal(message, rule, offset, offset + 1)


def _replace_refused(text: str, builder: DocumentBuilder) -> str:
    """Report the characters that YAML does not allow, and return the text without them.

    Raises:
        PlaybookError: There are many: this is not a text.
    """
    matches = list(islice(_REFUSED.finditer(text), MANY_REFUSED + 1))
    for match in matches:
        code = f"{ord(match[0]):04X}"
        hint = f"write `\\u{code.lower()}` in double quotes, or leave it out"
        if "\ud800" <= match[0] <= "\udfff":
            hint = "it is half of a surrogate pair"
        message = f"YAML does not allow the character U+{code}; {hint}"
        if len(matches) > MANY_REFUSED:
            raise builder.fatal(message, "character", match.start(), match.end())
        builder.add_problem(message, "character", match.start(), match.end())
    return _REFUSED.sub(REPLACEMENT, text) if matches else text


def _replacement_escapes(match: re.Match[str]) -> str:
    """Return escapes of as many characters, so that all positions stay the same."""
    backslashes, halves = match.groups()
    return backslashes + "".join(
        "\\ufffd" if half[1] == "u" else "\\U0000fffd" for half in re.findall(_HALF, halves)
    )


def _add_yaml_nodes(text: str, builder: DocumentBuilder, *, has_halves: bool = False) -> None:
    """Add the nodes of a YAML text from the events of the parser, without recursion.

    Args:
        text: The text.
        builder: Receives the nodes.
        has_halves: Whether escapes of surrogates have been replaced and are to be reported.

    Raises:
        MarkedYAMLError: The text is not YAML.
        PlaybookError: The builder refuses a node, or the text is empty.
    """
    documents = 0
    event: _Event
    for event in yaml.parse(text, Loader=_LOADER):
        event_type = type(event)
        if event_type is ScalarEvent:
            if has_halves and event.style == '"':
                _report_halves(event, builder)
            _add_scalar(event, builder)
        elif event_type is DocumentStartEvent:
            documents += 1
            if documents > 1:
                message = "a second document begins here; one file holds one playbook"
                start = event.start_mark.index
                builder.add_problem(message, "documents", start, start + 3)
                return
        else:
            _add_structure(event, builder)
    if not documents:
        raise builder.fatal(_EMPTY, "empty", 0, 1)


def _report_halves(event: _Event, builder: DocumentBuilder) -> None:
    start, end = event.start_mark.index, event.end_mark.index
    for match in _HALVES.finditer(builder.text, start, end):
        builder.add_problem(syntax_errors.SURROGATE, "surrogate", match.start(2), match.end())


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
