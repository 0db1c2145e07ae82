"""Messages to the bytes of WebSocket frames, made once for all who receive the same ones.

Source: RFC 6455, section 5.2; a service's frames are not masked.
"""

import struct
from collections.abc import Callable

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.websocket.subprotocols import Encoded, Subprotocol

_TEXT, _BINARY = 0x81, 0x82
_SHORT, _MEDIUM = 126, 1 << 16
_TEXTS = frozenset({DataType.TEXT, DataType.JSON})


def whole_frame(data: bytes, *, binary: bool) -> bytes:
    """The bytes of one whole frame with this payload."""
    first, size = _BINARY if binary else _TEXT, len(data)
    if size < _SHORT:
        return bytes((first, size)) + data
    if size < _MEDIUM:
        return struct.pack("!BBH", first, _SHORT, size) + data
    return struct.pack("!BBQ", first, _SHORT + 1, size) + data


class FrameEncoder:
    """Makes the frames of messages for the clients of one kind: one subprotocol, or none.

    A simple client, whose subprotocol has no name, gets text and JSON in a text frame as they
    are, anything else in a binary one.

    Attributes:
        subprotocol: What the clients speak.
        make: Makes the bytes of a message that is not numbered.
    """

    __slots__ = ("_encoded", "_message", "make", "subprotocol")

    def __init__(self, subprotocol: Subprotocol) -> None:
        self.subprotocol = subprotocol
        self._message: Message | None = None
        self._encoded: Encoded | None = None
        self.make: Callable[[Message], bytes] = self._make

    def numbered(self, message: Message, number: int) -> bytes:
        """The bytes of a message with its number for one client.

        A message that goes to a thousand clients is numbered for each in turn; only the first
        time it is encoded.
        """
        if message is not self._message or self._encoded is None:
            self._message = message
            self._encoded = self.subprotocol.encode(message)
        return whole_frame(self._encoded.frame(number), binary=self.subprotocol.binary)

    def _make(self, message: Message) -> bytes:
        subprotocol = self.subprotocol
        if not subprotocol.name:
            return whole_frame(message.data, binary=message.data_type not in _TEXTS)
        return whole_frame(subprotocol.encode(message).frame(None), binary=subprotocol.binary)
