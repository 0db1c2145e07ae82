"""One logical connection: requests, responses, duplicates and recovery."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wps_run.emulator.effects import DataType, Deliver, Message
from wps_run.emulator.hub import Hub
from wps_run.emulator.names import Permission
from wps_run.emulator.permissions import PermissionRules
from wps_run.emulator.request_log import EventKind
from wps_run.emulator.websocket.frames import (
    Ack,
    AckError,
    ClientRequest,
    CloseFrame,
    JoinGroup,
    LeaveGroup,
    Ping,
    Pong,
    SendEvent,
    SendGroupMessage,
    SequenceAck,
    Unsupported,
)
from wps_run.emulator.websocket.send_queue import ClientLimits
from wps_run.emulator.websocket.session import ACK_HISTORY, NO_RESULT, Session, SessionResult
from wps_run.emulator.websocket.subprotocols import SUBPROTOCOLS, SimpleFrames, Subprotocol

TEXT = DataType.TEXT
JSON = SUBPROTOCOLS["json.webpubsub.azure.v1"]
RELIABLE = SUBPROTOCOLS["json.reliable.webpubsub.azure.v1"]


def make_session(
    *allowed: Permission, hub: Hub | None = None, subprotocol: Subprotocol = JSON
) -> Session:
    """Create a session `c` of user `ada` with permissions for all groups."""
    hub = hub or Hub()
    hub.connect("c", "ada", rules={name: PermissionRules(all_groups=True) for name in allowed})
    return Session(hub, "c", ClientLimits(), subprotocol)


def test_joining_and_leaving() -> None:
    """With a response if the request has an ack ID."""
    hub = Hub()
    session = make_session(Permission.JOIN_LEAVE_GROUP, hub=hub)

    assert session.handle(JoinGroup("g", 1)) == SessionResult(
        Ack(1), event=EventKind.JOINED, detail="g"
    )
    assert list(hub.groups["g"]) == ["c"]
    assert session.handle(LeaveGroup("g")) == SessionResult(event=EventKind.LEFT, detail="g")
    assert hub.groups == {}


@pytest.mark.parametrize("no_echo", [False, True])
def test_a_message_to_a_group_goes_to_its_members(no_echo: bool) -> None:  # noqa: FBT001
    """The sender need not be one; if it is, it gets its own message unless `noEcho`."""
    hub = Hub()
    session = make_session(Permission.SEND_TO_GROUP, hub=hub)
    hub.connect("d", groups=["g"])
    hub.add_connection_to_group("c", "g")

    result = session.handle(
        SendGroupMessage("g", b"x", TEXT, ack_id=7, no_echo=no_echo, ttl=3, metadata={"k": "v"})
    )

    message = Message(b"x", TEXT, group="g", from_user="ada", ttl=3, metadata={"k": "v"})
    assert result.response == Ack(7)
    assert result.effect == Deliver(("d",) if no_echo else ("d", "c"), message)


@pytest.mark.parametrize(
    ("request_", "action"),
    [
        (JoinGroup("g", 1), "join group 'g'"),
        (LeaveGroup("g", 1), "leave group 'g'"),
        (SendGroupMessage("g", b"", TEXT, 1), "send to group 'g'"),
    ],
)
def test_a_missing_permission_is_an_error(request_: ClientRequest, action: str) -> None:
    """Without an ack ID there is no response; the connection stays open."""
    session = make_session()

    error = AckError("Forbidden", f"The client does not have permission to {action}.")
    result = session.handle(request_)
    assert result.response == Ack(1, error)
    assert result.close_frame is None
    assert result.event is EventKind.FAILED
    assert session.handle(JoinGroup("g")).response is None


def test_an_ack_id_is_acknowledged_once() -> None:
    """A repeated success is a duplicate and not executed; a failure may be retried."""
    hub = Hub()
    session = make_session(hub=hub)
    assert session.handle(JoinGroup("g", 7)).response != Ack(7)
    hub.grant(Permission.JOIN_LEAVE_GROUP, "c", "g")
    assert session.handle(JoinGroup("g", 7)).response == Ack(7)
    hub.remove_connection_from_group("c", "g")

    duplicate = AckError("Duplicate", "Message with ack-id: 7 has been processed")
    assert session.handle(SendGroupMessage("g", b"", TEXT, 7)) == SessionResult(Ack(7, duplicate))
    assert hub.groups == {}


def test_a_thousand_ack_ids_are_stored() -> None:
    """The oldest is dropped first."""
    session = make_session(Permission.JOIN_LEAVE_GROUP)
    for number in range(ACK_HISTORY + 1):
        assert session.handle(JoinGroup("g", number)).response == Ack(number)

    assert session.handle(JoinGroup("g", 1)).response != Ack(1)
    assert session.handle(JoinGroup("g", 0)).response == Ack(0)


def test_an_event_has_no_handler() -> None:
    """The response is the service's; the detail says what to do instead."""
    result = make_session().handle(SendEvent("e", b"", TEXT, 1))

    assert result.response == Ack(1, AckError("InternalServerError", "Internal server error"))
    assert result.event is EventKind.UNHANDLED
    assert "webpubsub_mode=sendToGroup" in result.detail
    assert make_session().handle(SendEvent("e", b"", TEXT)).response is None


