"""Parse JSON text exactly as JSON.

JSON is nearly YAML, but libyaml refuses what `JSON.stringify` and `json.dumps` often write:
surrogate pairs as escapes, raw U+2028 and DEL, keys of more than 1,024 characters.
"""

import json
import re
from functools import partial
from typing import Never

from wps_run.document.builder import DocumentBuilder
from wps_run.document.scalars import resolve_plain
from wps_run.text import has_surrogate

_BLANKS = " \t\r\n"
_NO_BLANK = re.compile(rf"[^{_BLANKS}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r'[\[{\]}]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s,:"\[\]{}]+')


def looks_like_json(text: str) -> bool:
    """Check whether a text begins like a JSON list or object."""
    return text.lstrip(" \t\r\n")[:1] in {"[", "{"}


def is_json_lines(text: str, file: str) -> bool:
    """Check whether a text that is not JSON as a whole is NDJSON: an object on each line.

    Args:
        text: The text. It is, if its first line is an object, and another one follows.
        file: The name of the file. It is, if the name says so.
    """
    first, _, rest = text.strip().partition("\n")
    if file.lower().endswith((".ndjson", ".jsonl")):
        return bool(first)
    return first[:1] == "{" and rest.lstrip()[:1] == "{" and json_error(first) is None


def json_error(text: str) -> json.JSONDecodeError | None:
    """Return the error that makes a text invalid JSON, or None.

    What is nested too deeply is no error here: the builder refuses it, where it is too deep.
    """
    refuse_constant = partial(_refuse_constant, text)
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        return error
    except RecursionError:
        return None
    return None


_YAML = "a `.json` file must be JSON; rename it to `.yaml` if it is YAML"
_REMEDIES = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (r"//|/\*|#", "it has no comments; remove them"),
        (
            "['`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb]",
            'texts and keys are written in straight double quotes: `"text"`',
        ),
        (r"(?:-?Infinity|NaN|undefined)\b", "it has no `{}`; write a text in quotes, or `null`"),
        (r"(?:True|False|None)\b", "it has no `{}`; write `true`, `false` or `null`"),
        (r"[\w$]+(?=\s*:)", 'keys are written in double quotes: `"{}"`'),
        (r"[^\W\d]\w*", 'a text is written in double quotes: `"{}"`'),
        (r"\.\d|\+\d", "a number begins with a digit or `-`"),
    )
)
"""What is at the place of an error, and what to do. `{}` is that text."""

_MESSAGES = (
    ("Extra data", "it should end here; several objects are written as a list, `[{…}, {…}]`"),
    ("Expecting ',' delimiter", "a `,` or the closing bracket is missing here"),
    ("Expecting ':' delimiter", "a `:` is missing after the key"),
    ("Unterminated string", "the quote that begins here is not closed"),
    ("Invalid control character", "a line break or tab in a text is written `\\n` or `\\t`"),
    ("Invalid \\", "not an escape; a backslash is written `\\\\`"),
    ("Expecting property name", "a key in double quotes is missing here"),
    ("Expecting value", "a value is missing here"),
)
"""The beginning of a message of Python's parser to the message to show instead."""

_REMEDY_LENGTH = 60


def explain_json(error: json.JSONDecodeError) -> tuple[str, int]:
    """Return what makes a file invalid JSON and what to write instead, and its offset."""
    message, offset = json_fault(error)
    return f"this is not JSON: {message}", offset


def json_fault(error: json.JSONDecodeError) -> tuple[str, int]:
    """Return what is wrong in a JSON text and what to write instead, and its offset."""
    if error.msg.startswith(("Invalid", "Unterminated")):  # inside a text
        return _message_of(error), error.pos
    text = error.doc
    offset = _skip_blanks(text, error.pos)
    before = len(text[:offset].rstrip(_BLANKS))
    following = text[offset : offset + 1]
    if following == ",":  # since Python 3.13, the comma is the place of the error
        comma, closing = offset, text[_skip_blanks(text, offset + 1) :][:1]
    else:
        comma, closing = before - 1, following
    if closing in {"]", "}"} and text[comma : comma + 1] == ",":
        return "remove the `,` before the closing bracket", comma
    if text[offset - 1 : offset] == "0" and following.isalnum():
        return "a number is decimal and has no leading zeros", offset - 1
    if before and not following:
        return "a closing `]` or `}` is missing at the end", before - 1
    return _remedy_at(text, offset, is_start=not before) or _message_of(error), offset


def _remedy_at(text: str, offset: int, *, is_start: bool) -> str:
    """Return what to do about the characters at an offset, or an empty text."""
    for pattern, remedy in _REMEDIES:
        match = pattern.match(text, offset, offset + _REMEDY_LENGTH)
        if match and not (is_start and match[0][0].isalnum()):
            return remedy.format(match[0])
    return _YAML if is_start else ""


def _skip_blanks(text: str, offset: int) -> int:
    match = _NO_BLANK.search(text, offset)
    return match.start() if match else len(text)


def _message_of(error: json.JSONDecodeError) -> str:
    return next((shown for start, shown in _MESSAGES if error.msg.startswith(start)), error.msg)


def add_json_nodes(text: str, builder: DocumentBuilder) -> None:
    """Add the nodes of a valid JSON text.

    Raises:
        PlaybookError: The builder refuses a node.
    """
    for match in _TOKEN.finditer(text):
        token = match[0]
        start, end = match.span()
        first = token[0]
        if first == '"':
            builder.add_value(_parse_string(token, start, end, builder), start, end)
        elif first == "{":
            builder.start_container({}, start, None)
        elif first == "[":
            builder.start_container([], start, None)
        elif first in "]}":
            builder.end_container(end)
        else:
            builder.add_value(resolve_plain(token), start, end)


def _parse_string(token: str, start: int, end: int, builder: DocumentBuilder) -> str:
    if "\\" not in token:
        return token[1:-1]
    value: str = json.loads(token)
    if has_surrogate(value):
        message = "the text has half of a surrogate pair, which is not a character"
        builder.add_problem(message, "surrogate", start, end)
        return _SURROGATE.sub("\ufffd", value)
    return value


def _refuse_constant(text: str, name: str) -> Never:
    """Refuse the first NaN or infinity. All before it is valid, so that it is a token."""
    tokens = _TOKEN.finditer(text)
    offset = next((token.start() for token in tokens if token[0].startswith(name)), 0)
    raise json.JSONDecodeError(f"JSON has no {name}", text, offset)
