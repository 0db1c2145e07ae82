"""Whether a stream takes colours, and which ones problems and results are shown in.

Stdout and stderr as they are needed: open, able to say every text, stderr never in the way.
"""

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import click

from wps_run.text import Style, Styler, unstyled

_STYLES: Mapping[Style, Mapping[str, Any]] = {
    Style.LOCATION: {"bold": True},
    Style.ERROR: {"fg": "red", "bold": True},
    Style.WARNING: {"fg": "yellow", "bold": True},
    Style.GUTTER: {"dim": True},
    Style.SUCCESS: {"fg": "green"},
    Style.UNKNOWN: {"fg": "magenta", "bold": True},
    Style.HINT: {"fg": "cyan"},
    Style.LOCAL: {"fg": "cyan", "bold": True},
}


def uses_color(stream: TextIO, environment: Mapping[str, str]) -> bool:
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


def styler_for(stream: TextIO) -> Styler:
    """What gives text on this stream its colours; it may be none."""
    return _in_colour if uses_color(stream, os.environ) else unstyled


def write(stream: TextIO, text: str) -> None:
    """Write text with the escapes that are in it; on Windows, click makes colours of them."""
    click.echo(text, file=stream, nl=False, color=uses_color(stream, os.environ))


def _in_colour(ink: Style, text: str) -> str:
    return click.style(text, **_STYLES[ink])


_HANDLER = "wps_run.shown"

_ALIKE: Mapping[str, str] = {"…": "...", "·": "-"}
"""Signs in our own words, and what looks like them."""


def prepare_streams() -> None:
    """Make the streams ready for whatever is said; once, at the start of a command."""
    _open_what_is_closed()
    _forgive_stderr()
    codecs.register_error(_HANDLER, _spelt_out)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def use_utf8_stdout() -> None:
    """Let stdout be UTF-8, as JSON is; half a surrogate pair is an escape of JSON too."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _open_what_is_closed() -> None:
    """A stream that the caller has closed is None; let output to it vanish instead."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


class _Forgiving(io.TextIOWrapper):
    """A stderr that may be full, or read by nobody. What is done does not depend on it."""

    def write(self, text: str) -> int:
        """Write, as far as that goes."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, as far as that goes."""
        with contextlib.suppress(OSError):
            super().flush()


def _forgive_stderr() -> None:
    stream = sys.stderr
    if isinstance(stream, io.TextIOWrapper) and stream is sys.__stderr__:
        sys.stderr = _Forgiving(stream.buffer, stream.encoding, line_buffering=True)


def _spelt_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(_ALIKE.get(one) or _escape(one) for one in bad), error.end


def _escape(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode("ascii")
