"""Request bodies and metadata headers: which are accepted, and what they mean.

Source: the behavior of Microsoft's emulator, which its authors compare with the service. A body
has at most 1 MiB; text in another charset is converted to UTF-8; JSON is checked and not changed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from wps_run.emulator.effects import DataType
from wps_run.emulator.json_text import JsonObject, JsonTextError, parse_json
from wps_run.emulator.names import MetadataError, is_group_name, read_metadata
from wps_run.emulator.rest.responses import UNSUPPORTED_MEDIA_TYPE, RefusedError, bad_request

BODY_LIMIT = 1024 * 1024
"""The maximum size of a body, in bytes."""

METADATA_PREFIX = "x-webpubsub-metadata-"
"""The prefix of the headers that become a message's metadata, in any case."""

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
"""The charsets that .NET supports without extensions; others are refused."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_INVALID_REQUEST = bad_request("The request body is not a valid groups request.")


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request; `content_type` is "" without a Content-Type header."""

    content_type: str = ""
    data: bytes = b""


def check_length(content_length: int | None) -> int:
    """Check the length of a body before it is read; None means a chunked body.

    Raises:
        RefusedError: 400; the length is missing or above `BODY_LIMIT`.
    """
    if content_length is None or content_length > BODY_LIMIT:
        raise RefusedError(bad_request("Invalid Content-Length header."))
    return content_length


def read_message(body: Body) -> tuple[DataType, bytes]:
    """Read the payload of a send.

    Raises:
        RefusedError: 415 for an unknown type or charset, 400 for invalid JSON.
    """
    data_type, charset = _content_type(body.content_type)
    if data_type is DataType.BINARY:
        return data_type, body.data
    text = body.data.decode(charset, "replace")
    if data_type is DataType.JSON:
        _check_json(text)
    return data_type, text.encode()


def metadata_from_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Read the metadata of a message from all headers of a send, by lower-case name.

    Source: the behavior of Microsoft's emulator; the OpenAPI document does not mention them. A
    header holds a list with commas, and may be repeated: only the last value counts.

    Raises:
        RefusedError: 400; a name or a value is too long or not ASCII.
    """
    values: dict[str, str] = {}
    for name, value in headers:
        lowered = name.lower()
        if lowered.startswith(METADATA_PREFIX):
            values[lowered.removeprefix(METADATA_PREFIX)] = value.rpartition(",")[2].strip()
    try:
        return read_metadata(values.items())
    except MetadataError as error:
        raise RefusedError(bad_request(str(error))) from None


def read_groups(body: Body) -> tuple[tuple[str, ...], str]:
    """Return the groups and the filter of a bulk change; the filter is "" when it is missing.

    The names of the members may have any case; of those that come twice the last counts.

    Raises:
        RefusedError: 415 unless it is JSON, 400 unless it has groups and an optional filter.
    """
    data_type, charset = _content_type(body.content_type)
    if data_type is not DataType.JSON:
        raise RefusedError(UNSUPPORTED_MEDIA_TYPE)
    try:
        request = parse_json(body.data.decode(charset))
    except ValueError:
        request = None
    if not isinstance(request, JsonObject):
        raise RefusedError(_INVALID_REQUEST)
    members = {name.lower(): value for name, value in request}
    groups, text = members.get("groups"), members.get("filter")
    if not isinstance(text, str | None):
        raise RefusedError(_INVALID_REQUEST)
    if not isinstance(groups, list) or not groups or not all(map(_is_group, groups)):
        raise RefusedError(bad_request("A nonempty list of valid group names is required."))
    return tuple(dict.fromkeys(groups)), text or ""


def _is_group(value: object) -> bool:
    """Check a group name from JSON, whose escapes may hold one half of a surrogate pair."""
    return isinstance(value, str) and is_group_name(value) and not _SURROGATE.search(value)


def _content_type(header: str) -> tuple[DataType, str]:
    """Parse a Content-Type into the data type and Python's name of the charset."""
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
            is_quoted = len(value) > 1 and value.startswith('"') and value.endswith('"')
            return value[1:-1] if is_quoted else value
    return "utf-8"


def _check_json(text: str) -> None:
    try:
        parse_json(text)
    except JsonTextError:
        raise RefusedError(bad_request("The request body is not a valid JSON.")) from None
