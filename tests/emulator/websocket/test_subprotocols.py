"""Which subprotocol is taken, and what holds for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.effects import DataType, Message
from wps_run.emulator.websocket.frames import FrameError, Request
from wps_run.emulator.websocket.subprotocols import SUBPROTOCOLS, choose

NAMES = (
    "json.webpubsub.azure.v1",
    "json.reliable.webpubsub.azure.v1",
    "protobuf.webpubsub.azure.v1",
    "protobuf.reliable.webpubsub.azure.v1",
)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_known_by_its_name(name: str) -> None:
    """The name says which frames it has and whether messages are numbered."""
    subprotocol = SUBPROTOCOLS[name]

    assert subprotocol.name == name
    assert subprotocol.reliable == ("reliable" in name)
    assert subprotocol.binary == ("protobuf" in name)


def test_there_are_no_others() -> None:
    """MQTT and Socket.IO have endpoints of their own."""
    assert set(SUBPROTOCOLS) == set(NAMES)


@pytest.mark.parametrize(
    ("offered", "name"),
    [
        (["json.webpubsub.azure.v1"], "json.webpubsub.azure.v1"),
        (["mqtt", "protobuf.webpubsub.azure.v1"], "protobuf.webpubsub.azure.v1"),
        (["json.reliable.webpubsub.azure.v1", "json.webpubsub.azure.v1"], NAMES[1]),
        (["JSON.WebPubSub.Azure.V1"], "json.webpubsub.azure.v1"),
    ],
)
def test_the_first_that_is_known_is_chosen(offered: list[str], name: str) -> None:
    """Names are compared without case, and the client's spelling is kept for the answer."""
    chosen = choose(offered)

    assert chosen is not None
    subprotocol, spelling = chosen
    assert subprotocol is SUBPROTOCOLS[name]
    assert spelling in offered
    assert spelling.lower() == name


@pytest.mark.parametrize("offered", [[], ["mqtt"], ["json.webpubsub.azure.v2", ""]])
def test_a_client_that_offers_none_is_a_simple_client(offered: list[str]) -> None:
    """There is nothing to choose."""
    assert choose(offered) is None


def attempt(name: str, frame: str | bytes) -> Request | FrameError:
    """What comes of a frame."""
    try:
        return SUBPROTOCOLS[name].read(frame)
    except FrameError as error:
        return error


@pytest.mark.parametrize("name", NAMES)
@given(frame=st.one_of(st.text(), st.binary(), st.text(alphabet='{}[]":,tyenu0\\')))
def test_any_frame_is_a_request_or_a_breach(name: str, frame: str | bytes) -> None:
    """Whatever comes, the answer is a request, or a legal close code and a reason that fits."""
    right_kind = isinstance(frame, bytes) == SUBPROTOCOLS[name].binary
    read = attempt(name, frame)

    if isinstance(read, FrameError):
        assert read.code == (1007 if right_kind else 1003)
        assert 0 < len(read.reason.encode()) <= 123
    else:
        assert right_kind


MESSAGES = st.builds(
    Message,
    st.binary(),
    st.sampled_from(DataType),
    group=st.none() | st.text(),
    from_user=st.none() | st.text(alphabet=st.characters()),
    metadata=st.dictionaries(st.text(), st.text()),
)


@pytest.mark.parametrize("name", NAMES)
@given(message=MESSAGES, number=st.integers(1, 2**64 - 1))
def test_any_message_can_be_written(name: str, message: Message, number: int) -> None:
    """A message is encoded once; without a number every receiver gets the same object."""
    encoded = SUBPROTOCOLS[name].encode(message)

    assert encoded.frame(None) is encoded.frame(None)
    assert len(encoded.frame(number)) > len(encoded.frame(None))
    if not SUBPROTOCOLS[name].binary:
        assert encoded.frame(number).decode().endswith(f',"sequenceId":{number}}}')
