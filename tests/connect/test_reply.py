"""Answers of every shape: what is read from them, and what must never be."""

import json
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.connect.reply import (
    MAX_CODE_LENGTH,
    MAX_MESSAGE_LENGTH,
    MAX_RETRY_AFTER,
    Reply,
    parse_reply,
    parse_retry_after,
)
from wps_run.redaction import MASK, Secrets, clean_line

NOW = 1_900_000_000.0
SECRET = "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"  # noqa: S105 -- of nobody
JSON = {"content-type": "application/json"}


def clean(text: str | None, length: int) -> str | None:
    return clean_line(text, Secrets([SECRET, ""]), length)


def read(body: bytes, headers: dict[str, str] | None = None, status: int = 400) -> Reply:
    return parse_reply(status, headers or {}, body, now=NOW, clean=clean)


@pytest.mark.parametrize(
    ("headers", "body", "code", "message"),
    [
        (JSON, b'{"code":"Error.X","message":"No.","target":"User"}', "Error.X", "No."),
        ({"x-ms-error-code": "Head", **JSON}, b'{"code":"Body","message":"No."}', "Head", "No."),
        (JSON, b'{"error":{"code":"Inner","message":"In."}}', "Inner", "In."),
        (JSON, b'{"error":"plain words"}', None, "plain words"),
        ({"content-type": "application/problem+json"}, b'{"title":"T","detail":"D"}', None, "D"),
        ({}, b'{"code":7,"message":""}', None, None),
        (JSON, b'["a"]', None, '["a"]'),
        (JSON, b"[" * 60_000, None, "[" * (MAX_MESSAGE_LENGTH - 1) + "…"),
        (JSON, b"9" * 60_000, None, "9" * (MAX_MESSAGE_LENGTH - 1) + "…"),
        ({"content-type": "text/plain"}, "schön\r\nalt\x07".encode(), None, "schön alt"),
        ({}, b"<html><title>502 Bad &amp; ugly</title><p>x</html>", None, "502 Bad & ugly"),
        ({"content-type": "text/html"}, b"<h1>Sorry</h1><p>gone", None, "Sorry gone"),
        ({}, b"<" * 65_536, None, "<" * (MAX_MESSAGE_LENGTH - 1) + "…"),
        ({}, b"", None, None),
        ({}, b"\xff\xfe", None, "\ufffd\ufffd"),
        (JSON, b'{"message":"half \\ud800 \\u202eturned\\u200b"}', None, "half turned"),
    ],
)
def test_code_and_words_are_read_from_every_shape(
    headers: dict[str, str], body: bytes, code: str | None, message: str | None
) -> None:
    """Header before body, JSON and problem+json, HTML's title, text; never an exception."""
    reply = read(body, headers)

    assert (reply.status, reply.code, reply.message) == (400, code, message)


HTML = {"content-type": "text/html; charset=utf-8"}
FLASK_EMPTY = {**HTML, "content-length": "0"}


@pytest.mark.parametrize(
    ("headers", "body", "is_page"),
    [
        (HTML, b"<!doctype html><title>Login</title>", True),
        (HTML, b"Please log in", True),
        ({"content-type": "application/xhtml+xml"}, b"x", True),
        ({"content-type": "TEXT/HTML"}, b"x", True),
        ({**HTML, "content-length": "4000"}, b"", True),  # announced; the connection broke
        ({**HTML, "transfer-encoding": "chunked"}, b"", True),
        (JSON, b"<html>", True),
        ({}, b"<HTML><body>", True),
        ({}, b"\n\r\n \t<!DOCTYPE html>", True),
        ({}, b"\xef\xbb\xbf<html>", True),
        ({}, "<html>".encode("utf-16"), True),
        ({}, b"<!-- gateway --><html>", True),
        ({}, b'<?xml version="1.0"?><Error/>', True),
        ({}, b"", False),
        (HTML, b"", False),  # as web frameworks announce an empty body
        (FLASK_EMPTY, b"", False),
        (JSON, b"{}", False),
        ({}, b"OK", False),
        ({}, b"a < b", False),
    ],
)
@pytest.mark.parametrize("status", [200, 202, 404, 503])
def test_a_page_is_known_by_its_type_or_its_beginning(
    headers: dict[str, str], body: bytes, status: int, *, is_page: bool
) -> None:
    """The service sends JSON or nothing."""
    assert read(body, headers, status).is_page is is_page


def test_a_success_with_a_page_has_the_title_as_message() -> None:
    reply = read("<html><title>Log in</title>".encode("utf-16"), HTML, status=200)

    assert reply == Reply(200, None, "Log in", is_page=True, is_gateway=True)


def test_a_success_has_no_words() -> None:
    """What a success says in its body is no error."""
    assert read(b'{"code":"x"}', JSON, status=202) == Reply(202)


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"bad token Bearer {SECRET}!",
        "x" * (MAX_MESSAGE_LENGTH - 10) + SECRET,
        SECRET[:20] + "\x00" + SECRET[20:],
        SECRET[:20] + "\u200b" + SECRET[20:],
        SECRET[:20] + "\n" + SECRET[20:],
        SECRET[:5] + " " + SECRET[5:30] + "\r\n" + SECRET[30:],
    ],
)
def test_a_secret_that_the_server_echoes_is_masked(text: str) -> None:
    """In the message and in the code, whole, at the cut, or broken by characters unseen."""
    reply = read(json.dumps({"code": text, "message": text}).encode(), JSON)

    for text_shown in (reply.code, reply.message):
        assert text_shown is not None
        packed = text_shown.replace(" ", "")
        assert all(SECRET[i : i + 11] not in packed for i in range(len(SECRET) - 10))
    assert MASK in (reply.message or "") or (reply.message or "").endswith("…")


