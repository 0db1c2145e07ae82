"""Who is there, a page of rows at a time."""

from typing import Any

import pytest

from wps_run.emulator.dashboard.listings import HUBS_NAMED, NAMED, ROWS, people, totals
from wps_run.emulator.dashboard.view import DashboardView, Listing
from wps_run.emulator.hub import Hub
from wps_run.emulator.names import Permission
from wps_run.emulator.websocket.roles import rules


@pytest.fixture
def hubs() -> dict[str, Hub]:
    """Two hubs: 120 connections in one, in which three are Ada's, and one in the other."""
    chat, news = Hub(), Hub()
    for number in range(120):
        user = "Ada" if number < 3 else f"user-{number}"
        chat.connect(f"c{number}", user, ["all", f"team-{number % 2}"])
    news.connect("n1", "Ada", ["Straße"])
    return {"chat": chat, "news": news}


def keys(part: dict[str, Any], key: str) -> list[str]:
    """One column of the rows."""
    return [row[key] for row in part["rows"]]


def test_the_totals_are_those_of_all_hubs(hubs: dict[str, Hub]) -> None:
    """A user of two hubs is one in each of them."""
    told = {"hubs": 2, "connections": 121, "users": 119, "groups": 4, "named": ["chat", "news"]}
    assert totals(hubs) == told
    many = {f"h{number}": Hub() for number in range(1000)}
    assert len(totals(many)["named"]) == HUBS_NAMED


def test_connections_come_a_page_at_a_time(hubs: dict[str, Hub]) -> None:
    """In the order in which they came; behind the last page is the last one."""
    first, last = people(hubs, DashboardView()), people(hubs, DashboardView(page=99))

    assert keys(first, "connectionId") == [f"c{number}" for number in range(ROWS)]
    assert (first["page"], first["pages"], first["matches"], first["all"]) == (0, 3, 121, 121)
    assert (last["page"], keys(last, "connectionId")[-1]) == (2, "n1")


def test_a_search_looks_at_connection_user_and_groups(hubs: dict[str, Hub]) -> None:
    """In any case, in the chosen hub."""
    assert people(hubs, DashboardView(search="ADA"))["matches"] == 4
    assert people(hubs, DashboardView(search="ada", hub="news"))["matches"] == 1
    assert keys(people(hubs, DashboardView(search="strasse")), "connectionId") == ["n1"]
    found = people(hubs, DashboardView(search="C119"))
    assert (keys(found, "userId"), found["all"]) == (["user-119"], 121)
    assert people(hubs, DashboardView(search="nobody"))["rows"] == []


def test_the_connections_of_one_user_or_group(hubs: dict[str, Hub]) -> None:
    """By their very name; both together are those that are both."""
    assert people(hubs, DashboardView(user="Ada"))["all"] == 4
    assert people(hubs, DashboardView(group="team-0", hub="chat"))["all"] == 60
    assert people(hubs, DashboardView(group="team-0", user="Ada"))["all"] == 2
    assert people(hubs, DashboardView(group="team"))["all"] == 0


@pytest.mark.parametrize(
    ("listing", "first", "count"),
    [
        (Listing.USERS, {"hub": "chat", "name": "Ada", "connections": 3}, 119),
        (Listing.GROUPS, {"hub": "chat", "name": "all", "connections": 120}, 4),
        (
            Listing.HUBS,
            {"hub": "chat", "name": "chat", "connections": 120, "users": 118, "groups": 3},
            2,
        ),
    ],
)
def test_users_groups_and_hubs_are_counted_the_largest_first(
    hubs: dict[str, Hub], listing: Listing, first: dict[str, Any], count: int
) -> None:
    """With the number of their connections."""
    part = people(hubs, DashboardView(listing=listing))

    assert (part["rows"][0], part["all"]) == (first, count)


def test_what_a_connection_may_do_is_told(hubs: dict[str, Hub]) -> None:
    """Everywhere, by pattern, by grant and in spite of a denial; long lists are counted."""
    roles = [
        "webpubsub.sendToGroup",
        *(f"webpubsub.joinLeaveGroup.g{n}" for n in range(NAMED + 5)),
        "webpubsub.joinLeaveGroups.team-*",
    ]
    groups = [f"g{n}" for n in range(NAMED + 2)]
    hubs["news"].connect("n2", None, groups, protocol="json.x", rules=rules(roles))
    hubs["news"].revoke(Permission.SEND_TO_GROUP, "n2", "secret")

    (row,) = people(hubs, DashboardView(search="n2"))["rows"]

    join = row["permissions"]["joinLeaveGroup"]
    assert (join["patterns"], len(join["allowed"]), join["allowedCount"]) == (
        ["team-*"],
        NAMED,
        NAMED + 5,
    )
    send = row["permissions"]["sendToGroup"]
    assert (send["everywhere"], send["denied"]) == (True, ["secret"])
    assert (len(row["groups"]), row["groupCount"]) == (NAMED, NAMED + 2)
    assert (row["userId"], row["protocol"]) == (None, "json.x")
