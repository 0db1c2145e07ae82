"""Encode `data` and `dataType` as the body of a message and its content type."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Never

from wps_run.document.json import json_fault
from wps_run.document.scalars import Base64

CONTENT_TYPES: Mapping[str, str] = {
    "text": "text/plain",
    "json": "application/json",
    "binary": "application/octet-stream",
}
"""Media types of the body by `dataType`. Source: the three types of the send operations."""


BUFFER_ERROR = 'a Buffer is {"type":"Buffer","data":[…]} with numbers from 0 to 255'

_SHOWN = 60
"""The longest data that a message repeats, in characters."""


def encode_message(data: object, data_type: str) -> bytes:
    """Return the body that is sent for `data`.

    Args:
        data: A string, a `Base64`, or for `binary` also `{"type": "Buffer", "data": [0..255]}`,
            the JSON form of a Node Buffer.
        data_type: `text`, `json` or `binary`.

    Raises:
        ValueError: The data does not match the type. The message says what to write instead.

    Source: the output binding's rules for `data`. JSON is checked, so that an invalid message is
    found before anything is sent.
    """
    if data_type == "binary":
        return _encode_binary(data)
    if isinstance(data, Base64):
        raise ValueError("`data` is `!!binary`, so `dataType: binary` is needed")  # noqa: TRY004
    if not isinstance(data, str):
        raise ValueError(  # noqa: TRY004 -- every bad value of a playbook is a ValueError
            f"`data` must be a string; write {quote_json(data)}"
        )
    if data_type == "json":
        _require_json(data)
    try:
        return data.encode()
    except UnicodeEncodeError:
        raise ValueError(
            "`data` holds half of a surrogate pair, which is not a character"
        ) from None


def compact_json(value: object) -> str:
    """Return a value as JSON without blanks, its keys in their order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def quote_json(data: object) -> str:
    """Return a value as JSON in a single-quoted YAML string."""
    return "'" + compact_json(data).replace("'", "''") + "'"


def _encode_binary(data: object) -> bytes:
    if isinstance(data, str):
        try:
            return base64.b64decode("".join(data.split()), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(
                "`data` is not base64; for `dataType: binary` write `!!binary`, base64, "
                "or the JSON of a Node Buffer"
            ) from None
    content = buffer_bytes(data)
    if content is not None:
        return content
    if is_buffer(data):
        raise ValueError(BUFFER_ERROR)
    raise ValueError('`data` must be `!!binary`, base64, or {"type":"Buffer","data":[…]}')


def is_buffer(data: object) -> bool:
    """Return whether data claims to be the JSON of a Node Buffer."""
    return isinstance(data, Mapping) and str(data.get("type", "")).casefold() == "buffer"


def buffer_bytes(data: object) -> bytes | None:
    """Return the bytes of the JSON of a Node Buffer; None if data is none or is not valid."""
    numbers = data.get("data") if isinstance(data, Mapping) and is_buffer(data) else None
    if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
        return None
    try:
        return bytes(numbers)
    except ValueError:
        return None


def _require_json(text: str) -> None:
    try:
        json.loads(text, parse_constant=_refuse_constant, parse_int=str, parse_float=str)
    except RecursionError:
        raise ValueError("`data` is nested too deeply to be checked as JSON") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"`data` is not JSON{_explain(text, error)}") from None


def _explain(text: str, error: json.JSONDecodeError) -> str:
    """Return what is wrong with `data`, and what to do."""
    place = f" ({error.msg} at character {error.pos + 1}); "
    cause = _OTHER_LANGUAGE.match(text, error.pos)
    if text.startswith("\ufeff"):
        return ": it begins with a byte order mark (U+FEFF), which JSON does not have; remove it"
    if not text.strip():
        return place + 'it is empty: write `null`, or a text as `""`'
    if cause:
        return place + _REMEDIES[cause.lastgroup or ""]
    if text.lstrip()[:1] in {"{", "[", '"', "/", "#"}:
        reason, offset = json_fault(error)
        return f": {reason} (character {offset + 1})"
    remedy = quote_json(text) if len(text) <= _SHOWN else "in double quotes"
    return f"{place}a plain text in JSON is written {remedy}"


_OTHER_LANGUAGE = re.compile(
    r"(?P<python>b'|(?:None|True|False|nan|inf)\b|[A-Za-z_][\w.]*\(|<[\w.]+ object|\()"
    r"|(?P<quote>['`\u2018\u2019\u201c\u201d])|(?P<undefined>undefined\b)"
    r"|(?P<object>object Object\])"
)
"""What other languages write where a value of JSON should begin."""

_REMEDIES = {
    "python": "this is how Python shows a value, write it with `json.dumps`",
    "quote": "JSON has only straight double quotes; from Python, write it with `json.dumps`",
    "undefined": "JavaScript wrote `undefined`, which JSON does not have: there was no value",
    "object": "JavaScript shows an object so, write it with `JSON.stringify`",
}


def _refuse_constant(constant: str) -> Never:
    raise ValueError(f"`data` is not JSON: it has no {constant}; write null, or a number")
