"""Encodes a message's WebSocket frame once for all recipients with the same subprotocol.

Source: RFC 6455, section 5.2; a server's frames are not masked.
"""

import struct

from wps_run.emulator.effects import Message
from wps_run.emulator.websocket.subprotocols import EncodedMessage, Subprotocol

_TEXT, _BINARY = 0x81, 0x82
_SHORT, _MEDIUM = 126, 1 << 16


def encode_frame(payload: bytes, *, is_binary: bool) -> bytes:
    """Return one unfragmented frame."""
    first, size = _BINARY if is_binary else _TEXT, len(payload)
    if size < _SHORT:
        return bytes((first, size)) + payload
    if size < _MEDIUM:
        return struct.pack("!BBH", first, _SHORT, size) + payload
    return struct.pack("!BBQ", first, _SHORT + 1, size) + payload


class FrameEncoder:
    """Encodes messages for all clients of one subprotocol, or of none.

    Consecutive clients with the same sequence number get the same frame. For another number, only
    the number is encoded again.

    Attributes:
        subprotocol: The clients' subprotocol.
    """

    __slots__ = ("_encoded", "_frame", "_message", "_number", "subprotocol")

    def __init__(self, subprotocol: Subprotocol) -> None:
        self.subprotocol = subprotocol
        self._message: Message | None = None
        self._encoded: EncodedMessage | None = None
        self._number: int | None = None
        self._frame = b""

    def encode(self, message: Message, number: int | None) -> bytes:
        """Encode a message with its sequence number; None for a client that is not reliable."""
        encoded = self._encoded
        if message is not self._message or encoded is None:
            encoded = self.subprotocol.encode_message(message)
            self._message, self._encoded = message, encoded
        elif number == self._number:
            return self._frame
        self._number = number
        self._frame = encode_frame(encoded.payload(number), is_binary=encoded.is_binary)
        return self._frame
