"""Parse JSON text exactly as JSON.

JSON is nearly YAML, but libyaml refuses what `JSON.stringify` and `json.dumps` often write:
surrogate pairs as escapes, raw U+2028 and DEL, keys of more than 1,024 characters.
"""

import json
import re
from typing import Never

from wps_run.document.builder import DocumentBuilder
from wps_run.document.scalars import resolve_plain
from wps_run.text import has_surrogate

_TOKEN = re.compile(r'[\[{\]}]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s,:"\[\]{}]+')


def looks_like_json(text: str) -> bool:
    """Check whether a text begins like a JSON list or object."""
    return text.lstrip(" \t\r\n")[:1] in {"[", "{"}


def json_error(text: str) -> json.JSONDecodeError | None:
    """Return the error that makes a text invalid JSON, or None."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return error
    except RecursionError:
        return json.JSONDecodeError("it is nested too deeply", text, 0)
    return None


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
        message = "the text has half of a surrogate pair, which is no character"
        builder.add_problem(message, "surrogate", start, end)
    return value


def _refuse_constant(name: str) -> Never:
    raise json.JSONDecodeError(f"JSON has no {name}", name, 0)
