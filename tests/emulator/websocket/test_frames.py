"""The values that frames are read into and written from."""

from wps_run.emulator.effects import DataType
from wps_run.emulator.websocket.frames import CloseCode, FrameError, SendToGroup


def test_a_frame_error_closes_with_1007_unless_it_says_otherwise() -> None:
    """Most breaches of a subprotocol are invalid data."""
    assert FrameError("why").code == 1007
    assert FrameError("why", CloseCode.UNSUPPORTED_DATA).code == 1003
    assert FrameError("why").reason == str(FrameError("why")) == "why"


def test_requests_compare_by_what_they_ask() -> None:
    """A message asks for no answer, no silence and no end of its time unless it says so."""
    plain = SendToGroup("g", b"x", DataType.TEXT)

    assert plain == SendToGroup("g", b"x", DataType.TEXT, None, no_echo=False, ttl=0, metadata={})
    assert plain != SendToGroup("g", b"x", DataType.TEXT, 0)