@given(
    status=st.integers(100, 599),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "x-ms-error-code", "retry-after", "retry-after-ms"]),
        st.text(max_size=40),
    ),
    body=st.binary(max_size=400),
)
def test_no_answer_breaks_the_reader(status: int, headers: dict[str, str], body: bytes) -> None:
    """Whatever comes, there is a reply, short and printable."""
    reply = parse_reply(status, headers, body, now=NOW, clean=clean)

    assert reply.status == status
    assert len(reply.code or "") <= MAX_CODE_LENGTH
    assert len(reply.message or "") <= MAX_MESSAGE_LENGTH
    (reply.code or "").encode()
    (reply.message or "").encode()
    assert not set(reply.message or "") & set(map(chr, range(32)))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "7\x1f"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "9" * 400}, MAX_RETRY_AFTER),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": formatdate(NOW + 12, usegmt=True)}, 12.0),
        ({"retry-after": formatdate(NOW + 12)}, 12.0),
        ({"retry-after": formatdate(NOW - 99, usegmt=True)}, 0.0),
        ({"retry-after": formatdate(NOW + 999), "date": formatdate(NOW + 990)}, 9.0),
        ({"retry-after": formatdate(NOW + 9), "date": "today"}, 9.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, MAX_RETRY_AFTER),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"}, None),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
    ],
)
def test_pauses_are_seconds_from_now_and_bounded(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds, dates and milliseconds; nothing negative, nothing beyond an hour."""
    assert parse_retry_after(headers, NOW) == seconds


@given(
    st.text(max_size=40)
    | st.from_regex(
        r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{1,5} \d\d:\d\d:\d\d [+-]\d{4}", fullmatch=True
    )
)
def test_any_retry_after_is_a_bounded_number_or_nothing(text: str) -> None:
    """A header that makes no sense is as none."""
    pause = parse_retry_after({"retry-after": text}, NOW)

    assert pause is None or 0 <= pause <= MAX_RETRY_AFTER


SUBSCRIPTION = {
    "www-authenticate": 'AzureApiManagementKey realm="https://gw.example/wps",'
    'name="X-Team-Key",type="header"'
}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (SUBSCRIPTION, b'{"statusCode":401,"message":"Access denied"}'),
        (JSON, b'{"statusCode":404,"message":"Resource not found"}'),
        ({"www-authenticate": "Basic realm=x"}, b""),
        ({"www-authenticate": "Key realm=kong", **JSON}, b'{"message":"No API key found"}'),
        ({"server": "Microsoft-Azure-Application-Gateway/v2"}, b""),
        ({"server": "envoy"}, b"RBAC: access denied"),
        ({"via": "1.1 gw.example"}, b"denied"),
        ({"content-type": "text/html"}, b"<html><title>403 Forbidden</title></html>"),
    ],
)
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_gateway_is_known_by_its_challenge_its_body_or_its_name(
    headers: dict[str, str], body: bytes, status: int
) -> None:
    assert read(body, headers, status).is_gateway


@pytest.mark.parametrize("has_gateway", [False, True])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-ms-error-code": "Warning.User.NotExisted", "via": "1.1 gw.example"}, b""),
        (JSON, b'{"code":"Error.BadRequest","message":"No."}'),
        ({"www-authenticate": 'Bearer error="invalid_token"', "server": "envoy"}, b""),
        ({"api-supported-versions": "2024-12-01", "via": "1.1 gw.example"}, b""),
    ],
)
def test_an_error_with_a_mark_of_the_service_is_no_gateways(
    headers: dict[str, str], body: bytes, *, has_gateway: bool
) -> None:
    """A gateway passes the errors of the service on."""
    reply = parse_reply(401, headers, body, now=NOW, clean=clean, has_gateway=has_gateway)

    assert not reply.is_gateway


@pytest.mark.parametrize("has_gateway", [False, True])
def test_an_error_without_any_mark_is_that_of_the_gateway_that_is_configured(
    *, has_gateway: bool
) -> None:
    reply = parse_reply(403, {}, b"", now=NOW, clean=clean, has_gateway=has_gateway)

    assert reply.is_gateway is has_gateway


@pytest.mark.parametrize(
    ("challenge", "name"),
    [
        (SUBSCRIPTION["www-authenticate"], "X-Team-Key"),
        ('AzureApiManagementKey name="subscription-key",type="query"', ""),
        ('AzureApiManagementKey name="X: y\r\n",type="header"', ""),
        ("Basic realm=x", ""),
    ],
)
def test_the_header_for_a_key_is_read_from_the_challenge(challenge: str, name: str) -> None:
    assert read(b"", {"www-authenticate": challenge}, 401).key_header == name
