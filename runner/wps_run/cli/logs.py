"""`-v` and `--log-level`: the loggers `runner.*`, shown on stderr."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

LEVELS = ("debug", "info", "warning", "error")


def log_options(command: Decorated) -> Decorated:
    """`-v` and `--log-level`."""
    command = click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        help="Log to stderr what is this grave, or graver. `info` is -v; `debug` adds headers and "
        "sizes. Keys and tokens are masked.",
    )(command)
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        help="Log each request and its answer to stderr, with status, duration and request ID.",
    )(command)


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at that moment: a progress line makes room for the log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        self.stream = sys.stderr
        super().emit(record)


@contextmanager
def logging_to_stderr(level: str | None, *, verbose: bool) -> Iterator[None]:
    """Show the loggers `runner.*` on stderr meanwhile; nothing unless asked to.

    Args:
        level: One of `LEVELS`, or None for what `verbose` says.
        verbose: Whether `info` is meant when no level is named.
    """
    wanted = level or ("info" if verbose else None)
    if wanted is None:
        yield
        return
    logger = logging.getLogger("wps_run")
    handler = _ToStderr(sys.stderr)
    form = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s"
    handler.setFormatter(logging.Formatter(form, "%H:%M:%S"))
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(wanted.upper())
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
