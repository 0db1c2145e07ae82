"""Tests of request bodies and metadata headers."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import DataType
from wps_run.emulator.names import METADATA_LIMIT, METADATA_NAME_LIMIT, METADATA_VALUE_LIMIT
from wps_run.emulator.rest.bodies import (
    BODY_LIMIT,
    METADATA_PREFIX,
    Body,
    check_length,
    metadata_from_headers,
    read_groups,
    read_message,
)
from wps_run.emulator.rest.responses import RefusedError
from wps_run.emulator.server import Emulator


def refusal(function: Any, *arguments: Any) -> tuple[int, str]:
    """The status and the message of a refusal."""
    with pytest.raises(RefusedError) as error:
        function(*arguments)
    response = error.value.response
    return response.status, json.loads(response.body)["message"] if response.body else ""


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
def test_the_content_type_is_the_data_type(content_type: str, data_type: DataType) -> None:
    """The body is the message; without a type it is binary."""
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
    """Only charsets of .NET are supported, not all codecs of Python."""
    assert refusal(read_message, Body(content_type, b"x")) == (415, "")


def test_text_in_another_charset_becomes_utf8() -> None:
    """Clients receive UTF-8."""
    body = Body("text/plain; charset=utf-16le", "Grüße".encode("utf-16-le"))

    assert read_message(body) == (DataType.TEXT, "Grüße".encode())


def test_text_that_is_not_utf8_is_repaired() -> None:
    """A text frame could not carry it."""
    assert read_message(Body("text/plain", b"a\xff")) == (DataType.TEXT, "a\ufffd".encode())


@pytest.mark.parametrize(
    "text",
    ['{"a": 1,  "b":[null, 1e400]}', "1" * 5000, '"\\ud800"', " true ", '{"a":1,"a":2}', "-0.0"],
)
def test_json_is_not_changed(text: str) -> None:
    """Spaces, repeated keys and long numbers included."""
    assert read_message(Body("application/json", text.encode())) == (DataType.JSON, text.encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"{'a':1}", b"NaN", b"[Infinity]", b"1 2", b"\xef\xbb\xbf1", b"[" * 200_000],
)
def test_invalid_json_is_400(data: bytes) -> None:
    """The empty body, Python's constants, a byte order mark and endless nesting too."""
    result = refusal(read_message, Body("application/json", data))

    assert result == (400, "The request body is not a valid JSON.")


@given(data=st.binary(), content_type=st.sampled_from(["application/json", "text/plain"]))
def test_any_body_is_accepted_or_refused(data: bytes, content_type: str) -> None:
    """An accepted text is UTF-8."""
    try:
        _, payload = read_message(Body(content_type, data))
    except RefusedError as refused:
        assert refused.response.status == 400  # noqa: PT017 - or it is accepted
    else:
        payload.decode()


@pytest.mark.parametrize("length", [None, BODY_LIMIT + 1])
def test_a_length_is_required_and_limited(length: int | None) -> None:
    """Chunked bodies have none."""
    assert refusal(check_length, length) == (400, "Invalid Content-Length header.")


@pytest.mark.parametrize("length", [0, BODY_LIMIT])
def test_a_mebibyte_is_allowed(length: int) -> None:
    """And so is an empty body."""
    assert check_length(length) == length


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ('{"groups":["a","b"]}', (("a", "b"), "")),
        ('{"groups":["a","a"],"filter":null}', (("a",), "")),
        ('{"groups":["a"],"filter":""}', (("a",), "")),
        ('{"groups":["a/b 你好"],"filter":"true","x":1}', (("a/b 你好",), "true")),
        ('{"GROUPS":["a"],"Filter":"true"}', (("a",), "true")),
        ('{"filter":"x","FILTER":"y","filter":"z","groups":["a"]}', (("a",), "z")),
        ('{"groups":["a"],"x":' + "[" * 63 + "]" * 63 + "}", (("a",), "")),
    ],
)
def test_a_bulk_change_has_groups_and_an_optional_filter(
    text: str, request_: tuple[tuple[str, ...], str]
) -> None:
    """No filter, null and an empty one are the same; names of members have no case."""
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
        '{"groups":["room"],"FILTER":false}',
        '{"groups":["room"],"x":NaN}',
        '{"groups":["room"],"x":' + "[" * 64 + "]" * 64 + "}",
        "[" * 100_000,
    ],
)
def test_an_invalid_bulk_change_is_400(text: str) -> None:
    """Everything is checked before anything is changed."""
    status, _ = refusal(read_groups, Body("application/json", text.encode()))

    assert status == 400


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/octet-stream"])
def test_a_bulk_change_must_be_json(content_type: str) -> None:
    """The response has no body."""
    assert refusal(read_groups, Body(content_type, b'{"groups":["a"]}')) == (415, "")


