"""What every subprotocol demands of a request."""

import pytest

from wps_run.emulator.websocket import request_checks
from wps_run.emulator.websocket.frames import FrameError


@pytest.mark.parametrize("name", ["e", "E9", "a.b-c_d", "e" * 128])
def test_an_event_begins_with_a_letter(name: str) -> None:
    """Then come up to 127 letters, digits, underscores, dots and dashes."""
    assert request_checks.event(name) == name


@pytest.mark.parametrize("name", ["", "9", "_e", "é", "e f", "e\n", "e" * 129])
def test_another_event_is_a_breach(name: str) -> None:
    """The connection is closed with 1007."""
    with pytest.raises(FrameError) as caught:
        request_checks.event(name)

    assert caught.value.code == 1007


@pytest.mark.parametrize("name", ["", " ", "g" * 1025, "\U0001f600" * 513])
def test_another_group_is_a_breach(name: str) -> None:
    """A group has 1 to 1024 UTF-16 units and is not blank."""
    with pytest.raises(FrameError):
        request_checks.group(name)


def test_a_message_may_be_kept_for_five_minutes() -> None:
    """And no longer."""
    assert [request_checks.ttl(seconds) for seconds in (0, 300)] == [0, 300]
    with pytest.raises(FrameError):
        request_checks.ttl(301)


def test_metadata_that_may_not_be_is_a_breach() -> None:
    """With the reason that the rules of metadata give."""
    with pytest.raises(FrameError, match="twice"):
        request_checks.metadata([("k", "1"), ("k", "2")])
