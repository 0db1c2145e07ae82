"""`data` and `dataType` become the bytes of a message, or an error that teaches."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.payload import encode_message, quote_json
from wps_run.document.scalars import Base64

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_text_goes_out_as_utf_8(text: str) -> None:
    """Nothing is added to a text and nothing is taken away."""
    assert encode_message(text, "text") == text.encode()


@given(value=JSON_VALUES)
def test_a_string_that_holds_json_goes_out_verbatim(value: object) -> None:
    """The text is sent as written, not parsed and written again."""
    text = json.dumps(value, indent=1)

    assert encode_message(text, "json") == text.encode()


@pytest.mark.parametrize("text", ["", "hello", "{'a': 1}", "[1,]", "NaN", "[Infinity]", "1 2"])
def test_a_string_that_holds_no_json_is_refused(text: str) -> None:
    """It is found before anything is sent; the service would answer 400."""
    with pytest.raises(ValueError, match="`data` is not JSON"):
        encode_message(text, "json")


def test_a_byte_order_mark_in_front_of_json_is_named() -> None:
    """It is invisible, and no plain text."""
    with pytest.raises(ValueError, match="it begins with a byte order mark"):
        encode_message("\ufeff{}", "json")


def test_a_long_number_in_json_is_no_matter() -> None:
    """Python's limit on digits is not the service's."""
    assert encode_message("9" * 10_000, "json") == b"9" * 10_000


def test_json_nested_beyond_reason_is_refused() -> None:
    """It cannot be checked, and must not end in a traceback."""
    with pytest.raises(ValueError, match="nested too deeply"):
        encode_message("[" * 100_000 + "]" * 100_000, "json")


@given(data=st.binary())
def test_binary_data_is_base64_or_a_node_buffer(data: bytes) -> None:
    """All three forms give the same bytes."""
    text = base64.b64encode(data).decode()

    assert encode_message(text, "binary") == data
    assert encode_message(Base64(text), "binary") == data
    assert encode_message({"type": "Buffer", "data": list(data)}, "binary") == data


@pytest.mark.parametrize("text", ["a", "ab=", "$$$$", "YQ", "ä"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    """Bad padding and foreign characters are no base64."""
    with pytest.raises(ValueError, match="not base64"):
        encode_message(text, "binary")


@pytest.mark.parametrize("numbers", [[256], [-1], ["a"], "abc", None])
def test_a_buffer_holds_numbers_from_0_to_255(numbers: object) -> None:
    """Anything else is no byte."""
    with pytest.raises(ValueError, match="0 to 255"):
        encode_message({"type": "Buffer", "data": numbers}, "binary")


def test_yaml_binary_needs_the_data_type_binary() -> None:
    """Bytes sent as text would arrive as something else."""
    with pytest.raises(ValueError, match="`dataType: binary` is needed"):
        encode_message(Base64("YQ=="), "text")


def test_a_mapping_where_a_string_is_needed_shows_the_string_to_write() -> None:
    """The binding takes no objects as data; the remedy can be pasted."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the whole message is compared
        encode_message({"note": "it's on"}, "json")

    assert str(caught.value) == """`data` must be a string; write '{"note":"it''s on"}'"""


def test_half_a_surrogate_pair_is_refused() -> None:
    """It cannot be sent as UTF-8."""
    with pytest.raises(ValueError, match="surrogate"):
        encode_message("\ud83d", "text")


def test_what_to_write_can_be_pasted_into_yaml() -> None:
    """Single quotes are doubled, as YAML wants them."""
    assert quote_json("it's") == "'\"it''s\"'"