def test_metadata_names_are_lower_case_without_the_prefix() -> None:
    """Header names have no case; other headers are ignored."""
    headers = [("X-WebPubSub-Metadata-Trace-ID", "A b"), ("Content-Type", "text/plain")]

    assert metadata_from_headers(headers) == {"trace-id": "A b"}


@pytest.mark.parametrize(
    ("values", "value"),
    [
        (["1", "2"], "2"),
        (["first, last"], "last"),
        (["1,2", " 3 , 4\t"], "4"),
        (["1", ""], ""),
        (["1,"], ""),
    ],
)
def test_the_last_value_of_a_metadata_header_counts(values: list[str], value: str) -> None:
    """Whether it is in a list or in a header of its own."""
    names = ["x-webpubsub-metadata-k", "X-WEBPUBSUB-METADATA-K"]

    assert metadata_from_headers(zip(names, values, strict=False)) == {"k": value}


FULL_VALUES = METADATA_LIMIT // METADATA_VALUE_LIMIT - 1
"""The number of maximum values that fit with their names."""


@pytest.mark.parametrize(
    ("valid", "invalid"),
    [
        ({"k" * METADATA_NAME_LIMIT: ""}, {"k" * (METADATA_NAME_LIMIT + 1): ""}),
        ({"k": "v" * METADATA_VALUE_LIMIT}, {"k": "v" * (METADATA_VALUE_LIMIT + 1)}),
        ({"k": "plain"}, {"k": "é"}),
        ({"!#$%&'*+-.^_`|~09az": ""}, {"a b": ""}),
        ({"k": ""}, {"": "v"}),
        (
            {f"k{number}": "v" * METADATA_VALUE_LIMIT for number in range(FULL_VALUES)},
            {f"k{number}": "v" * METADATA_VALUE_LIMIT for number in range(FULL_VALUES + 1)},
        ),
    ],
)
def test_metadata_headers_beyond_the_limits_are_refused(
    valid: dict[str, str], invalid: dict[str, str]
) -> None:
    """256 for a name, 1024 for a value, 8 KiB for all; 400 otherwise."""
    assert (
        metadata_from_headers((METADATA_PREFIX + name, value) for name, value in valid.items())
        == valid
    )

    with pytest.raises(RefusedError) as refusal:
        metadata_from_headers((METADATA_PREFIX + name, value) for name, value in invalid.items())
    assert refusal.value.response.status == 400
    assert json.loads(refusal.value.response.body)["code"] == "Error.BadRequest"


@pytest.mark.parametrize(
    "target", ["/:send", "/groups/g/:send", "/users/ada/:send", "/connections/c/:send"]
)
async def test_every_send_carries_its_metadata(
    emulator: Emulator, call: Any, make_client: Callable[[], Any], target: str
) -> None:
    """To each recipient; a send with invalid metadata reaches no client."""
    client = make_client()
    emulator.attach("chat", client, user_id="ada", connection_id="c", groups=["g"])

    sent = await call(
        "POST", "/api/hubs/chat" + target, b"hi", X_WebPubSub_Metadata_Kind="greeting"
    )
    refused = await call(
        "POST", "/api/hubs/chat" + target, b"hi", X_WebPubSub_Metadata_Kind="v" * 1025
    )

    assert (sent.status, refused.status) == (202, 400)
    assert [message.metadata for message in client.received] == [{"kind": "greeting"}]
