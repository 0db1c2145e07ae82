"""Read the files that a playbook names: rows of `forEach`, messages of `dataFile`."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from wps_run.actions.fields import DATA_LIMIT
from wps_run.document.loader import decode, load
from wps_run.playbook.foreach import SAVE_FIRST, file_name_error
from wps_run.playbook.rows import LINE_LIMIT, InputError, Rows, read_csv, read_document, read_ndjson
from wps_run.problems import PlaybookError, Position, Problem

Reader = Callable[[Iterable[bytes], str], Rows]


class Files:
    """The files of one playbook, relative to its folder.

    Rows may come from any file. Messages come from inside the folder only: their content is sent
    to clients, and their names may come from rows, so that otherwise a row could have any file of
    the machine sent.

    Attributes:
        paths: The files that were read so far, by their names in the playbook.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self.paths: dict[str, Path] = {}
        self._states: dict[str, tuple[int, ...]] = {}

    def rows(self, name: str) -> Rows:
        """Return the rows of a file, from its beginning; CSV and NDJSON are read line by line.

        Raises:
            InputError: The file cannot be read; raised when a row is requested.
        """
        path = self._folder / name
        try:
            _require_regular(
                path, name, f"can be read only once, and rows are read twice; {SAVE_FIRST}"
            )
            if message := file_name_error(name):
                raise InputError(message)
            reader = READERS.get(path.suffix.lower(), _read_whole)
            self.paths[name] = path
            with path.open("rb") as file:
                self._refuse_change(name, file.fileno())
                # The shortest form: `playbooks/members.csv`, not `playbooks/./members.csv`.
                display_name = os.path.normpath(path)
                yield from reader(iter(partial(file.readline, LINE_LIMIT), b""), display_name)
                self._refuse_change(name, file.fileno())
        except (OSError, ValueError) as error:
            raise InputError(_reason(name, error)) from None

    def data(self, name: str) -> bytes:
        """Return the content of a message file.

        Raises:
            InputError: The file cannot be read, is too long, or is outside the folder.
        """
        try:
            folder = self._folder.resolve()
            path = (folder / name).resolve()
            if not path.is_relative_to(folder):
                raise InputError(
                    f"`{name}` is outside the playbook's folder, and its content would be sent to "
                    "clients; copy it into the folder"
                )
            _require_regular(path, name, "is not a regular file; save its content to one")
            self.paths[name] = path
            with path.open("rb") as file:
                raw = file.read(DATA_LIMIT + 1)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(_reason(name, error)) from None
        if len(raw) > DATA_LIMIT:
            raise InputError(f"`{name}` is longer than {DATA_LIMIT} bytes (1 MiB)")
        return raw

    def _refuse_change(self, name: str, descriptor: int) -> None:
        """Refuse a file that has changed since its rows were checked."""
        if self._states.setdefault(name, _state(descriptor)) != _state(descriptor):
            raise InputError(f"`{name}` was changed after its rows were checked")


def _read_whole(lines: Iterable[bytes], file: str) -> Rows:
    try:
        text = decode(b"".join(lines), file)
        if not text.strip():
            return iter(
                (Problem("the file is empty; an empty list is `[]`", "row", Position(file, 1)),)
            )
        document = load(text, file)
    except PlaybookError as error:
        return iter(error.problems)
    return read_document(document)


READERS: Mapping[str, Reader] = MappingProxyType(
    {".csv": read_csv, ".ndjson": read_ndjson, ".jsonl": read_ndjson}
)
"""Readers of files line by line, by suffix. All other files are read whole."""


def _require_regular(path: Path, name: str, message: str) -> None:
    """Refuse a file that is not regular without opening it: opening a pipe blocks."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise InputError(f"`{name}` {message}")


def _state(descriptor: int) -> tuple[int, ...]:
    """Return values that differ when the file was modified or replaced."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _reason(name: str, error: OSError | ValueError | RuntimeError) -> str:
    if not name:
        return "the name of the file is empty"
    if isinstance(error, FileNotFoundError):
        return f"there is no file `{name}`"
    if isinstance(error, IsADirectoryError):
        return f"`{name}` is a folder"
    reason = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, RuntimeError):  # a loop of symbolic links, before Python 3.13
        reason = os.strerror(errno.ELOOP)
    return f"cannot read `{name}`: {reason}"
