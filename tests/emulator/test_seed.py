"""Tests of seeds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.document.loader import load
from wps_run.emulator.names import Permission, is_group_name, is_id
from wps_run.emulator.seed import CLIENT_LIMIT, SeedClient, SeedError, read_seed, seed_text
from wps_run.emulator.server import Emulator


def test_clients_are_read_in_order() -> None:
    """With the hub of the seed unless they have their own."""
    clients = read_seed(
        {
            "hub": "Chat",
            "clients": [
                {
                    "userId": "ada",
                    "connectionId": "c",
                    "groups": ["red", "blue"],
                    "permissions": {"sendToGroup": ["red"], "joinLeaveGroup": ["red", "blue"]},
                },
                {"hub": "Other"},
            ],
        }
    )

    assert clients == [
        SeedClient(
            "chat",
            "ada",
            "c",
            ("red", "blue"),
            (
                (Permission.SEND_TO_GROUP, "red"),
                (Permission.JOIN_LEAVE_GROUP, "red"),
                (Permission.JOIN_LEAVE_GROUP, "blue"),
            ),
        ),
        SeedClient("other"),
    ]


def test_several_clients_are_numbered() -> None:
    """`${n}` is their number; without it they share a name."""
    client = {
        "userId": "user-${n}",
        "connectionId": "c${n}",
        "groups": ["all", "g${n}"],
        "count": 2,
    }

    assert read_seed({"clients": [client]}) == [
        SeedClient("local", "user-1", "c1", ("all", "g1")),
        SeedClient("local", "user-2", "c2", ("all", "g2")),
    ]
    assert [
        client.user_id for client in read_seed({"clients": [{"userId": "ada", "count": 2}]})
    ] == [
        "ada",
        "ada",
    ]
    assert read_seed({"clients": [{"userId": "${n}"}]}) == [SeedClient("local", "${n}")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "must be a mapping, such as clients:"),
        ([], "must be a mapping, such as clients:"),
        ({"clints": []}, "clints: `clints` is not known here; did you mean `clients`?"),
        ({"hub": "1"}, "hub: `1` is not a valid name"),
        ({"clients": {}}, "clients: must be a list"),
        ({"clients": ["ada"]}, "clients[0]: must be a mapping, such as {userId: ada}"),
        ({"clients": [{"userId": 7}]}, 'clients[0].userId: must be a string; write "7"'),
        ({"clients": [{"userId": " "}]}, "clients[0].userId: ` ` is not a valid name"),
        ({"clients": [{"groups": "red"}]}, "clients[0].groups: must be a list of groups"),
        ({"clients": [{"groups": ["a", ""]}]}, "clients[0].groups[1]: `` is not a valid name"),
        ({"clients": [{"permissions": {"fly": []}}]}, "known are sendToGroup, joinLeaveGroup"),
        ({"clients": [{"permissions": ["x"]}]}, "such as {sendToGroup: [launch]}"),
        ({"clients": [{"count": 0}]}, "clients[0].count: must be a whole number from 1"),
        ({"clients": [{"count": True}]}, "must be a whole number from 1"),
        ({"clients": [{"count": CLIENT_LIMIT + 1}]}, "there may be at most 100,000 clients"),
        ({"clients": [{"count": 10**30}]}, "there may be at most 100,000 clients"),
        (
            {"clients": [{"groups": ["${n}" * 256], "count": 10_000}]},
            "is not a valid name",
        ),
        (
            {"clients": [{"permissions": {"sendToGroup": [f"g{n}" for n in range(1001)]}}]},
            "clients[0].permissions.sendToGroup: a connection may be granted at most 1,000 groups",
        ),
        (
            {"clients": [{"groups": ["g"] * 11, "count": CLIENT_LIMIT}]},
            "clients[0].count: there may be at most 1,000,000 groups and permissions in all",
        ),
        ({"clients": [{"connectionId": "c", "count": 2}]}, "write ${n} in it"),
        (
            {"clients": [{"connectionId": "c"}] * 2},
            "clients[1].connectionId: `c` is in hub local already",
        ),
    ],
)
def test_a_problem_is_reported_with_its_path(data: Any, message: str) -> None:
    """A problem names the key and how to correct it."""
    with pytest.raises(SeedError) as error:
        read_seed(data)

    assert message in str(error.value)


def test_all_problems_are_reported_together() -> None:
    """A path and a message each."""
    with pytest.raises(SeedError) as error:
        read_seed({"hub": 1, "clients": [{"userId": 2, "count": "x"}]})

    assert [problem.path for problem in error.value.problems] == [
        ("hub",),
        ("clients", 0, "count"),
        ("clients", 0, "userId"),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["clients", "hub", "userId", "groups", "permissions", "count", "x"]),
            inner,
        )
    ),
)


@given(data=JSON | st.fixed_dictionaries({"clients": st.lists(JSON, max_size=3)}))
def test_any_data_is_a_seed_or_an_error(data: Any) -> None:
    """A valid seed can be loaded."""
    try:
        expected = len(read_seed(data))
    except SeedError:
        with pytest.raises(SeedError):
            Emulator().seed(data)
    else:
        assert Emulator().seed(data) == expected


def test_a_seed_with_a_duplicate_id_adds_no_client() -> None:
    """IDs are checked before the first client is added."""
    emulator = Emulator()
    emulator.seed({"clients": [{"connectionId": "c"}]})

    with pytest.raises(SeedError, match="already connected: `c`"):
        emulator.seed({"clients": [{"userId": "ada"}, {"connectionId": "c"}]})

    assert list(emulator.hubs["local"].connections) == ["c"]


def test_seeded_permissions_are_granted() -> None:
    """Like grants over REST."""
    emulator = Emulator()
    client = {"connectionId": "c", "permissions": {"sendToGroup": ["red"]}}

    assert emulator.seed({"clients": [client]}) == 1

    hub = emulator.hubs["local"]
    assert hub.check(Permission.SEND_TO_GROUP, "c", "red")
    assert not hub.check(Permission.JOIN_LEAVE_GROUP, "c", "red")


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(is_id)


@given(
    st.lists(
        st.builds(
            SeedClient,
            st.just("chat"),
            st.none() | NAMES,
            NAMES,
            st.lists(NAMES.filter(is_group_name), unique=True).map(tuple),
        ),
        unique_by=lambda client: client.connection_id,
    )
)
def test_a_written_seed_is_read_as_the_same_clients(clients: list[SeedClient]) -> None:
    """Whatever their names are."""
    text = "".join(seed_text("chat", clients))

    assert read_seed(load(text, "people.yaml").data) == clients
