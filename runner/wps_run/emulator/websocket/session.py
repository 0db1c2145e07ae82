"""One logical connection: what its client asks becomes acts on the hub, answers and effects.

A session outlives the socket: a reliable one waits a while for its client to come back.

Source: the client protocols; the texts of refusals are the service's.
"""

from dataclasses import dataclass

from wps_run.emulator.effects import Effect, Message
from wps_run.emulator.hub import Hub, Target, TargetKind
from wps_run.emulator.names import Permission
from wps_run.emulator.request_log import EventKind
from wps_run.emulator.websocket.frames import (
    Ack,
    AckError,
    AckName,
    JoinGroup,
    LeaveGroup,
    Notice,
    Ping,
    Pong,
    Request,
    SendEvent,
    SendToGroup,
    SequenceAck,
    Unsupported,
)
from wps_run.emulator.websocket.send_queue import ClientLimits, SendQueue

ACKS_KEPT = 1000
"""How many answered numbers are remembered, to tell a repeated request."""

NORMAL = 1000
"""The close code with which a client leaves for good."""

_NO_HANDLER = (
    "there is no event handler in this service, so send to a group instead: `sendToGroup`, or, "
    "for a simple client, `webpubsub_mode=sendToGroup&group=NAME` in its URL"
)


@dataclass(frozen=True, slots=True)
class Closing:
    """A connection is to be closed, with this code and reason."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What came of a request.

    Attributes:
        notice: What to answer, or None.
        effect: What others notice, or None.
        closing: How to close the connection, or None.
        kind: What it was, or None when it is not worth telling.
        detail: The group, or what went wrong.
    """

    notice: Notice | None = None
    effect: Effect | None = None
    closing: Closing | None = None
    kind: EventKind | None = None
    detail: str = ""


NOTHING = SessionResult()

_CLOSED = {
    1003: "This is not supported.",
    1008: "The client does not have permission to send to the group.",
    1011: "There is no event handler.",
}
"""What a simple client's close frame says: at most 123 bytes, whatever the names are."""

_Acted = JoinGroup | LeaveGroup | SendToGroup | SendEvent | Unsupported


