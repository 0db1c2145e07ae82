"""Explain the syntax errors of libyaml: what is wrong, and what to write instead."""

import yaml

from wps_run.document.builder import TOO_DEEP
from wps_run.document.json import explain_json, json_error, looks_like_json

_UNCLOSED = (
    "the quote that begins here is not closed; inside single quotes a `'` is written `''`, "
    'inside double quotes a `"` is written `\\"`'
)
SURROGATE = (
    "half of a surrogate pair, which YAML does not allow; write one escape such as `\\U0001F600`, "
    "or the character itself"
)
_TAB = "a tab is not allowed as indentation; use spaces"
_MESSAGES = {
    "maximum nesting depth": TOO_DEEP,  # libyaml's own limit, since 0.2.6
    "mapping values are not allowed": (
        "a `: ` is not allowed here; quote a text that contains one, and indent a key like the "
        "keys around it"
    ),
    "unexpected end of stream": _UNCLOSED,
    "unexpected document indicator": _UNCLOSED,
    "unknown escape character": (
        "not an escape of double quotes; write `\\\\` for a backslash, or use single quotes"
    ),
    "hexdecimal number": "the escape needs hexadecimal digits: `\\x41`, `\\u00e9`, `\\U0001F600`",
    "Unicode character escape": SURROGATE,
    "expected ',' or ']'": (
        "the list `[…]` goes wrong here: a `,` or the closing `]` is missing, or a text such "
        "as `${…}` needs quotes"
    ),
    "expected ',' or '}'": (
        "the mapping `{…}` goes wrong here: a `,` or the closing `}` is missing, or a text "
        "such as `${…}` needs quotes"
    ),
    "block sequence entries are not allowed": (
        "a list cannot begin here; put its `-` on the next line, or quote the text"
    ),
    "expected '-' indicator": (
        "wrong indentation: this line is outside the list above; indent it, or begin it with `- `"
    ),
    "did not find expected key": (
        "this does not match the mapping around it; check the indentation, and quote a text "
        "that continues after a closing quote"
    ),
    "could not find expected ':'": "a `:` is missing after this key",
    "a tab character": _TAB,
    "undefined tag handle": "unknown tag; quote the text if no tag is meant",
    "expected alphabetic or numeric": (
        "a name must follow `&` or `*`; quote a text that begins with one of them"
    ),
    "expected comment or line break": "after `|` or `>` the text begins on the next line",
    "expected node content": "a value is missing here, or a text needs quotes",
    "expected <document start>": "the file should have ended here; check the indentation",
}
"""A part of libyaml's message to the message to show instead; the first that matches applies."""

_FLOW_ENDINGS = ("expected ',' or ']'", "expected ',' or '}'")


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[str, int]:
    """Return the message for an error of libyaml or PyYAML, and its offset in the text."""
    mark = error.problem_mark or error.context_mark
    offset = min(mark.index, len(text)) if mark else 0
    problem = error.problem or "it cannot be read as YAML"
    if "cannot start any token" in problem:
        return _bad_start_message(text[offset : offset + 1]), offset
    message = next((message for part, message in _MESSAGES.items() if part in problem), problem)
    if "surrogate" in message and looks_like_json(text):
        invalid = json_error(text)
        if invalid is not None:
            return explain_json(invalid)
    if message is _UNCLOSED and error.context_mark:
        offset = error.context_mark.index
    elif offset >= len(text.rstrip()) and error.context_mark and problem.endswith(_FLOW_ENDINGS):
        return "the list or mapping that begins here is not closed", error.context_mark.index
    return message, offset


def _bad_start_message(character: str) -> str:
    if character == "\t":
        return _TAB
    return f"an unquoted text cannot begin with `{character}`; put it in quotes"
