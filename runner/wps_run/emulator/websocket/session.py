"""One logical connection: executes its client's requests on the hub. No I/O, no clock.

A session outlives its WebSocket: a reliable one can be recovered for some time. The caller passes
the seconds of a clock that only moves forward.

Source: the client protocols; the error messages are the service's.
"""

from collections.abc import Callable
from dataclasses import dataclass

from wps_run.emulator.effects import Effect, Message
from wps_run.emulator.hub import Hub, Target, TargetKind
from wps_run.emulator.names import Permission
from wps_run.emulator.request_log import EventKind
from wps_run.emulator.websocket.frames import (
    Ack,
    AckError,
    AckErrorName,
    ClientRequest,
    CloseCode,
    CloseFrame,
    JoinGroup,
    LeaveGroup,
    Ping,
    Pong,
    SendEvent,
    SendGroupMessage,
    SequenceAck,
    ServerResponse,
    Unsupported,
)
from wps_run.emulator.websocket.send_queue import ClientLimits, SendQueue
from wps_run.emulator.websocket.subprotocols import Subprotocol

ACK_HISTORY = 1000
"""How many acknowledged numbers are stored, to detect a repeated request."""

_NO_HANDLER = (
    "the emulator has no event handler, so send to a group instead: `sendToGroup`, or, for a "
    "simple client, `webpubsub_mode=sendToGroup&group=NAME` in its URL"
)


@dataclass(frozen=True, slots=True)
class SessionResult:
    """The result of a request.

    Attributes:
        response: What to send to the client, or None.
        effect: What other clients receive, or None.
        event: What to log, or None.
        detail: The group, or the error.
        user_event: What to send to the event handler, or None; `finish_event` must follow.
    """

    response: ServerResponse | None = None
    effect: Effect | None = None
    close_frame: CloseFrame | None = None
    event: EventKind | None = None
    detail: str = ""
    user_event: SendEvent | None = None


NO_RESULT = SessionResult()

_CLOSE_REASONS = {
    CloseCode.UNSUPPORTED_DATA: "This is not supported.",
    CloseCode.POLICY_VIOLATION: "The client does not have permission to send to the group.",
    CloseCode.INTERNAL_ERROR: "There is no event handler.",
}
"""The reasons in the close frames of simple clients. Constant, so they fit whatever the names."""

_EVENT_FAILED = AckError(AckErrorName.INTERNAL_SERVER_ERROR, "Internal server error")

_Command = JoinGroup | LeaveGroup | SendGroupMessage | SendEvent | Unsupported


@dataclass
class _RefusedCommandError(Exception):
    """A command is not carried out."""

    error: AckError
    code: CloseCode
    detail: str
    event: EventKind = EventKind.FAILED


def takes_no_event(_: str) -> bool:
    """Say that no event handler receives an event."""
    return False


