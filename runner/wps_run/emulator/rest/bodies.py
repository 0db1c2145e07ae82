"""Request bodies: which types and sizes are taken, and what is made of them.

Source: the emulator's behaviour, which its authors compare with the service. 1 MiB is the most;
text in another charset becomes UTF-8; JSON is checked and kept as it was written.
"""

import json
import re
from dataclasses import dataclass

from wps_run.emulator.effects import DataType
from wps_run.emulator.names import is_group
from wps_run.emulator.rest.replies import UNSUPPORTED_MEDIA_TYPE, RefusedError, bad_request

LIMIT = 1024 * 1024
"""The most bytes a body may have."""

_TYPES = {
    "": DataType.BINARY,
    "application/octet-stream": DataType.BINARY,
    "application/json": DataType.JSON,
    "text/plain": DataType.TEXT,
}

_CHARSETS = {
    "utf-8": "utf-8",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "unicode": "utf-16",
    "utf-32": "utf-32",
    "utf-32le": "utf-32-le",
    "utf-32be": "utf-32-be",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "iso_8859-1": "latin-1",
    "latin1": "latin-1",
}
"""The charsets that .NET knows of itself; others are refused."""


_HALF_PAIR = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it came.

    Attributes:
        content_type: The Content-Type header, "" when there is none.
        data: The bytes.
    """

    content_type: str = ""
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class GroupsRequest:
    """What `:addToGroups` and `:removeFromGroups` are asked for; `filter` is "" when left out."""

    groups: tuple[str, ...]
    filter: str


def check_length(content_length: int | None) -> int:
    """The length of a body that may be read.

    Args:
        content_length: The Content-Length header, None when there is none (chunked bodies).

    Raises:
        RefusedError: 400; it is missing or above `LIMIT`.
    """
    if content_length is None or content_length > LIMIT:
        raise RefusedError(bad_request("Invalid Content-Length header."))
    return content_length


def read_message(body: Body) -> tuple[DataType, bytes]:
    """The payload of a send.

    Raises:
        RefusedError: 415 for another type or charset, 400 for JSON that is none.
    """
    data_type, charset = _content_type(body.content_type)
    if data_type is DataType.BINARY:
        return data_type, body.data
    text = body.data.decode(charset, "replace")
    if data_type is DataType.JSON:
        _check_json(text)
    return data_type, text.encode()


def read_groups(body: Body) -> GroupsRequest:
    """The request of a bulk change.

    Raises:
        RefusedError: 415 unless it is JSON, 400 unless it holds groups and a filter or none.
    """
    data_type, charset = _content_type(body.content_type)
    if data_type is not DataType.JSON:
        raise RefusedError(UNSUPPORTED_MEDIA_TYPE)
    try:
        request = json.loads(body.data.decode(charset))
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict) or not isinstance(request.get("filter"), str | None):
        raise RefusedError(bad_request("The request body is not a valid groups request."))
    groups = request.get("groups")
    if not isinstance(groups, list) or not groups or not all(map(_is_group, groups)):
        raise RefusedError(bad_request("A nonempty list of valid group names is required."))
    return GroupsRequest(tuple(dict.fromkeys(groups)), request.get("filter") or "")


def _is_group(value: object) -> bool:
    """JSON escapes can spell half a surrogate pair, which is no text."""
    return isinstance(value, str) and is_group(value) and not _HALF_PAIR.search(value)


def _content_type(header: str) -> tuple[DataType, str]:
    """What a Content-Type says: the kind of data, and Python's name of the charset."""
    media_type, *parameters = header.split(";")
    data_type = _TYPES.get(media_type.strip().lower())
    charset = _CHARSETS.get(_charset(parameters))
    if data_type is None or charset is None:
        raise RefusedError(UNSUPPORTED_MEDIA_TYPE)
    return data_type, charset


def _charset(parameters: list[str]) -> str:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            value = value.strip().lower()
            quoted = len(value) > 1 and value.startswith('"') and value.endswith('"')
            return value[1:-1] if quoted else value
    return "utf-8"


def _check_json(text: str) -> None:
    """Python would take NaN, and refuse long numbers; the service does neither."""
    try:
        json.loads(text, parse_constant=_refuse, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise RefusedError(bad_request("The request body is not a valid JSON.")) from None


def _refuse(constant: str) -> None:
    raise ValueError(constant)
