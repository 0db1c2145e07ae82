"""A row of `forEach`, and what the core asks of the files that a playbook names."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from wps_run.playbook.document import Path
from wps_run.problems import Position, Problem

WHOLE = ""
"""The one column of rows that are single values. No column of a file has this name."""


class Row(NamedTuple):
    """One row. A tuple, since there are many of them: it is made in half the time.

    Attributes:
        cells: Column to cell; a single value is in the column `WHOLE`.
        position: Where it begins. Of a row in a file only the line.
        paths: Column to the path of its cell in the playbook; None for a row of a file.
    """

    cells: Mapping[str, str]
    position: Position
    paths: Mapping[str, Path] | None = None


Rows = Iterator[Row | Problem]
"""Rows, and in the place of each that cannot be read what is wrong with it."""


class InputError(Exception):
    """A file that a playbook names cannot be read. The message says why."""


class Inputs(Protocol):
    """Gives what is in the files that a playbook names; `inputs` has the real one."""

    def rows(self, name: str) -> Rows:
        """The rows of a file, from its beginning.

        Raises:
            InputError: It cannot be read; when the first row is asked for, or later.
        """

    def data(self, name: str) -> bytes:
        """The bytes of a message.

        Raises:
            InputError: It cannot be read, is too long, or lies outside of the playbook's folder.
        """


class NoFiles:
    """Stands where there is no file system."""

    def rows(self, name: str) -> Rows:
        """Refuse."""
        raise InputError(f"`{name}` cannot be read here")

    def data(self, name: str) -> bytes:
        """Refuse."""
        raise InputError(f"`{name}` cannot be read here")