class _RefusedError(Exception):
    """A request is not carried out; holds what comes of it, but for the answer."""

    def __init__(
        self,
        error: AckError,
        code: int,
        *,
        kind: EventKind = EventKind.FAILED,
        detail: str = "",
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.code = code
        self.kind = kind
        self.detail = detail or error.message


class Session:
    """One logical connection, already known to its hub.

    Args:
        hub: The hub.
        connection_id: Its ID there.
        limits: What is kept for it.
        reliable: Whether its subprotocol is.
        simple: Whether it speaks none, so that a request that fails ends it.

    Attributes:
        connection_id: Its ID.
        user_id: Whose it is, or None.
        queue: What its client is to be given.
        detached_until: When it is forgotten unless its client comes back; None while attached.
        is_over: Whether it has ended for good.
    """

    __slots__ = (
        "_acks",
        "_hub",
        "_limits",
        "_simple",
        "connection_id",
        "detached_until",
        "is_over",
        "queue",
        "reliable",
        "user_id",
    )

    def __init__(
        self,
        hub: Hub,
        connection_id: str,
        limits: ClientLimits,
        *,
        reliable: bool = False,
        simple: bool = False,
    ) -> None:
        self._hub = hub
        self._limits = limits
        self._simple = simple
        self._acks: dict[int, None] | None = None
        self.connection_id = connection_id
        self.user_id = hub.connections[connection_id].user_id
        self.reliable = reliable
        self.queue = SendQueue(limits, is_reliable=reliable)
        self.detached_until: float | None = None
        self.is_over = False

    # What the client asks.

    def handle(self, request: Request) -> SessionResult:
        """Carry out what a client asks; what it may not do comes out as an answer, or a close."""
        if self.is_over:
            return NOTHING
        if isinstance(request, Ping):
            return SessionResult(Pong())
        if isinstance(request, SequenceAck):
            self.queue.acknowledge(request.sequence_id)
            return NOTHING
        if request.ack_id is not None and request.ack_id in (self._acks or ()):
            return SessionResult(_duplicate(request.ack_id))
        try:
            done = self._act(request)
        except _RefusedError as refusal:
            return self._refused(request, refusal)
        return self._succeeded(request, done)

    def _act(self, request: _Acted) -> SessionResult:
        match request:
            case JoinGroup(group=group):
                self._require(Permission.JOIN_LEAVE_GROUP, group, "join")
                self._hub.add_connection_to_group(self.connection_id, group)
                return SessionResult(kind=EventKind.JOINED, detail=group)
            case LeaveGroup(group=group):
                self._require(Permission.JOIN_LEAVE_GROUP, group, "leave")
                self._hub.remove_connection_from_group(self.connection_id, group)
                return SessionResult(kind=EventKind.LEFT, detail=group)
            case SendToGroup():
                return self._send(request)
            case SendEvent(event=event):
                error = AckError(AckName.INTERNAL_SERVER_ERROR, "Internal server error")
                detail = f"event {event!r}: {_NO_HANDLER}"
                raise _RefusedError(error, 1011, kind=EventKind.UNHANDLED, detail=detail)
            case Unsupported(kind=kind):
                message = f"`{kind}` is not supported by this service."
                raise _RefusedError(AckError(AckName.BAD_REQUEST, message), 1003)

    def _send(self, request: SendToGroup) -> SessionResult:
        self._require(Permission.SEND_TO_GROUP, request.group, "send to")
        message = Message(
            request.data,
            request.data_type,
            group=request.group,
            from_user=self.user_id,
            ttl=request.ttl,
            metadata=request.metadata,
        )
        spared = frozenset({self.connection_id}) if request.no_echo else frozenset[str]()
        effect = self._hub.send(Target(TargetKind.GROUP, request.group), message, spared)
        return SessionResult(effect=effect, kind=EventKind.SENT, detail=request.group)

    def _require(self, permission: Permission, group: str, verb: str) -> None:
        if not self._hub.check(permission, self.connection_id, group):
            message = f"The client does not have permission to {verb} group '{group}'."
            raise _RefusedError(AckError(AckName.FORBIDDEN, message), 1008)

    def _refused(self, request: _Acted, refusal: _RefusedError) -> SessionResult:
        notice = Ack(request.ack_id, refusal.error) if request.ack_id is not None else None
        closing = Closing(refusal.code, _CLOSED[refusal.code]) if self._simple else None
        return SessionResult(notice, None, closing, refusal.kind, refusal.detail)

    def _succeeded(self, request: _Acted, done: SessionResult) -> SessionResult:
        if request.ack_id is None:
            return done
        if self._acks is None:
            self._acks = {}
        self._acks[request.ack_id] = None
        if len(self._acks) > ACKS_KEPT:
            del self._acks[next(iter(self._acks))]
        return SessionResult(Ack(request.ack_id), done.effect, None, done.kind, done.detail)

    # What becomes of the connection.

    def lose(self, code: int | None, now: float) -> float | None:
        """The socket is gone.

        Args:
            code: The close code the client gave, or None when it gave none.
            now: Seconds on any clock that only moves forward.

        Returns:
            Until when the client may come back; None when it is over.
        """
        if self.reliable and code != NORMAL and not self.is_over:
            self.detached_until = now + self._limits.recovery_seconds
        else:
            self.end()
        return self.detached_until

    def recover(self, now: float) -> bool:
        """The client is back, on a new socket. Whether there still is something to come back to.

        What it has not confirmed is to be given again.
        """
        if self.is_over or not self.reliable or self.is_expired(now):
            return False
        self.detached_until = None
        self.queue.rewind()
        return True

    def is_expired(self, now: float) -> bool:
        """Whether the client has stayed away for too long."""
        return self.detached_until is not None and now >= self.detached_until

    def end(self) -> None:
        """It is over; the hub forgets the connection."""
        self.is_over = True
        self.detached_until = None
        self._hub.disconnect(self.connection_id)


def _duplicate(ack_id: int) -> Ack:
    message = f"Message with ack-id: {ack_id} has been processed"
    return Ack(ack_id, AckError(AckName.DUPLICATE, message))
