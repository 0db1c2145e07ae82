"""Whether an expectation holds: what is missing, what is too much, and what cannot be read."""

import pytest

from wps_run.emulator.hub import Hub
from wps_run.emulator.names import Permission
from wps_run.execution.result import ExpectationResult, Status
from wps_run.playbook.expectations import check_expectations
from wps_run.playbook.model import read_playbook
from wps_run.playbook.variables import VariableScope
from wps_run.rehearsal import SimulatedClients, SimulatedState
from wps_run.report.simulation import ClosedClient, message_delivery
from wps_run.state.expectations import check_expectation
from wps_run.state.reader import ReadError


@pytest.fixture
def state() -> SimulatedState:
    """Ada has two connections in `red`; the wall is there without a user; a troll was closed."""
    hub = Hub()
    hub.connect("a1", "ada", ["red"])
    hub.connect("a2", "ada", ["red", "blue"])
    hub.connect("g1", "grace", ["red"])
    hub.connect("wall", None, ["red"])
    hub.grant(Permission.SEND_TO_GROUP, "wall", "red")
    clients = SimulatedClients(
        deliveries=[
            message_delivery("red", "text", b"Welcome", ("ada", "wall")),
            message_delivery("server", "text", b"Welcome", ("grace",)),
            message_delivery("server", "text", b"Nobody", ()),
        ],
        closed=[ClosedClient("troll-1", "Spam"), ClosedClient("troll-2", "")],
        labels={name: name for name in ("wall", "troll-1", "troll-2")}
        | {"a1": "ada", "a2": "ada", "g1": "grace"},
        received=[("a1", "wall"), ("g1",), ()],
        closed_ids=["troll-1", "troll-2"],
    )
    return SimulatedState(hub, clients)


async def check(entry: str, state: SimulatedState, *, rehearsed: bool = True) -> ExpectationResult:
    playbook = read_playbook(f"hub: chat\nexpect:\n  - {entry}\n", "p.yaml")
    checked = check_expectations(
        playbook.document, playbook.parts[0].expectations, VariableScope(), slash_in_names=False
    )
    (expectation,) = checked.expectations
    return await check_expectation(expectation, state, state if rehearsed else None, str)


@pytest.mark.parametrize(
    "entry",
    [
        "{group: red, has: [ada, wall]}",
        "{group: red, hasNot: [linus]}",
        "{group: red, users: [ada, grace], connections: [wall]}",
        "{group: red, connections: [a1, a2, g1, wall]}",
        "{group: blue, users: [ada]}",
        "{group: lobby, users: []}",
        "{user: ada, connected: true}",
        "{user: linus, connected: false}",
        "{connection: wall, connected: true}",
        "{connection: wall, permission: sendToGroup, targetName: red}",
        "{connection: wall, permission: joinLeaveGroup, targetName: red, allowed: false}",
        "{connection: gone, permission: sendToGroup, targetName: red, allowed: false}",
        "{message: Welcome, receivedBy: [ada, grace]}",
        "{closed: [troll-1], reason: Spam}",
        "{closed: [troll-1, troll-2]}",
        "{closed: [troll-2], reason: ''}",
    ],
)
async def test_what_holds_is_ok(entry: str, state: SimulatedState) -> None:
    result = await check(entry, state)
    assert (result.status, result.error) == (Status.OK, None)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{group: red, has: [ada, linus, bo]}", "not in the group: linus, bo"),
        ("{group: red, hasNot: [bo, grace]}", "in the group, too: grace"),
        (
            "{group: red, users: [grace, linus]}",
            (
                "not in the group: linus; in the group, too: ada; in the group, too, without a "
                "user (list them in `connections`): wall"
            ),
        ),
        ("{group: blue, users: []}", "in the group, too: ada"),
        ("{user: ada, connected: false}", "there is a connection"),
        ("{connection: gone, connected: true}", "there is no connection"),
        ("{connection: a1, permission: sendToGroup, targetName: red}", "it may not"),
        (
            "{connection: gone, permission: sendToGroup, targetName: red}",
            "there is no such connection",
        ),
        ("{connection: wall, permission: sendToGroup, targetName: red, allowed: false}", "it may"),
        (
            "{message: Welcome, receivedBy: [linus]}",
            "not received by: linus (received by: ada, wall, grace)",
        ),
        ("{message: Nobody, receivedBy: [ada]}", "not received by: ada (received by: nobody)"),
        ("{message: Hello, receivedBy: [ada]}", "no message with this text was sent"),
        ("{closed: [ada, troll-1]}", "not closed: ada"),
        (
            "{closed: [troll-1, troll-2], reason: Maintenance}",
            "closed with another reason: troll-1 (Spam), troll-2 (no reason)",
        ),
    ],
)
async def test_what_does_not_hold_says_what_is_missing_and_what_is_too_much(
    entry: str, message: str, state: SimulatedState
) -> None:
    result = await check(entry, state)
    assert result.status is Status.FAILED
    assert result.error is not None
    assert (result.error.code, result.error.message) == ("not-met", message)


@pytest.mark.parametrize("entry", ["{message: x, receivedBy: [ada]}", "{closed: [troll]}"])
async def test_what_only_a_rehearsal_shows_is_skipped_elsewhere(
    entry: str, state: SimulatedState
) -> None:
    result = await check(entry, state, rehearsed=False)
    assert result.status is Status.SKIPPED
    assert result.error is not None
    assert result.error.code == "rehearsal-only"


class Unreadable(SimulatedState):
    """A state of which nothing can be read."""

    async def user_exists(self, user_id: str) -> bool:
        """Fail."""
        raise ReadError("Unauthorized", f"cannot read the user {user_id}", "check the key")


async def test_what_cannot_be_read_is_unknown() -> None:
    result = await check("{user: ada, connected: true}", Unreadable(Hub(), SimulatedClients()))
    assert result.status is Status.UNKNOWN
    assert result.error is not None
    assert (result.error.code, result.error.hint) == ("Unauthorized", "check the key")
