"""One logical connection: requests, answers, duplicates, and what outlives the socket."""

from typing import Any

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
    JoinGroup,
    LeaveGroup,
    Ping,
    Pong,
    Request,
    SendEvent,
    SendToGroup,
    SequenceAck,
    Unsupported,
)
from wps_run.emulator.websocket.send_queue import ClientLimits
from wps_run.emulator.websocket.session import ACKS_KEPT, NOTHING, Closing, Session, SessionResult

TEXT = DataType.TEXT


def session(*allowed: Permission, hub: Hub | None = None, **kind: Any) -> Session:
    """A session `c` of user `ada`, with what is allowed everywhere."""
    hub = hub or Hub()
    hub.connect("c", "ada", rules={one: PermissionRules(all_groups=True) for one in allowed})
    return Session(hub, "c", ClientLimits(), **kind)


def test_joining_and_leaving() -> None:
    """Answered when an answer is asked for, done in any case."""
    hub = Hub()
    one = session(Permission.JOIN_LEAVE_GROUP, hub=hub)

    assert one.handle(JoinGroup("g", 1)) == SessionResult(Ack(1), kind=EventKind.JOINED, detail="g")
    assert list(hub.groups["g"]) == ["c"]
    assert one.handle(LeaveGroup("g")) == SessionResult(kind=EventKind.LEFT, detail="g")
    assert hub.groups == {}


@pytest.mark.parametrize("no_echo", [False, True])
def test_a_message_to_a_group_goes_to_its_members(no_echo: bool) -> None:  # noqa: FBT001
    """The sender need not be one; if it is, it hears itself unless it asks not to."""
    hub = Hub()
    one = session(Permission.SEND_TO_GROUP, hub=hub)
    hub.connect("d", groups=["g"])
    hub.add_connection_to_group("c", "g")

    outcome = one.handle(
        SendToGroup("g", b"x", TEXT, ack_id=7, no_echo=no_echo, ttl=3, metadata={"k": "v"})
    )

    message = Message(b"x", TEXT, group="g", from_user="ada", ttl=3, metadata={"k": "v"})
    assert outcome.notice == Ack(7)
    assert outcome.effect == Deliver(("d",) if no_echo else ("d", "c"), message)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (JoinGroup("g", 1), "join group 'g'"),
        (LeaveGroup("g", 1), "leave group 'g'"),
        (SendToGroup("g", b"", TEXT, 1), "send to group 'g'"),
    ],
)
def test_what_is_not_allowed_is_forbidden_in_the_services_words(
    request_: Request, words: str
) -> None:
    """Without a number there is no answer, and nothing happens to the connection."""
    one = session()

    error = AckError("Forbidden", f"The client does not have permission to {words}.")
    outcome = one.handle(request_)
    assert outcome.notice == Ack(1, error)
    assert outcome.closing is None
    assert outcome.kind is EventKind.FAILED
    assert one.handle(JoinGroup("g")).notice is None


def test_a_number_is_answered_once_unless_it_failed() -> None:
    """A repeated success is a duplicate and not done again; a failure may be tried again."""
    hub = Hub()
    one = session(hub=hub)
    assert one.handle(JoinGroup("g", 7)).notice != Ack(7)
    hub.grant(Permission.JOIN_LEAVE_GROUP, "c", "g")
    assert one.handle(JoinGroup("g", 7)).notice == Ack(7)
    hub.remove_connection_from_group("c", "g")

    duplicate = AckError("Duplicate", "Message with ack-id: 7 has been processed")
    assert one.handle(SendToGroup("g", b"", TEXT, 7)) == SessionResult(Ack(7, duplicate))
    assert hub.groups == {}


def test_a_thousand_numbers_are_remembered() -> None:
    """The oldest is forgotten first."""
    one = session(Permission.JOIN_LEAVE_GROUP)
    for number in range(ACKS_KEPT + 1):
        assert one.handle(JoinGroup("g", number)).notice == Ack(number)

    assert one.handle(JoinGroup("g", 1)).notice != Ack(1)
    assert one.handle(JoinGroup("g", 0)).notice == Ack(0)


