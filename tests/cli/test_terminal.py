"""Every text can be written, whatever the encoding of a stream."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.cli.terminal import prepare_streams, use_utf8_stdout

ENCODINGS = ["ascii", "latin-1", "cp1252", "cp437", "utf-8"]


def encode(text: str, encoding: str, *, utf8: bool = False) -> bytes:
    """The bytes of a text on such a stdout."""
    raw = io.BytesIO()
    before, sys.stdout = sys.stdout, io.TextIOWrapper(raw, encoding=encoding, newline="")
    try:
        prepare_streams()
        if utf8:
            use_utf8_stdout()
        sys.stdout.write(text)
        sys.stdout.flush()
        return raw.getvalue()
    finally:
        sys.stdout = before


@given(text=st.text(st.characters() | st.characters(categories=["Cs"])))
def test_no_text_is_too_much_for_an_encoding(text: str) -> None:
    """Not even half of a surrogate pair, as in the name of a file."""
    for encoding in ENCODINGS:
        assert encode(text, encoding).decode(encoding) or not text


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("hub · a … é 日", "ascii", "hub - a ... \\xe9 \\u65e5"),
        ("hub · … é 日", "latin-1", "hub · ... é \\u65e5"),
        ("hub · … é 日", "utf-8", "hub · … é 日"),
        ("p\udcff.yaml", "utf-8", "p\\udcff.yaml"),
    ],
)
def test_what_the_encoding_lacks_is_escaped(text: str, encoding: str, shown: str) -> None:
    """Our own signs by what looks like them; names so that they stay distinct."""
    assert encode(text, encoding).decode(encoding) == shown


@given(text=st.text(st.characters() | st.characters(categories=["Cs"])))
def test_utf8_get_utf_8_that_is_json(text: str) -> None:
    """Whatever the terminal speaks, and though a name is half a pair."""
    line = json.dumps(text, ensure_ascii=False)

    for encoding in ENCODINGS:
        decoded = json.loads(encode(line, encoding, utf8=True).decode("utf-8"))
        assert decoded.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")
