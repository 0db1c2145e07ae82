"""`-v` and `--log-level`: show the loggers `wps_run.*` on stderr."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from wps_run.cli.inputs import Decorated

LEVELS = ("debug", "info", "warning", "error")


def log_options(command: Decorated) -> Decorated:
    """Add `-v` and `--log-level` to a command."""
    command = click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        help="Log messages of this level and above to stderr. `info` is -v; `debug` adds headers "
        "and sizes. Keys and tokens are masked.",
    )(command)
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        help="Log each request and its response to stderr, with status, duration and request ID.",
    )(command)


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to the present `sys.stderr`, which a progress line replaces while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


@contextmanager
def logging_to_stderr(level: str | None, *, verbose: bool) -> Iterator[None]:
    """Show the loggers `wps_run.*` on stderr, within the context.

    Args:
        level: One of `LEVELS`, or None: `info` when `verbose`, else nothing is logged.
        verbose: Whether to log at `info` when there is no level.
    """
    level = level or ("info" if verbose else None)
    if level is None:
        yield
        return
    logger = logging.getLogger("wps_run")
    handler = _ToStderr(sys.stderr)
    line_format = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s"
    handler.setFormatter(logging.Formatter(line_format, "%H:%M:%S"))
    logger.addHandler(handler)
    previous = logger.level
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.setLevel(previous)
        logger.removeHandler(handler)
