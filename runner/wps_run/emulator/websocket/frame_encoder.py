"""Encodes a message's WebSocket frame once for all recipients with the same subprotocol.

Source: RFC 6455, section 5.2; a server's frames are not masked.
"""

import struct
from collections.abc import Callable

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.websocket.subprotocols import EncodedMessage, Subprotocol

_TEXT, _BINARY = 0x81, 0x82
_SHORT, _MEDIUM = 126, 1 << 16
_TEXT_TYPES = frozenset({DataType.TEXT, DataType.JSON})


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

    A simple client, whose subprotocol has no name, gets the payload unchanged: text and JSON in
    a text frame, other types in a binary one.

    Attributes:
        subprotocol: The clients' subprotocol.
        encode: Encodes a message without a sequence number. One object for the encoder's life:
            the fan-out compares it to reuse a frame.
    """

    __slots__ = ("_encoded", "_message", "encode", "subprotocol")

    def __init__(self, subprotocol: Subprotocol) -> None:
        self.subprotocol = subprotocol
        self._message: Message | None = None
        self._encoded: EncodedMessage | None = None
        self.encode: Callable[[Message], bytes] = self._encode

    def encode_numbered(self, message: Message, sequence_id: int) -> bytes:
        """Encode a message with its sequence number for one client.

        The parts that all recipients share are encoded only for the first of them.
        """
        if message is not self._message or self._encoded is None:
            self._message = message
            self._encoded = self.subprotocol.encode_message(message)
        payload = self._encoded.payload(sequence_id)
        return encode_frame(payload, is_binary=self.subprotocol.is_binary)

    def _encode(self, message: Message) -> bytes:
        subprotocol = self.subprotocol
        if not subprotocol.name:
            return encode_frame(message.data, is_binary=message.data_type not in _TEXT_TYPES)
        payload = subprotocol.encode_message(message).payload(None)
        return encode_frame(payload, is_binary=subprotocol.is_binary)
