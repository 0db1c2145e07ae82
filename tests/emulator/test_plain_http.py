"""Requests that are read without aiohttp: only those that aiohttp reads in the same way."""

import asyncio
import time

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from wps_run.emulator.plain_http import PlainRequest, encode_head, read_plain_request

LINE = b"POST /events HTTP/1.1"


def read(headers: bytes, body: bytes = b"", line: bytes = LINE) -> PlainRequest | None:
    return read_plain_request(line + b"\r\nHost: x\r\n" + headers + b"\r\n\r\n" + body, LINE)


def test_a_plain_request_is_read() -> None:
    headers = "ce-userId:  Łukasz \r\nEMPTY:\r\nContent-Length: 5\r\nConnection: Keep-Alive"
    names = {
        "host": "x",
        "ce-userid": "Łukasz",
        "empty": "",
        "content-length": "5",
        "connection": "Keep-Alive",
    }

    assert read(headers.encode(), b"12345") == PlainRequest(names, 0)
    assert read(headers.encode(), b"123") == PlainRequest(names, 2)
    assert read(b"a:") == PlainRequest({"host": "x", "a": ""}, 0)
    assert read(b"a: \xff") == PlainRequest({"host": "x", "a": "\udcff"}, 0)


@pytest.mark.parametrize(
    "headers",
    [
        b"a: 1\r\nA: 2",
        b"Content-Length: 1\r\nContent-Length: 1",
        b"Content-Length: +1",
        b"Content-Length: 1, 1",
        "Content-Length: \u0661".encode(),
        b"Content-Length: 9999999999",
        b"Content-Length:",
        b"Transfer-Encoding: chunked",
        b"transfer-encoding: identity",
        b"Expect: 100-continue",
        b"Connection: close",
        b"Connection: upgrade\r\nUpgrade: websocket",
        b"a: 1\r\n folded",
        b"a : 1",
        b" a: 1",
        b": 1",
        b"a",
        b"a:\t1",
        b"a: 1\x00",
        b"a: 1\x7f",
        b"a: 1\nb: 2",
        b"a: 1\rb: 2",
        b"a: 1\r\n\nb: 2",
        "é: 1".encode(),
        b"\r\n".join(b"h%d: x" % number for number in range(128)),
    ],
)
def test_what_is_not_plain_is_for_aiohttp(headers: bytes) -> None:
    assert read(headers) is None


def test_only_one_request_with_the_request_line_is_read() -> None:
    for line in (b"GET /events HTTP/1.1", b"POST /event HTTP/1.1", LINE[:-1] + b"0", LINE + b" "):
        assert read(b"a: 1", line=line) is None
    assert read(b"a: 1", b"POST") is None
    whole = LINE + b"\r\nHost: x\r\n\r\n"
    assert read_plain_request(whole, LINE)
    assert not any(read_plain_request(whole[:end], LINE) for end in range(len(whole)))


NAMES = st.sampled_from([b"a", b"B", b"c-d", b"Host", b"Content-Length", b"\xc3\xa9", b"x y", b""])
COLONS = st.sampled_from([b": ", b":", b":  ", b" :", b":\t", b""])
VALUES = st.sampled_from(
    [b"", b"1", b"12", b"keep-alive", b"a b ", b"a,b", b"\xff", b"1\t", b"\x01"]
)
BREAKS = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\n "])
HEADERS = st.lists(st.tuples(NAMES, COLONS, VALUES, BREAKS).map(b"".join), min_size=1, max_size=4)


@given(HEADERS.map(b"".join), st.binary(max_size=3))
@settings(max_examples=300)
def test_aiohttp_reads_the_same(headers: bytes, body: bytes) -> None:
    data = LINE + b"\r\nHost: x\r\n" + headers + b"\r\n" + body
    plain = read_plain_request(data, LINE)
    if plain is None:
        return
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
        [(message, payload)], is_upgraded, rest = parser.feed_data(data)
    finally:
        loop.close()

    assert (message.method, message.path, tuple(message.version)) == ("POST", "/events", (1, 1))
    assert {name.lower(): value for name, value in message.headers.items()} == plain.headers
    assert len(message.headers) == len(plain.headers)
    assert payload.is_eof() == (not plain.missing)
    assert (is_upgraded, rest, message.should_close) == (False, b"", False)


@pytest.mark.parametrize(
    "headers",
    [b"a:" + b" " * 60_000 + b"\x01", b"a" * 60_000, b"a: " + b" x" * 30_000 + b"\x7f"],
)
def test_long_headers_are_read_in_linear_time(headers: bytes) -> None:
    start = time.process_time()
    assert read(headers) is None
    assert time.process_time() - start < 1


def test_a_head_is_encoded() -> None:
    assert encode_head(404, {"Allow": "GET, PUT", "X": "é"}, 3) == (
        "HTTP/1.1 404 Not Found\r\nAllow: GET, PUT\r\nX: é\r\nContent-Length: 3\r\n\r\n".encode()
    )
