"""Stdout and stderr as they are needed: open, able to say every text, stderr never in the way."""

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Mapping

_HANDLER = "wps_run.shown"

_ALIKE: Mapping[str, str] = {"…": "...", "·": "-"}
"""Signs in our own words, and what looks like them."""


def prepare() -> None:
    """Make the streams ready for whatever is said; once, at the start of a command."""
    _open_what_is_closed()
    _forgive_stderr()
    codecs.register_error(_HANDLER, _spelt_out)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def for_machines() -> None:
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
