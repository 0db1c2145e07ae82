"""Whether a stream takes colours, and which ones problems and results are shown in."""

import os
from collections.abc import Mapping
from typing import Any, TextIO

import click

from wps_run.problems import Ink, Paint, plain

_STYLES: Mapping[Ink, Mapping[str, Any]] = {
    Ink.PLACE: {"bold": True},
    Ink.ERROR: {"fg": "red", "bold": True},
    Ink.WARNING: {"fg": "yellow", "bold": True},
    Ink.GUTTER: {"dim": True},
    Ink.GOOD: {"fg": "green"},
    Ink.DOUBT: {"fg": "magenta", "bold": True},
    Ink.HINT: {"fg": "cyan"},
    Ink.LOCAL: {"fg": "cyan", "bold": True},
}


def wanted(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether colours are shown on a stream, each stream judged alone.

    A non-empty NO_COLOR wins, then a non-empty FORCE_COLOR, then a CLICOLOR_FORCE other than 0;
    otherwise they are for terminals, but not for a dumb one. Source: no-color.org,
    force-color.org, bixense.com/clicolors.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR") or environment.get("CLICOLOR_FORCE", "0") not in {"", "0"}:
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"


def paint_for(stream: TextIO) -> Paint:
    """What gives text on this stream its colours; it may be none."""
    return _in_colour if wanted(stream, os.environ) else plain


def write(stream: TextIO, text: str) -> None:
    """Write text with the escapes that are in it; on Windows, click makes colours of them."""
    click.echo(text, file=stream, nl=False, color=wanted(stream, os.environ))


def _in_colour(ink: Ink, text: str) -> str:
    return click.style(text, **_STYLES[ink])