def test_unsupported_requests() -> None:
    """An error names the feature, if the request has an ack ID."""
    result = make_session().handle(Unsupported("invoke", 1))

    assert result.response == Ack(
        1, AckError("BadRequest", "`invoke` is not supported by this service.")
    )
    assert make_session().handle(Unsupported("streamData")).response is None


def test_pings_and_acknowledgments() -> None:
    """An acknowledgment has no effect if messages are not numbered."""
    assert make_session().handle(Ping()) == SessionResult(Pong())
    assert make_session().handle(SequenceAck(3)) == NO_RESULT


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (SendEvent("message", b"", TEXT), 1011),
        (SendGroupMessage("x" * 1024, b"", TEXT), 1008),
    ],
)
def test_a_simple_client_that_fails_is_closed(request_: ClientRequest, code: int) -> None:
    """With a reason that fits a close frame, however long the names are."""
    close_frame = make_session(subprotocol=SimpleFrames()).handle(request_).close_frame

    assert isinstance(close_frame, CloseFrame)
    assert close_frame.code == code
    assert 0 < len(close_frame.reason.encode()) <= 123


def test_a_session_that_is_ended_does_nothing() -> None:
    """With frames that arrive after a REST call has closed it."""
    hub = Hub()
    session = make_session(Permission.JOIN_LEAVE_GROUP, hub=hub)
    session.end()

    assert session.handle(JoinGroup("g", 1)) == NO_RESULT
    assert hub.connections == {}


class SessionMachine(RuleBasedStateMachine):
    """A session and its model: not ended, detached, until when, and what is unacknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub()
        self.now = 0.0
        self.session = make_session(hub=self.hub, subprotocol=RELIABLE)
        self.is_alive, self.is_detached, self.until = True, False, 0.0
        self.unacknowledged: list[int] = []
        self.sent = 0

    @rule(code=st.sampled_from([None, 0, 1000, 1001, 1006, 1008, 4000]))
    def detach(self, code: int | None) -> None:
        """The WebSocket is lost; only a close with 1000 ends the session."""
        if not self.is_alive or self.is_detached:
            return
        until = self.session.detach(code, self.now)
        if code == 1000:
            self.is_alive = False
            assert until is None
        else:
            self.is_detached, self.until = True, self.now + 30
            assert until == self.until

    @rule()
    def recover(self) -> None:
        """The client recovers in time, or takes over; later it is refused."""
        recovered = self.session.recover(self.now)
        assert recovered is (self.is_alive and not (self.is_detached and self.now >= self.until))
        if recovered:
            self.is_detached = False
            replayed = []
            while (taken := self.session.queue.take(self.now)) is not None:
                replayed.append(taken[1])
            assert replayed == self.unacknowledged

    @rule()
    def send(self) -> None:
        """A message is sent, attached or not."""
        if not self.is_alive:
            return
        self.sent += 1
        self.unacknowledged.append(self.sent)
        self.session.queue.put(Message(b"x", TEXT), self.now)
        if not self.is_detached:
            taken = self.session.queue.take(self.now)
            assert taken == (Message(b"x", TEXT), self.sent)

    @rule(number=st.integers(0, 20))
    def acknowledge(self, number: int) -> None:
        """An attached client acknowledges messages."""
        if self.is_alive and not self.is_detached:
            self.session.handle(SequenceAck(number))
            self.unacknowledged = [sent for sent in self.unacknowledged if sent > number]

    @rule(seconds=st.sampled_from([1.0, 29.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; a session that is detached too long ends."""
        self.now += seconds
        assert self.session.is_expired(self.now) is (
            self.is_alive and self.is_detached and self.now >= self.until
        )
        if self.session.is_expired(self.now):
            self.session.end()
            self.is_alive = False

    @invariant()
    def hub_agrees(self) -> None:
        """A detached session is still a connection of the hub."""
        assert ("c" in self.hub.connections) is self.is_alive
        assert self.session.is_ended is not self.is_alive


TestSessionMachine = SessionMachine.TestCase
