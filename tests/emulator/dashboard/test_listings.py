"""Lists of connections, users, groups and hubs, one page at a time."""

from typing import Any

import pytest

from wps_run.emulator.dashboard.listings import (
    HUB_NAME_LIMIT,
    NAME_LIMIT,
    PAGE_SIZE,
    list_clients,
    totals,
)
from wps_run.emulator.dashboard.query import DashboardQuery, Listing
from wps_run.emulator.hub import Hub
from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import rules_from_roles


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
    expected = {"hubs": 2, "connections": 121, "users": 119, "groups": 4, "named": ["chat", "news"]}
    assert totals(hubs) == {**expected, "busiest": "chat"}
    assert totals({})["busiest"] == ""
    many = {f"h{number}": Hub() for number in range(1000)}
    assert len(totals(many)["named"]) == HUB_NAME_LIMIT


def test_connections_come_a_page_at_a_time(hubs: dict[str, Hub]) -> None:
    """The oldest first; a page behind the last one is the last one."""
    first, last = list_clients(hubs, DashboardQuery()), list_clients(hubs, DashboardQuery(page=99))

    assert keys(first, "connectionId") == [f"c{number}" for number in range(PAGE_SIZE)]
    assert (first["page"], first["pages"], first["matches"], first["all"]) == (0, 3, 121, 121)
    assert (last["page"], keys(last, "connectionId")[-1]) == (2, "n1")


def test_a_search_looks_at_connection_user_and_groups(hubs: dict[str, Hub]) -> None:
    """In any case, in the chosen hub."""
    assert list_clients(hubs, DashboardQuery(search="ADA"))["matches"] == 4
    assert list_clients(hubs, DashboardQuery(search="ada", hub="news"))["matches"] == 1
    assert keys(list_clients(hubs, DashboardQuery(search="strasse")), "connectionId") == ["n1"]
    found = list_clients(hubs, DashboardQuery(search="C119"))
    assert (keys(found, "userId"), found["all"]) == (["user-119"], 121)
    assert list_clients(hubs, DashboardQuery(search="nobody"))["rows"] == []


def test_the_connections_of_one_user_or_group(hubs: dict[str, Hub]) -> None:
    """By their very name; both together are those that are both."""
    assert list_clients(hubs, DashboardQuery(user="Ada"))["all"] == 4
    assert list_clients(hubs, DashboardQuery(group="team-0", hub="chat"))["all"] == 60
    assert list_clients(hubs, DashboardQuery(group="team-0", user="Ada"))["all"] == 2
    assert list_clients(hubs, DashboardQuery(group="team"))["all"] == 0


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
    part = list_clients(hubs, DashboardQuery(listing=listing))

    assert (part["rows"][0], part["all"]) == (first, count)


def test_what_a_connection_may_do_is_listed(hubs: dict[str, Hub]) -> None:
    """Everywhere, by pattern, by grant and in spite of a denial; long lists are counted."""
    roles = [
        "webpubsub.sendToGroup",
        *(f"webpubsub.joinLeaveGroup.g{n}" for n in range(NAME_LIMIT + 5)),
        "webpubsub.joinLeaveGroups.team-*",
    ]
    groups = [f"g{n}" for n in range(NAME_LIMIT + 2)]
    hubs["news"].connect("n2", None, groups, protocol="json.x", rules=rules_from_roles(roles))
    hubs["news"].revoke(Permission.SEND_TO_GROUP, "n2", "secret")

    (row,) = list_clients(hubs, DashboardQuery(search="n2"))["rows"]

    join = row["permissions"]["joinLeaveGroup"]
    assert (join["patterns"], len(join["allowed"]), join["allowedCount"]) == (
        ["team-*"],
        NAME_LIMIT,
        NAME_LIMIT + 5,
    )
    send = row["permissions"]["sendToGroup"]
    assert (send["everywhere"], send["denied"]) == (True, ["secret"])
    assert (len(row["groups"]), row["groupCount"]) == (NAME_LIMIT, NAME_LIMIT + 2)
    assert (row["userId"], row["protocol"]) == (None, "json.x")
