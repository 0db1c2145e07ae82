"""Simple clients: no subprotocol, the payload of each message is a frame.

Source: the service's two modes of simple clients; in both, a client that sends what it may not
send is closed.
"""

from dataclasses import dataclass

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.names import is_group_name
from wps_run.emulator.rest.targets import Query
from wps_run.emulator.websocket.frames import Notice, Request, SendEvent, SendToGroup

_EVENT = "message"
"""The event that a frame is in the mode `sendEvent`."""


class ModeError(ValueError):
    """The query asks for a mode that there is not."""


@dataclass(frozen=True, slots=True)
class SimpleMode:
    """What the frames of a simple client are.

    Attributes:
        group: The group they are sent to, or None when they are events.
        no_echo: Whether the client is spared its own messages.
    """

    group: str | None = None
    no_echo: bool = False


def read_mode(query: Query) -> SimpleMode:
    """The mode that a client asks for. Values are compared without case; the last one counts.

    Raises:
        ModeError: There is no such mode, or no such group.
    """
    mode = _last(query, "webpubsub_mode").lower()
    if mode in {"", "sendevent"}:
        return SimpleMode()
    if mode != "sendtogroup":
        raise ModeError("`webpubsub_mode` is neither `sendEvent` nor `sendToGroup`")
    group = _last(query, "group")
    if not is_group_name(group):
        raise ModeError("`group` is no group's name; the mode `sendToGroup` needs one")
    echo = _last(query, "noEcho").lower()
    if echo not in {"", "true", "false"}:
        raise ModeError("`noEcho` is neither `true` nor `false`")
    return SimpleMode(group, echo == "true")


def _last(query: Query, name: str) -> str:
    values = query.all(name)
    return values[-1] if values else ""


@dataclass(frozen=True, slots=True)
class _Payload:
    """A message as a simple client gets it: nothing but its payload."""

    payload: bytes

    def frame(self, sequence_id: int | None) -> bytes:  # noqa: ARG002 - never numbered
        return self.payload


@dataclass(frozen=True, slots=True)
class SimpleFrames:
    """How the frames of a simple client are read and written: a subprotocol without a name."""

    mode: SimpleMode = SimpleMode()
    name: str = ""
    reliable: bool = False
    binary: bool = False

    def read(self, frame: str | bytes) -> Request:
        """Any frame is a message, to the group or to the event handler."""
        if isinstance(frame, str):
            data, data_type = frame.encode(), DataType.TEXT
        else:
            data, data_type = frame, DataType.BINARY
        if self.mode.group is None:
            return SendEvent(_EVENT, data, data_type)
        return SendToGroup(self.mode.group, data, data_type, no_echo=self.mode.no_echo)

    def write(self, notice: Notice) -> bytes:  # noqa: ARG002 - they are told nothing
        """Empty: a simple client is told nothing."""
        return b""

    def encode(self, message: Message) -> _Payload:
        """The payload as it is."""
        return _Payload(message.data)
