"""JSON text into a tree, exactly as JSON has it.

JSON is nearly YAML, but libyaml refuses what `JSON.stringify` and `json.dumps` write every day:
pairs of surrogate escapes, raw U+2028 and DEL, keys of more than 1,024 characters.
"""

import json
import re
from typing import Never

from wps_run.document.builder import DocumentBuilder
from wps_run.document.scalars import resolve_plain

_TOKEN = re.compile(r'[\[{\]}]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s,:"\[\]{}]+')
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def json_error(text: str) -> json.JSONDecodeError | None:
    """Why a text is not JSON, or None when it is."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return error
    except RecursionError:
        return json.JSONDecodeError("it is nested too deeply", text, 0)
    return None


def looks_like_json(text: str) -> bool:
    """Whether a text begins as a JSON list or object does."""
    return text.lstrip(" \t\r\n")[:1] in {"[", "{"}


def add_json_nodes(text: str, tree: DocumentBuilder) -> None:
    """Add the nodes of a text that is JSON.

    Raises:
        PlaybookError: From the tree.
    """
    for token in _TOKEN.finditer(text):
        word = token[0]
        start, end = token.span()
        first = word[0]
        if first == '"':
            tree.add(_string(word, start, end, tree), start, end)
        elif first == "{":
            tree.open({}, start, None)
        elif first == "[":
            tree.open([], start, None)
        elif first in "]}":
            tree.close(end)
        else:
            tree.add(resolve_plain(word), start, end)


def _string(word: str, start: int, end: int, tree: DocumentBuilder) -> str:
    if "\\" not in word:
        return word[1:-1]
    value: str = json.loads(word)
    if _SURROGATE.search(value):
        message = "the text has half of a surrogate pair, which is no character"
        tree.fault(message, "surrogate", start, end)
    return value


def _no_constant(name: str) -> Never:
    raise json.JSONDecodeError(f"JSON has no {name}", name, 0)
