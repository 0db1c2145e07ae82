"""The two modes of simple clients."""

import pytest

from wps_run.emulator.effects import DataType
from wps_run.emulator.targets import Query
from wps_run.emulator.websocket.frames import Pong, SendEvent, SendToGroup
from wps_run.emulator.websocket.simple_frames import ModeError, SimpleFrames, parse_mode


@pytest.mark.parametrize(
    ("query", "codec"),
    [
        ("", SimpleFrames()),
        ("webpubsub_mode=sendEvent", SimpleFrames()),
        ("webpubsub_mode=&group=g", SimpleFrames()),
        ("WEBPUBSUB_MODE=SendToGroup&Group=g", SimpleFrames("g")),
        ("webpubsub_mode=sendToGroup&group=a%2Fb&noecho=True", SimpleFrames("a/b", no_echo=True)),
        ("webpubsub_mode=x&webpubsub_mode=sendToGroup&group=x&group=y", SimpleFrames("y")),
        ("webpubsub_mode=sendToGroup&group=g&noEcho=true&noEcho=false", SimpleFrames("g")),
    ],
)
def test_modes(query: str, codec: SimpleFrames) -> None:
    """Case-insensitive; the last value counts."""
    assert parse_mode(Query(query)) == codec


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("webpubsub_mode=both", "sendToGroup"),
        ("webpubsub_mode=sendToGroup", "group"),
        ("webpubsub_mode=sendToGroup&group=" + "x" * 1025, "group"),
        ("webpubsub_mode=sendToGroup&group=g&noEcho=1", "noEcho"),
    ],
)
def test_invalid_modes(query: str, word: str) -> None:
    """The error names the parameter."""
    with pytest.raises(ModeError, match=word):
        parse_mode(Query(query))


def test_frames() -> None:
    """A frame is an event or a message; there are no responses."""
    assert SimpleFrames().decode("é") == SendEvent("message", "é".encode(), DataType.TEXT)
    assert SimpleFrames("g", no_echo=True).decode(b"\xff") == SendToGroup(
        "g", b"\xff", DataType.BINARY, no_echo=True
    )
    assert SimpleFrames().encode_response(Pong()) == b""
