"""An action and its values become one REST call, percent-encoded once."""

import json
from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.request import Request, Value, build_request
from wps_run.actions.table import ACTIONS

NAMES = st.text("ab/%?#+&; .", min_size=1, max_size=40) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40
)


def test_a_group_name_with_a_question_mark_stays_in_the_path() -> None:
    """A question mark in a name must not begin the query."""
    values = {"userId": "ana", "group": "room 7?b"}

    request = build_request(ACTIONS["addUserToGroup"], values, hub="chat")

    assert request == Request("PUT", "/api/hubs/chat/users/ana/groups/room%207%3Fb")


@given(user=NAMES, group=NAMES)
def test_every_name_comes_back_unchanged_from_its_own_path_segment(user: str, group: str) -> None:
    """Whatever a name holds, it stays one segment and can be read back."""
    request = build_request(ACTIONS["addUserToGroup"], {"userId": user, "group": group}, "h")

    segments = request.path.split("/")
    assert [unquote(segment) for segment in segments] == [
        *("", "api", "hubs", "h", "users"),
        user,
        "groups",
        group,
    ]


@given(excluded=st.lists(NAMES), reason=NAMES)
def test_every_query_value_comes_back_unchanged(excluded: list[str], reason: str) -> None:
    """`excluded` is repeated, one parameter an ID, as the service wants it."""
    values: dict[str, Value] = {"excluded": tuple(excluded), "reason": reason}

    request = build_request(ACTIONS["closeAllConnections"], values, "h")

    pairs = parse_qsl(request.query, keep_blank_values=True, strict_parsing=True)
    assert pairs == [*(("excluded", one) for one in excluded), ("reason", reason)]


def test_the_api_version_comes_last_in_the_target() -> None:
    """The target is path and query as they go out."""
    values = {"connectionId": "c", "reason": "bye now"}

    request = build_request(ACTIONS["closeClientConnection"], values, "h")

    assert request.target() == "/api/hubs/h/connections/c?reason=bye%20now&api-version=2024-12-01"


@pytest.mark.parametrize(
    ("data_type", "content_type"),
    [
        ("text", "text/plain"),
        ("json", "application/json"),
        ("binary", "application/octet-stream"),
    ],
)
def test_the_data_type_decides_the_content_type(data_type: str, content_type: str) -> None:
    """The body is the message itself, without an envelope or a charset."""
    values: dict[str, Value] = {"data": b"\x00{}", "dataType": data_type}

    request = build_request(ACTIONS["sendToAll"], values, "h")

    assert (request.body, request.content_type) == (b"\x00{}", content_type)


def test_a_bulk_change_is_a_json_body() -> None:
    """Groups and filter travel in the body, so a slash in a group's name is no matter."""
    values: dict[str, Value] = {"groups": ("a/b", "ü"), "filter": "userId eq 'ada'"}

    request = build_request(ACTIONS["addConnectionsToGroups"], values, "h")

    assert request.target() == "/api/hubs/h/:addToGroups?api-version=2024-12-01"
    assert request.content_type == "application/json"
    assert json.loads(request.body) == {"groups": ["a/b", "ü"], "filter": "userId eq 'ada'"}


def test_a_payload_is_not_in_the_repr_of_a_request() -> None:
    """A message may be private, and reprs end up in logs."""
    request = build_request(ACTIONS["sendToAll"], {"data": b"secret", "dataType": "text"}, "h")

    assert "secret" not in repr(request)


def test_what_a_server_must_not_repeat_is_what_the_request_contains_but_its_path() -> None:
    """Body, strings in JSON, query, cells and variables; bytes also as Latin-1."""
    body = b'{"pin": "4711", "deep": [1.5, true, {"name": "ada"}]}'
    path = "/api/hubs/chat/users/ada/:send"
    request = Request("POST", path, "filter=a%20eq%201", body, "application/json")
    request.cells = {"user": "ada", "code": "x-1"}

    assert {*request.echoes(["red", "chat"])} == {
        "4711",
        "1.5",
        "a eq 1",
        "x-1",
        "red",
        body.decode(),
    }
    assert "é\x00" in Request("POST", path, "", b"\xe9\x00").echoes()


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"[" + b"9" * 5000 + b"]", b""])
def test_a_body_that_only_begins_like_json_is_a_text(body: bytes) -> None:
    request = Request("POST", "/api/hubs/chat/:send", "", body)

    assert request.echoes() == [body.decode()]
