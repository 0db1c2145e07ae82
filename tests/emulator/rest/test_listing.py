"""Tests of listing the members of a group."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.hub import Hub
from wps_run.emulator.rest.listing import ContinuationTokens, list_members
from wps_run.emulator.rest.responses import RefusedError
from wps_run.emulator.targets import Query

URL = "http://localhost:8080/api/hubs/chat/groups/g/connections"
TOKENS = ContinuationTokens(b"secret", "chat/g")


@pytest.fixture
def hub() -> Hub:
    """Six members, the last one anonymous."""
    hub = Hub()
    for number in (3, 1, 5, 2, 4):
        hub.connect(f"c{number}", f"u{number}", ["g"])
    hub.connect("c6", None, ["g"])
    return hub


def pages(hub: Hub, query: str) -> list[list[str]]:
    """The IDs on each page, following the links."""
    listed = []
    link: str | None = f"{URL}?{query}"
    while link:
        page: Any = list_members(hub, "g", Query(urlsplit(link).query), TOKENS, URL)
        listed.append([member["connectionId"] for member in page["value"]])
        link = page["nextLink"]
    return listed


@pytest.mark.parametrize(
    ("query", "sizes"),
    [
        ("", [6]),
        ("maxpagesize=2", [2, 2, 2]),
        ("maxpagesize=2&top=5", [2, 2, 1]),
        ("maxpagesize=2&top=4", [2, 2]),
        ("maxpagesize=200&top=6", [6]),
        ("top=1", [1]),
        ("maxpagesize=5", [5, 1]),
        ("maxpagesize=4&top=2147483647", [4, 2]),
    ],
)
def test_pages_have_the_requested_size_and_order(hub: Hub, query: str, sizes: list[int]) -> None:
    """`top` counts over all pages; the last page has no link."""
    listed = pages(hub, query)

    assert [len(page) for page in listed] == sizes
    assert [member for page in listed for member in page] == [
        f"c{number}" for number in range(1, sum(sizes) + 1)
    ]


def test_the_default_page_size_is_two_hundred() -> None:
    """It is the maximum, too."""
    hub = Hub()
    for number in range(201):
        hub.connect(f"c{number}", None, ["g"])

    assert [len(page) for page in pages(hub, "")] == [200, 1]


def test_a_link_has_the_remaining_parameters(hub: Hub) -> None:
    """It is absolute."""
    page: Any = list_members(hub, "g", Query("maxpagesize=2&top=5"), TOKENS, URL)
    link = urlsplit(page["nextLink"])
    query = parse_qs(link.query)

    assert page["nextLink"].startswith(URL + "?")
    assert query.pop("continuationToken")
    assert query == {"api-version": ["2024-12-01"], "maxpagesize": ["2"], "top": ["3"]}


def test_an_anonymous_member_has_null_for_a_user(hub: Hub) -> None:
    """An empty group has an empty page."""
    page = list_members(hub, "g", Query("maxpagesize=200"), TOKENS, URL)
    empty = list_members(hub, "nowhere", Query(""), TOKENS, URL)

    assert json.loads(json.dumps(page))["value"][-1] == {"connectionId": "c6", "userId": None}
    assert empty == {"value": [], "nextLink": None}


@pytest.mark.parametrize(
    "query",
    [
        "maxpagesize=0",
        "maxpagesize=201",
        "maxpagesize=-1",
        "maxpagesize=x",
        "maxpagesize=",
        "maxpagesize=%C2%B2",
        "maxpagesize=1&maxpagesize=1",
        "top=0",
        "top=2147483648",
        "top=" + "9" * 5000,
        "continuationToken=",
        "continuationToken=forged",
        "continuationToken=a&continuationToken=a",
        "continuationToken=" + ContinuationTokens(b"secret", "chat/h").encode("c1"),
        "continuationToken=" + ContinuationTokens(b"other", "chat/g").encode("c1"),
    ],
)
def test_bad_parameters_are_400(hub: Hub, query: str) -> None:
    """Out of range, repeated, forged, or a token of another group."""
    with pytest.raises(RefusedError) as error:
        list_members(hub, "g", Query(query), TOKENS, URL)

    response = error.value.response
    assert response.status == 400
    assert json.loads(response.body)["target"] == query.partition("=")[0]


@given(name=st.text())
def test_a_token_decodes_to_its_connection(name: str) -> None:
    """For any connection ID."""
    assert TOKENS.decode(TOKENS.encode(name)) == name


@given(token=st.text())
def test_any_other_text_is_refused(token: str) -> None:
    """No other exception is raised."""
    with pytest.raises(RefusedError):
        TOKENS.decode(token)
