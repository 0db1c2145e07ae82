"""Colors are for terminals, and the environment decides."""

import io

import click
import pytest

from wps_run.cli.terminal import styler_for, uses_color
from wps_run.text import Style, unstyled


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