class Session:
    """One logical connection that its hub already has.

    Args:
        limits: How much is stored for its client.
        subprotocol: Its client's subprotocol. Without one, a failed request closes it.
        takes_event: Whether an event handler receives this event.

    Attributes:
        detached_until: When it ends unless its client reconnects; None while attached.
    """

    __slots__ = (
        "_acknowledged",
        "_hub",
        "_limits",
        "_takes_event",
        "connection_id",
        "detached_until",
        "is_ended",
        "queue",
        "subprotocol",
        "user_id",
    )

    def __init__(
        self,
        hub: Hub,
        connection_id: str,
        limits: ClientLimits,
        subprotocol: Subprotocol,
        takes_event: Callable[[str], bool] = takes_no_event,
    ) -> None:
        self._takes_event = takes_event
        self._hub = hub
        self._limits = limits
        self._acknowledged: dict[int, None] | None = None
        self.connection_id = connection_id
        self.user_id = hub.connections[connection_id].user_id
        self.subprotocol = subprotocol
        self.queue = SendQueue(limits, is_reliable=subprotocol.is_reliable)
        self.detached_until: float | None = None
        self.is_ended = False

    def handle(self, request: ClientRequest) -> SessionResult:
        """Execute a request; an error is a response or a close frame in the result."""
        if self.is_ended:
            return NO_RESULT
        if isinstance(request, Ping):
            return SessionResult(Pong())
        if isinstance(request, SequenceAck):
            self.queue.acknowledge(request.sequence_id)
            return NO_RESULT
        if request.ack_id is not None and request.ack_id in (self._acknowledged or ()):
            return SessionResult(_duplicate(request.ack_id))
        try:
            result = self._execute(request)
        except _RefusedCommandError as refusal:
            return self._refuse(request, refusal)
        return result if result.user_event is not None else self._acknowledge(request, result)

    def finish_event(self, event: SendEvent, *, error: str = "") -> SessionResult:
        """Acknowledge an event that its handler has answered; an error closes the connection."""
        if self.is_ended:
            return NO_RESULT
        if not error:
            return self._acknowledge(event, NO_RESULT)
        response = Ack(event.ack_id, _EVENT_FAILED) if event.ack_id is not None else None
        close_frame = CloseFrame(CloseCode.INTERNAL_ERROR, _EVENT_FAILED.message)
        return SessionResult(response, None, close_frame, EventKind.FAILED, error)

    def _execute(self, command: _Command) -> SessionResult:
        match command:
            case JoinGroup(group=group):
                self._require(Permission.JOIN_LEAVE_GROUP, group, "join")
                self._hub.add_connection_to_group(self.connection_id, group)
                return SessionResult(event=EventKind.JOINED, detail=group)
            case LeaveGroup(group=group):
                self._require(Permission.JOIN_LEAVE_GROUP, group, "leave")
                self._hub.remove_connection_from_group(self.connection_id, group)
                return SessionResult(event=EventKind.LEFT, detail=group)
            case SendGroupMessage():
                return self._send(command)
            case SendEvent(event=event) if self._takes_event(event):
                return SessionResult(user_event=command)
            case SendEvent(event=event):
                detail = f"event {event!r}: {_NO_HANDLER}"
                raise _RefusedCommandError(
                    _EVENT_FAILED, CloseCode.INTERNAL_ERROR, detail, EventKind.UNHANDLED
                )
            case Unsupported(kind=kind):
                message = f"`{kind}` is not supported by this service."
                error = AckError(AckErrorName.BAD_REQUEST, message)
                raise _RefusedCommandError(error, CloseCode.UNSUPPORTED_DATA, message)

    def _send(self, command: SendGroupMessage) -> SessionResult:
        self._require(Permission.SEND_TO_GROUP, command.group, "send to")
        message = Message(
            command.data,
            command.data_type,
            group=command.group,
            from_user=self.user_id,
            ttl=command.ttl,
            metadata=command.metadata,
        )
        excluded = frozenset({self.connection_id}) if command.no_echo else frozenset[str]()
        effect = self._hub.send(Target(TargetKind.GROUP, command.group), message, excluded)
        return SessionResult(effect=effect, event=EventKind.SENT, detail=command.group)

    def _require(self, permission: Permission, group: str, verb: str) -> None:
        if not self._hub.check(permission, self.connection_id, group):
            message = f"The client does not have permission to {verb} group '{group}'."
            error = AckError(AckErrorName.FORBIDDEN, message)
            raise _RefusedCommandError(error, CloseCode.POLICY_VIOLATION, message)

    def _refuse(self, command: _Command, refusal: _RefusedCommandError) -> SessionResult:
        response = Ack(command.ack_id, refusal.error) if command.ack_id is not None else None
        close_frame = None
        if not self.subprotocol.name:
            close_frame = CloseFrame(refusal.code, _CLOSE_REASONS[refusal.code])
        return SessionResult(response, None, close_frame, refusal.event, refusal.detail)

    def _acknowledge(self, command: _Command, result: SessionResult) -> SessionResult:
        if command.ack_id is None:
            return result
        if self._acknowledged is None:
            self._acknowledged = {}
        self._acknowledged[command.ack_id] = None
        if len(self._acknowledged) > ACK_HISTORY:
            del self._acknowledged[next(iter(self._acknowledged))]
        return SessionResult(Ack(command.ack_id), result.effect, None, result.event, result.detail)

    def detach(self, code: int | None, now: float) -> float | None:
        """Handle the loss of the WebSocket, with the close code of the client if it sent one.

        Returns:
            Until when the session can be recovered; None when it has ended.
        """
        if self.subprotocol.is_reliable and code != CloseCode.NORMAL and not self.is_ended:
            self.detached_until = now + self._limits.recovery_seconds
        else:
            self.end()
        return self.detached_until

    def recover(self, now: float) -> bool:
        """Continue on a new WebSocket, unacknowledged messages first; False when it is too late."""
        if self.is_ended or not self.subprotocol.is_reliable or self.is_expired(now):
            return False
        self.detached_until = None
        self.queue.rewind()
        return True

    def is_expired(self, now: float) -> bool:
        return self.detached_until is not None and now >= self.detached_until

    def end(self) -> None:
        """End the session, and remove its connection from the hub."""
        self.is_ended = True
        self.detached_until = None
        self._hub.disconnect(self.connection_id)


def _duplicate(ack_id: int) -> Ack:
    message = f"Message with ack-id: {ack_id} has been processed"
    return Ack(ack_id, AckError(AckErrorName.DUPLICATE, message))
