"""Standard output and standard error, and the signals that end a command.

Colors, encodings, and what happens when writing fails.
"""

import codecs
import contextlib
import io
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

import click

from wps_run.text import Label, Style, Styler, labeled, unstyled

_COLORS: Mapping[Style, Mapping[str, Any]] = {
    Style.LOCATION: {"bold": True},
    Style.ERROR: {"fg": "red", "bold": True},
    Style.WARNING: {"fg": "yellow", "bold": True},
    Style.GUTTER: {"dim": True},
    Style.SUCCESS: {"fg": "green"},
    Style.UNKNOWN: {"fg": "magenta", "bold": True},
    Style.NOTE: {"bold": True},
    Style.HINT: {"fg": "cyan"},
    Style.LOCAL: {"fg": "cyan", "bold": True},
}


def uses_color(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Decide whether to use colors on a stream.

    A non-empty NO_COLOR wins, then a non-empty FORCE_COLOR, then a CLICOLOR_FORCE other than 0;
    otherwise terminals get colors, but not a dumb one. Source: no-color.org, force-color.org,
    bixense.com/clicolors.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR") or environment.get("CLICOLOR_FORCE", "0") not in {"", "0"}:
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"


def styler_for(stream: TextIO) -> Styler:
    """Return the styler of a stream, with or without colors."""
    return _color if uses_color(stream, os.environ) else unstyled


def _color(style: Style, text: str) -> str:
    return click.style(text, **_COLORS[style])


def write(stream: TextIO, text: str) -> None:
    """Write text with color escapes; on Windows, click converts them."""
    click.echo(text, file=stream, nl=False, color=uses_color(stream, os.environ))


def show_message(label: Label, message: str) -> None:
    """Show a diagnostic on stderr, such as `note: this run has no journal`."""
    write(sys.stderr, f"{labeled(label, message, styler_for(sys.stderr))}\n")


class StdoutError(Exception):
    """Standard output cannot be written. Not an OSError, so that no other handler catches it.

    Attributes:
        reason: The system's reason, such as `No space left on device`.
        is_closed: Whether its reader is gone (a broken pipe).
    """

    def __init__(self, error: OSError) -> None:
        self.reason = error.strerror or str(error)
        self.is_closed = isinstance(error, BrokenPipeError)
        super().__init__(f"cannot write to standard output: {self.reason}")


_HANDLER = "wps_run.escape"

_REPLACEMENTS: Mapping[str, str] = {"…": "...", "·": "-"}
"""Characters of our own messages, and their replacement where the encoding has none."""


def prepare_streams() -> None:
    """Prepare stdout and stderr, once, at the start of a command.

    A closed stream discards its output. Writing to stdout raises `StdoutError`; writing to stderr
    never fails. Both can write every text: what the encoding lacks is escaped.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    stdout, stderr = sys.stdout, sys.stderr
    if isinstance(stdout, io.TextIOWrapper) and stdout is sys.__stdout__:
        raw: Any = getattr(stdout.buffer, "raw", stdout.buffer)
        sys.stdout = io.TextIOWrapper(
            _StdoutBuffer(raw), stdout.encoding, line_buffering=stdout.line_buffering
        )
    if isinstance(stderr, io.TextIOWrapper) and stderr is sys.__stderr__:
        sys.stderr = _Stderr(stderr.buffer, stderr.encoding, line_buffering=True)
    codecs.register_error(_HANDLER, _escape_unencodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def interrupting_signals() -> Sequence[signal.Signals]:
    """Return the signals that end a command: SIGINT, SIGTERM, and SIGHUP unless it is ignored.

    `nohup` ignores it, so that a command survives its terminal. Windows has none.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return signals


@contextlib.contextmanager
def exiting_on_signals() -> Iterator[None]:
    """Raise `SystemExit` on the signals that end a command, so that it can clean up."""

    def leave(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in interrupting_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def help_width() -> int:
    """Return the width of help texts in columns, at most 98, as click determines it.

    click imports shutil for it, which takes 4 % of the time of `--help`.
    """
    columns = 0
    with contextlib.suppress(ValueError):
        columns = int(os.environ.get("COLUMNS", ""))
    if columns <= 0:
        with contextlib.suppress(AttributeError, ValueError, OSError):
            columns = os.get_terminal_size(sys.__stdout__.fileno()).columns  # type: ignore[union-attr]
    return max(min(columns or 80, 100) - 2, 50)


_DEFAULT_COLUMNS = 80
"""Columns of a terminal that does not know its width."""


def columns_of(stream: TextIO) -> int:
    """Return the width of the terminal now."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_COLUMNS
    except (OSError, ValueError):
        return _DEFAULT_COLUMNS


def use_utf8_stdout() -> None:
    """Write stdout in UTF-8, as JSON requires; a lone surrogate becomes an escape of JSON."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


class _StdoutBuffer(io.BufferedWriter):
    """The bytes of stdout. Every write to stdout passes here, also those of click."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise StdoutError(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise StdoutError(error) from error


class _Stderr(io.TextIOWrapper):
    """A stderr whose failures are ignored: they must not change what a command does."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_REPLACEMENTS.get(char) or _escape(char) for char in characters), error.end


def _escape(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode("ascii")


def shell_line(words: Sequence[str]) -> str:
    """Return arguments as a line to paste into a shell: `cmd` on Windows, else a POSIX shell."""
    if sys.platform == "win32":
        from subprocess import list2cmdline  # noqa: PLC0415 -- only Windows needs it

        return list2cmdline(words)
    return shlex.join(words)
