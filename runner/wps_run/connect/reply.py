"""From an HTTP answer to a Reply: error codes, words and pauses, whatever shape they come in."""

import json
import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from wps_run.text import clean_line

MAX_MESSAGE_LENGTH = 300
"""The most characters of the service's words that are kept."""

MAX_CODE_LENGTH = 100
"""The most characters of an error code that are kept."""

MAX_RETRY_AFTER = 3600.0
"""Seconds; a longer `Retry-After` is taken as this."""

_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")
_TITLE = re.compile(r"<title[^<>]*>([^<>]*)</title", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


class Reply(NamedTuple):
    """The service's answer to one request. A tuple, since each attempt makes one.

    Attributes:
        status: The HTTP status.
        code: The service's error code (`x-ms-error-code` or the body's `code`), or None.
        message: The service's words, cut to a few hundred characters, or None.
        retry_after: Seconds to wait before asking again, as the answer says, or None.
    """

    status: int
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None


class NoReply(NamedTuple):
    """No answer came.

    Attributes:
        sent: Whether bytes of the request may have reached the service; False only when it is
            certain that nothing left (refused connection, DNS or TLS failure).
        code: A stable word: `connect`, `dns`, `tls`, `timeout`, `disconnected`.
        message: What happened, in words. Never holds a token.
    """

    sent: bool
    code: str
    message: str


Outcome = Reply | NoReply
"""What one attempt ends in."""


def parse_reply(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float, secrets: Iterable[str]
) -> Reply:
    """What the service said.

    Args:
        status: The HTTP status.
        headers: The headers, found in any case (a `CIMultiDict`) or written in lower case.
        body: The body, or its beginning. It may be JSON, problem+json, HTML, text or nothing.
        now: Seconds since the epoch, for a `Retry-After` that is a date.
        secrets: What must not be in the result, though a hostile server may have echoed it.

    Returns:
        The reply; of a success there is no more to say than its status.
    """
    if 200 <= status < 300:  # noqa: PLR2004 -- the range of success
        return Reply(status)
    code, message = _words(headers.get("content-type", ""), body)
    hidden = tuple(filter(None, secrets))
    return Reply(
        status,
        clean_line(headers.get("x-ms-error-code") or code, hidden, MAX_CODE_LENGTH),
        clean_line(message, hidden, MAX_MESSAGE_LENGTH),
        parse_retry_after(headers, now),
    )


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait as the headers say, from 0 to an hour, or None when they do not say.

    A date is measured from the answer's own `Date`, so that a clock of ours that is wrong, or is
    set meanwhile, does not count; from `now` only when there is none.

    Source: RFC 9110, section 10.2.3 (seconds or a date); the two headers in milliseconds are
    those that the Azure SDKs obey as well.
    """
    for name in _MILLISECONDS:
        if (pause := _number(headers.get(name))) is not None:
            return _bounded(pause / 1000)
    text = headers.get("retry-after")
    if (pause := _number(text)) is not None:
        return _bounded(pause)
    if (until := _moment(text)) is None:
        return None
    answered = _moment(headers.get("date"))
    return _bounded(until - (now if answered is None else answered))


_EPOCH = parsedate_to_datetime("Thu, 01 Jan 1970 00:00:00 -0000")


def _moment(text: str | None) -> float | None:
    """Seconds since the epoch of an HTTP date, or None when it is none."""
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # A date without a zone is in UTC by the RFC; `timestamp` would take it for local time.
    offset = date.utcoffset()
    seconds = (date.replace(tzinfo=None) - _EPOCH).total_seconds()
    return seconds - (offset.total_seconds() if offset else 0.0)


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def _number(text: str | None) -> float | None:
    return float(text) if text and _NUMBER.fullmatch(text.strip()) else None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), MAX_RETRY_AFTER)


def _words(content_type: str, body: bytes) -> tuple[str | None, str | None]:
    """Code and message of an error body."""
    text = body.decode("utf-8", errors="replace")
    if "html" in content_type.lower() or text.lstrip()[:1] == "<":
        import html  # noqa: PLC0415 -- its table of entities is large, and hardly ever wanted

        title = _TITLE.search(text)
        return None, html.unescape(title[1] if title else _TAG.sub(" ", text))
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None, text
    if not isinstance(content, dict):
        return None, text
    inner = content.get("error")
    error = inner if isinstance(inner, dict) else content
    return _first(error, "code"), _first(error, "message", "detail", "title", "error")


def _first(content: Mapping[str, object], *names: str) -> str | None:
    for name in names:
        value = content.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return None
