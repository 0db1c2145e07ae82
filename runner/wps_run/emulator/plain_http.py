"""Read HTTP requests that are plain, and encode responses, without aiohttp.

An event is one short request that nearly always arrives whole. The task and the objects that
aiohttp makes for each would take most of the time of its answer. What is read here is only what can
be read in one way; aiohttp reads everything else.

Source: RFC 9110, sections 5.5 and 5.6.2; RFC 9112, sections 2, 5 and 6.
"""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple, TypeAlias

_HEAD_END = b"\r\n\r\n"

_HEADER = re.compile(r"\r\n([!#$%&'*+.^_`|~0-9A-Za-z-]++): *+([^\x00-\x1f\x7f]*+)(?=\r\n|\Z)")
"""A line that needs no interpretation, after a line break. It is matched in linear time."""

_HEADER_LIMIT = 128
"""How many headers aiohttp reads."""

_SPECIAL = frozenset({"expect", "transfer-encoding", "upgrade"})
"""Headers that change how a request is read or answered."""

_LENGTH = re.compile(r"[0-9]{1,9}")

_PHRASES = {int(status): status.phrase for status in HTTPStatus}

PlainResponse: TypeAlias = tuple[int, Mapping[str, str], bytes]
"""The status, headers and body of a response. Nothing in the headers is escaped."""


class PlainRoute(NamedTuple):
    """Requests that are answered without aiohttp.

    Attributes:
        request_line: Their request line, such as `b"POST /events HTTP/1.1"`.
        answer: Answers a request by its headers, which occur once each and have names in lower
            case. Returns None for aiohttp to answer it.
    """

    request_line: bytes
    answer: Callable[[Mapping[str, str]], PlainResponse | None]


class PlainRequest(NamedTuple):
    """A request whose head has arrived.

    Attributes:
        headers: Its headers, with names in lower case.
        missing: How many bytes of its body have not arrived.
    """

    headers: Mapping[str, str]
    missing: int


def read_plain_request(data: bytes, request_line: bytes) -> PlainRequest | None:
    """Read a request, or return None if aiohttp must read it.

    Args:
        data: What the client has sent since its last request.
        request_line: The request line that it must have.
    """
    head, end, body = data.partition(_HEAD_END)
    if not end or not head.startswith(request_line):
        return None
    headers = _read_headers(head[len(request_line) :].decode("utf-8", "surrogateescape"))
    if headers is None or "host" not in headers or not _SPECIAL.isdisjoint(headers):
        return None
    length = headers.get("content-length", "0")
    is_kept = headers.get("connection", "keep-alive").lower() == "keep-alive"
    if not is_kept or not _LENGTH.fullmatch(length) or int(length) < len(body):
        return None
    return PlainRequest(headers, int(length) - len(body))


def _read_headers(lines: str) -> dict[str, str] | None:
    """Return headers by their names in lower case, or None if a line is unusual or a name repeats.

    Args:
        lines: Their lines, each after a line break.
    """
    count = lines.count("\r\n")
    if count > _HEADER_LIMIT or not lines.startswith("\r\n"):
        return None
    headers = {name.lower(): value.rstrip(" ") for name, value in _HEADER.findall(lines)}
    return headers if len(headers) == count else None


def encode_head(status: int, headers: Mapping[str, str], content_length: int) -> bytes:
    """Return the status line and the headers of a response. Nothing is escaped."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    start = f"HTTP/1.1 {status} {_PHRASES[status]}\r\n"
    return f"{start}{lines}Content-Length: {content_length}\r\n\r\n".encode()
