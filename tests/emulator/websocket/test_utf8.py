"""Text made fit for a frame."""

from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.websocket.utf8 import encode, is_whole, repair


@given(st.text())
def test_whole_text_is_encoded_as_it_is(text: str) -> None:
    """Nothing is replaced in it."""
    assert is_whole(text)
    assert encode(text) == repair(text.encode()) == text.encode()


@given(st.text(alphabet=st.characters()), st.binary())
def test_anything_becomes_utf8(text: str, data: bytes) -> None:
    """Every frame can be read."""
    assert encode(text).decode() == repair(encode(text)).decode()
    assert repair(data) == repair(repair(data))


def test_what_is_no_utf8_becomes_a_replacement_character() -> None:
    """One for each half of a surrogate pair, as for each wrong byte."""
    assert not is_whole("a\udc00")
    assert encode("a\udc00b") == "a\ufffdb".encode()
    assert repair(b"a\xffb") == "a\ufffdb".encode()
