"""A simulation is readable for 3 users and for 30,000."""

import json
from typing import Any

from wps_run.report.simulation import (
    ClosedClient,
    FaultHits,
    MessageDelivery,
    PermissionState,
    Simulation,
    message_delivery,
    simulation_from,
)

MANY = tuple(f"user-{number}" for number in range(30_000))


def simulation(**changes: Any) -> Simulation:
    """Make a simulation of a hub in which only this happens."""
    nothing: dict[str, Any] = {
        "groups": {},
        "deliveries": (),
        "closed_clients": (),
        "permissions": (),
    }
    return Simulation("chat", **{"client_count": 2, **nothing, **changes})


def section(title: str, **changes: Any) -> list[str]:
    """Return the lines of one section."""
    blocks = simulation(**changes).as_text().split("\n\n")
    (block,) = (block for block in blocks if block.strip().startswith(title))
    return [line.strip() for line in block.strip().splitlines()[1:]]


def text(data: str, *recipients: str, origin: str = "red") -> MessageDelivery:
    """Make a text message with its recipients."""
    return message_delivery(origin, "text", data.encode(), recipients)


def test_long_lists_of_names_are_counted() -> None:
    """As many as fit on a line; the others as a number."""
    (line,) = section("Groups", groups={"red": MANY})

    assert line == (
        "red  user-0, user-1, user-2, user-3, user-4, user-5, user-6, user-7, user-8, user-9 "
        "and 29,990 more (30,000 in all)"
    )


def test_long_names_are_cut() -> None:
    """At least one is shown."""
    (line,) = section("Groups", groups={"g" * 500: ("u" * 500, "v" * 500)})

    assert line == f"{'g' * 30}…{'g' * 29}  {'u' * 30}…{'u' * 29} and 1 more (2 in all)"


def test_the_same_message_is_shown_once() -> None:
    """With the number of times it was sent, and that each client received it."""
    deliveries = (
        text("hi", "ada", "grace"),
        text("hi", "ada"),
        text("hi", "ada", origin="server"),
        text("ho"),
    )

    assert section("Messages", deliveries=deliveries) == [
        '"hi" from red, 2 times  received by ada (2), grace',
        '"hi" from server        received by ada',
        '"ho" from red           received by no simulated client',
    ]


def test_messages_that_no_client_received_have_their_reasons() -> None:
    """The first one, and how many others there are."""
    reasons = [f"nobody was simulated for user `u{number}`" for number in range(3)]
    deliveries = tuple(message_delivery("server", "text", b"hi", (), each) for each in reasons)

    assert section("Messages", deliveries=deliveries) == [
        '"hi" from server, 3 times  nobody was simulated for user `u0` (and 2 other reasons)'
    ]
    record = simulation(deliveries=deliveries[:1]).as_json()
    assert record["messages"][0]["unreceived"] == reasons[0]
    assert simulation_from(json.loads(json.dumps(record))).deliveries == deliveries[:1]


def test_what_happened_to_no_client_is_of_the_simulated_ones() -> None:
    """A real hub may have others."""
    assert section("Groups") == section("Closed") == ["none of the simulated clients"]


def test_thirty_thousand_messages_fit_on_the_screen() -> None:
    """Whether they are all the same or all different."""
    same = tuple(text("hi", user, origin="server") for user in MANY)
    different = tuple(text(f"hi {user}", user) for user in MANY)

    (line,) = section("Messages", deliveries=same)
    assert line.startswith('"hi" from server, 30,000 times  received by user-0, user-1, ')
    assert line.endswith("more (30,000 in all)")
    lines = section("Messages", deliveries=different)
    assert len(lines) == 13
    assert lines[-1] == "… and 29,988 more"


def test_equal_reasons_and_equal_rules_are_shown_together() -> None:
    """One row for each reason, and for each set of rules."""
    closed = (*(ClosedClient(user, "late") for user in MANY), ClosedClient("ada", ""))
    first, second = section("Closed", closed_clients=closed)
    assert first.startswith("late             user-0, user-1, ")
    assert second == "no reason given  ada"

    permissions = [
        PermissionState(connection, permission, "red", is_allowed=allowed)
        for connection in ("c1", "c2", "c3")
        for permission, allowed in (("sendToGroup", True), ("joinLeaveGroup", connection == "c3"))
    ]
    assert section("Permissions", permissions=permissions) == [
        "c1, c2  may sendToGroup red, may not joinLeaveGroup red",
        "c3      may sendToGroup red, may joinLeaveGroup red",
    ]


def test_many_rules_of_one_connection_are_counted() -> None:
    """A line holds a dozen."""
    rules = [PermissionState("c", "sendToGroup", f"g{n}", is_allowed=True) for n in range(1000)]

    (line,) = section("Permissions", permissions=rules)

    assert line.endswith("may sendToGroup g11 and 988 more")


def test_faults_are_shown_when_some_were_injected() -> None:
    """With the number of requests that each affected, and of those sent again."""
    fault_hits = (
        FaultHits("503,count=3", 3, {"SendToAll": 2, "SendToUser": 1}),
        FaultHits("half", 0, {}),
    )

    assert section("Faults", fault_seed=7, fault_hits=fault_hits, repeats=1) == [
        "503,count=3  affected 3 requests: SendToAll 2, SendToUser 1",
        "half         affected no request",
        "1 request was sent again",
    ]
    assert "repeat them with --fault-seed 7" in simulation(fault_seed=7).as_text()
    assert "Faults" not in simulation().as_text()


def test_absent_names_are_shown() -> None:
    """Only when there are any."""
    assert section("Absent", absent=("bob", "c9")) == ["bob, c9"]
    assert "Absent" not in simulation().as_text()


def test_the_record_is_complete_and_can_be_read() -> None:
    """No list is cut or counted."""
    original = simulation(
        groups={"red": MANY},
        deliveries=(text("hi", "ada"), text("hi", "ada")),
        closed_clients=(ClosedClient("ada", "late"),),
        permissions=(PermissionState("c", "sendToGroup", "red", is_allowed=True),),
        absent=("bob",),
        fault_hits=(FaultHits("503,count=3", 2, {"SendToAll": 2}), FaultHits("half", 0, {})),
        repeats=2,
        fault_seed=7,
    )

    record = json.loads(json.dumps(original.as_json()))

    assert len(record["groups"]["red"]) == 30_000
    assert len(record["messages"]) == 2
    assert record["absent"] == ["bob"]
    assert record["faults"] == [
        {"fault": "503,count=3", "struck": 2, "operations": {"SendToAll": 2}},
        {"fault": "half", "struck": 0, "operations": {}},
    ]
    assert (record["faultSeed"], record["repeats"]) == (7, 2)
    assert simulation_from(record) == original
    assert not {"absent", "faults", "faultSeed", "repeats"} & simulation().as_json().keys()


def test_the_record_of_an_older_version_can_be_read() -> None:
    """It has `heardBy` where records now have `receivedBy`."""
    record = simulation(deliveries=(text("hi", "ada", "bob"),)).as_json()
    (message,) = record["messages"]
    message["heardBy"] = message.pop("receivedBy")

    assert simulation_from(record).deliveries[0].recipients == ("ada", "bob")
