"""`-v` and `--log-level`: show the loggers `wps_run.*` on stderr."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from wps_run.cli.configuration import Decorated
from wps_run.redaction import NO_SECRETS, Secrets

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


class _MaskingFormatter(logging.Formatter):
    """Masks secrets in each line."""

    def __init__(self, line_format: str, time_format: str, secrets: Secrets) -> None:
        super().__init__(line_format, time_format)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        return self._secrets.mask(super().format(record))


@contextmanager
def logging_to_stderr(
    level: str | None, *, verbose: bool, secrets: Secrets = NO_SECRETS
) -> Iterator[None]:
    """Show the loggers `wps_run.*` on stderr, within the context.

    Args:
        level: One of `LEVELS`, or None: `info` when `verbose`, else nothing is logged.
        verbose: Whether to log at `info` when there is no level.
        secrets: Values to mask, whichever logger has them.
    """
    level = level or ("info" if verbose else None)
    if level is None:
        yield
        return
    logger = logging.getLogger("wps_run")
    handler = _ToStderr(sys.stderr)
    line_format = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s"
    handler.setFormatter(_MaskingFormatter(line_format, "%H:%M:%S", secrets))
    logger.addHandler(handler)
    previous = logger.level
    logger.setLevel(level.upper())
    try:
        yield
    finally:
        logger.setLevel(previous)
        logger.removeHandler(handler)