def test_an_event_has_nobody_to_handle_it() -> None:
    """The answer is the service's; the account says what to do instead."""
    outcome = session().handle(SendEvent("e", b"", TEXT, 1))

    assert outcome.notice == Ack(1, AckError("InternalServerError", "Internal server error"))
    assert outcome.kind is EventKind.UNHANDLED
    assert "webpubsub_mode=sendToGroup" in outcome.detail
    assert session().handle(SendEvent("e", b"", TEXT)).notice is None


def test_what_is_not_done_here() -> None:
    """Is answered with an error that names it, when an answer is asked for."""
    outcome = session().handle(Unsupported("invoke", 1))

    assert outcome.notice == Ack(
        1, AckError("BadRequest", "`invoke` is not supported by this service.")
    )
    assert session().handle(Unsupported("streamData")).notice is None


def test_pings_and_confirmations() -> None:
    """A confirmation is of no effect where nothing is numbered."""
    assert session().handle(Ping()) == SessionResult(Pong())
    assert session().handle(SequenceAck(3)) == NOTHING


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (SendEvent("message", b"", TEXT), 1011),
        (SendToGroup("x" * 1024, b"", TEXT), 1008),
    ],
)
def test_a_simple_client_that_fails_is_closed(request_: Request, code: int) -> None:
    """With a reason that fits a close frame, however long the names are."""
    closing = session(simple=True).handle(request_).closing

    assert isinstance(closing, Closing)
    assert closing.code == code
    assert 0 < len(closing.reason.encode()) <= 123


def test_a_session_that_is_over_does_nothing() -> None:
    """Frames that were on their way when a REST call closed it."""
    hub = Hub()
    one = session(Permission.JOIN_LEAVE_GROUP, hub=hub)
    one.end()

    assert one.handle(JoinGroup("g", 1)) == NOTHING
    assert hub.connections == {}


class SessionMachine(RuleBasedStateMachine):
    """A session and four facts: it is there, it is away, until when, and what it is owed."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub()
        self.now = 0.0
        self.session = session(hub=self.hub, reliable=True)
        self.is_there, self.is_away, self.until = True, False, 0.0
        self.owed: list[int] = []
        self.sent = 0

    @rule(code=st.sampled_from([None, 0, 1000, 1001, 1006, 1008, 4000]))
    def lose(self, code: int | None) -> None:
        """The socket goes; only a close with 1000 is for good."""
        if not self.is_there or self.is_away:
            return
        until = self.session.lose(code, self.now)
        if code == 1000:
            self.is_there = False
            assert until is None
        else:
            self.is_away, self.until = True, self.now + 30
            assert until == self.until

    @rule()
    def recover(self) -> None:
        """The client comes back in time, or takes over; later it is refused."""
        came_back = self.session.recover(self.now)
        assert came_back is (self.is_there and not (self.is_away and self.now >= self.until))
        if came_back:
            self.is_away = False
            replayed = []
            while (taken := self.session.queue.take(self.now)) is not None:
                replayed.append(taken[1])
            assert replayed == self.owed

    @rule()
    def send(self) -> None:
        """A message comes, attached or not."""
        if not self.is_there:
            return
        self.sent += 1
        self.owed.append(self.sent)
        self.session.queue.put(Message(b"x", TEXT), self.now)
        if not self.is_away:
            taken = self.session.queue.take(self.now)
            assert taken == (Message(b"x", TEXT), self.sent)

    @rule(number=st.integers(0, 20))
    def acknowledge(self, number: int) -> None:
        """The client confirms what it was given, while it is there."""
        if self.is_there and not self.is_away:
            self.session.handle(SequenceAck(number))
            self.owed = [one for one in self.owed if one > number]

    @rule(seconds=st.sampled_from([1.0, 29.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Time passes; whoever is away too long is forgotten."""
        self.now += seconds
        assert self.session.is_expired(self.now) is (
            self.is_there and self.is_away and self.now >= self.until
        )
        if self.session.is_expired(self.now):
            self.session.end()
            self.is_there = False

    @invariant()
    def the_hub_agrees(self) -> None:
        """A client that is away still counts as there."""
        assert ("c" in self.hub.connections) is self.is_there
        assert self.session.is_over is not self.is_there


TestSessionMachine = SessionMachine.TestCase
