"""The two modes of simple clients."""

import pytest

from wps_run.emulator.effects import DataType
from wps_run.emulator.rest.targets import Query
from wps_run.emulator.websocket.frames import Pong, SendEvent, SendToGroup
from wps_run.emulator.websocket.simple_frames import Mode, ModeError, SimpleFrames, read_mode


@pytest.mark.parametrize(
    ("query", "mode"),
    [
        ("", Mode()),
        ("webpubsub_mode=sendEvent", Mode()),
        ("webpubsub_mode=&group=g", Mode()),
        ("WEBPUBSUB_MODE=SendToGroup&Group=g", Mode("g")),
        ("webpubsub_mode=sendToGroup&group=a%2Fb&noecho=True", Mode("a/b", no_echo=True)),
        ("webpubsub_mode=x&webpubsub_mode=sendToGroup&group=x&group=y", Mode("y")),
        ("webpubsub_mode=sendToGroup&group=g&noEcho=true&noEcho=false", Mode("g")),
    ],
)
def test_modes(query: str, mode: Mode) -> None:
    """Any case will do, and the last value counts."""
    assert read_mode(Query(query)) == mode


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("webpubsub_mode=both", "sendToGroup"),
        ("webpubsub_mode=sendToGroup", "group"),
        ("webpubsub_mode=sendToGroup&group=" + "x" * 1025, "group"),
        ("webpubsub_mode=sendToGroup&group=g&noEcho=1", "noEcho"),
    ],
)
def test_what_is_no_mode(query: str, word: str) -> None:
    """The error names the parameter."""
    with pytest.raises(ModeError, match=word):
        read_mode(Query(query))


def test_frames() -> None:
    """A frame is an event or a message; the client is never told anything."""
    assert SimpleFrames().read("é") == SendEvent("message", "é".encode(), DataType.TEXT)
    assert SimpleFrames(Mode("g", no_echo=True)).read(b"\xff") == SendToGroup(
        "g", b"\xff", DataType.BINARY, no_echo=True
    )
    assert SimpleFrames().write(Pong()) == b""
