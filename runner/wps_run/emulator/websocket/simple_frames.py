"""Simple clients: they use no subprotocol, and a frame is the payload of a message.

Source: the service's two modes of simple clients. In both, a client that sends what it is not
allowed to send is closed.
"""

from dataclasses import dataclass

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.names import is_group_name
from wps_run.emulator.targets import Query
from wps_run.emulator.websocket import frames

_EVENT = "message"
"""The event that a frame causes in the mode `sendEvent`."""


class ModeError(ValueError):
    """The query selects no valid mode."""


@dataclass(frozen=True, slots=True)
class _Payload:
    data: bytes

    def payload(self, sequence_id: int | None) -> bytes:  # noqa: ARG002 - never numbered
        return self.data


@dataclass(frozen=True, slots=True)
class SimpleFrames:
    """The codec of a simple client: a subprotocol without a name.

    Attributes:
        group: The group its messages are sent to, or None when its frames are events.
        no_echo: Whether the client does not receive its own messages.
    """

    group: str | None = None
    no_echo: bool = False
    name: str = ""
    is_reliable: bool = False
    is_binary: bool = False

    def decode(self, frame: str | bytes) -> frames.ClientRequest:
        if isinstance(frame, str):
            data, data_type = frame.encode(), DataType.TEXT
        else:
            data, data_type = frame, DataType.BINARY
        if self.group is None:
            return frames.SendEvent(_EVENT, data, data_type)
        return frames.SendToGroup(self.group, data, data_type, no_echo=self.no_echo)

    def encode_response(self, response: frames.ServerResponse) -> bytes:  # noqa: ARG002 - no responses
        return b""

    def encode_message(self, message: Message) -> _Payload:
        return _Payload(message.data)


_EVENT_FRAMES = SimpleFrames()


def parse_mode(query: Query) -> SimpleFrames:
    """Return the codec for the mode of a connect request.

    Values are case-insensitive; the last one counts.

    Raises:
        ModeError: There is no such mode, or no such group.
    """
    mode = _last(query, "webpubsub_mode").lower()
    if mode in {"", "sendevent"}:
        return _EVENT_FRAMES
    if mode != "sendtogroup":
        raise ModeError("`webpubsub_mode` must be `sendEvent` or `sendToGroup`")
    group = _last(query, "group")
    if not is_group_name(group):
        raise ModeError("the mode `sendToGroup` needs a valid group name in `group`")
    no_echo = _last(query, "noEcho").lower()
    if no_echo not in {"", "true", "false"}:
        raise ModeError("`noEcho` must be `true` or `false`")
    return SimpleFrames(group, no_echo == "true")


def _last(query: Query, name: str) -> str:
    values = query.all(name)
    return values[-1] if values else ""
