"""What libyaml says of a text that is not YAML, in words that help."""

import yaml

from wps_run.document.builder import TOO_DEEP
from wps_run.document.json import json_error, looks_like_json

_UNCLOSED = (
    "the quote that begins here is not closed; inside single quotes a `'` is written `''`, "
    'inside double quotes a `"` is written `\\"`'
)
_MESSAGES = (
    ("maximum nesting depth", TOO_DEEP),  # libyaml's own limit, since 0.2.6
    (
        "mapping values are not allowed",
        (
            "a `: ` cannot stand here; a text that has one needs quotes, and a key must be "
            "indented like the keys around it"
        ),
    ),
    (
        "unexpected end of stream",
        _UNCLOSED,
    ),
    (
        "unexpected document indicator",
        _UNCLOSED,
    ),
    (
        "unknown escape character",
        "not an escape of double quotes; write `\\\\` for a backslash, or use single quotes",
    ),
    (
        "hexdecimal number",
        "the escape needs hexadecimal digits: `\\x41`, `\\u00e9`, `\\U0001F600`",
    ),
    (
        "Unicode character escape",
        (
            "half of a surrogate pair, which YAML has not; write one escape such as "
            "`\\U0001F600`, or the character itself"
        ),
    ),
    (
        "expected ',' or ']'",
        (
            "the list `[…]` goes wrong here: a `,` or the closing `]` is missing, or a text such "
            "as `${…}` needs quotes"
        ),
    ),
    (
        "expected ',' or '}'",
        (
            "the mapping `{…}` goes wrong here: a `,` or the closing `}` is missing, or a text "
            "such as `${…}` needs quotes"
        ),
    ),
    (
        "block sequence entries are not allowed",
        "a list cannot begin here; put its `-` on the next line, or quote the text",
    ),
    (
        "expected '-' indicator",
        "the list is broken off here; indent this line below its `-`, or begin it with `- `",
    ),
    (
        "did not find expected key",
        (
            "this does not fit the mapping around it; check the indentation, and quote a text "
            "that goes on after a closing quote"
        ),
    ),
    (
        "could not find expected ':'",
        "a `:` is missing after this key",
    ),
    (
        "a tab character",
        "a tab cannot indent; use spaces",
    ),
    (
        "undefined tag handle",
        "this tag is not known; quote the text if no tag is meant",
    ),
    (
        "expected alphabetic or numeric",
        "a name must follow `&` and `*`; quote the text if that is what it begins with",
    ),
    (
        "expected comment or line break",
        "after `|` or `>` the text begins on the next line",
    ),
    (
        "expected node content",
        "a value is missing here, or a text needs quotes",
    ),
    (
        "expected <document start>",
        "the file should have ended here; check the indentation",
    ),
)
"""A part of libyaml's own sentence, and what is told instead."""

_FLOW = ("expected ',' or ']'", "expected ',' or '}'")


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[str, int]:
    """What is wrong, and the offset of the place.

    Args:
        error: libyaml's, or PyYAML's own, with its marks.
        text: The text that was read.
    """
    at = error.problem_mark or error.context_mark
    offset = min(at.index, len(text)) if at else 0
    said = error.problem or "it cannot be read as YAML"
    if "cannot start any token" in said:
        return _bad_start(text[offset : offset + 1]), offset
    if "surrogate" in _told(said) and looks_like_json(text):
        fault = json_error(text)
        if fault is not None:
            return f"this is not JSON: {fault.msg}", fault.pos
    if _told(said) is _UNCLOSED and error.context_mark:
        offset = error.context_mark.index
    elif offset >= len(text.rstrip()) and error.context_mark and said.endswith(_FLOW):
        return "what begins here is not closed", error.context_mark.index
    return _told(said), offset


def _told(said: str) -> str:
    for part, message in _MESSAGES:
        if part in said:
            return message
    return said


def _bad_start(character: str) -> str:
    if character == "\t":
        return "a tab cannot indent; use spaces"
    return f"an unquoted text cannot begin with `{character}`; put it in quotes"
