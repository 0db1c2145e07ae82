"""Parse HTTP responses of any shape into a `Reply`: error code, message and `Retry-After`."""

import json
import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Literal, NamedTuple

MAX_MESSAGE_LENGTH = 300
"""The most characters of an error message that are shown."""

MAX_CODE_LENGTH = 100
"""The most characters of an error code that are shown."""

MAX_RETRY_AFTER = 3600.0
"""Seconds; a longer `Retry-After` is reduced to this."""

_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")
_TITLE = re.compile(r"<title[^<>]*>([^<>]*)</title", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


Cleaner = Callable[[str | None, int], str | None]
"""Turns a text of the server into one line that may be shown, of at most so many characters."""


class Reply(NamedTuple):
    """The response to one request. A tuple, since each attempt creates one.

    Attributes:
        status: The HTTP status.
        code: The service's error code (`x-ms-error-code` or the body's `code`), or None.
        message: The service's error message on one line, shortened, or None.
        retry_after: Seconds to wait before the next attempt, or None when the response has none.
        is_page: Whether its body is a page (HTML or XML), which the service never sends.
        is_gateway: Whether it is a page, or an error of a gateway in front of the service.
        key_header: The header in which the gateway expects a key, if the answer names it, or "".
        has_own_header: Whether the request had a header of `--header`.
        by_identity: Whether the request had a token of Entra ID, not one of an access key.
    """

    status: int
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    is_page: bool = False
    is_gateway: bool = False
    key_header: str = ""
    has_own_header: bool = False
    by_identity: bool = False


NoReplyCode = Literal[
    "connect",
    "disconnected",
    "dns",
    "open-files",
    "proxy",
    "proxy-auth",
    "proxy-denied",
    "proxy-tls",
    "timeout",
    "tls",
    "token",
]
"""A stable name for why a request has no response. docs/reference/errors.md explains each."""


class NoReply(NamedTuple):
    """Why a request has no response.

    Attributes:
        sent: Whether bytes of the request may have reached the service; False only when it is
            certain that nothing was sent (refused connection, DNS or TLS failure).
        code: A stable name.
        message: What happened. Never contains a token.
    """

    sent: bool
    code: NoReplyCode
    message: str


Outcome = Reply | NoReply
"""The outcome of one attempt."""


def parse_reply(  # noqa: PLR0913 -- the last three by name
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    clean: Cleaner,
    has_gateway: bool = False,
) -> Reply:
    """Parse a response. One of the range of success without a page has only its status.

    Args:
        status: The HTTP status.
        headers: The headers, case-insensitive (a `CIMultiDict`) or in lower case.
        body: The body, or its beginning. It may be JSON, problem+json, HTML, text or empty.
        now: Seconds since the epoch, for a `Retry-After` that is a date.
        clean: Removes secrets and parts of the request from texts of the server.
        has_gateway: Whether a gateway is configured; an error that is not marked as the
            service's is then the gateway's.
    """
    is_page = _is_page(headers, body)
    if 200 <= status < 300 and not is_page:  # noqa: PLR2004 -- the range of success
        return Reply(status)
    content = None if is_page else _parse_object(body)
    code, message = (None, _text_of(body, is_page=is_page)) if content is None else _error(content)
    code = headers.get("x-ms-error-code") or code
    return Reply(
        status,
        clean(code, MAX_CODE_LENGTH),
        clean(message, MAX_MESSAGE_LENGTH),
        parse_retry_after(headers, now),
        is_page,
        is_page
        or _is_of_gateway(headers, content or {})
        or not (code or _is_of_service(headers) or not (has_gateway or _names_gateway(headers))),
        _key_header(headers),
    )


def _is_of_gateway(headers: Mapping[str, str], content: Mapping[str, object]) -> bool:
    """Whether an error can only be a gateway's: the service asks for no login but a token.

    Azure API Management answers with `statusCode`, which no error of the service has.
    """
    challenge = headers.get("www-authenticate", "").lower()
    return "statusCode" in content or bool(challenge and not challenge.startswith("bearer"))


def _is_of_service(headers: Mapping[str, str]) -> bool:
    """Whether an error without a code has a mark of the service."""
    return "api-supported-versions" in headers or "www-authenticate" in headers


_GATEWAYS = re.compile(
    r"application-gateway|apim|kong|envoy|cloudflare|cloudfront|awselb|apigee|tyk|traefik|akamai"
    r"|haproxy|varnish|squid",
    re.IGNORECASE,
)


def _names_gateway(headers: Mapping[str, str]) -> bool:
    """Whether the answer comes from a gateway or a proxy, or passed one."""
    return "via" in headers or bool(_GATEWAYS.search(headers.get("server", "")))


def _key_header(headers: Mapping[str, str]) -> str:
    """Return the header that a challenge of Azure API Management names, or an empty text."""
    challenge = headers.get("www-authenticate", "")[:_MAX_CHALLENGE]
    name = re.search(r'\bname="([A-Za-z0-9-]{1,60})"', challenge)
    return name[1] if name and 'type="header"' in challenge else ""


_MAX_CHALLENGE = 1000
"""The most characters of a challenge that are examined."""


def _is_page(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the body is a page, by its beginning, or by the type of a body that is announced.

    Frameworks give HTML as the type of empty bodies as well.
    """
    if body and body.lstrip(_BEFORE_TEXT)[:1] == b"<":
        return True
    media_type = headers.get("content-type")
    if not media_type or "html" not in media_type.lower():
        return False
    has_length = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    return bool(body) or has_length


_BEFORE_TEXT = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n\f\v"
"""Byte order marks and white space, also of UTF-16, which may precede a page."""


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to wait, from 0 to an hour, or None when the headers have none.

    A date is relative to the response's own `Date`, so that a wrong local clock does not matter;
    to `now` only when there is none.

    Source: RFC 9110, section 10.2.3 (seconds or a date); the Azure SDKs also use the two headers
    in milliseconds.
    """
    for name in _MILLISECONDS:
        if (delay := _number(headers.get(name))) is not None:
            return _bounded(delay / 1000)
    text = headers.get("retry-after")
    if (delay := _number(text)) is not None:
        return _bounded(delay)
    if (until := _timestamp(text)) is None:
        return None
    sent_at = _timestamp(headers.get("date"))
    return _bounded(until - (now if sent_at is None else sent_at))


_EPOCH = parsedate_to_datetime("Thu, 01 Jan 1970 00:00:00 -0000")


def _timestamp(text: str | None) -> float | None:
    """Return an HTTP date in seconds since the epoch, or None when the text is no date."""
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is in UTC by the RFC; `datetime.timestamp` would use the local zone.
    offset = date.utcoffset()
    seconds = (date.replace(tzinfo=None) - _EPOCH).total_seconds()
    return seconds - (offset.total_seconds() if offset else 0.0)


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def _number(text: str | None) -> float | None:
    number = text.strip() if text else ""
    return float(number) if _NUMBER.fullmatch(number) else None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), MAX_RETRY_AFTER)


def _text_of(body: bytes, *, is_page: bool) -> str:
    if not is_page:
        return body.decode("utf-8", errors="replace")
    import html  # noqa: PLC0415 -- a large table of entities, seldom needed

    text = body.replace(b"\0", b"").decode("utf-8", errors="replace")  # UTF-16, roughly
    title = _TITLE.search(text)
    return html.unescape(title[1] if title else _TAG.sub(" ", text))


def _parse_object(body: bytes) -> Mapping[str, object] | None:
    try:
        content = json.loads(body.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _error(content: Mapping[str, object]) -> tuple[str | None, str | None]:
    inner = content.get("error")
    error = inner if isinstance(inner, dict) else content
    return _first(error, "code"), _first(error, "message", "detail", "title", "error")


def _first(content: Mapping[str, object], *names: str) -> str | None:
    for name in names:
        value = content.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return None
