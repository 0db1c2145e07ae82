"""Every text can be written, whatever the encoding of a stream."""

import io
import json
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.cli.terminal import prepare_streams, styler_for, use_utf8_stdout, uses_color
from wps_run.text import Style, unstyled

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


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize(
    ("environment", "on_terminal", "elsewhere"),
    [
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_environment_and_stream_decide_about_colors(
    environment: dict[str, str], *, on_terminal: bool, elsewhere: bool
) -> None:
    """NO_COLOR, then FORCE_COLOR, then the stream."""
    assert uses_color(Terminal(), environment) is on_terminal
    assert uses_color(io.StringIO(), environment) is elsewhere


def test_styler_adds_nothing_but_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its escapes it is the text again; where no colors are wanted it is the text."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    styler = styler_for(io.StringIO())

    for style in Style:
        assert styler(style, "x") != "x"
        assert click.unstyle(styler(style, "x")) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert styler_for(io.StringIO()) is unstyled
