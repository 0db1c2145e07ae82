"""Bodies: types, sizes and what is made of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import DataType
from wps_run.emulator.rest.bodies import (
    BODY_LIMIT,
    Body,
    GroupsRequest,
    check_length,
    read_groups,
    read_message,
)
from wps_run.emulator.rest.responses import RefusedError


def refusal(call: Any, *arguments: Any) -> tuple[int, str]:
    """The status and the message of a refusal."""
    with pytest.raises(RefusedError) as error:
        call(*arguments)
    reply = error.value.response
    return reply.status, json.loads(reply.body)["message"] if reply.body else ""


@pytest.mark.parametrize(
    ("content_type", "data_type"),
    [
        ("", DataType.BINARY),
        ("application/octet-stream", DataType.BINARY),
        ("text/plain", DataType.TEXT),
        ("Text/Plain; charset=UTF-8", DataType.TEXT),
        ('text/plain; format=flowed; charset="utf-8"', DataType.TEXT),
        ("application/json", DataType.JSON),
    ],
)
def test_the_type_says_what_a_message_holds(content_type: str, data_type: DataType) -> None:
    """The body is the message, no envelope; without a type it is binary."""
    assert read_message(Body(content_type, b'"a"')) == (data_type, b'"a"')


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html",
        "application/x-www-form-urlencoded",
        "application/json+x",
        "text/plain; charset=unknown",
        'text/plain; charset="',
        "text/plain; charset=rot13",
        "text/plain; charset=unicode_escape",
    ],
)
def test_other_types_and_charsets_are_415_without_a_body(content_type: str) -> None:
    """Charsets are those .NET has of itself; Python's odder codecs are none."""
    assert refusal(read_message, Body(content_type, b"x")) == (415, "")


def test_text_in_another_charset_becomes_utf8() -> None:
    """That is what clients are sent."""
    body = Body("text/plain; charset=utf-16le", "Grüße".encode("utf-16-le"))

    assert read_message(body) == (DataType.TEXT, "Grüße".encode())


def test_text_that_is_no_utf8_is_mended() -> None:
    """A text frame could not carry it."""
    assert read_message(Body("text/plain", b"a\xff")) == (DataType.TEXT, "a\ufffd".encode())


@pytest.mark.parametrize(
    "text",
    ['{"a": 1,  "b":[null, 1e400]}', "1" * 5000, '"\\ud800"', " true ", '{"a":1,"a":2}', "-0.0"],
)
def test_json_is_passed_on_as_it_was_written(text: str) -> None:
    """Spaces, repeated keys and long numbers included."""
    assert read_message(Body("application/json", text.encode())) == (DataType.JSON, text.encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"{'a':1}", b"NaN", b"[Infinity]", b"1 2", b"\xef\xbb\xbf1", b"[" * 200_000],
)
def test_json_that_is_none_is_400(data: bytes) -> None:
    """The empty body, Python's constants, a byte order mark and endless nesting too."""
    answer = refusal(read_message, Body("application/json", data))

    assert answer == (400, "The request body is not a valid JSON.")


@given(data=st.binary(), content_type=st.sampled_from(["application/json", "text/plain"]))
def test_no_body_does_more_than_be_taken_or_refused(data: bytes, content_type: str) -> None:
    """What is taken is UTF-8."""
    try:
        _, payload = read_message(Body(content_type, data))
    except RefusedError as refused:
        assert refused.response.status == 400  # noqa: PT017 - or it is taken
    else:
        payload.decode()


@pytest.mark.parametrize("length", [None, BODY_LIMIT + 1])
def test_a_length_is_needed_and_bounded(length: int | None) -> None:
    """Chunked bodies have none."""
    assert refusal(check_length, length) == (400, "Invalid Content-Length header.")


@pytest.mark.parametrize("length", [0, BODY_LIMIT])
def test_a_mebibyte_is_allowed(length: int) -> None:
    """And so is nothing."""
    assert check_length(length) == length


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ('{"groups":["a","b"]}', GroupsRequest(("a", "b"), "")),
        ('{"groups":["a","a"],"filter":null}', GroupsRequest(("a",), "")),
        ('{"groups":["a"],"filter":""}', GroupsRequest(("a",), "")),
        ('{"groups":["a/b 你好"],"filter":"true","x":1}', GroupsRequest(("a/b 你好",), "true")),
    ],
)
def test_a_bulk_change_names_groups_and_perhaps_a_filter(
    text: str, request_: GroupsRequest
) -> None:
    """No filter, null and the empty one mean everybody."""
    assert read_groups(Body("application/json; charset=utf-8", text.encode())) == request_


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "42",
        "{}",
        '{"filter":"true"}',
        '{"groups":null}',
        '{"groups":[]}',
        '{"groups":"room"}',
        '{"groups":{"room":1}}',
        '{"groups":["room",null]}',
        '{"groups":["room",42]}',
        '{"groups":["room",""]}',
        '{"groups":["room"," \\t"]}',
        '{"groups":["\\ud800"]}',
        '{"groups":["' + "x" * 1025 + '"]}',
        '{"groups":["room"],"filter":42}',
        '{"groups":["room"],"filter":0}',
        '{"groups":["room"],"filter":[]}',
        '{"groups":["room"],"filter":false}',
        "[" * 100_000,
    ],
)
def test_a_bulk_change_that_is_none_is_400(text: str) -> None:
    """Everything is checked before anything is changed."""
    status, _ = refusal(read_groups, Body("application/json", text.encode()))

    assert status == 400


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/octet-stream"])
def test_a_bulk_change_is_json(content_type: str) -> None:
    """Nothing else will do, and the answer has no body."""
    assert refusal(read_groups, Body(content_type, b'{"groups":["a"]}')) == (415, "")
